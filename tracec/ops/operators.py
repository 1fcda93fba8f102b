"""Python operators of Tensor that `tensor.py` does not tune by hand."""

from __future__ import annotations

from typing import Any

from ..record import apply, unary
from ..tensor import Tensor, _operand
from .face import add as list_as
from .pointwise import pow as power


def _pow(self: Tensor, other: Any) -> Any:
    """`self ** other`."""
    other = _operand(other)
    return NotImplemented if other is NotImplemented else power(self, other)


def _rpow(self: Tensor, other: Any) -> Any:
    """`other ** self`."""
    other = _operand(other)
    return NotImplemented if other is NotImplemented else apply("pow", (other, self))


def _ipow(self: Tensor, other: Any) -> Any:
    """`self **= other`."""
    return self.pow_(other)


def _invert(self: Tensor) -> Tensor:
    """`~self`."""
    return unary("bitwise_not", self)


def _rfloordiv(self: Tensor, other: Any) -> Any:
    """`other // self`."""
    other = _operand(other)
    return NotImplemented if other is NotImplemented else apply("floor_divide", (other, self))


def _reversed(self: Tensor) -> Tensor:
    """`reversed(self)`: flipped along the first dimension."""
    return apply("flip", (self,), (("dims", (0,)),)) if self.dim() else self


for _fn, _name in (
    (_pow, "__pow__"), (_rpow, "__rpow__"), (_ipow, "__ipow__"), (_invert, "__invert__"),
    (_rfloordiv, "__rfloordiv__"), (_reversed, "__reversed__"),
):  # fmt: skip
    _fn.__name__ = _fn.__qualname__ = _name
    list_as(_fn, "method", _name)
