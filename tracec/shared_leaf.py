"""Leaves on memory that already belongs to another node of the graph, and views of them.

Such a leaf (`y.detach().requires_grad_()`, or a view of a tensor that requires no gradient) reads
its memory anew after every write, but is a gradient source of its own: its values get their own
slot. A view of it reads the memory with the leaf's slot laid over it, so that gradients reach the
leaf from the elements that are the leaf's, and from no others.
"""

from __future__ import annotations

from .record import Trace, _child
from .spec import dense
from .storage import Storage


def read(tr: Trace, x, at: int, rg: int) -> int:
    """The operand code of leaf x, whose storage has the code `at`."""
    spec = x._spec.canonical
    key = ("leaf", at, spec, x._leaf)
    code = tr.views.get(key)
    if code is None:
        edge = ("leaf", at, spec)
        node = tr.node.children.get(edge)
        if node is None:
            node = _child(tr, edge, "view", "", (at,), spec)
            whole = dense(spec.dtype, tuple(spec.shape), spec.device)
            node.code, node.spec, node.rg = node.next, whole, 0
            node.next += 2
            node.grow()
        tr.node = node
        code = tr.views[key] = node.code
        tr.leaves[code] = x._leaf
    return code + rg


def below(tr: Trace, leaf, st: Storage, at: int, rg: int) -> int:
    """The code of the whole memory under `leaf` as views of the leaf see it."""
    code = read(tr, leaf, at, rg)
    spec = leaf._spec.canonical
    if spec is st.spec:
        return code
    key = ("laid", at, code, spec)
    laid = tr.views.get(key)
    if laid is None:
        node = tr.node.children.get(key)
        if node is None:
            node = _child(tr, key, "laid", "", (at, code), spec)
            node.code, node.spec, node.rg = node.next, st.spec, rg
            node.next += 2
            node.grow()
        tr.node = node
        laid = tr.views[key] = node.code
    return laid + rg
