"""Steps that are no fused loop nests: library calls, ops with their own loops, and host steps."""

from __future__ import annotations

from tracec_ir.core import Op, Value
from tracec_ir.printer import print_func
from tracec_ir.types import ScalarType

from ..program import HostStep, Program
from ..target import Target
from . import cost
from .contract import CONVOLUTIONS, call_conv, call_dot, dot_reads, is_library_conv
from .lower import Storage
from .nodes import Node, numel, unreshaped


def stored_reads(op: Op) -> list[Value]:
    """The values that must be in memory for an op that is a step of its own."""
    if op.name == "dot" and op.operands[0].dtype.code in ("f32", "f64"):
        return dot_reads(op)
    if op.name in CONVOLUTIONS and is_library_conv(op):
        return [unreshaped(x) for x in op.operands]
    return list(op.operands)


def lower_opaque(storage: Storage, node: Node, target: Target) -> None:
    """Appends the step or steps that compute a node."""
    op = node.op
    assert op is not None
    if op.name == "dot" and op.operands[0].dtype.code in ("f32", "f64"):
        call_dot(storage, op, target)
    elif op.name in CONVOLUTIONS and is_library_conv(op):
        call_conv(storage, op, target)
    else:
        host_step(storage, op, "there is no kernel for it")


def host_step(storage: Storage, op: Op, reason: str) -> None:
    """The NumPy reference of an op, as a step."""
    program: Program = storage.program
    args = tuple(storage.of[x] for x in op.operands)
    if any(isinstance(v.type, ScalarType) for v in op.results):
        raise NotImplementedError(f"a compiled '{op.name}' with a Python number as a result")
    regions = tuple(map(print_func, op.regions))
    outs = tuple(finish_outputs(storage, v) for v in op.results)
    elements = sum(cost.known(numel(v)) for v in op.results)
    program.steps.append(
        HostStep(
            op.name,
            args,
            outs,
            dict(op.attrs),
            3000.0 + 2.0 * elements,
            reason,
            (op.name,),
            regions,
        )
    )


def finish_outputs(storage: Storage, v: Value) -> int:
    """The buffer that a step must write v to; further results equal to v are copied later."""
    first, *others = storage.destinations(v)
    storage.of[v] = first
    if others:
        storage.copies.append((first, others))
    return first
