"""The recorder: op calls walk a trie of traces; values are computed when somebody looks.

A trace is a path in the trie. A node's child is found by a key holding everything its meaning
depends on: op name, operand codes, kinds of Python numbers, attributes. The second time a program
does the same thing an op costs one dictionary look-up and one Tensor.

Codes: value number `s` of a trace has code `2 * s`; an operand that takes part in differentiation
has the last bit set. Python numbers occupy slots too, their values being run-time inputs.
"""

from __future__ import annotations

import os
import threading
import time
from sys import _getframe, getrefcount

from tracec_runtime.events import count, counters

from .spec import dense
from .storage import Storage
from .trie import Flush, Node, Stale, Unbounded, Wrapped, is_recording, restarted

_new = object.__new__
_NUMBERS = (float, int, bool, complex)
OP_BUDGET = 4000  # instructions in one trace
CALL_LENGTH = 48  # instructions from which on a module call without gradients ends its trace
NODE_BUDGET = 200_000  # nodes in all tries; beyond it they are forgotten and grow anew
BYTE_BUDGET = 4 << 30  # bytes of results in one trace


class Trace:
    """An open trace of one thread."""

    __slots__ = (
        "node",
        "results",
        "scalars",
        "inputs",
        "views",
        "grad",
        "thread",
        "snapshots",
        "leaves",
        "keep",
        "borrowed",
    )
    symbolic = False  # whether the trace is a script's, whose values never exist (jit.recording)
    nested = False  # whether it is the body of a function that is transformed (func.capture)

    def __init__(self, root: Node, grad: bool, thread: int):
        self.node, self.grad, self.thread = root, grad, thread
        self.results: list[Storage] = []
        self.scalars: list = []
        self.inputs: list[Storage] = []
        self.views: dict = {}
        self.leaves: dict = {}  # code -> Source, for values that are gradient sources of their own
        self.snapshots: dict = {}  # input number -> copy of memory that foreign code may write
        self.keep: list | None = None  # tensors that hooks need as long as the graph lives
        self.borrowed: dict | None = None  # storage of another thread's trace -> code


class _PerThread:
    """What a thread records into. `parked`: it waits for another thread's value, its own trace
    being whole, so that others may execute that."""

    __slots__ = ("trace", "inference", "thread", "calls", "watched", "running", "parked",
                 "mode", "after")  # fmt: skip

    def __init__(self):
        self.thread = threading.get_ident()
        self.inference = self.parked = False
        self.calls = 0  # module calls in progress without gradients
        self.mode = None  # the dtype of autocast
        self.running: list = []  # backward instructions of runs that have not ended
        self.after: list | None = None  # what is called when the backward run in progress ends
        self.watched: list = []  # weak references to tensors whose gradients are looked at
        self.trace = Trace(_root(), True, self.thread)


_roots: dict = {}
_context: tuple = ("f32",)
_node_count = 0
_holders: dict[int, _PerThread] = {}


def _root(mode=None, nested: bool = False) -> Node:
    from tracec_runtime import knobs

    key = None if knobs.sync else (_context, mode, nested)  # synchronous calls are not seen twice
    root = _roots.get(key)
    if root is None:
        root = Node(None, "root")
        root.mode = mode
        if nested:
            root.depth = root.nbytes = Unbounded()
        if key is not None:
            _roots[key] = root
    return root


def set_context(context: tuple) -> None:
    """Switches to the trie of another context (what every type rule depends on)."""
    global _context
    flush(Flush.CONTEXT)
    _context = context
    h = _local.h
    h.trace = Trace(_root(h.mode), h.trace.grad, h.thread)


class _Local(threading.local):
    def __init__(self):
        self.h = _PerThread()
        _holders[self.h.thread] = self.h


def _own_references() -> int:
    """How many references to an element the comprehension in `_execute` adds to its count."""
    probe = [object(), object()]
    return [getrefcount(s) for i, s in enumerate(probe)][-1] - 1


_OWN = _own_references()
_local = _Local()
_lock = threading.RLock()
_owning = threading.Lock()  # a storage belongs to one open trace at a time


def _after_fork() -> None:
    """In the child only the forking thread exists: nobody would ever release a lock held
    elsewhere."""
    global _lock, _owning
    _lock, _owning = threading.RLock(), threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
watchers: list = []  # called with (reason, plan) before a trace is executed
Tensor: type = None  # set by tracec.tensor


def current() -> Trace:
    return _local.h.trace


