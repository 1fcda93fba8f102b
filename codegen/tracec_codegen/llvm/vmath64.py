"""Transcendental functions in double arithmetic, for f64 results and (`low`) for f32 results.

With `low` the polynomials are shorter, the relative error about 2^-29, and the range is that of
f32 with a margin.  Everything is straight-line code except the rare argument reductions.
"""

from __future__ import annotations

import math

from . import coefficients as table
from .text import Value
from .vreal import Real

_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOG2E = 1.4426950408889634
# pi/2 in three parts; the first two have 33 bits, so that multiples up to 2^20 are exact
_HALF_PI = (1.57079632673412561417e+00, 6.07710050630396597660e-11, 2.02226624879595063154e-21)
TRIG_LIMIT = 1e6  # |x| above it needs a longer pi


def _exp_parts(r: Real, x: Value, low: bool) -> tuple[Value, Value]:
    """(integer bits of n, expm1 of the rest) with x = n log 2 + rest."""
    n, i = r.nearest(x, _LOG2E)
    rest = r.fma(n, -_LN2_LOW, r.fma(n, -_LN2_HIGH, x))
    square = r.f.fmul(rest, rest)
    if low:
        return i, r.fma(square, r.poly(rest, table.EXPM1_LOW), rest)
    tail = r.fma(rest, r.poly(rest, table.EXPM1_FULL), 0.5)
    return i, r.fma(square, tail, rest)


def exp(r: Real, x: Value, low: bool) -> Value:
    x = r.clamp(x, -200.0, 200.0) if low else r.clamp(x, -750.0, 715.0)
    i, p = _exp_parts(r, x, low)
    v = r.f.fadd(p, 1.0)
    return r.shifted(v, i) if low else r.scaled(v, i)


