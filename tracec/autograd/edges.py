"""Trace edges that only autograd makes: calls of backward functions, pinned values, cut graphs."""

from __future__ import annotations

from .. import record
from ..record import (
    Flush,
    _advance,
    _child,
    _local,
    _new,
    _over_budget,
    _results,
    code_of,
    flush,
)
from ..spec import dense
from ..storage import Storage
from ..trie import restarted


@restarted
def call_segment(call, operands: tuple, rg: int | tuple[int, ...]) -> tuple:
    """Records the function `call` (of the backward pass through an executed trace, or a transformed
    one) on tensors and numbers; returns its results, which are differentiable as `rg` says."""
    from .. import infer

    tr = _local.h.trace
    if _over_budget(tr.node):
        flush(Flush.BUDGET)
        tr = _local.h.trace
    key: list = ["segment", call, rg]
    codes: list = []
    for x in operands:
        if isinstance(x, record.Tensor):
            codes.append(code_of(tr, x))
            key.append(codes[-1])
        else:
            codes.append(None)
            key.append(x.__class__)
    key_tuple = tuple(key)
    node = tr.node.children.get(key_tuple)
    if node is None:
        node = _child(tr, key_tuple, "segment", "backward", (), call)
        node.info = tuple([infer.scalar_type(x) for x, c in zip(operands, codes) if c is None])
        for i, c in enumerate(codes):
            if c is None:
                codes[i] = node.next
                node.next += 2
        node.operands = tuple(codes)
        device = next((x._spec.device for x in operands if isinstance(x, record.Tensor)), None)
        outs = []
        bits = rg if rg.__class__ is tuple else (rg,) * len(call.types)
        for t, bit in zip(call.types, bits):
            spec = infer.spec_of(t, device)
            outs.append((node.next, spec, bit))
            node.next += 2
            node.nbytes += spec.nbytes
        node.entries += len(outs)
        node.outs = tuple(outs)
        if outs:
            node.code, node.spec, node.rg = outs[0]
        node.grow()
    tr.scalars.extend([x for x in operands if not isinstance(x, record.Tensor)])
    if not node.outs:
        tr.node = node
        return ()
    return _results(tr, node)


def has_history(st: Storage) -> bool:
    """Whether the pending value of a storage has a gradient history."""
    tr = st.trace
    if tr is None:
        return False
    for node in reversed(tr.node.path()):
        for code, _, rg in node.outs or ((node.code, node.spec, node.rg),):
            if code == st.code and node.kind != "root":
                return bool(rg)
    return False


@restarted
def alias(x):
    """A tensor with x's present value and graph position, which later writes to x do not change."""
    if x._leaf is not None:
        return x
    tr = _local.h.trace
    t, s = _new(record.Tensor), _new(Storage)
    st = x._st
    if st.trace is not tr and x._spec is st.spec and not tr.nested:
        s.trace, s.code, s.spec, s.buf, s.source = None, 0, st.spec, st.buf, st.source
        s.held, s.version = 1, st.version
    else:
        code = code_of(tr, x)
        key = ("pin", code)
        node = tr.node.children.get(key)
        if node is None:
            node = _child(tr, key, "pin", "", (code,), None)
            node.code, node.rg = node.next, code & 1
            node.spec = dense(x._spec.dtype, tuple(x._spec.shape), x._spec.device)
            node.next += 2
            node.entries += 1
            node.grow()
        tr.node = node
        s.trace, s.code, s.spec, s.buf, s.source = tr, node.code, node.spec, None, None
        s.held, s.version = 1, 0
        tr.results.append(s)
    t._st, t._spec, t._rg = s, s.spec, x._rg
    return t


@restarted
def reseat(x, source) -> None:
    """Makes x's value a gradient source of its own: gradients that reach it go to `source`."""
    tr = _local.h.trace
    st = x._st
    x._rg = 1
    if st.trace is not tr and x._spec is st.spec:
        st.source = source
        return
    was, tr.grad = tr.grad, False
    try:
        code = code_of(tr, x)
    finally:
        tr.grad = was
    key = ("cut", code)
    node = tr.node.children.get(key)
    if node is None:
        node = _child(tr, key, "cut", "", (code,), None)
        node.code = node.next
        node.spec = dense(x._spec.dtype, tuple(x._spec.shape), x._spec.device)
        node.next += 2
        node.entries += 1
        node.grow()
    tr.node = node
    if x._spec is st.spec:
        _advance(tr, st, node.code)
        st.version -= 1
    else:
        s = _new(Storage)
        s.trace, s.code, s.spec, s.buf, s.held, s.version = tr, node.code, node.spec, None, 1, 0
        tr.results.append(s)
        x._st, x._spec, x._base = s, node.spec, None
        st = s
    st.source = source
