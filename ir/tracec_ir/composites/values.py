"""Ops whose result is an operand as it is: copies, fills, and what gradients see of it."""

from __future__ import annotations

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import back, is_number
from .samples import of


@composite(samples=of("f3x4", dtype=dtypes.f64))
def to(b, x, *, dtype):
    """x in another dtype."""
    return b.cast(x, dtype)


# x gets zeros, not nothing: in PyTorch filled tensors keep their place in the graph.
def _fill_vjp(b: Builder, op: Op, g: Value):
    x, value = op.operands
    return [b.zeros_like(x), back(b, g, value)]


@composite(vjp=_fill_vjp, samples=of("f3x4", 2.5))
def fill(b, x, value):
    """A tensor like x filled with one value."""
    if not is_number(value) and value.rank:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.rank} "
            "dimensions."
        )
    return b.broadcast_to(b.cast(value, x.dtype), x.shape)


@composite(inline=True, samples=of("f3x4"))
def clone(b, x):
    """A fresh tensor with the elements of x."""
    return x


@composite(inline=True, samples=of(2.5, shape=(2, 3), dtype=dtypes.f32))
def full(b, value, *, shape, dtype):
    """A tensor of one value."""
    return b.broadcast_to(b.cast(value, dtype), tuple(shape))


@composite(nondiff=True, samples=of("f3x4"))
def detach(b, x):
    """x itself, which gradients do not cross."""
    return x


@composite(vjp=lambda b, op, g: [None, g], samples=of("f3x4", "f3x4"))
def keep_history(b, value, x):
    """value, which gradients treat as if it were still x: written where nobody recorded."""
    return value
