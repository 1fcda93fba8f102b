"""Integers that are divided by one number of all lanes: no reciprocal of floats."""

import numpy as np

import tracec
from tracec_runtime import knobs


def test_quotients_of_integers_by_one_number() -> None:
    x = np.arange(-50, 50)
    with knobs.override(tier=1):
        t, d = tracec.tensor(x), tracec.tensor(7)
        found = tracec.div(t, d, rounding_mode="trunc").numpy()
    np.testing.assert_array_equal(found, np.trunc(x / 7).astype(np.int64))
