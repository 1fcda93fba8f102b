"""Writing by index: scatters along a dimension, index_add and its relatives, slice replacements."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Value
from ..optable import composite
from .common import axis, flat, is_number, move, numel, same_shape, shape_text, spelled, take, where
from .index import check_index, position_indices
from .samples import each, of

_KINDS = {
    "add": "add",
    "sum": "add",
    "multiply": "mul",
    "prod": "mul",
    "amax": "max",
    "amin": "min",
}


def _prepare(
    b: Builder, x: Value, index: Value, src: Value, dim: int, name: str
) -> tuple[Value, Any, Value, int]:
    """x, i64 index and source of one rank >= 1, the source cropped to the index; and the axis."""
    ax = axis(x, dim)
    if index.dtype not in (dtypes.i64, dtypes.i32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    x = x if x.rank else b.reshape(x, (1,))
    index = index if index.rank else b.reshape(index, (1,))
    if is_number(src) or not src.rank and numel(index) != 1:
        src = b.broadcast_to(b.cast(src, x.dtype), index.shape)
    src = src if src.rank else b.reshape(src, (1,))
    if src.dtype is not x.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if numel(index) == 0:
        return x, None, src, ax
    if index.rank != x.rank or src.rank != x.rank:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as "
            f"{'self' if index.rank != x.rank else 'src'} tensor"
        )
    for i, n in enumerate(index.shape):
        if (i != ax and n != x.shape[i] and n > x.shape[i]) or (
            n != src.shape[i] and n > src.shape[i]
        ):
            raise RuntimeError(
                f"Expected index {shape_text(index.shape)} to be no larger than self "
                f"{shape_text(x.shape)} "
                f"apart from dimension {ax} and to be no larger size than src "
                f"{shape_text(src.shape)}"
            )
        src = take(b, src, i, 0, n)
    return x, b.cast(index, dtypes.i64), src, ax


def _scatter(b: Builder, x: Value, index: Any, src: Value, dim: int, kind: str, name: str) -> Value:
    row, index, src, ax = _prepare(b, x, index, src, dim, name)
    if index is None:
        return x
    given = position_indices(b, index, ax)
    y = b.emit1("scatter", row, src, *given, axes=tuple(range(row.rank)), kind=kind)
    return b.reshape(y, x.shape)


@composite(samples=of("f3x4", lambda: np.array([[0, 2], [1, 3], [3, 0]]), "f3x2", dim=1))
def scatter_along(b, x, index, src, *, dim, reduce=None):
    """torch.scatter: x with x[index[i][j]][j] = src[i][j] for dim 0 (or reduced into it)."""
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    return _scatter(b, x, index, src, dim, _KINDS[reduce] if reduce else "set", "scatter")


@composite(samples=of("f3x4", "i5x4<3", "f5x4", dim=0))
def scatter_add(b, x, index, src, *, dim):
    """x with every src[i][j] added at x[index[i][j]][j] (for dim 0)."""
    return _scatter(b, x, index, src, dim, "add", "scatter_add")


@composite(
    samples=each(
        of("f3x4", "i5x4<3", "f5x4", dim=0, reduce="mean"),
        of("h3x4", "i5x4<3", "h5x4", dim=0, reduce="prod"),
        of("f3x4", "i5x4<3", "f5x4", dim=0, reduce="amax", include_self=False),
    )
)
def scatter_reduce(b, x, index, src, *, dim, reduce, include_self=True):
    """x with the elements of src reduced into the places `index` names."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    row, at, src, ax = _prepare(b, x, index, src, dim, "scatter")
    if at is None:
        return x
    given = position_indices(b, at, ax)
    over = tuple(range(row.rank))
    return b.reshape(_reduce_into(b, row, src, given, over, reduce, include_self), x.shape)


