"""Traces of random programs as CUDA C, emulated, compute what the interpreter computes."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tracec
from tests.cuda.emulate import Library, needs_compiler
from tests.cuda.programs import TARGET
from tests.cuda.table import Sample, agrees, units
from tests.fuzz.generate import from_seed
from tests.fuzz.programs import run
from tracec_codegen.schedule import schedule
from tracec_ir import dims
from tracec_ir.core import Func
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, Type
from tracec_runtime import compiler, knobs

PROGRAMS = int(os.environ.get("TRACEC_FUZZ_EXAMPLES", "60"))
SEED = 5

pytestmark = needs_compiler


def traces(monkeypatch: pytest.MonkeyPatch) -> list[Func]:
    """The functions that running the programs gives the compiler."""
    found: dict[str, Func] = {}
    original = compiler.compile_plan

    def record(func, *rest):
        found[str(func)] = func
        return original(func, *rest)

    monkeypatch.setattr(compiler, "compile_plan", record)
    with knobs.override(tier=1):
        for index in range(PROGRAMS):
            run(from_seed(SEED, index), tracec, False)
    return list(found.values())


def argument(t: Type, rng: np.random.Generator):
    kind = t.dtype.kind
    if isinstance(t, ScalarType):
        return 0.25 if kind == "f" else 3
    hints = {s.name: s.hint for size in t.shape for s in dims.symbols(size)}
    shape = [dims.evaluate(size, hints) for size in t.shape]
    values = rng.standard_normal(shape) if kind == "f" else rng.integers(0, 2, shape)
    return np.asarray(values).astype(t.dtype.numpy)


def test_traces_of_random_programs(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    rng = np.random.default_rng(0)
    samples = []
    for func in traces(monkeypatch):
        inputs = tuple(argument(p.type, rng) for p in func.params)
        samples.append(Sample(func, inputs, schedule(lower(func), TARGET)))
    library = Library(units(samples), tmp_path)
    compared = 0
    for sample in samples:
        try:
            agrees(sample, library)
        except IndexError:  # the random argument is no index of what it picks from
            continue
        compared += 1
    assert compared > PROGRAMS // 2
