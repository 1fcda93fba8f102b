"""Decorators that declare pointwise ops of one and two operands: primitives, and composites that
promote, check and differentiate as if they were."""

from __future__ import annotations

from collections.abc import Callable

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import OpDef, Pointwise, composite, prim
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
    derived: str = "",
) -> Callable[[Callable], OpDef]:
    """Declares `y = f(x)`; the decorated function gives name, operand and doc.

    `grad(b, g, x, y)` is the gradient of x, None if there is none to speak of. `derived`: the
    decorated function is the body of a composite, see `_declare`.
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
        return _declare(name, fn, rule, numpy, vjp if grad else None, facts, samples, derived)

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
    derived: str = "",
) -> Callable[[Callable], OpDef]:
    """Declares `y = f(x1, x2)`; `grad(b, g, x1, x2, y)` returns both gradients.

    `boolean`: the result is b1. `refuse`: see `Pointwise`. `result`: the type of the result, if it
    is another one. `derived`: the decorated function is the body of a composite, see `_declare`.
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
        return _declare(name, fn, rule, numpy, vjp if grad else None, facts, samples, derived)

    return register


def _declare(
    name: str,
    fn: Callable,
    rule: Callable,
    numpy: Callable,
    vjp: Callable | None,
    facts: Pointwise,
    samples: Callable,
    derived: str,
) -> OpDef:
    """The op: a primitive, or a composite over operands of one type, whose body `fn` is

    "spelling": one other op; it is emitted in place of the composite;
    "exact": free of rounding, or rounded once;
    "rounding": rounded more than once, so that 16-bit floats are computed in f32.
    """
    shared: dict = {
        "numpy": in_f32(numpy), "vjp": vjp, "nondiff": vjp is None, "pointwise": facts,
        "samples": samples,
    }  # fmt: skip
    if derived:
        d = composite(name, inline=derived == "spelling", **shared)(fn)
        if derived == "rounding":
            d.body = _wide(fn)
    else:
        d = prim(name, kernel="pointwise", **shared)(fn)
    d.infer_rule = rule
    return d


def _wide(body: Callable) -> Callable:
    """`body` computing 16-bit floats in f32, rounded once at the end."""

    def wide(b: Builder, *operands: Value) -> Value:
        dtype = operands[0].dtype
        if dtype.bits != 16 or dtype.kind != "f":
            return body(b, *operands)
        return b.cast(body(b, *(b.cast(v, dtypes.f32) for v in operands)), dtype)

    return wide
