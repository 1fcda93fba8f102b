"""Reductions of much to little: blocks are reduced in parallel, then the partial results are.

The blocks depend on the sizes alone, so the result has the same bits for any number of threads.
"""

from __future__ import annotations

from tracec_ir import dims
from tracec_ir.core import Op, Value
from tracec_ir.dims import Dim
from tracec_ir.types import TensorType

from ..kernel.core import Scratch
from . import cost, indexing, loops
from .fuse import Group
from .loops import Accumulator
from .lower import COLUMN_BLOCK, REDUCE_BLOCK, KernelMaker, Lowering, Storage, group_cost
from .nodes import Node, element, full_index

_MAX_BLOCKS = 256
_MIN_BLOCKS = 16
WIDE = 128  # columns from which on rows are worth reading in order
WIDEST = 8192  # sums, of all reductions together, that stay in the caches next to the rows
_ROW_BLOCKS = 64
_MIN_ROWS = 16
_MAX_ROWS = 64  # added up one after the other: more would cost digits


def lower_split(
    storage: Storage, group: Group, needed: set[Value], lanes: int
) -> list[KernelMaker]:
    """The two kernels of a split group."""
    first = KernelMaker(storage, lanes)
    first.parallel = True
    first.begin(group)
    first.cost += group_cost(group)
    lowering = Lowering(first, group, needed, parallel=True)
    partials = _rows_in_order(lowering) if _streams(group) else _block_kernel(lowering)
    lowering.publish()
    first.end()
    second = KernelMaker(storage, lanes)
    second.add(_final_group(group, partials), needed)
    return [first, second]


