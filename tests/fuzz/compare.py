"""Decides whether two runs of one program agree, and shrinks a program on which they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.programs import Program, run

Results = list[np.ndarray]
EPSILON = {"float32": 2.0**-23, "float64": 2.0**-52}
CLOSE = 64  # units in the last place of the largest element that always count as agreement
SLACK = 16  # how much worse than the measured rounding error another correct run may be


def difference(
    got: Results,
    expected: Results,
    yardstick: Callable[[], Results] | None = None,
    coarsest: float = 0.0,
) -> str | None:
    """What differs first, or None.

    Integers, bools, shapes and types must be equal. Floats may differ by CLOSE units in the last
    place of the largest element. Beyond that `yardstick`, the same program in float64, decides:
    it measures the rounding error of `expected`, and `got` may have SLACK times as much.
    `coarsest` is the unit of the least exact float type that the program computes with: a float64
    result of float32 values has their rounding errors, whether or not `expected` shows them.
    """
    if len(got) != len(expected):
        return f"{len(got)} results, expected {len(expected)}"
    exact: Results | None = None
    for k, (x, y) in enumerate(zip(got, expected)):
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"result {k} is {x.dtype}{x.shape}, expected {y.dtype}{y.shape}"
        if x.dtype.kind != "f":
            if not np.array_equal(x, y):
                return f"result {k} is\n{x}\nexpected\n{y}"
            continue
        if not np.array_equal(np.isfinite(x), np.isfinite(y)):
            return f"result {k} is not finite where it should be:\n{x}\nexpected\n{y}"
        error = np.abs(np.where(np.isfinite(x), x - y, 0)).max(initial=0)
        scale = max(1.0, float(np.abs(np.where(np.isfinite(y), y, 0)).max(initial=0)))
        allowed = CLOSE * max(EPSILON[x.dtype.name], coarsest) * scale
        if error <= allowed:
            continue
        if x.dtype == np.float64:
            allowed *= SLACK  # a float64 program is its own yardstick
        if yardstick is not None:
            exact = yardstick() if exact is None else exact
            allowed += SLACK * float(np.abs(y - exact[k]).max(initial=0))
        if not error <= allowed:
            return f"result {k} differs by {error:g}, allowed {allowed:g}:\n{x}\nexpected\n{y}"
    return None


def disagreement(program: Program, subject: Any, oracle: Any) -> str | None:
    """How `subject(program)` differs from `oracle(program)`, exceptions included; or None.

    Both are functions `(program, widen=False) -> results`.
    """
    expected = oracle(program)
    try:
        got = subject(program)
    except Exception as error:  # whatever a well-typed program raises is a finding
        return f"{type(error).__name__}: {error}"
    units = [EPSILON.get(np.dtype(leaf.dtype).name, 0.0) for leaf in program.leaves]
    return difference(
        got, expected, lambda: oracle(program, widen=True), max(units, default=0.0)
    )


def on(T: Any) -> Any:
    """The runner of a namespace, for `disagreement`."""
    return lambda program, widen=False: run(program, T, widen)


def _without_step(program: Program, index: int) -> Program | None:
    """The program without one step, whose uses become uses of its first operand."""
    number = index + len(program.leaves)
    operand = program.steps[index].args[0]

    def renumber(k: int) -> int:
        k = operand if k == number else k
        return k - 1 if k > number else k

    steps = tuple(
        type(step)(step.op, tuple(renumber(a) for a in step.args), step.attrs)
        for k, step in enumerate(program.steps)
        if k != index
    )
    return Program(program.leaves, steps, tuple(sorted({renumber(k) for k in program.kept})))


def _smaller(program: Program) -> list[Program]:
    """Programs with one step or one kept value less, the last steps first."""
    candidates = [_without_step(program, k) for k in reversed(range(len(program.steps)))]
    if len(program.kept) > 1:
        for k in program.kept:
            rest = tuple(other for other in program.kept if other != k)
            candidates.append(Program(program.leaves, program.steps, rest))
    return [c for c in candidates if c is not None]


def shrink(program: Program, fails: Callable[[Program], bool], limit: int = 300) -> Program:
    """A smaller program that still fails; `fails` must be False for programs that are ill typed."""
    tries = 0
    progress = True
    while progress:
        progress = False
        for candidate in _smaller(program):
            tries += 1
            if tries > limit:
                return program
            if fails(candidate):
                program, progress = candidate, True
                break
    return program
