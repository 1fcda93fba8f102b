"""Loops of a kernel as CUDA C: spread over the grid, over the threads of a block, or serial.

A reduction that a block shares keeps a partial result per thread, which `tc::across_block` combines
in a fixed order; serial sums of floats run in double.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tracec_ir.dtypes import i64

from ..kernel.core import ArgCarry, ArgUpdate, Carry, Loop, Scratch, Store, Update
from . import math
from .barriers import Pending, repeats_safely
from .index import long_long
from .launch import Launch
from .state import State
from .types import identity, literal, register_type
from .walk import distributed, shared_by_threads, statements

_OVER_BLOCKS = ("tiles", "threads", "rows")  # mappings whose last loop the grid shares


@dataclass(slots=True)
class _Running:
    """A carry while its loop's body is emitted; `wide` is the double that holds a serial sum."""

    carry: Carry | ArgCarry
    variable: str
    wide: str = ""


class LoopEmitter:
    """Emits the loops of one kernel; `emit_body` emits the statements inside."""

    def __init__(
        self, state: State, launch: Launch, pending: Pending, emit_body: Callable[[list], None]
    ) -> None:
        self.s, self.launch, self.pending, self.emit_body = state, launch, pending, emit_body
        self.running: dict[str, _Running] = {}

    def loop(self, loop: Loop) -> None:
        """Emit a loop in the form that the mapping and the place ask for."""
        launch, s = self.launch, self.s
        if s.alone:
            self._serial(loop)
        elif launch.mapping in _OVER_BLOCKS and loop is s.kernel.body[-1]:
            self._over_blocks(loop)
        elif launch.mapping in ("elements", "tiles"):
            axis = "x" if launch.mapping == "elements" else "y"
            start, step = _grid(axis, launch.threads)
            with s.one_thread():
                self._for(loop, start, step)
        elif shared_by_threads(loop):
            self._wait_for([loop])
            self._across_threads(loop)
        elif not loop.carries and not distributed(loop.body) and _stores(loop.body):
            self._wait_for([loop])
            with s.block("if (threadIdx.x == 0)"), s.one_thread():
                self._serial(loop)
            self.pending.passed([loop])
        else:
            self._in_step(loop)

    def _wait_for(self, body: list) -> None:
        if self.pending.conflicts(body):
            self.s.line("__syncthreads();")
            self.pending.barrier()

    def _for(self, loop: Loop, start: str, step: str) -> None:
        s = self.s
        var, extent = s.loop_variable(loop.var), s.index(loop.extent)
        turn = f"++{var}" if step == "1" else f"{var} += {step}"
        with s.block(f"for (long long {var} = {start}; {var} < {extent}; {turn})"):
            self.emit_body(loop.body)

    # ---- over the grid -------------------------------------------------------------------------

    def _over_blocks(self, loop: Loop) -> None:
        launch, s = self.launch, self.s
        if launch.mapping == "threads":
            with s.one_thread():
                self._for(loop, *_grid("x", launch.threads))
            return
        var, extent = s.loop_variable(loop.var), s.index(loop.extent)
        head = f"for (long long {var} = blockIdx.x; {var} < {extent}; {var} += gridDim.x)"
        with s.block(head):
            self.emit_body(loop.body)
            # other iterations touch other elements of buffers, but the same scratch
            scratch = {x.name for x in s.kernel.body if isinstance(x, Scratch)}
            if not repeats_safely(loop.body, self.pending.place, scratch):
                s.line("__syncthreads();")
                self.pending.barrier()

    # ---- over the threads of a block -----------------------------------------------------------

    def _across_threads(self, loop: Loop) -> None:
        s = self.s
        running = [self._start(c, _identity(c), wide=False) for c in loop.carries]
        with self._carries(running), s.one_thread():
            self._for(loop, "threadIdx.x", str(self.launch.threads))
        self.pending.passed([loop])
        for r in running:
            call = f"tc::across_block<{self.launch.threads}>({r.variable}"
            if isinstance(r.carry, ArgCarry):
                s.line(f"{r.variable} = {call}, tc::Arg<{_order(r.carry)}>());")
            else:
                s.line(f"{r.variable} = {call}, {math.functor(r.carry.combine)});")
                init = r.carry.init
                if isinstance(init, str) or init != identity(r.carry.combine, r.carry.dtype):
                    text = self._initial(r.carry)
                    total = math.combine(r.carry.combine, text, r.variable)
                    s.line(f"{r.variable} = {total};")
            self._finish(r)
            self.pending.barrier()

    # ---- serial --------------------------------------------------------------------------------

    def _in_step(self, loop: Loop) -> None:
        """A serial loop that all threads of the block run together."""
        s = self.s
        before = self.pending.snapshot()
        running = [self._start(c, self._first(c)) for c in loop.carries]
        var, extent = s.loop_variable(loop.var), s.index(loop.extent)
        with self._carries(running):
            with s.block(f"for (long long {var} = 0; {var} < {extent}; ++{var})"):
                self.emit_body(loop.body)
                if not repeats_safely(loop.body, self.pending.place):
                    s.line("__syncthreads();")
                    self.pending.barrier()
        self.pending.merge(before)
        for r in running:
            self._finish(r)

    def _serial(self, loop: Loop) -> None:
        """A loop that one thread runs by itself."""
        running = [self._start(c, self._first(c)) for c in loop.carries]
        with self._carries(running):
            self._for(loop, "0", "1")
        for r in running:
            self._finish(r)

    # ---- carries -------------------------------------------------------------------------------

    def _initial(self, carry: Carry) -> str:
        if isinstance(carry.init, str):
            return self.s.names(carry.init)
        return literal(carry.init, carry.dtype)

    def _first(self, carry: Carry | ArgCarry) -> str:
        return "" if isinstance(carry, ArgCarry) else self._initial(carry)

    def _start(self, carry: Carry | ArgCarry, first: str, wide: bool = True) -> _Running:
        """Declares the variable of a carry, with its first value."""
        s = self.s
        name, type = s.names(carry.name), register_type(carry.dtype)
        s.types[carry.name] = carry.dtype
        if isinstance(carry, ArgCarry):
            s.types[carry.index_name] = i64
            best = f"{name}_best"
            s.line(f"tc::Best<{type}> {best} = {{({type})0, -1}};")
            return _Running(carry, best)
        s.line(f"{type} {name} = {first};")
        if not (wide and carry.combine == "sum" and type == "float"):
            return _Running(carry, name)
        s.line(f"double {name}_sum = {name};")
        return _Running(carry, name, f"{name}_sum")

    def _finish(self, r: _Running) -> None:
        """Gives the names of an ArgCarry their values; a Carry's variable has its name already."""
        s, c = self.s, r.carry
        if isinstance(c, ArgCarry):
            s.define(c.name, c.dtype, f"{r.variable}.value")
            s.define(c.index_name, i64, f"{r.variable}.index")

    @contextmanager
    def _carries(self, running: list[_Running]) -> Iterator[None]:
        """The carries that updates in the body refer to."""
        saved = self.running
        self.running = {**saved, **{r.carry.name: r for r in running}}
        yield
        self.running = saved

    def update(self, u: Update | ArgUpdate) -> None:
        """carry = combine(carry, value)."""
        s, r = self.s, self.running[u.carry]
        value = s.names(u.value)
        if isinstance(u, ArgUpdate):
            assert isinstance(r.carry, ArgCarry)
            position = long_long(u.position, s.index(u.position))
            order = _order(r.carry)
            s.line(f"{r.variable} = tc::consider({order}(), {r.variable}, {value}, {position});")
            return
        assert isinstance(r.carry, Carry)
        guard = f"if ({s.names(u.mask)}) " if u.mask else ""
        if r.wide:
            s.line(f"{guard}{r.wide} += {value};")
            s.line(f"{r.variable} = (float){r.wide};")
        else:
            new = math.combine(r.carry.combine, r.variable, value)
            s.line(f"{guard}{r.variable} = {new};")


def _grid(axis: str, threads: int) -> tuple[str, str]:
    """Start and step of a loop that all threads of the grid (along an axis) share."""
    start = f"(long long)blockIdx.{axis} * {threads} + threadIdx.x"
    return start, f"(long long)gridDim.{axis} * {threads}"


def _identity(carry: Carry | ArgCarry) -> str:
    if isinstance(carry, ArgCarry):
        return ""
    return literal(identity(carry.combine, carry.dtype), carry.dtype)


def _order(carry: ArgCarry) -> str:
    return "tc::ArgMax" if carry.combine == "max" else "tc::ArgMin"


def _stores(body: list) -> bool:
    return any(isinstance(x, Store) for x in statements(body))
