"""Ops whose result is an operand as it is: copies, fills, and what gradients see of it."""

from __future__ import annotations

from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import back, is_number


@composite()
def to(b, x, *, dtype):
    """x in another dtype."""
    return b.cast(x, dtype)


# x gets zeros, not nothing: in PyTorch filled tensors keep their place in the graph.
def _fill_vjp(b: Builder, op: Op, g: Value):
    x, value = op.operands
    return [b.zeros_like(x), back(b, g, value)]


@composite(vjp=_fill_vjp)
def fill(b, x, value):
    """A tensor like x filled with one value."""
    if not is_number(value) and value.rank:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.rank} "
            "dimensions."
        )
    return b.broadcast_to(b.cast(value, x.dtype), x.shape)


@composite(inline=True)
def clone(b, x):
    """A fresh tensor with the elements of x."""
    return x


@composite(inline=True)
def full(b, value, *, shape, dtype):
    """A tensor of one value."""
    return b.broadcast_to(b.cast(value, dtype), tuple(shape))


@composite(nondiff=True)
def detach(b, x):
    """x itself, which gradients do not cross."""
    return x


@composite(vjp=lambda b, op, g: [None, g])
def keep_history(b, value, x):
    """value, which gradients treat as if it were still x: written where nobody recorded."""
    return value
