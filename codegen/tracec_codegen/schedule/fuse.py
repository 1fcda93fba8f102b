"""Fusion: nodes that can share loops become one group, which is lowered to one kernel.

Nodes join in program order. A node may join a group whose loops run over the same space if it
reads the group's values at the element the loops are at, and if no path of dependencies leaves the
group and comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracec_ir import dims
from tracec_ir.core import Value
from tracec_ir.dims import Dim

from . import cost
from .indexing import Index
from .nodes import Node, Nodes, full_index

_LOOK_BACK = 24  # groups without a dependency that a node considers joining
_SPLIT_WORK = 65_536  # elements from which on a reduction to few values is cut into blocks
_SPLIT_ROWS = 16
_SPLIT_COLUMNS = 4097


@dataclass(eq=False, slots=True)
class Group:
    """Nodes that share loops over `space`. `axes` are the reduced positions (None: no reduction);
    `stage[n]` counts the passes over the reduced axes before node n can be computed; `rows` holds
    nodes computed once per kept element. `split`: reduced in blocks, in two kernels."""

    number: int
    space: tuple[Dim, ...]
    nodes: list[Node] = field(default_factory=list)
    axes: tuple[int, ...] | None = None
    split: bool = False
    opaque: bool = False
    stage: dict[Node, int] = field(default_factory=dict)
    rows: set[Node] = field(default_factory=set)

    @property
    def kept(self) -> tuple[Dim, ...]:
        gone = self.axes or ()
        return tuple(s for i, s in enumerate(self.space) if i not in gone)

    @property
    def columns(self) -> bool:
        """Whether the innermost axis is kept: lanes are then results, not terms."""
        return bool(self.axes) and len(self.space) - 1 not in (self.axes or ())

    @property
    def stages(self) -> int:
        return 1 + max(self.stage.values(), default=0)


def fuse(nodes: Nodes, notes: list[str]) -> list[Group]:
    """The groups, in an order in which they can run."""
    return _Fuser(nodes, notes).run()


class _Fuser:
    def __init__(self, nodes: Nodes, notes: list[str]):
        self.nodes, self.notes = nodes, notes
        self.groups: list[Group] = []
        self.home: dict[Node, Group] = {}
        self.before: list[int] = []  # per group: bit set of the groups that must run earlier
        self.leaves: list[set[Value]] = []  # per group: the values that it reads from outside

    def run(self) -> list[Group]:
        for node in self.nodes.all:
            sources = self._sources(node)
            group = None if node.kind in ("opaque", "own") else self._choose(node, sources)
            if node.reason and node.kind == "map":
                self._note(node, f"is computed as a whole: {node.reason}")
            if group is None:
                group = self._open(node)
            self._join(group, node, sources)
        return self._ordered()

    def _sources(self, node: Node) -> dict[Group, None]:
        found: dict[Group, None] = {}
        for v, _ in node.reads:
            producer = self.nodes.of.get(v)
            if producer is not None and producer in self.home:
                found[self.home[producer]] = None
        return found

    def _open(self, node: Node) -> Group:
        group = Group(len(self.groups), node.space, opaque=node.kind in ("opaque", "own"))
        self.groups.append(group)
        self.before.append(0)
        self.leaves.append(set())
        return group

    # -- choosing -----------------------------------------------------------------------------
    def _choose(self, node: Node, sources: dict[Group, None]) -> Group | None:
        for group in sorted(sources, key=lambda g: -g.number):
            why = self._refusal(node, group, sources)
            if not why:
                self._note(node, f"joins {self._label(group)}, whose values it reads")
                return group
            if not group.opaque:
                self._note(node, f"not fused with {self._label(group)}: {why}")
        read = {v for v, _ in node.reads}
        for group in reversed(self.groups[-_LOOK_BACK:]):
            if group in sources or read.isdisjoint(self.leaves[group.number]):
                continue
            if not self._refusal(node, group, sources):
                self._note(node, f"joins {self._label(group)}, which reads the same inputs")
                return group
        return None

    def _refusal(self, node: Node, group: Group, sources: dict[Group, None]) -> str:
        """Why `node` cannot join `group`; "" if it can."""
        if group.opaque:
            return "it is not a loop nest"
        reduces = node.kind != "map"
        row = False
        if node.space != group.space:
            if reduces or group.axes is None or node.space != group.kept:
                return f"its loops run over {_shape(node.space)}, not {_shape(group.space)}"
            row = True
        elif reduces and group.axes not in (None, node.reduced):
            return "it reduces other axes"
        bit = 1 << group.number
        for other in sources:
            if other is not group and self.before[other.number] & bit:
                return f"it also needs {self._label(other)}, which runs later"
        stage = 0
        for v, index in node.reads:
            producer = self.nodes.of.get(v)
            if producer is None or self.home.get(producer) is not group:
                continue
            why = self._misaligned(node, row, group, producer, v, index)
            if why:
                return why
            is_row = producer in group.rows or producer.kind != "map"
            stage = max(stage, group.stage[producer] + (is_row and not row))
        if (group.split or (reduces and self._must_split(node.space, node.reduced))) and stage:
            return "a reduction to few values is done in two kernels"
        if reduces and node.kind == "arg" and (group.split or len(group.space) == 0):
            return "an index is not reduced in blocks"
        return ""

    def _misaligned(
        self, node: Node, row: bool, group: Group, producer: Node, v: Value, index: Index
    ) -> str:
        symbols: list[Dim] = [dims.symbol(f"_d{i}") for i in range(len(node.space))]
        is_row = producer in group.rows or producer.kind != "map"
        if row and not is_row:
            return "it reads elements that the loops have passed"
        if not row and is_row:
            axes = group.axes or ()
            symbols = [s for i, s in enumerate(symbols) if i not in axes]
        if sum(s != 1 for s in v.shape) != len(symbols):
            return "it reads it in another shape"
        if full_index(tuple(v.shape), symbols) != index:
            return "it reads another element than the one the loops are at"
        return ""

    @staticmethod
    def _must_split(space: tuple[Dim, ...], axes: tuple[int, ...]) -> bool:
        total = cost.known(dims.product(space))
        if total < _SPLIT_WORK or not axes:
            return False
        results = cost.known(dims.product(s for i, s in enumerate(space) if i not in axes))
        return results < (_SPLIT_COLUMNS if len(space) - 1 not in axes else _SPLIT_ROWS)

    # -- joining ------------------------------------------------------------------------------
    def _join(self, group: Group, node: Node, sources: dict[Group, None]) -> None:
        row = not group.opaque and node.space != group.space
        if node.kind in ("reduce", "arg", "dot") and group.axes is None:
            group.axes = node.reduced
            group.split = node.kind != "arg" and self._must_split(node.space, node.reduced)
        if row:
            group.rows.add(node)
        stage = 0
        for v, _ in node.reads:
            producer = self.nodes.of.get(v)
            if producer is not None and self.home.get(producer) is group:
                is_row = producer in group.rows or producer.kind != "map"
                stage = max(stage, group.stage[producer] + (is_row and not row))
        group.nodes.append(node)
        group.stage[node] = stage
        self.home[node] = group
        self.leaves[group.number] |= {
            v for v, _ in node.reads
            if self.nodes.of.get(v) is None or self.home[self.nodes.of[v]] is not group
        }  # fmt: skip
        added = 0
        for other in sources:
            if other is not group:
                added |= 1 << other.number | self.before[other.number]
        if added:
            bit = 1 << group.number
            self.before[group.number] |= added
            for g in self.groups:
                if self.before[g.number] & bit:
                    self.before[g.number] |= added

    # -- order and notes ----------------------------------------------------------------------
    def _ordered(self) -> list[Group]:
        waiting = {g.number for g in self.groups}
        out: list[Group] = []
        done = 0
        while waiting:
            ready = next(n for n in sorted(waiting) if not self.before[n] & ~done)
            waiting.discard(ready)
            done |= 1 << ready
            out.append(self.groups[ready])
        return out

    def _note(self, node: Node, text: str) -> None:
        name = node.op.name if node.op else "copy"
        where = f" ({node.op.loc})" if node.op and node.op.loc else ""
        self.notes.append(f"{name}#{node.order}{where} {text}")

    @staticmethod
    def _label(group: Group) -> str:
        first = group.nodes[0]
        return f"{first.op.name if first.op else 'copy'}#{first.order}"


def _shape(space: tuple[Dim, ...]) -> str:
    return "[" + " x ".join(map(str, space)) + "]"
