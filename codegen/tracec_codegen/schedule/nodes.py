"""Nodes: the values that a step computes as a whole, and what each one reads.

A value of a pointwise or movement op needs no node: its elements are computed where they are read.
A node is a reduction, an op that no loop nest can absorb, a result of the function, or a value that
is too expensive to compute once per reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tracec_ir import dims, dtypes
from tracec_ir.core import Func, Op, Value
from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType
from tracec_ir.types import ScalarType, TensorType

from . import cost
from .body import Body
from .expressions import inlinable
from .indexing import Index
from .running import running_sums

_CHAIN = 48  # ops that are computed in one expression at most
_MOST_AGAIN = 48.0  # operations of one element that are done again rather than kept
_VIEWS = 16  # places that are told apart
_MOVES = ("slice", "pad", "permute", "concat", "strided")
OWN_LOOPS = ("scan", "scatter", "write", "concat")  # ops whose loops are lowered by themselves
_FEW_PARTS = 4  # parts of a concatenation up to which readers choose among them
_SELECTS = 32_768  # choices up to which they do so anyhow
SMALL_DOT = 4096  # multiplications up to which a dot is an ordinary reduction


@dataclass(eq=False, slots=True)
class Node:
    """`kind`: "map" (elements of one value), "reduce", "arg" or "dot" (loops over `shape`, of which
    `axes` are reduced), "own" (an op with a nest of its own) or "opaque" (no loop nest at all).
    `space` is `shape` without sizes of 1."""

    kind: str
    op: Op | None
    values: tuple[Value, ...]
    shape: tuple[Dim, ...]
    axes: tuple[int, ...] = ()
    reason: str = ""
    order: int = 0
    reads: list[tuple[Value, Index]] = field(default_factory=list)
    cost: float = 1.0  # of one element, in additions

    @property
    def space(self) -> tuple[Dim, ...]:
        return tuple(s for s in self.shape if s != 1)

    @property
    def reduced(self) -> tuple[int, ...]:
        """The reduced axes as positions in `space`."""
        at = {axis: i for i, axis in enumerate(k for k, s in enumerate(self.shape) if s != 1)}
        return tuple(at[a] for a in self.axes if a in at)

    @property
    def kept(self) -> tuple[Dim, ...]:
        """The space of its result."""
        gone = set(self.reduced)
        return tuple(s for i, s in enumerate(self.space) if i not in gone)


def full_index(shape: tuple[Dim, ...], symbols: list[Dim]) -> Index:
    """The index with `symbols` for the dimensions other than 1, in order."""
    rest = iter(symbols)
    return tuple(0 if s == 1 else next(rest) for s in shape)


def numel(v: Value) -> Dim:
    """How many elements a tensor value has."""
    return dims.product(v.shape)


def unreshaped(v: Value) -> Value:
    """The value with the same elements in the same order that no reshape made."""
    while v.op is not None and v.op.name == "reshape":
        v = v.op.operands[0]
    return v


def element(body: Body, node: Node, index: Index) -> str:
    """The scalar that a node stores or reduces, at an index over its shape."""
    if node.kind == "map":
        return body.value(unreshaped(node.values[0]), index)
    assert node.op is not None
    if node.kind == "dot":
        a, b = node.op.operands
        batch, (m, n, k) = index[:-3], index[-3:]
        args = (body.value(a, (*batch, m, k)), body.value(b, (*batch, k, n)))
        return product(body, args, a.dtype)
    return body.value(node.op.operands[0], index)


def product(body: Body, args: tuple[str, str], dtype: DType) -> str:
    """The product of two scalars in the type that contractions accumulate in."""
    wide = accumulator_type(dtype)
    if wide is not dtype:
        args = (body.scalar("cast", args[:1], wide), body.scalar("cast", args[1:], wide))
    return body.scalar("bitwise_and" if dtype.kind == "b" else "mul", args, wide)


def accumulator_type(dtype: DType) -> DType:
    """The type in which values of `dtype` are added up."""
    return dtypes.f32 if dtype.code in ("f16", "bf16") else dtype


def is_plain(v: Value) -> bool:
    """Whether kernels can hold values of this type (complex numbers have none yet)."""
    return v.dtype.kind != "c"


def _heavy(op: Op) -> str:
    """The kind of node that an op needs by itself, "" if it can be computed inside its readers."""
    if not all(is_plain(v) for v in (*op.operands, *op.results)):
        return "opaque"
    if op.name in ("reduce", "argreduce", "dot") and inlinable(op):
        return ""
    if op.name == "reduce":
        return "reduce"
    if op.name == "argreduce":
        return "arg"
    if op.name == "dot":
        return "dot" if generic_dot(op) else "opaque"
    if op.name in OWN_LOOPS and own_loops(op):
        return "own"
    return "" if inlinable(op) else "opaque"


def own_loops(op: Op) -> bool:
    """Whether an op with loops of its own has a kernel (16-bit floats accumulate in f32, which a
    scatter in place cannot) and needs it: the parts of a long concatenation are stored one by one,
    those of a short one chosen for each element where it is read."""
    if op.name == "concat":
        parts = len(op.operands)
        return parts > _FEW_PARTS and parts * cost.known(numel(op.result)) > _SELECTS
    half = op.result.dtype.code in ("f16", "bf16")
    return not (op.name == "scatter" and half and op.attrs["kind"] != "set")


def terms(op: Op) -> int:
    """How often an inlined op computes each operand: once, but for a written-out reduction."""
    if op.name != "reduce":
        return 1
    return cost.known(dims.product(op.operands[0].shape[a] for a in op.attrs["axes"]))


def generic_dot(op: Op) -> bool:
    """Whether a dot is lowered as a reduction: it is tiny or not of a type the library has."""
    a, b = op.operands
    work = dims.product(a.shape) * b.shape[-1]
    return a.dtype.code not in ("f32", "f64") or (isinstance(work, int) and work <= SMALL_DOT)


class Nodes:
    """All nodes of a function in order, `of` finds the one that computes a value."""

    def __init__(self, func: Func, stored_reads: Callable[[Op], list[Value]]):
        self.func = func
        self.all: list[Node] = []
        self.of: dict[Value, Node] = {}
        self.notes: list[str] = []
        self.sums: dict[Op, tuple[Value, Op]] = {}  # additions of a product to a sum of products
        self._choose(stored_reads)
        for order, node in enumerate(self.all):
            node.order = order
            if node.kind == "own":
                self._probe_operands(node)
            elif node.kind != "opaque":
                self._probe(node)
            else:
                assert node.op is not None
                total = self.sums.get(node.op)
                stored = stored_reads(total[1] if total else node.op)
                node.reads = [(v, ()) for v in (*(total[:1] if total else ()), *stored)]

    # -- which values get a node --------------------------------------------------------------
    def _choose(self, stored_reads: Callable[[Op], list[Value]]) -> None:
        must: dict[Value, str] = {}
        for v in self.func.results:
            if isinstance(v.type, TensorType):
                must[v] = "it is a result"
        heavy: dict[Op, str] = {}
        for op in self.func.ops:
            kind = _heavy(op)
            heavy[op] = kind
            if kind == "opaque":
                for v in stored_reads(op):
                    must.setdefault(v, f"{op.name} reads it whole")
            elif op.name == "strided" and not self._is_held(op.operands[0], heavy):
                must.setdefault(op.operands[0], "it is read through a strided view")
        products = {op for op, kind in heavy.items() if op.name == "dot" and kind == "opaque"
                    and op.operands[0].dtype.code in ("f32", "f64")}  # fmt: skip
        self.sums = running_sums(self.func, products)
        added = {dot for _, dot in self.sums.values()}
        heavy.update(dict.fromkeys(self.sums, "opaque"))
        readers = self._readers(must, heavy)
        price: dict[Value, float] = {}
        depth: dict[Value, int] = {}
        for op in self.func.ops:
            kind = heavy[op]
            if kind:
                if op not in added:
                    self._add_heavy(op, kind)
                continue
            own = cost.op_cost(op.name)
            n = terms(op)
            chain = n * (own + sum(price.get(x, 0.0) for x in op.operands))
            length = 1 + max((depth.get(x, 0) for x in op.operands), default=0)
            v = op.result
            direct, nodes = readers[v]
            reason = must.get(v, "")
            if not reason and chain >= cost.EXPENSIVE and direct >= 2 and nodes >= 2:
                reason = f"{nodes} kernels or loops read it and it costs {chain:.0f} operations"
            if not reason and chain >= cost.EXPENSIVE and self._repeated(v):
                reason = f"it is read repeatedly and costs {chain:.0f} operations"
            if not reason and direct >= 2 and chain * (self._views[v] - 1) >= _MOST_AGAIN:
                reason = f"it is read at {self._views[v]} places and costs {chain:.0f} operations"
            if not reason and length >= _CHAIN:
                reason = "the expression is long"
            if reason and not (op.name in ("const", "iota") and v not in must):
                self._add(Node("map", op, (v,), tuple(unreshaped(v).shape), reason=reason))
                chain, length = 0.0, 0
            price[v], depth[v] = chain, length
        for v in dict.fromkeys(self.func.results):
            if v.op is None and isinstance(v.type, TensorType):
                self._add(Node("map", None, (v,), tuple(v.shape), reason="a copy of an input"))

    def _is_held(self, v: Value, heavy: dict[Op, str]) -> bool:
        return v.op is None or bool(heavy.get(v.op))

    def _add_heavy(self, op: Op, kind: str) -> None:
        if kind in ("reduce", "arg"):
            shape = tuple(op.operands[0].shape)
            axes = op.attrs["axes"] if kind == "reduce" else (op.attrs["axis"],)
            self._add(Node(kind, op, op.results, shape, tuple(a % len(shape) for a in axes)))
        elif kind == "dot":
            a, b = op.operands
            shape = (*a.shape[:-1], b.shape[-1], a.shape[-1])
            self._add(Node(kind, op, op.results, shape, (len(shape) - 1,)))
        else:
            self._add(Node(kind, op, op.results, ()))

    def _add(self, node: Node) -> None:
        self.all.append(node)
        for v in node.values:
            if v.op is not None:
                self.of[v] = node

    def _readers(self, must: dict, heavy: dict[Op, str]) -> dict[Value, tuple[int, int]]:
        """Per value: how many ops use it, and how many nodes read it through inlined ops; notes
        at how many places of it one element of a node is computed from, as far as moves tell."""
        uses: dict[Value, int] = {}
        masks: dict[Value, int] = {}
        bit = 0
        for v in self.func.results:
            uses[v] = uses.get(v, 0) + 1
        places: dict[Value, frozenset[int]] = {}
        most: dict[Value, int] = {}  # places at which one of the users needs it
        known: dict[tuple[int, int], int] = {}  # (move, place behind it) -> place
        for op in reversed(self.func.ops):
            whole = bool(heavy[op]) or op.result in must
            reach = 0
            if whole:
                reach = 1 << bit
                bit += 1
                read = frozenset((known.setdefault((id(op), -1), len(known)),))
            else:
                reach = masks.get(op.result, 0)
                read = places.get(op.result, frozenset())
            if op.name in _MOVES:
                read = frozenset(known.setdefault((id(op), p), len(known)) for p in read)
            for x in op.operands:
                uses[x] = uses.get(x, 0) + 1
                masks[x] = masks.get(x, 0) | reach
                most[x] = max(most.get(x, 0), len(read))
                before = places.get(x, frozenset())
                if len(before) < _VIEWS:
                    places[x] = before | read
        # what one user needs at all of these places is left to that user
        self._views = {
            op.result: len(seen) if len(seen) > most.get(op.result, 0) else 1
            for op in self.func.ops
            if not heavy[op]
            for seen in (places.get(op.result, frozenset()),)
        }
        return {
            op.result: (uses.get(op.result, 0), bin(masks.get(op.result, 0)).count("1"))
            for op in self.func.ops
            if not heavy[op]
        }

    def _repeated(self, v: Value) -> bool:
        """Whether some reader computes each element of v many times."""
        if self._users is None:
            self._users = {}
            for op in self.func.ops:
                for x in op.operands:
                    self._users.setdefault(x, []).append(op)
        count = cost.known(dims.product(v.shape))
        for op in self._users.get(v, ()):
            if op.name == "broadcast" and cost.known(dims.product(op.result.shape)) >= 4 * count:
                return True
            if op.name == "dot" or op.name == "gather" and op.operands[0] is v:
                return True
        return False

    _users: dict[Value, list[Op]] | None = None
    _views: dict[Value, int]

    # -- what a node reads --------------------------------------------------------------------
    def _probe(self, node: Node) -> None:
        """Fills in `reads` (stored values and the index each is read at) and `cost`."""
        own = node.values[0] if node.kind == "map" else None
        reads: dict[tuple[Value, Index], None] = {}

        def source(v: Value) -> str | None:
            if v is own and v.op is not None:
                return None
            return "held" if v.op is None or v in self.of else None

        body = _Probe(source, lambda *site: 0, reads)
        symbols = [body.open(s, f"_d{i}") for i, s in enumerate(node.space)]
        element(body, node, full_index(node.shape, symbols))
        node.reads = list(reads)
        node.cost = body.total + 1.0

    def _probe_operands(self, node: Node) -> None:
        """Fills in `reads` of a node whose loops compute elements of its operands anyhow."""
        assert node.op is not None
        reads: dict[tuple[Value, Index], None] = {}
        for x in node.op.operands:
            body = _Probe(self._held, lambda *site: 0, reads)
            symbols = [body.open(s) for s in x.shape if s != 1]
            body.value(x, full_index(tuple(x.shape), symbols))
            node.cost += body.total
        node.reads = list(reads)

    def _held(self, v: Value) -> str | None:
        return "held" if v.op is None or v in self.of else None


class _Probe(Body):
    """A body that is thrown away: notes which stored values are read, and counts the work."""

    def __init__(self, source: Callable, check: Callable, reads: dict):
        super().__init__(source, check)
        self.reads, self.total = reads, 0.0

    def scalar(
        self, op: str, args: tuple[str, ...], dtype: DType, attrs: dict | None = None
    ) -> str:
        before = self._count
        name = super().scalar(op, args, dtype, attrs)
        if self._count != before:
            self.total += cost.op_cost(op)
        return name

    def _compute(self, v: Value, index: Index, mask: str) -> str:
        if self.source(v) is not None:
            self.reads[(v, () if isinstance(v.type, ScalarType) else index)] = None
            self.total += 0.5
        return super()._compute(v, index, mask)
