"""Look-up tables: embeddings and their bags."""

from __future__ import annotations

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import masked, spelled, unsqueeze, where, wide
from .samples import each, of


# Rows at padding_idx learn nothing.
def _embedding_vjp(b: Builder, op: Op, g: Value):
    weight, index = op.operands
    at = b.cast(index, dtypes.i64)
    padding = op.attrs["padding_idx"]
    if padding is not None:
        g = masked(b, unsqueeze(b, b.ne(at, padding), at.rank), g)
    if op.attrs["scale_grad_by_freq"]:
        n = b.emit1(
            "scatter", b.full(0, dtypes.i64, (weight.shape[0],)), b.full(1, dtypes.i64, at.shape),
            at,             axes=(0,), kind="add",
        )  # fmt: skip
        times = b.cast(b.emit1("gather", n, at, axes=(0,)), g.dtype)
        g = b.div(g, unsqueeze(b, times, at.rank))
    base = b.full(0, weight.dtype, weight.shape)
    return [b.emit1("scatter", base, g, at, axes=(0,), kind="add"), None]


@composite(
    vjp=_embedding_vjp,
    samples=each(of("f5x3", "i2x4<5"), of("n5x3", "i4<5", padding_idx=1, scale_grad_by_freq=True)),
)
def embedding(b, weight, index, *, padding_idx=None, scale_grad_by_freq=False):
    """The rows of `weight` that the integers of `index` name."""
    if weight.rank != 2:
        raise RuntimeError("'weight' must be 2-D")
    if index.dtype not in (dtypes.i64, dtypes.i32):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar "
            "types: Long, Int; but "
            f"got torch.{spelled(index.dtype)}Tensor instead (while checking arguments for "
            "embedding)"
        )
    return b.emit1("gather", weight, b.cast(index, dtypes.i64), axes=(0,))


@composite(
    samples=each(
        of("f5x3", "i2x4<5"),
        of("f5x3", "i2x4<5", mode="max"),
        of("f5x3", "i2x3<5", "f2x3", mode="sum", has_weights=True),
    )
)
def embedding_bag(
    b, weight, index, *rest, mode="mean", has_offsets=False, has_weights=False, padding_idx=None,
    include_last_offset=False, scale_grad_by_freq=False,
):  # fmt: skip
    """Sums, means or maxima of the rows in each bag. Bags are the rows of a matrix `index`, or
    begin at `offsets` (the next operand) in a flat one; then come weights per sample."""
    if padding_idx is not None:
        known = weight.shape[0]
        if not -known <= padding_idx < known:
            raise RuntimeError(
                f"padding_idx must be within the number of embeddings, -{known} through "
                f"{known - 1}, but got {padding_idx}"
            )
        padding_idx %= known
    offsets = rest[0] if has_offsets else None
    per_sample = rest[-1] if has_weights else None
    if offsets is None:
        n, length = index.shape
        rows_of = b.reshape(b.emit1("iota", size=n, dtype=dtypes.i64), (n, 1))
        bags = b.reshape(b.broadcast_to(rows_of, (n, length)), (n * length,))
        flat = b.reshape(index, (n * length,))
        if per_sample is not None:
            per_sample = b.reshape(per_sample, (n * length,))
    else:
        n = offsets.shape[0] - (1 if include_last_offset else 0)
        flat = index
        total = flat.shape[0]
        place = b.emit1("iota", size=total, dtype=dtypes.i64)
        starts = b.cast(offsets, dtypes.i64)
        started = b.le(unsqueeze(b, starts, 0), unsqueeze(b, place, 1))
        bags = b.sub(b.reduce(b.cast(started, dtypes.i64), "sum", (1,)), 1)
        beyond = b.ge(bags, n)  # the end of the last bag was said, and these come after it
        bags = b.minimum(bags, n - 1)
    rows = b.embedding(weight, flat, padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq)
    rows = wide(b, rows)
    counts = b.full(True, dtypes.b1, flat.shape) if padding_idx is None else b.ne(flat, padding_idx)
    if include_last_offset and offsets is not None:
        counts = b.logical_and(counts, b.logical_not(beyond))
    if mode == "max":
        base = b.full(0, rows.dtype, (n, weight.shape[1]))
        low = b.full(float("-inf"), rows.dtype, base.shape)
        kept = where(b, unsqueeze(b, counts, 1), rows, float("-inf"))
        top = b.emit1("scatter", low, b.detach(kept), bags, axes=(0,), kind="max")
        return b.cast(_first_of_bag(b, rows, kept, top, bags, base), weight.dtype)
    if per_sample is not None:
        rows = b.mul(rows, unsqueeze(b, per_sample, 1))
    rows = masked(b, unsqueeze(b, counts, 1), rows)
    y = b.emit1(
        "scatter", b.full(0, rows.dtype, (n, weight.shape[1])), rows, bags, axes=(0,), kind="add"
    )
    if mode == "sum":
        return b.cast(y, weight.dtype)
    length = b.emit1(
        "scatter",
        b.full(0, rows.dtype, (n,)),
        b.cast(counts, rows.dtype),
        bags,
        axes=(0,),
        kind="add",
    )
    return b.cast(b.div(y, unsqueeze(b, b.maximum(length, 1), 1)), weight.dtype)


def _first_of_bag(
    b: Builder, rows: Value, kept: Value, top: Value, bags: Value, base: Value
) -> Value:
    """The maxima as the sum of their first occurrences, so that these carry the gradient."""
    total = rows.shape[0]
    place = b.reshape(b.emit1("iota", size=total, dtype=dtypes.i64), (total, 1))
    hit = b.eq(kept, b.emit1("gather", top, bags, axes=(0,)))
    at = where(b, hit, place, b.const(2**62, dtypes.i64))
    first = b.emit1(
        "scatter", b.full(2**62, dtypes.i64, base.shape), at, bags, axes=(0,), kind="min"
    )
    chosen = b.eq(place, b.emit1("gather", first, bags, axes=(0,)))
    return b.emit1("scatter", base, masked(b, chosen, rows), bags, axes=(0,), kind="add")
