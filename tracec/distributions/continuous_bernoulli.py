"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .exp_family import ExponentialFamily
from .parameters import Odds
from .utils import broadcast_all, clamp_probs, lazy_property

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(Odds, ExponentialFamily):
    """Numbers in [0, 1] with a density proportional to p^x (1 - p)^(1 - x) (Loaiza-Ganem and
    Cunningham, 2019). Inside `lims`, where the formulas divide 0 by 0, series at 1/2 stand in."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = ("probs", "logits")
    _kept = ("_lims",)

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ):
        shape = self._set_odds(probs, logits)
        if probs is not None:
            if validate_args is not None:
                if not constraints.unit_interval.check(self.probs).all():
                    raise ValueError("The parameter probs has invalid values")
            self.probs = clamp_probs(self.probs)
            self._proved = ("probs",)  # by clamping
        self._lims = lims
        super().__init__(shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Tensor:
        """The parameter p."""
        return clamp_probs(tracec.sigmoid(self.logits))

    def _split(self) -> tuple[Tensor, Tensor]:
        """Where p is outside of the limits, and p with the lower limit in place of what is not."""
        p, (low, high) = self.probs, self._lims
        outside = (p <= low) | (p > high)
        return outside, tracec.where(outside, p, low)

    def _cont_bern_log_norm(self) -> Tensor:
        outside, cut = self._split()
        below = tracec.where(cut <= 0.5, cut, 0.0)
        above = tracec.where(cut >= 0.5, cut, 1.0)
        denominator = tracec.where(cut <= 0.5, (-2.0 * below).log1p(), (2.0 * above - 1.0).log())
        exact = ((-cut).log1p() - cut.log()).abs().log() - denominator
        x = (self.probs - 0.5).pow(2)
        series = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return tracec.where(outside, exact, series)

    @property
    def mean(self) -> Tensor:
        outside, cut = self._split()
        exact = cut / (2.0 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        x = self.probs - 0.5
        return tracec.where(outside, exact, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def stddev(self) -> Tensor:
        return self.variance.sqrt()

    @property
    def variance(self) -> Tensor:
        outside, cut = self._split()
        exact = cut * (cut - 1.0) / (1.0 - 2.0 * cut).pow(2)
        exact = exact + 1.0 / ((-cut).log1p() - cut.log()).pow(2)
        x = (self.probs - 0.5).pow(2)
        series = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return tracec.where(outside, exact, series)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        u = tracec.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype)
        return self._own(self.icdf(u))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        loss = tracec.nn.functional.binary_cross_entropy_with_logits
        return self._cont_bern_log_norm() - loss(logits, value, reduction="none")

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        outside, cut = self._split()
        mass = cut.pow(value) * (1.0 - cut).pow(1.0 - value) + cut - 1.0
        inner = tracec.where(outside, mass / (2.0 * cut - 1.0), value)
        return tracec.where(value <= 0.0, 0.0, tracec.where(value >= 1.0, 1.0, inner))

    def icdf(self, value: Tensor) -> Tensor:
        outside, cut = self._split()
        low = (-cut).log1p()
        exact = ((-cut + value * (2.0 * cut - 1.0)).log1p() - low) / (cut.log() - low)
        return tracec.where(outside, exact, value)

    def entropy(self) -> Tensor:
        zero, one = (-self.probs).log1p(), self.probs.log()
        return self.mean * (zero - one) - self._cont_bern_log_norm() - zero

    @property
    def _natural_params(self) -> tuple[Tensor]:
        return (self.logits,)

    def _log_normalizer(self, x: Tensor) -> Tensor:
        low, high = self._lims[0] - 0.5, self._lims[1] - 0.5
        outside = (x <= low) | (x > high)
        cut = tracec.where(outside, x, low)
        exact = (cut.exp() - 1).abs().log() - cut.abs().log()
        return tracec.where(outside, exact, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
