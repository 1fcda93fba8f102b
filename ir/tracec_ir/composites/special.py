"""Special functions of one variable: Bessel and Airy functions, scaled error functions.

Each is a few smooth factors, summed as Chebyshev series (Clenshaw, 1955), times elementary ones;
the intervals and factors are those of `bessel_tables`. 16-bit floats are computed as float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from . import bessel_tables as tables
from .common import INF, as_float, shared, where, wide
from .samples import few, of, unary

NAN = float("nan")


def _series(b: Builder, c: Sequence[float], t: Value) -> Value:
    """The Chebyshev series with coefficients c at t in [-1, 1]."""
    if t.dtype is dtypes.f32:  # what float32 cannot tell from zero is left out
        least = 1e-9 * max(map(abs, c))
        c = c[: 1 + max(i for i, v in enumerate(c) if abs(v) > least)]
    twice = b.mul(t, 2.0)
    above: Value | None = None
    here: Value = b.full(c[-1], t.dtype, t.shape)
    for v in reversed(c[1:-1]):
        nearer = b.add(b.mul(twice, here), v)
        here, above = (nearer if above is None else b.sub(nearer, above)), here
    out = b.add(b.mul(t, here), c[0])
    return out if above is None else b.sub(out, above)


def _on(b: Builder, c: Sequence[float], x: Value, low: float, high: float) -> Value:
    """The series of a table on [low, high] at x; nonsense outside, but finite."""
    x = b.clamp(x, low, high)
    return _series(b, c, b.sub(b.mul(x, 2 / (high - low)), (high + low) / (high - low)))


def _inverse(b: Builder, scale: float, x: Value) -> Value:
    """scale / x where that is at most 1, for the series of large x."""
    return b.div(scale, b.maximum(x, scale))


def _function(fn: Callable) -> Callable:
    """A function of a wide floating tensor as one of any tensor, rounded back."""

    def whole(b, x):
        x = as_float(b, x)
        return b.cast(fn(b, wide(b, x)), x.dtype)

    whole.__name__, whole.__doc__ = fn.__name__, fn.__doc__
    return whole


def _precise(fn: Callable) -> Callable:
    """`_function` computed in float64: float32 would lose the phase of an oscillation."""

    def whole(b, x):
        x = as_float(b, x)
        return b.cast(fn(b, b.cast(x, dtypes.f64)), x.dtype)

    whole.__name__, whole.__doc__ = fn.__name__, fn.__doc__
    return whole


def _rule(derivative: Callable) -> Callable:
    """The vjp of a function with this derivative, `derivative(b, x, y)`."""

    def vjp(b: Builder, op: Op, g: Value):
        (x,) = op.operands
        if x.dtype.kind not in "f":
            return [None]
        z, y = wide(b, x), wide(b, op.results[0])
        return [b.cast(b.mul(wide(b, g), derivative(b, z, y)), x.dtype)]

    return vjp


def _no_derivative(name: str) -> Callable:
    def vjp(b: Builder, op: Op, g: Value):
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return vjp


# -- modified Bessel functions of the first kind --------------------------------------------------
def _i0e(b: Builder, x: Value) -> Value:
    z = b.abs(x)
    near = _on(b, tables.I0_NEAR, z, 0, 8)
    far = b.mul(_on(b, tables.I0_FAR, _inverse(b, 8.0, z), 0, 1), b.rsqrt(b.maximum(z, 1.0)))
    return where(b, b.isnan(x), x, where(b, b.le(z, 8.0), near, far))


def _i1e(b: Builder, x: Value) -> Value:
    z = b.abs(x)
    near = b.mul(_on(b, tables.I1_NEAR, z, 0, 8), z)
    far = b.mul(_on(b, tables.I1_FAR, _inverse(b, 8.0, z), 0, 1), b.rsqrt(b.maximum(z, 1.0)))
    y = where(b, b.le(z, 8.0), near, far)
    return where(b, b.isnan(x), x, b.mul(b.sign(x), y))


def _grown(b: Builder, scaled: Value, x: Value) -> Value:
    """scaled * exp(|x|), which may overflow where the product does not."""
    half = b.exp(b.mul(b.abs(x), 0.5))
    return b.mul(b.mul(scaled, half), half)


def _over_x(b: Builder, y: Value, x: Value, at_zero: float) -> Value:
    zero = b.eq(x, 0)
    return where(b, zero, at_zero, b.div(y, where(b, zero, 1.0, x)))


@composite(vjp=_rule(lambda b, x, y: b.i1(x)), samples=few(-9, 9))
@_function
def i0(b, x):
    """The modified Bessel function of the first kind of order 0."""
    return _grown(b, _i0e(b, x), x)


@composite(vjp=_rule(lambda b, x, y: b.sub(b.i1e(x), b.mul(b.sign(x), y))), samples=few(-9, 9))
@_function
def i0e(b, x):
    """exp(-|x|) * i0(x)."""
    return _i0e(b, x)


@composite(vjp=_rule(lambda b, x, y: b.sub(b.i0(x), _over_x(b, y, x, 0.5))), samples=few(-9, 9))
@_function
def i1(b, x):
    """The modified Bessel function of the first kind of order 1."""
    return _grown(b, _i1e(b, x), x)


def _i1e_slope(b: Builder, x: Value, y: Value) -> Value:
    slope = b.sub(b.i0e(x), b.mul(y, b.sign(x)))
    return b.sub(slope, _over_x(b, y, x, 0.5))


@composite(vjp=_rule(_i1e_slope), samples=few(-9, 9))
@_function
def i1e(b, x):
    """exp(-|x|) * i1(x)."""
    return _i1e(b, x)


@composite(vjp=_rule(lambda b, x, y: b.i1(x)), samples=few(-9, 9))
def modified_bessel_i0(b, x):
    """`i0`."""
    return b.i0(x)


@composite(vjp=_rule(lambda b, x, y: b.sub(b.i0(x), _over_x(b, y, x, 0.5))), samples=few(-9, 9))
def modified_bessel_i1(b, x):
    """`i1`."""
    return b.i1(x)


# -- modified Bessel functions of the second kind -------------------------------------------------
def _domain(b: Builder, x: Value, y: Value, at_zero: float) -> Value:
    """y for x > 0, its limit at 0, NaN below."""
    y = where(b, b.eq(x, 0), at_zero, y)
    return where(b, b.logical_or(b.lt(x, 0), b.isnan(x)), NAN, y)


def _k(b: Builder, x: Value, order: int, scaled: bool) -> Value:
    z = b.maximum(b.minimum(x, 2.0), 1e-30)
    log = b.log(b.mul(z, 0.5))
    square = b.mul(z, z)
    if order:
        rest = b.div(_on(b, tables.K1_NEAR, square, 0, 4), z)
        near = b.add(b.mul(log, b.i1(z)), rest)
    else:
        near = b.sub(_on(b, tables.K0_NEAR, square, 0, 4), b.mul(log, b.i0(z)))
    table = tables.K1_FAR if order else tables.K0_FAR
    far = b.mul(_on(b, table, _inverse(b, 2.0, x), 0, 1), b.rsqrt(b.maximum(x, 1.0)))
    if scaled:
        near = b.mul(near, b.exp(z))
    else:
        far = b.mul(far, b.exp(b.neg(b.maximum(x, 0.0))))
    return _domain(b, x, where(b, b.le(x, 2.0), near, far), INF)


@composite(vjp=_rule(lambda b, x, y: b.neg(b.modified_bessel_k1(x))), samples=few(0.5, 9))
@_function
def modified_bessel_k0(b, x):
    """The modified Bessel function of the second kind of order 0."""
    return _k(b, x, 0, False)


@composite(
    vjp=_rule(lambda b, x, y: b.neg(b.add(b.modified_bessel_k0(x), b.div(y, x)))),
    samples=few(0.5, 9),
)
@_function
def modified_bessel_k1(b, x):
    """The modified Bessel function of the second kind of order 1."""
    return _k(b, x, 1, False)


@composite(vjp=_rule(lambda b, x, y: b.sub(y, b.scaled_modified_bessel_k1(x))), samples=few(0.5, 9))
@_function
def scaled_modified_bessel_k0(b, x):
    """exp(x) * modified_bessel_k0(x)."""
    return _k(b, x, 0, True)


def _scaled_k1_slope(b: Builder, x: Value, y: Value) -> Value:
    return b.sub(b.sub(y, b.scaled_modified_bessel_k0(x)), b.div(y, x))


@composite(vjp=_rule(_scaled_k1_slope), samples=few(0.5, 9))
@_function
def scaled_modified_bessel_k1(b, x):
    """exp(x) * modified_bessel_k1(x)."""
    return _k(b, x, 1, True)


# -- Bessel functions -----------------------------------------------------------------------------
def _hankel(b: Builder, z: Value, order: int) -> tuple[Value, Value, Value]:
    """For z > 8: sqrt(1 / (pi z)), and the sums that give J and Y."""
    u = _inverse(b, 8.0, z)
    v = b.mul(u, u)
    p = _on(b, tables.P1 if order else tables.P0, v, 0, 1)
    q = b.mul(_on(b, tables.Q1 if order else tables.Q0, v, 0, 1), u)
    sine, cosine = b.sin(z), b.cos(z)
    plus, minus = b.add(sine, cosine), b.sub(sine, cosine)
    # c = z - pi / 4 or z - 3 pi / 4: cos(c) and sin(c) times sqrt(2)
    c, s = (minus, b.neg(plus)) if order else (plus, minus)
    scale = b.rsqrt(b.mul(b.maximum(z, 1.0), math.pi))
    j, y = b.sub(b.mul(p, c), b.mul(q, s)), b.add(b.mul(p, s), b.mul(q, c))
    infinite = b.eq(z, INF)
    return scale, where(b, infinite, 0.0, j), where(b, infinite, 0.0, y)


def _j(b: Builder, x: Value, order: int) -> Value:
    z = b.abs(x)
    square = b.mul(z, z)
    near = _on(b, tables.J1_NEAR if order else tables.J0_NEAR, square, 0, 64)
    scale, far, _ = _hankel(b, z, order)
    y = where(b, b.le(z, 8.0), b.mul(near, z) if order else near, b.mul(scale, far))
    return where(b, b.isnan(x), x, b.mul(b.sign(x), y) if order else y)


@composite(vjp=_rule(lambda b, x, y: b.neg(b.bessel_j1(x))), samples=few(-12, 12))
@_precise
def bessel_j0(b, x):
    """The Bessel function of the first kind of order 0."""
    return _j(b, x, 0)


@composite(
    vjp=_rule(lambda b, x, y: b.sub(b.bessel_j0(x), _over_x(b, y, x, 0.5))), samples=few(-12, 12)
)
@_precise
def bessel_j1(b, x):
    """The Bessel function of the first kind of order 1."""
    return _j(b, x, 1)


def _y(b: Builder, x: Value, order: int) -> Value:
    z = b.maximum(b.minimum(x, 8.0), 1e-30)
    square = b.mul(z, z)
    log = b.log(z)
    if order:
        sum_ = b.sub(b.mul(log, b.bessel_j1(z)), b.reciprocal(z))
        near = b.add(b.mul(sum_, 2 / math.pi), b.mul(_on(b, tables.Y1_NEAR, square, 0, 64), z))
    else:
        near = b.add(
            b.mul(b.mul(log, b.bessel_j0(z)), 2 / math.pi), _on(b, tables.Y0_NEAR, square, 0, 64)
        )
    scale, _, far = _hankel(b, x, order)
    return _domain(b, x, where(b, b.le(x, 8.0), near, b.mul(scale, far)), -INF)


@composite(vjp=_rule(lambda b, x, y: b.neg(b.bessel_y1(x))), samples=few(0.5, 12))
@_precise
def bessel_y0(b, x):
    """The Bessel function of the second kind of order 0."""
    return _y(b, x, 0)


@composite(vjp=_rule(lambda b, x, y: b.sub(b.bessel_y0(x), b.div(y, x))), samples=few(0.5, 12))
@_precise
def bessel_y1(b, x):
    """The Bessel function of the second kind of order 1."""
    return _y(b, x, 1)


def _spherical_slope(b: Builder, x: Value, y: Value) -> Value:
    return _over_x(b, b.sub(b.cos(x), y), x, 0.0)


@composite(vjp=_rule(_spherical_slope), samples=few(-9, 9))
@_function
def spherical_bessel_j0(b, x):
    """sin(x) / x, the spherical Bessel function of the first kind of order 0."""
    return where(b, b.eq(b.abs(x), INF), 0.0, _over_x(b, b.sin(x), x, 1.0))


@composite(vjp=_no_derivative("special_airy_ai"), refuses=True, samples=few(-8, 4))
@_precise
def airy_ai(b, x):
    """Airy's function Ai."""
    near = _on(b, tables.AIRY_NEAR, x, -5, 2)
    z = b.maximum(b.minimum(b.abs(x), 1e30), 2.0)
    root = b.sqrt(z)
    t = b.mul(b.mul(z, root), 2 / 3)
    inverse = b.reciprocal(t)
    quarter = b.rsqrt(b.mul(root, math.pi))
    right = b.mul(b.mul(b.mul(_on(b, tables.AIRY_FAR, inverse, 0, 0.54), quarter), 0.5),
                  b.exp(b.neg(t)))  # fmt: skip
    v = b.mul(inverse, inverse)
    f = _on(b, tables.AIRY_SIN, v, 0, 0.0182)
    g = b.mul(_on(b, tables.AIRY_COS, v, 0, 0.0182), inverse)
    sine, cosine = b.sin(b.add(t, math.pi / 4)), b.cos(b.add(t, math.pi / 4))
    left = b.mul(quarter, b.sub(b.mul(f, sine), b.mul(g, cosine)))
    y = where(b, b.lt(x, -5.0), left, where(b, b.gt(x, 2.0), right, near))
    y = where(b, b.eq(x, INF), 0.0, y)
    return where(b, b.logical_or(b.isnan(x), b.eq(x, -INF)), NAN, y)


