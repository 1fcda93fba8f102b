"""Pointwise primitives of one operand."""

from __future__ import annotations

import math

import numpy as np

from .. import dtypes
from ..types import TensorType, Type
from . import samples as s
from . import special
from .declare import unary

ALL = "buifc"
REAL = "buif"


def _zero(b, g, x, y):
    return b.zeros_like(x)


# -- sign and rounding ----------------------------------------------------------------------------
def _real_result(t: TensorType) -> Type:
    return t.with_dtype(t.dtype.to_real())


def _no_bool(t: TensorType) -> Type:
    if t.dtype is dtypes.b1:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return t


@unary(np.negative, lambda b, g, x, y: b.neg(g), promote="same", kinds=ALL, llvm="neg",
       result=_no_bool, samples=s.unary(-3, 3, "fic"))  # fmt: skip
def neg(x):
    """-x."""


def _abs_grad(b, g, x, y):
    if x.dtype.kind != "c":
        return b.mul(g, b.sign(x))
    zero = b.eq(y, 0)  # the gradient there is zero, as that of sign
    scale = b.select(
        zero, b.zeros_like(y), b.div(g, b.select(zero, b.full(1, y.dtype, y.shape), y))
    )
    return b.mul(b.cast(scale, x.dtype), b.conj(x))


@unary(np.abs, _abs_grad, promote="same", kinds="uifc", llvm="abs",
       result=_real_result, samples=s.unary(-3, 3, "fic"))  # fmt: skip
def abs_(x):
    """The magnitude of x."""


def _rounding(fn):
    def reference(x):
        return fn(x) if x.dtype.kind == "f" else x

    return reference


@unary(_rounding(np.floor), _zero, promote="same", kinds="uif", llvm="llvm.floor",
       samples=s.unary(-3, 3, "fi"))  # fmt: skip
def floor(x):
    """The largest integer not above x."""


@unary(_rounding(np.ceil), _zero, promote="same", kinds="uif", llvm="llvm.ceil",
       samples=s.unary(-3, 3, "fi"))  # fmt: skip
def ceil(x):
    """The smallest integer not below x."""


@unary(_rounding(np.trunc), _zero, promote="same", kinds="uif", llvm="llvm.trunc",
       samples=s.unary(-3, 3, "fi"))  # fmt: skip
def trunc(x):
    """x without its fraction."""


@unary(_rounding(np.rint), _zero, promote="same", kinds="uif", llvm="llvm.roundeven", cuda="rint",
       samples=s.unary(-3, 3, "fi"))  # fmt: skip
def round_(x):
    """The nearest integer; halves go to the even one."""


# -- powers and roots -----------------------------------------------------------------------------
@unary(np.sqrt, lambda b, g, x, y: b.div(g, b.mul(y, 2)), kinds="fc", llvm="llvm.sqrt", cost=4,
       samples=s.unary(0.1, 3, "fc"))  # fmt: skip
def sqrt(x):
    """The square root."""


# -- exponentials and logarithms ------------------------------------------------------------------
@unary(np.exp, lambda b, g, x, y: b.mul(g, y), kinds="fc", llvm="vmath:exp", cost=12,
       samples=s.unary(-4, 4, "fc"))  # fmt: skip
def exp(x):
    """e to the power of x."""


@unary(np.exp2, lambda b, g, x, y: b.mul(g, b.mul(y, math.log(2))),
       kinds="fc", llvm="vmath:exp2", cost=12,
       samples=s.unary(-4, 4, "fc"))  # fmt: skip
def exp2(x):
    """2 to the power of x."""


@unary(np.expm1, lambda b, g, x, y: b.mul(g, b.add(y, 1)), kinds="fc", llvm="vmath:expm1", cost=16,
       samples=s.unary(-4, 4, "fc"))  # fmt: skip
def expm1(x):
    """exp(x) - 1, accurate near 0."""


@unary(np.log, lambda b, g, x, y: b.div(g, x), kinds="fc", llvm="vmath:log", cost=12,
       samples=s.unary(0.1, 4, "fc"))  # fmt: skip
def log(x):
    """The natural logarithm."""


