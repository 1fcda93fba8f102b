"""Sample inputs of the composites, written in short: what their `samples=` facts are made of.

An operand is a Python number, a function that makes an array, or a text: a letter for what the
elements are and the sizes, as in "f2x3" (no sizes: a tensor without dimensions).

    f  of [-2, 2)       p  of [0.1, 0.9)     h  of [1.25, 4)      w  of [-6, 6)
    d  as f, in f64     n  as f, in f16      c  complex           b  bool
    s  -1 or 1
    i2x3<5  integers of [0, 5)               a5x2  the numbers 0, 1, ... in order, as f64
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from .. import dtypes
from ..prims import samples as s
from ..prims.samples import unary

__all__ = ["each", "few", "of", "positive_definite", "unary"]

Samples = Callable[[], Iterator]
_TEXT = re.compile(r"([a-z])([0-9]*(?:x[0-9]+)*)(?:<([0-9]+))?")
_RANGES = {"f": (-2.0, 2.0), "n": (-2.0, 2.0), "p": (0.1, 0.9), "h": (1.25, 4.0), "w": (-6.0, 6.0)}


def of(*operands: Any, **attrs: Any) -> Samples:
    """One sample: the operands and the attributes."""

    def generate() -> Iterator:
        yield tuple(_operand(x, seed) for seed, x in enumerate(operands)), attrs

    return generate


def few(low: float, high: float) -> Samples:
    """Samples of a one-operand function that is long to compile: numbers of [low, high)."""

    def generate() -> Iterator:
        for size, d in ((4, dtypes.f32), (2, dtypes.f16)):
            yield (s.uniform((size,), low, high, d, size),), {}

    return generate


def each(*samples: Samples) -> Samples:
    """All of these samples."""
    return lambda: chain.from_iterable(generate() for generate in samples)


def positive_definite(*shape: int) -> Callable[[], np.ndarray]:
    """Stacks of symmetric matrices in f64 whose eigenvalues are positive and far apart."""

    def make() -> np.ndarray:
        x = s.uniform(shape, -1.0, 1.0)
        return x @ x.swapaxes(-1, -2) + np.diag(np.arange(1.0, shape[-1] + 1))

    return make


def _operand(x: Any, seed: int) -> Any:
    if callable(x):
        return x()
    if not isinstance(x, str):
        return x
    found = _TEXT.fullmatch(x)
    assert found, x
    kind, sizes, limit = found.groups()
    shape = tuple(map(int, sizes.split("x"))) if sizes else ()
    if kind == "i":
        return s.integers(shape, 0, int(limit), seed=seed)
    if kind == "b":
        return s.bools(shape, seed)
    if kind == "s":
        return np.where(s.bools(shape, seed), 1, -1).astype(np.float32)
    if kind == "c":
        return s.uniform(shape, -2.0, 2.0, dtypes.c64, seed)
    if kind == "a":
        return np.arange(float(np.prod(shape))).reshape(shape)
    if kind == "d":
        return s.uniform(shape, -2.0, 2.0, dtypes.f64, seed)
    return s.uniform(shape, *_RANGES[kind], dtypes.f16 if kind == "n" else dtypes.f32, seed)
