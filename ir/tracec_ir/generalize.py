"""Dynamic shapes: two functions that differ in sizes only become one with symbolic sizes.

`generalize(f, g)` gives every pair of differing parameter sizes a symbol (equal pairs share one),
explains the other differing integers by these symbols, and derives all types anew. `bind(h, k)`
checks a third concrete function against the result by evaluating every integer: what looked like
a pattern twice need not be one.

    f(x: f32[8 x 4]) = reshape(x) [shape=(32)]      g(x: f32[6 x 4]) = reshape(x) [shape=(24)]
    generalized:  h(x: f32[?n0 x 4]) = reshape(x) [shape=(4*?n0)]
"""

from __future__ import annotations

from typing import Any

from . import dims
from .builder import Builder
from .core import Func, Op, Value
from .dims import Dim, Poly
from .hash import SIZE_ATTRS
from .types import TensorType


class _NoPattern(Exception):
    """Two integers differ in a way that the symbols do not explain."""


class _Pairs:
    """The symbols given to pairs of sizes (one per function)."""

    def __init__(self) -> None:
        self.symbols: dict[tuple[int, int], Poly] = {}

    def param(self, a: int, b: int) -> Dim:
        """The size of a parameter dimension that is `a` in one function, `b` in the other."""
        if a == b:
            return a
        if min(a, b) < 2:
            raise _NoPattern
        have = self.symbols.get((a, b))
        if have is None:
            try:  # a multiple of a known size, or that size and a constant more
                return self.explain(a, b)
            except _NoPattern:
                have = self.symbols[(a, b)] = dims.symbol(f"n{len(self.symbols)}", b)
        return have

    def explain(self, a: int, b: int) -> Dim:
        """An expression over the symbols that is `a` in one function and `b` in the other."""
        if a == b:
            return a
        known = list(self.symbols.items())
        for (x, y), s in known:
            if (a, b) == (x, y):
                return s
        for (x, y), s in known:
            if a % x == 0 and b % y == 0 and a // x == b // y:
                return s * (a // x)
        for (x, y), s in known:
            for (u, v), t in known:
                if a % (x * u) == 0 and b % (y * v) == 0 and a // (x * u) == b // (y * v):
                    return s * t * (a // (x * u))
        for (x, y), s in known:
            if y != x and (b - a) % (y - x) == 0:
                k = (b - a) // (y - x)
                if a - k * x == b - k * y:
                    return s * k + (a - k * x)
        for (x, y), s in known:
            for k in (2, 4, 8):
                if x // k == a and y // k == b:
                    return dims.floordiv(s, k)
        raise _NoPattern

    def attr(self, a: Any, b: Any, fresh: bool = False) -> Any:
        """One attribute value for both; `fresh` sizes may bring new symbols."""
        if type(a) is int and type(b) is int:
            return self.param(a, b) if fresh else self.explain(a, b)
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            return tuple(self.attr(x, y, fresh) for x, y in zip(a, b))
        if isinstance(a, TensorType) and isinstance(b, TensorType) and a.dtype is b.dtype:
            return TensorType(a.dtype, self.attr(tuple(a.shape), tuple(b.shape)))
        if type(a) is type(b) and (a == b or repr(a) == repr(b)):
            return a
        raise _NoPattern


def generalize(f: Func, g: Func) -> Func | None:
    """The function with symbolic sizes that f and g (of one skeleton, concrete) are cases of; None
    if their integers follow no pattern. Hints of the symbols are g's sizes; relations that the
    derivation relied on are its `guards`."""
    pairs = _Pairs()
    try:
        params = []
        for p, q in zip(f.params, g.params, strict=True):
            if isinstance(q.type, TensorType):
                shape = tuple(map(pairs.param, p.shape, q.shape))
                params.append(Value(TensorType(q.dtype, shape), name=q.name))
            else:
                params.append(Value(q.type, name=q.name))
        b = Builder(cse=False)
        env = dict(zip(g.params, params, strict=True))
        with dims.guards() as relied:
            for one, two in zip(f.ops, g.ops, strict=True):
                if two.regions:
                    return None
                fresh = _makes_sizes(two)
                attrs = {
                    k: pairs.attr(one.attrs[k], v, fresh and k in SIZE_ATTRS)
                    for k, v in two.attrs.items()
                }
                b.loc = two.loc
                out = b.emit(two.name, [env[v] for v in two.operands], attrs)
                for old, new in zip(two.results, out, strict=True):
                    _same_under_hints(old, new)
                    env[old] = new
        if not pairs.symbols:
            return None
        h = b.func(g.name, params, [env[v] for v in g.results])
        h.guards = relied
    except (_NoPattern, NotImplementedError, ValueError, RuntimeError, TypeError, IndexError):
        return None  # a rule that cannot take symbols: the sizes stay concrete
    return h if len(h.ops) == len(g.ops) else None


def _makes_sizes(op: Op) -> bool:
    """Whether the op makes tensors out of nothing or of single numbers, so that its sizes are the
    program's own."""
    return not any(isinstance(v.type, TensorType) and v.type.shape for v in op.operands)


def _same_under_hints(old: Value, new: Value) -> None:
    if isinstance(old.type, TensorType):
        if old.dtype is not new.dtype or tuple(map(dims.hint, new.shape)) != tuple(old.shape):
            raise _NoPattern


def bind(h: Func, k: Func) -> dict[str, int] | None:
    """The values of h's symbols that make it the concrete function k, or None."""
    env: dict[str, int] = {}
    for p, q in zip(h.params, k.params, strict=True):
        if isinstance(q.type, TensorType):
            _read_symbols(p.shape, q.shape, env)
    for one, two in zip(h.ops, k.ops, strict=True):
        if _makes_sizes(one):
            for name, v in two.attrs.items():
                _read_symbols(one.attrs[name], v, env)
    if any(n < 2 for n in env.values()):
        return None
    try:
        for p, q in zip(h.params, k.params, strict=True):
            if isinstance(q.type, TensorType) and not _matches(p.shape, q.shape, env):
                return None
        for one, two in zip(h.ops, k.ops, strict=True):
            if not all(_matches(one.attrs[name], v, env) for name, v in two.attrs.items()):
                return None
        if h.guards is not None and not h.guards.hold(env):
            return None
    except KeyError:
        return None
    return env


def _read_symbols(general: Any, concrete: Any, env: dict[str, int]) -> None:
    """Notes the value of every size that is just a symbol."""
    if isinstance(general, tuple) and isinstance(concrete, tuple):
        for a, b in zip(general, concrete):
            _read_symbols(a, b, env)
    elif isinstance(general, Poly) and len(general.terms) == 1 and type(concrete) is int:
        ((mono, coef),) = general.terms.items()
        if coef == 1 and len(mono) == 1 and isinstance(mono[0], dims.Sym):
            env.setdefault(mono[0].name, concrete)


def _matches(general: Any, concrete: Any, env: dict[str, int]) -> bool:
    if isinstance(general, Poly):
        return type(concrete) is int and dims.evaluate(general, env) == concrete
    if isinstance(general, tuple):
        return (
            isinstance(concrete, tuple)
            and len(general) == len(concrete)
            and all(_matches(a, b, env) for a, b in zip(general, concrete))
        )
    if isinstance(general, TensorType):
        return isinstance(concrete, TensorType) and (
            general.dtype is concrete.dtype and _matches(general.shape, concrete.shape, env)
        )
    return type(general) is type(concrete) and (
        general == concrete or repr(general) == repr(concrete)
    )
