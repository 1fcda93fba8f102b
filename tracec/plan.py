"""Plans: what a trace that ends at one trie node, with these results alive, compiles to."""

from __future__ import annotations

from tracec_ir.core import Value
from tracec_runtime.events import counters

from .autograd.graph import Freed, Output, Segment
from .autograd.reach import Saving, reach
from .autograd.segment import SegmentProgram
from .lift import Lift
from .record import Node, Tensor, Trace, _new
from .spec import dense
from .storage import Storage, storage
from .tiers import executable


def tensor_of(st: Storage, rg: int = 0):
    """A tensor over the whole of a storage."""
    t = _new(Tensor if Tensor is not None else _tensor_class())
    t._st, t._spec, t._rg = st, st.spec, rg
    return t


def _tensor_class():
    from . import record

    return record.Tensor


class Plan:
    """How to run a trace: an executable, which buffers become which results, and what to keep for
    going backward."""

    __slots__ = (
        "executable", "aliases", "writes", "grads", "program", "origins", "saved_inputs",
        "saved_scalars", "n_live", "saved_specs", "saved_results", "spoilt", "func",
    )  # fmt: skip

    def run(self, tr: Trace, inputs: list, scalars: list, results: list, live: tuple) -> None:
        """Executes and gives every live storage its buffer."""
        buffers = [s.buf for s in inputs]
        for i, copy in tr.snapshots.items():
            buffers[i] = copy
        kept = (
            [results[i].buf if results[i].foreign() else None for i in live]
            if self.writes
            else None
        )
        try:
            out = self.executable.run(buffers, scalars)
        except IndexError as error:
            raise self._located(error, buffers, scalars) from None
        for j, source in self.aliases:  # a result that is an input or another result again
            out[j] = (buffers[~source] if source < 0 else out[source]).copy()
        for j, i in enumerate(live):
            s = results[i]
            if kept is not None and kept[j] is not None:
                kept[j].write(out[j])
            else:
                s.buf = out[j]
            s.trace = None
        if self.program is not None:
            self._remember(tr, inputs, scalars, results, live, out)

    def _located(self, error: IndexError, buffers: list, scalars: list) -> IndexError:
        """`error` with the line that recorded the operation in this trace: equal traces share
        executables, which know the lines of the first one only."""
        import numpy as np

        from tracec_ir.interp import closures

        arrays = [b.array(p.shape, p.dtype.numpy) for b, p in zip(buffers, self.func.params)]
        try:
            with np.errstate(all="ignore"):
                closures(self.func).execute(arrays + scalars, {})
        except IndexError as again:
            return again
        return IndexError(str(error).partition(" (recorded at")[0])

    def _remember(self, tr: Trace, inputs, scalars, results, live, out) -> None:
        for j, error in self.spoilt:
            results[live[j]].source = Output(Freed(error), 0)
        program = self.program
        if not program.outs:
            return
        saved: list = [None] * len(program.saved)
        versions = [-1] * len(program.saved)
        for n, i in self.saved_inputs:
            saved[n], versions[n] = tensor_of(inputs[i]), inputs[i].version
        for n, i in self.saved_results:
            saved[n], versions[n] = tensor_of(results[i]), results[i].version
        for n, i in self.saved_scalars:
            saved[n] = scalars[i]
        for k, (n, spec) in enumerate(self.saved_specs):
            saved[n] = tensor_of(storage(spec, out[self.n_live + k]))
        sources = []
        for kind, where in self.origins:
            if kind == "in":
                sources.append(inputs[where].source)
            elif kind == "result":
                sources.append(results[where].source)
            else:
                sources.append(tr.leaves.get(where) if kind == "leaf" else None)
        params = [tensor_of(s, 1) for s in inputs] + list(scalars)
        seg = Segment(
            program,
            saved,
            versions,
            params,
            [s.version for s in inputs] + [-1] * len(scalars),
            sources,
        )
        for j, k in self.grads:
            results[live[j]].source = Output(seg, k)
        if tr.keep:
            seg.keep = tr.keep


def make_plan(node: Node, live: tuple[int, ...], tr: Trace) -> Plan:
    """Lifts the trace that ends at `node` and prepares to execute it."""
    counters.plan_misses += 1
    lifted = Lift(node)
    codes = node.entry_codes()
    outputs = [lifted.env[codes[i]] for i in live]
    plan = Plan()
    plan.n_live = len(live)
    plan.program, plan.grads, plan.origins = None, [], ()
    plan.saved_inputs, plan.saved_scalars, plan.saved_specs = [], [], []
    plan.saved_results, plan.spoilt = [], []
    _plan_gradients(plan, node, lifted, live, codes, outputs)
    params = lifted.params
    seen: dict[Value, int] = {p: ~i for i, p in enumerate(params)}
    plan.aliases = []
    unique: list[Value] = []
    position: list[int] = []
    for j, v in enumerate(outputs):
        v = _undetached(v)
        if v in seen:
            plan.aliases.append((j, seen[v]))
            position.append(-1)
        else:
            seen[v] = j
            position.append(len(unique))
            unique.append(v)
    plan.writes = any(n.kind in ("assign", "write", "assign_many") for n in lifted.path)
    func = lifted.b.func("trace", params, unique)
    plan.func = func
    copied = {
        ~source for _, source in plan.aliases if source < 0
    }  # after the run: stay as they are
    donations = _donations(lifted, node, live, codes, outputs)
    donations = {i: j for i, j in donations.items() if i not in copied}
    plan.executable = executable(func, position, donations)
    return plan


