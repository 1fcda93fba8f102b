"""The program: steps over buffers, what codegen hands to the runtime.

Everything here is plain data. Buffer ids index `Program.buffers`; sizes are dims over the symbols
that `Program.sizes` says how to read off the inputs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from tracec_ir import dims
from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType
from tracec_ir.optable import lookup

from .encode import decode, encode, record
from .kernel.core import Kernel


@record
@dataclass(slots=True)
class Buffer:
    """Memory for `count` elements. `role`: "input", "output" or "temp"; `index` is the number of
    the input or output. A scalar input is one 8-byte cell (`scalar` is true; i64 or f64)."""

    dtype: DType
    shape: tuple[Dim, ...]
    role: str
    index: int = -1
    scalar: bool = False

    @property
    def count(self) -> Dim:
        """How many elements it holds."""
        return dims.product(self.shape)

    @property
    def nbytes(self) -> Dim:
        """Its size in bytes."""
        return self.count * self.dtype.itemsize


@record
@dataclass(slots=True)
class KernelStep:
    """One launch. `args[i]` is the buffer bound to `kernel.bufs[i]`, from its element `offsets[i]`
    on (none: from the first); the values of the kernel's `sizes` are dims over the program's
    symbols, in order."""

    kernel: Kernel
    args: tuple[int, ...]
    sizes: tuple[Dim, ...] = ()
    cost: float = 0.0  # estimated nanoseconds of the whole step on one core
    offsets: tuple[int, ...] = ()

    @property
    def reads(self) -> set[int]:
        """Buffers that it reads."""
        modes = zip(self.kernel.bufs, self.args, strict=True)
        return {a for b, a in modes if b.mode != "out"}

    @property
    def writes(self) -> set[int]:
        """Buffers that it writes."""
        return {a for b, a in zip(self.kernel.bufs, self.args, strict=True) if b.mode != "in"}


@record
@dataclass(frozen=True, slots=True)
class Ref:
    """The address of element `offset` of a buffer."""

    buffer: int
    offset: Dim = 0


@record
@dataclass(slots=True)
class CallStep:
    """A call of `symbol` of the native library, which follows the kernel ABI. `words` are its
    arguments in order: addresses (Ref) and i64 numbers (dims). It is launched over `extent`
    iterations, with the runner's `grain` and `scratch` bytes for each thread. `adds`: it adds to
    what the `outs` hold."""

    symbol: str
    words: tuple[Ref | Dim, ...]
    outs: tuple[int, ...]
    extent: Dim = 1
    grain: int = 1
    scratch: int = 0
    cost: float = 0.0
    origin: tuple[str, ...] = ()
    adds: bool = False

    @property
    def reads(self) -> set[int]:
        """Buffers that it reads."""
        named = {w.buffer for w in self.words if isinstance(w, Ref)}
        return named if self.adds else named - set(self.outs)

    @property
    def writes(self) -> set[int]:
        """Buffers that it writes."""
        return set(self.outs)


@record
@dataclass(slots=True)
class HostStep:
    """The NumPy reference of primitive `op` on whole arrays: what has no kernel (yet). `regions`
    are the texts of the op's regions."""

    op: str
    args: tuple[int, ...]
    outs: tuple[int, ...]
    attrs: dict
    cost: float = 0.0
    reason: str = ""
    origin: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def reference(self) -> Callable:
        """What computes it: `(*arrays, **attrs) -> array or tuple of arrays`."""
        return _reference(self.op, self.regions)

    @property
    def reads(self) -> set[int]:
        """Buffers that it reads."""
        return set(self.args)

    @property
    def writes(self) -> set[int]:
        """Buffers that it writes."""
        return set(self.outs)


@cache
def _reference(op: str, regions: tuple[str, ...]) -> Callable:
    fn = lookup(op).numpy
    if fn is None:
        raise NotImplementedError(f"op '{op}' has no NumPy reference")
    if not regions:
        return fn
    from tracec_ir.interp import closures
    from tracec_ir.parser import parse_func

    return partial(fn, regions=[closures(parse_func(text)) for text in regions])


Step = KernelStep | CallStep | HostStep


@record
@dataclass(slots=True)
class ErrorSite:
    """What error code `1 + index` of a kernel means: an index of `op` was outside `size`."""

    op: str
    axis: int
    size: Dim
    loc: str


@record
@dataclass(slots=True)
class Program:
    """Steps in order. `inputs[i]` and `outputs[j]` are buffer ids; `sizes` maps a symbol to the
    (input, axis) that has it; `donations` maps an output to the input whose memory it takes."""

    name: str
    buffers: list[Buffer]
    inputs: list[int]
    outputs: list[int]
    steps: list[Step]
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    donations: dict[int, int] = field(default_factory=dict)
    errors: list[ErrorSite] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Estimated nanoseconds of one run on one core."""
        return sum(step.cost for step in self.steps)

    def to_json(self) -> str:
        """The program as text, kernels included."""
        return json.dumps(encode(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Program:
        """The program that `to_json` wrote; ValueError if it is something else."""
        try:
            out = decode(json.loads(text))
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise ValueError(f"not a stored program: {error}") from None
        if not isinstance(out, Program):
            raise ValueError("not a stored program")
        return out

    def __str__(self) -> str:
        return format_program(self)


def buffer_name(program: Program, i: int) -> str:
    """How buffer `i` is called in printed programs: in0, out1, tmp5."""
    b = program.buffers[i]
    return {"input": f"in{b.index}", "output": f"out{b.index}"}.get(b.role, f"tmp{i}")


def format_program(program: Program, kernels: bool = False) -> str:
    """The program as text for `explain()`; `kernels` adds the loops of each kernel."""
    from .kernel.printer import kernel_text

    lines = [f"program {program.name}"]
    for i, b in enumerate(program.buffers):
        shape = " x ".join(map(str, b.shape))
        lines.append(
            f"  {buffer_name(program, i)}: {b.dtype.code}[{shape}]" + (" scalar" * b.scalar)
        )
    for step in program.steps:
        lines.append("  " + _step_text(program, step))
        if kernels and isinstance(step, KernelStep):
            lines += ["    " + line for line in kernel_text(step.kernel).splitlines()]
    lines += [f"  out{o} shares the memory of in{i}" for o, i in program.donations.items()]
    lines += ["  note: " + note for note in program.notes]
    return "\n".join(lines)


def _step_text(program: Program, step: Step) -> str:
    def names(ids: Any) -> str:
        return ", ".join(buffer_name(program, i) for i in ids)

    if isinstance(step, KernelStep):
        modes = [b.mode for b in step.kernel.bufs]
        args = list(zip(modes, step.args, strict=True))
        outs = names(a for m, a in args if m != "in")
        ins = names(a for m, a in args if m == "in")
        text = f"{outs} = kernel {step.kernel.name}({ins})"
        if any(step.offsets):
            text += f" at {', '.join(map(str, step.offsets))}"
        origin = step.kernel.origin
    elif isinstance(step, CallStep):
        words = ", ".join(
            buffer_name(program, w.buffer) + (f"+{w.offset}" if w.offset != 0 else "")
            if isinstance(w, Ref) else str(w)
            for w in step.words
        )  # fmt: skip
        text = f"{names(step.outs)} = call {step.symbol}({words})"
        origin = step.origin
    else:
        text = f"{names(step.outs)} = host {step.op}({names(step.args)})  ({step.reason})"
        origin = step.origin
    return f"{text}  # {step.cost:.0f} ns: {' '.join(origin)}"
