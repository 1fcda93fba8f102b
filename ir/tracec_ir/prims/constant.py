"""Primitives without operands: constants and counting."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..dims import decide
from ..optable import prim
from ..types import ScalarType, TensorType


def _const(*, value, type):
    if isinstance(type, ScalarType):
        return value
    return np.full(type.shape, value, type.dtype.numpy)


def _const_samples():
    for d, value in ((dtypes.f32, 1.5), (dtypes.i64, -3), (dtypes.b1, True), (dtypes.bf16, 0.1)):
        yield (), {"value": value, "type": TensorType(d)}
    yield (), {"value": 2.5, "type": TensorType(dtypes.f64, (2, 3))}
    yield (), {"value": float("nan"), "type": TensorType(dtypes.f32)}
    yield (), {"value": 2.5, "type": ScalarType(dtypes.f64)}
    yield (), {"value": "x", "type": TensorType(dtypes.f32)}, TypeError, "number"


@prim(numpy=_const, nondiff=True, kernel="constant", samples=_const_samples)
def const(*, value, type):
    """A number as a Python scalar or as a tensor filled with it."""
    if not isinstance(value, (bool, int, float, complex)):
        raise TypeError(f"const: the value must be a number, got {value!r}")
    return type


def _iota_samples():
    for size in (0, 1, 5):
        yield (), {"size": size, "dtype": dtypes.i64}
    yield (), {"size": 4, "dtype": dtypes.f32}
    yield (), {"size": -1, "dtype": dtypes.i64}, RuntimeError, "negative"


@prim(numpy=lambda *, size, dtype: np.arange(size).astype(dtype.numpy), nondiff=True,
      kernel="pointwise", samples=_iota_samples)  # fmt: skip
def iota(*, size, dtype):
    """0, 1, ..., size - 1."""
    if decide("<", size, 0):
        raise RuntimeError(f"iota: the size must not be negative, got {size}")
    return TensorType(dtype, (size,))
