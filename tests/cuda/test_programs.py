"""Whole programs as CUDA C, emulated on the CPU, compute what the interpreter computes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cuda.emulate import Library, needs_compiler
from tests.cuda.programs import CASES, kernels, scheduled
from tests.unit.schedule.execute import run_program
from tracec_ir.interp import run

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    units = [u for name in CASES for u in kernels(name, scheduled(name))]
    return Library(units, tmp_path_factory.mktemp("cuda"))


@pytest.mark.parametrize("name", CASES)
def test_matches_the_interpreter(name: str, library: Library) -> None:
    case = CASES[name]
    func = case.func
    args = case.arguments(func)
    count = iter(range(1000))

    def launch(kernel, arrays, sizes):
        unit = library.units[f"{name}_{next(count)}"]
        library.launch(unit.name, unit.launch.geometry(sizes), arrays, list(sizes.values()))

    found = run_program(scheduled(name), args, launch)
    assert next(count) > 0, "no kernel was launched"
    for want, got in zip(run(func, *args), found, strict=True):
        want = np.asarray(want)
        assert want.shape == got.shape and want.dtype == got.dtype
        if want.dtype.kind in "iub":
            np.testing.assert_array_equal(got, want)
        else:
            np.testing.assert_allclose(
                got.astype(np.float64), want.astype(np.float64),
                rtol=case.tolerance, atol=case.tolerance,
            )  # fmt: skip