def _neutral(dtype, reduce: str):
    """The number that a reduction starts from."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    high = reduce == "amin"
    if dtype.kind == "f":
        return float("inf") if high else float("-inf")
    if dtype.kind == "b":
        return high
    signed = dtype.kind == "i"
    if high:
        return 2 ** (dtype.bits - signed) - 1
    return -(2 ** (dtype.bits - 1)) if signed else 0


def _reduce_into(
    b: Builder, x: Value, src: Value, given, over, reduce: str, include_self: bool
) -> Value:
    ones = b.full(1, dtypes.i64, src.shape)
    hits = b.emit1("scatter", b.full(0, dtypes.i64, x.shape), ones, *given, axes=over, kind="add")
    start = x
    if not include_self:
        start = where(b, b.gt(hits, 0), b.const(_neutral(x.dtype, reduce), x.dtype), x)
    kind = "add" if reduce == "mean" else _KINDS[reduce]
    y = b.emit1("scatter", start, src, *given, axes=over, kind=kind)
    if reduce == "mean":
        n = b.maximum(b.add(hits, 1) if include_self else hits, 1)
        if x.dtype.kind in "fc":
            y = b.div(y, b.cast(n, x.dtype))
        else:
            y = b.floor_divide(y, b.cast(n, x.dtype))
    return y


# -- whole slices ---------------------------------------------------------------------------------
def _rest(x: Value, ax: int) -> tuple:
    """The shape without the dimension `ax`."""
    return (*x.shape[:ax], *x.shape[ax + 1 :])


def _check_copied(x: Value, src: Value, want: tuple, ax: int) -> None:
    if x.rank and src.rank and x.rank != src.rank:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must "
            f"match. Source dimensionality ({src.rank}), destination dimensionality ({x.rank})"
        )
    if x.rank and src.rank and not same_shape(_rest(src, ax), _rest(x, ax)):
        mine, theirs = (" ".join(map(str, _rest(v, ax))) for v in (x, src))
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {mine} at dimension {ax} and source slice shape: {theirs} at dimension "
            "0."
        )


def _slices(b: Builder, x: Value, index: Value, src: Value, dim: int, name: str):
    """x with `dim` in front, i64 index, source with `dim` in front, and the axis."""
    ax = axis(x, dim)
    if index.rank > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.rank} with type: "
            f"{spelled(index.dtype)} and size: {shape_text(index.shape)}"
        )
    check_index(index, name)
    if src.dtype is not x.dtype:
        raise RuntimeError(
            f"{name}(): self ({spelled(x.dtype)}) and source ({spelled(src.dtype)}) must have the "
            "same scalar type"
        )
    row = x if x.rank else b.reshape(x, (1,))
    index = b.cast(index if index.rank else b.reshape(index, (1,)), dtypes.i64)
    want = (*row.shape[:ax], index.shape[0], *row.shape[ax + 1 :])
    if name == "index_copy":
        _check_copied(x, src, want, ax)
    elif src.rank and x.rank and not same_shape(_rest(src, ax), _rest(row, ax)):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {shape_text(x.shape)} source.shape = {shape_text(src.shape)}"
        )
    if src.rank < row.rank:
        src = b.broadcast_to(b.reshape(src, (1,) * row.rank), want)
    if not same_shape(src.shape, want) and name != "index_copy":
        raise RuntimeError(
            f"{name}_(): Number of indices ({index.shape[0]}) should be equal to source.size(dim): "
            f"({src.shape[ax]}), for dim: {ax}"
        )
    if not same_shape(src.shape, want):
        raise RuntimeError(
            f"Source/destination tensor must have same slice shapes except at dimension {ax} "
            f"Destination slice shape: {' '.join(map(str, row.shape))} and source slice shape: "
            f"{' '.join(map(str, src.shape))}."
        )
    return move(b, row, ax, 0), index, move(b, src, ax, 0), ax


@composite(samples=of("f3x4", "i5<3", "f5x4", dim=0, alpha=2))
def index_add(b, x, index, source, *, dim, alpha=1):
    """x with alpha * source added to the slices that `index` names."""
    row, at, src, ax = _slices(b, x, index, source, dim, "index_add")
    if alpha != 1:
        src = b.mul(src, b.const(alpha, src.dtype))
    y = b.emit1("scatter", row, src, at, axes=(0,), kind="add")
    return b.reshape(move(b, y, 0, ax), x.shape)


@composite(samples=of("f4x3", lambda: np.array([2, 0]), "f2x3", dim=0))
def index_copy(b, x, index, source, *, dim):
    """x with the slices that `index` names replaced by those of source."""
    row, at, src, ax = _slices(b, x, index, source, dim, "index_copy")
    y = b.emit1("scatter", row, src, at, axes=(0,), kind="set")
    return b.reshape(move(b, y, 0, ax), x.shape)


@composite(samples=of("f3x4", "i5<3", "f5x4", dim=0, reduce="mean"))
def index_reduce(b, x, index, source, *, dim, reduce, include_self=True):
    """x with the slices of source reduced into those that `index` names."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    row, at, src, ax = _slices(b, x, index, source, dim, "index_reduce")
    y = _reduce_into(b, row, src, [at], (0,), reduce, include_self)
    return b.reshape(move(b, y, 0, ax), x.shape)


