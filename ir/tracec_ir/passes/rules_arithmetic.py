"""Rules of arithmetic that hold for every element, NaN, infinities and -0.0 included."""

from __future__ import annotations

import math

import numpy as np

from ..builder import Builder
from ..core import Value
from ..optable import lookup
from ..types import TensorType
from .rule import Found, Operands, is_number, made_by, number, pointwise_ops, rule, splat


def _like(b: Builder, v: Value, value: object) -> Value:
    return b.full(value, v.dtype, v.shape)


# -- constants ------------------------------------------------------------------------------------
@rule(
    pointwise_ops(first="neg"),
    "%0 = const() [value=2.0, type=f32[]] : f32[]\n%1 = neg(%0) : f32[]\nreturn %1",
)
def fold_constants(b: Builder, operands: Operands, attrs: dict, name: str) -> Found:
    """An op on 0-d constants is a constant."""
    if not operands or any(
        not made_by(v, "const") or getattr(v.type, "shape", ()) for v in operands
    ):
        return None
    (t,) = lookup(name).infer([v.type for v in operands], attrs)
    if t.dtype.kind == "c" or any(v.dtype.kind == "c" for v in operands):
        return None
    numbers = [v.op.attrs["value"] for v in operands]
    arrays = [
        np.asarray(n).astype(v.dtype.numpy) if isinstance(v.type, TensorType) else n
        for n, v in zip(numbers, operands, strict=True)
    ]
    reference = lookup(name).numpy
    assert reference is not None, f"{name} has no reference"
    with np.errstate(all="ignore"):
        try:
            out = reference(*arrays, **attrs)
        except (ArithmeticError, RuntimeError):
            return None  # it fails when it is run, as it should
    return b.const(np.asarray(out).item(), t.dtype)


@rule(
    pointwise_ops(first="exp"),
    "%1 = broadcast(%k) [shape=(2, 3)] : f32[2 x 3]\n%2 = exp(%1) : f32[2 x 3]\nreturn %2",
)
def splats_last(b: Builder, operands: Operands, attrs: dict, name: str) -> Found:
    """An op on repeated 0-d values is the repeated op on the 0-d values."""
    if not operands or not isinstance(operands[0].type, TensorType) or not operands[0].shape:
        return None
    scalars = [splat(v) for v in operands]
    if any(s is None for s in scalars):
        return None
    out = b.emit(name, scalars, attrs)[0]
    return b.broadcast_to(out, tuple(operands[0].shape))


