"""What the type rules of primitives share: checks on operand types, and the errors they raise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..dims import same
from ..types import TensorType, Type

_KIND_NAMES = {
    "b": "bool",
    "u": "unsigned integer",
    "i": "integer",
    "f": "floating-point",
    "c": "complex",
}


def tensor(op: str, t: Type, operand: str = "operand") -> TensorType:
    """`t` itself; TypeError if it is not a tensor type."""
    if not isinstance(t, TensorType):
        raise TypeError(f"{op}: {operand} must be a tensor, got the scalar type {t}")
    return t


def of_kind(op: str, t: Type, kinds: str, operand: str = "operand") -> TensorType:
    """`t` itself; RuntimeError if its dtype is of none of these kinds."""
    t = tensor(op, t, operand)
    if t.dtype.kind not in kinds:
        wanted = " or ".join(_KIND_NAMES[k] for k in kinds)
        raise RuntimeError(f"{op}: {operand} must be {wanted}, got {t}")
    return t


def equal_shapes(op: str, a: TensorType, b: TensorType) -> None:
    """RuntimeError unless both have one shape."""
    if len(a.shape) != len(b.shape) or not all(map(same, a.shape, b.shape)):
        raise RuntimeError(f"{op}: operand shapes differ: {a} and {b}")


def equal_types(op: str, a: Type, b: Type, kinds: str = "buifc") -> TensorType:
    """The type of the first; RuntimeError unless both have one dtype and one shape."""
    a, b = of_kind(op, a, kinds, "operand 0"), of_kind(op, b, kinds, "operand 1")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{op}: operand dtypes differ: {a} and {b}")
    equal_shapes(op, a, b)
    return a


def integer_scalar(op: str, t: Type, operand: str) -> None:
    """RuntimeError unless t is an i64, as a Python number or a 0-d tensor."""
    if t.dtype.code != "i64" or (isinstance(t, TensorType) and t.shape):
        raise RuntimeError(f"{op}: {operand} must be an i64 scalar, got {t}")


def axis_in(op: str, axis: int, rank: int) -> None:
    """IndexError, with PyTorch's wording, if there is no such axis; primitives count from the
    front, so a negative axis is an error of whoever emitted the op."""
    low, high = (-rank, rank - 1) if rank else (-1, 0)
    if not low <= axis <= high:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{low}, {high}], but got {axis})"
        )
    if axis < 0:
        raise IndexError(f"{op}: an axis of a primitive counts from the front, got {axis}")


def is_half(dtype: np.dtype) -> bool:
    """Whether this is one of the two 16-bit floating types."""
    return dtype.itemsize == 2 and dtype.kind not in "iu"


def in_double(fn: Callable, x: np.ndarray, axis) -> np.ndarray:
    """`fn`, a sum or product of many elements, of floating x in double precision and rounded once:
    NumPy adds up columns one after the other, and every step's rounding would remain."""
    work = {"f": np.float64, "c": np.complex128}.get(x.dtype.kind, x.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return fn(x, axis=axis, dtype=work).astype(x.dtype, copy=False)


def in_f32(fn: Callable) -> Callable:
    """`fn` computing 16-bit floating operands in f32 and rounding its floating results once.

    `.exact` is `fn` itself, for callers that know no operand is a 16-bit float.
    """

    def wide(*arrays, **attrs):
        half = next((x.dtype for x in arrays if is_half(np.asarray(x).dtype)), None)
        if half is None:
            return fn(*arrays, **attrs)
        out = fn(*(x.astype(np.float32) if is_half(x.dtype) else x for x in arrays), **attrs)
        if isinstance(out, tuple):
            return tuple(y.astype(half) if y.dtype == np.float32 else y for y in out)
        return out.astype(half) if out.dtype == np.float32 else out

    wide.exact = fn  # type: ignore[attr-defined]
    wide.__doc__ = fn.__doc__
    return wide
