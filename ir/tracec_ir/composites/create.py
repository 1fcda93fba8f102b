"""Filling and copying."""

from __future__ import annotations

from ..builder import Builder
from ..core import Value
from ..optable import composite


@composite(inline=True, nondiff=True)
def full(b: Builder, value: Value, *, shape, dtype) -> Value:
    """A tensor of `shape` whose elements all have one value."""
    return b.broadcast_to(b.cast(value, dtype), tuple(shape))


@composite(inline=True)
def clone(b: Builder, x: Value) -> Value:
    """x itself; the result is kept in memory of its own."""
    return x
