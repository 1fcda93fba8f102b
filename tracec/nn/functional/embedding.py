"""Owns the look-up functions: embedding and embedding_bag."""

from __future__ import annotations

from typing import Any

import tracec
from tracec import ops


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
    """The rows of the weight at the indices."""
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
    """Sums, means or maxima of bags of rows."""
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if sparse:
        raise NotImplementedError("embedding_bag(sparse=True): sparse gradients")
    if per_sample_weights is not None:
        if per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
                f"then it must have the same shape as the input ({input.shape})"
            )
        if mode != "sum":
            raise NotImplementedError(
                "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
                f"supported for mode='sum' (got mode='{mode}'). Please open a feature request on "
                "GitHub."
            )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        bags, length = input.shape
        bag_of = tracec.arange(bags, device=input.device).repeat_interleave(length)
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        bags = offsets.size(0) - int(include_last_offset)
        starts = offsets[:bags]
        positions = tracec.arange(input.size(0), device=input.device)
        bag_of = (positions.unsqueeze(1) >= starts.unsqueeze(0)).sum(1) - 1
    else:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    rows = embedding(input, weight, padding_idx, scale_grad_by_freq=scale_grad_by_freq)
    return _reduce_bags(rows, input, bag_of, bags, mode, per_sample_weights, padding_idx)


def _reduce_bags(
    rows: Any, input: Any, bag_of: Any, bags: int, mode: str, weights: Any, padding_idx: int | None
) -> Any:
    counted = tracec.ones_like(input, dtype=rows.dtype)
    if padding_idx is not None:
        counted = (input != padding_idx).to(rows.dtype)
    index = bag_of.unsqueeze(1).expand_as(rows)
    if mode == "max":
        kept = rows
        if padding_idx is not None:
            kept = rows.masked_fill((counted == 0).unsqueeze(1), float("-inf"))
        empty = tracec.full((bags, rows.size(1)), float("-inf"), dtype=rows.dtype)
        result = empty.scatter_reduce(0, index, kept, "amax", include_self=False)
        return result.masked_fill(result == float("-inf"), 0.0)
    rows = rows * counted.unsqueeze(1)
    if weights is not None:
        rows = rows * weights.unsqueeze(1)
    total = tracec.zeros((bags, rows.size(1)), dtype=rows.dtype).scatter_add(0, index, rows)
    if mode == "sum":
        return total
    sizes = tracec.zeros(bags, dtype=rows.dtype).scatter_add(0, bag_of, counted)
    return total / sizes.clamp(min=1).unsqueeze(1)
