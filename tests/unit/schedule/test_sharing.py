"""Long concatenations are stored part by part, and unrolled loops share their kernels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.schedule.execute import run_program
from tracec_codegen.program import KernelStep, Program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import dtypes, interp
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import TensorType

TARGET = named_target("avx2")
PARTS, ROWS, COLUMNS = 12, 16, 20


def joined(axis: int):
    """tanh of every slice of x, concatenated again, and the sum of that over its rows."""
    b = Builder()
    x = Value(TensorType(dtypes.f32, (PARTS, ROWS, COLUMNS)), name="x")
    parts = []
    for i in range(PARTS):
        ends = {"starts": (i, 0, 0), "stops": (i + 1, ROWS, COLUMNS), "steps": (1, 1, 1)}
        (one,) = b.apply("slice", [x], ends)
        (flat,) = b.apply("reshape", [one], {"shape": (ROWS, COLUMNS)})
        parts.append(b.apply("tanh", [flat])[0])
    (whole,) = b.apply("concat", parts, {"axis": axis})
    (total,) = b.apply("reduce", [whole], {"kind": "sum", "axes": (0,)})
    return b.func("joined", [x], [whole, total])


def kernels(program: Program) -> list[KernelStep]:
    return [s for s in program.steps if isinstance(s, KernelStep) and "concat" in s.kernel.origin]


@pytest.mark.parametrize("axis", [0, 1])
def test_parts_are_stored_in_place_by_one_shared_kernel(axis):
    func = joined(axis)
    program = schedule(lower(func), TARGET)
    steps = kernels(program)
    assert len(steps) == PARTS
    assert len({id(s.kernel) for s in steps}) == 1
    assert len({s.offsets for s in steps}) == PARTS
    x = np.random.default_rng(axis).normal(size=(PARTS, ROWS, COLUMNS)).astype(np.float32)
    for found, expected in zip(run_program(program, [x]), interp.run(func, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_short_concatenations_are_read_in_place():
    b = Builder()
    xs = [Value(TensorType(dtypes.f32, (64, 64)), name=f"x{i}") for i in range(3)]
    (whole,) = b.apply("concat", xs, {"axis": 0})
    program = schedule(lower(b.func("short", xs, [b.neg(whole)])), TARGET)
    assert len(program.steps) == 1


def test_offsets_survive_storing():
    program = schedule(lower(joined(0)), TARGET)
    again = Program.from_json(program.to_json())
    assert [s.offsets for s in kernels(again)] == [s.offsets for s in kernels(program)]
