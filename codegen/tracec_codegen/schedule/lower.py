"""Lowering of groups to kernels: which loops, what is stored, what is kept between passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from tracec_ir import dims, dtypes
from tracec_ir.core import Op, Value
from tracec_ir.dims import Dim
from tracec_ir.types import ScalarType, TensorType

from ..kernel.core import Buf, Kernel, Number, Scratch, Size
from ..program import Buffer, ErrorSite, KernelStep, Program
from . import cost, indexing, loops, tiling
from .body import Body, Frame
from .fuse import Group
from .indexing import Index
from .loops import Accumulator
from .nodes import Node, accumulator_type, element, full_index

FLAT_BLOCK = 4096  # elements of one iteration of a flat parallel loop
COLUMN_BLOCK = 64  # columns that one iteration of a parallel column reduction does
REDUCE_BLOCK = 16_384  # elements of one partial result of a split reduction
SUM_RUN = 8192  # terms that are added up without a break
ROW_RUN = 64  # the same where every lane has a sum of its own
KEEP_BYTES = 256 * 1024  # of scratch for one row
_MIN_PARALLEL = 16


class Storage:
    """Which buffer holds which value, in the program being made."""

    def __init__(self, program: Program):
        self.program = program
        self.of: dict[Value, int] = {}  # where a value can be loaded from
        self.heirs: dict[Value, Value] = {}  # value -> the one that continues in its memory
        self.copies: list[tuple[int, list[int]]] = []  # (buffer, buffers that must equal it)
        self.outputs: dict[Value, list[int]] = {}  # output buffers that must receive a value

    def new(self, v: Value, role: str = "temp", index: int = -1) -> int:
        """A new buffer for v."""
        scalar = isinstance(v.type, ScalarType)
        dtype = v.dtype if not (scalar and v.dtype is dtypes.b1) else dtypes.i64
        shape = () if scalar else tuple(v.shape)
        self.program.buffers.append(Buffer(dtype, shape, role, index, scalar))
        return len(self.program.buffers) - 1

    def destinations(self, v: Value) -> list[int]:
        """The buffers that whoever computes v must fill."""
        chain = [v]  # values that continue in one another's memory
        while chain[-1] not in self.outputs and chain[-1] in self.heirs:
            chain.append(self.heirs[chain[-1]])
        if not self.outputs.get(chain[-1]):
            self.outputs[chain[-1]] = [self.new(chain[-1])]
        for earlier in chain[:-1]:
            self.outputs[earlier] = self.outputs[chain[-1]][:1]
        return self.outputs[v]


class KernelMaker:
    """One kernel: groups are lowered into it one after another."""

    def __init__(self, storage: Storage, lanes: int = 8):
        self.storage, self.lanes = storage, lanes
        self.body = Body(self._source, self._error_code)
        self.bufs: dict[int, Buf] = {}
        self.modes: dict[int, set[str]] = {}
        self.scratch: list[Scratch] = []
        self.current: set[Value] = set()  # values of the group being lowered
        self.cost = 0.0
        self.origin: list[str] = []
        self.parallel = False

    # -- buffers ------------------------------------------------------------------------------
    def buffer(self, i: int, mode: str) -> str:
        """The kernel's name of program buffer i."""
        self.modes.setdefault(i, set()).add(mode)
        buf = self.bufs.get(i)
        if buf is None:
            dtype = self.storage.program.buffers[i].dtype
            buf = self.bufs[i] = Buf(f"b{len(self.bufs)}", dtype)
        return buf.name

    def _source(self, v: Value) -> str | None:
        if v in self.current:
            return None
        i = self.storage.of.get(v)
        return None if i is None else self.buffer(i, "in")

    def _error_code(self, op: Op, axis: int, size: Dim) -> int:
        errors = self.storage.program.errors
        errors.append(ErrorSite(op.name, axis, size, op.loc))
        return len(errors)

    def finish(self, name: str) -> KernelStep:
        """The step that runs the kernel."""
        body: list = [*self.scratch, *self.body.frames[0].stmts]
        ids = list(self.bufs)
        bufs = []
        for i in ids:
            modes = self.modes[i]
            mode = "inout" if len(modes) == 2 else modes.pop()
            bufs.append(Buf(self.bufs[i].name, self.bufs[i].dtype, mode))
        sizes = sorted(
            {s for d in [*loops.every_dim(body), *(x.count for x in self.scratch)]
             for s in dims.symbols(d) if s.name not in self.body.level},
            key=lambda s: s.name,
        )  # fmt: skip
        kernel = Kernel(
            name, bufs, [Size(s.name) for s in sizes], body, self.body.uses_error,
            origin=tuple(dict.fromkeys(self.origin)),
        )  # fmt: skip
        extent = max(1, cost.known(kernel.extent))
        kernel.cost = self.cost / extent
        words = tuple(dims.symbol(s.name, s.hint) for s in sizes)
        return KernelStep(kernel, tuple(ids), words, self.cost)

    def place_nest(
        self, frames: list[Frame], innermost: str, block: int, parallel: bool, unroll: int = 0
    ) -> None:
        """Puts a nest into the kernel, its outermost loop parallel if there is work enough."""
        lane = len(frames) - 1
        kind = loops.kind_for(frames[lane].extent, innermost)
        if kind != innermost and lane and cost.known(frames[lane - 1].extent) >= 8:
            lane, kind = lane - 1, innermost  # the short axis is then done in each lane
        tiles = None
        if kind == "vector" and lane == len(frames) - 1 and lane and not unroll:
            tiles = tiling.turned(self.body, frames)
        if tiles is not None:
            frames = tiles
            kinds = ["serial"] * (len(frames) - 1) + [kind]
            outer = frames[:-2]
            if parallel and outer:
                frames = _outermost(frames, _parallel_frame(outer, -1, block))
                kinds[0] = "parallel"
            self.body.place(loops.nest(frames, kinds))
            return
        kinds = ["serial"] * len(frames)
        kinds[lane] = kind
        if parallel:
            at = _parallel_frame(frames, lane if kind == "vector" else -1, block)
            if at == lane and kind == "vector":
                var = self.body.fresh("_i")
                self.body.level[var] = 0
                blocks = loops.split(frames, at, block, var)
                frames, kinds = [blocks, *frames], ["parallel", *kinds]
            else:
                frames = _outermost(frames, at)
                kinds = ["parallel", *kinds[:at], *kinds[at + 1 :]]
        self.body.place(loops.nest(frames, kinds, unroll))

    # -- groups -------------------------------------------------------------------------------
    def add(self, group: Group, stored: Iterable[Value]) -> None:
        """Lowers a group; `stored` are the values that others need."""
        self.begin(group)
        wanted = set(stored)
        work = group_cost(group)
        self.cost += work
        lowering = Lowering(self, group, wanted, parallel=self.parallel and work >= cost.PARALLEL)
        if group.axes is None:
            lowering.pointwise()
        else:
            lowering.passes()
        self.end()

    def begin(self, group: Group) -> None:
        """Declares the group whose values are being computed."""
        self.current = {v for n in group.nodes for v in n.values if v.op is not None}
        self.origin += [n.op.name for n in group.nodes if n.op is not None]

    def end(self) -> None:
        """Forgets what held for the group only."""
        self.current = set()
        self.body.bound.clear()
        self.body.kept.clear()


