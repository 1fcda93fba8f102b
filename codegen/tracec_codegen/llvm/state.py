"""The state of emitting one kernel: scopes, hoisting of invariant code, lanes, values by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tracec_ir.dtypes import DType

from ..kernel.core import Kernel
from ..target import Target
from .text import Function, Module, Value, constant, lanes_of, vector_type

_REGISTER = {"b1": "i1", "f16": "float", "bf16": "float", "f32": "float", "f64": "double"}
_MEMORY = {"b1": "i8", "f16": "i16", "bf16": "i16", "f32": "float", "f64": "double"}


def register_type(dtype: DType) -> str:
    """LLVM type of a scalar in registers: half types live as float, bool as i1."""
    if dtype.kind in "iu":
        return f"i{dtype.bits}"
    if dtype.kind == "c":
        raise NotImplementedError(f"native kernels over {dtype.name}")
    return _REGISTER[dtype.code]


def memory_type(dtype: DType) -> str:
    """LLVM type of an element in memory."""
    return f"i{dtype.bits}" if dtype.kind in "iu" else _MEMORY[dtype.code]


@dataclass(frozen=True, slots=True)
class Val:
    """A kernel value: its LLVM value, element type and the scope depth it is defined at.

    `number` is set for constants, so that they need no broadcast; `natural` says that the value
    is a size or a loop variable, hence never negative.
    """

    value: Value
    dtype: DType
    level: int
    number: Any = None
    natural: bool = False

    @property
    def lanes(self) -> int:
        return lanes_of(self.value.type)


class Level:
    """A scope: names and cached pure values that hold while it is open, and where code that
    belongs to the scope around it can be put (`hoist`, the block before this scope's code)."""

    __slots__ = ("cache", "hoist", "names", "runs")

    def __init__(self, hoist: Any, runs: bool) -> None:
        self.names: dict[str, Val] = {}
        self.cache: dict[Any, Any] = {}
        self.hoist = hoist
        self.runs = runs


@dataclass(slots=True)
class Lanes:
    """The loop variable that runs across lanes: lane k stands for base + offset + k.

    `mask` marks the active lanes (None: all); `level` is the scope of the loop.
    """

    var: str
    count: int
    base: Value
    offset: int
    mask: Value | None
    level: int


class State:
    """Everything the parts of the emitter share while one kernel is emitted."""

    def __init__(self, kernel: Kernel, target: Target, module: Module, function: Function) -> None:
        self.kernel, self.target, self.module, self.f = kernel, target, module, function
        self.levels = [Level(None, True)]
        self.lanes: Lanes | None = None
        self.buffers: dict[str, tuple[Value, DType]] = {}
        self.error: Value | None = None
        written = {b.name for b in kernel.bufs if b.mode != "in"}
        written |= {b.alias for b in kernel.bufs if b.alias}
        self.read_only = {b.name for b in kernel.bufs} - written
        self.streaming = False
        self.narrow: dict[tuple[str, str], Value] = {}  # of 16-bit floats in registers: their bits
        self.known: dict[str, bool] = {}  # comparisons whose outcome is settled in this loop

    # ---- scopes ----------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Number of scopes open around the current one."""
        return len(self.levels) - 1

    @contextmanager
    def scope(self, *, runs: bool) -> Iterator[None]:
        """A new scope for code that may run never, once or often; `runs`: at least once.

        Code that does not depend on what the scope defines is put in front of it.
        """
        f = self.f
        hoist, inside = f.new_block("hoist"), f.new_block("enter")
        f.jump(hoist)
        f.start_block(hoist)
        level = Level(f._block, runs)
        f.start_block(inside)
        self.levels.append(level)
        try:
            yield
        finally:
            self.levels.pop()
        level.hoist.lines.append(f"  br label %{inside}")

    @contextmanager
    def at(self, level: int) -> Iterator[None]:
        """Emit into the scope of that depth, in front of the scopes inside it."""
        if level >= self.depth:
            yield
            return
        f, inner = self.f, self.levels[level + 1]
        saved = f._block
        f._block = inner.hoist
        # what is emitted meanwhile sees only the scopes up to `level`
        hidden = self.levels[level + 1:]
        del self.levels[level + 1:]
        lanes = self.lanes
        if lanes is not None and lanes.level > level:
            self.lanes = None
        try:
            yield
        finally:
            self.levels += hidden
            self.lanes = lanes
            inner.hoist = f._block
            f._block = saved

    def cached(self, level: int, key: Any, make: Callable[[], Any]) -> Any:
        """The value of a pure computation of scope `level`, computed there once."""
        cache = self.levels[level].cache
        if key not in cache:
            with self.at(level):
                cache[key] = make()
        return cache[key]

    def safe_level(self, level: int) -> int:
        """The outermost scope, `level` or deeper, where code runs only if it would here."""
        for depth in range(self.depth, level, -1):
            if not self.levels[depth].runs:
                return depth
        return level

    # ---- names -----------------------------------------------------------------------------

    def define(self, name: str, value: Value, dtype: DType, level: int | None = None,
               number: Any = None, natural: bool = False) -> None:
        """Give a kernel name its value, visible while scope `level` is open."""
        level = self.depth if level is None else level
        self.levels[level].names[name] = Val(value, dtype, level, number, natural)

    def find(self, name: str) -> Val | None:
        """The value of a kernel name, None if it has none yet."""
        for level in reversed(self.levels):
            found = level.names.get(name)
            if found is not None:
                return found
        return None

    def get(self, name: str) -> Val:
        """The value of a kernel name; KeyError names it."""
        found = self.find(name)
        if found is None:
            raise KeyError(f"kernel {self.kernel.name}: {name} is not defined here")
        return found

    def spread(self, val: Val, lanes: int) -> Value:
        """The value in `lanes` lanes, broadcast if it is a scalar."""
        if val.lanes == lanes:
            return val.value
        if val.lanes != 1:
            raise ValueError(f"{val.lanes} lanes where {lanes} are meant")
        if val.number is not None:
            return constant(vector_type(val.value.type, lanes), val.number)
        return self.cached(val.level, ("splat", str(val.value), lanes),
                           lambda: self.f.splat(val.value, lanes))
