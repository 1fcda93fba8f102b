"""Elementwise functions made of others: sums with factors, blends, tests, rounding, angles."""

from __future__ import annotations

import math

from .. import dtypes, promote
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.unary import trigamma
from .common import INF, as_float, back, is_number, masked, shared, spelled, where, wide
from .samples import each, of, unary


@composite(samples=each(of("f3x4", "f4", 0.5), of("i3<9", "i3<9", 2)))
def add_scaled(b, x, y, alpha):
    """x + alpha * y."""
    return b.add(x, b.mul(y, alpha))


@composite(samples=each(of("f3x4", "f4", 0.5), of("i3<9", "i3<9", 2)))
def sub_scaled(b, x, y, alpha):
    """x - alpha * y."""
    return b.sub(x, b.mul(y, alpha))


@composite(samples=unary(-3, 3))
def square(b, x):
    """x * x."""
    return (
        b.mul(x, x) if x.dtype.kind != "b" else b.mul(b.cast(x, dtypes.i64), b.cast(x, dtypes.i64))
    )


@composite(samples=of("f3x4", "f3x4", "f4", 0.5))
def addcmul(b, x, t1, t2, value):
    """x + value * t1 * t2."""
    return b.add(x, b.mul(b.mul(t1, t2), value))


@composite(samples=of("f3x4", "f3x4", "p4", 0.5))
def addcdiv(b, x, t1, t2, value):
    """x + value * t1 / t2."""
    if t1.dtype.kind in "biu" and t2.dtype.kind in "biu":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform "
            "a true division of tensor1 and tensor2. The historic addcdiv behavior can be "
            "implemented as (input + "
            "value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as "
            "(input + value * "
            "tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter "
            "implementation: "
            "(input + value * tensor1 / tensor2), for all dtypes."
        )
    return b.add(x, b.mul(b.div(t1, t2), value))


@composite(samples=each(of("f3x4", "f3x4", 0.25), of("f3x4", "f3x4", "p4")))
def lerp(b, x, end, weight):
    """x + weight * (end - x), exact at both ends."""
    if x.dtype is not end.dtype:
        raise RuntimeError(
            f"expected dtype {x.dtype.name} for `end` but got dtype {end.dtype.name}"
        )
    if x.dtype.kind not in "fc":
        raise NotImplementedError(
            f"\"lerp_kernel_scalar\" not implemented for '{spelled(x.dtype)}'"
        )
    if not is_number(weight) and weight.dtype is not x.dtype:
        raise RuntimeError(
            f"expected dtype {x.dtype.name} for `weight` but got dtype {weight.dtype.name}"
        )
    d = b.sub(end, x)
    w = b.cast(weight, x.dtype)
    near_start = b.lt(b.abs(w), 0.5)
    return where(b, near_start, b.add(x, b.mul(d, w)), b.sub(end, b.mul(d, b.sub(1, w))))


@composite(samples=of("f3x4", "p3x4"))
def xlogy(b, x, y):
    """x * log(y), 0 where x is 0 and y is not NaN."""
    return _times_log(b, x, y, "log")


@composite(samples=of("f3x4", "p3x4"))
def xlog1py(b, x, y):
    """x * log1p(y), 0 where x is 0 and y is not NaN."""
    return _times_log(b, x, y, "log1p")


def _times_log(b: Builder, x: Value, y: Value, log: str) -> Value:
    work = promote.result_type([x.type, y.type])
    work = promote.default_float if work.kind in "biu" else work
    x, y = b.cast(x, work), b.cast(y, work)
    zero = b.logical_and(b.eq(x, 0), b.logical_not(b.isnan(y)))
    # where x is 0 and the logarithm is not finite, it is taken of a harmless number
    edge = 0.0 if log == "log" else -1.0
    safe = where(b, b.logical_and(zero, b.le(y, edge)), edge + 1.0, y)
    value = b.mul(x, b.apply(log, (safe,))[0])
    return where(b, b.logical_and(zero, b.eq(y, INF)), 0.0, value)


def _logaddexp_vjp(b: Builder, op: Op, g: Value):
    x, y = op.operands
    d = b.sub(x, y)
    return [back(b, b.mul(g, b.sigmoid(d)), x), back(b, b.mul(g, b.sigmoid(b.neg(d))), y)]


