"""Transposed reads are done in blocks: structure and values."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.schedule.execute import run_program
from tests.unit.schedule.test_schedule import TARGET, check, f32, function
from tracec_codegen.cuda.emit import emit
from tracec_codegen.kernel.core import Loop
from tracec_codegen.program import KernelStep, Program
from tracec_codegen.schedule import schedule
from tracec_codegen.schedule.cost import interpreter_cost
from tracec_codegen.schedule.tiling import TILE
from tracec_ir import dims, dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.types import TensorType


def loops(program: Program) -> list[tuple[str, dims.Dim]]:
    """(kind, extent) of the loops of the only kernel's nest, outermost first."""
    (step,) = program.steps
    assert isinstance(step, KernelStep)
    emit(step.kernel)  # CUDA C is printed of it too
    out = []
    body = step.kernel.body
    while body and isinstance(body[-1], Loop):
        out.append((body[-1].kind, body[-1].extent))
        body = body[-1].body
    return out


def transposed(b, x):
    return b.permute(x, (1, 0))


def test_a_transposed_copy_is_tiled():
    found = loops(schedule(function(transposed, f32(1600, 1024)), TARGET))
    kinds = ["parallel", "serial", "serial", "vector"]
    assert found == list(zip(kinds, (25, 16, TILE, TILE), strict=True))
    small = loops(check(transposed, f32(128, 192), steps=1))
    assert small == list(zip(["serial", *kinds[1:]], (2, 3, TILE, TILE), strict=True))


def test_the_last_block_is_shorter():
    found = loops(check(transposed, f32(100, 130), steps=1))
    assert [n for _, n in found[:2]] == [2, 3]
    assert all(not isinstance(n, int) and dims.same(n, n) for _, n in found[2:])


@pytest.mark.parametrize("perm", [(0, 2, 1), (2, 1, 0), (2, 0, 1), (1, 2, 0), (1, 0, 2)])
def test_permuted_copies(perm):
    found = loops(check(lambda b, x: b.permute(x, perm), f32(70, 9, 80), steps=1))
    assert found[-1][0] == "vector"
    if perm[-1] != 2:
        assert found[-2][0] == "serial"


def test_a_transposed_operand_among_others():
    found = loops(check(lambda b, x, y: b.add(b.exp(b.permute(x, (1, 0))), y), f32(128, 192),
                        f32(192, 128), steps=1))  # fmt: skip
    assert [n for _, n in found[-2:]] == [TILE, TILE]


def test_what_is_contiguous_stays_one_loop():
    assert len(loops(check(lambda b, x: b.neg(x), f32(64, 64), steps=1))) <= 2
    # rows of three: no blocks
    assert len(loops(check(transposed, f32(640, 3), steps=1))) <= 2


def test_small_squares_in_one_kernel_with_others():
    check(lambda b, x: (b.permute(x, (1, 0)), b.mul(x, 2.0)), f32(17, 33), steps=1)


def test_symbolic_sizes():
    n, m = dims.symbol("n", 100), dims.symbol("m", 70)
    b = Builder()
    x = Value(TensorType(dtypes.f32, (n, m)), name="x")
    program = schedule(b.func("f", [x], [b.permute(x, (1, 0))]), TARGET)
    for shape in ((100, 70), (64, 64), (3, 200)):
        a = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        (y,) = run_program(program, [a])
        assert np.array_equal(y, a.T)


def test_the_interpreter_is_charged_for_copying_views():
    b = Builder()
    x = Value(TensorType(dtypes.f32, (1024, 1024)), name="x")
    copied, _ = interpreter_cost(b.func("f", [x], [b.permute(x, (1, 0))]))
    b = Builder()
    read, _ = interpreter_cost(b.func("g", [x], [b.reduce(b.permute(x, (1, 0)), "sum", (0, 1))]))
    assert copied > 1e6 and copied > read
