"""Rules for select, logic and casts."""

from __future__ import annotations

from ..builder import Builder
from ..core import Value
from ..dtypes import DType
from ..types import TensorType
from .rule import Found, Operands, made_by, number, rule


@rule(
    "select",
    "%1 = const() [value=true, type=b1[2 x 3]] : b1[2 x 3]\n"
    "%2 = select(%1, %x, %y) : f32[2 x 3]\n"
    "return %2",
)
def select_known(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A constant condition chooses one side."""
    condition, x, y = operands
    known = number(condition)
    return None if known is None else x if known else y


@rule("select", "%1 = lt(%x, %y) : b1[2 x 3]\n%2 = select(%1, %x, %x) : f32[2 x 3]\nreturn %2")
def select_same(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Choosing between x and x is x."""
    _, x, y = operands
    return x if x is y else None


@rule(
    "select",
    "%1 = lt(%x, %y) : b1[2 x 3]\n"
    "%2 = bitwise_not(%1) : b1[2 x 3]\n"
    "%3 = select(%2, %x, %y) : f32[2 x 3]\n"
    "return %3",
)
def select_negated(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A negated condition swaps the sides."""
    condition, x, y = operands
    if made_by(condition, "bitwise_not"):
        return b.emit1("select", condition.op.operands[0], y, x)
    return None


@rule(
    "bitwise_not",
    "%1 = lt(%x, %y) : b1[2 x 3]\n"
    "%2 = bitwise_not(%1) : b1[2 x 3]\n"
    "%3 = bitwise_not(%2) : b1[2 x 3]\n"
    "return %3",
)
def not_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """not not x is x."""
    (x,) = operands
    return x.op.operands[0] if made_by(x, "bitwise_not") else None


@rule(
    ("bitwise_and", "bitwise_or"),
    "%1 = lt(%x, %y) : b1[2 x 3]\n%2 = const() [value=true, type=b1[2 x 3]] : b1[2 x 3]\n"
    "%3 = bitwise_and(%1, %2) : b1[2 x 3]\nreturn %3",
)
def logic_with_constant(b: Builder, operands: Operands, attrs: dict, name: str) -> Found:
    """x and true is x, x and false is false; the dual for or."""
    for x, y in (operands, operands[::-1]):
        known = number(y)
        if known is not None and x.dtype.kind == y.dtype.kind == "b":
            return x if bool(known) == (name == "bitwise_and") else y
    return None


@rule("cast", "%1 = cast(%x) [dtype=f32] : f32[2 x 3]\n%2 = neg(%1) : f32[2 x 3]\nreturn %2")
def cast_to_same(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A cast to the type that a tensor has is the tensor."""
    (x,) = operands
    return x if isinstance(x.type, TensorType) and x.dtype is attrs["dtype"] else None


@rule(
    "cast",
    "%1 = cast(%x) [dtype=f64] : f64[2 x 3]\n%2 = cast(%1) [dtype=i32] : i32[2 x 3]\nreturn %2",
)
def cast_through_wider(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A cast by way of a type that holds every value of the first is one cast."""
    (x,) = operands
    if not made_by(x, "cast"):
        return None
    source: Value = x.op.operands[0]
    if not isinstance(source.type, TensorType) or not holds(x.dtype, source.dtype):
        return None
    return b.cast(source, attrs["dtype"])


_DIGITS = {"f64": 53, "f32": 24, "f16": 11, "bf16": 8}


def holds(wide: DType, narrow: DType) -> bool:
    """Whether casting to `wide` loses nothing of any value of `narrow`."""
    if wide is narrow:
        return True
    if narrow.kind == "b":
        return wide.kind in "iuf"
    if wide.kind == "f" and narrow.kind == "f":
        return wide.bits > narrow.bits
    if narrow.kind in "iu" and wide.kind == "f":
        return narrow.bits <= _DIGITS[wide.code] and wide.code in ("f32", "f64")
    if narrow.kind == "u" and wide.kind in "iu":
        return wide.bits > narrow.bits
    return narrow.kind == wide.kind == "i" and wide.bits > narrow.bits
