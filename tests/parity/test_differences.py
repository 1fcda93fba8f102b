"""gradient, histogramdd, diff, logcumsumexp, `out=` of functions with indices, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tracec
from tests.parity.same import assert_same

RNG = np.random.default_rng(5)
GRID = RNG.standard_normal((4, 5))


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spacing": 0.5},
        {"spacing": [2.0, 0.25]},
        {"dim": 1},
        {"dim": [1, 0], "spacing": [1, 2]},
        {"dim": -1, "spacing": [np.array([0.0, 1.0, 1.5, 4.0, 4.25])]},
    ],
)
def test_gradient(options: dict, dtype: str, edge_order: int) -> None:
    def run(m: Any) -> list:
        made = dict(options)
        spacing = made.get("spacing")
        if isinstance(spacing, list) and isinstance(spacing[0], np.ndarray):
            made["spacing"] = [m.tensor(s) for s in spacing]
        x = m.tensor(GRID * 8).to(getattr(m, dtype))
        return m.gradient(x, edge_order=edge_order, **made)

    for ours, theirs in zip(run(tracec), run(torch), strict=True):
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing": [0.1], "dim": [1, 0]},
        {"edge_order": 3},
        {"spacing": 0.1, "dim": [1, 1]},
        {"dim": 3},
    ],
)
def test_gradient_errors(wrong: dict) -> None:
    assert_same(lambda m: m.gradient(m.ones(3, 3), **wrong) and None)
    assert_same(lambda m: m.gradient(m.ones(3, 1)) and None)


def test_gradient_is_differentiable() -> None:
    x = tracec.tensor(GRID, requires_grad=True)
    at = tracec.tensor([0.0, 1.0, 1.5, 4.0, 4.25], dtype=tracec.float64, requires_grad=True)
    for order in (1, 2):
        assert tracec.autograd.gradcheck(
            lambda x, at, order=order: tracec.gradient(x, dim=1, spacing=[at], edge_order=order),
            (x, at),
        )


@pytest.mark.parametrize("density", [False, True])
def test_histogramdd(density: bool) -> None:
    x = RNG.standard_normal((50, 2)).astype(np.float32)
    w = RNG.random(50).astype(np.float32)
    edges = [np.array([-1.0, 0.0, 0.5, 2.0]), np.array([-2.0, 1.0, 1.0, 3.0])]

    def run(m: Any) -> list:
        t, weight = m.tensor(x), m.tensor(w)
        calls = [
            m.histogramdd(t, 4, density=density),
            m.histogramdd(t, [3, 5], weight=weight, density=density),
            m.histogramdd(t, [3, 5], range=[-1.0, 1.0, 0.0, 2.0], density=density),
        ]
        if not density:
            calls.append(m.histogramdd(t, [m.tensor(e, dtype=m.float32) for e in edges]))
        return [v.numpy() for hist, bins in calls for v in (hist, *bins)]

    for ours, theirs in zip(run(tracec), run(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_logcumsumexp_over_any_range() -> None:
    x = np.array([-500.0, -499.0, 0.0, 500.0, -np.inf, 3.0])
    inf = np.array([-np.inf, -np.inf, 1.0, np.inf, 2.0])
    for v in (x, inf):
        ours = tracec.logcumsumexp(tracec.tensor(v), 0).numpy()
        np.testing.assert_allclose(ours, torch.logcumsumexp(torch.tensor(v), 0).numpy())
    t = tracec.tensor(x[:4] / 10, requires_grad=True)
    assert tracec.autograd.gradcheck(lambda t: tracec.logcumsumexp(t, 0), (t,))
    assert tracec.autograd.gradgradcheck(lambda t: tracec.logcumsumexp(t, 0), (t,))


@pytest.mark.parametrize("name", ["topk", "kthvalue", "mode", "median", "max", "sort", "aminmax"])
def test_results_with_indices_are_written_to_out(name: str) -> None:
    def run(m: Any) -> list:
        x = m.tensor(RNG_FIXED)
        args = {"topk": (2,), "kthvalue": (2,), "median": (1,), "max": (1,)}.get(name, ())
        kinds = (m.float64, m.float64 if name == "aminmax" else m.int64)
        out = tuple(m.empty(0, dtype=d) for d in kinds)
        extra = {"dim": 1} if name == "aminmax" else {}
        found = getattr(m, name)(x, *args, out=out, **extra)
        return [found[0] is out[0], found[1] is out[1], out[0].tolist(), out[1].tolist()]

    assert_same(run)


RNG_FIXED = np.array([[3.0, 1.0, 2.0, 1.5], [0.5, -1.0, 7.0, 6.0]])


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x, k: m.gather(x, 0, k, out=x[:3]),
        lambda m, x, k: m.take(x, k, out=x[:3]),
        lambda m, x, k: m.index_select(x, 0, k, out=x[1:4]),
        lambda m, x, k: m.index_select(x, 0, k, out=m.zeros(1).expand(3)),
        lambda m, x, k: m.masked_select(x, x > 1, out=x),
        lambda m, x, k: m.kthvalue(x, 2, out=(x[:1], m.empty(0, dtype=m.int64))),
        lambda m, x, k: m.isclose(x, 2.0),
        lambda m, x, k: m.max(2, x),
        lambda m, x, k: m.ldexp(x, 2),
        lambda m, x, k: m.linspace(0, 1, 3.0),
        lambda m, x, k: m.logspace(m.zeros(2), 1, 3),
        lambda m, x, k: m.multinomial(m.tensor([0.1, -1.0]), 1).tolist(),
        lambda m, x, k: m.multinomial(m.zeros(3), 1, True).tolist(),
        lambda m, x, k: m.multinomial(x, 2, out=m.zeros(2)),
        lambda m, x, k: m.complex(x, x.double()),
        lambda m, x, k: m.aminmax(x, dim=0, out=(m.empty(0), m.empty(0, dtype=m.float64))),
    ],
)
def test_refused(call: Any) -> None:
    def run(m: Any) -> None:
        call(m, m.arange(6.0), m.tensor([2, 1, 0]))

    with pytest.raises((RuntimeError, TypeError)) as theirs:
        run(torch)
    with pytest.raises(theirs.type):
        run(tracec)
