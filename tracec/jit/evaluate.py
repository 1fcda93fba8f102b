"""The evaluator of expressions: Python source run with tensors that only record.

What is known while scripting is computed by Python itself; tensors record into the open
`Recording`; numbers that depend on data are `Number`s, sizes are dims. Statements and control flow
are in `statements.py` and `control.py`, calls in `calls.py`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from typing import Any

from tracec_ir import dims
from tracec_ir.dims import Poly

from ..tensor import Tensor
from .errors import ORDINARY, ScriptError, Source
from .operators import Operators
from .recording import Recording
from .values import Number, Pending, Undefined

_MISSING = object()


class Frame:
    """The variables of one function call under evaluation."""

    __slots__ = ("locals", "outer", "globals", "source", "name", "first")

    def __init__(
        self,
        name: str,
        source: Source,
        globals: dict[str, Any],
        outer: Frame | dict[str, Any] | None,
    ):
        self.name, self.source, self.globals, self.outer = name, source, globals, outer
        self.locals: dict[str, Any] = {}
        self.first: Any = None  # the first argument, which super() means

    def find(self, name: str) -> Any:
        """The value of a variable; `_MISSING` if there is none."""
        if name in self.locals:
            return self.locals[name]
        outer = self.outer
        if isinstance(outer, Frame):
            return outer.find(name)
        if outer is not None and name in outer:
            return outer[name]
        if name in self.globals:
            return self.globals[name]
        return getattr(builtins, name, _MISSING)


class Expressions(Operators):
    """Evaluates expression nodes; a method per kind of node."""

    tr: Recording
    frame: Frame

    def error(self, message: str, node: ast.AST) -> ScriptError:
        """A ScriptError at `node` of the function being evaluated."""
        return ScriptError(message, self.frame.source, node)

    def size_error(self, message: str, sizes: tuple, node: ast.AST) -> ScriptError:
        """An error that would not be one if these pairs of sizes were equal."""
        for a, b in sizes:
            dims.same(a, b)  # leaves the relation with whoever looks for sizes that work
        return ScriptError(message, self.frame.source, node, bool(sizes))

    def expr(self, node: ast.AST) -> Any:
        """The value of an expression."""
        method = getattr(self, "_" + type(node).__name__, None)
        if method is None:
            raise self.error(f"{spoken(node)} is not supported in script", node)
        outer = self.tr.place
        self.tr.place = (self.frame.source, node)
        try:
            return method(node)
        except ScriptError as error:
            if error.located:
                raise
            raise ScriptError(error.message, self.frame.source, node) from error
        except ORDINARY as error:
            if isinstance(error, Located):
                raise
            raise located(error, self.frame.source, node) from error
        finally:
            self.tr.place = outer

    # -- names and constants -----------------------------------------------------------------------
    def _Constant(self, node: ast.Constant) -> Any:
        return node.value

    def _Name(self, node: ast.Name) -> Any:
        value = self.frame.find(node.id)
        if value is _MISSING:
            raise self.error(f"name '{node.id}' is not defined", node)
        if isinstance(value, Undefined):
            message = f"'{node.id}' has no usable value here: {value.reason}"
            raise self.size_error(message, value.sizes, node)
        if isinstance(value, Pending) and value.tensor is not None:
            return value.tensor
        return value

    def _Attribute(self, node: ast.Attribute) -> Any:
        base = self.value(node.value)
        if isinstance(base, Number):
            if hasattr(base.python, node.attr):
                raise self.error(
                    f"attributes of a number that is known only at run time (.{node.attr})", node
                )
            raise self.error(f"a number has no attribute '{node.attr}'", node)
        return getattr(base, node.attr)

    def _NamedExpr(self, node: ast.NamedExpr) -> Any:
        value = self.expr(node.value)
        self.frame.locals[node.target.id] = value
        return value

    # -- containers --------------------------------------------------------------------------------
    def _items(self, nodes: list) -> Iterator[Any]:
        for item in nodes:
            if isinstance(item, ast.Starred):
                yield from self.iterate(self.value(item.value), item)
            else:
                yield self.expr(item)

    def _Tuple(self, node: ast.Tuple) -> tuple:
        return tuple(self._items(node.elts))

    def _List(self, node: ast.List) -> list:
        return list(self._items(node.elts))

    def _Set(self, node: ast.Set) -> set:
        return set(self._items(node.elts))

    def _Dict(self, node: ast.Dict) -> dict:
        out: dict = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                out.update(self.expr(value))
            else:
                out[self.expr(key)] = self.expr(value)
        return out

    def _ListComp(self, node: ast.ListComp) -> list:
        return list(self._comprehend(node, lambda: self.expr(node.elt)))

    def _GeneratorExp(self, node: ast.GeneratorExp) -> list:
        return list(self._comprehend(node, lambda: self.expr(node.elt)))

    def _SetComp(self, node: ast.SetComp) -> set:
        return set(self._comprehend(node, lambda: self.expr(node.elt)))

    def _DictComp(self, node: ast.DictComp) -> dict:
        return dict(self._comprehend(node, lambda: (self.expr(node.key), self.expr(node.value))))

    def _comprehend(self, node: Any, element: Callable[[], Any]) -> list:
        """The elements of a comprehension, whose variables live in a frame of their own."""
        frame = self.frame
        inner = Frame(frame.name, frame.source, frame.globals, frame)
        out: list = []

        def level(n: int) -> None:
            if n == len(node.generators):
                out.append(element())
                return
            generator = node.generators[n]
            if generator.is_async:
                raise self.error("async comprehensions are not supported in script", node)
            for item in self.iterate(self.value(generator.iter), generator.iter):
                self.assign(generator.target, item)
                if all(self.static_truth(test, "a condition of a comprehension")
                       for test in generator.ifs):  # fmt: skip
                    level(n + 1)

        self.frame = inner
        try:
            level(0)
        finally:
            self.frame = frame
        return out

    def iterate(self, value: Any, node: ast.AST) -> list:
        """What a loop over `value` visits, if that is known while scripting."""
        if isinstance(value, Tensor):
            shape = value.shape
            if not shape:
                raise self.error("iteration over a 0-d tensor", node)
            if not isinstance(shape[0], int):
                raise self.error(
                    f"the tensor's first size ({shape[0]}) is known only at run time, so it "
                    "cannot be unrolled here; loop over `range(x.shape[0])` and index instead",
                    node,
                )
            return list(value.unbind(0))
        if isinstance(value, (Number, Poly)):
            raise self.error("a number cannot be iterated over", node)
        try:
            return list(value)
        except TypeError as error:
            raise self.error(str(error), node) from None

    def _Starred(self, node: ast.Starred) -> Any:
        raise self.error("a starred expression is not supported here", node)

    def _Slice(self, node: ast.Slice) -> slice:
        return slice(
            *(None if n is None else self.expr(n) for n in (node.lower, node.upper, node.step))
        )

    def _Subscript(self, node: ast.Subscript) -> Any:
        base = self.value(node.value)
        index = self.expr(node.slice)
        if isinstance(base, Tensor):
            return base[self.tensor_index(index)]
        if isinstance(index, (Number, Poly, Tensor)):
            raise self.error(
                f"a {type(base).__name__} cannot be indexed by a number that is known only at "
                "run time; stack the items into a tensor (torch.stack) and index that",
                node,
            )
        return base[index]

    def tensor_index(self, index: Any) -> Any:
        """An index with run-time numbers as index tensors."""
        if isinstance(index, tuple):
            return tuple(map(self.tensor_index, index))
        if isinstance(index, Number):
            return index.tensor
        if isinstance(index, slice) and any(
            isinstance(i, Number) for i in (index.start, index.stop, index.step)
        ):
            raise ScriptError(
                "a slice whose bounds are known only at run time has no fixed size; index with a "
                "tensor (x[torch.arange(n)]) or use a mask (torch.where)"
            )
        return index

    def _JoinedStr(self, node: ast.JoinedStr) -> str:
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else self._formatted(part)
            for part in node.values
        )

    def _formatted(self, part: Any) -> str:
        value = self.expr(part.value)
        if isinstance(value, (Tensor, Number)):
            return f"<{_kind(value)}>"
        spec = self._JoinedStr(part.format_spec) if part.format_spec is not None else ""
        if part.conversion == ord("r"):
            value = repr(value)
        elif part.conversion == ord("s") or isinstance(value, Poly):
            value = str(value)
        return format(value, spec)

    def value(self, node: ast.AST) -> Any:
        """The value of an expression that is about to be used."""
        value = self.expr(node)
        return self.settled(value) if isinstance(value, Pending) else value

    def settled(self, pending: Pending, module: Any = None) -> Tensor:
        """The tensor of an input of unknown type; `module` is the layer that it meets."""
        raise NotImplementedError

    # given by the other parts of the evaluator
    def assign(self, target: ast.AST, value: Any) -> None:
        raise NotImplementedError

    def choose(self, truth: Tensor, node: ast.IfExp) -> Any:
        raise NotImplementedError


class Located:
    """Mixed into an error that names the user's source line."""


_located: dict[type, type] = {}


def located(error: Exception, source: Source, node: ast.AST) -> Exception:
    """The error, same type and text, with the user's line and a caret."""
    kind = type(error)
    if kind not in _located:
        _located[kind] = type(kind.__name__, (Located, kind), {"__module__": kind.__module__})
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    text = text.replace("'Poly' object", "a size that is known only at run time")
    text = text.replace("'Poly'", "'size'")
    shown = source.excerpt(node).replace("\n", "\n    ")
    out = _located[kind](f"{text}\n  {source.location(node)}\n    {shown}")
    return out


def _kind(value: Any) -> str:
    return "tensor" if isinstance(value, Tensor) else "number known at run time"


_SPOKEN = {
    "Try": "`try`", "TryStar": "`try`", "Await": "`await`", "Yield": "`yield`",
    "YieldFrom": "`yield`",
    "Global": "`global`", "Nonlocal": "`nonlocal`", "ClassDef": "a class inside a function",
    "AsyncFor": "`async for`", "AsyncWith": "`async with`", "AsyncFunctionDef": "`async def`",
    "Match": "`match`",
}  # fmt: skip


def spoken(node: ast.AST) -> str:
    name = type(node).__name__
    return _SPOKEN.get(name, f"this ({name})")