def exp2(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("exp2", x)
    x = r.clamp(x, -300.0, 300.0)
    n, i = r.nearest(x)
    return r.shifted(r.poly(r.f.fsub(x, n), table.EXP2_LOW), i)


def expm1(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    bounded = r.clamp(x, -60.0, 200.0 if low else 710.0)
    i, p = _exp_parts(r, bounded, low)
    half = r.power_of_two(f.sub(i, 1))  # 2^n may be infinite where 2^(n-1) is not
    v = r.fma(half, p, f.fsub(half, 0.5))
    return r.select(f.fcmp("oeq", x, 0), x, f.fadd(v, v))


def _log_reduced(r: Real, m: Value, low: bool) -> tuple[Value, Value, Value]:
    """(f, s, rest) for m = 1 + f: log(m) = 2 s + s rest."""
    f = r.f
    part = f.fsub(m, 1.0)
    s = f.fdiv(part, f.fadd(part, 2.0))
    z = f.fmul(s, s)
    return part, s, f.fmul(z, r.poly(z, table.LOG_LOW if low else table.LOG_FULL))


def _log_specials(r: Real, x: Value, y: Value) -> Value:
    f = r.f
    y = r.select(f.fcmp("oeq", x, math.inf), x, y)
    y = r.select(f.fcmp("oeq", x, 0), -math.inf, y)
    return r.select(f.fcmp("oge", x, 0), y, math.nan)


def log(r: Real, x: Value, low: bool) -> Value:
    return _log_specials(r, x, _finite_log(r, x, low, None))


def _finite_log(r: Real, x: Value, low: bool, correction: Value | None) -> Value:
    """log of positive finite x, plus a small correction."""
    f = r.f
    m, e = r.normalised(x, denormals=not low)
    part, s, rest = _log_reduced(r, m, low)
    square = f.fmul(f.fmul(part, part), 0.5)
    tail = f.fmul(s, f.fadd(square, rest))
    small = r.fma(e, _LN2_LOW, tail)
    if correction is not None:
        small = f.fadd(small, correction)
    return r.fma(e, _LN2_HIGH, f.fsub(part, f.fsub(square, small)))


def log2(r: Real, x: Value, low: bool) -> Value:
    return _log_base(r, x, low, "log2", 1.0, _LOG2E)


def log10(r: Real, x: Value, low: bool) -> Value:
    return _log_base(r, x, low, "log10", math.log10(2), math.log10(math.e))


def _log_base(r: Real, x: Value, low: bool, name: str, two: float, e_base: float) -> Value:
    if not low:
        return r.libm(name, x)
    m, e = r.normalised(x, denormals=False)
    _, s, rest = _log_reduced(r, m, low)
    y = r.fma(s, rest, r.f.fadd(s, s))
    return _log_specials(r, x, r.fma(y, e_base, r.f.fmul(e, two)))


def log1p(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    u = f.fadd(x, 1.0)
    # what rounding 1 + x lost
    lost = r.select(f.fcmp("ogt", x, 1.0), f.fsub(r.k(1.0), f.fsub(u, x)),
                    f.fsub(x, f.fsub(u, 1.0)))
    y = _log_specials(r, u, _finite_log(r, u, low, f.fdiv(lost, u)))
    return r.select(f.fcmp("oeq", x, 0), x, y)


# ---- trigonometric functions -----------------------------------------------------------------

def _sin_cos(r: Real, x: Value, low: bool) -> tuple[Value, Value, Value]:
    """sin and cos of x less the nearest multiple i of pi/2, and i's bits."""
    f = r.f
    n, i = r.nearest(x, 2 / math.pi)
    rest = x
    for part in _HALF_PI[:2] if low else _HALF_PI:
        rest = r.fma(n, -part, rest)
    if low:
        rest = r.fma(n, -_HALF_PI[2], rest)
    z = f.fmul(rest, rest)
    sine = r.fma(z, r.poly(z, table.SIN_LOW if low else table.SIN_FULL), 1.0)
    tail = r.fma(z, r.poly(z, table.COS_LOW if low else table.COS_FULL), -0.5)
    return f.fmul(rest, sine), r.fma(z, tail, 1.0), i


def _quadrant(r: Real, s: Value, c: Value, i: Value) -> Value:
    f = r.f
    odd = f.icmp("ne", f.and_(i, 1), 0)
    sign = f.shl(f.and_(i, 2), 62)
    return r.real(f.xor(r.bits(f.select(odd, c, s)), sign))


def sin(r: Real, x: Value, low: bool) -> Value:
    s, c, i = _sin_cos(r, x, low)
    return _quadrant(r, s, c, i)


def cos(r: Real, x: Value, low: bool) -> Value:
    s, c, i = _sin_cos(r, x, low)
    return _quadrant(r, s, c, r.f.add(i, 1))


def tan(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    s, c, i = _sin_cos(r, x, low)
    odd = f.icmp("ne", f.and_(i, 1), 0)
    return f.fdiv(f.select(odd, f.fneg(c), s), f.select(odd, s, c))


def atan(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    a = r.abs(x)
    big, middle = f.fcmp("ogt", a, 2.414213562373095), f.fcmp("ogt", a, 0.41421356237309503)
    top = r.select(big, -1.0, r.select(middle, f.fsub(a, 1.0), a))
    bottom = r.select(big, a, r.select(middle, f.fadd(a, 1.0), 1.0))
    t = f.fdiv(top, bottom)
    z = f.fmul(t, t)
    y = r.fma(f.fmul(t, z), r.poly(z, table.ATAN_LOW if low else table.ATAN_FULL), t)
    if not low:
        y = f.fadd(y, r.select(big, 6.123233995736766e-17, r.select(middle, 3.061616997868383e-17,
                                                                     0.0)))
    base = r.select(big, math.pi / 2, r.select(middle, math.pi / 4, 0.0))
    return r.copysign(f.fadd(base, y), x)


def atan2(r: Real, y: Value, x: Value, low: bool) -> Value:
    f = r.f
    ax, ay = r.abs(x), r.abs(y)
    steep = f.fcmp("ogt", ay, ax)
    top, bottom = f.select(steep, ax, ay), f.select(steep, ay, ax)
    t = f.fdiv(top, bottom)
    t = r.select(f.fcmp("oeq", f.fadd(top, bottom), 0), 0.0, t)
    both = f.and_(f.fcmp("oeq", ax, math.inf), f.fcmp("oeq", ay, math.inf))
    t = r.select(both, 1.0, t)
    angle = atan(r, t, low)
    angle = f.select(steep, f.fadd(f.fsub(r.k(math.pi / 2), angle), 6.123233995736766e-17), angle)
    negative = f.icmp("slt", r.bits(x), 0)
    left = f.fadd(f.fsub(r.k(math.pi), angle), 1.2246467991473532e-16)
    angle = f.select(negative, left, angle)
    # copysign would hide a NaN's origin but keeps it a NaN
    return r.copysign(angle, y)


def asin(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    root = r.sqrt(f.fmul(f.fsub(r.k(1.0), x), f.fadd(x, 1.0)))
    return r.select(f.fcmp("oeq", x, 0), x, atan(r, f.fdiv(x, root), low))


def acos(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    half = atan(r, r.sqrt(f.fdiv(f.fsub(r.k(1.0), x), f.fadd(x, 1.0))), low)
    return f.fadd(half, half)


# ---- hyperbolic functions --------------------------------------------------------------------

def tanh(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    a = r.clamp(r.abs(x), 0.0, 22.0)
    t = expm1(r, f.fadd(a, a), low)
    return r.copysign(f.fdiv(t, f.fadd(t, 2.0)), x)


def sinh(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("sinh", x)
    f = r.f
    t = expm1(r, r.abs(x), low)
    return r.copysign(f.fmul(f.fadd(t, f.fdiv(t, f.fadd(t, 1.0))), 0.5), x)


def cosh(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("cosh", x)
    half = r.f.fmul(exp(r, r.abs(x), low), 0.5)
    return r.f.fadd(half, r.f.fdiv(r.k(0.25), half))


def asinh(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("asinh", x)
    f, a = r.f, r.abs(x)
    square = f.fmul(a, a)
    more = f.fdiv(square, f.fadd(r.sqrt(f.fadd(square, 1.0)), 1.0))
    y = log1p(r, f.fadd(a, more), low)
    return r.copysign(r.select(f.fcmp("oeq", a, math.inf), a, y), x)


def acosh(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("acosh", x)
    f = r.f
    t = f.fsub(x, 1.0)
    y = log1p(r, f.fadd(t, r.sqrt(f.fmul(t, f.fadd(t, 2.0)))), low)
    return r.select(f.fcmp("olt", x, 1.0), math.nan, y)


def atanh(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("atanh", x)
    f, a = r.f, r.abs(x)
    y = log1p(r, f.fdiv(f.fadd(a, a), f.fsub(r.k(1.0), a)), low)
    return r.copysign(f.fmul(y, 0.5), x)


# ---- error function and gamma ----------------------------------------------------------------

def erf(r: Real, x: Value, low: bool) -> Value:
    return r.libm("erf", x)


def erfc(r: Real, x: Value, low: bool) -> Value:
    if not low:
        return r.libm("erfc", x)
    f = r.f
    a = r.clamp(r.abs(x), 0.0, 10.2)
    u = f.fdiv(f.fsub(a, 4.0), f.fadd(a, 4.0))
    q = f.fdiv(r.poly(u, table.ERFCX_LOW), f.fadd(f.fadd(a, a), 1.0))
    y = f.fmul(exp(r, f.fneg(f.fmul(a, a)), low), q)
    return r.select(f.fcmp("olt", x, 0), f.fsub(r.k(2.0), y), y)


def erfinv(r: Real, x: Value, low: bool) -> Value:
    f, a = r.f, r.abs(x)
    w = f.fneg(log(r, f.fmul(f.fsub(r.k(1.0), a), f.fadd(a, 1.0)), low))
    s = r.sqrt(w)
    p = r.select(f.fcmp("olt", w, 5.0), r.poly(w, table.ERFINV_CENTER),
                 r.poly(s, table.ERFINV_TAIL))
    if low:
        y = f.fmul(a, p)
    else:
        p = r.select(f.fcmp("ogt", s, 4.27), r.poly(s, table.ERFINV_FAR), p)
        y = _refined_erfinv(r, a, f.fmul(a, p))
    y = r.select(f.fcmp("oeq", a, 1.0), math.inf, y)
    y = r.select(f.fcmp("ole", a, 1.0), y, math.nan)
    return r.copysign(y, x)


def _refined_erfinv(r: Real, a: Value, y: Value) -> Value:
    """One step of Halley's method for erf(y) = a, 0 <= a < 1."""
    f = r.f
    near = f.fsub(r.libm("erf", y), a)
    far = f.fsub(f.fsub(r.k(1.0), a), r.libm("erfc", y))
    error = r.select(f.fcmp("olt", a, 0.5), near, far)
    slope = f.fmul(exp(r, f.fneg(f.fmul(y, y)), False), 2 / math.sqrt(math.pi))
    step = f.fdiv(error, slope)
    return f.fsub(y, f.fdiv(step, r.fma(y, step, 1.0)))


def lgamma(r: Real, x: Value, low: bool) -> Value:
    return r.libm("lgamma", x)


# Bernoulli numbers B(2k) / 2k of digamma's asymptotic series
_DIGAMMA = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)


def digamma(r: Real, x: Value, low: bool) -> Value:
    f = r.f
    reflect = f.fcmp("ole", x, 0)
    start = r.select(reflect, f.fsub(r.k(1.0), x), x)
    with f.loop(0, 10, carry=[start, r.k(0.0)]) as turn:  # psi(x) = psi(x + 1) - 1/x
        at, total = turn.carried
        small = f.fcmp("olt", at, 10.0)
        turn.next(r.select(small, f.fadd(at, 1.0), at),
                  r.select(small, f.fsub(total, f.fdiv(r.k(1.0), at)), total))
    at, total = turn.results
    z = f.fdiv(r.k(1.0), f.fmul(at, at))
    y = f.fsub(log(r, at, False), f.fdiv(r.k(0.5), at))
    y = f.fadd(f.fsub(y, f.fmul(z, r.poly(z, _DIGAMMA))), total)
    whole, _ = r.nearest(r.clamp(x, -1e15, 1e15))
    whole = r.select(f.fcmp("olt", x, -1e15), x, whole)  # all of them are whole numbers
    angle = f.fmul(f.fsub(x, whole), math.pi)
    mirrored = f.fsub(y, f.fdiv(r.k(math.pi), tan(r, angle, False)))
    mirrored = r.select(f.fcmp("oeq", x, whole), math.nan, mirrored)
    mirrored = r.select(f.fcmp("oeq", x, 0), r.copysign(r.k(math.inf), f.fneg(x)), mirrored)
    y = f.select(reflect, mirrored, y)
    return r.select(f.fcmp("oeq", x, math.inf), x, r.select(f.fcmp("oeq", x, -math.inf), math.nan,
                                                            y))


def power(r: Real, x: Value, y: Value) -> Value:
    """|x|^y for operands converted from f32, without special cases."""
    f = r.f
    a = r.abs(x)
    m, e = r.normalised(a, denormals=False)
    _, s, rest = _log_reduced(r, m, True)
    logarithm = r.fma(r.fma(s, rest, f.fadd(s, s)), _LOG2E, e)
    logarithm = r.select(f.fcmp("oeq", a, math.inf), math.inf, logarithm)
    logarithm = r.select(f.fcmp("oeq", a, 0), -math.inf, logarithm)
    return exp2(r, f.fmul(logarithm, y), True)
