"""Kernels to CUDA C: one `extern "C" __global__ void name(...)` per kernel.

Parameters in order: the buffers, the sizes, the error record if the kernel uses one, and, if it has
scratch arrays, the global memory that they take when they are too big for shared memory.
Statements outside of the loops that threads share are computed by all threads of a block alike;
only thread 0 stores there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracec_ir.dims import Dim
from tracec_ir.dtypes import i64

from ..kernel.core import (
    ArgUpdate,
    Buf,
    Check,
    Const,
    IndexValue,
    Kernel,
    Load,
    Loop,
    Scalar,
    Scratch,
    Store,
    Update,
)
from . import math
from .barriers import Pending
from .launch import Launch, choose, padded
from .loops import LoopEmitter
from .prelude import PRELUDE
from .state import State
from .types import from_memory, header, literal, memory_type, to_memory
from .walk import storage


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a kernel function. `kind`: "buffer", "size", "error" or "scratch"."""

    kind: str
    type: str
    name: str


@dataclass(frozen=True, slots=True)
class Unit:
    """A kernel as CUDA C: the text of its function, and what compiling and launching it need."""

    name: str
    text: str
    parameters: tuple[Parameter, ...]
    launch: Launch
    headers: frozenset[str]


def emit(kernel: Kernel) -> Unit:
    """The CUDA C of a kernel. NotImplementedError names what it cannot express."""
    return _KernelEmitter(kernel).run()


def module_text(units: Iterable[Unit]) -> str:
    """A module with these kernels: headers, the prelude, the functions."""
    units = list(units)
    headers = sorted({h for u in units for h in u.headers})
    includes = "".join(f"#include <{h}>\n" for h in headers)
    return includes + PRELUDE + "".join("\n" + u.text for u in units)


class _KernelEmitter:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.launch = choose(kernel)
        self.s = State(kernel)
        self.pending = Pending(storage(kernel))
        self.loops = LoopEmitter(self.s, self.launch, self.pending, self.body)

    def run(self) -> Unit:
        kernel, s = self.kernel, self.s
        parameters = self._parameters()
        has_scratch = any(p.kind == "scratch" for p in parameters)
        text = []
        if kernel.origin:
            text.append(f"// {' '.join(kernel.origin)}")
        if has_scratch:
            text.append("extern __shared__ __align__(16) unsigned char dynamic_shared[];")
        listed = ", ".join(f"{p.type} {p.name}" for p in parameters)
        text.append(f'extern "C" __global__ void __launch_bounds__({self.launch.threads})')
        text.append(f"{kernel.name}({listed}) {{")
        if has_scratch:
            self._scratch()
        for statement in kernel.body:
            if not isinstance(statement, Scratch):
                self.body([statement])
        text += [*s.lines, "}"]
        headers = {header(d) for d in s.buffers.values()} | {header(d) for d in s.types.values()}
        return Unit(kernel.name, "\n".join(text) + "\n", parameters, self.launch,
                    frozenset(headers - {""}))  # fmt: skip

    def _parameters(self) -> tuple[Parameter, ...]:
        kernel, names = self.kernel, self.s.names
        shared = {n for b in kernel.bufs if b.alias for n in (b.name, b.alias)}
        out = []
        for b in kernel.bufs:
            restrict = "" if b.name in shared else " __restrict__"
            out.append(Parameter("buffer", f"{_pointer(b)}{restrict}", names(b.name)))
        out += [Parameter("size", "long long", names(size.name)) for size in kernel.sizes]
        if kernel.uses_error:
            out.append(Parameter("error", "tc::Error*", "error"))
        if any(isinstance(x, Scratch) for x in kernel.body):
            out.append(Parameter("scratch", "unsigned char*", "scratch"))
        return tuple(out)

    def _scratch(self) -> None:
        """Pointers to the scratch arrays: in shared memory, or in the block's part of `scratch`."""
        s = self.s
        total = s.index(self.launch.scratch)
        s.line("unsigned char* const area = scratch == nullptr ? dynamic_shared")
        s.line(f"    : scratch + ((long long)blockIdx.y * gridDim.x + blockIdx.x) * ({total});")
        offset: Dim = 0
        for x in self.kernel.body:
            if isinstance(x, Scratch):
                type = memory_type(x.dtype)
                s.line(f"{type}* const {s.names(x.name)} = ({type}*)(area + {s.index(offset)});")
                offset = offset + padded(x)

    # ---- statements ----------------------------------------------------------------------------

    def body(self, body: list) -> None:
        """Emit statements in order."""
        for statement in body:
            if isinstance(statement, Loop):
                self.loops.loop(statement)
                continue
            if not self.s.alone and self.pending.conflicts([statement]):
                self.s.line("__syncthreads();")
                self.pending.barrier()
            self._simple(statement)
            if not self.s.alone:
                self.pending.passed([statement])

    def _simple(self, st: Any) -> None:
        s = self.s
        if isinstance(st, Const):
            s.define(st.name, st.dtype, literal(st.value, st.dtype))
        elif isinstance(st, Scalar):
            types = [s.types[a] for a in st.args]
            args = [s.names(a) for a in st.args]
            s.define(st.name, st.dtype, math.expression(st.op, args, types, st.dtype))
        elif isinstance(st, IndexValue):
            text = s.index(st.index)
            wide = st.dtype is i64
            s.define(st.name, st.dtype, text if wide else math.convert(f"({text})", i64, st.dtype))
        elif isinstance(st, Load):
            self._load(st)
        elif isinstance(st, Store):
            self._store(st)
        elif isinstance(st, (Update, ArgUpdate)):
            self.loops.update(st)
        elif isinstance(st, Check):
            first = "" if s.alone else "threadIdx.x == 0 && "
            s.line(f"if ({first}!{s.names(st.ok)}) "
                   f"tc::fail(error, {st.code}, (long long){s.names(st.value)});")  # fmt: skip
        else:
            raise TypeError(f"not a kernel statement: {st!r}")

    def _load(self, st: Load) -> None:
        s = self.s
        dtype = s.buffers[st.buf]
        value = from_memory(f"{s.names(st.buf)}[{s.index(st.index)}]", dtype)
        if st.mask:
            value = f"{s.names(st.mask)} ? {value} : {literal(st.other, dtype)}"
        s.define(st.name, st.dtype, value)

    def _store(self, st: Store) -> None:
        s = self.s
        dtype = s.buffers[st.buf]
        place, value = f"{s.names(st.buf)}[{s.index(st.index)}]", s.names(st.value)
        if st.combine:
            value = math.combine(st.combine, from_memory(place, dtype), value)
        conditions = [] if s.alone else ["threadIdx.x == 0"]
        if st.mask:
            conditions.append(s.names(st.mask))
        guard = f"if ({' && '.join(conditions)}) " if conditions else ""
        s.line(f"{guard}{place} = {to_memory(value, dtype)};")


def _pointer(b: Buf) -> str:
    return f"{'const ' if b.mode == 'in' else ''}{memory_type(b.dtype)}*"