# -- error functions ------------------------------------------------------------------------------
def _erfcx(b: Builder, x: Value) -> Value:
    z = b.minimum(b.abs(x), 1e30)
    t = b.div(b.sub(z, 3.75), b.add(z, 3.75))
    y = b.div(_series(b, tables.ERFCX, t), b.add(b.mul(z, 2.0), 1.0))
    low = b.minimum(b.maximum(x, -30.0), 0.0)
    reflected = b.sub(b.mul(b.exp(b.mul(low, low)), 2.0), y)
    y = where(b, b.lt(x, 0.0), reflected, where(b, b.eq(x, INF), 0.0, y))
    return where(b, b.isnan(x), x, y)


def _erfcx_slope(b: Builder, x: Value, y: Value) -> Value:
    return b.sub(b.mul(b.mul(x, y), 2.0), 2 / math.sqrt(math.pi))


@composite(vjp=_rule(_erfcx_slope), samples=few(-2, 6))
@_function
def erfcx(b, x):
    """exp(x * x) * erfc(x)."""
    return _erfcx(b, x)


# phi(x) / Phi(x) without underflow: both have the factor exp(-x^2 / 2) for negative x
def _log_ndtr_slope(b: Builder, x: Value, y: Value) -> Value:
    left = b.div(math.sqrt(2 / math.pi), b.erfcx(b.mul(b.minimum(x, 0.0), -math.sqrt(0.5))))
    density = b.mul(b.exp(b.mul(b.mul(x, x), -0.5)), math.sqrt(0.5 / math.pi))
    return where(b, b.lt(x, 0.0), left, b.div(density, b.ndtr(x)))


