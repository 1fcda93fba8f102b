"""Every row of docs/differences.md is still true: of tracec, and where it says so of PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import tracec
from tracec import nn
from tracec.nn import functional as F
from tracec_runtime import events, knobs

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"
CHECKS: dict[str, Callable[[], None]] = {}


def row(name: str) -> Callable:
    def register(check: Callable[[], None]) -> Callable[[], None]:
        CHECKS[name] = check
        return check

    return register


def rows() -> list[str]:
    lines = [line for line in PAGE.read_text("utf8").splitlines() if line.startswith("| ")]
    return [line.split("|")[1].strip() for line in lines[2:]]


# rows whose checks need more than a few lines: the test that holds them
ELSEWHERE = {
    "Process groups": "unit/distributed/test_one_process.py::test_any_backend",
    "Process groups: time limits":
        "unit/distributed/test_processes.py::test_an_exception_ends_all_processes",
    "Process groups: writes": "unit/distributed/test_processes.py::test_own_programs",
    "`DistributedDataParallel`": "unit/distributed/test_processes.py::test_own_programs",
    "`SyncBatchNorm`": "unit/distributed/test_one_process.py::test_sync_batchnorm_alone",
    "`tracec.export`": "unit/export/test_export.py::test_what_cannot_be_exported",
    "`set_float32_matmul_precision`":
        "parity/test_precision.py::test_products_are_as_exact_as_pytorchs",
    "Samples of a distribution":
        "parity/test_distributions_errors.py::test_a_written_sample_is_checked_again",
    "Trigamma, von Mises, `Multinomial.entropy`": "parity/test_distributions.py::test_trigamma",
    "`LKJCholesky` samples": "parity/test_distributions_samples.py::test_lkj_correlations",
    "`Kumaraswamy.mode`, the divergence of `ContinuousBernoulli` from `Uniform(0, 1)`, gradients "
    "of `Wishart.rsample`": "parity/test_distributions_samples.py::test_wishart_gradient",
    "Gradients of `Beta` and `Dirichlet` samples":
        "parity/test_distributions_samples.py::test_rsample_gradient",
    "`MaskedTensor`: what it takes": "parity/test_masked_tensor.py::test_what_pytorch_refuses_here",
    "`MaskedTensor`: layouts, other functions":
        "parity/test_masked_tensor.py::test_what_cannot_be_reached_names_itself",
    "`MaskedTensor`: gradients of what it was made from":
        "parity/test_masked_tensor.py::test_gradients_reach_the_data",
    "`MaskedTensor`: in-place functions": "parity/test_masked_tensor.py::test_new_data",
    "`torch.masked.mean`, `var`, `std` of a MaskedTensor":
        "parity/test_masked_tensor.py::test_masked_functions_count_what_is_kept",
}  # fmt: skip


def test_every_row_has_a_check() -> None:
    assert sorted(rows()) == sorted([*CHECKS, *ELSEWHERE])
    for place in ELSEWHERE.values():
        file, _, name = place.partition("::")
        assert f"def {name}(" in (PAGE.parents[1] / "tests" / file).read_text("utf8")


@pytest.mark.parametrize("name", [r for r in rows() if r not in ELSEWHERE])
def test_row_is_true(name: str) -> None:
    CHECKS[name]()


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a program prints in a process of its own, where no trace was recorded before."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env={**os.environ, **variables},
    )  # fmt: skip


def flushes() -> int:
    return sum(n for name, n in events.stats().items() if name.startswith("flush."))


@row("When values are computed")
def _when() -> None:
    before = flushes()
    x = tracec.ones(3) * 2
    y = x.exp()
    assert flushes() == before
    y.numpy()
    assert flushes() == before + 1
    parameter = nn.Parameter(tracec.ones(2))
    (parameter * 3).sum().backward()
    before = flushes()
    tracec.optim.SGD([parameter], lr=0.1).step()
    assert flushes() > before
    with tracec.no_grad():
        deep = nn.Sequential(*(nn.Linear(4, 4) for _ in range(64)))
        before = flushes()
        deep(tracec.ones(2, 4))
        assert flushes() > before


@row("Data-dependent errors (an index out of range)")
def _late_errors() -> None:
    picked = tracec.arange(3.0)[tracec.tensor([5])]  # here PyTorch raises
    with pytest.raises(IndexError, match="index 5 is out of bounds.*test_differences.py"):
        picked.numpy()
    with pytest.raises(IndexError):
        torch.arange(3.0)[torch.tensor([5])]
    at_once = "import tracec\nx = tracec.arange(3.0)\nx[tracec.tensor([6])]\nprint('not reached')"
    assert "not reached" in run(at_once).stdout
    done = run(at_once, TRACEC_SYNC="1")
    assert "IndexError" in done.stderr and not done.stdout


@row("Random numbers")
def _random() -> None:
    drawn = []
    for tier, threads in ((0, 1), (1, 1), (1, 2)):
        with knobs.override(tier=tier, num_threads=threads):
            tracec.manual_seed(7)
            drawn.append(tracec.rand(1000).numpy())
    assert all((d == drawn[0]).all() for d in drawn)
    torch.manual_seed(7)
    assert (torch.rand(1000).numpy() != drawn[0]).any()


@row("`from_numpy` of more than 1 MiB")
def _from_numpy() -> None:
    def changed(count: int) -> float:
        array = np.ones(count, np.float32)
        y = tracec.from_numpy(array) + 1
        array[0] = 7
        return y[0].item()

    assert changed(2**18 + 1) == 8.0  # read when it is computed
    assert changed(4) == 2.0


@row("Half precision in a fused chain")
def _half() -> None:
    values = np.linspace(1, 2, 997, dtype=np.float16)
    with knobs.override(tier=1):
        x = tracec.tensor(values)
        ours = ((x * x) / x).numpy()
    t = torch.tensor(values)
    theirs = ((t * t) / t).numpy()
    assert (ours == values).all()  # rounded once, at the end
    assert (theirs != values).any()


@row("In-place changes of saved values")
def _saved() -> None:
    x = tracec.ones(2, requires_grad=True)
    y = x.exp()
    z = (y * y).sum()
    y.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


@row("`torch.compile`")
def _compile() -> None:
    def f(x):
        return x

    assert tracec.compile(f) is f


@row("`autocast`")
def _autocast() -> None:
    a, w = tracec.ones(2, 2), tracec.ones(2, 2, requires_grad=True)
    with tracec.autocast("cpu", dtype=tracec.bfloat16):
        first, second = a @ w, a @ w
        assert first.dtype == tracec.bfloat16 and tracec.exp(first).dtype == tracec.bfloat16
    from tracec_ir.optable import lookup

    assert lookup("matmul").autocast == "half" and lookup("cross_entropy").autocast != "half"
    assert second.float().sum().item() == 8.0


@row("Tensors on CUDA devices")
def _cuda() -> None:
    kind = NotImplementedError if tracec.cuda.is_available() else RuntimeError
    with pytest.raises(kind):
        tracec.ones(2).to("cuda")


@row("Memory formats")
def _formats() -> None:
    x = tracec.ones(1, 2, 3, 3).to(memory_format=tracec.channels_last)
    assert x.stride() == (18, 9, 3, 1)
    assert F.conv2d(x, tracec.ones(4, 2, 1, 1)).is_contiguous()
    assert torch.ones(1, 2, 3, 3).to(memory_format=torch.channels_last).stride() == (18, 1, 6, 2)


@row("Hooks on computed tensors")
def _hooks() -> None:
    def run(hook: Callable) -> list:
        x = tracec.ones(2, requires_grad=True)
        y = x * 2
        z = y.sum()
        z.item()
        y.register_hook(hook)
        z.backward()
        assert x.grad is not None
        return x.grad.tolist()

    seen: list = []
    assert run(lambda g: seen.append(g.tolist())) == [2.0, 2.0]
    assert seen == [[1.0, 1.0]]
    with pytest.raises(NotImplementedError, match="before the first use"):
        run(lambda g: g * 3)


@row("Writes through `.data`")
def _data() -> None:
    def gradient(m) -> list:
        x = m.ones(2, requires_grad=True)
        y = x * 1
        z = (y * y).sum()
        y.data.mul_(5)
        z.backward()
        return x.grad.tolist()

    assert gradient(tracec) == [2.0, 2.0]
    assert gradient(torch) == [10.0, 10.0]


@row("`x[0] = [1, 2]`, `array + tensor`")
def _lists() -> None:
    x = tracec.zeros(2, 2)
    x[0] = [1, 2]
    assert x.tolist() == [[1.0, 2.0], [0.0, 0.0]]
    total = np.ones(2, np.float32) + tracec.ones(2)
    assert isinstance(total, tracec.Tensor) and total.tolist() == [2.0, 2.0]
    with pytest.raises(TypeError):
        torch.zeros(2, 2)[0] = [1, 2]
    with pytest.raises(TypeError):
        np.ones(2, np.float32) + torch.ones(2)


TWO_LINES = """
import tracec
def first(x, i):
    return x[i] * 5 - 2
