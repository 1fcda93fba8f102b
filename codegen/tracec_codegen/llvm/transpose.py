"""Squares transposed in registers: a serial loop around lanes that read along the serial loop.

A load that is contiguous along the serial loop and steps through memory in the lanes is done for
as many turns as there are lanes at once: rows are read as vectors, transposed by shuffles, and
each turn takes its vector. Stores and other loads stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable

from tracec_ir.dims import Poly, symbols
from tracec_ir.dtypes import i64

from ..kernel.core import Load, Loop, Store
from .analysis import body_weight, lane_bits, nested_kinds
from .index import IndexEmitter
from .memory import from_memory
from .state import Lanes, State, memory_type
from .text import Function, Value, constant, vector_type

_HEAVIEST = 24  # bodies with more instructions would be too long, once per lane
_BITS = (32, 64)  # element widths whose shuffles are single instructions


class TransposeEmitter:
    """Recognises such loops in one kernel and emits them."""

    def __init__(
        self, state: State, index: IndexEmitter, emit_body: Callable[[list], None]
    ) -> None:
        self.s, self.index, self.emit_body = state, index, emit_body

    def match(self, loop: Loop) -> list[Load]:
        """The loads to transpose in a serial loop; none if it is of another form."""
        if self.s.lanes is not None or loop.carries or loop.kind != "serial" or not loop.body:
            return []
        inner = loop.body[-1]
        if not isinstance(inner, Loop) or inner.kind != "vector" or nested_kinds(inner.body):
            return []
        if any(isinstance(x, Loop) for x in loop.body[:-1]) or self._square(inner) < 4:
            return []
        if body_weight(inner.body) > _HEAVIEST:
            return []
        own = {getattr(x, "name", "") for x in inner.body}
        stored = {x.buf for x in inner.body if isinstance(x, Store)}
        stored |= {b.alias for b in self.s.kernel.bufs if b.name in stored}
        return [
            x
            for x in inner.body
            if isinstance(x, Load)
            and not x.mask
            and x.buf not in stored
            and self.s.buffers[x.buf][1].bits in _BITS
            and self.s.buffers[x.buf][1].kind != "b"
            and _goes_across(x, loop.var, inner.var)
            and not any(v.name in own for v in symbols(x.index))
        ]

    def _square(self, inner: Loop) -> int:
        """Side of a square: how many lanes a register has."""
        return self.s.target.lanes(lane_bits(inner, self.s.buffers))

    def emit(
        self,
        loop: Loop,
        loads: list[Load],
        whole: Callable[[Loop, Value, Value], None],
    ) -> None:
        """The loop; `whole(loop, low, high)` emits a range of a loop in the ordinary way."""
        s, f, inner = self.s, self.s.f, loop.body[-1]
        side = self._square(inner)
        high, inner_high = self.index.uniform(loop.extent), self.index.uniform(inner.extent)
        end, inner_end = f.and_(high, -side), f.and_(inner_high, -side)
        before = loop.body[:-1]
        with s.scope(runs=False), f.loop(constant("i64", 0), end, side) as rows:
            with s.scope(runs=False), f.loop(constant("i64", 0), inner_end, side) as columns:
                self._square_of(loop, loads, rows.index, columns.index, side)
                columns.next()
            with s.scope(runs=False), f.when(f.icmp("slt", inner_end, inner_high)):
                with f.loop(rows.index, f.add(rows.index, side)) as turn, s.scope(runs=True):
                    s.define(loop.var, turn.index, i64, natural=True)
                    self.emit_body(before)
                    whole(inner, inner_end, inner_high)
            rows.next()
        whole(loop, end, high)

    def _square_of(
        self, loop: Loop, loads: list[Load], row: Value, column: Value, side: int
    ) -> None:
        """side x side turns from (row, column) on."""
        s, f, inner = self.s, self.s.f, loop.body[-1]
        turned: dict[str, list[Value]] = {}
        with s.scope(runs=True):
            s.define(loop.var, row, i64, natural=True)
            s.define(inner.var, column, i64, natural=True)
            self.emit_body(loop.body[:-1])
            for load in loads:
                dtype = s.buffers[load.buf][1]
                type = vector_type(memory_type(dtype), side)
                start = self.index.access(load.buf, load.index).address
                step = coefficient(load.index, inner.var)
                assert step is not None
                vectors = []
                for k in range(side):
                    at = f.gep(start, self._times(k, step), memory_type(dtype))
                    vectors.append(from_memory(s, f.load(type, at), dtype))
                turned[load.name] = transposed(f, vectors)
        for k in range(side):
            with s.scope(runs=True):
                # known already, so that no load is emitted; of this turn, as what follows from them
                for load in loads:
                    s.define(load.name, turned[load.name][k], load.dtype, s.depth)
                s.define(loop.var, f.add(row, k), i64, natural=True)
                self.emit_body(loop.body[:-1])
                s.lanes = Lanes(inner.var, side, column, 0, None, s.depth)
                s.define(inner.var, column, i64, natural=True)
                try:
                    self.emit_body(inner.body)
                finally:
                    s.lanes = None

    def _times(self, k: int, step: Poly | int) -> Value:
        if isinstance(step, int):
            return constant("i64", k * step)
        return self.s.f.mul(self.index.uniform(step), k)


def transposed(f: Function, rows: list[Value]) -> list[Value]:
    """The columns of a square of vectors: rows half the square apart are interleaved, as often
    as the side can be halved."""
    side = len(rows)
    half, low, high = side // 2, [], []
    for k in range(half):
        low += [k, k + side]
        high += [k + half, k + half + side]
    turns = side.bit_length() - 1
    for _ in range(turns):
        rows = [
            f.shuffle(rows[k], rows[k + half], part) for k in range(half) for part in (low, high)
        ]
    return rows


def coefficient(index: Poly | int, var: str) -> Poly | int | None:
    """The factor of a variable in an index, None if the index is not linear in it."""
    total: Poly | int = 0
    if isinstance(index, int):
        return 0
    for mono, number in index.terms.items():
        inside = [u for u in mono if any(x.name == var for x in symbols(Poly({(u,): 1})))]
        if len(inside) > 1 or any(getattr(u, "name", None) != var for u in inside):
            return None
        if inside:
            rest = list(mono)
            rest.remove(inside[0])
            total = total + (Poly({tuple(rest): number}) if rest else number)
    return total


def _goes_across(load: Load, serial: str, lane: str) -> bool:
    along, across = coefficient(load.index, serial), coefficient(load.index, lane)
    return along == 1 and across is not None and not (isinstance(across, int) and abs(across) <= 1)
