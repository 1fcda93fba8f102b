"""The kernels that the CUDA tests emit compile to cubins; neither GPU nor driver is needed.

Of kernels that differ in numbers only (sizes and constants) one is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from tests.cuda.cubins import ARCHITECTURES, compiles, needs_cupy
from tests.cuda.programs import CASES, kernels, scheduled
from tests.cuda.table import OPS, gradients, units, values
from tracec_codegen.cuda.emit import Unit
from tracec_codegen.cuda.nvrtc import CompileError, compile_cubin

pytestmark = needs_cupy


def distinct(units: Iterable[Unit]) -> list[Unit]:
    """One of all units that differ in numbers only."""
    return list({re.sub(r"\d+", "", u.text.replace(u.name, "")): u for u in units}.values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_programs(architecture: str) -> None:
    compiles([u for name in CASES for u in kernels(name, scheduled(name))], architecture)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_ops(architecture: str) -> None:
    samples = [s for n in OPS for s in (*values(n), *gradients(n))]
    compiles(distinct(units(samples)), architecture)


def test_errors_hold_the_log() -> None:
    with pytest.raises(CompileError, match="undefined_name"):
        compile_cubin("__global__ void f(int* p) { *p = undefined_name; }", "wrong", "sm_80")
