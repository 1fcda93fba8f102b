"""Reductions of much to little: blocks are reduced in parallel, then the partial results are.

The blocks depend on the sizes alone, so the result has the same bits for any number of threads.
"""

from __future__ import annotations

from tracec_ir import dims
from tracec_ir.core import Op, Value
from tracec_ir.dims import Dim
from tracec_ir.types import TensorType

from . import cost, indexing, loops
from .fuse import Group
from .lower import COLUMN_BLOCK, REDUCE_BLOCK, KernelMaker, Lowering, Storage, group_cost
from .nodes import Node

_MAX_BLOCKS = 256
_MIN_BLOCKS = 16


def lower_split(
    storage: Storage, group: Group, needed: set[Value], lanes: int
) -> list[KernelMaker]:
    """The two kernels of a split group."""
    first = KernelMaker(storage, lanes)
    first.parallel = True
    first.begin(group)
    first.cost += group_cost(group)
    lowering = Lowering(first, group, needed, parallel=True)
    partials = _block_kernel(lowering)
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


def _final_group(group: Group, partials: list[tuple[Node, Value]]) -> Group:
    """The group that reduces partial results and computes what follows from them."""
    v0 = partials[0][1]
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
