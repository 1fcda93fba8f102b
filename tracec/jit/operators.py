"""Operators in a script, on any mixture of tensors, run-time numbers, sizes and Python objects."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from tracec_ir import dims, dtypes
from tracec_ir.dims import Poly

from ..record import apply
from ..tensor import Tensor
from .errors import ScriptError
from .values import Number, cast, is_dynamic, size_tensor, tensor_of

BINARY: dict[type, tuple[str, Callable]] = {
    ast.Add: ("+", operator.add), ast.Sub: ("-", operator.sub), ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv), ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod), ast.Pow: ("**", operator.pow),
    ast.MatMult: ("@", operator.matmul), ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_), ast.BitXor: ("^", operator.xor),
    ast.LShift: ("<<", operator.lshift), ast.RShift: (">>", operator.rshift),
}  # fmt: skip
INPLACE: dict[str, Callable] = {
    "+": operator.iadd, "-": operator.isub, "*": operator.imul, "/": operator.itruediv,
    "//": operator.ifloordiv, "%": operator.imod, "**": operator.ipow, "@": operator.imatmul,
    "&": operator.iand, "|": operator.ior, "^": operator.ixor, "<<": operator.ilshift,
    ">>": operator.irshift,
}  # fmt: skip
_COMPARE: dict[type, tuple[str, Callable]] = {
    ast.Eq: ("==", operator.eq), ast.NotEq: ("!=", operator.ne), ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le), ast.Gt: (">", operator.gt), ast.GtE: (">=", operator.ge),
}  # fmt: skip


class Operators:
    """Evaluates operators, comparisons and truth."""

    value: Callable[[ast.AST], Any]
    expr: Callable[[ast.AST], Any]
    error: Callable[[str, ast.AST], ScriptError]
    choose: Callable[[Tensor, ast.IfExp], Any]

    def _BinOp(self, node: ast.BinOp) -> Any:
        symbol, fn = BINARY[type(node.op)]
        return self.binary(symbol, fn, self.value(node.left), self.value(node.right))

    def binary(self, symbol: str, fn: Callable, a: Any, b: Any) -> Any:
        """`a fn b` on any mixture of static and dynamic values."""
        if isinstance(a, Tensor) or isinstance(b, Tensor):
            return fn(self.beside(a, b), self.beside(b, a))
        if (
            isinstance(a, (Number, Poly))
            and isinstance(b, (list, tuple, str))
            or (isinstance(b, (Number, Poly)) and isinstance(a, (list, tuple, str)))
        ):
            raise ScriptError(
                "a sequence cannot be repeated a number of times known only at run time"
            )
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
        fn = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert}[
            type(node.op)
        ]
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
                if low > 0 and symbol in ("==", "!=", "<=", ">" if sign == 1 else "<", ">="):
                    return fn(sign, 0)
        return Relation(fn(tensor_of(a), tensor_of(b)), symbol, a, b)

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


class Relation(Number):
    """A comparison of sizes: a run-time bool that remembers what it compares."""

    __slots__ = ("symbol", "a", "b")

    def __init__(self, tensor: Tensor, symbol: str, a: Any, b: Any):
        super().__init__(tensor)
        self.symbol, self.a, self.b = symbol, a, b


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
