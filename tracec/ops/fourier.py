"""torch.fft: discrete Fourier transforms in one, two and more dimensions."""

from __future__ import annotations

from typing import Any

from tracec_ir import promote
from tracec_ir.dtypes import DType

from ..record import apply
from ..spaced import arange
from ..tensor import Tensor, wrap_dim
from .arguments import dims, given, need_tensor
from .face import face

_FORWARD = {None: "none", "backward": "none", "ortho": "ortho", "forward": "full"}
_BACKWARD = {None: "full", "backward": "full", "ortho": "ortho", "forward": "none"}


def _mode(norm: str | None, forward: bool) -> str:
    try:
        return (_FORWARD if forward else _BACKWARD)[norm]
    except (KeyError, TypeError):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"') from None


def _one(input: Tensor, n: Any, dim: int, name: str) -> tuple[tuple, tuple]:
    need_tensor(input, name)
    if not isinstance(dim, int):
        raise TypeError(
            f"{name}(): argument 'dim' (position 3) must be int, not {type(dim).__name__}"
        )
    if n is not None and not hasattr(n, "__index__"):
        raise TypeError(f"{name}(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    if not input.dim():
        wrap_dim(dim, 0)
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if n is not None and n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return (wrap_dim(dim, input.dim()),), (n,)


def _many(input: Tensor, s: Any, dim: Any, name: str) -> tuple[tuple, tuple]:
    """The dimensions counted from the front, and a size or None for each."""
    need_tensor(input, name)
    rank = input.dim()
    s, dim = dims(s), dims(dim)
    s = (s,) if isinstance(s, int) else s
    if dim and not rank:
        first = dim if isinstance(dim, int) else dim[0]
        raise IndexError(f"Dimension specified as {first} but tensor has no dimensions")
    if dim is not None:
        dim = tuple(wrap_dim(d, rank) for d in ((dim,) if isinstance(dim, int) else dim))
        if len(set(dim)) != len(dim):
            raise RuntimeError("FFT dims must be unique")
    if s is None:
        dim = tuple(range(rank)) if dim is None else dim
        return dim, (None,) * len(dim)
    if dim is not None and len(dim) != len(s):
        raise RuntimeError(
            "When given, dim and shape arguments must have the same length, but got "
            f"{len(dim)} dims and {len(s)} sizes"
        )
    if len(s) > rank:
        raise RuntimeError(
            f"Got shape with {len(s)} values but input tensor only has {rank} dimensions."
        )
    for n in s:
        if n < 1 and n != -1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    dim = tuple(range(rank - len(s), rank)) if dim is None else dim
    return dim, tuple(None if n == -1 else n for n in s)


def _c2c(input: Tensor, where: tuple, norm: str | None, forward: bool, out: Any) -> Tensor:
    dim, sizes = where
    mode = _mode(norm, forward)
    if not dim:
        x = input if input.is_complex() else input.to(_complex_of(input.dtype))
        return given(out, x.clone())
    attrs = (("dim", dim), ("sizes", sizes), ("forward", forward), ("mode", mode))
    return given(out, apply("fft_c2c", (input,), attrs))


def _complex_of(dtype: DType) -> DType:
    return (dtype if dtype.kind == "f" else promote.default_float).to_complex()


def _r2c(input: Tensor, where: tuple, norm: str | None, forward: bool, name: str, out: Any):
    dim, sizes = where
    if not dim:
        raise RuntimeError(f"{name} must transform at least one axis")
    mode = _mode(norm, forward)
    attrs = (
        ("dim", dim), ("sizes", sizes), ("forward", forward), ("mode", mode), ("name", name),
    )  # fmt: skip
    return given(out, apply("fft_r2c", (input,), attrs))


def _c2r(input: Tensor, where: tuple, norm: str | None, forward: bool, name: str, out: Any):
    dim, sizes = where
    if not dim:
        raise RuntimeError(f"{name} must transform at least one axis")
    mode = _mode(norm, forward)
    attrs = (("dim", dim), ("sizes", sizes), ("forward", forward), ("mode", mode))
    return given(out, apply("fft_c2r", (input,), attrs))


# -- one dimension --------------------------------------------------------------------------------
@face("fft")
def fft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The transform along `dim`: y[k] = sum of x[j] * exp(-2 pi i j k / n).

    `input` is real or complex and is cut or padded with zeros to `n` along `dim`; the result is
    complex. `norm`: "backward" (no factor), "ortho" (1 / sqrt(n)) or "forward" (1 / n).
    RuntimeError for n < 1, an unknown norm, and 16-bit floats; IndexError for a wrong dim.
    """
    return _c2c(input, _one(input, n, dim, "fft"), norm, True, out)


@face("fft")
def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The inverse of `fft`: exp(+2 pi i j k / n), divided by n unless norm says otherwise."""
    return _c2c(input, _one(input, n, dim, "ifft"), norm, False, out)


@face("fft")
def rfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The first n // 2 + 1 numbers of `fft` of a real input; the others are their conjugates."""
    return _r2c(input, _one(input, n, dim, "rfft"), norm, True, "rfft", out)


@face("fft")
def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The inverse of `rfft`: n real numbers (2 * (size - 1) unless given) from one half."""
    return _c2r(input, _one(input, n, dim, "irfft"), norm, False, "irfft", out)


@face("fft")
def hfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`fft` of numbers with conjugate symmetry, of which input is one half: n real numbers."""
    return _c2r(input, _one(input, n, dim, "hfft"), norm, True, "hfft", out)


@face("fft")
def ihfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The inverse of `hfft`: the first n // 2 + 1 numbers of `ifft` of a real input."""
    return _r2c(input, _one(input, n, dim, "ihfft"), norm, False, "ihfft", out)


# -- several dimensions ---------------------------------------------------------------------------
@face("fft")
def fftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`fft` along each of `dim` (all of them, or the last len(s)), cut or padded to the sizes s
    (-1: as it is)."""
    return _c2c(input, _many(input, s, dim, "fftn"), norm, True, out)


@face("fft")
def ifftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The inverse of `fftn`."""
    return _c2c(input, _many(input, s, dim, "ifftn"), norm, False, out)


@face("fft")
def rfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`fftn` of a real input; of the last dimension the first half."""
    return _r2c(input, _many(input, s, dim, "rfftn"), norm, True, "rfftn", out)


@face("fft")
def irfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The inverse of `rfftn`: real numbers, the last dimension 2 * (size - 1) unless given."""
    return _c2r(input, _many(input, s, dim, "irfftn"), norm, False, "irfftn", out)


@face("fft")
def hfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """`fftn` of numbers with conjugate symmetry, of which input is one half."""
    return _c2r(input, _many(input, s, dim, "hfftn"), norm, True, "hfftn", out)


@face("fft")
def ihfftn(
    input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The inverse of `hfftn`."""
    return _r2c(input, _many(input, s, dim, "ihfftn"), norm, False, "ihfftn", out)


def _plane(name: str, general: Any) -> None:
    def fn(
        input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None, *,
        out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        return general(input, s, dim, norm, out=out)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`{general.__name__}` of the last two dimensions, or the given ones."
    face("fft")(fn)


for _name, _general in (
    ("fft2", fftn), ("ifft2", ifftn), ("rfft2", rfftn), ("irfft2", irfftn), ("hfft2", hfftn),
    ("ihfft2", ihfftn),
):  # fmt: skip
    _plane(_name, _general)


# -- frequencies and shifts -----------------------------------------------------------------------
def _frequencies(numbers: Tensor, n: int, d: float, dtype: Any, out: Any, options: dict) -> Tensor:
    result = numbers.to(dtype or promote.default_float) * (1.0 / (n * d))
    result = given(out, result)
    return result.requires_grad_() if options.get("requires_grad") else result


@face("fft")
def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the numbers of `fft` of n samples taken every d: 0, 1, ..., -2, -1 over
    n * d."""
    positive = arange(0, (n + 1) // 2, device=device)
    negative = arange(-(n // 2), 0, device=device)
    k = apply("cat", (positive, negative), (("dim", 0),))
    return _frequencies(k, n, d, dtype, out, {"requires_grad": requires_grad})


@face("fft")
def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the numbers of `rfft` of n samples taken every d: 0, 1, ..., n // 2 over
    n * d."""
    k = arange(0, n // 2 + 1, device=device)
    return _frequencies(k, n, d, dtype, out, {"requires_grad": requires_grad})


def _shifted(input: Tensor, dim: Any, sign: int) -> Tensor:
    rank = input.dim()
    d = dims(dim)
    over = tuple(range(rank)) if d is None else (d,) if isinstance(d, int) else d
    over = tuple(wrap_dim(a, rank) for a in over)
    if not rank or not over:
        return input.clone()
    shifts = tuple(input.shape[a] // 2 if sign > 0 else (input.shape[a] + 1) // 2 for a in over)
    return input.roll(shifts, over)


@face("fft")
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The zero frequency moved to the middle of each dimension."""
    need_tensor(input, "fftshift")
    return _shifted(input, dim, 1)


@face("fft")
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    need_tensor(input, "ifftshift")
    return _shifted(input, dim, -1)
