"""The backward engine: one recorded instruction per open trace, one per executed segment.

Gradients travel from the roots to the leaves. Values of the open trace are differentiated together
by a "backward" instruction (cached on the trie); borders of it (leaves, executed segments, user
functions, hooked values) are handled here, latest first.
"""

from __future__ import annotations

from .. import record
from ..record import Node, Trace, _child, _results, code_of
from ..spec import dense
from . import anomaly, edges
from .graph import TWICE, Freed, Leaf, Output, Segment, modified_message


class Info:
    """What a backward instruction says: root, seed and target codes; `through` are targets that
    gradients also flow past; `origins` tells where each target's source is found at run time;
    `visited` are the instructions it went through, `keep` whether they stay usable."""

    __slots__ = ("roots", "seeds", "targets", "through", "origins", "visited", "keep")


def backward(roots: list, seeds: list, keep: bool, create_graph: bool, wanted: list | None = None):
    """Runs backward from `roots` with cotangents `seeds` (None: one).

    With `wanted` None gradients are added to the `.grad` of leaves; else the gradients of those
    tensors are returned (None where there is no path) and no `.grad` changes.
    """
    holder = record._local.h
    outer = holder.trace.grad
    _set_grad(create_graph)
    running, outermost = len(holder.running), holder.after is None
    if outermost:
        holder.after = []
    try:
        out = _Run(keep, create_graph, wanted).run(roots, seeds)
        while outermost and holder.after:
            holder.after.pop(0)()
        return out
    finally:
        _set_grad(outer)
        del holder.running[running:]
        if outermost:
            holder.after = None


def queue_callback(callback) -> None:
    """Calls `callback()` when the backward run in progress (the outermost one) has ended and every
    gradient is in its leaf. RuntimeError outside of one."""
    after = record._local.h.after
    if after is None:
        raise RuntimeError("Final callbacks can only be installed during backward pass.")
    after.append(callback)


def _set_grad(on: bool) -> None:
    record._local.h.trace.grad = on


class _Run:
    def __init__(self, keep: bool, create_graph: bool, wanted: list | None):
        self.keep, self.create_graph, self.wanted = keep, create_graph, wanted
        self.pending: dict = {}  # node -> {index: gradient}
        self.leaves: dict[Leaf, object] = {}
        self.captured: dict[int, object] = {}
        self.capture_outputs: dict = {}  # node -> {index: position}
        self.looked_at: list = []  # tensors whose gradients are wanted, then those that are watched
        self.used: list[tuple[Segment, tuple[int, ...]]] = []

    def run(self, roots: list, seeds: list):
        tr = record._local.h.trace
        open_roots, open_seeds = [], []
        self._prepare(tr)
        for root, seed in zip(roots, seeds, strict=True):
            if root._leaf is not None:
                self._to(root._leaf, seed if seed is not None else _ones(root))
                continue
            code = code_of_graph(tr, root)
            if root._st.trace is tr:
                open_roots.append(code)
                open_seeds.append(seed)
            else:
                self._to(root._st.source, seed if seed is not None else _ones(root))
        if open_roots:
            self._open(open_roots, open_seeds)
        while self.pending:
            node = max(self.pending, key=lambda n: n.time)
            grads = self.pending.pop(node)
            if isinstance(node, Segment):
                self._segment(node, grads)
            else:
                self._function(node, grads)
        if not self.keep:
            for seg, outs in self.used:
                seg.free(outs)
        self._tell_watchers()
        if self.wanted is not None:
            return [self.captured.get(i) for i in range(len(self.wanted))]
        for leaf, g in self.leaves.items():
            tensor = leaf.tensor()
            if tensor is not None:
                accumulate(tensor, g, self.create_graph)
        return None

    def _prepare(self, tr: Trace) -> None:
        """Notes where the gradients of tensors pass that somebody wants to see."""
        self.open_wanted: dict[int, int] = {}
        self.looked_at = list(self.wanted or ())
        h = record._local.h
        if h.watched:
            h.watched = [r for r in h.watched if r() is not None]
            self.looked_at += [t for t in (r() for r in h.watched) if t is not None]
        self.same: dict[int, int] = {}  # position -> position of a tensor at the same place
        for i, w in enumerate(self.looked_at):
            if w._leaf is not None:
                continue
            code = code_of_graph(tr, w)
            if w._st.trace is tr:
                first = self.open_wanted.setdefault(code & ~1, i)
            elif isinstance(w._st.source, Output):
                at = self.capture_outputs.setdefault(w._st.source.node, {})
                first = at.setdefault(w._st.source.index, i)
            else:
                continue
            if first != i:
                self.same[i] = first

    def _tell_watchers(self) -> None:
        for i, first in self.same.items():
            if first in self.captured:
                self.captured[i] = self.captured[first]
        for i in range(len(self.wanted or ()), len(self.looked_at)):
            if i in self.captured:
                self.looked_at[i].__dict__["_watch"](self.captured[i])

    def _capture(self, i: int, g) -> None:
        have = self.captured.get(i)
        self.captured[i] = g if have is None else have + g

    def _to(self, source, g) -> None:
        """Delivers a gradient to a border of the graph."""
        if source is None:
            return
        if isinstance(source, Leaf):
            if self.wanted is not None:
                for i, w in enumerate(self.wanted):
                    if w._leaf is source:
                        self._capture(i, _hooked(w, g))
                return
            have = self.leaves.get(source)
            self.leaves[source] = g if have is None else have + g
            return
        if source.node.__class__ is Freed:
            source.node.refuse()
        at = self.pending.setdefault(source.node, {})
        have = at.get(source.index)
        at[source.index] = g if have is None else have + g

    # -- the open trace ---------------------------------------------------------------------------
    def _open(self, codes: list[int], seeds: list) -> None:
        h = record._local.h
        tr = h.trace
        seed_codes = [None if s is None else code_of(tr, s) for s in seeds]
        extra = tuple(self.open_wanted)
        again = len(h.running)
        key = (
            "backward",
            tuple(codes),
            tuple(seed_codes),
            extra,
            self.keep,
            self.create_graph,
            again,
        )
        node = tr.node.children.get(key)
        if node is None:
            node = self._new_backward(tr, key, codes, seed_codes, extra)
        h.running.append(node)
        info = node.info
        if not info.targets:
            tr.node = node
            return
        sources = [self._source(tr, o) for o in info.origins]
        grads = _results(tr, node)
        for code, source, g in zip(info.targets, sources, grads, strict=True):
            if code in self.open_wanted:
                self._capture(self.open_wanted[code], g)
            if source is not None:
                self._to(source, g)

    @staticmethod
    def _source(tr: Trace, origin):
        kind, where = origin
        if kind == "in":
            return tr.inputs[where].source
        if kind == "result":
            return tr.results[where].source
        return tr.leaves.get(where) if kind == "leaf" else None

    def _new_backward(self, tr: Trace, key, codes, seed_codes, extra) -> Node:
        from .reach import reach

        info = reach(tr.node, codes, extra)
        info.seeds, info.keep = tuple(seed_codes), self.keep
        node = _child(tr, key, "backward", "", (), None)
        node.info = info
        outs = []
        for spec in info.visited[1]:
            outs.append(
                (
                    node.next,
                    dense(spec.dtype, tuple(spec.shape), spec.device),
                    int(self.create_graph),
                )
            )
            node.next += 2
            node.nbytes += spec.nbytes
        node.entries += len(outs)
        node.outs = tuple(outs)
        if outs:
            node.code, node.spec, node.rg = outs[0]
        node.grow()
        return node

    # -- borders ----------------------------------------------------------------------------------
    def _segment(self, seg: Segment, grads: dict) -> None:
        outs = tuple(sorted(grads))
        if seg.freed and seg.program.shares(frozenset(outs), seg.freed):
            raise RuntimeError(TWICE)
        seeds = [grads[i] for i in outs]
        captures = self.capture_outputs.get(seg, {})
        through = tuple(sorted(captures))
        if self.create_graph:
            call = seg.program.replay(outs, through)
            operands = [*_given(seg, call.needs), *_inner_sources(seg, call), *seeds]
        else:
            call = seg.program.backward(outs, through)
            operands = []
            for n in call.needs:
                _check_version(seg.saved[n], seg.versions[n])
                operands.append(seg.saved[n])
            operands += seeds
        results = edges.call_segment(call, tuple(operands), int(self.create_graph))
        self.used.append((seg, outs))  # hooks and user functions may lead back into it
        for target, g in zip(call.targets, results, strict=True):
            if target < 0:
                self._capture(captures[~target], g)
            else:
                self._to(seg.sources[target], g)

    def _function(self, node, grads: dict) -> None:
        for i, position in self.capture_outputs.get(node, {}).items():
            if i in grads:
                self._capture(position, grads[i])
        for tensor, g in node.run(grads, self.keep):
            self._deliver(tensor, g)

    def _deliver(self, tensor, g) -> None:
        """Sends a gradient on to whatever made `tensor`."""
        if g is None or not tensor._rg:
            return
        if tensor._leaf is not None:
            self._to(tensor._leaf, g)
            return
        tr = record._local.h.trace
        code = code_of_graph(tr, tensor)
        if tensor._st.trace is tr:
            self._open([code], [g])
        else:
            self._to(tensor._st.source, g)


