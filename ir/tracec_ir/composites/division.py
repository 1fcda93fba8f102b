"""Quotients and remainders that are rounded, and reciprocals."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..core import Value
from ..prims import samples as s
from ..prims.binary import idiv as integer_quotient
from ..prims.binary import refuse_zero
from ..prims.declare import binary, unary
from .floats import sign_bit, with_bits


@unary(lambda x: 1 / x, lambda b, g, x, y: b.neg(b.mul(g, b.mul(y, y))), kinds="fc",
       samples=s.unary(0.2, 3, "fc"), derived="exact")  # fmt: skip
def reciprocal(b, x):
    """1 / x."""
    return b.emit1("div", b.full(1, x.dtype, x.shape), x)


@unary(lambda x: 1 / np.sqrt(x),
       lambda b, g, x, y: b.mul(g, b.mul(b.mul(b.mul(y, y), y), -0.5)),
       kinds="fc", samples=s.unary(0.1, 3, "fc"), derived="rounding")  # fmt: skip
def rsqrt(b, x):
    """1 / sqrt(x)."""
    return b.emit1("div", b.full(1, x.dtype, x.shape), b.emit1("sqrt", x))


@binary(integer_quotient, None, promote="int", kinds="ui", samples=s.binary(kinds="i"),
        derived="spelling")  # fmt: skip
def idiv(b, x, y):
    """The integer quotient, rounded toward zero."""
    return b.emit1("div", x, y)


def _opposite(b: Builder, rest: Value, y: Value) -> Value:
    """Whether a remainder is not zero and has another sign than the divisor."""
    zero = b.zeros_like(y)
    if y.dtype.kind == "f":
        differ = b.emit1("bitwise_xor", b.emit1("lt", rest, zero), b.emit1("lt", y, zero))
    else:
        differ = b.emit1("lt", b.emit1("bitwise_xor", rest, y), zero)
    return b.emit1("bitwise_and", b.ne(rest, zero), differ)


def _remainder(x, y):
    refuse_zero(y)
    rest = np.fmod(x, y)
    return np.where((rest != 0) & ((rest < 0) != (y < 0)), rest + y, rest)


@binary(_remainder, lambda b, g, x, y, out: (g, b.neg(b.mul(g, b.floor_divide(x, y)))), kinds="uif",
        samples=s.binary(kinds="fi", second=(0.5, 3)), derived="rounding")  # fmt: skip
def remainder(b, x, y):
    """The remainder with the sign of the divisor."""
    rest = b.emit1("fmod", x, y)
    if x.dtype.kind == "u":
        return rest
    return b.emit1("select", _opposite(b, rest, y), b.emit1("add", rest, y), rest)


def _floor_divide(x, y):
    refuse_zero(y)
    return np.floor_divide(x, y)


@binary(_floor_divide, lambda b, g, x, y, out: (b.zeros_like(x), b.zeros_like(y)), kinds="uif",
        samples=s.binary(kinds="fi", second=(0.5, 3)), derived="rounding")  # fmt: skip
def floor_divide(b, x, y):
    """The quotient rounded down."""
    if x.dtype.kind == "f":
        return _float_floor_divide(b, x, y)
    quotient = b.emit1("div", x, y)
    if x.dtype.kind == "u":
        return quotient
    rest = b.sub(x, b.mul(quotient, y))
    lower = b.emit1("bitwise_and", _opposite(b, rest, y), b.ne(y, 0))  # native x / 0 is 0
    return b.sub(quotient, b.cast(lower, x.dtype))


def _float_floor_divide(b: Builder, x: Value, y: Value) -> Value:
    """As PyTorch: exact remainder first, so that the quotient is never rounded up by one."""
    rest = b.emit1("fmod", x, y)
    quotient = b.div(b.sub(x, rest), y)
    quotient = b.select(_opposite(b, rest, y), b.sub(quotient, 1), quotient)
    floor = b.floor(quotient)
    floor = b.select(b.gt(b.sub(quotient, floor), 0.5), b.add(floor, 1), floor)
    direct = b.div(x, y)
    zero = with_bits(b, sign_bit(b, direct), x.dtype)
    result = b.select(b.eq(quotient, 0), zero, floor)
    return b.select(b.eq(y, 0), direct, result)