def _block_kernel(lowering: Lowering) -> list[tuple[Node, Value]]:
    """Emits the kernel over blocks; per reduction the value that holds its partial results."""
    body, group, storage = lowering.body, lowering.group, lowering.maker.storage
    axes = set(group.axes or ())
    kept = [i for i in range(len(group.space)) if i not in axes]
    block_at = body.open(1)  # its extent is known once the loops inside are
    over = body.frames[-1]
    symbols: dict[int, Dim] = {i: body.open(group.space[i]) for i in kept}
    rows = [symbols[i] for i in kept]
    nodes = [n for n in group.nodes if n not in group.rows]
    frames, sums = lowering.emit_pass(nodes, symbols)
    frames = loops.merged(frames)
    results = cost.known(dims.product(group.kept))
    whole = cost.known(frames[0].extent)
    inner = cost.known(dims.product(group.space)) // max(1, whole * results)
    width = results if group.columns else 1
    block = max(1, REDUCE_BLOCK // max(1, inner * width))
    block = 1 << (block - 1).bit_length()
    block = min(max(block, -(-whole // _MAX_BLOCKS)), max(1, -(-whole // _MIN_BLOCKS)))
    over.extent = loops.split(frames, 0, block, over.var).extent
    partials: list[tuple[Node, Value]] = []
    lowering.place_loops(frames, [s for _, s in sums])
    shape = (over.extent, *group.kept)
    at = indexing.flatten((block_at, *rows), shape)
    for node, s in sums:
        v = Value(TensorType(s.dtype, shape), name="partial")
        storage.of[v] = storage.new(v)
        body.store(lowering.maker.buffer(storage.of[v], "out"), at, s.names[0])
        partials.append((node, v))
    outer = loops.merged([body.close() for _ in kept][::-1])
    body.close()
    kinds = ["serial"] * len(outer)
    if group.columns:
        kinds[-1] = loops.kind_for(outer[-1].extent, "vector")
    unroll = COLUMN_BLOCK // max(1, lowering.maker.lanes)
    if not outer:
        body.place(loops.nest([over], ["parallel"]))
        return partials
    body.place(loops.nest([over, *outer], ["parallel", *kinds], unroll if group.columns else 0))
    return partials


def _streams(group: Group) -> bool:
    """Whether a column reduction is better done row by row, with the sums of all columns in the
    first-level cache: wide rows are then read once, in the order of memory."""
    reductions = [n for n in group.nodes if n not in group.rows and n.kind != "map"]
    width = dims.product(group.kept)
    return (
        group.columns
        and WIDE <= cost.known(width) <= WIDEST // len(reductions)
        and cost.at_most(width) <= 4 * WIDEST
        and all(n.kind == "reduce" and n.op is not None for n in reductions)
        and all(n.op.attrs["kind"] == "sum" and n.op.operands[0].dtype.kind == "f"
                for n in reductions if n.op is not None)
    )  # fmt: skip


def _rows_in_order(lowering: Lowering) -> list[tuple[Node, Value]]:
    """Emits the kernel over blocks of rows that adds row after row to sums kept in scratch."""
    body, group, maker = lowering.body, lowering.group, lowering.maker
    axes = sorted(group.axes or ())
    kept = [i for i in range(len(group.space)) if i not in axes]
    block_at = body.open(1)  # its extent is known once the loops inside are
    over = body.frames[-1]
    symbols: dict[int, Dim] = {i: body.open(group.space[i]) for i in (*axes, *kept)}
    order = [symbols[i] for i in range(len(group.space))]
    column = indexing.flatten([symbols[i] for i in kept], group.kept)
    width = dims.product(group.kept)
    sums: list[tuple[Node, Accumulator, str]] = []
    for node in group.nodes:
        if node in group.rows:
            continue
        index = full_index(node.shape, order)
        if node.kind == "map":
            (v,) = node.values
            lowering.store(v, element(body, node, index), indexing.flatten(index, node.shape))
            continue
        term = lowering.accumulator(node, index)
        total = body.fresh("_s")
        maker.scratch.append(Scratch(total, term.dtype, width))
        new = body.scalar("add", (body.load(total, column, term.dtype), term.value), term.dtype)
        body.store(total, column, new)
        sums.append((node, term, total))
    inner = loops.merged([body.close() for _ in kept][::-1])
    body.place(loops.nest(inner, ["serial"] * (len(inner) - 1) + ["vector"]))
    rows = loops.merged([body.close() for _ in axes][::-1])
    # Only the outermost loop is cut; there are at least two blocks.
    whole = cost.known(rows[0].extent)
    each = max(1, cost.known(dims.product(frame.extent for frame in rows[1:])))
    block = min(max(_MIN_ROWS, -(-whole * each // _ROW_BLOCKS)), _MAX_ROWS)
    block = min(-(-block // each), -(-whole // 2))
    over.extent = loops.split(rows, 0, block, over.var).extent
    at = body.open(width)
    for _, term, total in sums:
        body.store(total, at, body.const(0.0, term.dtype))
    body.place(loops.nest([body.close()], ["vector"]))
    body.place(loops.nest(rows, ["serial"] * len(rows)))
    at = body.open(width)
    partials: list[tuple[Node, Value]] = []
    for node, term, total in sums:
        v = Value(TensorType(term.dtype, (over.extent, *group.kept)), name="partial")
        maker.storage.of[v] = maker.storage.new(v)
        buffer = maker.buffer(maker.storage.of[v], "out")
        body.store(buffer, block_at * width + at, body.load(total, at, term.dtype))
        partials.append((node, v))
    body.place(loops.nest([body.close()], ["vector"]))
    body.close()
    body.place(loops.nest([over], ["parallel"]))
    return partials


def _final_group(group: Group, partials: list[tuple[Node, Value]]) -> Group:
    """The group that reduces partial results and computes what follows from them."""
    v0 = partials[0][1]
    assert v0.shape[0] != 1, "a space has no sizes of 1"
    final = Group(-1, tuple(v0.shape), axes=(0,))
    for node, v in partials:
        assert node.op is not None
        kind = node.op.attrs.get("kind", "sum")
        if node.kind == "dot" and v.dtype.kind == "b":
            kind = "any"
        result = TensorType(node.values[0].dtype, group.kept)
        op = Op("reduce", (v,), {"kind": kind, "axes": (0,)}, (result,))
        combined = Node("reduce", op, node.values, tuple(v.shape), (0,), order=node.order)
        final.nodes.append(combined)
        final.stage[combined] = 0
    for node in group.nodes:
        if node in group.rows:
            final.nodes.append(node)
            final.rows.add(node)
            final.stage[node] = 0
    return final
