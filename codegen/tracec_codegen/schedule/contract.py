"""Contractions as calls of the native library: strides instead of transposed copies."""

from __future__ import annotations


from tracec_ir import dims
from tracec_ir.core import Op, Value
from tracec_ir.dims import Dim

from ..program import CallStep, Ref
from ..target import Target
from . import cost
from .lower import Storage
from .nodes import unreshaped

CONVOLUTIONS = ("conv", "conv_input", "conv_weight")
_FLOP = {"f32": 0.015, "f64": 0.03}  # nanoseconds a multiply-add


def view_of(v: Value) -> tuple[Value, tuple[Dim, ...], Dim]:
    """(stored value, strides, offset) such that v is that strided view of it."""
    chain: list[Op] = []
    while v.op is not None and v.op.name in ("permute", "slice"):
        chain.append(v.op)
        v = v.op.operands[0]
    strides: list[Dim] = []
    step: Dim = 1
    for s in reversed(v.shape):
        strides.insert(0, step)
        step = step * s
    v = unreshaped(v)
    offset: Dim = 0
    for op in reversed(chain):
        if op.name == "permute":
            strides = [strides[p] for p in op.attrs["perm"]]
        else:
            starts, steps = op.attrs["starts"], op.attrs["steps"]
            offset = offset + sum((a * s for a, s in zip(starts, strides, strict=True)), start=0)
            strides = [s * n for s, n in zip(strides, steps, strict=True)]
    return v, tuple(strides), offset


def dot_reads(op: Op) -> list[Value]:
    """What a library dot reads from memory."""
    return [view_of(x)[0] for x in op.operands]


def call_dot(storage: Storage, op: Op, target: Target) -> None:
    """Appends the library calls of a dot (one, unless the batch has irregular strides)."""
    from ..llvm.gemm import gemm_parts, gemm_scratch_bytes, gemm_symbol

    from .opaque import finish_outputs

    a, b = op.operands
    code = a.dtype.code
    (va, sa, oa), (vb, sb, ob) = view_of(a), view_of(b)
    batch = list(a.shape[:-2])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    out = finish_outputs(storage, op.result)
    hints = [cost.known(x) for x in (m, n, k)]
    for loops, size, step_a, step_b, step_c in batch_loops(batch, sa[:-2], sb[:-2], m * n):
        for at_a, at_b, at_c in loops:
            count = cost.known(size)
            parts, grain = gemm_parts(*hints, count)
            words = (
                Ref(storage.of[va], oa + at_a), Ref(storage.of[vb], ob + at_b), Ref(out, at_c),
                step_a, step_b, step_c, m, n, k, sa[-2], sa[-1], sb[-2], sb[-1], n, parts, 0, 0, 0,
            )  # fmt: skip
            work = hints[0] * hints[1] * hints[2] * count * _FLOP[code]
            storage.program.steps.append(
                CallStep(
                    gemm_symbol(code), words, (out,), size * parts, grain,
                    gemm_scratch_bytes(target, code), cost.LAUNCH + work, ("dot",),
                )  # fmt: skip
            )


def batch_loops(batch: list[Dim], sa, sb, step: Dim):
    """Yields ([offsets (a, b, c) of each call], batch size, strides a, b, c): neighbouring batch
    axes are merged where strides allow, the others become separate calls."""
    axes = [(s, x, y) for s, x, y in zip(batch, sa, sb, strict=True) if s != 1]
    strides_c: list[Dim] = []
    total = step
    for s, _, _ in reversed(axes):
        strides_c.insert(0, total)
        total = total * s
    merged: list[list[Dim]] = []
    for (s, x, y), c in zip(axes, strides_c, strict=True):
        if merged and merged[-1][1] == x * s and merged[-1][2] == y * s:
            merged[-1] = [merged[-1][0] * s, x, y, c]
        else:
            merged.append([s, x, y, c])
    if not merged:
        yield [(0, 0, 0)], 1, 0, 0, 0
        return
    size, x, y, c = merged[-1]
    offsets: list[tuple[Dim, Dim, Dim]] = [(0, 0, 0)]
    for s, px, py, pc in merged[:-1]:
        if not isinstance(s, int):
            raise NotImplementedError("a batched dot over several permuted batch axes of symbolic size")
        offsets = [(a + i * px, b + i * py, o + i * pc) for a, b, o in offsets for i in range(s)]
    yield offsets, size, x, y, c


def is_library_conv(op: Op) -> bool:
    """Whether the library has the convolution (1-d ones are 2-d of height 1)."""
    return op.operands[0].rank in (3, 4) and op.operands[0].dtype.code in _FLOP


def call_conv(storage: Storage, op: Op, target: Target) -> None:
    """Appends the library call of a convolution or of one of its gradients."""
    from ..llvm.conv import ConvShape, conv_symbol

    from .opaque import finish_outputs

    first, second = op.operands
    result = op.result
    if op.name == "conv":
        x, w, y = first, second, result
    elif op.name == "conv_input":
        x, w, y = result, second, first
    else:
        x, w, y = first, result, second
    out = finish_outputs(storage, result)
    attrs = op.attrs
    groups = attrs["groups"]
    image, filters, gradient = (tuple(v.shape) for v in (x, w, y))
    stride, padding, dilation = attrs["stride"], attrs["padding"], attrs["dilation"]
    if x.rank == 3:
        image, filters, gradient = (
            (*s[:2], 1, s[2]) for s in (image, filters, gradient)
        )  # fmt: skip
        stride, dilation, padding = (1, *stride), (1, *dilation), ((0, 0), *padding)
    words = (
        image[0], groups, filters[1], dims.floordiv(filters[0], groups), *image[2:], *filters[2:],
        *gradient[2:], *stride, padding[0][0], padding[1][0], *dilation,
    )  # fmt: skip
    shape = ConvShape(*(cost.known(d) for d in words))
    parts, grain = shape.parts(op.name)
    code = result.dtype.code
    batch = 1 if op.name == "conv_weight" else image[0]
    refs = tuple(Ref(out if v is result else storage.of[unreshaped(v)]) for v in (x, w, y))
    storage.program.steps.append(
        CallStep(
            conv_symbol(op.name, code), (*refs, *words, parts, 0, 0, 0), (out,), batch * parts, grain,
            shape.scratch_bytes(op.name, target, code),
            cost.LAUNCH + shape.work() * shape.batch * 1.3 * _FLOP[code], (op.name,),
        )  # fmt: skip
    )
