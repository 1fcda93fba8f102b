"""Loops of a kernel: lane loops with masked or scalar tails, reductions, serial loops.

A lane loop runs `unroll` vectors per turn, then the rest; reductions keep one partial state per
copy of the body and merge them in a fixed order, block by block, so that the result depends on
the extent alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tracec_ir.dtypes import f32, f64, i64

from ..kernel.core import ArgCarry, ArgUpdate, Carry, Loop, Update
from .accumulate import Accumulator, ArgExtreme, Parts, make
from .analysis import body_weight, lane_bits, narrow_memory, nested_kinds, used_names
from .index import IndexEmitter, is_positive
from .memory import combine, identity
from .prefetch import Prefetch, plan
from .scalar import convert
from .split import find_cuts, index_definitions, outcomes
from .state import Lanes, State, register_type
from .stream import StreamEmitter
from .text import Value, constant, vector_type
from .transpose import TransposeEmitter

_WIDE_WEIGHT = 60  # heavier bodies would need more registers than there are
_MOST_VECTORS = 4
_LINE = 64  # bytes of a cache line
_BLOCK_TURNS = 32  # turns of the unrolled loop between two merges into the total


@dataclass(slots=True)
class _Running:
    """A carry while its loop's body is emitted: its accumulator (None: a plain value)."""

    carry: Carry | ArgCarry
    accumulator: Accumulator | None
    parts: Parts
    masked: bool
    total: bool = False  # updates go to the total at once


