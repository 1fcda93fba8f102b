"""Window functions: torch.hann_window and its family, and torch.signal.windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracec_ir import dtypes, promote
from tracec_ir.dtypes import DType

from ..creation import _device, _finish, _of_array, strided
from ..tensor import Tensor
from .face import add as list_as

NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
BLACKMAN = (0.42, 0.5, 0.08)


# Sums of cosines, whose errors PyTorch words for all of them.
_COSINES = ("general_hamming", "hamming", "hann", "nuttall")


def _window(
    name: str,
    shape: Callable,
    M: int,
    sym: bool,
    dtype: DType | None,
    device: Any,
    requires_grad: bool,
) -> Tensor:
    """`shape(k, n)` at k = 0..M-1, where n is the distance over which the window is symmetric."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    dtype = dtype or promote.default_float
    if dtype.code not in ("f32", "f64"):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    _device(device)
    k = np.arange(M, dtype=np.float64)
    values = np.ones(M) if M == 1 else shape(k, M - 1 if sym else M)
    return _finish(_of_array(np.asarray(values, np.float64).astype(dtype.numpy)), requires_grad)


def _strided(name: str, layout: Any) -> None:
    if layout is not None and layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")


def cosines(weights: Sequence[float]) -> Callable:
    """The alternating sum of cosines with these weights."""
    return lambda k, n: sum(
        (-1) ** i * a * np.cos(2 * np.pi * i * k / n) for i, a in enumerate(weights)
    )


def bartlett_shape(k: np.ndarray, n: float) -> np.ndarray:
    return 1 - np.abs(2 * k / n - 1)


def kaiser_shape(beta: float) -> Callable:
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return lambda k, n: np.i0(beta * np.sqrt(np.maximum(1 - (2 * k / n - 1) ** 2, 0))) / np.i0(beta)


def _signal(name: str, make: Callable, **parameters: Any) -> Callable:
    """A function of torch.signal.windows; `parameters` are its own keywords and their defaults."""

    def fn(
        M: int,
        *,
        sym: bool = True,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        **given: Any,
    ) -> Tensor:
        unknown = set(given) - set(parameters)
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument '{unknown.pop()}'")
        chosen = {**parameters, **given}
        family = "general_cosine" if name in _COSINES else name
        _strided(family, layout)
        if sym and chosen.get("center") is not None:
            raise ValueError("Center must be None for symmetric windows")
        return _window(family, make(**chosen), M, sym, dtype, device, requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The {name} window of M points."
    return fn


def _positive(value: float, name: str) -> float:
    if value <= 0:
        raise ValueError(f"{name} must be positive, got: {value} instead.")
    return value


def _exponential(center: float | None, tau: float) -> Callable:
    _positive(tau, "Tau")
    return lambda k, n: np.exp(-np.abs(k - (n / 2 if center is None else center)) / tau)


def _gaussian(std: float) -> Callable:
    _positive(std, "Standard deviation")
    return lambda k, n: np.exp(-0.5 * ((k - n / 2) / std) ** 2)


def _general_cosine(a: Sequence[float]) -> Callable:
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return cosines(a)


bartlett = _signal("bartlett", lambda: bartlett_shape)
blackman = _signal("blackman", lambda: cosines(BLACKMAN))
cosine = _signal("cosine", lambda: lambda k, n: np.sin(np.pi * (k + 0.5) / (n + 1)))
exponential = _signal("exponential", _exponential, center=None, tau=1.0)
gaussian = _signal("gaussian", _gaussian, std=1.0)
general_cosine = _signal("general_cosine", _general_cosine, a=())
general_hamming = _signal("general_hamming", lambda alpha: cosines((alpha, 1 - alpha)), alpha=0.54)
hamming = _signal("hamming", lambda: cosines((0.54, 0.46)))
hann = _signal("hann", lambda: cosines((0.5, 0.5)))
kaiser = _signal("kaiser", kaiser_shape, beta=12.0)
nuttall = _signal("nuttall", lambda: cosines(NUTTALL))


def _legacy(name: str, make: Callable, names: tuple[str, ...] = (), defaults: tuple = ()) -> None:
    """A function `name(window_length, periodic=True, ...)` of the top level."""

    def fn(
        window_length: int,
        periodic: bool = True,
        *args: float,
        dtype: Any = None,
        layout: Any = None,
        device: Any = None,
        pin_memory: bool = False,
        requires_grad: bool = False,
        **given: float,
    ) -> Tensor:
        _strided(name, layout)
        chosen = {
            **dict(zip(names, defaults, strict=True)),
            **dict(zip(names, args, strict=False)),
            **given,
        }
        wanted = dtype or promote.default_float
        work = dtypes.f32 if wanted.bits == 16 else wanted
        out = _window(name, make(**chosen), window_length, not periodic, work, device, False)
        return _finish(out.to(wanted), requires_grad)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The window of {name.removesuffix('_window')} with window_length points."
    list_as(fn, "torch", name)


_legacy("hann_window", lambda: cosines((0.5, 0.5)))
_legacy(
    "hamming_window", lambda alpha, beta: cosines((alpha, beta)), ("alpha", "beta"), (0.54, 0.46)
)
_legacy("bartlett_window", lambda: bartlett_shape)
_legacy("blackman_window", lambda: cosines(BLACKMAN))
_legacy("kaiser_window", kaiser_shape, ("beta",), (12.0,))
