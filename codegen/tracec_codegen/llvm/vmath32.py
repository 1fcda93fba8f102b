"""Transcendental functions in single arithmetic: those that dominate training loops.

Errors stay below 2 units in the last place; inf, NaN, signed zeros and denormals are right.
"""

from __future__ import annotations

import math

from . import coefficients as table
from .text import Value
from .vreal import Real

_LN2_HIGH, _LN2_LOW = 0.693359375, math.log(2) - 0.693359375  # the first has few bits
_EXP_LIMIT = 110.0


def _exp_parts(r: Real, x: Value) -> tuple[Value, Value]:
    """(bits of n, exp(rest) - 1) with x = n log 2 + rest."""
    f = r.f
    n, i = r.nearest(x, 1 / math.log(2))
    rest = r.fma(n, -_LN2_LOW, r.fma(n, -_LN2_HIGH, x))
    tail = r.fma(rest, r.poly(rest, table.EXP_32), 0.5)
    return i, r.fma(f.fmul(rest, rest), tail, rest)


def exp(r: Real, x: Value) -> Value:
    i, p = _exp_parts(r, r.clamp(x, -_EXP_LIMIT, _EXP_LIMIT))
    return r.scaled(r.f.fadd(p, 1.0), i)


def log(r: Real, x: Value) -> Value:
    f = r.f
    m, e = r.normalised(x)
    part = f.fsub(m, 1.0)
    square = f.fmul(part, part)
    y = f.fmul(f.fmul(square, part), r.poly(part, table.LOG_32))
    y = r.fma(e, _LN2_LOW, y)
    y = r.fma(square, -0.5, y)
    y = r.fma(e, _LN2_HIGH, f.fadd(part, y))
    y = r.select(f.fcmp("oeq", x, math.inf), x, y)
    y = r.select(f.fcmp("oeq", x, 0), -math.inf, y)
    return r.select(f.fcmp("oge", x, 0), y, math.nan)


def tanh(r: Real, x: Value) -> Value:
    f, a = r.f, r.abs(x)
    z = f.fmul(x, x)
    small = r.fma(f.fmul(x, z), r.poly(z, table.TANH_32), x)
    i, p = _exp_parts(r, r.clamp(f.fadd(a, a), 0.0, 40.0))
    e = r.shifted(f.fadd(p, 1.0), i)
    big = f.fsub(r.k(1.0), f.fdiv(r.k(2.0), f.fadd(e, 1.0)))
    y = f.select(f.fcmp("olt", a, 0.625), small, big)
    return r.copysign(y, x)


def erf(r: Real, x: Value) -> Value:
    f, a = r.f, r.abs(x)
    z = f.fmul(x, x)
    small = r.fma(x, r.poly(z, table.ERF_SMALL_32), x)
    bounded = r.select(f.fcmp("ogt", a, 4.0), 4.0, a)
    i, p = _exp_parts(r, r.poly(bounded, table.ERF_BIG_32))
    big = f.fsub(r.k(1.0), r.shifted(f.fadd(p, 1.0), i))
    y = f.select(f.fcmp("olt", a, 0.92), small, r.copysign(big, x))
    return r.select(f.fcmp("oeq", x, 0), x, y)
