"""Cholesky factors of LKJ distributed correlation matrices."""

from __future__ import annotations

import math
from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of `dim` x `dim` correlation matrices with a density proportional to the
    (concentration - 1)-th power of the determinant (Lewandowski, Kurowicka and Joe, 2009)."""

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _parameters = ("concentration",)
    _kept = ("dim",)

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None):
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        super().__init__(self.concentration.shape, Size((dim, dim)), validate_args=validate_args)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """By the onion method: each row is a point inside of a ball, whose squared radius is beta
        distributed, and what completes it to length 1."""
        with tracec.no_grad():
            eta = self.concentration.unsqueeze(-1)
            dtype = eta.dtype
            rows = tracec.arange(self.dim - 1, dtype=dtype)  # the first row is 1, 0, ...
            radius = Beta(
                rows * 0.5 + 0.5, eta + 0.5 * (self.dim - 2) - 0.5 * rows, validate_args=False
            )
            square = radius.sample(sample_shape)
            shape = (*square.shape[:-1], self.dim - 1, self.dim)
            z = tracec.randn(shape, dtype=dtype).tril(0)
            w = square.sqrt().unsqueeze(-1) * z / z.pow(2).sum(-1, keepdim=True).sqrt()
            w = tracec.nn.functional.pad(w, (0, 0, 1, 0))
            rest = (1 - w.pow(2).sum(-1)).clamp(min=tracec.finfo(dtype).tiny)
            return self._own(w + rest.sqrt().diag_embed())

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, eta = self.dim, self.concentration
        diagonal = value.diagonal(dim1=-2, dim2=-1)[..., 1:]
        power = 2 * (eta - 1).unsqueeze(-1) + n - tracec.arange(2, n + 1, dtype=eta.dtype)
        alpha = eta + 0.5 * (n - 1)
        norm = (alpha - 0.5).mvlgamma(n - 1) - alpha.lgamma() * (n - 1)
        norm = norm + 0.5 * (n - 1) * math.log(math.pi)
        return (power * diagonal.log()).sum(-1) - norm