@composite(vjp=_logaddexp_vjp, samples=of("w3x4", "w3x4"))
def logaddexp(b, x, y):
    """log(exp(x) + exp(y)) without overflow."""
    x, y = as_float(b, x), as_float(b, y)
    if "c" in (x.dtype.kind, y.dtype.kind):
        larger = b.ge(b.real(x), b.real(y))
        top, low = where(b, larger, x, y), where(b, larger, y, x)
        return b.add(top, b.log1p(b.exp(b.sub(low, top))))
    same_inf = b.logical_and(b.eq(x, y), b.eq(b.abs(x), INF))
    body = b.add(b.maximum(x, y), b.log1p(b.exp(b.neg(b.abs(b.sub(x, y))))))
    return where(b, same_inf, x, body)


@composite(samples=of("w3x4", "w3x4"))
def logaddexp2(b, x, y):
    """log2(2**x + 2**y) without overflow."""
    ln2 = math.log(2)
    return b.div(b.logaddexp(b.mul(as_float(b, x), ln2), b.mul(as_float(b, y), ln2)), ln2)


# -- tests ----------------------------------------------------------------------------------------
@composite(nondiff=True, samples=unary(-3, 3))
def isinf(b, x):
    """Whether x is infinite."""
    return b.eq(b.abs(x), INF) if x.dtype.kind in "fc" else b.full(False, dtypes.b1, x.shape)


@composite(nondiff=True, samples=unary(-3, 3))
def isfinite(b, x):
    """Whether x is neither infinite nor NaN."""
    return b.lt(b.abs(x), INF) if x.dtype.kind in "fc" else b.full(True, dtypes.b1, x.shape)


@composite(nondiff=True, samples=unary(-3, 3))
def isposinf(b, x):
    """Whether x is +inf."""
    return b.eq(x, INF) if x.dtype.kind == "f" else b.full(False, dtypes.b1, x.shape)


@composite(nondiff=True, samples=unary(-3, 3))
def isneginf(b, x):
    """Whether x is -inf."""
    return b.eq(x, -INF) if x.dtype.kind == "f" else b.full(False, dtypes.b1, x.shape)


@composite(nondiff=True, samples=unary(-3, 3))
def signbit(b, x):
    """Whether x is negative, the negative zero included."""
    if x.dtype.kind in "bu":
        return b.full(False, dtypes.b1, x.shape)
    if x.dtype.kind == "i":
        return b.lt(x, 0)
    return b.lt(b.copysign(b.full(1, x.dtype, x.shape), x), 0)


@composite(samples=unary(-3, 3))
def nan_to_num(b, x, *, nan=None, posinf=None, neginf=None):
    """x with NaN and the infinities replaced by numbers."""
    if x.dtype.kind in "biu":
        return x
    import numpy as np

    top = {"f16": 65504.0, "bf16": 3.3895313892515355e38}.get(x.dtype.code)
    top = float(np.finfo(x.dtype.to_real().numpy_name).max) if top is None else top
    y = where(b, b.isnan(x), b.const(0.0 if nan is None else nan, x.dtype), x)
    y = where(b, b.eq(x, INF), b.const(top if posinf is None else posinf, x.dtype), y)
    return where(b, b.eq(x, -INF), b.const(-top if neginf is None else neginf, x.dtype), y)


# -- arithmetic -----------------------------------------------------------------------------------
@composite(samples=unary(-3, 3))
def frac(b, x):
    """x - trunc(x)."""
    if x.dtype.kind != "f":
        raise NotImplementedError(f"\"frac_vml_cpu\" not implemented for '{spelled(x.dtype)}'")
    return b.sub(x, b.detach(b.trunc(x)))


@composite(samples=each(of("w3x4", "h3x4"), of("i3<9", 2)))
def div_trunc(b, x, y):
    """x / y rounded towards zero."""
    work = promote.result_type([x.type, y.type])
    if work.kind in "biu":
        x, y = b.cast(x, work), b.cast(y, work)
        return b.idiv(x, y)
    return b.trunc(b.div(x, y))


@composite(samples=unary(-180, 180))
def deg2rad(b, x):
    """Degrees as radians."""
    return b.mul(as_float(b, x), math.pi / 180)


@composite(samples=unary(-3, 3))
def rad2deg(b, x):
    """Radians as degrees."""
    return b.mul(as_float(b, x), 180 / math.pi)


