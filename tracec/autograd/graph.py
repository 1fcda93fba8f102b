"""Where gradients go: leaves, executed traces (segments), user functions, hooked values.

Inside an open trace the trie path is the graph. These objects stand at its borders.
"""

from __future__ import annotations

import itertools
import weakref
from typing import NoReturn

serials = itertools.count(1)


class Leaf:
    """Gradients are added to `tensor().grad`."""

    __slots__ = ("tensor",)

    def __init__(self, tensor):
        self.tensor = weakref.ref(tensor)


class Output:
    """Result number `index` of a `Segment` or user-function node."""

    __slots__ = ("node", "index")

    def __init__(self, node, index: int):
        self.node, self.index = node, index


class Segment:
    """An executed trace whose results may still be differentiated.

    `program` (shared by all runs of the plan) makes the backward functions; `saved` are tensors it
    needs, with the version their storage had for those that alias a trace input; `sources` are
    where the gradients of the trace's inputs go; `time` orders it among others. `freed` are the
    results whose graph was used up: what else leads through the same operations is, too.
    """

    __slots__ = (
        "program",
        "saved",
        "versions",
        "inputs",
        "input_versions",
        "sources",
        "time",
        "freed",
        "keep",
    )

    def __init__(self, program, saved, versions, inputs, input_versions, sources):
        self.program, self.saved, self.versions = program, saved, versions
        self.inputs, self.input_versions, self.sources = inputs, input_versions, sources
        self.time = next(serials)
        self.freed: frozenset[int] = frozenset()
        self.keep = None

    def free(self, outs: tuple[int, ...]) -> None:
        """The graphs of these results are used up."""
        if self.program.saves:
            self.freed = self.freed.union(outs)
            if self.program.all_used(self.freed):
                self.saved = self.inputs = ()


class Freed:
    """The place of a segment that cannot be differentiated: its graph had been used up, or a value
    that it needs overwritten, before it was executed, or there is no derivative. `refuse` says
    which."""

    __slots__ = ("time", "error")

    def __init__(self, error: RuntimeError):
        self.time = next(serials)
        self.error = error

    def refuse(self) -> NoReturn:
        raise type(self.error)(*self.error.args)


TWICE = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


def modified_message(spec, version: int, expected: int) -> str:
    kind = {"f32": "Float", "f64": "Double", "f16": "Half", "bf16": "BFloat16"}.get(
        spec.dtype.code, ""
    )
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: [torch.{kind}Tensor {list(spec.shape)}] is at version {version}; expected "
        f"version {expected} instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
    )
