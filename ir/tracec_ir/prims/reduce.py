"""Reductions over axes, and the position of the best element."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..optable import prim
from ..types import TensorType
from . import samples as s
from .rules import axis_in, in_double, in_f32, of_kind

_KINDS = ("sum", "prod", "max", "min", "any", "all")


def _reduce(x, *, kind, axes):
    if kind == "sum":
        return in_double(np.sum, x, axes)
    if kind == "prod":
        return in_double(np.prod, x, axes)
    if kind == "max":
        return np.max(x, axis=axes)
    if kind == "min":
        return np.min(x, axis=axes)
    return np.any(x, axis=axes) if kind == "any" else np.all(x, axis=axes)


def restore(b, y, x, axes):
    """y, x reduced over `axes`, repeated to the shape of x."""
    return b.broadcast_to(
        b.reshape(y, [1 if i in axes else n for i, n in enumerate(x.shape)]), x.shape
    )


def _reduce_vjp(b, op, g):
    x, y = op.operands[0], op.results[0]
    kind, axes = op.attrs["kind"], op.attrs["axes"]
    if kind in ("any", "all"):
        return [None]
    full = restore(b, g, x, axes)
    if kind == "sum":
        return [full]
    if kind == "prod":
        return [b.mul(full, b.emit1("products_of_others", x, axes=axes))]
    best = b.cast(b.eq(x, restore(b, y, x, axes)), x.dtype)  # ties share evenly
    share = b.div(g, b.reduce(best, "sum", axes))
    return [b.mul(best, restore(b, share, x, axes))]


def _reduce_samples():
    for kind in ("sum", "prod", "max", "min"):
        yield (s.uniform((3, 4)),), {"kind": kind, "axes": (1,)}
        yield (s.uniform((2, 3, 4)),), {"kind": kind, "axes": (0, 2)}
        yield (s.uniform((3, 4), dtype=dtypes.f32),), {"kind": kind, "axes": (0, 1)}
        yield (s.uniform((3, 4), dtype=dtypes.bf16),), {"kind": kind, "axes": (0,)}
        yield (s.integers((3, 4), dtype=dtypes.i32),), {"kind": kind, "axes": (0,)}
        yield (np.array([[1.0, np.nan], [2.0, 3.0]]),), {"kind": kind, "axes": (1,)}
    for kind in ("sum", "prod"):
        yield (s.uniform((0, 3)),), {"kind": kind, "axes": (0,)}
        yield (s.uniform((2, 3), dtype=dtypes.c128),), {"kind": kind, "axes": (0,)}
    yield (
        (np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 2.0], [1.0, 2.0, 3.0]]),),
        {"kind": "prod", "axes": (1,)},
    )
    for kind in ("any", "all"):
        yield (s.bools((3, 4)),), {"kind": kind, "axes": (1,)}
        yield (s.bools((0, 4)),), {"kind": kind, "axes": (0,)}
    empty = TensorType(dtypes.f32, (0, 3))
    yield (empty,), {"kind": "max", "axes": (0,)}, IndexError, "Expected reduction dim 0"
    yield (empty,), {"kind": "sum", "axes": (2,)}, IndexError, "Dimension out of range"
    yield (empty,), {"kind": "sum", "axes": (0, 0)}, RuntimeError, "appears multiple times"
    yield (empty,), {"kind": "any", "axes": (0,)}, RuntimeError, "must be bool"
    yield (empty,), {"kind": "mean", "axes": (0,)}, ValueError, "kind"


def refuse_empty(op: str, x: TensorType, axes) -> None:
    for axis in axes:
        if x.shape[axis] == 0:
            raise IndexError(f"{op}(): Expected reduction dim {axis} to have non-zero size.")


@prim(numpy=in_f32(_reduce), vjp=_reduce_vjp, kernel="reduce", samples=_reduce_samples)
def reduce(x, *, kind, axes):
    """x combined over `axes`, which vanish; 16-bit floats accumulate in f32, NaN wins extrema."""
    if kind not in _KINDS:
        raise ValueError(f"reduce: the kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    boolean = kind in ("any", "all")
    kinds = "b" if boolean else "buif" if kind in ("max", "min") else "buifc"
    x = of_kind("reduce", x, kinds)
    for i, axis in enumerate(axes):
        axis_in("reduce", axis, x.rank)
        if axis in axes[:i]:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    if kind in ("max", "min"):
        refuse_empty("a" + kind, x, axes)
    return x.with_shape(n for i, n in enumerate(x.shape) if i not in axes)


# -- argreduce ------------------------------------------------------------------------------------
def _argreduce(x, *, kind, axis):
    return np.asarray((np.argmax if kind == "max" else np.argmin)(x, axis=axis)).astype(np.int64)


def _argreduce_samples():
    for kind in ("max", "min"):
        yield (s.uniform((3, 4)),), {"kind": kind, "axis": 1}
        yield (s.integers((5, 4), -2, 2),), {"kind": kind, "axis": 0}
        yield (np.array([1.0, np.nan, 5.0, np.nan]),), {"kind": kind, "axis": 0}
        yield (s.uniform((3, 4), dtype=dtypes.bf16),), {"kind": kind, "axis": 0}
    empty = TensorType(dtypes.f32, (0, 3))
    yield (empty,), {"kind": "max", "axis": 0}, IndexError, "Expected reduction dim 0"
    yield (empty,), {"kind": "max", "axis": 2}, IndexError, "Dimension out of range"


@prim(numpy=in_f32(_argreduce), nondiff=True, kernel="argreduce", samples=_argreduce_samples)
def argreduce(x, *, kind, axis):
    """The position of the largest or smallest element along an axis: the first one, NaN wins."""
    x = of_kind("argreduce", x, "buif")
    if kind not in ("max", "min"):
        raise ValueError(f"argreduce: the kind must be max or min, got {kind!r}")
    axis_in("argreduce", axis, x.rank)
    refuse_empty("arg" + kind, x, (axis,))
    return TensorType(dtypes.i64, tuple(n for i, n in enumerate(x.shape) if i != axis))
