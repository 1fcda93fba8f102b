"""torch.fft against PyTorch: every function, its sizes and norms, its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tracec

RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, 4, 6))
Z = X + 1j * RNG.normal(size=X.shape)
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
REAL_INPUT = ("rfft", "ihfft")
NORMS = (None, "backward", "ortho", "forward")


def of(name: str) -> np.ndarray:
    return X if name.startswith(REAL_INPUT) else Z


def compare(fn, *arrays) -> None:
    """Values, gradients and second derivatives in both libraries."""
    results = []
    for t in (tracec, torch):
        xs = [t.tensor(a, requires_grad=True) for a in arrays]
        y = fn(t, *xs)
        weight = t.arange(1.0, y.numel() + 1, dtype=t.float64).reshape(tuple(y.shape))
        loss = ((y * y.conj()).real * weight).sum()
        grads = t.autograd.grad(loss, xs, create_graph=True)
        again = t.autograd.grad(sum((g * g.conj()).real.sum() for g in grads), xs)
        results.append([np.asarray(v.detach().resolve_conj().numpy()) for v in (y, *grads, *again)])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE)
def test_one_dimension(name, norm):
    for n, dim in ((None, -1), (5, 1), (9, 0), (6, 2)):
        compare(lambda t, x: getattr(t.fft, name)(x, n, dim, norm), of(name))  # noqa: B023


@pytest.mark.parametrize("suffix", ["2", "n"])
@pytest.mark.parametrize("name", ONE)
def test_several_dimensions(name, suffix):
    fn = name + suffix
    compare(lambda t, x: getattr(t.fft, fn)(x), of(name))
    compare(lambda t, x: getattr(t.fft, fn)(x, (5, 4), (0, -1), "ortho"), of(name))
    compare(lambda t, x: getattr(t.fft, fn)(x, (-1, 7), norm="forward"), of(name))


def test_frequencies_and_shifts():
    for n in (1, 4, 7):
        for name in ("fftfreq", "rfftfreq"):
            ours, theirs = (getattr(t.fft, name)(n, 0.5).numpy() for t in (tracec, torch))
            np.testing.assert_array_equal(ours, theirs)
    for name in ("fftshift", "ifftshift"):
        compare(lambda t, x: getattr(t.fft, name)(x), Z)  # noqa: B023
        compare(lambda t, x: getattr(t.fft, name)(x, 1), X)  # noqa: B023


@pytest.mark.parametrize("dtype", ["int64", "bool", "float32", "complex64"])
def test_dtypes(dtype):
    x = (X * 3).astype(dtype)
    ours, theirs = (t.fft.fft(t.from_numpy(x)).numpy() for t in (tracec, torch))
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda t, x: t.fft.fft(x, 0), RuntimeError),
        (lambda t, x: t.fft.fft(x, norm="up"), RuntimeError),
        (lambda t, x: t.fft.fft(x, dim=3), IndexError),
        (lambda t, x: t.fft.rfft(x * 1j), RuntimeError),
        (lambda t, x: t.fft.fftn(x, dim=(0, 0)), RuntimeError),
        (lambda t, x: t.fft.fftn(x, (2, 2), dim=0), RuntimeError),
        (lambda t, x: t.fft.fftn(x, (1, 1, 1, 1)), RuntimeError),
        (lambda t, x: t.fft.fft(x.half()), RuntimeError),
    ],
)
def test_wrong_input(call, error):
    messages = []
    for t in (tracec, torch):
        with pytest.raises(error) as caught:
            call(t, t.tensor(X))
        messages.append(str(caught.value))
    assert messages[0].split()[:3] == messages[1].split()[:3]


def test_a_script_runs_its_transforms_without_the_framework(tmp_path):
    import tracec_runtime

    class Double(tracec.nn.Module):
        def forward(self, x):
            return tracec.fft.irfft(tracec.fft.rfft(x) * 2)

    x = RNG.normal(size=(3, 8)).astype(np.float32)
    script = tracec.script(Double())
    script(tracec.from_numpy(x))
    path = tmp_path / "double.tcm"
    script.save(str(path))
    found = tracec_runtime.load(str(path))(x)
    np.testing.assert_allclose(np.asarray(found), 2 * x, rtol=1e-5, atol=1e-5)
