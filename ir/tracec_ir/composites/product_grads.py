"""The derivatives of products, whole and running, exact where factors are zero.

Dividing the product by a factor gives the product of the others, unless the factor is 0. There a
product is R * E: R the product of the factors that are not 0, E that of those that are, a
polynomial whose own derivatives do not vanish. The cheap formulas below hold for the first
derivative; their derivatives are those of R * E, which is exact up to the third.
"""

from __future__ import annotations

from collections.abc import Callable

from .. import dtypes
from ..autodiff import transpose
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.reduce import restore
from ..prims.scan import from_the_end
from .samples import of


def _ones(b: Builder, x: Value) -> Value:
    return b.full(1, x.dtype, x.shape)


def _split(b: Builder, x: Value, total: Callable[[Value], Value]) -> tuple[Value, Value]:
    """(x with ones for its zeros, the product of its zeros) where `total` sums over a product's
    factors: 1 without any; the elementary symmetric polynomial of degree n for n of them, by
    Newton's identities, up to 3; 0 for more."""
    zero = b.eq(x, 0)
    count = total(b.cast(zero, dtypes.i64))
    small = b.select(zero, x, b.zeros_like(x))
    squares = b.mul(small, small)
    p1, p2, p3 = total(small), total(squares), total(b.mul(squares, small))
    p11 = b.mul(p1, p1)
    two = b.mul(b.sub(p11, p2), 0.5)
    three = b.mul(b.add(b.sub(b.mul(p11, p1), b.mul(b.mul(p1, p2), 3)), b.mul(p3, 2)), 1 / 6)
    out = b.zeros_like(p1)
    for n, value in enumerate((_ones(b, p1), p1, two, three)):
        out = b.select(b.eq(count, n), value, out)
    return b.select(zero, _ones(b, x), x), out


def _product_vjp(b: Builder, op: Op, g: Value):
    x, axes = op.operands[0], op.attrs["axes"]
    return [b.div(restore(b, b.mul(g, op.results[0]), x, axes), x)]


@composite(vjp=_product_vjp, samples=of("h3x4", axes=(1,)))
def product_without_zeros(b, x, *, axes):
    """The product over `axes` of factors none of which is 0."""
    return b.reduce(x, "prod", axes)


def _running_vjp(b: Builder, op: Op, g: Value):
    return [b.div(from_the_end(b, b.mul(g, op.results[0]), op.attrs["axis"]), op.operands[0])]


@composite(vjp=_running_vjp, samples=of("h3x4", axis=1))
def running_product_without_zeros(b, x, *, axis):
    """The running product along `axis` of factors none of which is 0."""
    return b.scan(x, kind="prod", axis=axis)


def _others_vjp(b: Builder, op: Op, g: Value):
    x, axes = op.operands[0], op.attrs["axes"]
    safe, rest = _split(b, x, lambda v: b.reduce(v, "sum", axes))
    whole = b.mul(b.emit1("product_without_zeros", safe, axes=axes), rest)
    (others,) = transpose(b, [whole], [_ones(b, whole)], [x], [x])
    assert others is not None
    return transpose(b, [others], [g], [x], [x])


@composite(vjp=_others_vjp, samples=of("f3x4", axes=(1,)))
def products_of_others(b, x, *, axes):
    """For each element the product over `axes` of all others of its group, shaped like x."""
    zero = b.eq(x, 0)
    safe = b.select(zero, _ones(b, x), x)
    others = restore(b, b.reduce(safe, "prod", axes), x, axes)
    count = restore(b, b.reduce(b.cast(zero, x.dtype), "sum", axes), x, axes)
    nothing = b.zeros_like(x)
    at_zero = b.select(b.eq(count, 1), others, nothing)
    elsewhere = b.select(b.eq(count, 0), b.div(others, safe), nothing)
    return b.select(zero, at_zero, elsewhere)


def _cumulative_vjp(b: Builder, op: Op, h: Value):
    g, x, _ = op.operands
    axis = op.attrs["axis"]
    safe, rest = _split(b, x, lambda v: b.scan(v, kind="sum", axis=axis))
    running = b.mul(b.emit1("running_product_without_zeros", safe, axis=axis), rest)
    (first,) = transpose(b, [running], [g], [x], [x])
    assert first is not None
    to_g, to_x = transpose(b, [first], [h], [g, x], [g, x])
    return [to_g, to_x, None]


@composite(vjp=_cumulative_vjp, samples=of("f3x4", "h3x4", "f3x4", axis=1))
def cumulative_product_grad(b, g, x, y, *, axis):
    """The cotangent of x, where y is its running product along `axis` and has the cotangent g.

    The first zero of a line gets the products that leave it out, the elements behind it nothing.
    """
    zero = b.eq(x, 0)
    count = b.scan(b.cast(zero, dtypes.i64), kind="sum", axis=axis)
    first = b.logical_and(zero, b.eq(count, 1))
    one = _ones(b, x)
    without_first = b.scan(b.select(first, one, x), kind="prod", axis=axis)
    at_first = from_the_end(b, b.mul(g, without_first), axis)
    before = b.div(from_the_end(b, b.mul(g, y), axis), b.select(zero, one, x))
    return b.select(first, at_first, b.select(b.eq(count, 0), before, b.zeros_like(x)))
