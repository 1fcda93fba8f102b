"""Sample inputs shared by the primitives: what `samples=` facts are made of.

A sample is `(arrays, attrs)` (ops with regions: `(arrays, attrs, regions)`), or, for inputs that
must be refused, `(types or arrays, attrs, exception type, fragment of the message)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .. import dtypes
from ..types import TensorType

SHAPES = ((3, 4), (5,), (), (0, 3))
FLOATS = (dtypes.f32, dtypes.f64, dtypes.f16, dtypes.bf16)
INTS = (dtypes.i64, dtypes.i32, dtypes.u8, dtypes.i8, dtypes.i16)
EDGES = (
    0.0,
    -0.0,
    np.inf,
    -np.inf,
    np.nan,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    3.0,
    1e-30,
    80.0,
    -80.0,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def uniform(
    shape, low: float = -3.0, high: float = 3.0, dtype=dtypes.f64, seed: int = 0
) -> np.ndarray:
    """Random floating (or complex) numbers of [low, high)."""
    x = rng(seed).uniform(low, high, shape)
    if dtype.kind == "c":
        x = x + 1j * rng(seed + 1).uniform(low, high, shape)
    return np.asarray(x).astype(dtype.numpy)


def integers(shape, low: int = -5, high: int = 6, dtype=dtypes.i64, seed: int = 0) -> np.ndarray:
    """Random integers of [low, high); not negative for unsigned types."""
    low = max(low, 0) if dtype.kind == "u" else low
    return np.asarray(rng(seed).integers(low, high, shape)).astype(dtype.numpy)


def bools(shape, seed: int = 0) -> np.ndarray:
    return np.asarray(rng(seed).integers(0, 2, shape)).astype(bool)


def values(shape, dtype, seed: int = 0, low: float = -3.0, high: float = 3.0) -> np.ndarray:
    """Random elements of any dtype."""
    if dtype.kind == "b":
        return bools(shape, seed)
    if dtype.kind in "iu":
        return integers(shape, dtype=dtype, seed=seed)
    return uniform(shape, low, high, dtype, seed)


def edges(dtype) -> np.ndarray:
    """The notable floating-point numbers."""
    return np.array(EDGES, np.float64).astype(dtype.numpy)


def unary(
    low: float, high: float, kinds: str = "f", special: bool = True
) -> Callable[[], Iterator]:
    """Samples of a one-operand op that is smooth on (low, high)."""

    def generate() -> Iterator:
        for i, shape in enumerate(SHAPES):
            yield (uniform(shape, low, high, dtypes.f64 if i else dtypes.f32, i),), {}
        for d in (dtypes.f16, dtypes.bf16, dtypes.f64):
            yield (uniform((2, 3), low, high, d),), {}
        if special:
            for d in (dtypes.f32, dtypes.f64):
                yield (edges(d),), {}
        yield from _other_kinds(1, kinds)

    return generate


def binary(
    low: float = -3.0,
    high: float = 3.0,
    kinds: str = "f",
    second: tuple[float, float] | None = None,
) -> Callable[[], Iterator]:
    """Samples of a two-operand op; `second` is the range of the second operand if it differs."""

    def generate() -> Iterator:
        lo2, hi2 = second or (low, high)
        if "f" in kinds:
            for i, shape in enumerate(SHAPES):
                d = dtypes.f64 if i else dtypes.f32
                yield (uniform(shape, low, high, d, i), uniform(shape, lo2, hi2, d, i + 50)), {}
            for d in (dtypes.f16, dtypes.bf16, dtypes.f64):
                yield (uniform((2, 3), low, high, d, 7), uniform((2, 3), lo2, hi2, d, 8)), {}
            for d in (dtypes.f32, dtypes.f64):
                a, b = np.meshgrid(edges(d), edges(d))
                yield (a.copy(), b.copy()), {}
        yield from _other_kinds(2, kinds)
        f32, f64 = TensorType(dtypes.f32, (3,)), TensorType(dtypes.f64, (3,))
        if "f" in kinds:
            yield (f32, f64), {}, RuntimeError, "dtypes differ"
            yield (f32, TensorType(dtypes.f32, (4,))), {}, RuntimeError, "shapes differ"
        else:
            yield (f32, f32), {}, RuntimeError, "must be"

    return generate


def _other_kinds(n: int, kinds: str) -> Iterator:
    if "i" in kinds:
        for d in INTS:
            yield tuple(nonzero(integers((4, 5), dtype=d, seed=s), s > 0) for s in range(n)), {}
    if "b" in kinds:
        yield tuple(bools((7,), s) for s in range(n)), {}
    if "c" in kinds:
        yield tuple(uniform((3, 2), -2, 2, dtypes.c128, s) for s in range(n)), {}


def nonzero(x: np.ndarray, wanted: bool = True) -> np.ndarray:
    """x with its zeros replaced by ones (divisors)."""
    return np.where(x == 0, x.dtype.type(1), x) if wanted else x