# -- operands -------------------------------------------------------------------------------------
def code_of(tr: Trace, x) -> int:
    """The operand code of tensor x in the open trace; imports it or reads it through its view."""
    st = x._st
    if st.trace is tr and x._spec is st.spec:
        return st.code + x._rg if tr.grad else st.code
    return read(tr, x)


def read(tr: Trace, x) -> int:
    """`code_of` without the short cut."""
    st = x._st
    if tr.nested and st.trace is not tr:
        return tr.adopt(x)
    at = st.code if st.trace is tr else _import(tr, st)
    rg = x._rg
    if not rg and x._base is not None and x._base._rg:  # the base was written with a gradient later
        rg = x._rg = 1
    if not tr.grad:
        rg = 0
    spec = x._spec
    if spec is st.spec:
        return at + rg
    if spec.canonical is not spec:
        if x._leaf is not None:  # a leaf of its own on shared memory, see Tensor.requires_grad_
            return _shared_leaf().read(tr, x, at, rg)
        spec = spec.canonical
    base = x._base
    if base is not None and base._spec.canonical is not base._spec:
        whole = _shared_leaf().below(tr, base, st, at, rg)
    else:
        whole = at + rg
    key = (whole, spec)
    code = tr.views.get(key)
    if code is None:
        node = tr.node.children.get(key)
        if node is None:
            node = _child(tr, key, "view", "", (whole,), None)
            node.code, node.spec, node.rg = (
                node.next,
                dense(spec.dtype, tuple(spec.shape), spec.device),
                rg,
            )
            node.attrs = spec
            node.next += 2
            node.grow()
        tr.node = node
        code = tr.views[key] = node.code + node.rg
    return code


def _shared_leaf():
    from . import shared_leaf

    return shared_leaf


def _import(tr: Trace, st: Storage, write: bool = False) -> int:
    """Makes a storage an input of the trace; returns its code. Values that another thread's trace
    has as an input, too, are borrowed; what it computes or writes must be executed first."""
    if tr.nested:
        return tr.adopt_whole(st)
    other = st.trace
    if other is not None and (write or st.buf is None or st.held > 1):
        flush_foreign(other, tr)
    if st.buf is None:
        raise RuntimeError(
            "the value of this tensor was never computed because an earlier operation failed"
        )
    borrowed = tr.borrowed
    code = borrowed.get(st) if borrowed else None
    if code is None:
        key = st.spec
        node = tr.node.children.get(key)
        if node is None:
            node = _child(tr, key, "in", "", (), None)
            node.code, node.spec = node.next, st.spec
            node.next += 2
            node.grow()
        tr.node = node
        code = node.code
        tr.inputs.append(st)
        if st.foreign():
            _snapshot(tr, st)
    if len(_holders) == 1:
        st.trace, st.code, st.held = tr, code, 1
        return code
    with _owning:
        if st.trace is None:
            st.code, st.held = code, 1
            st.trace = tr
            return code
    if borrowed is None:
        borrowed = tr.borrowed = {}
    borrowed[st] = code
    return code


def _end_loans(tr: Trace, st: Storage) -> None:
    """Before a write: executes other threads' traces that read what is there now."""
    for h in list(_holders.values()):
        borrowed = h.trace.borrowed
        if borrowed and st in borrowed and h.trace is not tr:
            flush_foreign(h.trace, tr)


SNAPSHOT_BYTES = 1 << 20


def _snapshot(tr: Trace, st: Storage) -> None:
    """Small memory that foreign code may write is read now, not at the flush."""
    if st.buf.nbytes <= SNAPSHOT_BYTES:
        tr.snapshots[len(tr.inputs) - 1] = st.buf.copy()


def _child(tr: Trace, key, kind: str, name: str, operands: tuple, attrs) -> Node:
    """A new node below the trace's position; the caller completes it and lets it `grow`."""
    parent = tr.node
    node = Node(parent, kind, name, operands, attrs)
    node.key, node.loc = key, _user_location()
    global _node_count
    counters.trie_misses += 1
    _node_count += 1
    if _node_count > NODE_BUDGET:  # a program that never repeats must not fill the memory
        forget_traces()
        counters.plan_evictions += 1
    return node


def forget_traces() -> None:
    """Drops the tries with their plans; open traces go on in the old ones, which die with them."""
    global _node_count
    _node_count = 0
    _roots.clear()


def _user_location() -> str:
    """file:line of the innermost frame outside the package."""
    frame = _getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "tracec":
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else ""


