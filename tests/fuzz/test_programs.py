"""Random programs: the compiled tier agrees with the interpreter, and both with PyTorch."""

import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings

import tracec
from tests.fuzz.compare import difference, disagreement, on
from tests.fuzz.generate import from_seed, programs
from tests.fuzz.programs import Program, run
from tracec_runtime import knobs

EXAMPLES = int(os.environ.get("TRACEC_FUZZ_EXAMPLES", "150"))


def at_tier(tier: int) -> object:
    """The runner of tracec on one tier."""

    def runner(program: Program, widen: bool = False) -> list[np.ndarray]:
        with knobs.override(tier=tier):
            return run(program, tracec, widen)

    return runner


@settings(max_examples=EXAMPLES)
@given(programs(gradients=False))
def test_compiled_agrees_with_interpreter(program: Program) -> None:
    found = disagreement(program, at_tier(1), at_tier(0))
    assert found is None, f"{program}\n{found}"


@settings(max_examples=EXAMPLES)
@given(programs(gradients=True))
def test_compiled_agrees_with_interpreter_on_gradients(program: Program) -> None:
    found = disagreement(program, at_tier(1), at_tier(0))
    assert found is None, f"{program}\n{found}"


@settings(max_examples=max(1, EXAMPLES // 2))
@given(programs())
def test_interpreter_agrees_with_pytorch(program: Program) -> None:
    found = disagreement(program, at_tier(0), on(torch))
    assert found is None, f"{program}\n{found}"


def _check(seed: int, count: int, large: bool = False) -> None:
    for index in range(count):
        program = from_seed(seed, index, large=large)
        found = disagreement(program, at_tier(1), at_tier(0))
        assert found is None, f"{program}\n{found}"


@pytest.mark.parametrize("seed", range(16))
def test_many_programs(seed: int) -> None:
    """What a code generator gets wrong now and then shows in one program of thousands."""
    _check(seed, 200)


def test_large_programs() -> None:
    """Sizes at which loops and reductions are cut into blocks."""
    _check(11, 40, large=True)


def test_programs_run_on_pytorch() -> None:
    """The generator makes what PyTorch accepts, and its bound on rounding holds there."""
    for index in range(300):
        program = from_seed(0, index)
        expected = run(program, torch)
        wide = run(program, torch, widen=True)
        rounded = [w.astype(e.dtype) for w, e in zip(wide, expected)]
        found = difference(rounded, expected, lambda wide=wide: wide)
        assert found is None, f"{index}\n{program}\n{found}"
