"""The trie of traces: its nodes, the reasons to execute a path of it, and how threads share it."""

from __future__ import annotations

from enum import Enum
from functools import wraps
from sys import _current_frames, _getframe

_RECORDING = ("tracec.record", "tracec.autograd.edges", "tracec.autograd.engine")


def is_recording(thread: int) -> bool:
    """Whether a thread is inside a function that changes its trace."""
    frame = _current_frames().get(thread)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_RECORDING):
            return True
        frame = frame.f_back
    return False


class Stale(Exception):
    """Another thread executed the open trace while this one waited: the instruction starts anew."""


class Wrapped(NotImplementedError):
    """Something that is no tensor of its own but holds tensors, `wrapper`, came where the storage
    of a tensor is read. The recorder catches this and lets the wrapper lift the operation; what is
    not recorded as an operation says so with the name of the function."""

    def __init__(self, wrapper):
        frame, name = _getframe(2), ""
        while frame is not None and frame.f_globals.get("__name__", "").startswith("tracec."):
            inner = frame.f_code.co_name  # `form`, `method`: what decorators put around functions
            name, frame = name if inner in ("form", "method") else inner, frame.f_back
        super().__init__(f"{name}() of a {type(wrapper).__name__}")
        self.wrapper = wrapper


def restarted(fn):
    """Decorator: what records one instruction starts anew when it is stale."""

    @wraps(fn)
    def record(*args, **kwargs):
        while True:
            try:
                return fn(*args, **kwargs)
            except Stale:
                continue

    return record


class Flush(Enum):
    """Why a trace was executed."""

    VALUE = "a value was needed"
    STEP = "an optimizer step ended"
    CALL = "a module's outermost call ended without gradients"
    BUDGET = "the trace reached its op or memory budget"
    SYNC = "synchronisation was asked for"
    THREAD = "another thread needed a value"
    FOREIGN = "memory shared with NumPy or DLPack was written"
    CONTEXT = "a setting that traces depend on changed"
    DATA = "a result's size depends on data"


class Unbounded:
    """Stands for depth and bytes of what is never executed as it is: over no budget."""

    def __add__(self, other: object) -> Unbounded:
        return self

    def __ge__(self, other: object) -> bool:
        return False


class Node:
    """A trie node: one instruction and what is known about it.

    `kind` is "root", "in", "op", "view", "laid", "assign", "assign_many", "write", "pin", "cut",
    "fn", "backward", "segment" or "mode"; an "assign" or "write" named "keep" changes values and
    leaves the gradient history as it was;
    `code`, `spec`, `rg` describe the first result, `outs` all of several; `entries` is how many
    results the trace holds after this node, `next` the next free code. `mode` is the autocast dtype
    under which the instructions below are recorded, `casts` the dtypes that operands are cast to.
    """

    __slots__ = (
        "children", "parent", "kind", "name", "operands", "attrs", "code", "spec", "rg", "outs",
        "next", "entries", "plans", "info", "loc", "depth", "nbytes", "path_codes", "hits", "key",
        "mode", "casts",
    )  # fmt: skip

    def __init__(
        self, parent: Node | None, kind: str, name: str = "", operands: tuple = (), attrs=None
    ):
        self.parent, self.kind, self.name, self.operands, self.attrs = (
            parent,
            kind,
            name,
            operands,
            attrs,
        )
        self.children: dict = {}
        self.code, self.spec, self.rg, self.outs = 0, None, 0, ()
        self.plans: dict = {}
        self.info = self.path_codes = None
        self.loc, self.hits = "", 0
        self.mode = self.casts = None
        if parent is None:
            self.next, self.entries, self.depth, self.nbytes = 0, 0, 0, 0
        else:
            self.next, self.entries = parent.next, parent.entries
            self.depth, self.nbytes = parent.depth + 1, parent.nbytes
            self.mode = parent.mode

    def grow(self) -> None:
        """Puts the complete node into the trie, where other threads find it."""
        self.parent.children[self.key] = self

    def path(self) -> list[Node]:
        """The instructions from the root to here."""
        out = []
        node: Node | None = self
        while node.parent is not None:
            out.append(node)
            node = node.parent
        out.reverse()
        return out

    def entry_codes(self) -> tuple[int, ...]:
        """The code of every entry of `Trace.results` when the trace stands at this node."""
        if self.path_codes is None:
            codes: list[int] = []
            for n in self.path():
                if n.kind == "assign_many":
                    codes.extend(c for c, _, _ in n.outs)
                elif n.entries > n.parent.entries:
                    codes.extend(c for c, _, _ in n.outs) if n.outs else codes.append(n.code)
            self.path_codes = tuple(codes)
        return self.path_codes

    def count_scalars(self) -> int:
        """How many Python numbers the instructions up to here have."""
        kinds = ("op", "segment", "fn")
        return sum(len(n.info) for n in self.path() if n.kind in kinds and n.info)
