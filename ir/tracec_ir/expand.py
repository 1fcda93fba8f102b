"""Expansion of composites: a composite's body run once per operand types and attributes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from . import dims
from .builder import Builder, attr_key
from .core import Func, Op, Value
from .optable import OpDef, lookup
from .types import Type

_memo: dict[tuple, tuple[Func, frozenset]] = {}
_NOTHING: tuple[None, frozenset] = (None, frozenset())
_LIMIT = 4096


def expansion(d: OpDef, types: tuple[Type, ...], attrs: dict) -> Func:
    """The body of composite `d` as a function of operands with these types (one level deep)."""
    from . import promote

    key = (d.name, types, tuple(map(attr_key, attrs.values())), promote.default_float)
    func, hints = _memo.get(key, _NOTHING)
    if func is None or (hints and hints != _hints(types, attrs)):
        b = Builder()
        params = [
            Value(t, name=n) for t, n in zip(types, _operand_names(d, len(types)), strict=True)
        ]
        assert d.body is not None
        with dims.guards() as relied:
            out = d.body(b, *params, **attrs)
        func = b.func(d.name, params, out if isinstance(out, tuple) else (out,))
        func.guards = relied or None
        if len(_memo) >= _LIMIT:
            _memo.clear()
        _memo[key] = func, _hints(types, attrs)
    if func.guards:
        dims.rely(func.guards)  # what the body decided by hint holds for this use of it
    return func


def _hints(types: tuple[Type, ...], attrs: dict) -> frozenset[tuple[str, int | None]]:
    """The symbols in types and attributes with their hints, which equality of types ignores: a
    body decides by them, and the types of its results carry them on."""
    given = (s for thing in (types, tuple(attrs.values())) for s in dims.symbols_in(thing))
    return frozenset((s.name, s.hint) for s in given)


def _operand_names(d: OpDef, n: int) -> list[str]:
    names = list(d.operands[:n])
    return names + [f"arg{i}" for i in range(len(names), n)]


@cache
def _is_composite(name: str) -> bool:
    return not lookup(name).is_primitive


Keep = Callable[[Op], bool]


def has_reference(op: Op) -> bool:
    """Whether NumPy computes this op in one step."""
    return lookup(op.name).numpy is not None


def on_host(op: Op) -> bool:
    """Whether this op is left to its NumPy reference in compiled programs too: kernels hold no
    complex numbers."""
    return has_reference(op) and any(v.dtype.kind == "c" for v in op.operands)


def expand(func: Func, rules: dict | None = None, keep: Keep = on_host) -> Func:
    """`func` with every composite replaced by primitives, except those that `keep` chooses.

    Before: `%1 = softmax(%0) [dim=-1] : f32[4x8]`; after: reduce, sub, exp, reduce, div.
    """
    b = Builder(rules)
    env = {p: p for p in func.params}
    _expand_into(b, func, env, keep)
    out = b.func(func.name, func.params, [env[v] for v in func.results])
    out.guards = func.guards
    return out


def _expand_into(b: Builder, func: Func, env: dict[Value, Value], keep: Keep) -> None:
    for op in func.ops:
        operands = [env[v] for v in op.operands]
        if op.loc:
            b.loc = op.loc
        if _is_composite(op.name) and not keep(op):
            inner = expansion(lookup(op.name), tuple(v.type for v in operands), op.attrs)
            scope = dict(zip(inner.params, operands, strict=True))
            _expand_into(b, inner, scope, keep)
            env.update(zip(op.results, (scope[v] for v in inner.results), strict=True))
        else:
            regions = tuple(expand(r, b.rules, keep) for r in op.regions)
            out = b.emit(op.name, operands, op.attrs, regions)
            env.update(zip(op.results, out, strict=True))
