"""Simplification: re-emits a function through a builder that applies every rule.

Before: `%1 = neg(%x); %2 = neg(%1); return %2`. After: `return %x`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from inspect import signature

from ..builder import Builder, Rules
from ..core import Func, Value
from .rule import RULES, Rule


@cache
def rules() -> Rules:
    """The rules by op name, as `Builder` takes them."""
    out: Rules = {}
    for r in all_rules():
        out.setdefault(r.op, []).append(bound(r))
    return out


def bound(r: Rule) -> Callable:
    """The rule as a function of (builder, operands, attrs); some rules ask for the op's name."""
    if "name" in signature(r.apply).parameters:
        return partial(r.apply, name=r.op)
    return r.apply


def all_rules() -> list[Rule]:
    """Every rule there is."""
    from . import (  # noqa: F401
        rules_arithmetic,
        rules_choice,
        rules_complex,
        rules_movement,
        rules_padding,
        rules_reduce,
    )

    return RULES


def simplify(func: Func) -> Func:
    """`func` with every rule applied, equal ops shared, and unused ops gone."""
    return rebuild(func, rules())


def rebuild(func: Func, by_op: Rules) -> Func:
    """`func` re-emitted under these rules."""
    b = Builder(by_op)
    env: dict[Value, Value] = {p: p for p in func.params}
    for op in func.ops:
        b.loc = op.loc
        regions = tuple(rebuild(r, by_op) for r in op.regions)
        out = b.emit(op.name, [env[v] for v in op.operands], op.attrs, regions)
        env.update(zip(op.results, out, strict=True))
    result = b.func(func.name, func.params, [env[v] for v in func.results])
    result.guards = func.guards
    return result
