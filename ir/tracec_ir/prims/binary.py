"""Pointwise primitives of two operands: arithmetic and bits."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from . import samples as s
from .declare import binary

ALL = "buifc"
REAL = "buif"


def _zeros(b, g, x, y, out):
    return b.zeros_like(x), b.zeros_like(y)


def refuse_zero(divisor: np.ndarray) -> None:
    """RuntimeError, as PyTorch's, if integers are divided by zero."""
    if divisor.dtype.kind in "iub" and np.any(divisor == 0):
        raise RuntimeError("ZeroDivisionError")


# -- arithmetic -----------------------------------------------------------------------------------
@binary(np.add, lambda b, g, x, y, out: (g, g), kinds=ALL, llvm="add", cuda="+",
        samples=s.binary(kinds="fibc"))  # fmt: skip
def add(x, y):
    """x + y (bool: or)."""


def _no_bools(x, y):
    bools = (x.dtype is dtypes.b1) + (y.dtype is dtypes.b1)
    if bools:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
            if bools == 2
            else "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
            "trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )


@binary(np.subtract, lambda b, g, x, y, out: (g, b.neg(g)), kinds=ALL, llvm="sub", cuda="-",
        refuse=_no_bools, samples=s.binary(kinds="fic"))  # fmt: skip
def sub(x, y):
    """x - y."""


@binary(np.multiply, lambda b, g, x, y, out: (b.mul(g, y), b.mul(g, x)), kinds=ALL, llvm="mul",
        cuda="*", samples=s.binary(kinds="fibc"))  # fmt: skip
def mul(x, y):
    """x * y (bool: and)."""


