"""Every op of the table, and its gradient, scheduled and executed on its own samples."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.driver import build, symbolic_types, valid
from tests.unit.schedule.execute import run_program
from tracec_codegen.program import Program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import interp
from tracec_ir.autodiff import grad_func
from tracec_ir.optable import all_ops
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, TensorType

TARGET = named_target("avx2")
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 3e-5, "complex64": 3e-5}
OPS = list(all_ops())
SAMPLES = 6


def agrees(func, inputs) -> None:
    program = Program.from_json(schedule(lower(func), TARGET).to_json())
    found = run_program(program, list(inputs))
    for want, got in zip(interp.run(func, *inputs), found, strict=True):
        want = np.asarray(want)
        assert want.shape == got.shape and want.dtype == got.dtype
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        tolerance = TOLERANCE.get(want.dtype.name, 1e-6)
        np.testing.assert_allclose(
            got.astype(wide), want.astype(wide), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("name", OPS)
def test_values(name):
    for case in valid(all_ops()[name])[:SAMPLES]:
        func = build(case)
        if not any(isinstance(r.type, ScalarType) for r in func.results):
            agrees(func, case.inputs)


@pytest.mark.parametrize("name", OPS)
def test_symbolic_sizes(name):
    for case in valid(all_ops()[name])[:SAMPLES]:
        try:
            func = build(case, symbolic_types(case)[0])
        except (RuntimeError, IndexError, TypeError, ValueError, NotImplementedError):
            continue  # the sample's attributes state sizes
        if not any(isinstance(r.type, ScalarType) for r in func.results):
            agrees(func, case.inputs)


@pytest.mark.parametrize("name", OPS)
def test_gradients(name):
    rng = np.random.default_rng(0)
    for case in valid(all_ops()[name])[:SAMPLES]:
        func = build(case)
        floats = [
            i
            for i, p in enumerate(func.params)
            if isinstance(p.type, TensorType) and p.dtype.kind == "f"
        ]
        if not floats or any(r.dtype.kind != "f" for r in func.results):
            continue
        try:
            gradient = grad_func(func, floats)
        except NotImplementedError:
            continue
        seeds = [
            np.asarray(rng.standard_normal(r.shape)).astype(r.dtype.numpy) for r in func.results
        ]
        agrees(gradient, [*case.inputs, *seeds])
