"""Sums and what is made of them over many elements: a few roundings beside float64's results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import tracec
from tracec_runtime import knobs

EPS = {"float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
MANY = 10**7
# rows of 64 are added up one after the other, so that many of them can fall to a large neighbour
BOUND = {"float32": 8.0, "float16": 1.0, "bfloat16": 1.0}


def uniform(n: int) -> np.ndarray:
    return np.random.default_rng(0).random(n, dtype=np.float32)


def far_from_zero(n: int) -> np.ndarray:
    """Normal with mean 1000: the variance is a millionth of the mean square."""
    return np.random.default_rng(1).standard_normal(n, dtype=np.float32) + np.float32(1000)


def alternating(n: int) -> np.ndarray:
    signs = np.where(np.arange(n) % 2, -1, 1).astype(np.float32)
    return uniform(n) * signs


def one_large(n: int) -> np.ndarray:
    """1e8, beside which a single 1 is nothing, and many ones."""
    x = np.ones(n, np.float32)
    x[0] = 1e8
    return x


DATA = (uniform, far_from_zero, alternating, one_large)


# Each returns the result in float64 and the scale that its rounding is measured by.
def _sum(x, axis):
    return x.sum(axis), np.abs(x).sum(axis)


def _mean(x, axis):
    return x.mean(axis), np.abs(x).mean(axis)


def _var(x, axis):
    r = x.var(axis, ddof=1)
    return r, r


def _std(x, axis):
    r = x.std(axis, ddof=1)
    return r, r


def _norm(x, axis):
    r = np.sqrt((x * x).sum(axis))
    return r, r


def _log_sum(x, axis, keepdims):
    top = x.max(axis, keepdims=True)
    r = top + np.log(np.exp(x - top).sum(axis, keepdims=True))
    return r if keepdims else r.squeeze(axis)


def _logsumexp(x, axis):
    r = _log_sum(x, axis, False)
    return r, np.maximum(np.abs(r), 1)


def _log_softmax(x, axis):
    r = x - _log_sum(x, axis, True)
    return r, np.maximum(np.abs(r), 1)


def _softmax(x, axis):
    r = np.exp(x - _log_sum(x, axis, True))
    return r, r * np.maximum(1, np.abs(x - x.max(axis, keepdims=True)))  # exp's own condition


def _cumsum(x, axis):
    return x.cumsum(axis), np.abs(x).cumsum(axis)


def _prod(x, axis):
    r = x.prod(axis)
    return r, r


FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "sum": (_sum, lambda m, t, d: m.sum(t, d)),
    "mean": (_mean, lambda m, t, d: m.mean(t, d)),
    "var": (_var, lambda m, t, d: m.var(t, d)),
    "std": (_std, lambda m, t, d: m.std(t, d)),
    "norm": (_norm, lambda m, t, d: m.linalg.vector_norm(t, dim=d)),
    "logsumexp": (_logsumexp, lambda m, t, d: m.logsumexp(t, d)),
    "log_softmax": (_log_softmax, lambda m, t, d: m.log_softmax(t, d)),
    "softmax": (_softmax, lambda m, t, d: m.softmax(t, d)),
    "cumsum": (_cumsum, lambda m, t, d: m.cumsum(t, d)),
    "prod": (_prod, lambda m, t, d: m.prod(t, d)),
}


def error(m: Any, name: str, x: np.ndarray, axis: int, dtype: str) -> float:
    """The largest error in units of eps of the scale, where the result is a normal number."""
    reference, call = FUNCTIONS[name]
    t = m.tensor(x).to(getattr(m, dtype))
    found = call(m, t, axis).double().numpy()
    wanted, scale = reference(t.double().numpy(), axis)
    info = m.finfo(getattr(m, dtype))
    normal = (np.abs(wanted) <= info.max) & ((wanted == 0) | (np.abs(wanted) >= info.tiny))
    assert found.shape == wanted.shape
    wrong = np.abs(found - wanted)[normal] / np.where(scale == 0, 1, scale)[normal]
    return float(wrong.max(initial=0)) / EPS[dtype]


def prepared(name: str, make: Any, n: int) -> np.ndarray:
    x = make(n)
    if name == "prod":  # factors whose product stays in range
        x = np.exp((x - x.mean()) / (x.std() * np.sqrt(n))).astype(np.float32)
    return x


@pytest.fixture(params=[0, 1], ids=["interpreter", "native"])
def tier(request: pytest.FixtureRequest) -> Iterator[int]:
    with knobs.override(tier=request.param):
        yield request.param


@pytest.mark.parametrize("name", ["sum", "mean", "var", "norm", "cumsum", "prod"])
def test_many_elements(name: str) -> None:
    with knobs.override(tier=1):
        _check_many(name)


def _check_many(name: str) -> None:
    for make in (one_large,) if name == "cumsum" else (uniform, one_large):
        assert error(tracec, name, prepared(name, make, MANY), 0, "float32") <= BOUND["float32"]


@pytest.mark.parametrize("shape, axis", [((160, 1000), 1), ((16000, 10), 0), ((1000, 160), 0)])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_rows_and_columns(name: str, shape: tuple[int, ...], axis: int, tier: int) -> None:
    for make in DATA:
        if name == "softmax" and make is one_large:
            continue  # all of it is 0 or 1
        x = prepared(name, make, 160_000).reshape(shape)
        ours = error(tracec, name, x, axis, "float32")
        theirs = error(torch, name, x, axis, "float32")
        assert ours <= max(BOUND["float32"], theirs), (make.__name__, ours, theirs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_half_precision_is_rounded_once(name: str, dtype: str, tier: int) -> None:
    for make in (uniform, alternating):
        for shape, axis in (((200, 500), 1), ((500, 200), 0), ((100_000,), 0)):
            x = prepared(name, make, 100_000).reshape(shape)
            assert error(tracec, name, x, axis, dtype) <= BOUND[dtype], (make.__name__, shape)