class LoopEmitter:
    """Emits the loops of one kernel; `emit_body` emits the statements inside."""

    def __init__(self, state: State, index: IndexEmitter,
                 emit_body: Callable[[list], None]) -> None:
        self.s, self.index, self.emit_body = state, index, emit_body
        self.running: dict[str, _Running] = {}
        self.values = index_definitions(state.kernel.body)
        self.stream = StreamEmitter(state, index)
        self.transposes = TransposeEmitter(state, index, emit_body)
        self.prefetches: dict[str, list[Prefetch]] = {}

    def loop(self, loop: Loop, low: Value | None = None, high: Value | None = None) -> None:
        """Emit a loop; `low` and `high` restrict a parallel one."""
        self.stream.open.append(loop)
        if self.s.lanes is None:
            sizes = {b.name: b.dtype.itemsize for b in self.s.kernel.bufs}
            self.prefetches.update(plan(loop, self.stream, sizes))
        self._loop(loop, low, high)
        self.stream.open.pop()

    def _loop(self, loop: Loop, low: Value | None, high: Value | None) -> None:
        if isinstance(loop.extent, int) and loop.extent <= 0 and not loop.carries:
            return
        low = low if low is not None else constant("i64", 0)
        high = high if high is not None else self.index.uniform(loop.extent)
        if self._runs_across_lanes(loop):
            bits = lane_bits(loop, self.s.buffers)
            lanes = self.s.target.lanes(bits)
            if isinstance(loop.extent, int):
                while lanes > 1 and lanes // 2 >= loop.extent:
                    lanes //= 2
            lanes *= self._vectors(loop, lanes)
            if lanes > 1:
                self._lane_loop(loop, low, high, lanes, bits)
                return
        if loop.kind == "reduce" or self._only_sums_up(loop):
            self._reduce(loop, high)
        else:
            loads = self.transposes.match(loop)
            if loads and str(low) == "0":
                self.transposes.emit(loop, loads, self._ordinary)
            else:
                self._serial(loop, low, high)

    def _ordinary(self, loop: Loop, low: Value, high: Value) -> None:
        """A range of a loop, nothing transposed."""
        if loop.kind == "serial":
            self._serial(loop, low, high)
        else:
            self.loop(loop, low, high)

    def _vectors(self, loop: Loop, lanes: int) -> int:
        """Machine vectors per value in a lane loop around other loops: several use whole cache
        lines of each row, and give independent chains of additions."""
        if not nested_kinds(loop.body) or body_weight(loop.body) > _WIDE_WEIGHT:
            return 1
        vectors = min(loop.unroll or _MOST_VECTORS, _MOST_VECTORS)
        while vectors > 1 and isinstance(loop.extent, int) and vectors * lanes > loop.extent:
            vectors //= 2
        return vectors

    @staticmethod
    def _only_sums_up(loop: Loop) -> bool:
        """Whether a serial loop has carries that its body never reads: then it is a reduction."""
        if not loop.carries or loop.kind != "serial":
            return False
        names = used_names(loop.body)
        return not any(c.name in names or getattr(c, "index_name", "") in names
                       or c.combine == "last" for c in loop.carries)

    def _runs_across_lanes(self, loop: Loop) -> bool:
        if self.s.lanes is not None:
            return False
        inner = nested_kinds(loop.body)
        if loop.kind == "vector":
            return "vector" not in inner
        if loop.kind == "reduce":
            return not inner & {"vector", "reduce"}
        return loop.kind == "parallel" and not inner

    def _turns(self, loop: Loop) -> bool:
        """Whether the loop surely has a turn."""
        return loop.kind == "parallel" or is_positive(loop.extent, self.stream.open[:-1])

    # ---- serial loops ------------------------------------------------------------------------

    def _width(self) -> int:
        """Lane count of values in the current scope."""
        return self.s.lanes.count if self.s.lanes else 1

    def _initial(self, carry: Carry) -> Value:
        width = self._width()
        type = vector_type(register_type(carry.dtype), width)
        if isinstance(carry.init, str):
            return self.s.spread(self.s.get(carry.init), width)
        return constant(type, carry.init)

    def _serial(self, loop: Loop, low: Value, high: Value) -> None:
        s, f, width = self.s, self.s.f, self._width()
        running: list[_Running] = []
        for carry in loop.carries:
            if isinstance(carry, ArgCarry):
                arg = ArgExtreme(f, carry.combine, carry.dtype, 32)
                running.append(_Running(carry, arg, arg.start(width), False))
            else:
                value = self._initial(carry)
                if _wide(carry):
                    value = f.cast("fpext", value, "double")
                running.append(_Running(carry, None, [value], False))
        starts = [p for r in running for p in r.parts]
        with s.scope(runs=self._turns(loop)):
            with f.loop(low, high, carry=starts) as turn, self._carries(running):
                carried = iter(turn.carried)
                for r in running:
                    r.parts = [next(carried) for _ in r.parts]
                    self._show(r)
                s.define(loop.var, turn.index, i64, natural=True)
                self.emit_body(loop.body)
                turn.next(*(p for r in running for p in r.parts))
        results = iter(turn.results)
        for r in running:
            r.parts = [next(results) for _ in r.parts]
            if r.accumulator is not None:
                self._define(r.carry, r.accumulator.finish(r.parts))
            else:
                self._show(r)

    def _show(self, r: _Running) -> None:
        """Let the carry's name stand for its current value."""
        if isinstance(r.carry, Carry):
            value = r.parts[0]
            if _wide(r.carry):
                value = convert(self.s, value, f64, f32)
            self.s.define(r.carry.name, value, r.carry.dtype)

    def _define(self, carry: Carry | ArgCarry, results: list[Value]) -> None:
        self.s.define(carry.name, results[0], carry.dtype)
        if isinstance(carry, ArgCarry):
            self.s.define(carry.index_name, results[1], i64)

    @contextmanager
    def _carries(self, running: list[_Running]) -> Iterator[None]:
        """The carries that updates in the body refer to."""
        saved = self.running
        self.running = {**saved, **{r.carry.name: r for r in running}}
        try:
            yield
        finally:
            self.running = saved

    def update(self, u: Update | ArgUpdate) -> None:
        """carry = combine(carry, value)."""
        s, f, r = self.s, self.s.f, self.running[u.carry]
        width = self._width()
        value = s.spread(s.get(u.value), width)
        mask: Value | None = None
        if isinstance(u, Update) and u.mask:
            mask = s.spread(s.get(u.mask), width)
        if r.masked and s.lanes is not None and s.lanes.mask is not None:
            mask = s.lanes.mask if mask is None else f.and_(mask, s.lanes.mask)
        if isinstance(u, ArgUpdate):
            assert isinstance(r.accumulator, ArgExtreme)
            position = (self.index.lane_value(u.position) if s.lanes is not None
                        else self.index.uniform(u.position))
            r.parts = r.accumulator.consider(r.parts, value, position, mask)
        elif r.accumulator is None:
            assert isinstance(r.carry, Carry)
            dtype, kind = r.carry.dtype, r.carry.combine
            if _wide(r.carry):
                value, dtype = f.cast("fpext", value, "double"), f64
            new = combine(f, kind, r.parts[0], value, dtype)
            r.parts = [new if mask is None else f.select(mask, new, r.parts[0])]
            self._show(r)
        elif r.total:
            one = r.accumulator.update(r.accumulator.start(width), value, mask)
            r.parts = r.accumulator.add_partial(r.parts, one)
        else:
            r.parts = r.accumulator.update(r.parts, value, mask)

    # ---- reductions and lane loops ------------------------------------------------------------

    def _accumulators(self, loop: Loop, bits: int) -> list[Accumulator]:
        f = self.s.f
        return [ArgExtreme(f, c.combine, c.dtype, bits) if isinstance(c, ArgCarry)
                else make(f, c.combine, c.dtype, bits) for c in loop.carries]

    def _finish(self, loop: Loop, accumulators: list[Accumulator], totals: list[Parts],
                across: bool) -> None:
        for carry, a, total in zip(loop.carries, accumulators, totals, strict=True):
            results = a.finish_across(total) if across else a.finish(total)
            neutral = not isinstance(carry, Carry) or (
                not isinstance(carry.init, str) and _neutral(carry))
            if not neutral:
                results = [a.with_init(results[0], self._initial(carry))]
            self._define(carry, results)

    def _reduce(self, loop: Loop, high: Value) -> None:
        """A reduction whose turns are scalar, or run across the lanes of a loop around it."""
        lanes = self.s.lanes
        bits = max(8, self.s.target.vector_bits // lanes.count) if lanes else 32
        accumulators = self._accumulators(loop, bits)
        nested = bool(nested_kinds(loop.body))
        wide = lanes is not None and lanes.count > self.s.target.lanes(32)
        unroll = 1 if nested or wide else self._unroll(loop, 1)
        totals = self._blocks(loop, accumulators, constant("i64", 0), high, 1, unroll, None,
                              at_once=nested)
        self._finish(loop, accumulators, totals, across=False)

    def _unroll(self, loop: Loop, lanes: int) -> int:
        if nested_kinds(loop.body):
            return 1
        if loop.unroll:
            unroll = loop.unroll
        else:
            weight = body_weight(loop.body)
            # a longer body has enough independent work, and copies cost compile time
            unroll = 4 if weight <= 8 else 2 if weight <= 12 else 1
        if isinstance(loop.extent, int):
            while unroll > 1 and unroll * lanes > loop.extent:
                unroll //= 2
        return unroll

    def _lane_loop(self, loop: Loop, low: Value, high: Value, lanes: int, bits: int) -> None:
        accumulators = self._accumulators(loop, self.s.target.vector_bits // lanes
                                          if self.s.target.vector_bits // lanes in (8, 16, 32, 64)
                                          else 32)
        unroll = self._unroll(loop, lanes)
        whole = isinstance(loop.extent, int) and loop.kind != "parallel"
        masked = self.s.target.masks and not (
            narrow_memory(loop, self.s.buffers) and self.s.target.isa != "avx512")
        if whole and loop.extent % lanes and masked and unroll * lanes > loop.extent:
            unroll = 1
        tail = "masked" if masked else "scalar"
        if loop.carries:
            totals = self._blocks(loop, accumulators, low, high, lanes, unroll, bits,
                                  at_once=False, tail=tail)
            self._finish(loop, accumulators, totals, across=self._across)
        else:
            self._pieces(loop, low, high, lanes, unroll, bits, tail)

    def _pieces(self, loop: Loop, low: Value, high: Value, lanes: int, unroll: int, bits: int,
                tail: str) -> None:
        """A lane loop without carries, cut where comparisons of its variable change."""
        s, f = self.s, self.s.f
        cuts = find_cuts(loop, self.values, lambda name: s.find(name) is not None)
        bounds: list[Value] = [low]
        for cut in cuts:
            if isinstance(cut.at, int) and _is_number(low) and _is_number(high):
                at = constant("i64", min(max(cut.at, int(low)), int(high)))
            else:
                at = f.smin(f.smax(self.index.uniform(cut.at), low), high)
            bounds.append(at)
        bounds.append(high)
        for piece, (start, end) in enumerate(zip(bounds, bounds[1:])):
            if _is_number(start) and _is_number(end) and int(start) >= int(end):
                continue
            s.known = outcomes(cuts, piece)
            self._blocks(loop, [], start, end, lanes, unroll, bits, at_once=False, tail=tail)
            s.known = {}

    def _blocks(self, loop: Loop, accumulators: list[Accumulator], low: Value, high: Value,
                lanes: int, unroll: int, bits: int | None, *, at_once: bool,
                tail: str = "none") -> list[Parts]:
        """All turns of a lane loop or reduction; the totals."""
        f = self.s.f
        width = lanes if bits is not None else self._width()
        number = int(high) - int(low) if _is_number(low) and _is_number(high) else None
        runs = self._turns(loop) if not self.s.known else number is not None
        step = lanes * unroll
        count = high if str(low) == "0" or number is not None else f.sub(high, low)
        self._across = True

        def whole(chunk: int) -> Value:
            """End of the range that whole chunks cover."""
            if number is not None:
                return constant("i64", int(low) + number - number % chunk)
            if chunk == 1:
                return high
            return f.add(low, f.and_(count, -chunk)) if str(low) != "0" else f.and_(count, -chunk)

        totals = [a.total_start(width) for a in accumulators]
        main_end = whole(step)
        if number is None or number >= step:
            small = number is not None and number <= step * _BLOCK_TURNS
            if accumulators and not at_once and not small:
                totals = self._blocked(loop, accumulators, totals, low, main_end, lanes, unroll,
                                       bits, runs)
            elif not accumulators and bits is not None:
                self._stores(loop, low, main_end, lanes, unroll, bits, runs)
            else:
                totals = self._run(loop, accumulators, totals, low, main_end, lanes, unroll, bits,
                                   runs, at_once=at_once)
        if step == 1 or (number is not None and number % step == 0):
            return totals
        if tail == "masked" and number is not None and number % lanes == 0:
            tail = "whole"
        if tail == "masked":
            return self._run(loop, accumulators, totals, main_end, high, lanes, 1, bits, runs,
                             masked=True)
        if unroll > 1:
            vector_end = whole(lanes)
            totals = self._run(loop, accumulators, totals, main_end, vector_end, lanes, 1, bits,
                               runs)
            main_end = vector_end
        if lanes == 1 or (number is not None and number % lanes == 0):
            return totals
        # the last elements one by one
        totals = [a.across(t) for a, t in zip(accumulators, totals, strict=True)]
        self._across = False
        return self._run(loop, accumulators, totals, main_end, high, 1, 1, None, runs)

    def _stores(self, loop: Loop, low: Value, high: Value, lanes: int, unroll: int,
                bits: int, runs: bool) -> None:
        """The main part of a lane loop without carries, with streaming stores if that pays."""
        s, f = self.s, self.s.f

        def run(streaming: bool) -> None:
            s.streaming = streaming
            self._run(loop, [], [], low, high, lanes, unroll, bits, runs)
            s.streaming = False
            self.stream.used |= streaming

        with s.scope(runs=runs):  # what both versions share is put in front of this scope
            condition = self.stream.condition(loop, low, lanes)
            if condition is None:
                run(False)
            else:
                f.branch(condition, lambda: run(True), lambda: run(False))

    def _blocked(self, loop: Loop, accumulators: list[Accumulator], totals: list[Parts],
                 low: Value, high: Value, lanes: int, unroll: int, bits: int | None,
                 runs: bool) -> list[Parts]:
        """Blocks of turns, each merged into the totals."""
        s, f = self.s, self.s.f
        block = lanes * unroll * _BLOCK_TURNS
        with s.scope(runs=runs), \
                f.loop(low, high, block, carry=[p for t in totals for p in t]) as turn:
            inner = _regroup(turn.carried, totals)
            end = f.smin(f.add(turn.index, block), high)
            inner = self._run(loop, accumulators, inner, turn.index, end, lanes, unroll, bits, runs)
            turn.next(*(p for t in inner for p in t))
        return _regroup(turn.results, totals)

    def _run(self, loop: Loop, accumulators: list[Accumulator], totals: list[Parts], low: Value,
             high: Value, lanes: int, unroll: int, bits: int | None, runs: bool, *,
             masked: bool = False, at_once: bool = False) -> list[Parts]:
        """for var in [low, high) by lanes * unroll; the totals including these turns."""
        s, f = self.s, self.s.f
        across = bits is not None
        width = lanes if across else self._width()
        starts = totals if at_once else [a.start(width) for _ in range(unroll)
                                         for a in accumulators]
        with s.scope(runs=runs), \
                f.loop(low, high, lanes * unroll, carry=[p for t in starts for p in t]) as turn:
            states = _regroup(turn.carried, starts)
            after: list[Parts] = []
            for copy in range(unroll):
                mine = states[copy * len(accumulators):(copy + 1) * len(accumulators)]
                running = [_Running(c, a, list(p), across, at_once)
                           for c, a, p in zip(loop.carries, accumulators, mine, strict=True)]
                with self._carries(running):
                    if across:
                        self._lane_copy(loop, turn.index, copy * lanes, high, lanes, masked)
                    else:
                        self._scalar_copy(loop, turn.index, copy)
                after += [r.parts for r in running]
            turn.next(*(p for parts in after for p in parts))
        results = _regroup(turn.results, starts)
        if at_once:
            return results
        for k, a in enumerate(accumulators):
            partials = results[k::len(accumulators)]
            while len(partials) > 1:
                partials = [a.merge(partials[i], partials[i + 1]) if i + 1 < len(partials)
                            else partials[i] for i in range(0, len(partials), 2)]
            fresh = totals[k] == a.total_start(width)
            totals[k] = (a.first_partial(partials[0]) if fresh
                         else a.add_partial(totals[k], partials[0]))
        return totals

    def _lane_copy(self, loop: Loop, base: Value, offset: int, high: Value, lanes: int,
                   masked: bool) -> None:
        s, f = self.s, self.s.f
        mask = None
        if masked:
            bits = min(64, max(8, s.target.vector_bits // lanes))
            mask = f.lane_mask(f.sub(high, base), lanes, bits)
        s.lanes = Lanes(loop.var, lanes, base, offset, mask, s.depth)
        s.define(loop.var, base, i64, natural=True)
        try:
            if mask is None:
                self._prefetch(loop, offset)
            self.emit_body(loop.body)
        finally:
            s.lanes = None

    def _prefetch(self, loop: Loop, offset: int) -> None:
        """Ask for what other passes over the row will touch first."""
        for wanted in self.prefetches.get(loop.var, ()):
            if offset * self.s.buffers[wanted.buf][1].itemsize % _LINE == 0:
                address = self.index.access(wanted.buf, wanted.index).address
                self.s.f.prefetch(address, write=wanted.write, locality=3 if wanted.near else 2)

    def _scalar_copy(self, loop: Loop, base: Value, copy: int) -> None:
        s = self.s
        level = s.levels[-1]
        level.names.clear()
        level.cache.clear()
        s.define(loop.var, s.f.add(base, copy), i64, natural=True)
        self.emit_body(loop.body)


def _regroup(flat: list[Value], like: list[Parts]) -> list[Parts]:
    values = iter(flat)
    return [[next(values) for _ in parts] for parts in like]


def _is_number(value: Value) -> bool:
    """Whether an i64 value is a constant."""
    return not str(value).startswith("%")


def _wide(carry: Carry) -> bool:
    """Whether a serial sum is kept in double (running sums lose digits otherwise)."""
    return carry.combine == "sum" and carry.dtype.code in ("f32", "f16", "bf16")


def _neutral(carry: Carry) -> bool:
    return carry.init == identity(carry.combine, carry.dtype)
