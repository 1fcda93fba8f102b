"""Functions of floating-point numbers that look at signs, bits and NaN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Value
from ..dtypes import DType
from ..prims import samples as s
from ..prims.declare import binary, unary

REAL = "buif"


# -- bits -----------------------------------------------------------------------------------------
def bits(b: Builder, x: Value) -> Value:
    """The bits of floating-point numbers, as signed integers."""
    return b.emit1("bitcast", x, dtype=dtypes.by_code(f"i{x.dtype.bits}"))


def with_bits(b: Builder, x: Value, dtype: DType) -> Value:
    """The floating-point numbers with these bits."""
    return b.emit1("bitcast", x, dtype=dtype)


def _lowest(dtype: DType) -> int:
    """The integer of which only the sign bit is set."""
    return -(1 << (dtype.bits - 1))


def sign_bit(b: Builder, x: Value) -> Value:
    """The bits of floating-point numbers without all but their sign."""
    return b.bitwise_and(bits(b, x), _lowest(x.dtype))


# -- signs ----------------------------------------------------------------------------------------
def _sign(x):
    return x if x.dtype == np.bool_ else np.where(np.isnan(x), x.dtype.type(0), np.sign(x))


@unary(_sign, lambda b, g, x, y: b.zeros_like(x), promote="same", kinds=REAL,
       samples=s.unary(-3, 3, "fib"), derived="exact")  # fmt: skip
def sign(b, x):
    """-1, 0 or 1, as x is negative, zero (or NaN) or positive."""
    if x.dtype.kind == "b":
        return x
    if x.dtype.kind == "u":
        return b.minimum(x, 1)
    if x.dtype.kind == "i":
        return b.maximum(b.minimum(x, 1), -1)
    one, zero, minus = (b.full(k, x.dtype, x.shape) for k in (1, 0, -1))
    up = b.emit1("select", b.emit1("lt", zero, x), one, zero)
    return b.emit1("select", b.emit1("lt", x, zero), minus, up)


def _copysign_grad(b, g, x, y, out):
    zero = b.eq(x, 0)
    ratio = b.div(out, b.select(zero, b.full(1, x.dtype, x.shape), x))
    return b.select(zero, b.zeros_like(g), b.mul(g, ratio)), b.zeros_like(y)


@binary(np.copysign, _copysign_grad, promote="float", samples=s.binary(), derived="exact")
def copysign(b, x, y):
    """The magnitude of x with the sign of y."""
    x_bits, y_bits = bits(b, x), bits(b, y)
    differ = b.bitwise_and(b.bitwise_xor(x_bits, y_bits), _lowest(x.dtype))
    return with_bits(b, b.bitwise_xor(x_bits, differ), x.dtype)


# -- neighbours -----------------------------------------------------------------------------------
def _no_half(x, y):
    if x.dtype.bits == 16:
        raise NotImplementedError(f"\"nextafter_cpu\" not implemented for '{x.dtype.name}'")


def _nextafter_grad(b, g, x, y, out):
    return b.select(b.eq(x, y), b.zeros_like(g), g), b.zeros_like(y)


def _nextafter_samples():
    for d in (dtypes.f32, dtypes.f64):
        yield (s.uniform((3, 4), dtype=d), s.uniform((3, 4), dtype=d, seed=1)), {}
        x, y = np.meshgrid(s.edges(d), s.edges(d))
        yield (x.copy(), y.copy()), {}


@binary(np.nextafter, _nextafter_grad, refuse=_no_half, samples=_nextafter_samples,
        derived="exact")  # fmt: skip
def nextafter(b, x, y):
    """The next representable number from x towards y."""
    grow = b.eq(b.gt(x, 0), b.lt(x, y))  # away from zero
    moved = b.add(bits(b, x), b.select(grow, *_pair(b, x, 1, -1)))
    smallest = b.bitwise_or(sign_bit(b, y), 1)
    value = with_bits(b, b.select(b.eq(x, 0), smallest, moved), x.dtype)
    value = b.select(b.eq(x, y), y, value)
    numbers = b.logical_and(b.eq(x, x), b.eq(y, y))
    return b.select(numbers, value, b.full(math.nan, x.dtype, x.shape))


def _pair(b: Builder, x: Value, *numbers: int) -> list[Value]:
    """Integers of the width of x, as constants."""
    return [b.full(k, dtypes.by_code(f"i{x.dtype.bits}"), x.shape) for k in numbers]


# -- extremes that skip NaN -----------------------------------------------------------------------
def _number_grad(better: str) -> Callable:
    def grad(b, g, x, y, out):
        first = b.logical_or(b.apply(better, (x, y))[0], b.isnan(y))
        zero = b.zeros_like(g)
        return b.select(first, g, zero), b.select(first, zero, g)

    return grad


@binary(np.fmax, _number_grad("ge"), kinds=REAL, samples=s.binary(kinds="fib"), derived="exact")
def fmax(b, x, y):
    """The larger one; a number wins over NaN."""
    if x.dtype.kind != "f":
        return b.emit1("maximum", x, y)
    return b.select(b.eq(y, y), b.select(b.gt(x, y), x, y), x)


@binary(np.fmin, _number_grad("le"), kinds=REAL, samples=s.binary(kinds="fib"), derived="exact")
def fmin(b, x, y):
    """The smaller one; a number wins over NaN."""
    if x.dtype.kind != "f":
        return b.emit1("minimum", x, y)
    return b.select(b.eq(y, y), b.select(b.lt(x, y), x, y), x)
