"""Discrete Fourier transforms as host functions: complex to complex, real to half, half to real.

y[k] = scale * sum over n of x[n] * exp(-2 pi i k n / N) (forward; backward: the other sign), along
each axis; `scale` is 1, 1 / sqrt(N) or 1 / N for the modes "none", "ortho" and "full". Derivatives
are the transposed maps, see `complex`: the transform is symmetric, so its transpose is itself.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..types import TensorType
from . import samples as s
from .host import host_function

# NumPy's names for a mode, by direction: its inverse transforms divide by N unless told otherwise.
_NORMS: dict[bool, dict[str, Literal["backward", "ortho", "forward"]]] = {
    True: {"none": "backward", "ortho": "ortho", "full": "forward"},
    False: {"none": "forward", "ortho": "ortho", "full": "backward"},
}


def _next_axis(axis: int, *options) -> tuple:
    """The options of a transform along `axis` when a leading axis is added."""
    return (axis + 1, *options)


def _fft(b: Builder, kind: str, x: Value, *options) -> Value:
    return b.emit("host", (x,), {"fn": "fft_" + kind, "options": options})[0]


# -- complex to complex ---------------------------------------------------------------------------
def _c2c_vjp(b: Builder, op: Op, g: Value):
    return [_fft(b, "c2c", g, *op.attrs["options"])]


def _c2c_samples():
    yield (s.uniform((3, 4), -2, 2, dtypes.c128),), ((1,), True, "none")
    yield (s.uniform((3, 4), -2, 2, dtypes.c64),), ((0, 1), False, "ortho")
    yield (s.uniform((5,), -2, 2, dtypes.c128),), ((0,), False, "full")


@host_function("fft_c2c", lambda x, axes, forward, mode: x, _c2c_vjp, _c2c_samples,
               batch=lambda axes, *rest: (tuple(a + 1 for a in axes), *rest))  # fmt: skip
def fft_c2c(x: np.ndarray, axes: tuple[int, ...], forward: bool, mode: str) -> np.ndarray:
    """The transform over some axes."""
    if not x.size:
        return x.copy()
    transform = np.fft.fftn if forward else np.fft.ifftn
    return transform(x, axes=axes, norm=_NORMS[forward][mode]).astype(x.dtype, copy=False)


# -- real to half ---------------------------------------------------------------------------------
def _r2c_type(x: TensorType, axis: int, forward: bool, mode: str) -> TensorType:
    shape = list(x.shape)
    shape[axis] = dims.floordiv(shape[axis], 2) + 1
    return TensorType(x.dtype.to_complex(), tuple(shape))


def _r2c_vjp(b: Builder, op: Op, g: Value):
    (x,) = op.operands
    axis = op.attrs["options"][0]
    missing = [0] * x.rank
    missing[axis] = x.shape[axis] - g.shape[axis]
    low = (0,) * x.rank
    attrs = {"low": low, "high": tuple(missing), "interior": low}
    whole = b.emit("pad", (g, b.const(0, g.dtype)), attrs)[0]
    _, forward, mode = op.attrs["options"]
    return [b.real(_fft(b, "c2c", whole, (axis,), forward, mode))]


def _r2c_samples():
    yield (s.uniform((3, 4)),), (1, True, "none")
    yield (s.uniform((5, 2)),), (0, False, "full")
    yield (s.uniform((6,), dtype=dtypes.f32),), (0, True, "ortho")


@host_function("fft_r2c", _r2c_type, _r2c_vjp, _r2c_samples, batch=_next_axis)
def fft_r2c(x: np.ndarray, axis: int, forward: bool, mode: str) -> np.ndarray:
    """The first N // 2 + 1 numbers of the transform of real numbers; the others are conjugates."""
    y = np.fft.rfft(x, axis=axis, norm=_NORMS[True][mode])
    y = y.astype(np.result_type(x.dtype, np.complex64), copy=False)
    return y if forward else np.conj(y)


# -- half to real ---------------------------------------------------------------------------------
def _c2r_type(x: TensorType, axis: int, n, forward: bool, mode: str) -> TensorType:
    shape = list(x.shape)
    shape[axis] = n
    return TensorType(x.dtype.to_real(), tuple(shape))


def _c2r_vjp(b: Builder, op: Op, g: Value):
    """Every number but the first and, of an even size, the last stands for its conjugate too."""
    axis, n, forward, mode = op.attrs["options"]
    y = _fft(b, "r2c", g, axis, forward, mode)
    half = y.shape[axis]
    at = b.emit("iota", (), {"size": half, "dtype": dtypes.i64})[0]
    single = b.logical_or(b.eq(at, 0), b.eq(b.mul(at, 2), _operand(b, n)))
    one, two = (b.full(w, y.dtype.to_real(), (half,)) for w in (1.0, 2.0))
    weight = b.emit("select", (single, one, two))[0]
    shape = [1] * y.rank
    shape[axis] = half
    weight = b.cast(b.broadcast_to(b.reshape(weight, shape), y.shape), y.dtype)
    given = op.operands[0].shape[axis]
    y = b.mul(y, weight)
    if given == half:
        return [y]
    low, rest = [0] * y.rank, [0] * y.rank
    rest[axis] = given - half
    attrs = {"low": tuple(low), "high": tuple(rest), "interior": tuple(low)}
    return [b.emit("pad", (y, b.const(0, y.dtype)), attrs)[0]]


def _operand(b: Builder, n):
    if isinstance(n, int):
        return n
    return b.emit("element_count", (), {"size": n, "dtype": dtypes.i64})[0]


def _c2r_samples():
    yield (s.uniform((3, 3), -2, 2, dtypes.c128),), (1, 4, False, "full")
    yield (s.uniform((3, 2), -2, 2, dtypes.c128),), (0, 5, True, "none")
    yield (s.uniform((4,), -2, 2, dtypes.c64),), (0, 6, False, "ortho")


@host_function("fft_c2r", _c2r_type, _c2r_vjp, _c2r_samples, batch=_next_axis)
def fft_c2r(x: np.ndarray, axis: int, n: int, forward: bool, mode: str) -> np.ndarray:
    """The n real numbers whose transform has the conjugate symmetry that x is the half of."""
    z = np.conj(x) if forward else x
    return np.fft.irfft(z, n, axis=axis, norm=_NORMS[False][mode]).astype(x.real.dtype, copy=False)
