"""Decorators that declare pointwise primitives of one and two operands."""

from __future__ import annotations

from collections.abc import Callable

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import OpDef, Pointwise, prim
from ..types import TensorType, Type
from .rules import equal_types, in_f32, of_kind


def unary(
    numpy: Callable,
    grad: Callable | None,
    *,
    samples: Callable,
    promote: str = "float",
    kinds: str = "f",
    llvm: str = "",
    cuda: str = "",
    cost: float = 1.0,
    result: Callable[[TensorType], Type] | None = None,
) -> Callable[[Callable], OpDef]:
    """Declares `y = f(x)`; the decorated function gives name, operand and doc.

    `grad(b, g, x, y)` is the gradient of x, None if there is none to speak of.
    """

    def register(fn: Callable) -> OpDef:
        name = fn.__name__.rstrip("_")  # abs_, round_, pow_ would hide builtins

        def vjp(b: Builder, op: Op, g: Value) -> list:
            assert grad is not None
            return [grad(b, g, op.operands[0], op.results[0])]

        def rule(x: Type) -> Type:
            x = of_kind(name, x, kinds)
            return x if result is None else result(x)

        facts = Pointwise(promote, llvm, cuda or name, cost)
        d = prim(
            name,
            numpy=in_f32(numpy), vjp=vjp if grad else None, nondiff=grad is None,
            pointwise=facts, kernel="pointwise", samples=samples,
        )(fn)  # fmt: skip
        d.infer_rule = rule
        return d

    return register


def binary(
    numpy: Callable,
    grad: Callable | None,
    *,
    samples: Callable,
    promote: str = "same",
    kinds: str = "f",
    llvm: str = "",
    cuda: str = "",
    cost: float = 1.0,
    boolean: bool = False,
    refuse: Callable | None = None,
    result: Callable[[TensorType], Type] | None = None,
) -> Callable[[Callable], OpDef]:
    """Declares `y = f(x1, x2)`; `grad(b, g, x1, x2, y)` returns both gradients.

    `boolean`: the result is b1. `refuse`: see `Pointwise`. `result`: the type of the result, if it
    is another one.
    """

    def register(fn: Callable) -> OpDef:
        name = fn.__name__.rstrip("_")  # abs_, round_, pow_ would hide builtins

        def vjp(b: Builder, op: Op, g: Value) -> list:
            assert grad is not None
            return list(grad(b, g, *op.operands, op.results[0]))

        def rule(a: Type, b: Type) -> Type:
            if refuse is not None and result is not None:
                refuse(a, b)
            t = equal_types(name, a, b, kinds)
            if refuse is not None:
                refuse(a, b)
            if result is not None:
                return result(t)
            return t.with_dtype(dtypes.b1) if boolean else t

        facts = Pointwise(promote, llvm, cuda or name, cost, refuse)
        d = prim(
            name,
            numpy=in_f32(numpy), vjp=vjp if grad else None, nondiff=grad is None,
            pointwise=facts, kernel="pointwise", samples=samples,
        )(fn)  # fmt: skip
        d.infer_rule = rule
        return d

    return register