def _over_budget(node: Node) -> bool:
    return node.depth >= OP_BUDGET or node.nbytes >= BYTE_BUDGET


# -- instructions ---------------------------------------------------------------------------------
def result(tr: Trace, node: Node):
    """The Tensor for the one result of `node`, which becomes the trace's position."""
    tr.node = node
    t = _new(Tensor)
    s = _new(Storage)
    s.trace = tr
    s.code = node.code
    s.spec = t._spec = node.spec
    s.buf = s.source = None
    s.held = 1
    s.version = 0
    t._st = s
    t._rg = node.rg
    tr.results.append(s)
    return t


def apply(name: str, operands: tuple, attrs=None):
    """Records op `name` (of the op table) on tensors and Python numbers; returns its one result.

    `attrs` is a dict (or tuple of pairs) of static, hashable attributes. Raises what the op's type
    rule raises, at the caller's line.
    """
    try:
        tr = _local.h.trace
        scalars = tr.scalars
        mark = len(scalars)
        key = [name]
        for x in operands:
            if isinstance(x, Tensor):
                st = x._st
                if st.trace is tr and x._spec is st.spec:
                    key.append(st.code + x._rg if tr.grad else st.code)
                else:
                    key.append(read(tr, x))
            else:
                key.append(x.__class__)
                scalars.append(x)
        if attrs:
            if attrs.__class__ is dict:
                attrs = tuple(attrs.items())
            key.append(attrs)
            key.append(tuple([v.__class__ for _, v in attrs]))
        key = tuple(key)
        node = tr.node.children.get(key)
        if node is None:
            del scalars[mark:]
            return _miss(name, operands, attrs)
        return result(tr, node) if not node.outs else _results(tr, node)
    except Stale:
        return apply(name, operands, attrs)
    except Wrapped as w:
        del scalars[mark:]
        return w.wrapper.lift(name, operands, attrs)


def apply_multi(name: str, operands: tuple, attrs=None) -> tuple:
    """`apply` for an op with several results."""
    out = apply(name, operands, attrs)
    return out if isinstance(out, tuple) else (out,)


def binary(name: str, x, y):
    """`apply(name, (x, y))` for a tensor x and a tensor or number y: the hot path of operators."""
    try:
        tr = _local.h.trace
        st = x._st
        if st.trace is tr and x._spec is st.spec:
            a = st.code + x._rg if tr.grad else st.code
        else:
            a = read(tr, x)
        c = y.__class__
        if c is float or c is int:
            node = tr.node.children.get((name, a, c))
            if node is None:
                return _miss(name, (x, y), None)
            tr.scalars.append(y)
        else:
            st = y._st
            if st.trace is tr and y._spec is st.spec:
                b = st.code + y._rg if tr.grad else st.code
            else:
                b = read(tr, y)
            node = tr.node.children.get((name, a, b))
            if node is None:
                return _miss(name, (x, y), None)
        tr.node = node
        t = _new(Tensor)
        s = _new(Storage)
        s.trace = tr
        s.code = node.code
        s.spec = t._spec = node.spec
        s.buf = s.source = None
        s.held = 1
        s.version = 0
        t._st = s
        t._rg = node.rg
        tr.results.append(s)
        return t
    except Stale:
        return binary(name, x, y)
    except Wrapped as w:
        return w.wrapper.lift(name, (x, y), None)


def unary(name: str, x):
    """`apply(name, (x,))`."""
    try:
        tr = _local.h.trace
        st = x._st
        if st.trace is tr and x._spec is st.spec:
            a = st.code + x._rg if tr.grad else st.code
        else:
            a = read(tr, x)
        node = tr.node.children.get((name, a))
        if node is None:
            return _miss(name, (x,), None)
        return result(tr, node)
    except Stale:
        return unary(name, x)
    except Wrapped as w:
        return w.wrapper.lift(name, (x,), None)


def _results(tr: Trace, node: Node) -> tuple:
    tr.node = node
    out = []
    for code, spec, rg in node.outs:
        t, s = _new(Tensor), _new(Storage)
        s.trace, s.code, s.buf, s.source = tr, code, None, None
        s.held, s.version = 1, 0
        s.spec = t._spec = spec
        t._st, t._rg = s, rg
        tr.results.append(s)
        out.append(t)
    return tuple(out)


