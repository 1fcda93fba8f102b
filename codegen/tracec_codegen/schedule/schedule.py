"""From a function of primitives to a program: nodes, groups, kernels and other steps in order."""

from __future__ import annotations

from collections.abc import Mapping

from tracec_ir.core import Func, Value
from tracec_ir.dims import Dim, Poly, Sym
from tracec_ir.types import TensorType

from ..program import Program
from ..target import Target
from . import cost
from .contract import call_dot
from .donate import apply_donations, reuse_dying
from .fuse import Group, fuse
from .lower import KernelMaker, Storage, copy_step, group_cost
from .nodes import Node, Nodes
from .opaque import finish_outputs, lower_opaque, stored_reads
from .own import lower_own
from .sharing import share_kernels

_TOGETHER = 30_000.0  # nanoseconds of small groups that are put into one kernel
_NESTS = 24
_SYMBOLIC = 4.0  # a size that may be anything is taken to be this much larger than it was


def schedule(func: Func, target: Target, donate: Mapping[int, int] | None = None) -> Program:
    """The program that computes `func`. `donate[i] = j`: result j may overwrite parameter i."""
    return _Scheduler(func, target, dict(donate or {})).run()


class _Scheduler:
    def __init__(self, func: Func, target: Target, donate: dict[int, int]):
        self.func, self.target, self.donate = func, target, donate
        self.program = Program(func.name, [], [], [], [])
        self.storage = Storage(self.program)
        self.lanes = target.lanes(32)

    def run(self) -> Program:
        self._declare()
        nodes = Nodes(self.func, stored_reads)
        self.sums = nodes.sums
        groups = fuse(nodes, self.program.notes)
        needed = self._needed(groups)
        self._plan_heirs(groups)
        maker: KernelMaker | None = None
        count = 0
        for group in groups:
            work = group_cost(group) * (_SYMBOLIC if _is_symbolic(group) else 1.0)
            small = not group.opaque and work < cost.PARALLEL and not group.split
            if maker is not None and (
                not small or count >= _NESTS or maker.cost + work > _TOGETHER
            ):
                self._finish(maker)
                maker, count = None, 0
            if group.opaque:
                self._opaque(group.nodes[0])
                continue
            if maker is None:
                maker = KernelMaker(self.storage, self.lanes)
            if small:
                maker.add(group, needed[group])
                count += 1
                continue
            maker.parallel = True
            if group.split:
                self._split(group, needed[group])
            else:
                maker.add(group, needed[group])
                self._finish(maker)
            maker = None
        if maker is not None:
            self._finish(maker)
        for first, others in self.storage.copies:
            self.program.steps.append(copy_step(self.program, first, others))
        apply_donations(self.program, self.donate)
        reuse_dying(self.program)
        share_kernels(self.program)
        return self.program

    # -- buffers ------------------------------------------------------------------------------
    def _declare(self) -> None:
        func, program, storage = self.func, self.program, self.storage
        for i, p in enumerate(func.params):
            buffer = storage.new(p, "input", i)
            storage.of[p] = buffer
            program.inputs.append(buffer)
            if isinstance(p.type, TensorType):
                for axis, size in enumerate(p.shape):
                    name = _plain_symbol(size)
                    if name:
                        program.sizes.setdefault(name, (i, axis))
        for j, v in enumerate(func.results):
            if not isinstance(v.type, TensorType):
                raise NotImplementedError("a compiled function that returns a Python number")
            buffer = storage.new(v, "output", j)
            program.outputs.append(buffer)
            storage.outputs.setdefault(v, []).append(buffer)

    def _needed(self, groups: list[Group]) -> dict[Group, set[Value]]:
        """Per group, the values that must be in memory."""
        results = set(self.func.results)
        home = {n: g for g in groups for n in g.nodes}
        producers = {v: n for g in groups for n in g.nodes for v in n.values if v.op is not None}
        needed: dict[Group, set[Value]] = {g: set() for g in groups}
        for group in groups:
            for node in group.nodes:
                needed[group].update(v for v in node.values if v in results)
                for v, _ in node.reads:
                    producer = producers.get(v)
                    if producer is not None and home[producer] is not group:
                        needed[home[producer]].add(v)
        return needed

    def _plan_heirs(self, groups: list[Group]) -> None:
        """Lets writes and scatters continue in the memory of a base that nothing reads later."""
        last: dict[Value, int] = {}
        for position, group in enumerate(groups):
            for node in group.nodes:
                for v, _ in node.reads:
                    last[v] = position
        results = set(self.func.results)
        producers = {v for g in groups for n in g.nodes for v in n.values}
        params = {p: i for i, p in enumerate(self.func.params)}
        for position in range(len(groups) - 1, -1, -1):
            (node, *_) = groups[position].nodes
            if node.op in self.sums:
                self.storage.heirs[self.sums[node.op][0]] = node.op.result
                continue
            if node.op is None or node.op.name not in ("write", "scatter") or node.kind != "own":
                continue
            base, v = node.op.operands[0], node.op.result
            if last.get(base, position) > position or base in results:
                continue
            if base in params:
                i = params[base]
                j = self.donate.get(i)
                if j is not None and self.storage.destinations(v)[0] == self.program.outputs[j]:
                    self.program.donations[j] = i
                    self.storage.heirs[base] = v
            elif base in producers:
                self.storage.heirs[base] = v

    # -- steps --------------------------------------------------------------------------------
    def _finish(self, maker: KernelMaker) -> None:
        origin = "_".join(dict.fromkeys(maker.origin)) or "copy"
        name = f"k{len(self.program.steps)}_{origin}"[:60]
        self.program.steps.append(maker.finish(name))

    def _opaque(self, node: Node) -> None:
        if node.op in self.sums:
            call_dot(self.storage, self.sums[node.op][1], self.target, node.op.result)
            return
        if node.kind != "own":
            lower_opaque(self.storage, node, self.target)
            return
        assert node.op is not None
        out = finish_outputs(self.storage, node.op.result)
        base = node.op.operands[0]
        heir = self.storage.heirs.get(base) is node.op.result
        lower_own(self.storage, node, out, self.storage.of[base] if heir else None)

    def _split(self, group: Group, needed: set[Value]) -> None:
        from .blocks import lower_split

        for maker in lower_split(self.storage, group, needed, self.lanes):
            self._finish(maker)


def _is_symbolic(group: Group) -> bool:
    return not all(isinstance(s, int) for s in group.space)


def _plain_symbol(size: Dim) -> str:
    """The name of the symbol that a size is, "" if it is anything else."""
    if isinstance(size, Poly) and len(size.terms) == 1:
        ((mono, coef),) = size.terms.items()
        if coef == 1 and len(mono) == 1 and isinstance(mono[0], Sym):
            return mono[0].name
    return ""