@unary(np.log2, lambda b, g, x, y: b.div(g, b.mul(x, math.log(2))),
       kinds="fc", llvm="vmath:log2", cost=12,
       samples=s.unary(0.1, 4, "fc"))  # fmt: skip
def log2(x):
    """The logarithm to base 2."""


@unary(np.log10, lambda b, g, x, y: b.div(g, b.mul(x, math.log(10))),
       kinds="fc", llvm="vmath:log10", cost=12,
       samples=s.unary(0.1, 4, "fc"))  # fmt: skip
def log10(x):
    """The logarithm to base 10."""


@unary(np.log1p, lambda b, g, x, y: b.div(g, b.add(x, 1)), kinds="fc", llvm="vmath:log1p", cost=16,
       samples=s.unary(-0.9, 4, "fc"))  # fmt: skip
def log1p(x):
    """log(1 + x), accurate near 0."""


# -- trigonometry ---------------------------------------------------------------------------------
@unary(np.sin, lambda b, g, x, y: b.mul(g, b.cos(x)), kinds="fc", llvm="vmath:sin", cost=16,
       samples=s.unary(-4, 4, "fc"))  # fmt: skip
def sin(x):
    """The sine of x radians."""


@unary(np.cos, lambda b, g, x, y: b.neg(b.mul(g, b.sin(x))), kinds="fc", llvm="vmath:cos", cost=16,
       samples=s.unary(-4, 4, "fc"))  # fmt: skip
def cos(x):
    """The cosine of x radians."""


@unary(np.tan, lambda b, g, x, y: b.mul(g, b.add(b.mul(y, y), 1)), kinds="fc", llvm="vmath:tan",
       cost=24, samples=s.unary(-1.4, 1.4, "fc"))  # fmt: skip
def tan(x):
    """The tangent of x radians."""


@unary(np.arcsin, lambda b, g, x, y: b.mul(g, b.rsqrt(b.sub(1, b.mul(x, x)))),
       kinds="fc", llvm="vmath:asin",
       cost=20, samples=s.unary(-0.9, 0.9, "fc"))  # fmt: skip
def asin(x):
    """The angle in [-pi/2, pi/2] whose sine is x."""


@unary(np.arccos, lambda b, g, x, y: b.neg(b.mul(g, b.rsqrt(b.sub(1, b.mul(x, x))))),
       kinds="fc", llvm="vmath:acos", cost=20, samples=s.unary(-0.9, 0.9, "fc"))  # fmt: skip
def acos(x):
    """The angle in [0, pi] whose cosine is x."""


@unary(np.arctan, lambda b, g, x, y: b.div(g, b.add(b.mul(x, x), 1)),
       kinds="fc", llvm="vmath:atan", cost=20,
       samples=s.unary(-4, 4, "fc"))  # fmt: skip
def atan(x):
    """The angle in (-pi/2, pi/2) whose tangent is x."""


# -- hyperbolic functions -------------------------------------------------------------------------
@unary(np.sinh, lambda b, g, x, y: b.mul(g, b.cosh(x)), kinds="fc", llvm="vmath:sinh", cost=20,
       samples=s.unary(-3, 3, "fc"))  # fmt: skip
def sinh(x):
    """(exp(x) - exp(-x)) / 2."""


@unary(np.cosh, lambda b, g, x, y: b.mul(g, b.sinh(x)), kinds="fc", llvm="vmath:cosh", cost=20,
       samples=s.unary(-3, 3, "fc"))  # fmt: skip
def cosh(x):
    """(exp(x) + exp(-x)) / 2."""


@unary(np.tanh, lambda b, g, x, y: b.mul(g, b.sub(1, b.mul(y, y))), kinds="fc", llvm="vmath:tanh",
       cost=16, samples=s.unary(-4, 4, "fc"))  # fmt: skip
def tanh(x):
    """The hyperbolic tangent."""


@unary(np.arcsinh, lambda b, g, x, y: b.mul(g, b.rsqrt(b.add(b.mul(x, x), 1))),
       kinds="fc", llvm="vmath:asinh",
       cost=24, samples=s.unary(-4, 4, "fc"))  # fmt: skip
