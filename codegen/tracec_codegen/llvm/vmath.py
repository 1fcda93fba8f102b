"""Transcendental functions on vectors of any width: which code serves which element type.

f32 functions are computed in single (vmath32) where that is accurate enough, else in double with
short polynomials; f64 functions in double (vmath64), some by the C library lane after lane.
"""

from __future__ import annotations

import math

from ..target import Target
from . import vmath32, vmath64
from .text import Function, Value, bits_of, with_element
from .vreal import Real

UNARY = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
         "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc",
         "erfinv", "lgamma", "digamma")
BINARY = ("pow", "atan2", "hypot")
_SINGLE = {"exp": vmath32.exp, "log": vmath32.log, "tanh": vmath32.tanh, "erf": vmath32.erf}
_PERIODIC = ("sin", "cos", "tan")


def unary(f: Function, target: Target, name: str, x: Value) -> Value:
    """A function of one operand, float or double."""
    r = Real(f, target, x.type)
    if name == "lgamma":
        return r.libm(name, x)
    if not r.double and name in _SINGLE:
        return _SINGLE[name](r, x)
    emit = getattr(vmath64, name)
    if r.double:
        result = emit(r, x, False)
    else:
        wide = Real(f, target, with_element(x.type, "double"))
        result = f.cast("fptrunc", emit(wide, f.cast("fpext", x, "double"), True), "float")
    if name in _PERIODIC:
        far = f.fcmp("uge", r.abs(x), vmath64.TRIG_LIMIT)
        return r.rarely(far, result, lambda: r.libm(name, x))
    return result


def binary(f: Function, target: Target, name: str, x: Value, y: Value) -> Value:
    """A function of two operands, float or double."""
    r = Real(f, target, x.type)
    if r.double:
        return vmath64.atan2(r, x, y, False) if name == "atan2" else r.libm(name, x, y)
    if name == "pow":
        return _pow(r, x, y)
    wide = Real(f, target, with_element(x.type, "double"))
    a, b = f.cast("fpext", x, "double"), f.cast("fpext", y, "double")
    if name == "atan2":
        return f.cast("fptrunc", vmath64.atan2(wide, a, b, True), "float")
    length = f.cast("fptrunc", wide.sqrt(f.fadd(f.fmul(a, a), f.fmul(b, b))), "float")
    infinite = f.or_(f.fcmp("oeq", r.abs(x), math.inf), f.fcmp("oeq", r.abs(y), math.inf))
    return r.select(infinite, math.inf, length)


def _pow(r: Real, x: Value, y: Value) -> Value:
    f = r.f
    wide = Real(f, r.target, with_element(x.type, "double"))
    a, b = f.cast("fpext", x, "double"), f.cast("fpext", y, "double")
    v = f.cast("fptrunc", vmath64.power(wide, a, b), "float")
    v = r.select(f.fcmp("uno", x, y), math.nan, v)
    # a negative base: sign of odd powers, NaN for fractions
    whole = f.fcmp("oeq", rounded(f, r.target, "trunc", y), y)
    half = f.fmul(y, 0.5)
    odd = f.and_(whole, f.fcmp("one", rounded(f, r.target, "trunc", half), half))
    negative = f.icmp("slt", r.bits(x), 0)
    v = f.select(f.and_(odd, negative), f.fneg(v), v)
    finite = f.and_(f.fcmp("olt", x, 0), f.fcmp("ogt", x, -math.inf))
    v = r.select(f.and_(finite, f.not_(whole)), math.nan, v)
    # 1 to any power, any base to the power 0, and -1 to an infinite power
    one = f.or_(f.fcmp("oeq", y, 0), f.fcmp("oeq", x, 1.0))
    minus = f.and_(f.fcmp("oeq", x, -1.0), f.fcmp("oeq", r.abs(y), math.inf))
    return r.select(f.or_(one, minus), 1.0, v)


def rounded(f: Function, target: Target, name: str, x: Value) -> Value:
    """floor, ceil, trunc or round (half to even)."""
    if target.isa not in ("sse2", "generic"):
        return f.intrinsic("roundeven" if name == "round" else name, x)
    # without an instruction: adding and subtracting 2^mantissa rounds to a whole number
    r = Real(f, target, x.type)
    a = r.abs(x)
    limit = 2.0 ** r.mantissa
    y = f.fsub(f.fadd(a, limit), limit)
    if name == "trunc":
        y = f.select(f.fcmp("ogt", y, a), f.fsub(y, 1.0), y)
    y = r.copysign(f.select(f.fcmp("olt", a, limit), y, a), x)
    if name == "floor":
        y = f.select(f.fcmp("ogt", y, x), f.fsub(y, 1.0), y)
    elif name == "ceil":
        y = r.copysign(f.select(f.fcmp("olt", y, x), f.fadd(y, 1.0), y), x)
    return y


def fmod(f: Function, target: Target, x: Value, y: Value) -> Value:
    """The exact remainder of x / y with x's sign."""
    r = Real(f, target, x.type)
    a, b = r.abs(x), r.abs(y)
    quotient = f.fdiv(a, b)
    near = f.and_(f.fcmp("olt", quotient, 2.0 ** (r.mantissa - 2)), f.fcmp("olt", b, math.inf))
    whole = rounded(f, target, "trunc", quotient)
    if bits_of(x.type) == 32:  # products of floats are exact in double
        wide = [f.cast("fpext", v, "double") for v in (a, b, whole)]
        rest = f.cast("fptrunc", f.fsub(wide[0], f.fmul(wide[2], wide[1])), "float")
    else:
        rest = f.fma(f.fneg(whole), b, a)
    rest = f.select(f.fcmp("olt", rest, 0), f.fadd(rest, b), rest)
    rest = f.select(f.fcmp("oge", rest, b), f.fsub(rest, b), rest)
    return r.rarely(f.not_(near), r.copysign(rest, x), lambda: r.libm("fmod", x, y))
