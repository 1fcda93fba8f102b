"""Finite differences along a dimension (Fornberg, Math. Comp. 51, 1988)."""

from __future__ import annotations

from ..builder import Builder
from ..core import Value
from ..dims import Dim
from ..optable import composite
from .common import axis, take
from .samples import each, of


def _checked(x: Value, edge_order: int) -> None:
    if x.dtype.code == "u8":
        raise RuntimeError("torch.gradient does not support uint8 input.")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")


@composite(samples=each(of("f4x3", 0.5, dim=0), of("f4x3", 0.5, dim=0, edge_order=2)))
def gradient_step(b, x, h, *, dim, edge_order=1):
    """The derivative along `dim` of samples that lie h apart."""
    _checked(x, edge_order)
    ax = axis(x, dim)
    n = x.shape[ax]

    def at(i: Dim) -> Value:
        return take(b, x, ax, i, i + 1)

    inside = b.div(b.sub(take(b, x, ax, 2, n), take(b, x, ax, 0, n - 2)), b.mul(h, 2))
    if edge_order == 1:
        first, last = b.div(b.sub(at(1), at(0)), h), b.div(b.sub(at(n - 1), at(n - 2)), h)
    else:

        def edge(near: Value, middle: Value, far: Value) -> Value:
            return b.add(b.add(b.mul(near, -1.5), b.mul(middle, 2)), b.mul(far, -0.5))

        first = b.div(edge(at(0), at(1), at(2)), h)
        last = b.neg(b.div(edge(at(n - 1), at(n - 2), at(n - 3)), h))
    return b.apply("cat", (first, inside, last), {"dim": ax})[0]


def _weights(b: Builder, d1: Value, d2: Value, where: str) -> tuple[Value, Value, Value]:
    """What f before, at and behind a point count in the derivative `where` ("first", "inside" or
    "last" of the three), for distances d1 and d2 between them."""
    both = b.add(d1, d2)
    lower, middle, upper = b.mul(d1, both), b.mul(d1, d2), b.mul(d2, both)
    if where == "inside":
        return b.neg(b.div(d2, lower)), b.div(b.sub(d2, d1), middle), b.div(d1, upper)
    if where == "first":
        return (
            b.neg(b.div(b.add(b.mul(d1, 2), d2), lower)),
            b.div(both, middle),
            b.neg(b.div(d1, upper)),
        )
    return (
        b.div(d2, lower),
        b.neg(b.div(both, middle)),
        b.div(b.add(b.mul(d2, 2), d1), upper),
    )


@composite(samples=each(of("f4x3", "a4", dim=0), of("f4x3", "a4", dim=0, edge_order=2)))
def gradient_coordinates(b, x, coordinates, *, dim, edge_order=1):
    """The derivative along `dim` of samples at these coordinates."""
    _checked(x, edge_order)
    ax = axis(x, dim)
    n = x.shape[ax]
    row = b.reshape(coordinates, [n if i == ax else 1 for i in range(x.rank)])
    d = b.sub(take(b, row, ax, 1, n), take(b, row, ax, 0, n - 1))

    def combined(start: Dim, count: Dim, where: str) -> Value:
        """From `count` triples of neighbours, the first of which begins at `start`."""
        d1, d2 = (take(b, d, ax, start + i, start + i + count) for i in range(2))
        terms = [
            b.mul(weight, take(b, x, ax, start + i, start + i + count))
            for i, weight in enumerate(_weights(b, d1, d2, where))
        ]
        return b.add(b.add(terms[0], terms[1]), terms[2])

    def slope(i: Dim) -> Value:
        return b.div(b.sub(take(b, x, ax, i + 1, i + 2), take(b, x, ax, i, i + 1)),
                     take(b, d, ax, i, i + 1))  # fmt: skip

    if edge_order == 1:
        first, last = slope(0), slope(n - 2)
    else:
        first, last = combined(0, 1, "first"), combined(n - 3, 1, "last")
    return b.apply("cat", (first, combined(0, n - 2, "inside"), last), {"dim": ax})[0]
