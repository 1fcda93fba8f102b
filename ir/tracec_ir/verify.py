"""The verifier: what must hold of a function between any two passes.

Every value is defined once and before its uses, regions use nothing from outside, each op is known,
legal at the stage and has the operands, attributes and regions of its definition, and its result
types are those its type rule gives.
"""

from __future__ import annotations

from . import dims
from .core import Func, Module, Op, Value
from .expand import on_host
from .optable import OpDef, lookup
from .printer import attr_text
from .types import TensorType, Type

STAGES = ("tensor", "primitive")


class VerifyError(Exception):
    """A function that is not well-formed; the message names op, operand, types and source line."""


def verify(func: Func, stage: str = "tensor") -> None:
    """Raises VerifyError if `func` is malformed. Stages: "tensor" allows every op of the table,
    "primitive" only primitives."""
    if stage not in STAGES:
        raise ValueError(f"unknown stage {stage!r}; expected one of {', '.join(STAGES)}")
    with dims.guards():  # relations between sizes are decided again, and already guarded
        _verify(func, stage)


def verify_module(module: Module, stage: str = "tensor") -> None:
    """Verifies every function of a module."""
    for func in module:
        verify(func, stage)


def _verify(func: Func, stage: str) -> None:
    where = f"func @{func.name}"
    defined: dict[Value, str] = {}
    for i, p in enumerate(func.params):
        if p.op is not None:
            raise VerifyError(f"{where}: parameter {i} is a result of {p.op.name}")
        if p in defined:
            raise VerifyError(f"{where}: parameter {i} occurs twice")
        _check_sizes(p.type, f"{where}: parameter {i}")
        defined[p] = f"parameter {p.name or i}"
    for number, op in enumerate(func.ops):
        _op(op, f"{where}: op {number}, {op.name}{_at(op)}", defined, stage)
        for i, r in enumerate(op.results):
            if r in defined:
                raise VerifyError(f"{where}: op {number}, {op.name}{_at(op)}, occurs twice")
            defined[r] = f"result {i} of {op.name}"
    for i, v in enumerate(func.results):
        if v not in defined:
            raise VerifyError(f"{where}: returned value {i}, {_origin(v)}, is not defined in it")


def _op(op: Op, where: str, defined: dict[Value, str], stage: str) -> None:
    try:
        d = lookup(op.name)
    except KeyError as error:
        raise VerifyError(f"{where}: {error.args[0]}") from None
    if stage == "primitive" and not d.is_primitive and not on_host(op):
        raise VerifyError(f"{where}: a composite is not legal at the stage 'primitive'")
    for i, v in enumerate(op.operands):
        if v not in defined:
            raise VerifyError(
                f"{where}: operand {_operand(d, i)}, {_origin(v)}, is not defined before its use "
                "in this function (regions see their parameters only)"
            )
    _count(op, d, where)
    _attrs(op, d, where)
    if len(op.regions) != d.regions:
        raise VerifyError(f"{where}: expected {d.regions} regions, found {len(op.regions)}")
    for region in op.regions:
        try:
            _verify(region, stage)
        except VerifyError as error:
            raise VerifyError(f"{where}: in its region: {error}") from None
    for i, r in enumerate(op.results):
        if r.op is not op or r.index != i:
            raise VerifyError(f"{where}: result {i} does not belong to the op")
    _types(op, d, where)


def _count(op: Op, d: OpDef, where: str) -> None:
    rule = d.body or d.infer_rule
    most = len(d.operands)
    least = most - len(rule.__defaults__ or ()) if rule is not None else most
    found = len(op.operands)
    if found < least or (found > most and not d.variadic):
        names = ", ".join(d.operands) + (", ..." if d.variadic else "")
        raise VerifyError(f"{where}: expected operands ({names}), found {found} of them")


def _attrs(op: Op, d: OpDef, where: str) -> None:
    if tuple(op.attrs) != tuple(d.attrs):
        raise VerifyError(
            f"{where}: expected attributes [{', '.join(d.attrs)}], found [{', '.join(op.attrs)}]"
        )
    for name, value in op.attrs.items():
        try:
            attr_text(value)
        except TypeError as error:
            raise VerifyError(f"{where}: attribute '{name}': {error}") from None


def _types(op: Op, d: OpDef, where: str) -> None:
    listed = ", ".join(f"{_operand(d, i)}: {v.type!r}" for i, v in enumerate(op.operands))
    try:
        expected = d.infer([v.type for v in op.operands], op.attrs, op.regions)
    except Exception as error:  # type rules raise what PyTorch would
        raise VerifyError(f"{where}: wrong operands ({listed}): {error}") from error
    found = tuple(r.type for r in op.results)
    if len(expected) != len(found):
        raise VerifyError(f"{where}: expected {len(expected)} results, found {len(found)}")
    for i, (want, have) in enumerate(zip(expected, found, strict=True)):
        if want != have:
            raise VerifyError(
                f"{where}: result {i}: expected {want!r}, found {have!r} (operands {listed})"
            )
        _check_sizes(have, f"{where}: result {i}")


def _check_sizes(type_: Type, where: str) -> None:
    if isinstance(type_, TensorType) and any(isinstance(d, int) and d < 0 for d in type_.shape):
        raise VerifyError(f"{where} has a negative size: {type_!r}")


def _at(op: Op) -> str:
    return f" at {op.loc}" if op.loc else ""


def _operand(d: OpDef, i: int) -> str:
    return d.operands[i] if i < len(d.operands) else str(i)


def _origin(value: Value) -> str:
    if value.op is not None:
        return f"result {value.index} of {value.op.name}{_at(value.op)}"
    return f"parameter {value.name}" if value.name else "a parameter"
