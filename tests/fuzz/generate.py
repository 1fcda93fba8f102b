"""Makes random programs, from a random generator or from hypothesis' choices."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import strategies as st

from tests.fuzz import views  # noqa: F401  (its operations enter the table)
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.programs import Leaf, Program, Step
from tests.fuzz.state import Group, Meta, State

_NAMES = [name for name, operation in OPERATIONS.items() for _ in range(operation.weight)]
_LEAF_DTYPES = ("f4", "f4", "f4", "f8", "i8", "b1")
_LARGEST_LEAF = {"f4": 2.0, "f8": 2.0, "i8": 4.0, "b1": 1.0}


def generate(
    integer: Callable[[int, int], int], with_gradients: bool, most_steps: int, large: bool = False
) -> Program:
    """A program of at most `most_steps` steps, decided by calls of `integer(low, high)`."""
    state = State(integer, with_gradients, large)
    leaves, steps = [], []
    shape = state.shape()
    for k in range(integer(1, 3)):
        dtype = "f4" if k == 0 and with_gradients else state.choice(_LEAF_DTYPES)
        if k and integer(0, 1):
            shape = state.shape()
        grad = with_gradients and dtype[0] == "f" and (k == 0 or integer(0, 1) == 1)
        leaves.append(Leaf(dtype, shape, integer(0, 999), grad))
        frac = 2 if dtype[0] == "f" else 0
        group = Group(_LARGEST_LEAF[dtype], frac, True, grad, frozen=with_gradients)
        state.values.append(Meta(shape, dtype, group))
    for _ in range(integer(1, most_steps)):
        for _ in range(4):  # an operation may find no operands among the values there are
            name = _NAMES[integer(0, len(_NAMES) - 1)]
            made = OPERATIONS[name].make(state)
            if made is not None:
                args, attrs, meta = made
                steps.append(Step(name, args, attrs))
                state.values.append(meta)
                break
    count = len(state.values)
    kept = {count - 1} | {integer(0, count - 1) for _ in range(integer(0, 3))}
    return Program(tuple(leaves), tuple(steps), tuple(sorted(kept)))


def from_seed(seed: int, index: int, most_steps: int = 12, large: bool = False) -> Program:
    """Program number `index` of the sequence `seed`; every fourth one wants gradients."""
    return generate(random.Random(f"{seed}/{index}").randint, index % 4 == 3, most_steps, large)


@st.composite
def programs(draw: st.DrawFn, gradients: bool | None = None, most_steps: int = 12) -> Program:
    """The hypothesis strategy; `gradients` None means sometimes."""
    want = draw(st.booleans()) if gradients is None else gradients
    return generate(lambda low, high: draw(st.integers(low, high)), want, most_steps)