def _undetached(v: Value) -> Value:
    while v.op is not None and v.op.name == "detach":
        v = v.op.operands[0]
    return v


def _plan_gradients(
    plan: Plan, node: Node, lifted: Lift, live, codes, outputs: list[Value]
) -> None:
    recorded = {c for n in lifted.path for c, _, rg in n.outs or ((n.code, n.spec, n.rg),) if rg}
    roots: list[int] = []
    paths: list[frozenset] = []
    for j, i in enumerate(live):
        code = codes[i]
        if code not in recorded:
            continue
        try:
            paths.append(reach(node, [code], ()).visited[0])
        except RuntimeError as error:  # used up, or the like: said when somebody goes backward
            plan.spoilt.append((j, error.with_traceback(None)))
        else:
            plan.grads.append((j, len(roots)))
            roots.append(code)
    if not plan.grads and not plan.spoilt:
        return
    info = reach(node, roots, ()) if roots else None
    targets = [lifted.env[c] for c in info.targets] if info else []
    program = SegmentProgram(lifted.b, lifted.params, [lifted.env[c] for c in roots], targets)
    program.names = _names(lifted.path, roots)
    program.paths, program.saving = paths, Saving(node)
    plan.program = program
    plan.origins = info.origins if info else ()
    overwritten = {
        c for n in lifted.path if n.kind in ("assign", "write") for c in (n.operands[0] & ~1,)
    }
    overwritten |= {
        c
        for n in lifted.path
        if n.kind == "assign_many"
        for c in n.operands[: len(n.operands) // 2]
    }
    stale = {lifted.env[c] for c in overwritten if c in lifted.env}
    whole = _keepers(lifted, live, codes, outputs)
    for n, v in enumerate(program.saved):
        if v in lifted.scalars:
            plan.saved_scalars.append((n, lifted.scalars.index(v)))
        elif v in lifted.inputs and v not in stale:
            plan.saved_inputs.append((n, lifted.inputs.index(v)))
        elif v in whole:  # a result: its storage is kept, and later writes to it are noticed
            plan.saved_results.append((n, whole[v]))
        else:
            plan.saved_specs.append((n, dense(v.dtype, tuple(v.shape))))
            outputs.append(v)


def _keepers(lifted: Lift, live, codes, outputs: list[Value]) -> dict[Value, int]:
    """{value: the result whose storage keeps it}, for values that one live tensor stands for.

    A copy of a value (`clone()`) is the same value, but writes to the copy leave the original as it
    is; so neither keeps it when both live, nor does the copy alone.
    """
    first: dict[Value, int] = {}
    written: set[int] = set()
    for n in lifted.path:
        made = [c for c, _, _ in n.outs or ((n.code, n.spec, n.rg),) if c in lifted.env]
        if n.kind in ("assign", "write", "assign_many"):
            written.update(made)
        for c in made:
            first.setdefault(lifted.env[c], c)
    found: dict[Value, int] = {}
    shared: set[Value] = set()
    for i, v in zip(live, outputs, strict=True):
        code = codes[i]
        if v in found or (first.get(v, code) != code and code not in written):
            shared.add(v)
        found.setdefault(v, i)
    return {v: i for v, i in found.items() if v not in shared}


def _names(path: list[Node], codes: list[int]) -> list[str]:
    """The names of the operations that made these codes."""
    maker = {c: n for n in path for c, _, _ in n.outs or ((n.code, n.spec, n.rg),)}
    return [maker[c].name or maker[c].kind for c in codes]


def _donations(lifted: Lift, node: Node, live, codes, outputs) -> dict[int, int]:
    """{input number: result number} for storages that the trace reads and writes as a whole."""
    owner: dict[int, int] = {}
    inputs = 0
    for n in lifted.path:
        if n.kind == "in":
            owner[n.code] = inputs
            inputs += 1
        elif n.kind in ("assign", "write"):
            start = owner.get(n.operands[0] & ~1)
            if start is not None:
                owner[n.code] = start
        elif n.kind == "assign_many":
            for old, (code, _, _) in zip(n.operands, n.outs):
                if old in owner:
                    owner[code] = owner[old]
    found = {}
    for j, i in enumerate(live):
        source = owner.get(codes[i])
        if source is not None:
            found[source] = j
    return found
