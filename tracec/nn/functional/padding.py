"""Owns ``pad``: constant, reflected, replicated and circular, from slices and concatenation."""

from __future__ import annotations

from typing import Any

import tracec
from tracec import ops


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Grow (or, where negative, crop) the last dimensions; ``pad`` lists the last one first.

    `mode` is "constant" (with `value`), "reflect" (border not repeated), "replicate" or "circular".
    RuntimeError for an odd number of pads or pads that the mode cannot have, NotImplementedError
    for ranks that it is not defined for.
    """
    sides = list(pad)
    if len(sides) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(sides) > 2 * input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(sides)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return ops.constant_pad_nd(input, sides, 0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _EDGES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if len(sides) // 2 not in (input.dim() - 1, input.dim() - 2) or len(sides) > 6:
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    result = input
    for position in range(len(sides) // 2):
        low, high = sides[2 * position], sides[2 * position + 1]
        result = _pad_dim(result, input.dim() - 1 - position, low, high, mode)
    return result


def _pad_dim(x: Any, dim: int, low: int, high: int, mode: str) -> Any:
    size = x.size(dim)
    grow_low, grow_high = max(low, 0), max(high, 0)
    if mode == "reflect" and (grow_low >= size or grow_high >= size):
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, "
            f"but got: padding ({low}, {high}) at dimension {dim} of input {list(x.shape)}"
        )
    if mode == "circular" and (grow_low > size or grow_high > size):
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if mode == "circular":  # what is cropped is not wrapped around
        x = _cropped(x, dim, low, high)
    if grow_low or grow_high:
        before, after = _EDGES[mode](x, dim, grow_low, grow_high)
        parts = [before] * bool(grow_low) + [x] + [after] * bool(grow_high)
        x = tracec.cat(parts, dim)
    return x if mode == "circular" else _cropped(x, dim, low, high)


def _cropped(x: Any, dim: int, low: int, high: int) -> Any:
    """x without as many elements as negative padding takes away."""
    if low >= 0 and high >= 0:
        return x
    start = max(-low, 0)
    return x.narrow(dim, start, x.size(dim) - start - max(-high, 0))


def _reflect(x: Any, dim: int, low: int, high: int) -> tuple[Any, Any]:
    size = x.size(dim)
    before = x.narrow(dim, 1, low).flip(dim) if low else None
    after = x.narrow(dim, size - 1 - high, high).flip(dim) if high else None
    return before, after


def _replicate(x: Any, dim: int, low: int, high: int) -> tuple[Any, Any]:
    def repeated(position: int, count: int) -> Any:
        shape = list(x.shape)
        shape[dim] = count
        return x.narrow(dim, position, 1).expand(shape)

    return repeated(0, low), repeated(x.size(dim) - 1, high)


def _circular(x: Any, dim: int, low: int, high: int) -> tuple[Any, Any]:
    return x.narrow(dim, x.size(dim) - low, low), x.narrow(dim, 0, high)


_EDGES = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}
