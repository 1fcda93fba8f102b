"""Estimated times: of scalar ops, kernels, library calls, the interpreter and compiling.

Nanoseconds on one core of a current desktop CPU; good to a factor of two or so, which is what the
decisions here need (recompute or keep, parallel or serial, interpret or compile).
"""

from __future__ import annotations

from tracec_ir import dims
from tracec_ir.core import Func, Op
from tracec_ir.dims import Dim
from tracec_ir.interp import executable
from tracec_ir.optable import lookup
from tracec_ir.types import TensorType

EXPENSIVE = 8.0  # an op (or chain) of this cost is worth keeping rather than computing twice
UNIT = 0.03  # nanoseconds of one cheap op on one element, vectorised
BYTE = 0.04  # nanoseconds a byte loaded or stored
PARALLEL = 30_000.0  # nanoseconds from which on a kernel is split among threads
LAUNCH = 150.0
SERIAL_OP = 1.0  # nanoseconds of one op on one element when it does not vectorise

_INTERPRETED_OP = 3_000.0  # nanoseconds of overhead of one NumPy call with its bookkeeping
_INTERPRETED_ELEMENT = 1.5
_INTERPRETED_COPY = 3.0  # nanoseconds an element of a view that is copied, which may step far
_COMPILE_BASE = 2_000_000.0
_COMPILE_OP = 250_000.0
_OTHER = {"philox": 90.0, "gather": 4.0, "const": 0.0, "iota": 0.0, "broadcast": 0.0,
          "reshape": 0.0, "permute": 0.0, "slice": 0.0}  # fmt: skip
_MOVEMENT = {"broadcast", "reshape", "permute", "slice", "const", "strided"}


def op_cost(name: str) -> float:
    """Relative cost of a pointwise op: 1 is an addition."""
    facts = lookup(name).pointwise
    if facts is not None:
        return facts.cost
    return _OTHER.get(name, 1.0)


def known(dim: Dim, default: int = 1024) -> int:
    """The value of a size as far as its hints tell."""
    try:
        return dims.hint(dim)
    except ValueError:
        return default


def at_most(dim: Dim, default: int = 1024) -> int:
    """A bound of an extent such as min(256, n - 256*i), else what the hints tell."""
    if isinstance(dim, dims.Poly) and len(dim.terms) == 1:
        ((mono, coef),) = dim.terms.items()
        if (
            coef == 1
            and len(mono) == 1
            and isinstance(mono[0], dims.Atom)
            and mono[0].kind == "min"
        ):
            return min(at_most(mono[0].a, 1 << 62), at_most(mono[0].b, 1 << 62))
    return known(dim, default)


def interpreter_cost(func: Func) -> tuple[float, float]:
    """(nanoseconds of one run of `func` by the interpreter beyond what compiled code would take,
    nanoseconds that compiling it is likely to cost)."""
    run = price = 0.0
    flat = executable(func)
    copied = set(flat.results)  # views are free until they must be copied into memory of their own
    for op in flat.walk():
        elements = sum(
            known(dims.product(r.shape)) for r in op.results if isinstance(r.type, TensorType)
        )
        if op.name in _MOVEMENT:
            run += _INTERPRETED_OP / 2
            if any(r in copied for r in op.results):
                run += _INTERPRETED_COPY * elements
            continue
        work = max(1.0, op_cost(op.name) / 4) + _depth(op) * _INTERPRETED_DEPTH.get(op.name, 1.0)
        run += _INTERPRETED_OP + _INTERPRETED_ELEMENT * elements * work
        price += _COMPILE_OP
    return run, _COMPILE_BASE + price


# NumPy multiplies matrices well, but gathers the windows of a convolution first
_INTERPRETED_DEPTH = {"dot": 0.05, "conv": 4.0, "conv_input": 8.0, "conv_weight": 8.0}


def _depth(op: Op) -> float:
    """How many elements go into one element of a contraction's or reduction's result."""
    if not op.operands or not isinstance(op.operands[0].type, TensorType):
        return 0.0
    if op.name == "dot":
        return known(op.operands[0].shape[-1])
    into = max(known(dims.product(v.shape)) for v in op.operands if isinstance(v.type, TensorType))
    out = max(1, known(dims.product(op.results[0].shape)))
    if op.name.startswith("conv"):
        w = op.attrs.get("weight_shape") or op.operands[1].shape
        return known(dims.product(w[1:])) * (
            max(into, out) / out if op.name == "conv_weight" else 1.0
        )
    return into / out if op.name in ("reduce", "argreduce", "scan", "scatter") else 0.0
