"""set_float32_matmul_precision against PyTorch, and products that are large enough for a matrix
unit: as exact at every level."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tracec


@pytest.fixture(autouse=True)
def default_level():
    yield
    tracec.set_float32_matmul_precision("highest")


def test_remembers_the_level() -> None:
    assert tracec.get_float32_matmul_precision() == torch.get_float32_matmul_precision()
    for level in ("medium", "high", "highest"):
        tracec.set_float32_matmul_precision(level)
        assert tracec.get_float32_matmul_precision() == level


@pytest.mark.parametrize("wrong", [3, None])
def test_wrong_types(wrong: object) -> None:
    messages = []
    for framework in (tracec, torch):
        with pytest.raises(RuntimeError) as caught:
            framework.set_float32_matmul_precision(wrong)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_unknown_levels_change_nothing() -> None:
    with pytest.warns(UserWarning, match="'highest', 'high', or 'medium'"):
        tracec.set_float32_matmul_precision("low")
    assert tracec.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("level", ["highest", "medium"])
@pytest.mark.parametrize("form", ["a @ b", "a.T @ b", "a @ b.T", "batches"])
def test_products_are_as_exact_as_pytorchs(form: str, level: str) -> None:
    tracec.set_float32_matmul_precision(level)
    rng = np.random.default_rng(0)
    shape = (3, 160, 160) if form == "batches" else (300, 300)
    a, b = (rng.standard_normal(shape).astype("f4") for _ in "ab")

    def product(x, y):
        x = x.transpose(-1, -2) if form == "a.T @ b" else x
        y = y.transpose(-1, -2) if form == "a @ b.T" else y
        return x @ y

    exact = product(torch.tensor(a).double(), torch.tensor(b).double()).numpy()
    ours = product(tracec.tensor(a), tracec.tensor(b)).numpy()
    theirs = product(torch.tensor(a), torch.tensor(b)).numpy()
    # Both are chains of about k roundings; their means differ by a factor that is not far from 1.
    assert np.abs(ours - exact).mean() <= 1.5 * np.abs(theirs - exact).mean()
    assert ours.dtype == np.float32
