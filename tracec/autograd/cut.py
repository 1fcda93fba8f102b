"""Hooks and retained gradients of non-leaf tensors.

A hook may replace the gradient, so the graph is cut at its tensor: the value gets a slot of its own
that gradients stop at; the engine calls the hooks there and goes on with what they return. Retained
gradients, and hooks registered after the value was used, only look: the engine asks for the
gradient that passes the value.
"""

from __future__ import annotations

import itertools
import weakref

from .. import record
from . import edges
from .graph import Freed, Output, serials

_ids = itertools.count()


class RemovableHandle:
    """Removes a hook: `handle.remove()`."""

    def __init__(self, hooks: dict, hook):
        self.hooks, self.id = hooks, next(_ids)
        hooks[self.id] = hook

    def remove(self) -> None:
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc) -> None:
        self.remove()


class Cut:
    """A graph node that passes a gradient through a tensor's hooks."""

    def __init__(self, before):
        self.before = before  # the tensor as it was, connected to what made it
        self.hooks: dict = {}
        self.time = next(serials)

    def run(self, grads: dict, keep: bool) -> list:
        g = grads[0]
        for hook in tuple(self.hooks.values()):
            out = hook(g)
            if out is not None:
                g = out
        return [(self.before, g)]


def add_hook(tensor, hook) -> RemovableHandle:
    if tensor._leaf is not None:
        if tensor._hooks is None:
            tensor._hooks = {}
        return RemovableHandle(tensor._hooks, hook)
    if tensor._hooks is not None:  # of the cut, or of the watch
        return RemovableHandle(tensor._hooks, hook)
    source = tensor._st.source
    if source.__class__ is Output and source.node.__class__ is Freed:
        source.node.refuse()
    if _used(tensor):
        hooks = tensor._hooks = {}
        _watch(tensor)
        keep_alive(tensor)
        return RemovableHandle(hooks, hook)
    node = Cut(edges.alias(tensor))
    edges.reseat(tensor, Output(node, 0))
    tensor._hooks = node.hooks
    return RemovableHandle(node.hooks, hook)


def _used(tensor) -> bool:
    """Whether something was computed from the tensor's value that gradients come back from."""
    st = tensor._st
    tr = record.current()
    if st.trace is not tr:
        source = st.source
        program = getattr(source.node, "program", None) if source.__class__ is Output else None
        return program is not None and program.uses(source.index)
    code = st.code | 1
    return any(code in n.operands for n in tr.node.path() if n.kind != "pin")


def _watch(tensor) -> None:
    if "_watch" not in tensor.__dict__:
        me = weakref.ref(tensor)
        tensor.__dict__["_watch"] = lambda g: _look(me(), g)
        record._local.h.watched.append(me)


def _look(tensor, g) -> None:
    for hook in tuple((tensor._hooks or {}).values()) if not _is_cut(tensor) else ():
        if hook(g) is not None:
            raise NotImplementedError(
                "a hook that was registered after its tensor had been used returned a gradient; "
                "register "
                "it before the first use to replace gradients"
            )
    if tensor._retain:
        have = tensor._grad
        tensor._grad = g if have is None else have + g


def _is_cut(tensor) -> bool:
    source = tensor._st.source
    return source.__class__ is Output and source.node.__class__ is Cut


def keep_alive(tensor) -> None:
    """The tensor lives as long as the graph that it is part of."""
    st = tensor._st
    tr = record.current()
    if st.trace is tr:
        if tr.keep is None:
            tr.keep = []
        tr.keep.append(tensor)
    elif st.source.__class__ is Output and hasattr(st.source.node, "keep"):
        node = st.source.node
        node.keep = [*(node.keep or ()), tensor]


def retain(tensor) -> None:
    tensor._retain = True
    _watch(tensor)
