"""Discrete Fourier transforms in PyTorch's forms: sizes, directions, halves, shifts."""

from __future__ import annotations

from .. import dtypes, promote
from ..builder import Builder
from ..core import Value
from ..optable import composite
from .common import pad_axis, spelled, take
from .samples import of


def _sized(b: Builder, x: Value, dim: tuple[int, ...], sizes: tuple) -> Value:
    """x cut or padded with zeros at the end to a size along each dimension; None keeps it."""
    for d, n in zip(dim, sizes, strict=True):
        if n is None or n == x.shape[d]:
            continue
        if isinstance(n, int) and isinstance(x.shape[d], int) and n < x.shape[d]:
            x = take(b, x, d, 0, n)
        else:
            x = pad_axis(b, x, d, 0, n - x.shape[d])
    return x


def _check(x: Value, dim: tuple[int, ...], sizes: tuple) -> None:
    if x.dtype in (dtypes.f16, dtypes.bf16):
        raise RuntimeError(f"Unsupported dtype {spelled(x.dtype)}")
    for d, n in zip(dim, sizes, strict=True):
        size = x.shape[d] if n is None else n
        if isinstance(size, int) and size < 1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")


def _complex(b: Builder, x: Value) -> Value:
    if x.dtype.kind == "c":
        return x
    real = x.dtype if x.dtype.kind == "f" else promote.default_float
    return b.cast(x, real.to_complex())


def _real(b: Builder, x: Value, name: str) -> Value:
    if x.dtype.kind == "c":
        raise RuntimeError(f"{name} expects a real input tensor, but got {spelled(x.dtype)}")
    return x if x.dtype.kind == "f" else b.cast(x, promote.default_float)


def _host(b: Builder, kind: str, x: Value, *options) -> Value:
    return b.emit("host", (x,), {"fn": "fft_" + kind, "options": options})[0]


@composite(
    autocast="single", samples=of("c3x4", dim=(1,), sizes=(None,), forward=True, mode="none")
)
def fft_c2c(b, x, *, dim, sizes, forward, mode):
    """The transform over the dimensions `dim`, which are cut or padded to `sizes`."""
    _check(x, dim, sizes)
    return _host(b, "c2c", _sized(b, _complex(b, x), dim, sizes), tuple(dim), forward, mode)


@composite(
    autocast="single",
    samples=of("f3x4", dim=(1,), sizes=(None,), forward=True, mode="none", name="rfft"),
)
def fft_r2c(b, x, *, dim, sizes, forward, mode, name):
    """`fft_c2c` of real numbers: the last of `dim` is left with its first half."""
    x = _real(b, x, name)
    _check(x, dim, sizes)
    y = _host(b, "r2c", _sized(b, x, dim, sizes), dim[-1], forward, mode)
    return _host(b, "c2c", y, tuple(dim[:-1]), forward, mode) if len(dim) > 1 else y


@composite(
    autocast="single", samples=of("c3x4", dim=(1,), sizes=(None,), forward=False, mode="none")
)
def fft_c2r(b, x, *, dim, sizes, forward, mode):
    """`fft_c2c` of numbers whose result is real: the last of `dim` holds one half of them."""
    x = _complex(b, x)
    last = sizes[-1]
    n = 2 * (x.shape[dim[-1]] - 1) if last is None else last
    if isinstance(n, int) and n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    _check(x, dim[:-1], sizes[:-1])
    half = n // 2 + 1
    x = _sized(b, x, dim, (*sizes[:-1], half))
    if len(dim) > 1:
        x = _host(b, "c2c", x, tuple(dim[:-1]), forward, mode)
    return _host(b, "c2r", x, dim[-1], n, forward, mode)