def _miss(name: str, operands: tuple, attrs):
    """Records an instruction that this path has not seen: types are inferred, errors raised."""
    from . import infer

    for x in operands:
        if x.__class__ not in _NUMBERS and not isinstance(x, Tensor):
            raise TypeError(f"{name}(): expected a Tensor or a number, but got {type(x).__name__}")
    tr = _local.h.trace
    if _over_budget(tr.node):
        flush(Flush.BUDGET)
        tr = _local.h.trace
    codes, types = [], []
    key: list = [name]
    numbers = []
    for x in operands:
        if isinstance(x, Tensor):
            code = code_of(tr, x)
            codes.append(code)
            key.append(code)
            types.append(dense_type(x))
        else:
            codes.append(None)
            key.append(x.__class__)
            types.append(infer.scalar_type(x))
            numbers.append(x)
    if attrs:
        key.append(attrs)
        key.append(tuple([v.__class__ for _, v in attrs]))
    casts = None
    if tr.node.mode is not None:
        casts = infer.autocast(name, types, tr.node.mode)
    out_types, differentiable = infer.result_types(
        name, infer.cast_types(types, casts), dict(attrs or ())
    )
    device = next((x._spec.device for x in operands if isinstance(x, Tensor)), None)
    rg = 1 if differentiable and any(c is not None and c & 1 for c in codes) else 0
    node = _child(tr, tuple(key), "op", name, (), attrs)
    node.casts = casts
    operand_codes = []
    for c in codes:
        if c is None:
            c = node.next
            node.next += 2
        operand_codes.append(c)
    node.operands = tuple(operand_codes)
    node.info = tuple([t for t, c in zip(types, codes) if c is None])
    outs = []
    for t in out_types:
        spec = infer.spec_of(t, device)
        outs.append((node.next, spec, rg if spec.dtype.kind in "fc" else 0))
        node.next += 2
        node.nbytes += spec.nbytes
    node.entries += len(outs)
    node.code, node.spec, node.rg = outs[0] if outs else (0, None, 0)
    if len(outs) != 1:
        node.outs = tuple(outs)
    node.grow()
    tr.scalars.extend(numbers)
    t = result(tr, node) if len(outs) == 1 else _results(tr, node)
    from tracec_runtime import knobs

    if knobs.sync:
        flush(Flush.SYNC)
    return t


def dense_type(x):
    """The IR type of a tensor's value."""
    return x._spec.type


# -- writes ---------------------------------------------------------------------------------------
@restarted
def assign(x, value, computed: bool = False):
    """Writes `value` (a tensor that broadcasts to x, or a number) into x in place; returns x.

    Every alias of x's storage sees the new value. `computed` says that value was computed from x;
    otherwise what made x before gets a zero gradient, as in PyTorch, and not none. Raises
    RuntimeError as PyTorch does for leaves
    that require grad, results that cannot be cast, and shapes that do not fit.
    """
    from .inplace import check, conform

    check(x, value)
    value = conform(x, value)
    tr = _local.h.trace
    try:
        v = code_of(tr, value)
        st = x._st
    except Wrapped as w:
        return w.wrapper.write(x, value, computed)
    if st.trace is not tr:
        _import(tr, st, True)
    if len(_holders) > 1:
        _end_loans(tr, st)
    base = x._base
    tracked = tr.grad and (x._rg or (base is not None and base._rg))
    untracked = x._untracked or (base is not None and base._untracked)
    spec = x._spec.canonical
    whole = spec is st.spec and (computed or not tracked or x._leaf is not None)
    # a write that autograd does not see leaves the history of a computed value as it is
    kind = ("=" if whole else "w") if tracked else "data" if untracked else "hidden"
    key = (kind, st.code, v) if whole else (kind, st.code, v, spec)
    node = tr.node.children.get(key)
    if node is None:
        from .autograd.edges import has_history

        keep = not tracked and not v & 1 and has_history(st)
        old = st.code + (1 if keep or tracked and not whole else 0)
        attrs = None if whole else spec
        node = _child(tr, key, "assign" if whole else "write", "", (old, v), attrs)
        node.info = untracked
        node.code, node.spec, node.rg = node.next, st.spec, (v if whole else old | v) & 1
        if keep:
            node.name, node.rg = "keep", 1
        node.next += 2
        node.entries += 1
        node.grow()
    tr.node = node
    _advance(tr, st, node.code)
    if untracked:
        st.version -= 1
    if tracked or v & 1:
        x._rg = 1
        if base is not None:
            base._rg = 1
    if st.foreign():
        flush(Flush.FOREIGN)
    return x


