"""The samples of the op table as programs whose kernels are CUDA C, emitted once per structure."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tests.cuda.emulate import Library
from tests.cuda.programs import TARGET
from tests.ops.driver import build, valid
from tests.unit.schedule.execute import run_program
from tracec_codegen.cuda.emit import Unit, emit
from tracec_codegen.kernel.core import Kernel
from tracec_codegen.kernel.printer import structural_key
from tracec_codegen.program import KernelStep, Program
from tracec_codegen.schedule import schedule
from tracec_ir import interp
from tracec_ir.autodiff import grad_func
from tracec_ir.core import Func
from tracec_ir.optable import all_ops
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, TensorType, Type

TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-5}
# composites are made of these, and their emission alone is checked (docs/generate.py)
OPS = tuple(n for n, d in all_ops().items() if d.is_primitive and n not in ("if", "while"))
_GRADIENTS = 6  # samples of an op whose gradient is taken


@dataclass(frozen=True)
class Sample:
    """A sample of an op, or its gradient: the function, its arguments, and its program."""

    func: Func
    inputs: tuple
    program: Program

    @property
    def kernels(self) -> list[Kernel]:
        return [s.kernel for s in self.program.steps if isinstance(s, KernelStep)]


@cache
def values(name: str) -> tuple[Sample, ...]:
    """The samples of an op that become kernels."""
    made = (_sample(build(case), case.inputs) for case in valid(all_ops()[name]))
    return tuple(s for s in made if s is not None)


@cache
def gradients(name: str) -> tuple[Sample, ...]:
    """The gradients of an op at its samples, as far as they become kernels."""
    rng = np.random.default_rng(0)
    out = []
    for case in valid(all_ops()[name])[:_GRADIENTS]:
        func = build(case)
        floats = [i for i, p in enumerate(func.params) if _differentiable(p.type)]
        if not floats or any(r.dtype.kind != "f" for r in func.results):
            continue
        try:
            gradient = grad_func(func, floats)
        except NotImplementedError:
            continue
        seeds = [np.asarray(rng.standard_normal(r.shape)) for r in func.results]
        seeds = [s.astype(r.dtype.numpy) for s, r in zip(seeds, func.results, strict=True)]
        out.append(_sample(gradient, (*case.inputs, *seeds)))
    return tuple(s for s in out if s is not None)


def _differentiable(t: Type) -> bool:
    return isinstance(t, TensorType) and t.dtype.kind == "f"


def _sample(func: Func, inputs: tuple) -> Sample | None:
    if any(isinstance(r.type, ScalarType) for r in func.results):
        return None
    sample = Sample(func, inputs, schedule(lower(func), TARGET))
    return sample if sample.kernels else None


def symbol_of(kernel: Kernel) -> str:
    return "k_" + structural_key(kernel)


def units(samples: Iterable[Sample]) -> list[Unit]:
    """The kernels of these samples, each structure once, named by it."""
    found: dict[str, Unit] = {}
    for sample in samples:
        for kernel in sample.kernels:
            key = symbol_of(kernel)
            if key not in found:
                found[key] = emit(replace(kernel, name=key))
    return list(found.values())


def agrees(sample: Sample, library: Library) -> None:
    """The emulated program computes what the interpreter computes."""

    def launch(kernel, arrays, sizes):
        unit = library.units[symbol_of(kernel)]
        library.launch(unit.name, unit.launch.geometry(sizes), arrays, list(sizes.values()))

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = run_program(sample.program, list(sample.inputs), launch)
        expected = interp.run(sample.func, *sample.inputs)
    for want, got in zip(expected, found, strict=True):
        want = np.asarray(want)
        assert want.shape == got.shape and want.dtype == got.dtype
        tolerance = TOLERANCE.get(want.dtype.name, 1e-6)
        if want.dtype.kind in "iub":
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64), rtol=tolerance, atol=tolerance
            )
