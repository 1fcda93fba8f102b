"""The evaluator of expressions: Python source run with tensors that only record.

What is known while scripting is computed by Python itself; tensors record into the open
`Recording`; numbers that depend on data are `Number`s, sizes are dims. Statements and control flow
are in `statements.py` and `control.py`, calls in `calls.py`.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Iterator
from typing import Any

from tracec_ir import dims, dtypes
from tracec_ir.dims import Poly

from ..record import apply
from ..tensor import Tensor
from .errors import ScriptError, Source
from .recording import Recording
from .values import Number, Pending, Undefined, cast, is_dynamic, size_tensor, tensor_of

_BINARY: dict[type, tuple[str, Callable]] = {
    ast.Add: ("+", operator.add), ast.Sub: ("-", operator.sub), ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv), ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod), ast.Pow: ("**", operator.pow), ast.MatMult: ("@", operator.matmul),
    ast.BitAnd: ("&", operator.and_), ast.BitOr: ("|", operator.or_), ast.BitXor: ("^", operator.xor),
    ast.LShift: ("<<", operator.lshift), ast.RShift: (">>", operator.rshift),
}  # fmt: skip
_INPLACE: dict[str, Callable] = {
    "+": operator.iadd, "-": operator.isub, "*": operator.imul, "/": operator.itruediv,
    "//": operator.ifloordiv, "%": operator.imod, "**": operator.ipow, "@": operator.imatmul,
    "&": operator.iand, "|": operator.ior, "^": operator.ixor, "<<": operator.ilshift,
    ">>": operator.irshift,
}  # fmt: skip
_COMPARE: dict[type, tuple[str, Callable]] = {
    ast.Eq: ("==", operator.eq), ast.NotEq: ("!=", operator.ne), ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le), ast.Gt: (">", operator.gt), ast.GtE: (">=", operator.ge),
}  # fmt: skip
_MISSING = object()


class Frame:
    """The variables of one function call under evaluation."""

    __slots__ = ("locals", "outer", "globals", "source", "name", "return_type")

    def __init__(
        self, name: str, source: Source, globals: dict[str, Any], outer: Frame | dict[str, Any] | None
    ):
        self.name, self.source, self.globals, self.outer = name, source, globals, outer
        self.locals: dict[str, Any] = {}

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


class Expressions:
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
            raise self.error(f"{_spoken(node)} is not supported in script", node)
        outer = self.tr.place
        self.tr.place = (self.frame.source, node)
        try:
            return method(node)
        except ScriptError as error:
            if error.located:
                raise
            raise ScriptError(error.message, self.frame.source, node) from error
        except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError,
                NotImplementedError, ZeroDivisionError) as error:  # fmt: skip
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
        return dict(
            self._comprehend(node, lambda: (self.expr(node.key), self.expr(node.value)))
        )

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
                    f"the tensor's first size ({shape[0]}) is known only at run time, so it cannot be "
                    "unrolled here; loop over `range(x.shape[0])` and index instead",
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
        return slice(*(None if n is None else self.expr(n) for n in (node.lower, node.upper, node.step)))

    def _Subscript(self, node: ast.Subscript) -> Any:
        base = self.value(node.value)
        index = self.expr(node.slice)
        if isinstance(base, Tensor):
            return base[self.tensor_index(index)]
        if isinstance(index, (Number, Poly, Tensor)):
            raise self.error(
                f"a {type(base).__name__} cannot be indexed by a number that is known only at run time; "
                "stack the items into a tensor (torch.stack) and index that",
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

    # -- operators ---------------------------------------------------------------------------------
    def _BinOp(self, node: ast.BinOp) -> Any:
        symbol, fn = _BINARY[type(node.op)]
        return self.binary(symbol, fn, self.value(node.left), self.value(node.right))

    def binary(self, symbol: str, fn: Callable, a: Any, b: Any) -> Any:
        """`a fn b` on any mixture of static and dynamic values."""
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            return fn(self.beside(a, b), self.beside(b, a))
        if isinstance(a, (Number, Poly)) and isinstance(b, (list, tuple, str)) or (
            isinstance(b, (Number, Poly)) and isinstance(a, (list, tuple, str))
        ):
            raise ScriptError("a sequence cannot be repeated a number of times known only at run time")
        if isinstance(a, Number) or isinstance(b, Number):
            return self._numbers(symbol, fn, a, b)
        if isinstance(a, Poly) or isinstance(b, Poly):
            whole = all(isinstance(x, (int, Poly)) for x in (a, b))
            if whole and symbol in ("+", "-", "*", "//"):
                return fn(a, b)
            if whole and symbol == "%":
                return dims.mod(a, b)
            return self._numbers(symbol, fn, a, b)
        return fn(a, b)

    def _numbers(self, symbol: str, fn: Callable, a: Any, b: Any) -> Number:
        x, y = tensor_of(a), tensor_of(b)
        if symbol == "/" or "f" in (x.dtype.kind, y.dtype.kind):
            if "c" not in (x.dtype.kind, y.dtype.kind):
                x, y = cast(x, dtypes.f64), cast(y, dtypes.f64)
        elif symbol in ("+", "-", "*", "//", "%", "**"):
            x, y = cast(x, dtypes.i64), cast(y, dtypes.i64)
        return Number(fn(x, y))

    def beside(self, x: Any, other: Any) -> Any:
        """x as an operand of a tensor operation beside `other`."""
        if isinstance(x, Number):
            return x.operand(other)
        return size_tensor(x) if isinstance(x, Poly) else x

    def _UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value, node.operand)
            return not truth if isinstance(truth, bool) else Number(apply("logical_not", (truth,)))
        fn = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}[type(node.op)]
        if isinstance(value, Number):
            return Number(fn(value.tensor))
        if isinstance(value, Poly):
            return -value if fn is operator.neg else value if fn is operator.pos else -value - 1
        return fn(value)

    def _BoolOp(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = None
        truths: list[Tensor] = []
        for i, part in enumerate(node.values):
            value = self.value(part)
            truth = self.truth(value, part)
            if isinstance(truth, bool):
                if truth is stop:
                    if not truths:
                        return value
                    return self._joined([*truths, tensor_of(truth)], stop)
                if i == len(node.values) - 1 and not truths:
                    return value
            else:
                truths.append(truth)
        return self._joined(truths, stop) if truths else value

    def _joined(self, truths: list[Tensor], any_of: bool) -> Number:
        out = truths[0]
        for truth in truths[1:]:
            out = apply("logical_or" if any_of else "logical_and", (out, truth))
        return Number(out)

    def _Compare(self, node: ast.Compare) -> Any:
        left = self.value(node.left)
        results = []
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            result = self._compared(op, left, right)
            truth = result if isinstance(result, (bool, Tensor, Number)) else bool(result)
            if truth is False:
                return False
            results.append(truth)
            left = right
        dynamic = [r for r in results if r is not True]
        if len(dynamic) <= 1:
            return dynamic[0] if dynamic else True
        if all(isinstance(d, Number) for d in dynamic):
            return self._joined([d.tensor for d in dynamic], False)
        return self._joined([self._truth_tensor(d, node) for d in dynamic], False)

    def _compared(self, op: ast.cmpop, a: Any, b: Any) -> Any:
        if isinstance(op, (ast.Is, ast.IsNot)):
            return (a is b) is isinstance(op, ast.Is)
        if isinstance(op, (ast.In, ast.NotIn)):
            if is_dynamic(a) or isinstance(b, Tensor):
                raise ScriptError("`in` needs values that are known while scripting")
            return (a in b) is isinstance(op, ast.In)
        symbol, fn = _COMPARE[type(op)]
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            if a is None or b is None or isinstance(a, str) or isinstance(b, str):
                return symbol == "!="
            return fn(self.beside(a, b), self.beside(b, a))
        if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)) and symbol in ("==", "!="):
            return self._sequences(symbol, a, b)
        if isinstance(a, Number) or isinstance(b, Number):
            if not all(isinstance(x, (Number, Poly, bool, int, float)) for x in (a, b)):
                return symbol == "!="
            return Number(fn(tensor_of(a), tensor_of(b)))
        if isinstance(a, Poly) or isinstance(b, Poly):
            return self._sizes(symbol, fn, a, b)
        return fn(a, b)

    def _sequences(self, symbol: str, a: Any, b: Any) -> Any:
        """Equality of shapes and other sequences, element by element."""
        if len(a) != len(b) or type(a) is list and type(b) is tuple:
            return symbol == "!="
        parts = [self._compared(ast.Eq(), x, y) for x, y in zip(a, b, strict=True)]
        if any(p is False for p in parts):
            return symbol == "!="
        dynamic = [p.tensor for p in parts if isinstance(p, Number)]
        if not dynamic:
            return symbol == "=="
        out = self._joined(dynamic, False)
        return out if symbol == "==" else Number(apply("logical_not", (out.tensor,)))

    def _sizes(self, symbol: str, fn: Callable, a: Any, b: Any) -> Any:
        """A comparison of sizes: static where it holds for all sizes from 0."""
        if not all(isinstance(x, (int, float, Poly)) for x in (a, b)):
            return symbol == "!="
        if isinstance(a, float) or isinstance(b, float):
            return Number(fn(cast(tensor_of(a), dtypes.f64), cast(tensor_of(b), dtypes.f64)))
        difference = a - b
        if isinstance(difference, int):
            return fn(difference, 0)
        for sign, low in ((1, _least(difference)), (-1, _least(-difference))):
            if low is not None and low >= 0:  # difference * sign is at least `low`
                if symbol in (("<", ">=") if sign == 1 else (">", "<=")):
                    return symbol in (">=", "<=")
                if low > 0 and symbol in ("==", "!=", "<=", ">"  if sign == 1 else "<", ">="):
                    return fn(sign, 0)
        return Relation(fn(size_tensor_of(a), size_tensor_of(b)), symbol, a, b)

    def _IfExp(self, node: ast.IfExp) -> Any:
        truth = self.truth(self.value(node.test), node.test)
        if isinstance(truth, bool):
            return self.expr(node.body if truth else node.orelse)
        return self.choose(truth, node)

    # -- truth -------------------------------------------------------------------------------------
    def truth(self, value: Any, node: ast.AST) -> bool | Tensor:
        """The truth of a value: a bool, or a 0-d bool tensor if it is known only at run time."""
        if isinstance(value, (Tensor, Number)):
            return self._truth_tensor(value, node)
        if isinstance(value, Poly):
            return self._truth_tensor(Number(size_tensor(value)), node)
        return bool(value)

    def _truth_tensor(self, value: Any, node: ast.AST) -> Tensor:
        x = value.tensor if isinstance(value, Number) else value
        if not isinstance(x, Tensor):
            return tensor_of(bool(x))
        if x.shape:
            if any(n != 1 for n in x.shape):
                raise self.error(
                    "Boolean value of Tensor with more than one value is ambiguous "
                    "(use .any() or .all())",
                    node,
                )
            x = x.reshape(())
        return x if x.dtype is dtypes.b1 else apply("ne", (x, 0))

    def static_truth(self, node: ast.AST, what: str) -> bool:
        """The truth of an expression that must be known while scripting."""
        truth = self.truth(self.value(node), node)
        if not isinstance(truth, bool):
            raise self.error(f"{what} must be known while scripting; it depends on data", node)
        return truth

    def value(self, node: ast.AST) -> Any:
        """The value of an expression that is about to be used."""
        value = self.expr(node)
        return self.settled(value) if isinstance(value, Pending) else value

    def settled(self, pending: Pending, module: Any = None) -> Tensor:
        """The tensor of an input whose type nothing has said yet; `module` is the layer it meets."""
        raise NotImplementedError

    # given by the other parts of the evaluator
    def assign(self, target: ast.AST, value: Any) -> None:
        raise NotImplementedError

    def choose(self, truth: Tensor, node: ast.IfExp) -> Any:
        raise NotImplementedError


class Relation(Number):
    """A comparison of sizes: a run-time bool that remembers what it compares."""

    __slots__ = ("symbol", "a", "b")

    def __init__(self, tensor: Tensor, symbol: str, a: Any, b: Any):
        super().__init__(tensor)
        self.symbol, self.a, self.b = symbol, a, b


def size_tensor_of(dim: Any) -> Tensor:
    """A size, symbolic or not, as a 0-d int64 tensor."""
    return tensor_of(dim)


def _least(dim: Any) -> int | None:
    """A lower bound of a dim whose symbols are at least 0, if it is easy to see."""
    if isinstance(dim, int):
        return dim
    total = 0
    for mono, coef in dim.terms.items():
        if mono and (coef < 0 or any(isinstance(u, dims.Atom) for u in mono)):
            return None
        total += coef if not mono else 0
    return total


class Located:
    """Mixed into an error that names the user's source line."""


_located: dict[type, type] = {}


def located(error: Exception, source: Source, node: ast.AST) -> Exception:
    """The error, same type and text, with the user's line and a caret."""
    kind = type(error)
    if kind not in _located:
        _located[kind] = type(kind.__name__, (Located, kind), {"__module__": kind.__module__})
    text = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
    shown = source.excerpt(node).replace("\n", "\n    ")
    out = _located[kind](f"{text}\n  {source.location(node)}\n    {shown}")
    return out


def _kind(value: Any) -> str:
    return "tensor" if isinstance(value, Tensor) else "number known at run time"


_SPOKEN = {
    "Try": "`try`", "TryStar": "`try`", "Await": "`await`", "Yield": "`yield`", "YieldFrom": "`yield`",
    "Global": "`global`", "Nonlocal": "`nonlocal`", "ClassDef": "a class inside a function",
    "AsyncFor": "`async for`", "AsyncWith": "`async with`", "AsyncFunctionDef": "`async def`",
    "Match": "`match`",
}  # fmt: skip


def _spoken(node: ast.AST) -> str:
    name = type(node).__name__
    return _SPOKEN.get(name, f"this ({name})")
