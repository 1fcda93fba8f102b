"""Pointwise primitives as expressions of CUDA C.

How a primitive is spelled stands in the op table (`pointwise.cuda`): an operator, or the name of a
function of the prelude. Values come in register form; integers wrap around.
"""

from __future__ import annotations

from tracec_ir.dtypes import DType, b1
from tracec_ir.optable import lookup

from .types import from_memory, register_type, to_memory

_WRAPPING = {"+": "add", "-": "sub", "*": "mul"}
_OF_TRUTH = {"&": "&&", "|": "||", "^": "!="}
_COMPARISONS = ("==", "<", "<=")
_WHOLE = ("floor", "ceil", "trunc", "rint")  # of an integer: itself
_BITS = {
    "f16": ("__half_as_ushort", "__ushort_as_half"),
    "bf16": ("__bfloat16_as_ushort", "__ushort_as_bfloat16"),
    "f32": ("__float_as_int", "__int_as_float"),
    "f64": ("__double_as_longlong", "__longlong_as_double"),
}


def expression(op: str, args: list[str], types: list[DType], dtype: DType) -> str:
    """The value of a pointwise primitive: `args` are the operands' texts, `types` their dtypes."""
    if op == "cast":
        return convert(args[0], types[0], dtype)
    if op == "bitcast":
        return _bitcast(args[0], types[0], dtype)
    facts = lookup(op).pointwise
    if facts is None:
        raise NotImplementedError(f"no CUDA lowering of pointwise op '{op}'")
    spelling = facts.cuda
    of = types[0]
    if spelling.isidentifier():
        return _call(spelling, args, of)
    if spelling == "?:":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    if spelling in _COMPARISONS:
        return f"{args[0]} {spelling} {args[1]}"
    if spelling == "~":
        return f"!{args[0]}" if of is b1 else f"({register_type(of)})~{args[0]}"
    return _operator(spelling, args, of)


def _call(name: str, args: list[str], of: DType) -> str:
    if not of.is_floating_point and name in _WHOLE:
        return args[0]
    return f"tc::{name}({', '.join(args)})"


def _operator(operator: str, args: list[str], of: DType) -> str:
    a, b = args
    if operator in ("<<", ">>"):
        return f"tc::{'shl' if operator == '<<' else 'shr'}({a}, {b})"
    if of.is_floating_point:
        return f"{a} {operator} {b}"
    if operator in _WRAPPING:
        return f"tc::{_WRAPPING[operator]}({a}, {b})"
    if operator == "/":
        return f"tc::quotient({a}, {b})"
    if of is b1:
        return f"{a} {_OF_TRUTH[operator]} {b}"
    return f"({register_type(of)})({a} {operator} {b})"


def convert(text: str, source: DType, to: DType) -> str:
    """A value converted as C does: floats to integers toward zero, anything to bool by != 0."""
    if source is to:
        return text
    if to is b1:
        return f"{text} != 0"
    if to.code in ("f16", "bf16"):  # rounded to the narrow type, kept as float
        return from_memory(to_memory(f"(float){text}", to), to)
    if source.is_floating_point and not to.is_floating_point:
        return f"tc::to_integer<{register_type(to)}>({text})"
    return f"({register_type(to)}){text}"


def _bitcast(text: str, source: DType, to: DType) -> str:
    if source.bits != to.bits:
        raise NotImplementedError(f"bitcast of {source.name} to {to.name} in a CUDA kernel")
    raw = to_memory(text, source)
    if source.is_floating_point:
        raw = f"{_BITS[source.code][0]}({raw})"
    if to.is_floating_point:
        return from_memory(f"{_BITS[to.code][1]}({raw})", to)
    return f"({register_type(to)}){raw}" if to is not b1 else f"{raw} != 0"


COMBINE = {
    "sum": "add", "add": "add", "any": "max", "prod": "mul", "mul": "mul", "all": "min",
    "max": "max", "min": "min",
}  # fmt: skip
_FUNCTORS = {"add": "Sum", "mul": "Product", "max": "Max", "min": "Min"}


def combine(how: str, a: str, b: str) -> str:
    """Two values of an accumulation combined."""
    return b if how == "last" else f"tc::{COMBINE[how]}({a}, {b})"


def functor(how: str) -> str:
    """The prelude's function object that combines so."""
    return f"tc::{_FUNCTORS[COMBINE[how]]}()"
