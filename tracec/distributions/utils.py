"""What distributions share: broadcasting of parameters, probabilities and logits, lazy values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from numbers import Number
from typing import Any

import numpy as np

import tracec

from ..tensor import Tensor

euler_constant = 0.57721566490153286060

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "euler_constant",
    "is_tensor_like",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def is_tensor_like(value: Any) -> bool:
    """Whether value may stand for a tensor."""
    return isinstance(value, Tensor) or hasattr(value, "__torch_function__")


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """The values as tensors of one shape; numbers take the dtype of the first tensor, or else the
    default. ValueError for anything that is neither number nor tensor."""
    like = None
    for v in values:
        if isinstance(v, Tensor):
            like = v if like is None else like
        elif not isinstance(v, Number):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects "
                "implementing __torch_function__."
            )
    dtype = tracec.get_default_dtype() if like is None else like.dtype
    tensors = [v if isinstance(v, Tensor) else tracec.tensor(v, dtype=dtype) for v in values]
    shape = tensors[0]._spec.shape
    if all(t._spec.shape == shape for t in tensors):
        return tuple(tensors)
    return tuple(tracec.broadcast_tensors(*tensors))


def _standard_normal(shape: tuple[int, ...], dtype: Any, device: Any = None) -> Tensor:
    """Standard normal numbers."""
    return tracec.randn(tuple(shape), dtype=dtype, device=device)


def _sum_rightmost(value: Tensor, dim: int) -> Tensor:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.sum(tuple(range(-dim, 0)))


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities with these log-odds (binary), or with these logarithms up to a constant along
    the last dimension."""
    return tracec.sigmoid(logits) if is_binary else tracec.softmax(logits, -1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept away from 0 and 1 by the dtype's eps."""
    eps = tracec.finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds (binary), or logarithms, of clamped probabilities."""
    p = clamp_probs(probs)
    return p.log() - (-p).log1p() if is_binary else p.log()


class lazy_property:
    """An attribute computed by the decorated method at the first access and kept from then on."""

    def __init__(self, wrapped: Callable[[Any], Any]):
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with tracec.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Square matrices whose lower triangle, below and with diagonal `diag`, is the last dimension
    of vec, row by row. ValueError if no matrix has so many elements there."""
    count = vec.shape[-1]
    places = _places_in_matrix(count, diag)
    if places is None:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    padded = tracec.nn.functional.pad(vec, (0, 1))
    return padded[..., tracec.tensor(places)].reshape(*vec.shape[:-1], *places.shape)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The lower triangles of square matrices, below and with diagonal `diag`, row by row.
    ValueError if there is no such diagonal."""
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat.reshape(*mat.shape[:-2], n * n)[..., tracec.tensor(_places_in_vector(n, diag))]


def _size(n: int, diag: int) -> int:
    """How many elements of an n x n matrix lie below or on a diagonal."""
    kept = max(n + min(diag, 0), 0)
    above = n - 1 - max(diag, 0)
    return kept * (kept + 1) // 2 if diag <= 0 else n * n - max(above, 0) * (above + 1) // 2


@cache
def _places_in_matrix(count: int, diag: int) -> np.ndarray | None:
    """Which of `count` elements stands at each place of the matrix (`count`: none)."""
    n = max(-diag, 0)
    while _size(n, diag) < count:
        n += 1
    if _size(n, diag) != count:
        return None
    places = np.full((n, n), count)
    places[np.tril_indices(n, diag)] = np.arange(count)
    return places


@cache
def _places_in_vector(n: int, diag: int) -> np.ndarray:
    """The places, counted along the rows, of the elements below or on a diagonal."""
    rows, columns = np.tril_indices(n, diag)
    return rows * n + columns
