"""Solutions of equations with triangular matrices, by substitution."""

from __future__ import annotations

import numpy as np

from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.host import host_function, leading
from .matrices import host, product, transposed
from .samples import of, positive_definite

BLOCK = 16  # rows that are substituted one by one; larger triangles are halved


def substitute(t: np.ndarray, x: np.ndarray, upper: bool, unit: bool) -> None:
    """x becomes the solution of T X = x, T being a triangle of t with ones on its diagonal if
    `unit`; both are stacks."""
    n = t.shape[-1]
    if n > BLOCK:
        low, high = slice(0, n // 2), slice(n // 2, n)
        first, second = (high, low) if upper else (low, high)
        substitute(t[..., first, first], x[..., first, :], upper, unit)
        x[..., second, :] -= t[..., second, first] @ x[..., first, :]
        substitute(t[..., second, second], x[..., second, :], upper, unit)
        return
    for i in reversed(range(n)) if upper else range(n):
        if not unit:
            x[..., i, :] /= t[..., i, i, None]
        rest = slice(0, i) if upper else slice(i + 1, n)
        x[..., rest, :] -= t[..., rest, i, None] * x[..., i, None, :]


@host_function("triangular", lambda t, y, upper, unit: y, batch=leading)
def _np_triangular(t: np.ndarray, y: np.ndarray, upper: bool, unit: bool) -> np.ndarray:
    """The solutions X of T X = Y."""
    x = np.array(y)
    with np.errstate(all="ignore"):
        substitute(t, x, upper, unit)
    return x


def _vjp(b: Builder, op: Op, g: Value):
    t, x = op.operands[0], op.results[0]
    upper, unit = op.attrs["upper"], op.attrs["unit"]
    gy = b.triangular(transposed(b, t), g, upper=not upper, unit=unit)
    gt = b.neg(product(b, gy, transposed(b, x)))
    gt = b.triu(gt, diagonal=int(unit)) if upper else b.tril(gt, diagonal=-int(unit))
    return [gt, gy]


@composite(vjp=_vjp, samples=of(positive_definite(2, 3, 3), "d2x3x2", upper=True))
def triangular(b, t, y, *, upper, unit=False):
    """The solutions X of T X = Y with a triangle T of t; the stacks have one shape."""
    return host(b, "triangular", t, y, options=(upper, unit))


def above(b: Builder, t: Value, y: Value, unit: bool = False) -> Value:
    """The solution with the upper triangle of t."""
    return b.triangular(t, y, upper=True, unit=unit)


def below(b: Builder, t: Value, y: Value, unit: bool = False) -> Value:
    """The solution with the lower triangle of t."""
    return b.triangular(t, y, upper=False, unit=unit)
