"""Simplification rules: named, each with an example that the tests evaluate before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..core import Value

Operands = tuple[Any, ...]  # values; Any, for a rule looks into the ops that made them
Found = Any  # a value, a tuple of values, or None
RuleFunction = Callable[..., Found]


@dataclass(frozen=True, slots=True)
class Rule:
    """Rewrites op `op`: `apply(b, operands, attrs)` gives the simpler value, or None. `example` is
    the body of a function that the rule changes (IR text)."""

    name: str
    op: str
    apply: RuleFunction
    example: str


RULES: list[Rule] = []


def rule(ops: str | Iterable[str], example: str) -> Callable[[RuleFunction], RuleFunction]:
    """Registers the decorated function for one op or several; the example is for the first."""

    def register(fn: RuleFunction) -> RuleFunction:
        names = [ops] if isinstance(ops, str) else list(ops)
        for name in names:
            RULES.append(Rule(fn.__name__, name, fn, example if name == names[0] else ""))
        return fn

    return register


def pointwise_ops(first: str) -> list[str]:
    """The pointwise primitives, `first` in front."""
    from ..optable import all_ops

    names = [n for n, d in all_ops().items() if d.pointwise is not None and d.is_primitive]
    return [first, *(n for n in names if n != first)]


def made_by(v: Value, name: str) -> bool:
    """Whether v is a result of op `name`."""
    return v.op is not None and v.op.name == name


def splat(v: Any) -> Any:
    """The 0-d value that every element of v is, if v is a broadcast of one."""
    while v.op is not None and v.op.name in ("broadcast", "reshape"):
        v = v.op.operands[0]
    return v if not v.type.shape else None


def number(v: Value) -> Any:
    """The Python number that every element of v is, or None."""
    while v.op is not None and v.op.name in ("broadcast", "reshape"):
        v = v.op.operands[0]
    return v.op.attrs["value"] if v.op is not None and v.op.name == "const" else None


def is_number(v: Value, wanted: float) -> bool:
    """Whether v is everywhere this number; the two zeros of floats differ."""
    found = number(v)
    if found is None or isinstance(found, complex):
        return False
    return found == wanted and (found != 0 or str(float(found)) == str(float(wanted)))