@composite(vjp=_rule(_log_ndtr_slope), samples=few(-9, 4))
@_function
def log_ndtr(b, x):
    """The logarithm of ndtr, accurate for very negative x."""
    s = b.mul(x, math.sqrt(0.5))
    low = b.minimum(s, 0.0)
    left = b.sub(b.log(b.mul(_erfcx(b, b.neg(low)), 0.5)), b.mul(low, low))
    right = b.log1p(b.mul(b.erfc(b.maximum(s, -1.0)), -0.5))
    return where(b, b.lt(x, -1.0), left, right)


# -- incomplete gamma functions, parts of numbers -------------------------------------------------
def _gamma(b: Builder, name: str, a: Value, x: Value) -> Value:
    a, x = shared(b, (as_float(b, a), as_float(b, x)))
    fixed = b.emit1("host", wide(b, a), fn="underived", options=(name,))
    return b.cast(b.emit1("host", fixed, wide(b, x), fn=name, options=()), a.dtype)


@composite(refuses=True, samples=of("h5", "h5"))
def igamma(b, a, x):
    """The lower regularised incomplete gamma function P(a, x)."""
    return _gamma(b, "igamma", a, x)


@composite(refuses=True, samples=of("h5", "h5"))
def igammac(b, a, x):
    """The upper regularised incomplete gamma function Q(a, x)."""
    return _gamma(b, "igammac", a, x)


@composite(samples=unary(-9, 9))
def frexp(b, x):
    """Mantissas of magnitude in [0.5, 1) and exponents."""
    return b.emit("host", (x,), {"fn": "frexp", "options": ()})


@composite(nondiff=True, samples=of("f3x4", axes=(1,)))
def hash_tensor(b, x, *, axes, keepdim=False):
    """The bits of the elements as 64-bit numbers, combined by exclusive or."""
    word = dtypes.f64 if x.dtype.kind == "f" else dtypes.u64 if x.dtype.kind == "u" else dtypes.i64
    bits = b.emit("host", (b.cast(x, word),), {"fn": "xor_bits", "options": (tuple(axes),)})[0]
    if not keepdim:
        return bits
    return b.reshape(bits, [1 if i in axes else n for i, n in enumerate(x.shape)])
