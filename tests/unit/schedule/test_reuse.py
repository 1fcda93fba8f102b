"""Temporaries that take over the memory of others keep the shapes that host steps see."""

from __future__ import annotations

import numpy as np

from tests.unit.schedule.execute import run_program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import interp, optable
from tracec_ir.parser import parse_func
from tracec_ir.passes.pipeline import lower

RESHAPED = """
func @f(%0: f64[2 x 6], %1: f64[3 x 3]) {
  %2, %3 = host(%0) [fn=frexp, options=()] : f64[2 x 6], i32[2 x 6]
  %4 = add(%2, %2) : f64[2 x 6]
  %5 = reshape(%4) [shape=(3, 4)] : f64[3 x 4]
  %6 = host(%1, %5) [fn=triangular, options=(true, false)] : f64[3 x 4]
  return %6
}
"""


def test_a_host_step_sees_the_shape_of_its_operand():
    optable.load()
    func = parse_func(RESHAPED)
    inputs = [np.arange(12.0).reshape(2, 6), np.eye(3) * 2]
    program = schedule(lower(func), named_target("avx2"))
    np.testing.assert_array_equal(
        run_program(program, list(inputs))[0], interp.run(func, *inputs)[0]
    )
