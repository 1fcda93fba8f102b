"""Owns the look-up functions: embedding and embedding_bag."""

from __future__ import annotations

from typing import Any

import tracec
from tracec import ops
from tracec.record import apply


def _renormalise(weight: Any, indices: Any, max_norm: float, norm_type: float) -> None:
    """Scale down, in place, the rows looked up whose norm is too large."""
    with tracec.no_grad():
        rows = indices.reshape(-1).unique()
        found = weight.index_select(0, rows)
        norms = found.norm(norm_type, dim=1, keepdim=True)
        factor = tracec.where(norms > max_norm, max_norm / (norms + 1e-7), 1.0)
        weight.index_copy_(0, rows, (found * factor).to(weight.dtype))


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of the weight at the indices.

    `input` holds int64 or int32 numbers of any shape S, `weight` is (V, D): the result is (*S, D).
    Rows equal to `padding_idx` get no gradient; `max_norm` scales looked-up rows of the weight down
    in place. IndexError for numbers out of range, when the value is computed;
    `sparse` raises NotImplementedError.
    """
    if padding_idx is not None:
        if padding_idx > 0 and padding_idx >= weight.size(0):
            raise AssertionError("Padding_idx must be within num_embeddings")
        if padding_idx < 0:
            if padding_idx < -weight.size(0):
                raise AssertionError("Padding_idx must be within num_embeddings")
            padding_idx += weight.size(0)
    else:
        padding_idx = -1
    if sparse:
        raise NotImplementedError("embedding(sparse=True): sparse gradients")
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    return ops.embedding(input, weight, padding_idx, scale_grad_by_freq=scale_grad_by_freq)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Sums, means or maxima of bags of rows.

    Bags are the rows of a (B, N) `input`, or start at `offsets` of a 1-d one: the result is (B, D).
    `mode` is "mean", "sum" or "max"; `per_sample_weights` go with "sum" alone (NotImplementedError
    otherwise). ValueError for shapes that do not fit.
    """
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
            f"then it must have the same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
    elif input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if sparse:
        raise NotImplementedError("embedding_bag(sparse=True): sparse gradients")
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    operands = (weight, input, offsets, per_sample_weights)
    attrs = (
        ("mode", mode),
        ("has_offsets", offsets is not None),
        ("has_weights", per_sample_weights is not None),
        ("padding_idx", padding_idx),
        ("include_last_offset", include_last_offset),
        ("scale_grad_by_freq", scale_grad_by_freq),
    )
    return apply("embedding_bag", tuple(x for x in operands if x is not None), attrs)
