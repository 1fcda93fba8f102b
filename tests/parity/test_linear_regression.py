"""The tutorial's linear regression runs unmodified and agrees with PyTorch's numbers."""

import runpy
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import tracec

SOURCE = Path(__file__).parents[2] / "examples" / "linear_regression.py"
START = {"weight": [[0.5]], "bias": [-0.25]}


def run(source: Path, framework: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The globals of the program after it ran from the weights START."""
    original = framework.nn.Linear.__init__

    def start_equal(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        with framework.no_grad():
            self.weight.copy_(framework.tensor(START["weight"]))
            self.bias.copy_(framework.tensor(START["bias"]))

    monkeypatch.setattr(framework.nn.Linear, "__init__", start_equal)
    return runpy.run_path(str(source))


def test_agrees_with_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = run(SOURCE, tracec, monkeypatch)
    printed = capsys.readouterr().out.splitlines()
    text = SOURCE.read_text()
    assert text.count("import tracec") == 3
    original = tmp_path / "linear_regression.py"
    original.write_text(text.replace("import tracec", "import torch"))
    theirs = run(original, torch, monkeypatch)
    expected = capsys.readouterr().out.splitlines()

    assert ours["loss"].item() == pytest.approx(theirs["loss"].item(), rel=1e-4)
    for mine, yours in zip(ours["model"].parameters(), theirs["model"].parameters(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), yours.detach().numpy(), rtol=1e-5)
    assert len(printed) == len(expected) == 12
    assert printed[-2:] == expected[-2:]