def second(x, i):
    return x[i] * 5 - 2
x = tracec.arange(3.0)
first(x, tracec.tensor([1])).numpy()
try:
    second(x, tracec.tensor([9])).numpy()
except IndexError as e:
    print(e)
"""


@row("The line in data-dependent errors")
def _line() -> None:
    done = run(TWO_LINES)
    assert "<string>:4" in done.stdout and "<string>:6" not in done.stdout, done.stdout


@row("`as_strided_scatter`")
def _as_strided_scatter() -> None:
    def gradient(m) -> list:
        x = m.ones(3, requires_grad=True)
        m.as_strided_scatter(x, m.zeros(2), (2,), (1,), 0).sum().backward()
        return x.grad.tolist()

    assert gradient(tracec) == [0.0, 0.0, 1.0]
    assert gradient(torch) == [1.0, 1.0, 0.0]


@row("Airy, Bessel and incomplete gamma functions")
def _special() -> None:
    scipy = pytest.importorskip("scipy.special")
    at = {"bessel_j0": (5.005, scipy.j0), "bessel_y1": (5.005, scipy.y1),
          "airy_ai": (-2.094, lambda x: scipy.airy(x)[0])}  # fmt: skip
    for name, (x, exact) in at.items():
        ours = getattr(tracec.special, name)(tracec.tensor([x], dtype=tracec.float64)).item()
        theirs = getattr(torch.special, name)(torch.tensor([x], dtype=torch.float64)).item()
        assert abs(ours - exact(x)) < 1e-15 and abs(theirs - exact(x)) > 1e-7, name
    a = tracec.tensor([150.0], dtype=tracec.float64)
    ours = tracec.special.gammainc(a, a + 20).item()
    assert abs(ours - scipy.gammainc(150.0, 170.0)) < 1e-14


@row("`conj()`")
def _conj() -> None:
    assert not tracec.tensor([1j]).conj().is_conj()
    assert torch.tensor([1j]).conj().is_conj()


@row("complex32 (`chalf`)")
def _chalf() -> None:
    with pytest.raises(NotImplementedError, match="complex32"):
        tracec.tensor([1j]).chalf()


@row("Equal elements in `sort`, `topk`, `msort`, `mode`")
def _ties() -> None:
    x = tracec.tensor([1.0, 0.0] * 50)
    places = list(range(1, 100, 2)) + list(range(0, 100, 2))
    assert x.sort()[1].tolist() == places
    assert x.topk(3)[1].tolist() == [0, 2, 4]


@row("Gradient of `poisson_nll_loss(full=True)` for a target of 0")
def _poisson() -> None:
    def gradient(m) -> float:
        target = m.zeros(1, requires_grad=True)
        m.nn.functional.poisson_nll_loss(m.ones(1), target, full=True).backward()
        return target.grad.item()

    assert np.isfinite(gradient(tracec)) and np.isnan(gradient(torch))


@row("Gradient of `CrossMapLRN2d`")
def _lrn() -> None:
    layer = nn.CrossMapLRN2d(3)
    x = tracec.linspace(0.1, 1, 8, dtype=tracec.float64).reshape(1, 4, 2, 1)
    assert tracec.autograd.gradcheck(layer, (x.requires_grad_(),))


@row("An index out of range in `gather` and `scatter`")
def _gather() -> None:
    def run_gather(m) -> None:
        m.ones(3).gather(0, m.tensor([5])).tolist()

    with pytest.raises(IndexError):
        run_gather(tracec)
    with pytest.raises(RuntimeError):
        run_gather(torch)
