"""From a recorded script to an IR function: marked stretches become regions of `if` and `while`."""

from __future__ import annotations

from typing import Any

from tracec_ir import dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value
from tracec_ir.dims import Poly
from tracec_ir.types import ScalarType

from ..lift import Lift
from ..record import Node
from .recording import WEAK, Recording


class Scope:
    """The function being filled: the outermost one, or a region of an operation."""

    def __init__(self, outer: Scope | None, opening: Node | None = None):
        self.b, self.env, self.outer, self.opening = Builder(), {}, outer, opening
        self.carried: list[Value] = []
        self.captured: dict[Value, Value] = {}  # value outside -> parameter here
        self.results: list[Value] = []

    def find(self, code: int) -> Value | None:
        """The value of a code, brought into this scope from the outer ones if need be."""
        value = self.env.get(code)
        if value is None and self.outer is not None:
            outside = self.outer.find(code)
            if outside is not None:
                value = self.captured.get(outside)
                if value is None:
                    value = self.captured[outside] = Value(outside.type, name=outside.name)
        return value

    def region(self, name: str, captured: list[Value]) -> Func:
        """This scope as a region: its parameters are the carried values and all `captured`."""
        params = [self.captured.get(v) or Value(v.type, name=v.name) for v in captured]
        return self.b.func(name, [*self.carried, *params], self.results)


class ScriptLift(Lift):
    """The IR of a recording. `inputs` are the parameters in the order of the trace's inputs."""

    def __init__(self, tr: Recording):
        self.scope = Scope(None)
        self.root = self.scope
        self.connected: set[int] = set()
        self.inputs: list[Value] = []
        self.scalars: list[Value] = []
        self.numbers = iter(tr.scalars)
        self.done: list[Scope] = []  # first regions of open operations
        self.path = tr.node.path()
        for n in self.path:
            self.b.loc = n.loc
            getattr(self, "_" + n.kind)(n)

    @property
    def b(self) -> Builder:  # type: ignore[override]
        return self.scope.b

    @property
    def env(self) -> dict[int, Value]:  # type: ignore[override]
        return self.scope.env

    def func(self, name: str, params: list[Value], results: list[int]) -> Func:
        """The whole function, returning the values of these codes."""
        return self.b.func(name, params, [self.operand(c) for c in results])

    def operand(self, code: int) -> Value:
        value = self.scope.find(code & ~1)
        if value is None:
            raise AssertionError(f"code {code} has no value in this scope")
        return value

    def _in(self, n: Node) -> None:
        scope, self.scope = self.scope, self.root
        type_ = n.info or n.spec.type
        value = Value(type_, name=n.name)
        self.inputs.append(value)
        if isinstance(type_, ScalarType):
            value = self.b.cast(value, WEAK[type_.dtype.code])
        self.root.env[n.code] = value
        self.scope = scope

    def _operands(self, n: Node) -> list[Value]:
        count = len(n.info or ())
        values = []
        for code in n.operands:
            value = self.scope.find(code & ~1)
            if value is None:  # a Python number: a constant of the model
                if count == 0:
                    raise AssertionError(f"code {code} has no value in this scope")
                count -= 1
                value = self.env[code & ~1] = self.b.scalar(next(self.numbers))
            values.append(value)
        return values

    # -- regions -----------------------------------------------------------------------------------
    def _open(self, n: Node) -> None:
        self.scope = Scope(self.scope, n)

    def _carried(self, n: Node) -> None:
        value = Value(n.spec.type, name=n.name)
        self.scope.carried.append(value)
        self.env[n.code] = value

    def _next(self, n: Node) -> None:
        first = self.scope
        first.results = [self._result(c) for c in n.operands]
        self.done.append(first)
        self.scope = Scope(first.outer, first.opening)

    def _result(self, what: Any) -> Value:
        """A region's result: the value of a code, or what is made of it or of a number."""
        if isinstance(what, int):
            return self.operand(what)
        kind, x, dtype = what
        if kind == "cast":
            return self.b.cast(self.operand(x), dtype)
        if isinstance(x, Poly):
            counted = self.b.emit("iota", (), {"size": x + 1, "dtype": dtypes.i64})[0]
            attrs = {"shape": (), "strides": (), "offset": x}
            return self.b.cast(self.b.emit("strided", (counted,), attrs)[0], dtype)
        return self.b.const(x, dtype)

    def _close(self, n: Node) -> None:
        second = self.scope
        opening = second.opening
        if opening.name == "trial":  # only the frontend wanted to know
            self.scope = second.outer
            return
        first = self.done.pop()
        second.results = [self._result(c) for c in n.operands]
        self.scope = second.outer
        self.b.loc = opening.loc
        captured = list(dict.fromkeys([*first.captured, *second.captured]))
        names = ("then", "else") if opening.name == "if" else ("cond", "body")
        regions = tuple(
            scope.region(name, captured) for scope, name in zip((first, second), names, strict=True)
        )
        operands = [self.operand(c) for c in opening.operands]
        attrs = {} if opening.name == "if" else {"carried": len(operands)}
        out = self.b.emit(opening.name, [*operands, *captured], attrs, regions)
        self._bind(n, out)
