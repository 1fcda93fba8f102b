"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """What excesses over a high threshold `loc` tend to: exponential for a `concentration` of 0,
    heavier tails above, a bounded support below."""

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _parameters = ("loc", "scale", "concentration")

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        c = self.concentration
        end = self.loc - self.scale / tracec.where(c < 0, c, -1.0)
        return constraints.interval(self.loc, tracec.where(c < 0, end, math.inf))

    def _split(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is 0, and it with 1 in place of that."""
        c = self.concentration
        zero = tracec.isclose(c, tracec.zeros_like(c))
        return zero, tracec.where(zero, 1.0, c)

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    @property
    def mean(self) -> Tensor:
        """NaN from concentration 1 on."""
        c = self.concentration
        finite = self.loc + self.scale / tracec.where(c < 1, 1 - c, 1.0)
        return tracec.where(c < 1, finite, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """NaN from concentration 1/2 on."""
        c = tracec.where(self.concentration < 0.5, self.concentration, math.nan)
        return self.scale.pow(2) / ((1 - c).pow(2) * (1 - 2 * c))

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        u = tracec.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self._own(self.icdf(u))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z, (zero, c) = self._z(value), self._split()
        tail = tracec.where(zero, z, (1 + 1 / c) * (c * z).log1p())
        return -self.scale.log() - tail

    def log_survival_function(self, value: Tensor) -> Tensor:
        """log P(x > value)."""
        if self._validate_args:
            self._validate_sample(value)
        z, (zero, c) = self._z(value), self._split()
        return tracec.where(zero, -z, -(c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """log P(x <= value)."""
        if self._validate_args:
            self._validate_sample(value)
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -self.log_survival_function(value).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        zero, c = self._split()
        left = -(-value).log1p()
        return self.loc + self.scale * tracec.where(zero, left, (c * left).expm1() / c)

    def entropy(self) -> Tensor:
        return self.scale.log() + self.concentration + 1