def _index_fill_vjp(b, op, g):
    """An index that occurs twice counts once for the value, as in PyTorch."""
    _, index, value = op.operands
    filled = b.apply(
        "index_fill", (b.full(False, dtypes.b1, g.shape), index, b.full(True, dtypes.b1, ())),
        {"dim": op.attrs["dim"]},
    )[0]  # fmt: skip
    to_x = where(b, filled, 0, g)
    if is_number(value) or value.dtype.kind not in "fc":
        return [to_x, None, None]
    total = b.reduce(where(b, filled, g, 0), "sum", tuple(range(g.rank)))
    return [to_x, None, b.cast(total, value.dtype)]


@composite(vjp=_index_fill_vjp, samples=of("f3x4", lambda: np.array([0, 2]), 2.5, dim=1))
def index_fill(b, x, index, value, *, dim):
    """x with the slices that `index` names filled with one value."""
    ax = axis(x, dim)
    if not is_number(value) and value.rank:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.rank} dimension(s)."
        )
    if index.rank > 1:
        raise IndexError("index_fill_(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.i64, dtypes.i32):
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    row = x if x.rank else b.reshape(x, (1,))
    at = b.cast(index if index.rank else b.reshape(index, (1,)), dtypes.i64)
    row = move(b, row, ax, 0)
    src = b.broadcast_to(b.cast(value, x.dtype), (at.shape[0], *row.shape[1:]))
    y = b.emit1("scatter", row, src, at, axes=(0,), kind="set")
    return b.reshape(move(b, y, 0, ax), x.shape)


@composite(samples=of("f3x4", "i2x2<12", "f2x2", accumulate=True))
def put(b, x, index, source, *, accumulate=False):
    """x with its flat elements at `index` set to (or increased by) those of source."""
    if index.dtype is not dtypes.i64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {spelled(index.dtype)}"
        )
    if source.dtype is not x.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{spelled(x.dtype)} "
            f"and source.dtype = {spelled(source.dtype)}"
        )
    if numel(source) != numel(index):
        raise RuntimeError(
            "put_(): Expected source and index to have the same number of elements, but got "
            "source.numel() = "
            f"{numel(source)}, index.numel() = {numel(index)}"
        )
    kind = "add" if accumulate else "set"
    y = b.emit1("scatter", flat(b, x), flat(b, source), flat(b, index), axes=(0,), kind=kind)
    return b.reshape(y, x.shape)


@composite(samples=of("f3x4", "b3x4", "f12"))
def masked_scatter(b, x, mask, source):
    """x with the elements where the mask holds replaced by those of source, in order."""
    from ..promote import broadcast_shapes

    if mask.dtype is not dtypes.b1:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{spelled(mask.dtype)}"
        )
    if source.dtype is not x.dtype:
        raise RuntimeError("masked_scatter: expected self and source to have same dtypes but got "
                           f"{spelled(x.dtype)} and {spelled(source.dtype)}")  # fmt: skip
    shape = broadcast_shapes(x.shape, mask.shape)
    x, mask = b.broadcast_to(x, shape), b.broadcast_to(mask, shape)
    if numel(x) == 0 or numel(source) == 0:
        return x
    rank = b.emit1("scan", b.cast(flat(b, mask), dtypes.i64), kind="sum", axis=0)
    at = where(b, flat(b, mask), b.sub(rank, 1), 0)
    picked = b.emit1("gather", flat(b, source), at, axes=(0,))
    return where(b, mask, b.reshape(picked, shape), x)


@composite(samples=of("i12<5", "f12", size=5))
def bincount(b, x, weights=None, *, size):
    """How often each value below `size` occurs (or the sum of its weights)."""
    if weights is None:
        values = b.full(1, dtypes.i64, x.shape)
    else:
        values = (
            weights if weights.dtype in (dtypes.f32, dtypes.f64) else b.cast(weights, dtypes.f64)
        )
    return b.emit1(
        "scatter",
        b.full(0, values.dtype, (size,)),
        values,
        b.cast(x, dtypes.i64),
        axes=(0,),
        kind="add",
    )
