"""The operations of random programs: how each is called, and what makes an operand fit.

`make(state)` chooses operands and attributes and states the result, or returns None when no
value fits; `apply(context, operands, *attrs)` performs the call on a torch-like namespace.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.fuzz.programs import Context
from tests.fuzz.state import LARGEST, Made, Meta, State, broadcast, promote

SCALARS = (-2, -1, 2, 3, -1.5, -0.25, 0.5, 0.75, 2.0)
DUMMY = np.zeros(())


@dataclass(frozen=True, slots=True)
class Operation:
    make: Callable[[State], Made | None]
    apply: Callable[..., Any]
    weight: int


OPERATIONS: dict[str, Operation] = {}


def define(name: str, make: Callable[[State], Made | None], apply: Any, weight: int = 2) -> None:
    OPERATIONS[name] = Operation(make, apply, weight)


def small(meta: Meta) -> bool:
    return meta.group.magnitude <= LARGEST


def numeric(meta: Meta) -> bool:
    return meta.dtype != "b1" and small(meta)


def is_bool(meta: Meta) -> bool:
    return meta.dtype == "b1"


# Pointwise, one operand


def smooth(name: str, bound: Callable[[float], float], call: Any, limit: float = LARGEST) -> None:
    """A differentiable function whose results are rounded; integers become floats."""

    def make(s: State) -> Made | None:
        k = s.pick(lambda m: m.group.magnitude <= limit)
        if k is None:
            return None
        x = s.values[k]
        dtype = x.dtype if x.is_float else "f4"
        return (k,), (), s.fresh(x.shape, dtype, bound(x.group.magnitude), 0, False, [x], False)

    define(name, make, call, weight=1)


smooth("tanh", lambda m: 1.0, lambda c, x: c.T.tanh(x[0]))
smooth("sigmoid", lambda m: 1.0, lambda c, x: c.T.sigmoid(x[0]))
smooth("sin", lambda m: 1.0, lambda c, x: c.T.sin(x[0]), 64.0)
smooth("cos", lambda m: 1.0, lambda c, x: c.T.cos(x[0]), 64.0)
smooth("exp", math.exp, lambda c, x: c.T.exp(x[0]), 4.0)
smooth("erf", lambda m: 1.0, lambda c, x: c.T.erf(x[0]))
smooth("sqrt_safe", lambda m: m + 1, lambda c, x: (x[0] * x[0] + 1.0).sqrt())
smooth("log_safe", lambda m: m + 1, lambda c, x: (x[0] * x[0] + 1.0).log())
smooth("rsqrt_safe", lambda m: 1.0, lambda c, x: (x[0] * x[0] + 1.0).rsqrt())
smooth("reciprocal_safe", lambda m: 1.0, lambda c, x: 1.0 / (x[0] * x[0] + 1.0))


def kinked(name: str, call: Any, discontinuous: bool = False, integral: bool = False) -> None:
    """Exact functions of one number, whose derivative (or value) jumps somewhere."""

    def make(s: State) -> Made | None:
        k = s.pick(lambda m: numeric(m) and (m.group.exact if discontinuous else s.smooth(m)))
        if k is None:
            return None
        x = s.values[k]
        frac = 0 if integral else x.group.frac
        magnitude = x.group.magnitude + (1 if integral else 0)
        meta = s.fresh(x.shape, x.dtype, magnitude, frac, x.group.exact, [x], False)
        return (k,), (), meta

    define(name, make, call, weight=1)


kinked("neg", lambda c, x: -x[0])
kinked("abs", lambda c, x: c.T.abs(x[0]))
kinked("relu", lambda c, x: c.T.relu(x[0]))
kinked("floor", lambda c, x: c.T.floor(x[0]), discontinuous=True, integral=True)
kinked("round", lambda c, x: c.T.round(x[0]), discontinuous=True, integral=True)
kinked("sign", lambda c, x: c.T.sign(x[0]), discontinuous=True, integral=True)


def _square(s: State) -> Made | None:
    k = s.pick(lambda m: numeric(m) and m.group.magnitude <= 100)
    if k is None:
        return None
    x = s.values[k]
    g = x.group
    return (k,), (), s.fresh(x.shape, x.dtype, g.magnitude**2, 2 * g.frac, g.exact, [x], False)


define("square", _square, lambda c, x: x[0] ** 2, weight=1)


# Pointwise, two operands


def _pair(s: State, accept: Callable[[Meta], bool]) -> tuple[int, int, tuple[int, ...]] | None:
    """Two values that broadcast to a shape of moderate size."""
    first = s.pick(accept)
    if first is None:
        return None
    a = s.values[first].shape

    def fits(m: Meta) -> bool:
        if not accept(m):
            return False
        shape = broadcast(a, m.shape)
        return shape is not None and math.prod(shape) <= s.most

    second = s.pick(fits)
    if second is None:
        return None
    if s.integer(0, 1):
        first, second = second, first
    shape = broadcast(s.values[first].shape, s.values[second].shape)
    return None if shape is None else (first, second, shape)


def _arithmetic(combine: str) -> Callable[[State], Made | None]:
    def make(s: State) -> Made | None:
        kinks = combine == "max"
        pair = _pair(s, lambda m: numeric(m) and (not kinks or s.smooth(m)))
        if pair is None:
            return None
        a, b, shape = pair
        x, y = s.values[a], s.values[b]
        g, h = x.group, y.group
        exact, frac = g.exact and h.exact, max(g.frac, h.frac)
        if combine == "add":
            magnitude = g.magnitude + h.magnitude
        elif combine == "mul":
            magnitude, frac = g.magnitude * h.magnitude, g.frac + h.frac
        elif combine == "div":
            magnitude, exact = g.magnitude, False
        else:
            magnitude = max(g.magnitude, h.magnitude)
        dtype = promote(x, y)
        if combine == "div" and dtype == "i8":
            dtype = "f4"
        linear = combine == "add"
        return (a, b), (), s.fresh(shape, dtype, magnitude, frac, exact, [x, y], linear)

    return make


define("add", _arithmetic("add"), lambda c, x: x[0] + x[1], weight=4)
define("sub", _arithmetic("add"), lambda c, x: x[0] - x[1])
define("mul", _arithmetic("mul"), lambda c, x: x[0] * x[1], weight=4)
define("div_safe", _arithmetic("div"), lambda c, x: x[0] / (x[1] * x[1] + 1))
define("maximum", _arithmetic("max"), lambda c, x: c.T.maximum(x[0], x[1]))
define("minimum", _arithmetic("max"), lambda c, x: c.T.minimum(x[0], x[1]))


def _with_scalar(s: State) -> Made | None:
    k = s.pick(numeric)
    if k is None:
        return None
    x, scalar = s.values[k], s.choice(SCALARS)
    dtype = "f4" if x.dtype == "i8" and isinstance(scalar, float) else x.dtype
    magnitude, frac = x.group.magnitude * 3 + 3, x.group.frac + 2
    return (k,), (scalar,), s.fresh(x.shape, dtype, magnitude, frac, x.group.exact, [x])


define("add_scalar", _with_scalar, lambda c, x, v: x[0] + v)
define("rsub_scalar", _with_scalar, lambda c, x, v: v - x[0])
define("mul_scalar", _with_scalar, lambda c, x, v: x[0] * v)


def _integer_division(s: State) -> Made | None:
    k = s.pick(lambda m: m.dtype == "i8" and small(m))
    if k is None:
        return None
    x = s.values[k]
    divisor = s.choice((2, 3, 7, -3))
    return (k,), (divisor,), s.fresh(x.shape, "i8", x.group.magnitude + 8, 0, True)


define("floordiv_int", _integer_division, lambda c, x, d: x[0] // d, weight=1)
define("remainder_int", _integer_division, lambda c, x, d: x[0] % d, weight=1)


def _comparison(s: State) -> Made | None:
    pair = _pair(s, lambda m: small(m) and m.group.exact)
    if pair is None:
        return None
    return pair[:2], (), s.fresh(pair[2], "b1", 1, 0, True)


define("lt", _comparison, lambda c, x: x[0] < x[1])
define("ge", _comparison, lambda c, x: x[0] >= x[1], weight=1)
define("eq", _comparison, lambda c, x: x[0] == x[1], weight=1)
define("ne", _comparison, lambda c, x: x[0] != x[1], weight=1)


def _logical(s: State) -> Made | None:
    pair = _pair(s, is_bool)
    return pair and (pair[:2], (), s.fresh(pair[2], "b1", 1, 0, True))


define("and", _logical, lambda c, x: x[0] & x[1], weight=1)
define("or", _logical, lambda c, x: x[0] | x[1], weight=1)
define("xor", _logical, lambda c, x: x[0] ^ x[1], weight=1)


def _where(s: State) -> Made | None:
    pair = _pair(s, numeric)
    if pair is None:
        return None
    a, b, shape = pair
    k = s.pick(lambda m: is_bool(m) and broadcast(m.shape, shape) == shape)
    if k is None:
        return None
    x, y = s.values[a], s.values[b]
    g, h = x.group, y.group
    meta = s.fresh(
        shape, promote(x, y), max(g.magnitude, h.magnitude), max(g.frac, h.frac),
        g.exact and h.exact, [x, y, s.values[k]], False,
    )  # fmt: skip
    return (k, a, b), (), meta


define("where", _where, lambda c, x: c.T.where(x[0], x[1], x[2]))


def _cast(s: State) -> Made | None:
    dtype = s.choice(("f4", "f8", "i8", "b1"))
    k = s.pick(lambda m: small(m) and (m.group.exact or dtype[0] == "f"))
    if k is None:
        return None
    x = s.values[k]
    magnitude, frac = (1.0, 0) if dtype == "b1" else (x.group.magnitude, x.group.frac)
    alias = x.dtype == dtype  # `.to` of its own type is the tensor itself
    if alias:
        return (k,), (dtype, True), Meta(x.shape, dtype, x.group, x.overlap)
    return (k,), (dtype, False), s.fresh(x.shape, dtype, magnitude, frac, x.group.exact, [x])


def _to(c: Context, x: list[Any], dtype: str, alias: bool) -> Any:
    if c.widen and not alias:  # a widened float32 may have the type already
        return x[0].to(c.dtype(dtype), copy=True)
    return x[0].to(c.dtype(dtype))


define("to", _cast, _to)

# Reductions


def _reduction(kind: str) -> Callable[[State], Made | None]:
    def accept(s: State, m: Meta) -> bool:
        if kind == "any":
            return m.dtype == "b1" or m.group.exact
        if kind == "max":
            return numeric(m) and s.smooth(m) and m.numel > 0
        if kind == "arg":
            return numeric(m) and m.group.exact and m.numel > 0 and len(m.shape) > 0
        if kind in ("mean", "rows"):
            return m.is_float and small(m) and m.numel > 0 and (kind == "mean" or m.shape != ())
        return small(m) and (kind == "sum" or len(m.shape) > 0)

    def make(s: State) -> Made | None:
        k = s.pick(lambda m: accept(s, m))
        if k is None:
            return None
        x = s.values[k]
        rank, g = len(x.shape), x.group
        if kind in ("scan", "rows"):
            dim: Any = s.integer(-rank, rank - 1)
            if kind == "rows":
                return (
                    (k,),
                    (dim,),
                    s.fresh(x.shape, x.dtype, g.magnitude * 2 + 9, 0, False, [x], False),
                )
            dtype = x.dtype if x.is_float else "i8"
            most = g.magnitude * max(1, x.shape[dim])
            return (k,), (dim,), s.fresh(x.shape, dtype, most, g.frac, g.exact, [x])
        several = kind in ("sum", "mean", "max") and rank > 1 and s.integer(0, 2) == 0
        if rank == 0 or (kind != "arg" and s.integer(0, 3) == 0):
            dim, axes = None, tuple(range(rank))
        elif several:
            first = s.integer(0, rank - 2)
            dim = axes = (first, s.integer(first + 1, rank - 1))
        else:
            dim = s.integer(-rank, rank - 1)
            axes = (dim % rank,)
        keep = dim is not None and s.integer(0, 1) == 1
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape) if keep or a not in axes)
        count = math.prod(x.shape[a] for a in axes)
        attrs = (dim, keep)
        if kind == "sum":
            dtype = x.dtype if x.is_float else "i8"
            meta = s.fresh(shape, dtype, g.magnitude * max(count, 1), g.frac, g.exact, [x])
        elif kind == "mean":
            meta = s.fresh(shape, x.dtype, g.magnitude, 0, False, [x])
        elif kind == "max":
            meta = s.fresh(shape, x.dtype, g.magnitude, g.frac, g.exact, [x], False)
        elif kind == "any":
            meta = s.fresh(shape, "b1", 1, 0, True)
        else:
            meta = s.fresh(shape, "i8", count, 0, True)
        return (k,), attrs, meta

    return make


def _reduce(method: str) -> Callable[..., Any]:
    def call(c: Context, x: list[Any], dim: Any, keep: bool) -> Any:
        if dim is None:
            return getattr(x[0], method)()
        return getattr(x[0], method)(dim, keepdim=keep)

    return call


def _rank_dims(method: str) -> Callable[..., Any]:
    def call(c: Context, x: list[Any], dim: Any, keep: bool) -> Any:
        if dim is None:
            dim = tuple(range(x[0].dim()))
        return getattr(x[0], method)(dim, keepdim=keep)

    return call


define("sum", _reduction("sum"), _reduce("sum"), weight=4)
define("mean", _reduction("mean"), _reduce("mean"))
define("amax", _reduction("max"), _rank_dims("amax"))
define("amin", _reduction("max"), _rank_dims("amin"))
define("any", _reduction("any"), _reduce("any"), weight=1)
define("all", _reduction("any"), _reduce("all"), weight=1)
define("argmax", _reduction("arg"), _reduce("argmax"))
define("cumsum", _reduction("scan"), lambda c, x, dim: x[0].cumsum(dim), weight=1)
define("softmax", _reduction("rows"), lambda c, x, dim: x[0].softmax(dim))
define("log_softmax", _reduction("rows"), lambda c, x, dim: x[0].log_softmax(dim), weight=1)


def _product_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of a @ b for operands of at least one dimension; None if they do not fit."""
    if a[-1] != b[-2:][0]:
        return None
    batch = broadcast(a[:-2], b[:-2])
    return None if batch is None else (*batch, *a[-2:-1], *(b[-1:] if len(b) > 1 else ()))


