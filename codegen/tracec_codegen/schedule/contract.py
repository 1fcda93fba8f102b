"""Contractions as calls of the native library: strides instead of transposed copies."""

from __future__ import annotations

from collections.abc import Sequence

from tracec_ir import dims
from tracec_ir.core import Op, Value
from tracec_ir.dims import Dim

from ..program import CallStep, Ref
from ..target import Target
from . import cost
from .lower import Storage
from .nodes import unreshaped

View = tuple[Value, tuple[Dim, ...], Dim]  # stored value, strides, offset
CONVOLUTIONS = ("conv", "conv_input", "conv_weight")
_MANY_CALLS = 64
_FLOP = {"f32": 0.015, "f64": 0.03}  # nanoseconds a multiply-add


def dense_strides(shape: Sequence[Dim]) -> list[Dim]:
    """The row-major strides of a shape."""
    strides: list[Dim] = []
    step: Dim = 1
    for s in reversed(shape):
        strides.insert(0, step)
        step = step * s
    return strides


def view_of(v: Value) -> View:
    """(stored value, strides, offset) such that v is that strided view of it."""
    chain: list[Op] = []
    while v.op is not None and v.op.name in ("permute", "slice"):
        chain.append(v.op)
        v = v.op.operands[0]
    strides = dense_strides(v.shape)
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


def operand_views(op: Op) -> list[View]:
    """How a library dot reads its operands: through their permutations and slices, or, where that
    would take many calls, from dense copies."""
    views = [view_of(x) for x in op.operands]
    (_, sa, _), (_, sb, _) = views
    batch = op.operands[0].shape[:-2]
    if batch_loops(list(batch), sa[:-2], sb[:-2], 1) is not None:
        return views
    return [(x, tuple(dense_strides(x.shape)), 0) for x in op.operands]


def dot_reads(op: Op) -> list[Value]:
    """What a library dot reads from memory."""
    return [v for v, _, _ in operand_views(op)]


def call_dot(storage: Storage, op: Op, target: Target, total: Value | None = None) -> None:
    """Appends the library calls of a dot (one, unless the batch has irregular strides). `total` is
    a sum of products whose buffer holds the earlier ones: this one is added to it."""
    from ..llvm.gemm import gemm_parts, gemm_scratch_bytes, gemm_symbol
    from .opaque import finish_outputs

    a, b = op.operands
    code = a.dtype.code
    (va, sa, oa), (vb, sb, ob) = operand_views(op)
    batch = list(a.shape[:-2])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    adds = total is not None
    out = finish_outputs(storage, op.result if total is None else total)
    hints = [cost.known(x) for x in (m, n, k)]
    calls = batch_loops(batch, sa[:-2], sb[:-2], m * n)
    assert calls is not None
    offsets, size, step_a, step_b, step_c = calls
    count = cost.known(size)
    parts, grain = gemm_parts(hints[0], hints[1], hints[2], count)
    for at_a, at_b, at_c in offsets:
        words = (
            Ref(storage.of[va], oa + at_a), Ref(storage.of[vb], ob + at_b), Ref(out, at_c),
            step_a, step_b, step_c, m, n, k, sa[-2], sa[-1], sb[-2], sb[-1], n, parts,
            int(adds), 0, 0,
            )  # fmt: skip
        work = hints[0] * hints[1] * hints[2] * count * _FLOP[code]
        storage.program.steps.append(
            CallStep(
                gemm_symbol(code),
                words,
                (out,),
                size * parts,
                grain,
                gemm_scratch_bytes(target, code),
                cost.LAUNCH + work,
                ("dot",),
                adds,
            )  # fmt: skip
        )


def batch_loops(
    batch: list[Dim], sa: Sequence[Dim], sb: Sequence[Dim], step: Dim
) -> tuple[list[tuple[Dim, Dim, Dim]], Dim, Dim, Dim, Dim] | None:
    """([offsets (a, b, c) of each call], batch size, strides a, b, c): neighbouring batch axes are
    merged where strides allow; of what is left the largest is the batch of each call, the others
    become separate calls. None if those would be many, or their number is not known."""
    axes = [(s, x, y) for s, x, y in zip(batch, sa, sb, strict=True) if s != 1]
    strides_c = [s * step for s in dense_strides([s for s, _, _ in axes])]
    merged: list[list[Dim]] = []
    for (s, x, y), c in zip(axes, strides_c, strict=True):
        if merged and merged[-1][1] == x * s and merged[-1][2] == y * s:
            merged[-1] = [merged[-1][0] * s, x, y, c]
        else:
            merged.append([s, x, y, c])
    if not merged:
        return [(0, 0, 0)], 1, 0, 0, 0
    merged.sort(key=lambda axis: (not isinstance(axis[0], int), cost.known(axis[0])))
    size, x, y, c = merged.pop()
    count = dims.product(axis[0] for axis in merged)
    if not isinstance(count, int) or count > _MANY_CALLS:
        return None
    offsets: list[tuple[Dim, Dim, Dim]] = [(0, 0, 0)]
    for s, px, py, pc in merged:
        assert isinstance(s, int)
        offsets = [(p + i * px, q + i * py, o + i * pc) for p, q, o in offsets for i in range(s)]
    return offsets, size, x, y, c


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
            conv_symbol(op.name, code),
            (*refs, *words, parts, 0, 0, 0),
            (out,),
            batch * parts,
            grain,
            shape.scratch_bytes(op.name, target, code),
            cost.LAUNCH + shape.work() * shape.batch * 1.3 * _FLOP[code],
            (op.name,),
        )  # fmt: skip
    )
