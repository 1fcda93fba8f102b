"""Pointwise primitives that are not arithmetic: select, cast, bitcast."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..optable import Pointwise, prim
from ..types import ScalarType, TensorType
from . import samples as s
from .rules import equal_shapes, equal_types, of_kind, tensor


# -- select ---------------------------------------------------------------------------------------
def _select_vjp(b, op, g):
    zero = b.zeros_like(g)
    cond = op.operands[0]
    return [None, b.select(cond, g, zero), b.select(cond, zero, g)]


def _select_samples():
    for d in (dtypes.f32, dtypes.f64, dtypes.bf16, dtypes.i64, dtypes.b1, dtypes.c128):
        yield (s.bools((3, 4)), s.values((3, 4), d), s.values((3, 4), d, 1)), {}
    yield (s.bools(()), s.values((), dtypes.f64), s.values((), dtypes.f64, 1)), {}
    f32 = TensorType(dtypes.f32, (2,))
    yield (f32, f32, f32), {}, RuntimeError, "must be bool"
    yield (TensorType(dtypes.b1, (3,)), f32, f32), {}, RuntimeError, "shapes differ"


@prim(numpy=np.where, vjp=_select_vjp, pointwise=Pointwise("none", "select", "?:"),
      kernel="pointwise", samples=_select_samples)  # fmt: skip
def select(cond, a, b):
    """a where cond is true, else b."""
    cond = of_kind("select", cond, "b", "condition")
    t = equal_types("select", a, b)
    equal_shapes("select", cond, t)
    return t


# -- cast -----------------------------------------------------------------------------------------
def _to_integer(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats to integers: narrow and unsigned types through i64, whose low bits remain."""
    return x.astype(dtype if dtype == np.int32 else np.int64).astype(dtype)


def _cast(x, *, dtype):
    target = dtype.numpy
    x = np.asarray(x)
    if x.dtype == target:
        return x
    if x.dtype.kind == "c" and dtype.kind != "c" and dtype.kind != "b":
        x = x.real
    if dtype.kind == "b":
        return x != 0
    if dtype.kind in "iu" and x.dtype.kind not in "iub":
        return _to_integer(x if x.dtype.kind == "f" else x.astype(np.float32), target)
    return x.astype(target)


def _cast_vjp(b, op, g):
    x = op.operands[0]
    if isinstance(x.type, ScalarType) or x.dtype.kind not in "fc":
        return [None]
    return [b.cast(g, x.dtype)]


def _cast_samples():
    for d in dtypes.ALL:
        yield (s.values((2, 3), dtypes.f32),), {"dtype": d}
        yield (s.integers((4,)),), {"dtype": d}
        yield (s.values((2, 3), d),), {"dtype": dtypes.f64}
        yield (s.values((), d),), {"dtype": dtypes.i64}
    yield (3,), {"dtype": dtypes.f32}
    yield (2.5,), {"dtype": dtypes.bf16}
    yield (True,), {"dtype": dtypes.i64}


@prim(numpy=_cast, vjp=_cast_vjp, pointwise=Pointwise("none", "cast", "cast"), kernel="pointwise",
      samples=_cast_samples)  # fmt: skip
def cast(x, *, dtype):
    """x in another element type; a Python number becomes a 0-d tensor."""
    return TensorType(dtype, () if isinstance(x, ScalarType) else x.shape)


def _bitcast_samples():
    for d, to in (("f32", "i32"), ("i32", "u32"), ("f64", "i64"), ("u32", "f32"), ("bf16", "i16")):
        yield (s.values((2, 3), dtypes.by_code(d)),), {"dtype": dtypes.by_code(to)}
    yield (TensorType(dtypes.f32, (2,)),), {"dtype": dtypes.f64}, RuntimeError, "width"


@prim(numpy=lambda x, *, dtype: np.ascontiguousarray(x).view(dtype.numpy).reshape(x.shape),
      nondiff=True, pointwise=Pointwise("none", "bitcast", "bitcast"), kernel="pointwise",
      samples=_bitcast_samples)  # fmt: skip
def bitcast(x, *, dtype):
    """The bits of x read as another element type of equal width."""
    x = tensor("bitcast", x)
    if x.dtype.bits != dtype.bits or "b" in (x.dtype.kind, dtype.kind):
        raise RuntimeError(
            f"bitcast: {x.dtype.code} and {dtype.code} differ in width or hold bools"
        )
    return x.with_dtype(dtype)


