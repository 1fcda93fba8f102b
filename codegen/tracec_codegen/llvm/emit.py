"""Kernels to LLVM IR text: one function `void name(ptr args, i64 lo, i64 hi, ptr scratch)`.

`args` are 8-byte words: the error record's address if the kernel uses one, the buffers'
addresses, the sizes.  The error record is described in runner.py: a failing Check puts its code
into word 0 if that is 0, and then the offending value into word 2.
"""

from __future__ import annotations

from typing import Any

from tracec_ir.dims import Dim, floordiv
from tracec_ir.dtypes import b1, i64

from ..kernel.core import (
    ArgUpdate,
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
from ..target import Target
from . import quotient
from .index import IndexEmitter
from .loops import LoopEmitter
from .memory import MemoryEmitter
from .scalar import lower
from .state import State, Val, register_type
from .text import Module, Value, constant

_SCRATCH_ALIGN = 64


def emit(kernel: Kernel, target: Target) -> str:
    """LLVM IR text of a module with the kernel's function."""
    module = Module()
    emit_into(module, kernel, target)
    return str(module)


def emit_into(module: Module, kernel: Kernel, target: Target) -> None:
    """Add the kernel's function to a module, so that several compile at once."""
    parameters = [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("scratch", "ptr")]
    attributes = "nounwind"
    if target.vector_bits == 512:
        attributes += ' "prefer-vector-width"="512"'
    function = module.function(kernel.name, parameters, attributes=attributes)
    _KernelEmitter(State(kernel, target, module, function)).run()


def scratch_bytes(kernel: Kernel) -> Dim:
    """Bytes of scratch one thread needs."""
    return sum((_padded(s) for s in kernel.body if isinstance(s, Scratch)), start=0)


def _padded(s: Scratch) -> Dim:
    size = s.count * s.dtype.itemsize
    return floordiv(size + (_SCRATCH_ALIGN - 1), _SCRATCH_ALIGN) * _SCRATCH_ALIGN


class _KernelEmitter:
    def __init__(self, state: State) -> None:
        self.s = state
        self.index = IndexEmitter(state)
        self.memory = MemoryEmitter(state, self.index)
        self.loops = LoopEmitter(state, self.index, self.body)

    def run(self) -> None:
        s, f = self.s, self.s.f
        kernel = s.kernel
        args, low, high, scratch = f.parameters
        word = 0
        if kernel.uses_error:
            s.error = f.load("ptr", args, 8)
            word = 1
        for b in kernel.bufs:
            s.buffers[b.name] = (f.load("ptr", f.gep(args, word, "i64"), 8), b.dtype)
            word += 1
        for size in kernel.sizes:
            s.define(size.name, f.load("i64", f.gep(args, word, "i64"), 8), i64, natural=True)
            word += 1
        offset: Dim = 0
        for statement in kernel.body:
            if isinstance(statement, Scratch):
                where = offset if isinstance(offset, int) else self.index.uniform(offset)
                s.buffers[statement.name] = (f.gep(scratch, where, "i8"), statement.dtype)
                offset = offset + _padded(statement)
            elif isinstance(statement, Loop) and statement.kind == "parallel":
                self.loops.loop(statement, low, high)
            else:
                self.body([statement])
        self.loops.stream.fence()
        f.ret()

    def body(self, body: list) -> None:
        """Emit statements in order."""
        for statement in body:
            self.statement(statement)

    def statement(self, st: Any) -> None:
        if isinstance(st, (Const, Scalar, IndexValue, Load)):
            found = self.s.find(st.name)
            if found is not None and found.level < self.s.depth:
                return  # emitted in front of the loop by an earlier copy of this body
        if isinstance(st, Const):
            value = constant(register_type(st.dtype), st.value)
            self.s.define(st.name, value, st.dtype, 0, number=st.value)
        elif isinstance(st, Scalar):
            self._scalar(st)
        elif isinstance(st, IndexValue):
            self._index_value(st)
        elif isinstance(st, Load):
            self.memory.load(st)
        elif isinstance(st, Store):
            self.memory.store(st)
        elif isinstance(st, (Update, ArgUpdate)):
            self.loops.update(st)
        elif isinstance(st, Check):
            self.memory.check(st)
        elif isinstance(st, Loop):
            self.loops.loop(st)
        else:
            raise TypeError(f"not a kernel statement: {st!r}")

    def _scalar(self, st: Scalar) -> None:
        s = self.s
        if st.name in s.known:
            s.define(st.name, constant("i1", s.known[st.name]), st.dtype, number=s.known[st.name])
            return
        args = [s.get(name) for name in st.args]
        settled = _settled(st, args)
        if settled is not None:
            # what holds in one piece of a cut loop must not outlive it
            level = s.depth if s.known else settled.level
            s.define(st.name, settled.value, st.dtype, level, settled.number)
            return
        level = max((a.level for a in args), default=0)
        lanes = max((a.lanes for a in args), default=1)
        if st.op == "div" and quotient.applies(s, *args):
            s.define(st.name, quotient.quotient(s, *args), st.dtype, level)
            return
        with s.at(level):
            values = [s.spread(a, lanes) for a in args]
            value = lower(s, st.op, values, tuple(a.dtype for a in args), st.dtype, st.attrs)
        s.define(st.name, value, st.dtype, level)

    def _index_value(self, st: IndexValue) -> None:
        s = self.s
        if s.lanes is not None and self.index.varies(st.index):
            level = max(self.index.level(st.index), s.lanes.level)
            value = self.index.lane_value(st.index)
            natural = False
        else:
            level = self.index.level(st.index)
            value = self.index.uniform(st.index)
            natural = self.index.nonnegative(st.index)
        s.define(st.name, self._narrowed(value, st, level), st.dtype, level, natural=natural)

    def _narrowed(self, value: Value, st: IndexValue, level: int) -> Value:
        if st.dtype.bits == 64:
            return value
        with self.s.at(level):
            return self.s.f.cast("trunc", value, register_type(st.dtype))


def _settled(st: Scalar, args: list[Val]) -> Val | None:
    """The operand that a boolean operation with a constant comes down to, if it does."""
    if st.op == "select" and args[0].number is not None:
        return args[1] if args[0].number else args[2]
    if st.op in ("bitwise_and", "bitwise_or"):
        for one, other in ((args[0], args[1]), (args[1], args[0])):
            if one.dtype is b1 and other.dtype is b1 and one.number is not None:
                return other if bool(one.number) == st.op.endswith("and") else one
    return None
