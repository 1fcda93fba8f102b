"""Rules for complex numbers and their parts."""

from __future__ import annotations

from ..builder import Builder
from .rule import Found, Operands, made_by, rule


@rule(
    "conj",
    "%1 = complex(%x, %y) : c64[2 x 3]\n"
    "%2 = conj(%1) : c64[2 x 3]\n"
    "%3 = conj(%2) : c64[2 x 3]\n"
    "return %3",
)
def conj_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """The conjugate of a conjugate."""
    (x,) = operands
    return x.op.operands[0] if made_by(x, "conj") else None


@rule(
    ("real", "imag"),
    "%1 = complex(%x, %y) : c64[2 x 3]\n%2 = real(%1) : f32[2 x 3]\nreturn %2",
)
def part_of_pair(b: Builder, operands: Operands, attrs: dict, name: str) -> Found:
    """A part of a number made from its parts."""
    (z,) = operands
    return z.op.operands[0 if name == "real" else 1] if made_by(z, "complex") else None
