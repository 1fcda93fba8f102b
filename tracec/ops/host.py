"""Functions whose result's size depends on data: they execute what is pending and ask NumPy."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from tracec_ir import dtypes

from ..creation import _of_array
from ..record import Flush, apply
from ..tensor import Tensor
from .arguments import all_given, apart, given
from .face import face


def values(x: Tensor) -> np.ndarray:
    """The elements of x as NumPy holds them (bfloat16 as float32)."""
    array = x.detach()._array(Flush.DATA)
    return array.astype(np.float32) if x.dtype is dtypes.bf16 else array


@face()
def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero, one a row (or a tensor per dimension).

    The size of the result depends on the data: what is pending is executed at once.
    """
    array = values(input)
    if as_tuple:
        return tuple(_of_array(i) for i in np.nonzero(np.atleast_1d(array)))
    places = np.argwhere(array) if array.ndim else np.zeros((int(bool(array)), 0), np.int64)
    return given(out, _of_array(places.astype(np.int64)))


@face()
def argwhere(input: Tensor) -> Tensor:
    """The positions of the elements that are not zero, one a row.

    The size of the result depends on the data: what is pending is executed at once.
    """
    return nonzero(input)


@face("torch method")
def nonzero_static(
    input: Tensor, *, size: int, fill_value: int = -1, out: Tensor | None = None
) -> Tensor:
    """nonzero cut or filled to a number of rows."""
    places = np.argwhere(values(input))[:size]
    rows = np.full((size, places.shape[1] if input.dim() else 0), fill_value, np.int64)
    rows[: len(places)] = places
    return given(out, _of_array(rows))


@face()
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where the mask holds, in one row.

    The size of the result depends on the data: what is pending is executed at once.
    """
    apart(out, input, mask)
    from tracec_ir.promote import broadcast_shapes

    if mask.dtype is not dtypes.b1:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    places = _of_array(np.flatnonzero(np.broadcast_to(values(mask), shape)).astype(np.int64))
    return given(out, apply("take", (input.expand(shape), places)))


@face()
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each non-negative integer occurs.

    Executes what is pending. RuntimeError for ranges or bins that cannot be.
    """
    if input.dim() != 1 or input.dtype.kind not in "iu":
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    array = values(input)
    if array.size and array.min() < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and tuple(weights.shape) != tuple(input.shape):
        raise RuntimeError("weights should be 1-d and have the same length as input")
    n = max(int(array.max()) + 1 if array.size else 0, minlength)
    return apply("bincount", (input,) if weights is None else (input, weights), (("size", n),))


@face()
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or slices along `dim`), where each is, and how often.

    The size of the result depends on the data: what is pending is executed at once.
    """
    array = values(input)
    out, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=dim)
    inverse = inverse.reshape(array.shape if dim is None else -1)
    return _unique_results(input, out, inverse, counts, return_inverse, return_counts)


def _unique_results(
    input: Tensor, out, inverse, counts, return_inverse: bool, return_counts: bool
) -> Any:
    result = [_of_array(out.astype(input.dtype.numpy))]
    if return_inverse:
        result.append(_of_array(inverse.astype(np.int64)))
    if return_counts:
        result.append(_of_array(counts.astype(np.int64)))
    return result[0] if len(result) == 1 else tuple(result)


@face()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along `dim`) without repetitions of the one before.

    The size of the result depends on the data: what is pending is executed at once.
    """
    array = values(input)
    rows = array.reshape(-1) if dim is None else np.moveaxis(array, dim, 0)
    n = len(rows)
    if n == 0:
        fresh = np.zeros(0, bool)
    else:
        changed = (rows[1:] != rows[:-1]).reshape(n - 1, math.prod(rows.shape[1:])).any(1)
        fresh = np.concatenate([[True], changed])
    kept = np.flatnonzero(fresh)
    out = rows[kept] if dim is None else np.moveaxis(rows[kept], 0, dim)
    inverse = np.cumsum(fresh) - 1
    counts = np.diff(np.append(kept, n))
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return _unique_results(input, out, inverse, counts, return_inverse, return_counts)


