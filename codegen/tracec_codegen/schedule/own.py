"""Ops with loop nests of their own: scans, scatters, writes through strided views, long
concatenations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracec_ir import dims, dtypes
from tracec_ir.core import Op, Value
from tracec_ir.dims import Dim
from tracec_ir.passes.structure import find_view

from ..kernel.core import Carry, Load, Loop, Update
from ..program import KernelStep
from . import cost, indexing, loops
from .body import Body
from .donate import accesses, element_by_element, set_alias
from .lower import COLUMN_BLOCK, FLAT_BLOCK, KernelMaker, Storage, identity
from .nodes import Node, full_index, numel

_STEP = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


def lower_own(storage: Storage, node: Node, out: int, base_at: int | None) -> None:
    """Appends the kernels that compute a node into buffer `out`. `base_at` is the buffer that holds
    the base where the result takes over its memory; None where it is a copy."""
    op = node.op
    assert op is not None
    steps = storage.program.steps
    if op.name == "scan":
        steps.append(_scan(storage, op, out, node.cost))
        return
    if op.name == "concat":
        each = node.cost / len(op.operands)
        steps.extend(_parts(storage, op, out, each))
        return
    change = _write if op.name == "write" else _scatter
    if base_at is None:
        steps.append(_copy(storage, op, out))
        steps.append(change(storage, op, out, node.cost))
        return
    step = change(storage, op, out, node.cost)
    if not _reads_before_writing(step, base_at, out):
        for x in op.operands[1:]:  # read everything first
            if x not in storage.of:
                at = storage.new(x)
                steps.append(_evaluate(storage, op, x, at))
                storage.of[x] = at
        step = change(storage, op, out, node.cost)
    steps.append(step)


def _copy(storage: Storage, op: Op, out: int) -> KernelStep:
    return _evaluate(storage, op, op.operands[0], out)


def _evaluate(storage: Storage, op: Op, v: Value, out: int) -> KernelStep:
    """A kernel that stores a value densely."""
    maker = _maker(storage, numel(v))
    symbols = [maker.body.open(s) for s in v.shape if s != 1]
    index = full_index(tuple(v.shape), symbols)
    _store(maker, out, indexing.flatten(index, v.shape), maker.body.value(v, index))
    _finish_nest(maker, len(symbols), "vector")
    return _named(storage, maker, op)


def _maker(storage: Storage, count: Dim, each: float = 1.0) -> KernelMaker:
    maker = KernelMaker(storage)
    maker.parallel = True
    maker.cost = cost.LAUNCH + cost.known(count) * (each * cost.UNIT + 4 * cost.BYTE)
    return maker


def _named(storage: Storage, maker: KernelMaker, op: Op) -> KernelStep:
    maker.origin.append(op.name)
    return maker.finish(f"k{len(storage.program.steps)}_{op.name}")


def _store(maker: KernelMaker, buffer: int, at: Dim, name: str, combine: str = "") -> None:
    mode = "in" if combine else "out"
    maker.buffer(buffer, mode)
    maker.body.store(maker.buffer(buffer, "out"), at, name, combine=combine)


def _finish_nest(maker: KernelMaker, depth: int, innermost: str, block: int = FLAT_BLOCK) -> None:
    frames = [maker.body.close() for _ in range(depth)][::-1]
    if frames:
        maker.place_nest(loops.merged(frames), innermost, block, maker.cost >= cost.PARALLEL)


# -- concat ---------------------------------------------------------------------------------------
def _parts(storage: Storage, op: Op, out: int, each: float) -> Iterator[KernelStep]:
    """Stores each part at its place."""
    axis = op.attrs["axis"]
    whole = tuple(op.result.shape)
    start: Dim = 0
    for part in op.operands:
        shape = tuple(part.shape)
        if 0 in shape:
            continue
        maker = _maker(storage, numel(part), each)
        symbols = [maker.body.open(s) for s in shape if s != 1]
        index = full_index(shape, symbols)
        at = indexing.flatten(index, whole) + start * dims.product(whole[axis + 1 :])
        _store(maker, out, at, maker.body.value(part, index))
        _finish_nest(maker, len(symbols), "vector")
        yield _named(storage, maker, op)
        start = start + shape[axis]


# -- write ----------------------------------------------------------------------------------------
def _write(storage: Storage, op: Op, out: int, each: float) -> KernelStep:
    """Stores `new` where the spec says."""
    base, new = op.operands
    spec = op.attrs
    disjoint = _disjoint(base, spec)
    maker = _maker(storage, numel(new), each)
    body = maker.body
    symbols = [body.open(s) for s in new.shape if s != 1]
    index = full_index(tuple(new.shape), symbols)
    at = indexing.strided_position(index, spec["strides"], spec["offset"])
    _store(maker, out, at, body.value(new, index))
    if disjoint:
        _finish_nest(maker, len(symbols), "vector")
    else:
        _serial_nest(maker, len(symbols))
    return _named(storage, maker, op)


def _serial_nest(maker: KernelMaker, depth: int) -> None:
    frames = [maker.body.close() for _ in range(depth)][::-1]
    if frames:
        maker.body.place(loops.nest(frames, ["serial"] * len(frames)))


def _disjoint(base: Value, spec: dict) -> bool:
    """Whether a spec certainly addresses no element of the base twice."""
    shape, strides = spec["shape"], spec["strides"]
    if _injective(shape, strides):
        return True
    axes = [k for k, n in enumerate(shape) if n != 1]
    if any(strides[k] == 0 for k in axes):
        return False
    sizes, steps = [shape[k] for k in axes], [strides[k] for k in axes]
    return find_view(tuple(base.shape), sizes, steps, spec["offset"]) is not None


def _injective(shape: Sequence[Dim], strides: Sequence[Dim]) -> bool:
    """Whether a spec of known sizes addresses no element twice."""
    axes = (
        sorted((st, n) for n, st in zip(shape, strides, strict=True) if n != 1)
        if all(isinstance(d, int) for d in (*shape, *strides))
        else None
    )
    if axes is None:
        return False
    reach: Dim = 0
    for st, n in axes:
        if n == 0:
            return True
        if st <= reach:
            return False
        reach += st * (n - 1)
    return True


def _reads_before_writing(step: KernelStep, source: int, out: int) -> bool:
    """Whether a step may write `out` while its memory is that of `source`, which it may read."""
    names = {i: b.name for i, b in zip(step.args, step.kernel.bufs, strict=True)}
    if source not in names or not any(
        isinstance(s, Load) and s.buf == names[source] for _, s in accesses(step.kernel.body, ())
    ):
        return True
    if step.kernel.origin[-1] != "write" or not element_by_element(
        step.kernel, names[source], names[out]
    ):
        return False
    if source != out:
        set_alias(step.kernel, names[out], names[source])
    return True


# -- scatter --------------------------------------------------------------------------------------
def _scatter(storage: Storage, op: Op, out: int, each: float) -> KernelStep:
    """Combines `values` into the result, in order where places may coincide."""
    base, values, *indices = op.operands
    axes, kind = op.attrs["axes"], op.attrs["kind"]
    rank = indices[0].rank
    maker = _maker(storage, numel(values), each + 8.0)
    body = maker.body
    lead = [body.open(s) for s in values.shape[:rank] if s != 1]
    rest = [body.open(s) for s in values.shape[rank:] if s != 1]
    index = full_index(tuple(values.shape), [*lead, *rest])
    at: dict[int, Dim] = {}
    for axis, ix in zip(axes, indices, strict=True):
        raw = body.value(ix, index[:rank])
        at[axis] = body.checked(raw, base.shape[axis], "", (op, axis))
    tail = iter(index[rank:])
    place = tuple(at[k] if k in at else next(tail) for k in range(base.rank))
    name = body.value(values, index)
    combine = {"set": ""}.get(kind, kind)
    _store(maker, out, indexing.flatten(place, base.shape), name, combine)
    disjoint = len(rest)
    while disjoint < len(lead) + len(rest) and _spreads(body, place, [*lead, *rest][-disjoint - 1]):
        disjoint += 1
    inner = [body.close() for _ in range(disjoint)][::-1]
    outer = [body.close() for _ in range(len(lead) + len(rest) - disjoint)][::-1]
    _place_scatter(maker, outer, inner)
    return _named(storage, maker, op)


def _spreads(body: Body, place: tuple[Dim, ...], loop: Dim) -> bool:
    """Whether the turns of an indexed loop certainly change different elements: one coordinate
    steps with its variable, and no other depends on it."""
    (variable,) = dims.symbols(loop)
    depth = body.level[variable.name]
    found = False
    for axis in place:
        names = {s.name for s in dims.symbols(axis)}
        if any(n.startswith("%") and body.level.get(n, 0) >= depth for n in names):
            return False  # an index read from memory in this loop
        if variable.name in names:
            step = indexing.coefficient(axis, variable.name)
            if found or not isinstance(step, int) or step == 0:
                return False
            found = True
    return found


def _place_scatter(maker: KernelMaker, outer: list, inner: list) -> None:
    """The indexed axes in order; the others are disjoint: vectors, and blocks for threads."""
    inner = loops.merged(inner)
    nest = [*outer, *inner]
    if not nest:
        return
    kinds = ["serial"] * len(nest)
    if inner:
        kinds[-1] = loops.kind_for(inner[-1].extent, "vector")
        if maker.cost >= cost.PARALLEL and cost.known(inner[-1].extent) >= 2 * COLUMN_BLOCK:
            var = maker.body.fresh("_i")
            maker.body.level[var] = 0
            blocks = loops.split(nest, len(nest) - 1, COLUMN_BLOCK, var)
            nest, kinds = [blocks, *nest], ["parallel", *kinds]
    maker.body.place(loops.nest(nest, kinds))


# -- scan -----------------------------------------------------------------------------------------
def _combined(body: Body, kind: str, a: str, b: str, dtype: dtypes.DType) -> str:
    """a and b combined as a scan of this kind does."""
    if kind != "logsumexp":
        return body.scalar(_STEP[kind], (a, b), dtype)
    top = body.scalar("maximum", (a, b), dtype)
    gap = body.scalar("sub", (body.scalar("minimum", (a, b), dtype), top), dtype)
    equal = body.scalar("eq", (a, b), dtypes.b1)  # infinities among them, whose gap is no number
    gap = body.scalar("select", (equal, body.const(0.0, dtype), gap), dtype)
    return body.scalar(
        "add", (top, body.scalar("log1p", (body.scalar("exp", (gap,), dtype),), dtype)), dtype
    )


def _scan(storage: Storage, op: Op, out: int, each: float) -> KernelStep:
    """Running totals: serial along the axis, everything else in parallel or in vectors."""
    (x,) = op.operands
    axis = op.attrs["axis"] % max(1, x.rank)
    maker = _maker(storage, numel(x), each + 4.0)
    body = maker.body
    symbols: dict[int, Dim] = {}
    others = [k for k in range(x.rank) if k != axis and x.shape[k] != 1]
    for k in others:
        symbols[k] = body.open(x.shape[k])
    kind = op.attrs["kind"]
    wide = x.dtype
    if x.dtype.kind == "f" and kind in ("sum", "prod"):
        wide = dtypes.f64  # every step's rounding would remain in what is carried
    elif x.dtype.code in ("f16", "bf16"):
        wide = dtypes.f32
    carry = body.fresh()
    symbols[axis] = body.open(x.shape[axis])
    body.level[carry] = len(body.frames) - 1
    index = tuple(symbols.get(k, 0) for k in range(x.rank))
    name = body.value(x, index)
    if wide is not x.dtype:
        name = body.scalar("cast", (name,), wide)
    total = _combined(body, kind, carry, name, wide)
    stored = total if wide is x.dtype else body.scalar("cast", (total,), x.dtype)
    _store(maker, out, indexing.flatten(index, x.shape), stored)
    body.append(Update(carry, total))
    frame = body.close()
    start = identity("max" if kind == "logsumexp" else kind, wide)
    body.place(
        Loop(frame.var, frame.extent, "serial", frame.stmts, [Carry(carry, start, "last", wide)])
    )
    vector = bool(others) and others[-1] > axis
    _finish_nest(maker, len(others), "vector" if vector else "serial", COLUMN_BLOCK)
    return _named(storage, maker, op)
