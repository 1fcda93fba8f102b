"""The regularised incomplete gamma functions, and the parts of floating numbers, on the host."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..types import TensorType
from . import samples as s
from . import special
from .host import host_function, leading

_MOST = 5000  # terms


def _series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The sum over n of x^n / ((a + 1) ... (a + n)): P(a, x) is that times x^a exp(-x) / a!."""
    term = total = np.ones_like(a)
    for n in range(1, _MOST):
        term = term * (x / (a + n))
        total = total + term
        if not np.any(term > total * 1e-17):
            break
    return total


def _fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Legendre's continued fraction by Lentz's method, Q(a, x) gamma(a) exp(x) / x^a."""
    tiny = 1e-300
    b = x + 1 - a
    c = np.full_like(x, 1 / tiny)
    d = 1 / np.where(b == 0, tiny, b)
    h = d
    for n in range(1, _MOST):
        an = -n * (n - a)
        b = b + 2
        d = an * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + an / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        step = c * d
        h = h * step
        if not np.any(np.abs(step - 1) > 1e-16):
            break
    return h


def _incomplete(a: np.ndarray, x: np.ndarray, upper: bool) -> np.ndarray:
    out_type = np.result_type(a.dtype, np.float32) if a.dtype.itemsize > 2 else a.dtype
    a, x = np.asarray(a, np.float64), np.asarray(x, np.float64)
    lower = np.full(a.shape, np.nan)
    with np.errstate(all="ignore"):
        valid = (a >= 0) & (x >= 0) & ~((a == 0) & (x == 0))
        edge_one = valid & ((a == 0) | (np.isinf(x) & np.isfinite(a)))
        edge_zero = valid & ~edge_one & ((x == 0) | (np.isinf(a) & np.isfinite(x)))
        inside = valid & ~edge_one & ~edge_zero & np.isfinite(a) & np.isfinite(x)
        lower[edge_one], lower[edge_zero] = 1.0, 0.0
        out = np.asarray(1 - lower if upper else lower)
        ai, xi = a[inside], x[inside]
        factor = np.exp(ai * np.log(xi) - xi - special.lgamma(ai))
        small = xi < ai + 1
        p = np.empty_like(ai)
        p[small] = _series(ai[small], xi[small]) * factor[small] / ai[small]
        q = np.empty_like(ai)
        q[~small] = _fraction(ai[~small], xi[~small]) * factor[~small]
        out[inside] = np.where(small, 1 - p, q) if upper else np.where(small, p, 1 - q)
    return out.astype(out_type)


def _density(b: Builder, op: Op, g: Value, sign: float) -> list:
    """d P(a, x) / dx = x^(a - 1) exp(-x) / gamma(a); there is none for a."""
    a, x = op.operands
    log = b.sub(b.sub(b.mul(b.sub(a, 1), b.log(x)), x), b.lgamma(a))
    return [b.zeros_like(a), b.mul(b.mul(g, b.exp(log)), sign)]


def _refuse(b: Builder, op: Op, g: Value):
    name = op.attrs["options"][0]
    raise NotImplementedError(f"the derivative for '{name}: input' is not implemented.")


@host_function("underived", lambda x, name: x, _refuse, batch=leading)
def underived(x: np.ndarray, name: str) -> np.ndarray:
    """x, through which gradients are refused: those of a function that has none there."""
    return x.copy()


@host_function("igamma", lambda a, x: a, lambda b, op, g: _density(b, op, g, 1.0),
               batch=leading)  # fmt: skip
def igamma(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The lower regularised incomplete gamma function P(a, x)."""
    return _incomplete(a, x, False)


@host_function("igammac", lambda a, x: a, lambda b, op, g: _density(b, op, g, -1.0),
               batch=leading)  # fmt: skip
def igammac(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The upper regularised incomplete gamma function Q(a, x)."""
    return _incomplete(a, x, True)


# -- mantissa and exponent ------------------------------------------------------------------------
def _frexp_types(x: TensorType) -> tuple:
    return x, x.with_dtype(dtypes.i32)


def _frexp_vjp(b: Builder, op: Op, g: Value | None, _):
    if g is None:
        return [None]
    power = b.exp2(b.neg(b.cast(op.results[1], dtypes.f64)))
    return [b.cast(b.mul(b.cast(g, dtypes.f64), power), g.dtype)]


def _frexp_samples():
    yield (s.uniform((3, 4), -9, 9),), ()
    yield (s.uniform((5,), -9, 9, dtypes.f32),), ()


@host_function("frexp", _frexp_types, _frexp_vjp, _frexp_samples, batch=leading)
def frexp(x: np.ndarray) -> tuple:
    """m of magnitude in [0.5, 1) and the integer e with x = m * 2^e."""
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    m, e = np.frexp(wide)
    return m.astype(x.dtype), e.astype(np.int32)


def _xor_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    return TensorType(dtypes.u64, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _xor_samples():
    yield (s.uniform((3, 4)),), ((1,),)
    yield (s.integers((5,)),), ((0,),)


@host_function("xor_bits", _xor_type, None, _xor_samples,
               batch=lambda axes: (tuple(a + 1 for a in axes),))  # fmt: skip
def xor_bits(x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The exclusive or of the bits of 64-bit elements over some axes."""
    bits = np.ascontiguousarray(x).view(np.uint64).reshape(x.shape)
    return np.asarray(np.bitwise_xor.reduce(bits, axis=axes) if axes else bits.copy())
