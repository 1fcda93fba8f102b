"""Stores past the caches: when a lane loop's results are too large to stay in the last cache.

The loop is emitted twice; which one runs is decided by the size of what the whole kernel writes
and by the alignment of the addresses.
"""

from __future__ import annotations

from tracec_ir.dims import Dim, Poly, symbols
from tracec_ir.dtypes import i64

from ..kernel.core import Loop, Store
from .analysis import body_weight
from .index import IndexEmitter
from .memory import streams
from .state import Lanes, State
from .text import Value, constant

STREAM_BYTES = 16 << 20  # results from this size on are written past the caches
_HEAVIEST = 12  # bodies with more instructions are not limited by memory


class StreamEmitter:
    """Decides about streaming for the lane loops of one kernel."""

    def __init__(self, state: State, index: IndexEmitter) -> None:
        self.s, self.index = state, index
        self.open: list[Loop] = []

    def condition(self, loop: Loop, low: Value, lanes: int) -> Value | None:
        """Whether to stream this loop's stores (an i1); None: never."""
        s, f = self.s, self.s.f
        if s.target.arch != "x86_64" or body_weight(loop.body) > _HEAVIEST:
            return None
        stores = [x for x in loop.body if isinstance(x, Store) and self._fits(x, loop, lanes)]
        if not stores:
            return None
        total = sum((self._written(x) for x in stores), start=0)
        if isinstance(total, int) and total < STREAM_BYTES:
            return None
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

    def _fits(self, store: Store, loop: Loop, lanes: int) -> bool:
        if store.mask or store.combine:
            return False
        known = all(x.name == loop.var or self.s.find(x.name) for x in symbols(store.index))
        return known and streams(self.s.buffers[store.buf][1], lanes) and _steps_by_one(
            store.index, loop.var)

    def _written(self, store: Store) -> Dim:
        """Bytes this store writes over all loops around it."""
        names = {x.name for x in symbols(store.index)}
        total: Dim = self.s.buffers[store.buf][1].itemsize
        for loop in self.open:
            if loop.var in names:
                total = total * loop.extent
        return total

    def fence(self) -> None:
        """Make streamed stores visible in order with what follows."""
        self.s.f.call("llvm.x86.sse.sfence", "void")


def _steps_by_one(index: Dim, var: str) -> bool:
    if not isinstance(index, Poly):
        return False
    containing = [(mono, c) for mono, c in index.terms.items()
                  if any(x.name == var for x in symbols(Poly({mono: 1})))]
    return len(containing) == 1 and len(containing[0][0]) == 1 and containing[0][1] == 1 and (
        getattr(containing[0][0][0], "name", None) == var)
