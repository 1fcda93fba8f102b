"""Counter-based random numbers: Philox4x32-10 (Salmon et al., 2011).

Element i is a pure function of (seed, offset, i), the same on every tier and device:

- key = (low half, high half) of the seed as 64 unsigned bits;
- 128-bit counter = (low half, high half, 0, 0) of the 64-bit number offset + block;
- u32: element i is word i % 4 of block i // 4;
- f32: the same word, (word >> 8) * 2^-24, uniform in [0, 1);
- f64: element i takes words w = 2 * (i % 2) and w + 1 of block i // 2:
  ((word[w] >> 5) * 2^26 + (word[w + 1] >> 6)) * 2^-53.
"""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..dims import Dim, floordiv, product
from ..optable import prim
from ..types import ScalarType, TensorType
from . import samples as s
from .rules import integer_scalar

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
_MASK = np.uint64(0xFFFFFFFF)


def blocks_used(shape, dtype: dtypes.DType) -> Dim:
    """How many counter blocks a draw consumes: what the offset advances by."""
    per_block = 2 if dtype is dtypes.f64 else 4
    return floordiv(product(shape) + per_block - 1, per_block)


def philox_words(seed: int, offset: int, blocks) -> np.ndarray:
    """The words of `blocks` consecutive blocks, as u32[blocks x 4]."""
    counter = np.arange(blocks, dtype=np.uint64) + np.uint64(offset & 0xFFFFFFFFFFFFFFFF)
    return words_at(seed, counter)


def words_at(seed: int, counter: np.ndarray, high: int = 0) -> np.ndarray:
    """The words of the blocks with these low 64 bits of the counter (u64) and `high` above."""
    seed &= 0xFFFFFFFFFFFFFFFF
    c0, c1 = counter & _MASK, counter >> np.uint64(32)
    c2, c3 = np.full_like(c0, high & 0xFFFFFFFF), np.full_like(c0, high >> 32)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(ROUNDS):
        p0, p1 = np.uint64(MULTIPLIERS[0]) * c0, np.uint64(MULTIPLIERS[1]) * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0), p1 & _MASK,
            (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1), p0 & _MASK,
        )  # fmt: skip
        k0, k1 = (k0 + WEYL[0]) & 0xFFFFFFFF, (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def _philox(seed, offset, *, shape, dtype):
    count = int(np.prod(shape, dtype=np.int64))
    words = philox_words(int(seed), int(offset), blocks_used(shape, dtype)).reshape(-1)
    if dtype is dtypes.f64:
        pairs = words[: 2 * count].reshape(-1, 2)
        wide = (pairs[:, 0] >> 5).astype(np.float64) * 2.0**26 + (pairs[:, 1] >> 6)
        return (wide * 2.0**-53).reshape(shape)
    words = words[:count].reshape(shape)
    return words if dtype is dtypes.u32 else (words >> 8).astype(np.float32) * np.float32(2.0**-24)


def _philox_samples():
    for d in (dtypes.u32, dtypes.f32, dtypes.f64):
        yield (1234, 0), {"shape": (3, 5), "dtype": d}
        yield (-1, 2**40), {"shape": (), "dtype": d}
        yield (s.integers(()), s.integers((), 0)), {"shape": (0, 2), "dtype": d}
    seed = ScalarType(dtypes.i64)
    yield (seed, seed), {"shape": (2,), "dtype": dtypes.bf16}, RuntimeError, "u32, f32 or f64"
    yield (ScalarType(dtypes.f64), seed), {"shape": (2,), "dtype": dtypes.f32}, RuntimeError, "seed"


@prim(numpy=_philox, nondiff=True, kernel="random", samples=_philox_samples)
def philox(seed, offset, *, shape, dtype):
    """Random words (u32), or uniform numbers of [0, 1) (f32, f64)."""
    integer_scalar("philox", seed, "the seed")
    integer_scalar("philox", offset, "the offset")
    if dtype not in (dtypes.u32, dtypes.f32, dtypes.f64):
        raise RuntimeError(f"philox: the dtype must be u32, f32 or f64, got {dtype.code}")
    return TensorType(dtype, shape)
