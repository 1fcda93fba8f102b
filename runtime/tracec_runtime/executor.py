"""The executor: binds a program to memory and runs it, one native call per stretch of kernels.

The table that native code reads holds, in this order: the error record's address, the inputs, the
outputs, the temporaries, and the values of sizes. Scalars are 8-byte cells of their own array.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tracec_codegen.llvm.library import (
    NativeError,
    NativeLibrary,
    PlanStep,
    check_status,
    encode_plan,
)
from tracec_codegen.llvm.runner import ERROR_WORDS
from tracec_codegen.program import CallStep, HostStep, KernelStep, Program, Ref
from tracec_ir import dims
from tracec_ir.dims import Dim

from .events import counters
from .memory import Buffer, allocate

GRAIN = 10_000.0  # nanoseconds of work that are worth giving to a thread
PARALLEL = 30_000.0  # nanoseconds below which a step stays on one thread

Sizes = dict[str, int]
Word = Callable[[str, int], int]  # (what it is, value) -> index in the table
Planned = tuple[PlanStep | None, int]  # a step, and the scratch bytes that it needs

_CELL = {"i64": "q", "f64": "d", "b1": "q"}


class Bound:
    """A program for one set of sizes: table, encoded steps, offsets of temporaries."""

    __slots__ = (
        "table",
        "stretches",
        "arena_bytes",
        "temps",
        "out_bytes",
        "arena_addr",
        "env",
        "error",
        "derived",
    )
    table: np.ndarray
    stretches: list[Any]
    arena_bytes: int
    temps: list[tuple[int, int]]  # (table index, offset in the arena)
    out_bytes: list[int]
    arena_addr: int
    env: dict[str, int]
    error: np.ndarray
    derived: tuple[np.ndarray, np.ndarray, np.ndarray] | None  # places: table index, base, bytes


class NativePlan:
    """Compiled code for a program.

    `position[j]` is which program output the caller's output j is, or -1; `addresses` holds the
    kernels' entry points by step, `offsets` the temporaries' places in the arena by buffer.
    """

    def __init__(
        self,
        program: Program,
        position: list[int],
        library: NativeLibrary,
        addresses: dict[int, int],
        offsets: dict[int, Dim],
        arena: Dim,
        keep: list[Any],
    ):
        self.program, self.position, self.library = program, position, library
        self.addresses, self.offsets, self.arena, self.keep = addresses, offsets, arena, keep
        buffers = program.buffers
        self.tensor_inputs = [(k, b) for k, b in enumerate(program.inputs) if not buffers[b].scalar]
        self.scalar_inputs = [(k, b) for k, b in enumerate(program.inputs) if buffers[b].scalar]
        self.n_tensors = len(self.tensor_inputs)
        self.slot: dict[int, int] = {}
        for _, b in self.tensor_inputs:
            self.slot[b] = 1 + len(self.slot)
        for b in program.outputs:
            self.slot[b] = 1 + len(self.slot)
        temps = [i for i, b in enumerate(buffers) if i not in self.slot and b.role == "temp"]
        for b in temps:
            self.slot[b] = 1 + len(self.slot)
        self.temps = temps
        self.cells = np.zeros(max(1, len(self.scalar_inputs)), np.int64)
        self.pack = struct.Struct(
            "=" + "".join(_CELL[buffers[b].dtype.code] for _, b in self.scalar_inputs)
        ).pack_into
        for n, (_, b) in enumerate(self.scalar_inputs):
            self.slot[b] = -1 - n  # resolved in bind(): constant addresses
        self.symbols = sorted(_symbols(program))
        self.bound: dict[tuple[int, ...], Bound] = {}
        self.donated = dict(program.donations.items())
        self.one_by_one = False  # set before the first run to launch every step by itself

    # -- binding ----------------------------------------------------------------------------------
    def bind(self, values: tuple[int, ...]) -> Bound:
        """The table and steps for these values of the symbols."""
        found = self.bound.get(values)
        if found is None:
            if len(self.bound) >= 256:
                self.bound.clear()
            found = self.bound[values] = self._bind(dict(zip(self.symbols, values)))
        return found

    def _bind(self, env: dict[str, int]) -> Bound:
        program = self.program
        out = Bound()
        out.env = env
        words: list[int] = [0] * (1 + sum(1 for s in self.slot.values() if s > 0))
        extra: dict[tuple[str, int], int] = {}

        def word(kind: str, value: int) -> int:
            at = extra.get((kind, value))
            if at is None:
                at = extra[(kind, value)] = len(words)
                words.append(value)
            return at

        def buffer_word(b: int) -> int:
            s = self.slot[b]
            if s < 0:
                return word("cell", self.cells.ctypes.data + 8 * (-1 - s))
            return s

        inside: dict[tuple[int, int], int] = {}

        def derived(base: int, nbytes: int) -> int:
            """The table index of an address inside the buffer whose address stands at `base`."""
            at = inside.get((base, nbytes))
            if at is None:
                at = inside[base, nbytes] = word("inside", len(inside))
            return at

        out.stretches = []
        run: list[PlanStep] = []
        scratch = 0

        def close() -> None:
            nonlocal scratch
            if run:
                out.stretches.append((encode_plan(run), len(run), scratch))
                run.clear()
            scratch = 0

        for n, step in enumerate(program.steps):
            if isinstance(step, HostStep):
                close()
                out.stretches.append(step)
                continue
            if isinstance(step, KernelStep):
                planned, need = self._kernel_step(n, step, env, word, buffer_word, derived)
            else:
                planned, need = self._call_step(step, env, word, buffer_word, derived)
            if planned is not None:
                run.append(planned)
                scratch = max(scratch, need)
                if self.one_by_one:
                    close()
        close()
        out.arena_bytes = dims.evaluate(self.arena, env)
        out.temps = [
            (self.slot[b], dims.evaluate(self.offsets[b], env))
            for b in self.temps
            if b in self.offsets
        ]
        out.out_bytes = [
            max(1, dims.evaluate(program.buffers[b].nbytes, env)) for b in program.outputs
        ]
        out.error = np.zeros(ERROR_WORDS, np.int64)
        words[0] = out.error.ctypes.data
        out.table = np.array(words, np.int64)
        out.derived = None
        if inside:
            places = np.array([(at, *place) for place, at in inside.items()], np.int64)
            out.derived = (places[:, 0].copy(), places[:, 1].copy(), places[:, 2].copy())
        out.arena_addr = 0
        stretches: list[Any] = []
        for s in out.stretches:
            if isinstance(s, HostStep):
                stretches.append(s)
            else:
                plan, count, need = s
                stretches.append(
                    self.library.record(plan, count, out.table, scratch_per_thread=need)
                )
        out.stretches = stretches
        return out

    def _kernel_step(
        self,
        n: int,
        step: KernelStep,
        env: Sizes,
        word: Word,
        buffer_word: Callable[[int], int],
        derived: Callable[[int, int], int],
    ) -> Planned:
        from tracec_codegen.llvm.emit import scratch_bytes

        kernel = step.kernel
        local = {
            s.name: dims.evaluate(d, env) for s, d in zip(kernel.sizes, step.sizes, strict=True)
        }
        extent = dims.evaluate(kernel.extent, local)
        if extent <= 0:
            return None, 0
        arguments = [0] if kernel.uses_error else []
        places = [buffer_word(b) for b in step.args]
        for i, offset in enumerate(step.offsets):
            if offset:
                size = self.program.buffers[step.args[i]].dtype.itemsize
                places[i] = derived(places[i], offset * size)
        arguments += places
        arguments += [word("size", local[s.name]) for s in kernel.sizes]
        each = max(kernel.cost, 1e-3)
        grain = max(1, int(GRAIN / each))
        if each * extent < PARALLEL:
            grain = max(grain, extent)
        need = dims.evaluate(scratch_bytes(kernel), local)
        return PlanStep(self.addresses[n], arguments, word("size", extent), grain), need

    def _call_step(
        self,
        step: CallStep,
        env: Sizes,
        word: Word,
        buffer_word: Callable[[int], int],
        derived: Callable[[int, int], int],
    ) -> Planned:
        extent = dims.evaluate(step.extent, env)
        if extent <= 0:
            return None, 0
        arguments = []
        values = [0 if isinstance(w, Ref) else dims.evaluate(w, env) for w in step.words]
        for w, value in zip(step.words, values, strict=True):
            if isinstance(w, Ref):
                offset = dims.evaluate(w.offset, env)
                at = buffer_word(w.buffer)
                if offset:
                    size = self.program.buffers[w.buffer].dtype.itemsize
                    arguments.append(derived(at, offset * size))
                else:
                    arguments.append(at)
            else:
                arguments.append(word("size", value))
        # From the sizes of this binding: what the scheduler knew were hints.
        need, grain = self.library.call_needs(step.symbol, values, extent)
        address = self.library.address(step.symbol)
        return PlanStep(address, arguments, word("size", extent), grain), need

    # -- running ----------------------------------------------------------------------------------
    def run(
        self, buffers: list[Buffer], scalars: list[Any], values: tuple[int, ...] = ()
    ) -> list[Any]:
        """Runs on input buffers and Python numbers; returns the output buffers (None where the
        position is -1). `values` are those of the symbols, in the order of `symbols`."""
        bound = self.bind(values)
        if scalars:
            self.pack(self.cells.data, 0, *scalars)
        outputs: list[Buffer] = []
        donated = self.donated
        for j, nbytes in enumerate(bound.out_bytes):
            source = donated.get(j)
            outputs.append(allocate(nbytes) if source is None else buffers[source])
        words = [b.addr for b in buffers]
        words += [b.addr for b in outputs]
        arena = allocate(bound.arena_bytes) if bound.arena_bytes else None
        if arena is not None and arena.addr != bound.arena_addr:
            bound.arena_addr = arena.addr
            for at, offset in bound.temps:
                bound.table[at] = arena.addr + offset
        if bound.derived is not None:
            bound.table[1 : 1 + len(words)] = words
            inside, base, distance = bound.derived
            bound.table[inside] = bound.table[base] + distance
        launch = self.library.launch
        for stretch in bound.stretches:
            if stretch.__class__ is HostStep:
                self._host(stretch, bound, buffers, scalars, outputs, arena)
                continue
            status = launch(stretch.address, *words)
            if status:
                self._fail(status, bound)
        counters.kernels += len(self.program.steps)
        return [None if p < 0 else outputs[p] for p in self.position]

    def _fail(self, status: int, bound: Bound) -> None:
        try:
            check_status(status, bound.error)
        except NativeError as error:
            site = self.program.errors[error.code - 1]
            bound.error[:] = 0
            size = dims.evaluate(site.size, bound.env)
            where = f" (recorded at {site.loc})" if site.loc else ""
            raise IndexError(
                f"index {error.details[0]} is out of bounds for dimension {site.axis} with size "
                f"{size}{where}"
            ) from None
        finally:
            bound.error[:] = 0

    def _array(
        self,
        b: int,
        bound: Bound,
        buffers: list[Buffer],
        scalars: list[Any],
        outputs: list[Buffer],
        arena: Any,
    ) -> Any:
        program = self.program
        info = program.buffers[b]
        if info.scalar:
            position = next(n for n, (_, i) in enumerate(self.scalar_inputs) if i == b)
            return scalars[position]
        shape = tuple(dims.evaluate(d, bound.env) for d in info.shape)
        if info.role == "temp":
            offset = dims.evaluate(self.offsets[b], bound.env)
            return arena.array(shape, info.dtype.numpy, None, offset)
        at = self.slot[b] - 1
        buffer = buffers[at] if at < self.n_tensors else outputs[at - self.n_tensors]
        return buffer.array(shape, info.dtype.numpy)

    def _host(
        self,
        step: HostStep,
        bound: Bound,
        buffers: list[Buffer],
        scalars: list[Any],
        outputs: list[Buffer],
        arena: Any,
    ) -> None:
        counters.host_steps += 1
        args = [self._array(b, bound, buffers, scalars, outputs, arena) for b in step.args]
        attrs = {k: _resolve(v, bound.env) for k, v in step.attrs.items()}
        if step.regions:
            from .regions import control

            results = control(step, args, attrs, bound.env)
        else:
            results = step.reference()(*args, **attrs)
        if not isinstance(results, tuple):
            results = (results,)
        for b, value in zip(step.outs, results, strict=True):
            self._array(b, bound, buffers, scalars, outputs, arena)[...] = value


def _resolve(value: Any, env: dict[str, int]) -> Any:
    """An attribute with its symbolic sizes evaluated."""
    if isinstance(value, dims.Poly):
        return dims.evaluate(value, env)
    if isinstance(value, tuple):
        return tuple(_resolve(v, env) for v in value)
    return value


def _symbols(program: Program) -> set[str]:
    """The names of every symbolic size that the program mentions."""
    found = set(program.sizes)
    for b in program.buffers:
        for d in b.shape:
            found |= {s.name for s in dims.symbols(d)}
    for step in program.steps:
        if isinstance(step, KernelStep):
            for d in step.sizes:
                found |= {s.name for s in dims.symbols(d)}
        elif isinstance(step, CallStep):
            for w in (*step.words, step.extent):
                found |= {s.name for s in dims.symbols(w.offset if isinstance(w, Ref) else w)}
    return found