def asinh(x):
    """The inverse of sinh."""


def _acosh_grad(b, g, x, y):
    if x.dtype.kind != "c":
        return b.mul(g, b.rsqrt(b.sub(b.mul(x, x), 1)))
    return b.mul(b.mul(g, b.rsqrt(b.sub(x, 1))), b.rsqrt(b.add(x, 1)))  # on the right branch


@unary(np.arccosh, _acosh_grad,
       kinds="fc", llvm="vmath:acosh",
       cost=24, samples=s.unary(1.1, 4, "fc"))  # fmt: skip
def acosh(x):
    """The inverse of cosh on [1, inf)."""


@unary(np.arctanh, lambda b, g, x, y: b.div(g, b.sub(1, b.mul(x, x))),
       kinds="fc", llvm="vmath:atanh", cost=24,
       samples=s.unary(-0.9, 0.9, "fc"))  # fmt: skip
def atanh(x):
    """The inverse of tanh on (-1, 1)."""


# -- error and gamma functions --------------------------------------------------------------------
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


def _gauss(b, x, factor: float):
    """factor * exp(-x^2)."""
    return b.mul(b.exp(b.neg(b.mul(x, x))), factor)


@unary(special.erf, lambda b, g, x, y: b.mul(g, _gauss(b, x, _TWO_OVER_ROOT_PI)),
       llvm="vmath:erf", cost=20, samples=s.unary(-3, 3))  # fmt: skip
def erf(x):
    """The error function."""


@unary(special.erfc, lambda b, g, x, y: b.mul(g, _gauss(b, x, -_TWO_OVER_ROOT_PI)),
       llvm="vmath:erfc", cost=24, samples=s.unary(-3, 3))  # fmt: skip
def erfc(x):
    """1 - erf(x), accurate for large x."""


@unary(special.erfinv, lambda b, g, x, y: b.div(g, _gauss(b, y, _TWO_OVER_ROOT_PI)),
       llvm="vmath:erfinv", cost=40, samples=s.unary(-0.9, 0.9))  # fmt: skip
def erfinv(x):
    """The inverse of erf on (-1, 1)."""


@unary(special.lgamma, lambda b, g, x, y: b.mul(g, b.digamma(x)), llvm="vmath:lgamma", cost=40,
       samples=s.unary(0.2, 5))  # fmt: skip
def lgamma(x):
    """The logarithm of |gamma(x)|."""


def trigamma(b, x):
    """The derivative of digamma: reflection below 1/2, six recurrence steps, then the asymptotic
    series in 1/x."""
    if x.dtype.bits == 16:
        return b.cast(trigamma(b, b.cast(x, dtypes.f32)), x.dtype)
    reflected = b.lt(x, 0.5)
    z = b.select(reflected, b.sub(1, x), x)
    total = b.zeros_like(z)
    for _ in range(6):
        total = b.add(total, b.reciprocal(b.mul(z, z)))
        z = b.add(z, 1)
    w = b.reciprocal(b.mul(z, z))
    series = b.zeros_like(z)
    for bernoulli in (7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6):
        series = b.mul(b.add(series, bernoulli), w)
    series = b.div(b.add(b.add(series, 1), b.div(0.5, z)), z)
    total = b.add(total, series)
    sine = b.sin(b.mul(b.select(reflected, x, b.full(0.25, x.dtype, x.shape)), math.pi))
    return b.select(reflected, b.sub(b.div(math.pi**2, b.mul(sine, sine)), total), total)


@unary(special.digamma, lambda b, g, x, y: b.mul(g, trigamma(b, x)), llvm="vmath:digamma", cost=40,
       samples=s.unary(0.2, 5))  # fmt: skip
def digamma(x):
    """The derivative of lgamma."""


# -- bits -----------------------------------------------------------------------------------------
def _bit_samples():
    yield from s._other_kinds(1, "ib")
    yield (TensorType(dtypes.f32, (2,)),), {}, RuntimeError, "must be"


@unary(np.invert, None, promote="int", kinds="bui", llvm="not", cuda="~", samples=_bit_samples)
def bitwise_not(x):
    """Every bit of x flipped."""
