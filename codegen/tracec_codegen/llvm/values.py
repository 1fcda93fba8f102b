"""Operands of LLVM IR text: typed values, type spellings, constants."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

FLOAT_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
_VECTOR = re.compile(r"<(\d+) x (.+)>")
_SUFFIX = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64", "ptr": "p0"}


class Value(str):
    """Text of an operand together with its LLVM type."""

    __slots__ = ("type",)
    type: str

    def __new__(cls, text: str, type: str) -> Value:
        self = str.__new__(cls, text)
        self.type = type
        return self

    def __repr__(self) -> str:
        return f"{self.type} {str(self)}"


Operand = Value | int | float


# ---- types ---------------------------------------------------------------------------------

def vector_type(element_type: str, lanes: int) -> str:
    """The type of `lanes` elements; one lane is the scalar itself."""
    return element_type if lanes == 1 else f"<{lanes} x {element_type}>"


def lanes_of(type: str) -> int:
    """Number of lanes of a vector type, 1 for a scalar."""
    match = _VECTOR.fullmatch(type)
    return int(match[1]) if match else 1


def element_of(type: str) -> str:
    """Element type of a vector type, the type itself for a scalar."""
    match = _VECTOR.fullmatch(type)
    return match[2] if match else type


def is_float(type: str) -> bool:
    """Whether the type is a floating-point scalar or vector."""
    return element_of(type) in FLOAT_BITS


def bits_of(type: str) -> int:
    """Width of one element in bits; a pointer has 64."""
    element = element_of(type)
    if element in FLOAT_BITS:
        return FLOAT_BITS[element]
    return 64 if element == "ptr" else int(element[1:])


def bytes_of(type: str) -> int:
    """Bytes one element occupies in memory."""
    return max(1, bits_of(type) // 8)


def with_element(type: str, element_type: str) -> str:
    """The type with the same lanes and another element type."""
    return vector_type(element_type, lanes_of(type))


def suffix_of(type: str) -> str:
    """How intrinsic names spell the type: f32, v8i64, p0."""
    lanes, element = lanes_of(type), element_of(type)
    return ("" if lanes == 1 else f"v{lanes}") + _SUFFIX.get(element, element)


# ---- constants -----------------------------------------------------------------------------

def scalar_text(type: str, number: float) -> str:
    """Spelling of a scalar constant."""
    if type == "i1":
        return "true" if number else "false"
    if type == "ptr":
        if number:
            raise ValueError("the only pointer constant is null")
        return "null"
    if type not in FLOAT_BITS:
        value, width = int(number), bits_of(type)
        if value != number:
            raise ValueError(f"{number!r} is no {type}")
        if not -(1 << (width - 1)) <= value < 1 << width:
            raise ValueError(f"{value} does not fit {type}")
        return str(value)
    if type == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', number))[0]:04X}"
    if type == "bfloat":
        bits = struct.unpack("<I", struct.pack("<f", number))[0]
        if number == number:                                  # round to nearest even
            bits += 0x7FFF + ((bits >> 16) & 1)
        return f"0xR{bits >> 16:04X}"
    if type == "float":
        try:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            number = float("inf") if number > 0 else float("-inf")
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


def constant(type: str, number: float) -> Value:
    """A constant; of a vector type, every lane is `number`."""
    lanes, element = lanes_of(type), element_of(type)
    text = scalar_text(element, number)
    return Value(text if lanes == 1 else f"splat ({element} {text})", type)


def vector_constant(element_type: str, numbers: Sequence[float]) -> Value:
    """A vector constant with these lanes."""
    if len(numbers) == 1:
        return constant(element_type, numbers[0])
    inner = ", ".join(f"{element_type} {scalar_text(element_type, n)}" for n in numbers)
    return Value(f"<{inner}>", vector_type(element_type, len(numbers)))


def zero(type: str) -> Value:
    """All bits zero, of any type."""
    return Value("zeroinitializer" if lanes_of(type) > 1 else scalar_text(type, 0), type)


def poison(type: str) -> Value:
    """A value nobody reads."""
    return Value("poison", type)


NULL = Value("null", "ptr")