def _matmul(s: State) -> Made | None:
    first = s.pick(lambda m: m.is_float and len(m.shape) in (1, 2, 3) and m.group.magnitude <= 256)
    if first is None:
        return None
    x = s.values[first]

    def result(m: Meta) -> tuple[int, ...] | None:
        if m.dtype != x.dtype or not m.shape or m.group.magnitude > 256:
            return None
        shape = _product_shape(x.shape, m.shape)
        return shape if shape is not None and math.prod(shape) <= s.most else None

    second = s.pick(lambda m: result(m) is not None)
    if second is None:
        return None
    y = s.values[second]
    shape = result(y)
    assert shape is not None
    g, h = x.group, y.group
    magnitude = g.magnitude * h.magnitude * max(1, x.shape[-1])
    exact = g.exact and h.exact
    meta = s.fresh(shape, x.dtype, magnitude, g.frac + h.frac, exact, [x, y], False)
    return (first, second), (), meta


define("matmul", _matmul, lambda c, x: x[0] @ x[1], weight=3)


def _transposed_matmul(s: State) -> Made | None:
    k = s.pick(lambda m: m.is_float and len(m.shape) == 2 and m.group.magnitude <= 256)
    if k is None:
        return None
    x, g = s.values[k], s.values[k].group
    if x.shape[0] ** 2 > s.most:
        return None
    magnitude, shape = g.magnitude**2 * max(1, x.shape[1]), (x.shape[0], x.shape[0])
    return (k,), (), s.fresh(shape, x.dtype, magnitude, 2 * g.frac, g.exact, [x], False)