def group_cost(group: Group) -> float:
    """Estimated nanoseconds of a group on one core."""
    total = 0.0
    for n in group.nodes:
        count = cost.known(dims.product(n.space))
        total += count * (n.cost * cost.UNIT + 2 * cost.BYTE)
    return total + cost.LAUNCH


class Lowering:
    def __init__(self, maker: KernelMaker, group: Group, stored: set[Value], parallel: bool):
        self.maker, self.body, self.group = maker, maker.body, group
        self.stored, self.parallel = stored, parallel
        self.destinations: dict[Value, list[int]] = {}
        self.pending: dict[Value, tuple] = {}  # what this pass leaves in scratch

    # -- stores -------------------------------------------------------------------------------
    def store(self, v: Value, name: str, at: Dim) -> None:
        """Stores a computed element of v wherever it is needed, at its row-major position."""
        if v not in self.stored:
            return
        storage = self.maker.storage
        found = self.destinations.get(v)
        if found is None:
            found = self.destinations[v] = storage.destinations(v)
        for i in found:
            self.body.store(self.maker.buffer(i, "out"), at, name)

    def publish(self) -> None:
        """From now on, what was stored is loaded."""
        for v, ids in self.destinations.items():
            if v.op is not None:
                self.maker.storage.of[v] = ids[0]

    # -- pointwise ----------------------------------------------------------------------------
    def pointwise(self) -> None:
        body, group = self.body, self.group
        symbols = [body.open(s) for s in group.space]
        for node in group.nodes:
            (v,) = node.values
            index = full_index(node.shape, symbols)
            self.store(v, element(body, node, index), indexing.flatten(index, node.shape))
        frames = [body.close() for _ in symbols][::-1]
        if frames:
            self.maker.place_nest(loops.merged(frames), "vector", FLAT_BLOCK, self.parallel)
        self.publish()

    # -- reductions ---------------------------------------------------------------------------
    def passes(self) -> None:
        """A nest over the kept axes with one or more passes over the reduced ones inside."""
        group = self.group
        body = self.body
        axes = set(group.axes or ())
        symbols: dict[int, Dim] = {}
        kept = [i for i in range(len(group.space)) if i not in axes]
        for i in kept:
            symbols[i] = body.open(group.space[i])
        rows = [symbols[i] for i in kept]
        for stage in range(group.stages):
            self.one_pass(stage, symbols, rows)
            self.row_nodes(stage, rows)
            self.keep(stage)
        frames = loops.merged([body.close() for _ in kept][::-1])
        if frames:
            columns = group.columns
            kind = "vector" if columns else "serial"
            unroll = max(1, COLUMN_BLOCK // self.maker.lanes) if columns else 0
            self.maker.place_nest(frames, kind, COLUMN_BLOCK, self.parallel, unroll)
        self.publish()

    def one_pass(self, stage: int, kept_symbols: dict[int, Dim], rows: list[Dim]) -> None:
        """The loop over the reduced axes that computes what belongs to a stage."""
        group = self.group
        nodes = [n for n in group.nodes if group.stage[n] == stage and n not in group.rows]
        if not nodes:
            return
        frames, sums = self.emit_pass(nodes, kept_symbols)
        self.place_pass(frames, sums, rows)

    def emit_pass(
        self, nodes: list[Node], kept_symbols: dict[int, Dim]
    ) -> tuple[list[Frame], list[tuple[Node, Accumulator]]]:
        """The closed frames of a loop over the reduced axes, and the reductions done in it."""
        body, group = self.body, self.group
        symbols = dict(kept_symbols)
        reduced = sorted(group.axes or ())
        for i in reduced:
            symbols[i] = body.open(group.space[i])
        order = [symbols[i] for i in range(len(group.space))]
        sums: list[tuple[Node, Accumulator]] = []
        for node in nodes:
            index = full_index(node.shape, order)
            if node.kind == "map":
                (v,) = node.values
                name = element(body, node, index)
                self.store(v, name, indexing.flatten(index, node.shape))
                if self._is_kept(node):
                    buf, position = self._scratch(v)
                    body.store(buf, position(index), name)
            else:
                sums.append((node, self.accumulator(node, index)))
        return [body.close() for _ in reduced][::-1], sums

    def place_pass(
        self, frames: list[Frame], sums: list[tuple[Node, Accumulator]], rows: list[Dim]
    ) -> None:
        """Puts the loops of a pass into the nest and binds the results of its reductions."""
        self.place_loops(loops.merged(frames), [s for _, s in sums])
        for node, s in sums:
            self.bind(node, s, rows)

    def place_loops(self, frames: list[Frame], sums: list[Accumulator]) -> None:
        """Closes a pass; long sums are added up in runs, which keeps rounding errors small."""
        last = frames[-1]
        columns = self.group.columns
        kind = "serial" if columns else loops.kind_for(last.extent, "reduce" if sums else "vector")
        run = ROW_RUN if kind == "serial" else SUM_RUN
        rounds = any(s.combine == "sum" and s.dtype.kind == "f" and not s.position for s in sums)
        if rounds and cost.at_most(last.extent) > run:
            blocks = loops.split(frames, len(frames) - 1, run, self.body.fresh("_i"))
            self.body.level[blocks.var] = 0
            frames.insert(len(frames) - 1, blocks)
        self.body.place(loops.reduce_nest(frames, kind, sums))

    def accumulator(self, node: Node, index: Index) -> Accumulator:
        """How a node's elements are combined; emits the element."""
        body = self.body
        name = element(body, node, index)
        assert node.op is not None
        dtype = node.op.operands[0].dtype
        if node.kind == "arg":
            axis = node.op.attrs["axis"] % len(node.shape)
            kind = node.op.attrs["kind"]
            return Accumulator(kind, 0, dtype, name, body.fresh, index[axis])
        kind = "sum" if node.kind == "dot" else node.op.attrs["kind"]
        if node.kind == "dot" and dtype is dtypes.b1:
            kind = "any"
        wide = accumulator_type(dtype)
        if kind in ("any", "all"):
            wide = dtypes.b1
            if dtype is not wide:
                name = body.scalar("cast", (name,), wide)
        elif wide is not dtype and node.kind == "reduce":
            name = body.scalar("cast", (name,), wide)
        return Accumulator(kind, identity(kind, wide), wide, name, body.fresh)

    def bind(self, node: Node, s: Accumulator, rows: list[Dim]) -> None:
        """Makes the results of a finished reduction known, and stores them if needed."""
        body = self.body
        names = [s.names[1]] if node.kind == "arg" else [s.names[0]]
        for v, name in zip(node.values, names, strict=True):
            if node.kind != "arg" and s.dtype is not v.dtype:
                name = body.scalar("cast", (name,), v.dtype)
            body.bound[v] = name
            self.store(v, name, indexing.flatten(full_index(tuple(v.shape), rows), v.shape))

    def row_nodes(self, stage: int, rows: list[Dim]) -> None:
        """Values computed once per kept element, after a pass."""
        for node in self.group.nodes:
            if node in self.group.rows and self.group.stage[node] == stage:
                (v,) = node.values
                index = full_index(node.shape, rows)
                name = element(self.body, node, index)
                self.body.bound[v] = name
                self.store(v, name, indexing.flatten(index, node.shape))

    # -- values that later passes need --------------------------------------------------------
    def _later_readers(self, node: Node) -> bool:
        stage = self.group.stage[node]
        own = set(node.values)
        return any(
            self.group.stage[n] > stage and any(v in own for v, _ in n.reads)
            for n in self.group.nodes
        )

    def _is_kept(self, node: Node) -> bool:
        """Whether a later pass reloads this element from scratch."""
        if self.group.columns or not self._later_readers(node):
            return False
        (v,) = node.values
        if v in self.stored or tuple(v.shape) != tuple(node.shape):
            return False
        row = [self.group.space[i] for i in self.group.axes or ()]
        return cost.known(dims.product(row)) * v.dtype.itemsize <= KEEP_BYTES

    def _scratch(self, v: Value) -> tuple[str, Callable[[Index], Dim]]:
        row_axes = sorted(self.group.axes or ())
        sizes = [self.group.space[i] for i in row_axes]
        name = self.body.fresh("_s")
        self.maker.scratch.append(Scratch(name, v.dtype, dims.product(sizes)))
        axes = [k for k, s in enumerate(v.shape) if s != 1]
        picked = [axes[i] for i in row_axes]

        def position(index: Index) -> Dim:
            return indexing.flatten([index[k] for k in picked], sizes)

        self.pending[v] = (name, position)
        return name, position

    def keep(self, stage: int) -> None:
        """After a pass: what it left in scratch or in an output is read from there."""
        self.body.kept.update(self.pending)
        for node in self.group.nodes:
            if self.group.stage[node] != stage or node.kind != "map" or node in self.group.rows:
                continue
            (v,) = node.values
            if v in self.destinations and v.op is not None and self._later_readers(node):
                i = self.destinations[v][0]
                shape = tuple(v.shape)
                position = partial(indexing.flatten, shape=shape)
                self.body.kept[v] = (self.maker.buffer(i, "in"), position)


def copy_step(program: Program, source: int, targets: list[int]) -> KernelStep:
    """A step that copies a buffer to others."""
    buffer = program.buffers[source]
    v = Value(TensorType(buffer.dtype, (buffer.count,)), name="copied")
    storage = Storage(program)
    storage.of[v], storage.outputs[v] = source, targets
    maker = KernelMaker(storage)
    maker.parallel = True
    node = Node("map", None, (v,), tuple(v.shape))
    group = Group(-1, node.space, [node], stage={node: 0})
    maker.add(group, {v})
    return maker.finish(f"k{len(program.steps)}_copy")


def identity(kind: str, dtype: dtypes.DType) -> Number:
    """The starting value of a reduction: combining it with x gives x."""
    if kind in ("any", "all"):
        return kind == "all"
    if kind in ("sum", "prod"):
        one = 0 if kind == "sum" else 1
        return float(one) if dtype.kind == "f" else bool(one) if dtype.kind == "b" else one
    low = kind == "max"
    if dtype.kind == "f":
        return float("-inf") if low else float("inf")
    if dtype.kind == "b":
        return not low
    if dtype.kind == "u":
        return 0 if low else 2**dtype.bits - 1
    return -(2 ** (dtype.bits - 1)) if low else 2 ** (dtype.bits - 1) - 1


def _outermost(frames: list[Frame], at: int) -> list[Frame]:
    """The frames with number `at` in front; its statements, which may depend on the loops that it
    passes, go to the innermost of those."""
    if at == 0:
        return frames
    moved, before = frames[at], frames[at - 1]
    before.stmts.extend(moved.stmts)
    moved.stmts = []
    return [moved, *frames[:at], *frames[at + 1 :]]


def _parallel_frame(frames: list[Frame], lane: int, block: int) -> int:
    """Which loop of a nest is done in parallel: the first with enough iterations, where those of
    the vector loop `lane` are blocks."""
    choices = [cost.known(f.extent) for f in frames]
    if lane >= 0:
        choices[lane] = -(-choices[lane] // block)
    for i, n in enumerate(choices):
        if n >= _MIN_PARALLEL:
            return i
    return max(range(len(choices)), key=lambda i: choices[i])
