"""Views and in-place writes through them, as operations of random programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.operations import SCALARS, define, numeric, small
from tests.fuzz.state import BITS, Made, Meta, State, broadcast, needs


def _alias(x: Meta, shape: tuple[int, ...], overlap: bool | None = None) -> Meta:
    return Meta(shape, x.dtype, x.group, x.overlap if overlap is None else overlap)


def _permute(s: State) -> Made | None:
    k = s.pick(lambda m: len(m.shape) > 1)
    if k is None:
        return None
    x = s.values[k]
    order = list(range(len(x.shape)))
    for i in range(len(order) - 1):
        j = s.integer(i, len(order) - 1)
        order[i], order[j] = order[j], order[i]
    return (k,), (tuple(order),), _alias(x, tuple(x.shape[a] for a in order))


define("permute", _permute, lambda c, x, order: x[0].permute(order), weight=3)


def _transpose(s: State) -> Made | None:
    k = s.pick(lambda m: len(m.shape) > 1)
    if k is None:
        return None
    x = s.values[k]
    shape = list(x.shape)
    shape[-1], shape[-2] = shape[-2], shape[-1]
    return (k,), (), _alias(x, tuple(shape))


define("transpose", _transpose, lambda c, x: x[0].transpose(-1, -2), weight=3)


def _unsqueeze(s: State) -> Made | None:
    k = s.pick(lambda m: len(m.shape) < 4)
    if k is None:
        return None
    x = s.values[k]
    dim = s.integer(0, len(x.shape))
    return (k,), (dim,), _alias(x, x.shape[:dim] + (1,) + x.shape[dim:])


define("unsqueeze", _unsqueeze, lambda c, x, dim: x[0].unsqueeze(dim))


def _squeeze(s: State) -> Made | None:
    k = s.pick(lambda m: 1 in m.shape)
    if k is None:
        return None
    x = s.values[k]
    dim = x.shape.index(1)
    return (k,), (dim,), _alias(x, x.shape[:dim] + x.shape[dim + 1 :])


define("squeeze", _squeeze, lambda c, x, dim: x[0].squeeze(dim), weight=1)


def _expand(s: State) -> Made | None:
    k = s.pick(lambda m: len(m.shape) < 4)
    if k is None:
        return None
    x = s.values[k]
    more = (s.choice((1, 2, 3)),) * s.integer(0, 1)
    shape = more + tuple(s.choice((1, 2, 5)) if n == 1 else n for n in x.shape)
    if math.prod(shape) > s.most:
        return None
    return (k,), (shape,), _alias(x, shape, x.overlap or shape != x.shape)


define("expand", _expand, lambda c, x, shape: x[0].expand(shape))


def _reshape(s: State) -> Made | None:
    """A view or a copy, as the strides decide; so the result counts as an alias either way."""
    k = s.pick()
    if k is None:
        return None
    x = s.values[k]
    if x.numel == 0:
        shape: tuple[int, ...] = (0, 2)
    else:
        factors, rest = [], x.numel
        while rest > 1 and len(factors) < s.integer(1, 3):
            f = s.choice([f for f in range(1, min(rest, 40) + 1) if rest % f == 0])
            factors.append(f)
            rest //= f
        shape = (*factors, rest)
    return (k,), (shape,), _alias(x, shape)


define("reshape", _reshape, lambda c, x, shape: x[0].reshape(shape), weight=3)


def _index(s: State, x: Meta) -> tuple[Any, ...]:
    """A basic index of x: integers, slices with steps, None, and perhaps an ellipsis."""
    index: list[Any] = []
    for n in x.shape:
        kind = s.integer(0, 4)
        if kind == 0 and n > 0:
            index.append(s.integer(-n, n - 1))
        elif kind <= 2:
            start = s.integer(0, n)
            index.append(slice(start, s.integer(start, n + 1), s.choice((1, 1, 2, 3))))
        elif kind == 3:
            index.append(slice(s.integer(0, 2) - 2, None))
        else:
            index.append(slice(None))
    if s.integer(0, 7) == 0:
        index.insert(s.integer(0, len(index)), None)
    if s.integer(0, 4) == 0:
        index.append(Ellipsis)
    return tuple(index)


def _indexed(x: Meta, index: tuple[Any, ...]) -> tuple[int, ...]:
    return np.empty(x.shape, "?")[index].shape


def _getitem(s: State) -> Made | None:
    k = s.pick()
    if k is None:
        return None
    x = s.values[k]
    index = _index(s, x)
    return (k,), (index,), _alias(x, _indexed(x, index))


define("getitem", _getitem, lambda c, x, index: x[0][index], weight=6)


def _clone(s: State) -> Made | None:
    k = s.pick()
    if k is None:
        return None
    x, g = s.values[k], s.values[k].group
    return (k,), (), s.fresh(x.shape, x.dtype, g.magnitude, g.frac, g.exact, [x])


define("clone", _clone, lambda c, x: x[0].clone(), weight=3)


# Writes


def _writable(m: Meta) -> bool:
    return not m.overlap and not m.group.frozen and small(m)


def _wrote(s: State, x: Meta, magnitude: float, frac: int, exact: bool, grad: bool) -> None:
    """Every alias of x now may hold values like these."""
    g = x.group
    g.magnitude, g.frac = max(g.magnitude, magnitude), max(g.frac, frac)
    g.exact = g.exact and exact and needs(g.magnitude, g.frac) <= BITS[x.dtype]
    g.grad = g.grad or grad


def _fits_into(x: Meta, shape: tuple[int, ...]) -> Callable[[Meta], bool]:
    """Which values may be written into elements of x that have this shape."""

    def accept(m: Meta) -> bool:
        if m.group is x.group or not small(m) or broadcast(m.shape, shape) != shape:
            return False
        return x.is_float or m.dtype == x.dtype

    return accept


def _add(s: State) -> Made | None:
    k = s.pick(lambda m: _writable(m) and m.dtype != "b1")
    if k is None:
        return None
    x = s.values[k]
    source = s.pick(_fits_into(x, x.shape))
    if source is None:
        return None
    y = s.values[source]
    alpha = s.choice((1, 1, 2, -1))
    magnitude = x.group.magnitude + 2 * y.group.magnitude
    _wrote(s, x, magnitude, y.group.frac, y.group.exact, y.group.grad)
    return (k, source), (alpha,), _alias(x, x.shape)


define("add_", _add, lambda c, x, alpha: x[0].add_(x[1], alpha=alpha), weight=4)


def _scale(s: State) -> Made | None:
    k = s.pick(lambda m: _writable(m) and numeric(m))
    if k is None:
        return None
    x = s.values[k]
    scalar = s.choice([v for v in SCALARS if x.is_float or isinstance(v, int)])
    _wrote(s, x, 3 * x.group.magnitude + 3, x.group.frac + 2, True, False)
    return (k,), (scalar,), _alias(x, x.shape)


define("mul_", _scale, lambda c, x, v: x[0].mul_(v), weight=3)
define("sub_", _scale, lambda c, x, v: x[0].sub_(v), weight=1)


def _fill(s: State) -> Made | None:
    k = s.pick(_writable)
    if k is None:
        return None
    x = s.values[k]
    value = s.choice((0, 1)) if x.dtype != "b1" else s.choice((False, True))
    return (k,), (value,), _alias(x, x.shape)


define("fill_", _fill, lambda c, x, v: x[0].fill_(v), weight=1)


def _copy(s: State) -> Made | None:
    k = s.pick(_writable)
    if k is None:
        return None
    x = s.values[k]
    source = s.pick(_fits_into(x, x.shape))
    if source is None:
        return None
    g = s.values[source].group
    _wrote(s, x, g.magnitude, g.frac, g.exact, g.grad)
    return (k, source), (), _alias(x, x.shape)


define("copy_", _copy, lambda c, x: x[0].copy_(x[1]))


def _setitem(s: State) -> Made | None:
    k = s.pick(_writable)
    if k is None:
        return None
    x = s.values[k]
    index = _index(s, x)
    source = s.pick(_fits_into(x, _indexed(x, index)))
    if source is None:
        return None
    g = s.values[source].group
    _wrote(s, x, g.magnitude, g.frac, g.exact, g.grad)
    return (k, source), (index,), _alias(x, x.shape)


def _set(c: Any, x: list[Any], index: tuple[Any, ...]) -> Any:
    x[0][index] = x[1]
    return x[0]


define("setitem", _setitem, _set, weight=5)


def _setitem_scalar(s: State) -> Made | None:
    k = s.pick(_writable)
    if k is None:
        return None
    x = s.values[k]
    return (k,), (_index(s, x), s.choice((0, 1))), _alias(x, x.shape)


def _set_scalar(c: Any, x: list[Any], index: tuple[Any, ...], value: int) -> Any:
    x[0][index] = value
    return x[0]


define("setitem_scalar", _setitem_scalar, _set_scalar)