def idiv(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The quotient of integers, rounded toward zero."""
    refuse_zero(y)
    quotient = x // y
    inexact = (quotient * y != x) & ((x < 0) != (y < 0))
    return quotient + inexact.astype(x.dtype)


def _divide(x, y):
    return idiv(x, y) if x.dtype.kind in "iu" else np.divide(x, y)


@binary(_divide, lambda b, g, x, y, out: (b.div(g, y), b.neg(b.mul(g, b.div(out, y)))),
        promote="float", kinds="uifc", llvm="div", cuda="/", cost=4,
        samples=s.binary(kinds="fic", second=(0.5, 3)))  # fmt: skip
def div(x, y):
    """x / y; that of integers is rounded toward zero (`Builder.div` makes them floats first)."""


def _fmod(x, y):
    refuse_zero(y)
    return np.fmod(x, y)


@binary(_fmod, lambda b, g, x, y, out: (g, b.neg(b.mul(g, b.trunc(b.div(x, y))))), kinds="uif",
        llvm="vmath:fmod", cost=20, samples=s.binary(kinds="fi", second=(0.5, 3)))  # fmt: skip
def fmod(x, y):
    """The remainder with the sign of the dividend."""


def _pow(x, y):
    if x.dtype.kind not in "iu":
        return np.power(x, y)
    # like PyTorch: a negative exponent gives 0 unless the base is 1 or -1
    odd = np.where(y % 2 != 0, x, x.dtype.type(1))
    negative = (
        np.where(x == 1, x.dtype.type(1), np.where(x == -1, odd, x.dtype.type(0)))
        if x.dtype.kind == "i"
        else x
    )
    return np.where(y < 0, negative, np.power(x, np.maximum(y, 0).astype(y.dtype)))


def _pow_grad(b, g, x, y, out):
    flat = b.eq(y, 0)
    exponent = b.select(flat, b.full(1, y.dtype, y.shape), y)
    dx = b.mul(g, b.mul(exponent, b.pow(x, b.sub(exponent, 1))))
    at_zero = b.logical_and(b.eq(x, 0), b.ge(b.real(y) if y.dtype.kind == "c" else y, 0))
    base = b.select(at_zero, b.full(1, x.dtype, x.shape), x)
    dy = b.mul(g, b.mul(out, b.log(base)))
    return b.select(flat, b.zeros_like(x), dx), b.select(at_zero, b.zeros_like(y), dy)


def _pow_samples():
    yield from s.binary(0.2, 3, "fc", (-2, 2))()
    for d in s.INTS:
        yield (s.integers((4, 5), dtype=d), s.integers((4, 5), -2, 4, d, 3)), {}


@binary(_pow, _pow_grad, kinds="uifc", llvm="vmath:pow", cost=30, samples=_pow_samples)
def pow_(x, y):
    """x to the power of y."""


# -- choosing one of the two ----------------------------------------------------------------------
def _extremum_grad(wins):
    def grad(b, g, x, y, out):
        shared = b.select(b.eq(x, y), b.mul(g, 0.5), g)
        zero = b.zeros_like(g)
        loses = b.gt(x, y) if wins == "lt" else b.lt(x, y)
        gains = b.lt(x, y) if wins == "lt" else b.gt(x, y)
        return b.select(loses, zero, shared), b.select(gains, zero, shared)

    return grad


@binary(np.maximum, _extremum_grad("gt"), kinds=REAL, llvm="llvm.maximum", cuda="max", cost=2,
        samples=s.binary(kinds="fib"))  # fmt: skip
def maximum(x, y):
    """The larger one; NaN if either is."""


@binary(np.minimum, _extremum_grad("lt"), kinds=REAL, llvm="llvm.minimum", cuda="min", cost=2,
        samples=s.binary(kinds="fib"))  # fmt: skip
def minimum(x, y):
    """The smaller one; NaN if either is."""


# -- floating-point functions ---------------------------------------------------------------------
def _atan2_grad(b, g, x, y, out):
    norm = b.add(b.mul(x, x), b.mul(y, y))
    origin = b.eq(norm, 0)
    scaled = b.div(g, b.select(origin, b.full(1, x.dtype, x.shape), norm))
    return b.mul(scaled, y), b.neg(b.mul(scaled, x))


@binary(np.arctan2, _atan2_grad, promote="float", llvm="vmath:atan2", cost=30,
        samples=s.binary(second=(0.5, 3)))  # fmt: skip
def atan2(x, y):
    """The angle of the point (y, x), in [-pi, pi]."""


@binary(np.hypot, lambda b, g, x, y, out: (b.mul(g, b.div(x, out)), b.mul(g, b.div(y, out))),
        llvm="vmath:hypot", cost=12, samples=s.binary(second=(0.5, 3)))  # fmt: skip
def hypot(x, y):
    """sqrt(x^2 + y^2)."""


# -- bits -----------------------------------------------------------------------------------------
@binary(np.bitwise_and, None, promote="int", kinds="bui", llvm="and", cuda="&",
        samples=s.binary(kinds="ib"))  # fmt: skip
def bitwise_and(x, y):
    """The bits set in both."""


@binary(np.bitwise_or, None, promote="int", kinds="bui", llvm="or", cuda="|",
        samples=s.binary(kinds="ib"))  # fmt: skip
def bitwise_or(x, y):
    """The bits set in either."""


@binary(np.bitwise_xor, None, promote="int", kinds="bui", llvm="xor", cuda="^",
        samples=s.binary(kinds="ib"))  # fmt: skip
def bitwise_xor(x, y):
    """The bits set in exactly one."""


def _shift_samples():
    for d in s.INTS:
        yield (s.integers((4, 5), -90, 90, d), s.integers((4, 5), -2, 70, d, 3)), {}


@binary(np.left_shift, None, promote="int", kinds="ui", llvm="shl", cuda="<<", cost=2,
        samples=_shift_samples)  # fmt: skip
def shl(x, y):
    """x shifted left by y bits; 0 if y is negative or not below the width."""


@binary(np.right_shift, None, promote="int", kinds="ui", llvm="shr", cuda=">>", cost=2,
        samples=_shift_samples)  # fmt: skip
def shr(x, y):
    """x shifted right by y bits, keeping the sign; all sign bits if y is negative or too large."""
