"""The IR's data: values, operations and functions.

A function is straight-line SSA. Control flow lives in regions: functions nested in an operation,
isolated from above (whatever they use comes in as a parameter). Nothing holds use lists: passes
rebuild a function through a `Builder` with a value map.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .dims import Guards
from .dtypes import DType
from .types import Type


class Value:
    """One SSA value: a function's parameter (`op` is None) or result number `index` of `op`."""

    __slots__ = ("type", "op", "index", "name")

    def __init__(self, type: Type, op: Op | None = None, index: int = 0, name: str = ""):
        self.type, self.op, self.index, self.name = type, op, index, name

    def __repr__(self) -> str:
        origin = self.op.name if self.op else self.name or "param"
        return f"<{origin}: {self.type}>"

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> tuple:
        """The shape of a tensor value."""
        return self.type.shape  # type: ignore[union-attr]

    @property
    def rank(self) -> int:
        return len(self.type.shape)  # type: ignore[union-attr]


class Op:
    """One operation. `attrs` are static and hashable; `loc` is the user's `file:line` or ""."""

    __slots__ = ("name", "operands", "attrs", "results", "regions", "loc", "order")

    def __init__(
        self,
        name: str,
        operands: Iterable[Value],
        attrs: dict,
        result_types: Iterable[Type],
        regions: tuple[Func, ...] = (),
        loc: str = "",
    ):
        self.name, self.operands, self.attrs = name, tuple(operands), attrs
        self.results = tuple(Value(t, self, i) for i, t in enumerate(result_types))
        self.regions, self.loc, self.order = regions, loc, 0

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    @property
    def result(self) -> Value:
        """The only result."""
        (value,) = self.results
        return value


class Func:
    """A named function: parameters, operations in order, results."""

    __slots__ = ("name", "params", "ops", "results", "guards")

    def __init__(self, name: str, params: Iterable[Value], ops: list[Op], results: Iterable[Value]):
        self.name, self.params, self.ops, self.results = name, tuple(params), ops, tuple(results)
        self.guards: Guards | None = (
            None  # relations between symbolic sizes that the derivation relied on
        )

    def __repr__(self) -> str:
        return f"<func @{self.name}: {len(self.params)} params, {len(self.ops)} ops>"

    def __str__(self) -> str:
        from .printer import print_func

        return print_func(self)

    def walk(self) -> Iterator[Op]:
        """Every operation, those of regions included, in order."""
        for op in self.ops:
            yield op
            for region in op.regions:
                yield from region.walk()


class Module:
    """Named functions; the first is the entry."""

    __slots__ = ("funcs",)

    def __init__(self, funcs: Iterable[Func]):
        self.funcs = {f.name: f for f in funcs}

    def __getitem__(self, name: str) -> Func:
        return self.funcs[name]

    def __iter__(self) -> Iterator[Func]:
        return iter(self.funcs.values())

    def __str__(self) -> str:
        return "\n".join(map(str, self))
