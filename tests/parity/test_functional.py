"""`autograd.functional` against PyTorch."""

from typing import Any

import numpy as np
import pytest
import torch

import tracec

A = [[1.0, 2.0], [3.0, -1.0]]


def values(r: Any) -> Any:
    if isinstance(r, (tuple, list)):
        return [values(i) for i in r]
    return r.detach().numpy()


def assert_close(a: Any, b: Any) -> None:
    if isinstance(b, list):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_close(x, y)
    else:
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


CALLS = {
    "jacobian": lambda F, m, x, y: F.jacobian(lambda t: t.exp().sum(1), x),
    "jacobian of two": lambda F, m, x, y: F.jacobian(lambda s, t: (s * t, s.sum()), (x, y)),
    "hessian": lambda F, m, x, y: F.hessian(lambda t: (t**3).sum() * t[0, 0], x),
    "hessian of two": lambda F, m, x, y: F.hessian(lambda s, t: (s * t).pow(2).sum(), (x, y)),
    "vjp": lambda F, m, x, y: F.vjp(lambda t: t @ y, x, m.ones(2, 2)),
    "jvp": lambda F, m, x, y: F.jvp(lambda t: (t @ y).sin(), x, y),
    "vhp": lambda F, m, x, y: F.vhp(lambda t: (t**3).sum(), x, y),
    "hvp": lambda F, m, x, y: F.hvp(lambda t: (t**3).sum(), x, y),
    "unused": lambda F, m, x, y: F.jacobian(lambda s, t: s * 2, (x, y)),
}


@pytest.mark.parametrize("name", CALLS)
def test_call(name: str) -> None:
    ours, theirs = (
        values(CALLS[name](m.autograd.functional, m, m.tensor(A), m.tensor(A) * 0.5 - 1))
        for m in (tracec, torch)
    )
    assert_close(ours, theirs)


def test_strict_and_wrong_sizes() -> None:
    x = tracec.ones(2)
    functional = tracec.autograd.functional
    with pytest.raises(RuntimeError, match="independent of input 1"):
        functional.jacobian(lambda s, t: s * 2, (x, x), strict=True)
    with pytest.raises(RuntimeError, match="v has invalid size"):
        functional.vjp(lambda t: t * 2, x, tracec.ones(3))
    with pytest.raises(RuntimeError, match="single element"):
        functional.hessian(lambda t: t * 2, x)