define("matmul_transposed", _transposed_matmul, lambda c, x: x[0] @ x[0].t())


# What is not a view but moves data, and a look at a value in the middle of the program


def _join(s: State) -> Made | None:
    first = s.pick(lambda m: len(m.shape) > 0)
    if first is None:
        return None
    x = s.values[first]
    second = s.pick(lambda m: m.shape == x.shape and m.dtype == x.dtype)
    assert second is not None
    y = s.values[second]
    dim = s.integer(0, len(x.shape) - 1)
    shape = x.shape[:dim] + (2 * x.shape[dim],) + x.shape[dim + 1 :]
    if math.prod(shape) > s.most:
        return None
    g, h = x.group, y.group
    magnitude, frac = max(g.magnitude, h.magnitude), max(g.frac, h.frac)
    meta = s.fresh(shape, x.dtype, magnitude, frac, g.exact and h.exact, [x, y])
    return (first, second), (dim,), meta


define("cat", _join, lambda c, x, dim: c.T.cat([x[0], x[1]], dim))


def _take(s: State) -> Made | None:
    k = s.pick(lambda m: len(m.shape) > 0 and m.shape[0] > 0)
    if k is None:
        return None
    x, g = s.values[k], s.values[k].group
    index = [s.integer(-x.shape[0], x.shape[0] - 1) for _ in range(s.integer(1, 5))]
    meta = s.fresh((len(index), *x.shape[1:]), x.dtype, g.magnitude, g.frac, g.exact, [x])
    return ((k,), (tuple(index),), meta) if meta.numel <= s.most else None


define("take", _take, lambda c, x, index: x[0][c.T.tensor(list(index))])


def _look(s: State) -> Made | None:
    k = s.pick()
    if k is None:
        return None
    x = s.values[k]
    return (k,), (), Meta(x.shape, x.dtype, x.group, x.overlap)


define("look", _look, lambda c, x: np.array(x[0].detach().numpy()), weight=1)
