"""Random well-typed tensor programs as data, and how to run one on a torch-like namespace.

A program is a list of leaves and a list of steps; step k makes value `len(leaves) + k`. The table
of steps is in `operations.py`; `generate.py` makes programs and knows what keeps them well typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

DTYPES = {"f4": "float32", "f8": "float64", "i8": "int64", "b1": "bool"}


@dataclass(frozen=True, slots=True)
class Leaf:
    """An input: its elements follow from `seed`, small multiples of 1/4 or small integers."""

    dtype: str
    shape: tuple[int, ...]
    seed: int
    requires_grad: bool = False

    def array(self) -> np.ndarray:
        count = int(np.prod(self.shape))
        bits = np.random.Generator(np.random.PCG64(self.seed)).integers(-8, 9, count)
        if self.dtype == "b1":
            data = bits > 0
        elif self.dtype == "i8":
            data = bits // 2
        else:
            data = bits / 4
        return data.astype(DTYPES[self.dtype]).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Step:
    """One call: the name of an operation, value numbers, and plain Python attributes."""

    op: str
    args: tuple[int, ...]
    attrs: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """`kept` are the values returned at the end; the others are dropped after their last use."""

    leaves: tuple[Leaf, ...]
    steps: tuple[Step, ...]
    kept: tuple[int, ...]

    @property
    def wants_gradients(self) -> bool:
        return any(leaf.requires_grad for leaf in self.leaves)

    def __str__(self) -> str:
        lines = []
        for number, leaf in enumerate(self.leaves):
            grad = ", requires_grad" if leaf.requires_grad else ""
            lines.append(f"v{number} = leaf {leaf.dtype}{list(leaf.shape)} seed {leaf.seed}{grad}")
        for number, step in enumerate(self.steps, len(self.leaves)):
            operands = ", ".join([f"v{a}" for a in step.args] + [repr(a) for a in step.attrs])
            lines.append(f"v{number} = {step.op}({operands})")
        lines.append("return " + ", ".join(f"v{k}" for k in self.kept))
        return "\n".join(lines)


@dataclass(slots=True)
class Context:
    """What a step sees besides its operands: the namespace, and whether float32 is widened."""

    T: Any
    widen: bool

    def dtype(self, code: str) -> Any:
        return getattr(self.T, DTYPES["f8" if self.widen and code == "f4" else code])


@contextmanager
def _default_dtype(T: Any, widen: bool) -> Iterator[None]:
    if not widen:
        yield
        return
    T.set_default_dtype(T.float64)
    try:
        yield
    finally:
        T.set_default_dtype(T.float32)


def run(program: Program, T: Any, widen: bool = False) -> list[np.ndarray]:
    """The kept values, what was looked at on the way, then the gradients of the leaves.

    `widen` runs everything that was float32 in float64: a yardstick for rounding errors.
    """
    with _default_dtype(T, widen):
        return _run(program, Context(T, widen))


def _run(program: Program, context: Context) -> list[np.ndarray]:
    from tests.fuzz.operations import OPERATIONS

    last_use = {a: k for k, step in enumerate(program.steps) for a in step.args}
    kept, looked_at = set(program.kept), []
    values: dict[int, Any] = {}
    leaves = []
    for number, leaf in enumerate(program.leaves):
        value = context.T.tensor(leaf.array(), dtype=context.dtype(leaf.dtype))
        if leaf.requires_grad:
            value.requires_grad_(True)
            leaves.append(value)
        values[number] = value
    for k, step in enumerate(program.steps):
        operands = [values[a] for a in step.args]
        for a in step.args:
            if last_use[a] == k and a not in kept:
                values.pop(a, None)
        value = OPERATIONS[step.op].apply(context, operands, *step.attrs)
        if isinstance(value, np.ndarray):  # the step looked at its operand and changed nothing
            looked_at.append(value)
            value = operands[0]
        number = k + len(program.leaves)
        if number in kept or number in last_use:
            values[number] = value
        del operands, value
    outputs = [values[k] for k in program.kept]
    results = [np.array(v.detach().numpy()) for v in outputs] + looked_at
    if leaves:
        results += _gradients(context, outputs, leaves)
    return results


def _gradients(context: Context, outputs: list[Any], leaves: list[Any]) -> list[np.ndarray]:
    loss = None
    for value in outputs:
        if value.requires_grad:
            weights = (np.arange(value.numel()) % 7 - 2.5).reshape(tuple(value.shape))
            term = (value * context.T.tensor(weights, dtype=value.dtype)).sum()
            loss = term if loss is None else loss + term
    if loss is None:
        return []
    loss.backward()
    zero = np.zeros(())
    return [zero if x.grad is None else np.array(x.grad.numpy()) for x in leaves]
