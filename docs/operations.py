"""What the page of operations says of each: facts found by trying the op on its own samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from tracec_codegen.cuda import emit as cuda
from tracec_codegen.llvm import emit as llvm
from tracec_codegen.program import CallStep, KernelStep, Program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import dtypes, optable
from tracec_ir.autodiff import grad_func
from tracec_ir.builder import Builder, number_dtype
from tracec_ir.core import Func, Value
from tracec_ir.dtypes import DType
from tracec_ir.expand import expand
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, TensorType, Type

TARGET = named_target("avx2")  # the same page on every machine
# what the dtype column abbreviates
GROUPS = {
    "bool": (dtypes.b1,),
    "int": (dtypes.u8, dtypes.i8, dtypes.i16, dtypes.i32, dtypes.i64),
    "float": (dtypes.f16, dtypes.bf16, dtypes.f32, dtypes.f64),
    "complex": (dtypes.c64, dtypes.c128),
}
# parts that every expansion has and that say nothing of what is computed
_FILLERS = {"broadcast", "reshape", "cast", "const", "permute", "slice", "concat"}
_PARTS = 9  # names of a decomposition that are printed
_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError)


class Sample:
    """A sample of an op: operand types, attributes, regions."""

    def __init__(self, d: optable.OpDef, sample: tuple):
        self.op = d
        inputs, self.attrs, *rest = sample
        self.types = [_type_of(x) for x in inputs]
        self.regions = rest[0] if rest else ()

    def func(self, types: list[Type] | None = None) -> Func:
        b = Builder()
        params = [Value(t) for t in types or self.types]
        results = b.emit(self.op.name, params, self.attrs, self.regions)
        return b.func("f", params, results)


def _accepted(d: optable.OpDef) -> list[Sample]:
    """The samples that are not there to be refused."""
    assert d.samples is not None, f"{d.name} has no samples"
    return [Sample(d, s) for s in d.samples() if len(s) < 3 or not isinstance(s[2], type)]


def _type_of(x: object) -> Type:
    if isinstance(x, (np.ndarray, np.generic)):
        return TensorType(dtypes.by_numpy(x.dtype), x.shape)
    return ScalarType(number_dtype(x))


# -- columns --------------------------------------------------------------------------------------
def element_types(samples: list[Sample]) -> str:
    """The dtypes that the type rule accepts for the first tensor of a sample (and for all that have
    its dtype); a whole group is named by its kind."""
    accepted: set[str] = set()
    for sample in samples[:1] if samples[0].op.is_primitive else samples:
        tensors = [t for t in sample.types if isinstance(t, TensorType)]
        if not tensors:
            return ""
        first = next((t.dtype for t in tensors if t.dtype.kind in "fc"), tensors[0].dtype)
        for dtype in (t for group in GROUPS.values() for t in group):
            if dtype.code not in accepted and _accepts(sample, first, dtype):
                accepted.add(dtype.code)
    return " ".join(_named(accepted))


def _accepts(sample: Sample, first: DType, dtype: DType) -> bool:
    if sample.regions:
        return dtype is first
    try:
        sample.func(
            [
                t.with_dtype(dtype) if isinstance(t, TensorType) and t.dtype is first else t
                for t in sample.types
            ]
        )
    except _REFUSALS:
        return False
    return True


def _named(codes: set[str]) -> Iterator[str]:
    for name, group in GROUPS.items():
        inside = [t.code for t in group if t.code in codes]
        yield from [name] if len(inside) == len(group) else inside


def derivative(samples: list[Sample]) -> str:
    """own (a rule of its own), parts (that of its parts), partly (of some operands) or no."""
    d = samples[0].op
    for sample in () if d.nondiff else samples:
        func = sample.func()
        floats = [i for i, p in enumerate(func.params) if _has_gradient(p.type)]
        if floats and any(_has_gradient(r.type) for r in func.results):
            try:
                grad_func(func, floats)
            except NotImplementedError:
                return "no" if d.vjp else "partly"
            return "own" if d.vjp else "parts"
    return "no"


def _has_gradient(t: Type) -> bool:
    return isinstance(t, TensorType) and t.dtype.kind in "fc"


def native(sample: Sample) -> tuple[str, str]:
    """What the op becomes on the LLVM tier and on the CUDA tier: "kernel", "host" (NumPy), both, or
    "-" where nothing is left to compute."""
    func = sample.func()
    if any(isinstance(r.type, ScalarType) for r in func.results):
        return "host", "host"
    program = schedule(lower(func), TARGET)
    on_gpu = {"gemm": "kernel"}  # cuda/gemm.py; nothing there does convolutions
    return (
        _tier(program, lambda k: llvm.emit(k, TARGET), lambda symbol: "library"),
        _tier(program, cuda.emit, lambda symbol: on_gpu.get(symbol[:4], "missing")),
    )


def _tier(program: Program, emit: Callable, called: Callable[[str], str]) -> str:
    found = set()
    for step in program.steps:
        if isinstance(step, KernelStep):
            try:
                emit(step.kernel)
                found.add("kernel")
            except NotImplementedError:
                found.add("host")
        else:
            found.add(called(step.symbol) if isinstance(step, CallStep) else "host")
    return " + ".join(sorted(found, reverse=True)) or "-"


def parts(sample: Sample) -> str:
    """The primitives that the op expands to, in order of first use."""
    func = expand(sample.func())
    names = [f"host:{op.attrs['fn']}" if op.name == "host" else op.name for op in func.ops]
    telling = list(dict.fromkeys(n for n in names if n not in _FILLERS))
    shown = telling or list(dict.fromkeys(names))
    more = len(shown) - _PARTS
    return " ".join(shown[:_PARTS]) + (f" and {more} more" if more > 0 else "")


# -- the page -------------------------------------------------------------------------------------
def _rows(definitions: list[optable.OpDef]) -> Iterator[str]:
    composite = not definitions[0].is_primitive
    yield "| operation | what it computes | dtypes | derivative | LLVM | CUDA |" + (
        " made of |" if composite else ""
    )
    yield "| --- | --- | --- | --- | --- | --- |" + (" --- |" if composite else "")
    for d in definitions:
        samples = _accepted(d)
        sample = samples[0]
        operands = ", ".join([*d.operands, *(["..."] if d.variadic else [])])
        attributes = ", ".join(
            f"{name}={d.defaults[name]!r}" if name in d.defaults else name for name in d.attrs
        )
        signature = f"`{d.name}({operands})`" + (f" `[{attributes}]`" if attributes else "")
        line = " ".join(d.doc.partition("\n\n")[0].split())
        cells = [signature, line, element_types(samples), derivative(samples), *native(sample)]
        if composite:
            cells.append(parts(sample))
        yield "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def page() -> str:
    """Every operation of the IR, from the op table."""
    definitions = sorted(optable.all_ops().values(), key=lambda d: d.name)
    primitives = [d for d in definitions if d.is_primitive]
    composites = [d for d in definitions if not d.is_primitive]
    groups = "; ".join(f"{n}: {' '.join(t.code for t in g)}" for n, g in GROUPS.items())
    return "\n".join(
        [
            "# Operations of the IR",
            "",
            "Generated by `docs/generate.py` by trying each operation on the samples of its own",
            "definition in `tracec_ir`, which the tests run, too. The interpreter, the tier that",
            "defines the others, computes all of them.",
            "",
            f"- dtypes: what the first tensor may hold ({groups}).",
            "- derivative: *own*, a rule in the definition; *parts*, that of the operations it is",
            "  made of; *partly*, that of some operands only; *no*.",
            "- LLVM, CUDA: *kernel*, a fused kernel; *library*, the precompiled native library;",
            "  *host*, a step in NumPy between kernels; *missing*, not there yet; *-*, nothing is",
            "  left to compute.",
            "",
            f"## Primitives ({len(primitives)})",
            "",
            *_rows(primitives),
            "",
            f"## Composites ({len(composites)})",
            "",
            "A composite expands to primitives; it is recorded as one instruction. The last column",
            "leaves out constants, casts and changes of shape where others tell more.",
            "",
            *_rows(composites),
            "",
        ]
    )
