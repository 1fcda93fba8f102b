"""Philox4x32-10: the published known answers, and that an element depends on its index only."""

import numpy as np
import pytest

from tracec_ir import dtypes
from tracec_ir.optable import lookup
from tracec_ir.prims.random import blocks_used, philox_words


def draw(seed, offset, shape, dtype=dtypes.f32):
    return lookup("philox").numpy(seed, offset, shape=shape, dtype=dtype)


def test_known_answers():
    assert [f"{w:08x}" for w in philox_words(0, 0, 1)[0]] == [
        "6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8",
    ]  # fmt: skip


def test_seed_and_offset_are_64_bits():
    words = {
        tuple(philox_words(seed, offset, 1)[0])
        for seed in (0, 1, 2**32, -1)
        for offset in (0, 1, 2**32, -1)
    }
    assert len(words) == 16
    np.testing.assert_array_equal(philox_words(-1, 0, 1), philox_words(2**64 - 1, 0, 1))
    # the offset carries into its high half
    np.testing.assert_array_equal(philox_words(5, 2**32 - 1, 2)[1], philox_words(5, 2**32, 1)[0])


@pytest.mark.parametrize("dtype", [dtypes.u32, dtypes.f32, dtypes.f64])
def test_draws_continue_where_the_offset_says(dtype):
    whole = draw(9, 0, (24,), dtype)
    used = blocks_used((8,), dtype)
    np.testing.assert_array_equal(whole[8:], draw(9, used, (16,), dtype))
    np.testing.assert_array_equal(whole[:7].reshape(7, 1), draw(9, 0, (7, 1), dtype))


def test_words_make_the_floats():
    words = draw(3, 4, (8,), dtypes.u32)
    np.testing.assert_array_equal(draw(3, 4, (8,)), (words >> 8).astype(np.float64) * 2.0**-24)
    high, low = words[0::2].astype(np.uint64) >> 5, words[1::2].astype(np.uint64) >> 6
    np.testing.assert_array_equal(
        draw(3, 4, (4,), dtypes.f64), ((high << np.uint64(26)) + low).astype(np.float64) * 2.0**-53
    )


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64])
def test_uniform(dtype):
    x = draw(42, 0, (200_000,), dtype)
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 0.5) < 0.003
    assert abs(x.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 0.01