def _advance(tr: Trace, st: Storage, code: int) -> None:
    st.code = code
    st.version += 1
    st.held += 1
    tr.results.append(st)


@restarted
def assign_many(targets: list, values: list) -> None:
    """Writes each value (same dtype and shape, no gradient) into its whole target, as one edge."""
    tr = _local.h.trace
    for x in targets:
        if x._st.trace is not tr:
            _import(tr, x._st, True)
        if len(_holders) > 1:
            _end_loans(tr, x._st)
    codes = tuple([x._st.code for x in targets]), tuple([code_of(tr, v) & ~1 for v in values])
    node = tr.node.children.get(codes)
    if node is None:
        node = _child(tr, codes, "assign_many", "", codes[0] + codes[1], None)
        outs = []
        for x in targets:
            outs.append((node.next, x._st.spec, 0))
            node.next += 2
        node.outs = tuple(outs)
        node.entries += len(outs)
        node.grow()
    tr.node = node
    foreign = False
    for x, (code, _, _) in zip(targets, node.outs):
        st = x._st
        _advance(tr, st, code)
        foreign = foreign or st.foreign()
    if foreign:
        flush(Flush.FOREIGN)


# -- flushing -------------------------------------------------------------------------------------
def flush(reason: Flush) -> None:
    """Computes everything recorded by this thread whose result is still reachable."""
    h = _local.h
    tr = h.trace
    if tr.node.parent is None:
        return
    if tr.symbolic or tr.nested:
        return tr.refuse(reason)
    h.trace = Trace(_root(h.mode), tr.grad, h.thread)
    _execute(tr, reason)


def end_call() -> None:
    """Called when a module's outermost call without gradients ends: long traces are executed, so
    that they recur; short ones go on and fuse with what follows."""
    if _local.h.trace.node.depth >= CALL_LENGTH:
        flush(Flush.CALL)


def flush_foreign(tr: Trace, mine: Trace | None = None) -> None:
    """Executes another thread's trace once that thread is between two recordings, or waits itself.
    `mine` is the trace into which an instruction is being recorded; Stale if another thread
    executed it meanwhile."""
    own = _local.h
    if tr.nested:
        raise RuntimeError(
            "a tensor was used outside of the function that a transform of tracec.func ran; "
            "return it from the function instead"
        )
    if own.trace is tr:
        flush(Flush.THREAD)
        return
    own.parked = True
    try:
        h = _holders.get(tr.thread)
        if h is not None and h is not own:
            if h.trace is tr:
                h.trace = Trace(_root(h.mode), tr.grad, tr.thread)
            while tr.results is not None and not h.parked and is_recording(tr.thread):
                time.sleep(0)
        with _lock:
            if tr.node.parent is not None and tr.results is not None:
                del tr.scalars[tr.node.count_scalars() :]  # those of an unfinished instruction
                _execute(tr, Flush.THREAD)
    finally:
        own.parked = False
    if mine is not None and own.trace is not mine:
        raise Stale


def _execute(tr: Trace, reason: Flush) -> None:
    with _lock:
        if tr.results is None:
            return
        node, results = tr.node, tr.results
        counters.flushes += 1
        count("flush", reason.name.lower())
        node.hits += 1
        codes = node.path_codes or node.entry_codes()
        live = tuple(
            [
                i
                for i, s in enumerate(results)
                if getrefcount(s) > s.held + _OWN and s.code == codes[i]
            ]
        )
        plan = node.plans.get(live)
        inputs, scalars = tr.inputs, tr.scalars
        done = False
        try:
            if plan is None:
                from .plan import make_plan

                plan = node.plans[live] = make_plan(node, live, tr)
            for watch in watchers:
                watch(reason, plan)
            tr.results = None
            plan.run(tr, inputs, scalars, results, live)
            done = True
        finally:  # what could not be planned is over, too: each look at a value would raise again
            tr.results = None
            for s in inputs:
                if s.trace is tr:
                    s.trace, s.held = None, 1
            for s in results:
                if s.trace is tr:
                    s.trace, s.held = None, 1
                if not done and s not in inputs:
                    s.buf = None
            tr.views = tr.inputs = tr.leaves = tr.keep = tr.borrowed = None
            if not done:
                node.plans.pop(live, None)


def synchronize() -> None:
    """Returns when all recorded work whose result is reachable is done."""
    flush(Flush.SYNC)
