"""The kernel dialect: loops over index expressions, loads, stores and scalar arithmetic.

Both emitters (LLVM, CUDA C) read this and nothing else. A kernel is a tree of statements; scalar
values have string names (`%3`), each assigned once; index expressions are dims (`tracec_ir.dims`)
whose symbols name loop variables, size arguments, or integer scalar values of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType

Number = int | float | bool


@dataclass(frozen=True, slots=True)
class Buf:
    """A buffer argument. `mode`: "in", "out" or "inout". Buffers never alias unless `alias` names
    the input whose memory an output may share element by element (same index, read before
    write)."""

    name: str
    dtype: DType
    mode: str = "in"
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Size:
    """An i64 argument: the run-time value of a symbolic size; its `name` is the symbol."""

    name: str


@dataclass(slots=True)
class Const:
    """name = number."""

    name: str
    value: Number
    dtype: DType


@dataclass(slots=True)
class Scalar:
    """name = op(args): `op` is a pointwise primitive of the op table ("add", "exp", "select", ...)
    or "cast"; `dtype` is the result's, operand dtypes are those of the arguments."""

    name: str
    op: str
    args: tuple[str, ...]
    dtype: DType
    attrs: dict = field(default_factory=dict)


@dataclass(slots=True)
class IndexValue:
    """name = the value of an index expression, as an i64 scalar (lane-dependent in vector
    loops)."""

    name: str
    index: Dim
    dtype: DType


@dataclass(slots=True)
class Load:
    """name = buf[index]; where `mask` (a b1 scalar) is false nothing is read and the value is
    `other`."""

    name: str
    buf: str
    index: Dim
    dtype: DType
    mask: str = ""
    other: Number = 0


@dataclass(slots=True)
class Store:
    """buf[index] = value, unless `mask` is false. `combine`: "" overwrites; "add", "mul", "min",
    "max" update the element (never concurrently: only in serial loops or with disjoint indices)."""

    buf: str
    index: Dim
    value: str
    mask: str = ""
    combine: str = ""


@dataclass(slots=True)
class Carry:
    """An accumulator of a loop: starts as `init`, takes `combine(acc, update)` each iteration.
    `combine`: "sum", "prod", "max", "min" (NaN wins), "any", "all", or "last". After the loop
    `name` is the result. Inside a "serial" loop `name` may be read (scans); in a "reduce" loop
    it may not, and the emitter may keep several partial accumulators."""

    name: str
    init: Number | str  # a number, or the name of a scalar of the enclosing scope
    combine: str
    dtype: DType


@dataclass(slots=True)
class Update:
    """acc = combine(acc, value); `mask` false leaves it. Only directly in the body of acc's
    loop."""

    carry: str
    value: str
    mask: str = ""


@dataclass(slots=True)
class ArgCarry:
    """A (value, index) accumulator for argmax/argmin: first best wins, NaN wins. Results are
    `name` (value) and `index_name` (i64)."""

    name: str
    index_name: str
    combine: str  # "max" or "min"
    dtype: DType


@dataclass(slots=True)
class ArgUpdate:
    """Considers (value, position) for an ArgCarry; `position` is an index expression."""

    carry: str
    value: str
    position: Dim


@dataclass(slots=True)
class Loop:
    """for var in [0, extent). `kind`:
    "parallel": only as the outermost statement; the launcher passes the range [lo, hi) to do;
    "serial": in order; "vector": lanes independent, indices unit-stride preferred; the emitter
    uses SIMD with a masked tail; "reduce": as "vector", with carries combined across lanes.
    `unroll` is a hint."""

    var: str
    extent: Dim
    kind: str
    body: list
    carries: list = field(default_factory=list)
    unroll: int = 0


@dataclass(slots=True)
class Scratch:
    """A per-thread array (in the scratch area) of `count` elements, addressed like a buffer."""

    name: str
    dtype: DType
    count: Dim


@dataclass(slots=True)
class Check:
    """If `ok` (b1) is false for an active lane: error record gets `code` and the offending i64
    `value`, once; the kernel goes on with safe values (indices are clamped by the producer)."""

    ok: str
    code: int
    value: str


@dataclass(slots=True)
class Kernel:
    """A kernel. Arguments in order: `bufs`, then `sizes`. Body: scratch declarations, then either
    one parallel loop or plain statements (then the extent is 1). `uses_error`: word 0 of the
    arguments is the error record. `cost`: estimated nanoseconds per iteration of the parallel
    loop."""

    name: str
    bufs: list[Buf]
    sizes: list[Size]
    body: list
    uses_error: bool = False
    cost: float = 1.0
    origin: tuple[str, ...] = ()  # the tensor ops it came from, for explain()

    @property
    def extent(self) -> Dim:
        """The extent of the parallel loop (1 if there is none)."""
        last = self.body[-1] if self.body else None
        return last.extent if isinstance(last, Loop) and last.kind == "parallel" else 1


Stmt = Const | Scalar | IndexValue | Load | Store | Update | ArgUpdate | Loop | Scratch | Check
