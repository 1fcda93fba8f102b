"""Hooks and retained gradients of non-leaf tensors: places where a trace's graph is cut.

The value gets a slot of its own that gradients stop at; the engine calls the hooks there and goes
on with what they return.
"""

from __future__ import annotations

import itertools

from .. import record
from .graph import Output, serials

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
        self.target = None  # the user's tensor whose .grad is kept, if asked for
        self.time = next(serials)

    def run(self, grads: dict, keep: bool) -> list:
        g = grads[0]
        for hook in tuple(self.hooks.values()):
            out = hook(g)
            if out is not None:
                g = out
        tensor = self.target() if self.target is not None else None
        if tensor is not None:
            have = tensor._grad
            tensor._grad = g if have is None else have + g
        return [(self.before, g)]


def _cut(tensor) -> Cut:
    """The cut behind a non-leaf tensor, made if there is none."""
    source = tensor.__dict__.get("_cut_node")
    if source is not None:
        return source
    before = record.alias(tensor)
    node = Cut(before)
    record.reseat(tensor, Output(node, 0))
    tensor.__dict__["_cut_node"] = node
    return node


def add_hook(tensor, hook) -> RemovableHandle:
    if tensor._leaf is not None:
        if tensor._hooks is None:
            tensor._hooks = {}
        return RemovableHandle(tensor._hooks, hook)
    return RemovableHandle(_cut(tensor).hooks, hook)


def retain(tensor) -> None:
    import weakref

    _cut(tensor).target = weakref.ref(tensor)
    tensor._retain = True