def _sinc_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    z = b.mul(x, math.pi)
    safe = where(b, b.eq(x, 0), 1.0, z)
    slope = b.div(b.mul(b.sub(b.mul(safe, b.cos(safe)), b.sin(safe)), math.pi), b.mul(safe, safe))
    return [masked(b, b.ne(x, 0), b.mul(g, slope))]


@composite(vjp=_sinc_vjp, samples=unary(-3, 3))
def sinc(b, x):
    """sin(pi x) / (pi x), 1 at 0."""
    z = b.mul(as_float(b, x), math.pi)
    zero = b.eq(z, 0)
    safe = where(b, zero, 1.0, z)
    return where(b, zero, 1.0, b.div(b.sin(safe), safe))


@composite(samples=each(unary(0.1, 0.9), of("p3x4", eps=0.2)))
def logit(b, x, *, eps=None):
    """log(x / (1 - x)); x is first limited to [eps, 1 - eps] if eps is given."""
    z = as_float(b, x)
    if eps is not None:
        z = b.clamp(z, eps, 1.0 - eps)
    return b.log(b.div(z, b.sub(1, z)))


@composite(samples=of("f3x4", "f3x4"))
def heaviside(b, x, values):
    """0 below zero, `values` at zero, 1 above."""
    if x.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    out = where(b, b.eq(x, 0), values, b.cast(b.gt(x, 0), x.dtype))
    if x.dtype.kind == "f":
        return where(b, b.isnan(x), b.const(0, x.dtype), out)
    return out


@composite(samples=of("f3x4", decimals=1))
def round_decimals(b, x, *, decimals):
    """x rounded to a number of decimals (negative: to tens, hundreds, ...)."""
    if x.dtype.kind not in "f":
        raise NotImplementedError(f"\"round_vml_cpu\" not implemented for '{spelled(x.dtype)}'")
    factor = 10.0 ** abs(decimals)
    if decimals >= 0:
        return b.div(b.round(b.mul(x, factor)), factor)
    return b.mul(b.round(b.div(x, factor)), factor)


@composite(samples=of("p3x4", "f4"))
def float_power(b, x, y):
    """x ** y in double precision."""
    work = dtypes.c128 if "c" in (x.dtype.kind, y.dtype.kind) else dtypes.f64
    return b.pow(b.cast(x, work), b.cast(y, work))


@composite(samples=of("f3x4", "i4<3"))
def ldexp(b, x, other):
    """x * 2 ** other."""
    return b.mul(x, b.pow(2.0, other))


# A step of one unit in the last place: x passes its gradient on, unless it stays what it is.
def _next_after_vjp(b: Builder, op: Op, g: Value):
    x, y = op.operands
    return [back(b, masked(b, b.ne(x, y), g), x), back(b, b.zeros_like(g), y)]


@composite(vjp=_next_after_vjp, samples=each(of("f3x4", "f4"), of("n5", "n5")))
def next_after(b, x, y):
    """The next representable number from x towards y."""
    x, y = shared(b, (x, y))
    if x.dtype.bits != 16 or x.dtype.kind != "f":
        return b.nextafter(x, y)
    # sign and magnitude: one more in the bits is one step away from zero on either side
    step = where(b, b.eq(b.lt(x, y), b.gt(x, 0.0)), 1, -1)
    bits = b.add(b.bitcast(x, dtype=dtypes.i16), b.cast(step, dtypes.i16))
    least = b.bitcast(b.full(1, dtypes.i16, x.shape), dtype=x.dtype)
    moved = where(b, b.eq(x, 0.0), b.copysign(least, y), b.bitcast(bits, dtype=x.dtype))
    known = b.logical_or(b.eq(x, y), b.logical_or(b.isnan(x), b.isnan(y)))
    return where(b, known, where(b, b.eq(x, y), y, b.add(x, y)), moved)


@composite(nondiff=True, samples=of("i3x4<60", "i3x4<60"))
def gcd(b, x, y):
    """The greatest common divisor."""
    work = promote.result_type([x.type, y.type])
    if work.kind not in "iu":
        raise NotImplementedError(f"\"gcd_cpu\" not implemented for '{spelled(work)}'")
    x, y = (b.abs(v) if work.kind == "i" else v for v in shared(b, (x, y), work))
    # Euclid's algorithm needs at most 1.44 * bits steps
    for _ in range(int(work.bits * 1.45) + 2):
        zero = b.eq(y, 0)
        rest = b.fmod(x, where(b, zero, b.const(1, work), y))
        x, y = where(b, zero, x, y), where(b, zero, y, rest)
    return x