# -- identities -----------------------------------------------------------------------------------
@rule(
    "add",
    "%1 = const() [value=-0.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = add(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def add_zero(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x + -0.0 is x for every float (-0.0 + 0.0 is 0.0, so 0.0 will not do); x + 0 for integers."""
    zero = -0.0 if operands[0].dtype.kind == "f" else 0
    for x, y in (operands, operands[::-1]):
        if is_number(y, zero):
            return x
    return None


@rule(
    "sub",
    "%1 = const() [value=0.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = sub(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def subtract_zero(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x - 0.0 is x, -0.0 included."""
    x, y = operands
    return x if is_number(y, 0.0 if x.dtype.kind == "f" else 0) else None


@rule(
    "mul",
    "%1 = const() [value=1.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = mul(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def multiply_by_one(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x * 1 is x."""
    for x, y in (operands, operands[::-1]):
        if is_number(y, 1):
            return x
    return None


@rule(
    "mul",
    "%1 = const() [value=-1.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = mul(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def multiply_by_minus_one(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x * -1 is -x."""
    for x, y in (operands, operands[::-1]):
        if x.dtype.kind in "if" and is_number(y, -1):
            return b.emit1("neg", x)
    return None


@rule(
    "mul",
    "%1 = const() [value=0, type=i64[2 x 3]] : i64[2 x 3]\n"
    "%2 = mul(%i, %1) : i64[2 x 3]\n"
    "return %2",
)
def multiply_integers_by_zero(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x * 0 is 0 for integers (for floats it may be NaN or -0.0)."""
    for x, y in (operands, operands[::-1]):
        if x.dtype.kind in "iu" and is_number(y, 0):
            return _like(b, x, 0)
    return None


@rule(
    "div",
    "%1 = const() [value=1.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = div(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def divide_by_one(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x / 1 is x."""
    x, y = operands
    return x if is_number(y, 1) else None


@rule(
    "div",
    "%1 = const() [value=4.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = div(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def divide_by_power_of_two(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x / 2^n is x * 2^-n, exactly."""
    x, y = operands
    n = number(y)
    if not isinstance(n, float) or x.dtype.kind != "f" or not math.isfinite(n) or n == 0:
        return None
    if abs(math.frexp(n)[0]) != 0.5 or not 2.0**-14 <= abs(n) <= 2.0**14:
        return None  # reciprocals of these are normal numbers of every float type
    return b.emit1("mul", x, _like(b, x, 1 / n))


# -- signs ----------------------------------------------------------------------------------------
@rule("neg", "%1 = neg(%x) : f32[2 x 3]\n%2 = neg(%1) : f32[2 x 3]\nreturn %2")
def negate_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """-(-x) is x."""
    (x,) = operands
    return x.op.operands[0] if made_by(x, "neg") else None


@rule("add", "%1 = neg(%y) : f32[2 x 3]\n%2 = add(%x, %1) : f32[2 x 3]\nreturn %2")
def add_negative(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x + -y is x - y."""
    for x, y in (operands, operands[::-1]):
        if made_by(y, "neg"):
            return b.emit1("sub", x, y.op.operands[0])
    return None


@rule("sub", "%1 = neg(%y) : f32[2 x 3]\n%2 = sub(%x, %1) : f32[2 x 3]\nreturn %2")
def subtract_negative(b: Builder, operands: Operands, attrs: dict) -> Found:
    """x - -y is x + y."""
    x, y = operands
    return b.emit1("add", x, y.op.operands[0]) if made_by(y, "neg") else None


@rule(
    ("mul", "div"),
    "%1 = neg(%x) : f32[2 x 3]\n"
    "%2 = neg(%y) : f32[2 x 3]\n"
    "%3 = mul(%1, %2) : f32[2 x 3]\n"
    "return %3",
)
def multiply_negatives(b: Builder, operands: Operands, attrs: dict, name: str) -> Found:
    """-x * -y is x * y, and so for the quotient."""
    x, y = operands
    if x.dtype.kind == "f" and made_by(x, "neg") and made_by(y, "neg"):
        return b.emit1(name, x.op.operands[0], y.op.operands[0])
    return None


@rule("abs", "%1 = neg(%x) : f32[2 x 3]\n%2 = abs(%1) : f32[2 x 3]\nreturn %2")
def absolute_of_negative(b: Builder, operands: Operands, attrs: dict) -> Found:
    """|-x| and ||x|| are |x|."""
    (x,) = operands
    if x.dtype.kind == "f" and made_by(x, "neg"):
        return b.emit1("abs", x.op.operands[0])
    return x if made_by(x, "abs") and x.dtype.kind == "f" else None


# -- powers ---------------------------------------------------------------------------------------
@rule(
    "pow",
    "%1 = const() [value=2.0, type=f32[2 x 3]] : f32[2 x 3]\n"
    "%2 = pow(%x, %1) : f32[2 x 3]\n"
    "return %2",
)
def constant_power(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Small constant exponents are products, roots and quotients, as PyTorch computes them."""
    x, y = operands
    n = number(y)
    if n is None or x.dtype.kind == "c" or isinstance(n, complex):
        return None
    if n == 0:
        return _like(b, x, 1)
    if n == 1:
        return x
    if n in (2, 3):
        square = b.emit1("mul", x, x)
        return square if n == 2 else b.emit1("mul", square, x)
    if x.dtype.kind != "f":
        return None
    if n == 0.5:
        return b.emit1("sqrt", x)
    if n in (-1, -2, -0.5):
        below = x if n == -1 else b.emit1("mul", x, x) if n == -2 else b.emit1("sqrt", x)
        return b.emit1("div", _like(b, x, 1), below)
    return None


# -- extremes -------------------------------------------------------------------------------------
@rule(
    ("maximum", "minimum", "bitwise_and", "bitwise_or"),
    "%1 = maximum(%x, %x) : f32[2 x 3]\nreturn %1",
)
def idempotent(b: Builder, operands: Operands, attrs: dict) -> Found:
    """max(x, x) is x, and so for every operation that picks."""
    x, y = operands
    return x if x is y else None
