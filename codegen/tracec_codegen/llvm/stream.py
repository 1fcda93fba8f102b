"""Stores past the caches: when what a kernel reads and writes is too large for the last cache.

The loop is emitted twice; which one runs is decided by the size of what the whole kernel touches
and by the alignment of the addresses.
"""

from __future__ import annotations

from tracec_ir.dims import Dim, Poly, product, symbols
from tracec_ir.dtypes import i64

from ..kernel.core import Load, Loop, Store
from .analysis import body_weight
from .index import IndexEmitter
from .memory import streams
from .state import Lanes, State
from .text import Value, constant

STREAM_BYTES = 48 << 20  # kernels that touch this much memory write past the caches
_HEAVIEST = 12  # bodies with more instructions are not limited by memory


class StreamEmitter:
    """Decides about streaming for the lane loops of one kernel."""

    def __init__(self, state: State, index: IndexEmitter) -> None:
        self.s, self.index = state, index
        self.open: list[Loop] = []
        self._arguments = {b.name for b in state.kernel.bufs}
        self.used = False  # whether a streaming version of a loop was emitted

    def condition(self, loop: Loop, low: Value, lanes: int) -> Value | None:
        """Whether to stream this loop's stores (an i1); None: never."""
        s, f = self.s, self.s.f
        stores = [x for x in loop.body if isinstance(x, Store) and self._fits(x, loop, lanes)]
        if not stores or not self.may_stream(loop):
            return None
        total = self._touched()
        large = (constant("i1", 1) if isinstance(total, int)
                 else f.icmp("sge", self.index.uniform(total), STREAM_BYTES))
        s.lanes = Lanes(loop.var, lanes, low, 0, None, s.depth)
        s.define(loop.var, low, i64, natural=True)
        try:
            for x in stores:
                address = f.cast("ptrtoint", self.index.access(x.buf, x.index).address, "i64")
                rest = f.and_(address, lanes * s.buffers[x.buf][1].itemsize - 1)
                large = f.and_(large, f.icmp("eq", rest, 0))
        finally:
            s.lanes = None
        return large

    def may_stream(self, loop: Loop) -> bool:
        """Whether a lane loop's stores can be worth streaming, as far as is known now."""
        if self.s.target.arch != "x86_64" or body_weight(loop.body) > _HEAVIEST or loop.carries:
            return False
        total = self._touched()
        return not isinstance(total, int) or total >= STREAM_BYTES

    def _fits(self, store: Store, loop: Loop, lanes: int) -> bool:
        if store.mask or store.combine:
            return False
        known = all(x.name == loop.var or self.s.find(x.name) for x in symbols(store.index))
        return known and streams(self.s.buffers[store.buf][1], lanes) and steps_by_one(
            store.index, loop.var)

    def _touched(self) -> Dim:
        """Bytes that the kernel reads and writes over all loops around and beside this one, as far
        as the extents of those loops are known here."""
        sizes: dict[str, Dim] = {}

        def visit(body: list, around: list[Loop]) -> None:
            for x in body:
                if isinstance(x, Loop):
                    visit(x.body, [*around, x])
                elif isinstance(x, (Load, Store)) and x.buf in self._arguments:
                    names = {v.name for v in symbols(x.index)}
                    size = product(loop.extent for loop in around if loop.var in names)
                    if all(self.s.find(v.name) for v in symbols(size)):
                        sizes.setdefault(x.buf, size * self.s.buffers[x.buf][1].itemsize)

        visit([self.open[0]], [])
        return sum(sizes.values(), start=0)

    def fence(self) -> None:
        """At the kernel's end: make streamed stores visible in order with what follows.

        Once a kernel, since each fence waits until the stores before it have reached memory.
        """
        if self.used:
            self.s.f.call("llvm.x86.sse.sfence", "void")


def steps_by_one(index: Dim, var: str) -> bool:
    """Whether an index is a loop variable plus something that does not depend on it."""
    if not isinstance(index, Poly):
        return False
    containing = [(mono, c) for mono, c in index.terms.items()
                  if any(x.name == var for x in symbols(Poly({mono: 1})))]
    return len(containing) == 1 and len(containing[0][0]) == 1 and containing[0][1] == 1 and (
        getattr(containing[0][0][0], "name", None) == var)