@face()
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Every element (or slice along `dim`) repeated, a number of times for all or for each."""
    if repeats is None:  # repeat_interleave(repeats)
        counts = values(input)
        return _of_array(np.repeat(np.arange(len(counts)), counts).astype(np.int64))
    if dim is None:
        input, dim = input.reshape(-1), 0
    if isinstance(repeats, Tensor) and repeats.numel() == 1:
        repeats = int(repeats.item())
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        return apply("repeat_each", (input,), (("repeats", repeats), ("dim", dim)))
    counts = values(repeats)
    if counts.ndim > 1 or len(counts) != input.shape[dim]:
        raise RuntimeError("repeats must have the same size as input along dim")
    places = _of_array(np.repeat(np.arange(len(counts)), counts).astype(np.int64))
    return apply("index_select", (input, places), (("dim", dim),))


def _edges(array: np.ndarray, bins: int, low: float, high: float) -> np.ndarray:
    if low == 0 and high == 0 and array.size:
        low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, bins + 1)


@face()
def histc(
    input: Tensor, bins: int = 100, min: float = 0, max: float = 0, *, out: Tensor | None = None
) -> Tensor:
    """How many elements fall into each of equally wide bins.

    Executes what is pending. RuntimeError for ranges or bins that cannot be.
    """
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    array = values(input).reshape(-1)
    low, high = float(min), float(max)
    if low > high:
        raise RuntimeError("max must be larger than min")
    low, *_, high = _edges(array, bins, low, high)
    inside = array[(array >= low) & (array <= high)]
    place = np.minimum((inside.astype(np.float64) - low) * bins / (high - low), bins - 1).astype(
        int
    )
    return given(out, _of_array(np.bincount(place, minlength=bins).astype(input.dtype.numpy)))


@face()
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """How many elements fall into each bin, and the edges of the bins.

    Executes what is pending. RuntimeError for ranges or bins that cannot be.
    """
    from . import returns

    array = values(input).reshape(-1).astype(np.float64)
    w = None if weight is None else values(weight).reshape(-1).astype(np.float64)
    if isinstance(bins, Tensor):
        edges = values(bins).astype(np.float64)
    else:
        low, high = (0.0, 0.0) if range is None else map(float, range)
        if range is None and not array.size:
            low, high = 0.0, 1.0
        edges = _edges(array, bins, low, high)
    counts, _ = np.histogram(array, edges.astype(input.dtype.numpy), weights=w, density=density)
    kind = input.dtype.numpy
    made = (_of_array(counts.astype(kind)), _of_array(edges.astype(kind)))
    return all_given(out, returns.histogram(*made))


@face("torch")
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All combinations of r elements, one a row."""
    from itertools import combinations as plain
    from itertools import combinations_with_replacement as repeated

    if input.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError("Expect a non-negative number, but got " + str(r))
    if r == 0:
        return _of_array(np.zeros((0,), input.dtype.numpy))
    rows = list((repeated if with_replacement else plain)(range(input.shape[0]), r))
    places = _of_array(np.array(rows, np.int64).reshape(len(rows), r))
    return apply("take", (input, places))


def _cells(rows: np.ndarray, edges: list[np.ndarray], weights: np.ndarray | None) -> np.ndarray:
    """The (weighted) numbers of rows in the cells; the last edge of a dimension belongs to it."""
    shape = tuple(len(e) - 1 for e in edges)
    inside = np.ones(len(rows), bool)
    places = []
    for x, e in zip(rows.T, edges, strict=True):
        inside &= (x >= e[0]) & (x <= e[-1])
        places.append(np.clip(_first_above(e, x) - 1, 0, len(e) - 2))
    flat = np.ravel_multi_index([p[inside] for p in places], shape)
    w = None if weights is None else weights[inside]
    return np.bincount(flat, w, int(np.prod(shape))).reshape(shape).astype(np.float64)


def _first_above(edges: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The first position whose edge is larger than x by bisection, as PyTorch does it also where
    edges are not sorted."""
    first, count = np.zeros(len(x), np.int64), np.full(len(x), len(edges))
    while count.any():
        half = count // 2
        middle = np.minimum(first + half, len(edges) - 1)
        right = (count > 0) & ~(x < edges[middle])
        first = np.where(right, middle + 1, first)
        count = np.where(right, count - half - 1, half)
    return first


@face("torch")
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Any = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many rows of `input` (... x D) fall into each cell of a grid in D dimensions, and the
    edges of the cells.

    `bins` is a number, a number per dimension, or rows of edges; `range` gives the lowest and
    highest edge of each dimension in turn, the extremes of the data unless given. `weight` (...)
    counts rows; with `density` the counts are divided by their sum and the cells' volumes.
    Raises RuntimeError where the number of bins or of range limits does not fit D.
    """
    from . import returns

    if input.dim() < 2:
        raise RuntimeError("torch.histogramdd: input tensor should have at least 2 dimensions")
    d = input.shape[-1]
    rows = values(input).reshape(-1, d).astype(np.float64)
    w = None if weight is None else values(weight).reshape(-1).astype(np.float64)
    each = [bins] * d if isinstance(bins, int) else list(bins)
    if len(each) != d:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    if range is not None and len(range) != 2 * d:
        raise RuntimeError(
            f"torch.histogramdd: for a {d}-dimensional histogram range should have {2 * d} "
            f"elements, but got {len(range)}"
        )
    kind = input.dtype.numpy
    edges = []
    for i, b in enumerate(each):
        if isinstance(b, Tensor):
            edges.append(values(b).astype(np.float64))
            continue
        low, high = (0.0, 0.0) if range is None else map(float, range[2 * i : 2 * i + 2])
        if range is None and not len(rows):
            low, high = 0.0, 1.0
        edges.append(_edges(rows[:, i], b, low, high))
    exact = [e.astype(kind).astype(np.float64) for e in edges]
    counts = _cells(rows, exact, w)
    if density:
        counts = counts / counts.sum()
        for i, e in enumerate(exact):
            counts /= np.diff(e).reshape([-1 if k == i else 1 for k in builtins.range(d)])
    made = [_of_array(e.astype(kind)) for e in edges]
    return returns.histogramdd(_of_array(counts.astype(kind)), tuple(made))
