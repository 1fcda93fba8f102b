"""What the generator knows of a value: type, aliases, magnitude, and whether it is exact.

Comparisons, rounding and kinks turn one rounding error into a different answer, so they are only
applied to values that every correct implementation computes exactly: multiples of 2**-frac whose
magnitude needs no more bits than the type has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

BITS = {"f4": 24, "f8": 53, "i8": 62, "b1": 2}
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33)
MOST_ELEMENTS = 3000
# Sizes at which reductions and loops are cut into blocks
LARGE_SIZES = (1, 2, 3, 8, 31, 64, 129, 260, 1000, 5000)
MOST_ELEMENTS_OF_LARGE = 400_000
LARGEST = 2.0**14  # values above this are not used as operands of anything that grows
A = TypeVar("A")


@dataclass(slots=True)
class Group:
    """A storage: facts shared by all its aliases, the worst of what was ever written to it."""

    magnitude: float
    frac: int
    exact: bool
    grad: bool = False
    frozen: bool = False  # saved for backward, or a leaf: may not be written


@dataclass(slots=True)
class Meta:
    shape: tuple[int, ...]
    dtype: str
    group: Group
    overlap: bool = False  # several elements share memory

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype[0] == "f"


Made = tuple[tuple[int, ...], tuple[Any, ...], Meta]


class State:
    """The values made so far, and the source of choices (`integer`, inclusive bounds)."""

    def __init__(
        self, integer: Callable[[int, int], int], with_gradients: bool, large: bool = False
    ):
        self.integer = integer
        self.with_gradients = with_gradients
        self.sizes = LARGE_SIZES if large else SIZES
        self.most = MOST_ELEMENTS_OF_LARGE if large else MOST_ELEMENTS  # elements of a value
        self.values: list[Meta] = []

    def choice(self, options: Sequence[A]) -> A:
        return options[self.integer(0, len(options) - 1)]

    def size(self) -> int:
        return 0 if self.integer(0, 29) == 29 else self.choice(self.sizes)

    def shape(self) -> tuple[int, ...]:
        shape = [self.size() for _ in range(self.integer(0, 3))]
        while math.prod(shape) > self.most:
            shape[shape.index(max(shape))] = 3
        return tuple(shape)

    def pick(self, accept: Callable[[Meta], bool] = lambda m: True) -> int | None:
        """The number of a value that `accept` takes, often a late one; None if there is none."""
        fits = [k for k, meta in enumerate(self.values) if accept(meta)]
        if not fits:
            return None
        return fits[len(fits) - 1 - min(self.integer(0, len(fits) - 1), self.integer(0, 7))]

    def smooth(self, meta: Meta) -> bool:
        """Whether a kinked but continuous operation may be applied."""
        return meta.group.exact or not self.with_gradients

    def fresh(
        self,
        shape: tuple[int, ...],
        dtype: str,
        magnitude: float,
        frac: int,
        exact: bool,
        operands: Sequence[Meta] = (),
        linear: bool = True,
    ) -> Meta:
        """A new storage computed from `operands`; what is not linear saves operands and result."""
        grad = dtype[0] == "f" and any(m.group.grad for m in operands)
        if not linear and self.with_gradients:
            for m in operands:
                m.group.frozen = True
        group = Group(magnitude, frac, exact, grad, frozen=grad and not linear)
        meta = Meta(shape, dtype, group)
        group.exact = exact and needs(magnitude, frac) <= BITS[dtype]
        return meta


def needs(magnitude: float, frac: int) -> float:
    """The bits that a multiple of 2**-frac of this magnitude needs."""
    return math.log2(max(magnitude, 1.0)) + frac + 1


def promote(a: Meta, b: Meta) -> str:
    """PyTorch's result type, which lets a 0-d operand decide the kind of type only."""
    kind = {"b1": 0, "i8": 1, "f4": 2, "f8": 2}
    if (a.shape == ()) != (b.shape == ()):
        full, zero = (b, a) if a.shape == () else (a, b)
        if kind[zero.dtype] > kind[full.dtype]:
            return zero.dtype
        return full.dtype
    order = ["b1", "i8", "f4", "f8"]
    return max(a.dtype, b.dtype, key=order.index)


def broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    """The common shape, or None."""
    rank = max(len(a), len(b))
    result = []
    for x, y in zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b):
        if x != y and 1 not in (x, y):
            return None
        result.append(y if x == 1 else x)
    return tuple(result)
