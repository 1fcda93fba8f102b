"""Transcendental functions on vectors of any width: the entry points of the emitter.

Functions without a polynomial here call the C library once per lane.
"""

from __future__ import annotations

from ..target import Target
from .text import Function, Value, constant, element_of, lanes_of

UNARY = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
         "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc",
         "erfinv", "lgamma", "digamma")
BINARY = ("pow", "atan2", "hypot")


def unary(f: Function, target: Target, name: str, x: Value) -> Value:
    """A function of one operand."""
    return per_lane(f, name, x)


def binary(f: Function, target: Target, name: str, x: Value, y: Value) -> Value:
    """A function of two operands."""
    return per_lane(f, name, x, y)


def per_lane(f: Function, name: str, *operands: Value) -> Value:
    """The C library's function, lane after lane."""
    type = operands[0].type
    element, lanes = element_of(type), lanes_of(type)
    symbol = name + ("f" if element == "float" else "")
    if lanes == 1:
        return f.call(symbol, element, *operands)
    result = Value("poison", type)
    for k in range(lanes):
        one = f.call(symbol, element, *(f.extract(x, k) for x in operands))
        result = f.insert(result, one, k)
    return result


def rounded(f: Function, target: Target, name: str, x: Value) -> Value:
    """floor, ceil, trunc or round (half to even)."""
    return f.intrinsic("roundeven" if name == "round" else name, x)


def fmod(f: Function, target: Target, x: Value, y: Value) -> Value:
    """The exact remainder of x / y with x's sign."""
    return per_lane(f, "fmod", x, y)


__all__ = ["BINARY", "UNARY", "binary", "constant", "fmod", "per_lane", "rounded", "unary"]
