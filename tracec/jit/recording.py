"""Recording for script: a trace whose inputs are placeholders of symbolic sizes and whose regions
(branches, loop bodies) are marked, so that the whole frontend serves script as it is.

While a `Recording` is the thread's open trace, every function of tracec records into it; nothing is
ever executed, and whoever wants a value gets a `ScriptError`. Control flow stands in the trace as
marker nodes ("open", "next", "close"); `lowering.py` turns them into operations with regions.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tracec_ir import dtypes, expand
from tracec_ir.types import ScalarType, TensorType, Type

from .. import infer, record
from .. import spec as specs
from ..record import Node, Trace
from ..spec import dense
from ..storage import Storage, storage
from ..tensor import Tensor
from ..trie import Unbounded
from .errors import ScriptError, Source

# the dtype that a Python number has as a 0-d tensor of a script
WEAK = {"b1": dtypes.b1, "i64": dtypes.i64, "f64": dtypes.f64, "c128": dtypes.c128}


class Recording(Trace):
    """The open trace while a script is evaluated.

    `place` is the (source, node) being evaluated: nodes get its location, errors point at it.
    `traced` says that Python itself runs the function; `random` that it draws random numbers.
    """

    __slots__ = ("_node", "place", "traced", "random")
    symbolic = True

    def __init__(self, thread: int, traced: bool):
        self.place: tuple[Source, ast.AST] | None = None
        self.traced, self.random = traced, False
        root = Node(None, "root")
        root.depth = root.nbytes = Unbounded()  # type: ignore[assignment]
        super().__init__(root, False, thread)

    @property
    def node(self) -> Node:  # type: ignore[override]
        return self._node

    @node.setter
    def node(self, node: Node) -> None:
        self._node = node
        if self.place is not None and node.parent is not None:
            source, at = self.place
            node.loc = source.location(at)

    def refuse(self, reason: record.Flush) -> None:
        """Somebody wants a value, which does not exist yet."""
        if self.traced:
            raise ScriptError(
                "the value of a tensor is needed while the function is being traced (by an `if` or "
                "a loop on it, or .item()); a trace cannot depend on data: use tracec.jit.script"
            )
        raise ScriptError(
            "the value of a tensor is needed here while the model is being scripted; values are "
            "known only when it runs. Use tensor operations, or an `if`/`while` on the tensor "
            "itself, instead of turning it into a Python number or array in library code"
        )

    # -- nodes of script ---------------------------------------------------------------------------
    def placeholder(self, kind: str, type: Type, name: str = "") -> Tensor:
        """A tensor of this type whose value comes from outside: `kind` is "in" (a parameter of the
        function) or "carried" (of the region that is open)."""
        node = self.append(kind, name)
        tensor_type = TensorType(WEAK[type.dtype.code]) if isinstance(type, ScalarType) else type
        node.code = node.next
        node.spec = dense(tensor_type.dtype, tuple(tensor_type.shape))
        node.info = type
        node.next += 2
        if kind == "in":
            self.inputs.append(None)  # type: ignore[arg-type]
        return self.tensor(node)

    def append(self, kind: str, name: str = "", operands: tuple = (), attrs: Any = None) -> Node:
        """Appends a marker node."""
        node = Node(self.node, kind, name, operands, attrs)
        self.node = node
        return node

    def outputs(self, node: Node, tensor_types: list[TensorType]) -> list[Tensor]:
        """The results of a marker node as tensors."""
        outs, tensors = [], []
        for t in tensor_types:
            spec = dense(t.dtype, tuple(t.shape))
            outs.append((node.next, spec, 0))
            node.next += 2
        node.outs = tuple(outs)
        for code, spec, _ in outs:
            tensors.append(self._tensor(code, spec))
        return tensors

    def tensor(self, node: Node) -> Tensor:
        """A tensor that is the one result of `node`."""
        return self._tensor(node.code, node.spec)

    def _tensor(self, code: int, spec: specs.Spec) -> Tensor:
        st: Storage = storage(spec)
        st.trace, st.code = self, code
        self.results.append(st)
        t = object.__new__(Tensor)
        t._st, t._spec, t._rg = st, spec, 0
        return t

    def code(self, x: Tensor) -> int:
        """The operand code of a tensor."""
        return record.code_of(self, x)

    # -- scopes ------------------------------------------------------------------------------------
    def enter(self, name: str, operands: tuple) -> Scope:
        """Opens a region of an operation `name`."""
        scope = Scope(self)
        self.append("open", name, operands)
        return scope

    def replace(self, st: Storage, code: int) -> None:
        """Makes `code` the newest value of a storage."""
        st.code = code
        self.results.append(st)

    def imports(self) -> dict[int, int]:
        """The code under which each imported storage entered the trace, by its id."""
        nodes = [n for n in self.node.path() if n.kind == "in"]
        pairs = zip(self.inputs, nodes, strict=True)
        return {id(st): n.code for st, n in pairs if st is not None}


class Scope:
    """The state at the start of a region, to which each further region returns."""

    def __init__(self, tr: Recording):
        self.tr = tr
        known = {id(s): s for s in tr.results}
        known.update((id(s), s) for s in tr.inputs if s is not None)
        self.codes = {s: s.code for s in known.values()}
        self.views = dict(tr.views)

    def _all(self) -> dict[Storage, int]:
        """Every storage that existed or was imported, with its code at the start."""
        known = set(map(id, self.codes))
        fresh = [s for s in self.tr.inputs if s is not None and id(s) not in known]
        if not fresh:
            return self.codes
        imports = self.tr.imports()
        return {**self.codes, **{s: imports[id(s)] for s in fresh}}

    def written(self) -> dict[Storage, int]:
        """Storages with another value than at the start, and its code."""
        return {s: s.code for s, code in self._all().items() if s.code != code}

    def rewind(self) -> None:
        """Gives all storages the values that they had at the start."""
        for s, code in self._all().items():
            s.code = code
        self.tr.views = dict(self.views)


@contextmanager
def recording(traced: bool = False) -> Iterator[Recording]:
    """Opens a recording on this thread for the block; what was pending is executed first."""
    record.synchronize()
    _forget_symbols()
    holder = record._local.h
    outer = holder.trace
    tr = Recording(holder.thread, traced)
    holder.trace = tr
    try:
        yield tr
    finally:
        holder.trace = outer
        for st in tr.inputs:
            if st is not None:
                st.trace, st.held = None, 1


def _forget_symbols() -> None:
    """Drops remembered types: a symbol of an earlier recording had other relations and hints."""
    infer._memo.clear()
    expand._memo.clear()
    symbolic = [k for k in specs._interned if any(not isinstance(n, int) for n in k[1] + k[2])]
    for key in symbolic:
        del specs._interned[key]