@composite(nondiff=True, samples=of("i3x4<60", "i3x4<60"))
def lcm(b, x, y):
    """The least common multiple."""
    work = promote.result_type([x.type, y.type])
    x, y = shared(b, (x, y), work)
    g = b.gcd(x, y)
    return b.abs(b.mul(b.idiv(x, where(b, b.eq(g, 0), b.const(1, work), g)), y))


@composite(samples=unary(0.1, 3))
def entr(b, x):
    """-x log(x), 0 at 0 and -inf below."""
    z = as_float(b, x)
    positive = b.gt(z, 0)
    body = b.neg(b.mul(z, b.log(where(b, positive, z, 1.0))))
    rest = where(b, b.eq(z, 0), b.const(0.0, z.dtype), b.const(-INF, z.dtype))
    return where(b, b.isnan(z), z, where(b, positive, body, rest))


@composite(samples=unary(-3, 3))
def ndtr(b, x):
    """The probability that a standard normal variable is below x."""
    z = as_float(b, x)
    s = b.mul(z, math.sqrt(0.5))
    return where(b, b.lt(s, -1.0), b.mul(b.erfc(b.neg(s)), 0.5), b.mul(b.add(b.erf(s), 1), 0.5))


@composite(samples=unary(0.1, 0.9))
def ndtri(b, x):
    """The inverse of ndtr."""
    return b.mul(b.erfinv(b.sub(b.mul(as_float(b, x), 2), 1)), math.sqrt(2))


@composite(samples=of("h3", p=2))
def mvlgamma(b, x, *, p):
    """The logarithm of the multivariate gamma function with dimension p."""
    z = as_float(b, x)
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    total = b.lgamma(z)
    for j in range(1, p):
        total = b.add(total, b.lgamma(b.sub(z, j / 2)))
    return b.add(total, p * (p - 1) / 4 * math.log(math.pi))


# Bernoulli numbers over factorials, B(2j) / (2j)!
_BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)


@composite(samples=of("h4", "p4"))
def zeta(b, s, q):
    """Hurwitz's zeta function, the sum of (q + k) ** -s over k >= 0, for s > 1 and q > 0."""
    work = promote.result_type([s.type, q.type])
    s, q = shared(b, (s, q), promote.default_float if work.kind in "biu" else work)
    total = None
    terms = 12
    for k in range(terms):
        part = b.pow(b.add(q, float(k)), b.neg(s))
        total = part if total is None else b.add(total, part)
    a = b.add(q, float(terms))
    power = b.pow(a, b.neg(s))
    total = b.add(total, b.add(b.div(b.mul(power, a), b.sub(s, 1.0)), b.mul(power, 0.5)))
    factor = b.div(b.mul(power, s), a)
    for j, coefficient in enumerate(_BERNOULLI):
        total = b.add(total, b.mul(factor, coefficient))
        rise = b.mul(b.add(s, 2.0 * j + 1), b.add(s, 2.0 * j + 2))
        factor = b.div(b.mul(factor, rise), b.mul(a, a))
    nan = b.logical_or(b.lt(s, 1), b.logical_and(b.lt(q, 0), b.ne(s, b.floor(s))))
    pole = b.logical_or(b.eq(s, 1), b.logical_and(b.le(q, 0), b.eq(q, b.floor(q))))
    return where(b, b.lt(s, 1), math.nan, where(b, pole, INF, where(b, nan, math.nan, total)))


def _polygamma_vjp(b: Builder, op: Op, g: Value):
    return [b.mul(g, b.polygamma(op.operands[0], n=op.attrs["n"] + 1))]


@composite(vjp=_polygamma_vjp, samples=each(of("h4", n=1), of("h4", n=2)))
def polygamma(b, x, *, n):
    """The n-th derivative of digamma."""
    z = as_float(b, x)
    if z.dtype.bits == 16:
        return b.cast(b.polygamma(wide(b, z), n=n), z.dtype)
    if n == 0:
        return b.digamma(z)
    if n == 1:
        return trigamma(b, z)
    y = b.mul(b.zeta(b.full(n + 1.0, z.dtype, z.shape), z), float(math.factorial(n)))
    return y if n % 2 else b.neg(y)


@composite(samples=of("f3x4", "f4", 0.5))
def rsub(b, x, y, alpha):
    """y - alpha * x."""
    return b.sub(y, b.mul(x, alpha))
