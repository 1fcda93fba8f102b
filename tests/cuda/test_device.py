"""CUDA as users meet it where no GPU is: not available, PyTorch's error, no CuPy until asked."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tracec
from tracec_runtime import knobs

no_gpu = pytest.mark.skipif(tracec.cuda.is_available(), reason="this machine has a GPU")


@no_gpu
def test_not_available() -> None:
    assert not tracec.cuda.is_available()
    assert tracec.cuda.device_count() == 0


@no_gpu
@pytest.mark.parametrize("use", [
    lambda x: x.to("cuda"),
    lambda x: x.cuda(),
    lambda x: tracec.zeros(2, device="cuda"),
    lambda x: tracec.nn.Linear(2, 2).to("cuda"),
], ids=["to", "cuda", "device", "module"])  # fmt: skip
def test_using_a_device_is_pytorchs_error(use) -> None:
    with pytest.raises(RuntimeError, match="Found no NVIDIA driver on your system"):
        use(tracec.zeros(2))


def test_nothing_imports_cupy_until_cuda_is_asked_for() -> None:
    program = (
        "import sys, tracec\n"
        "from tracec_codegen.cuda import emit, gemm, nvrtc\n"
        "x = tracec.ones(3).exp().sum().item()\n"
        "assert 'cupy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_dump_shows_the_source(capsys) -> None:
    with knobs.override(dump="cuda", tier=1, cache=False):
        x = tracec.arange(6000.0).reshape(10, 600)
        tracec.softmax(x * 0.125 + 3.25, -1).sum().item()
    shown = capsys.readouterr().err
    assert "===== cuda: " in shown and 'extern "C" __global__ void' in shown