def _given(seg: Segment, needs: list[int]) -> list:
    """The inputs of an executed trace, as long as they are what they were."""
    for n in needs:
        _check_version(seg.inputs[n], seg.input_versions[n])
    return [seg.inputs[n] for n in needs]


def _inner_sources(seg: Segment, call) -> list:
    """The values of the gradient sources that came into being inside an executed trace (cut values
    and leaves on part of an input's memory), as tensors from which gradients go there."""
    if not call.given:
        return []
    values = edges.call_segment(call.values, tuple(_given(seg, call.values.needs)), 0)
    for t, value in zip(call.given, values, strict=True):
        edges.reseat(value, seg.sources[t])
    return list(values)


def code_of_graph(tr: Trace, x) -> int:
    """The operand code of x with its gradient bit, whatever the grad mode is; executed values are
    not imported unless a view of them is meant."""
    st = x._st
    if st.trace is not tr and x._spec.canonical is st.spec:
        if st.trace is not None and not tr.nested:
            record.flush_foreign(st.trace)
        return 0
    was, tr.grad = tr.grad, True
    try:
        return code_of(tr, x)
    finally:
        tr.grad = was


def _check_version(t, expected: int) -> None:
    if expected >= 0 and t._st.version != expected:
        raise RuntimeError(modified_message(t._spec, t._st.version, expected))


def _ones(root):
    spec = root._spec
    return record.apply("full", (1.0,), {"shape": tuple(spec.shape), "dtype": spec.dtype})


def _hooked(tensor, g):
    for hook in tuple((tensor._hooks or {}).values()):
        out = hook(g)
        if out is not None:
            g = out
    return g


def accumulate(tensor, g, create_graph: bool) -> None:
    """Adds g to `tensor.grad`, running the tensor's hooks."""
    if tensor._hooks:
        g = _hooked(tensor, g)
    if anomaly._State.on:
        anomaly.check(tensor, g)
    have = tensor._grad
    if have is None:
        tensor._grad = g
    elif create_graph:
        tensor._grad = have + g
    else:
        record.assign(have, record.binary("add", have, g))
    for hook in tuple((tensor._post_hooks or {}).values()):
        hook(tensor)
