"""Scaled dot-product attention."""

from __future__ import annotations

import math

from .. import dims, dtypes
from ..builder import Builder
from ..core import Value
from ..optable import composite
from .common import INF, iota_along, size, swap, where
from .samples import each, of


@composite(
    autocast="half",
    samples=each(
        of("f2x3x4", "f2x5x4", "f2x5x2"),
        of("f2x3x4", "f2x3x4", "f2x3x2", is_causal=True),
        of("f1x3x4", "f1x5x4", "f1x5x2", "f3x5"),
    ),
)
def scaled_dot_product_attention(
    b, query, key, value, mask=None, *, is_causal=False, scale=None, enable_gqa=False
):
    """softmax(query @ key.T * scale + mask) @ value; a bool mask says what takes part."""
    weights = _weights(b, query, key, mask, is_causal, scale, enable_gqa)
    return b.matmul(weights, _repeated(b, value, query, enable_gqa))


@composite(autocast="half", samples=of("f2x3x4", "f2x5x4", "f2x5x2", 1.25, 0.2, 7, 0))
def attention_dropout(
    b, query, key, value, keep_scale, probability, seed, offset, mask=None, *, is_causal=False,
    scale=None, enable_gqa=False,
):  # fmt: skip
    """scaled_dot_product_attention with dropout of the attention weights."""
    weights = _weights(b, query, key, mask, is_causal, scale, enable_gqa)
    weights = b.dropout(weights, probability, keep_scale, seed, offset)
    return b.matmul(weights, _repeated(b, value, query, enable_gqa))


def _repeated(b: Builder, x: Value, query: Value, enable_gqa: bool) -> Value:
    """x with each of its heads repeated for the query heads that share it."""
    if not enable_gqa:
        return x
    heads = query.shape[-3]
    if dims.same(heads, x.shape[-3]):
        return x
    return b.repeat_each(x, repeats=heads // x.shape[-3], dim=x.rank - 3)


def _weights(b: Builder, query, key, mask, is_causal, scale, enable_gqa) -> Value:
    if query.dtype is not key.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype.name} key.dtype: {key.dtype.name}"
        )
    if query.rank < 2 or key.rank < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got "
            "query.dim(): "
            f"{query.rank} and key.dim(): {key.rank} instead."
        )
    key = _repeated(b, key, query, enable_gqa)
    if scale is None:
        width = query.shape[-1]
        scale = (
            1 / math.sqrt(width)
            if isinstance(width, int) and width
            else b.rsqrt(b.cast(b.scalar(0) if width == 0 else size(b, width), query.dtype))
        )
    scores = b.mul(b.matmul(query, swap(b, key, key.rank - 2, key.rank - 1)), scale)
    if is_causal:
        row = iota_along(b, scores.rank, scores.rank - 2, scores.shape[-2])
        column = iota_along(b, scores.rank, scores.rank - 1, scores.shape[-1])
        scores = where(b, b.ge(row, column), scores, -INF)
    if mask is None:
        return b.softmax(scores, dim=scores.rank - 1)
    if mask.dtype is dtypes.b1:
        scores = where(b, mask, scores, -INF)
    else:
        scores = b.add(scores, b.cast(mask, scores.dtype))
    return b.safe_softmax(scores, dim=scores.rank - 1)
