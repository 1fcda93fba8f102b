"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Angles around `loc`, the nearer the higher the `concentration`."""

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False
    _parameters = ("loc", "concentration")

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None):
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The circular variance."""
        k = self.concentration
        return 1 - tracec.special.i1e(k) / tracec.special.i0e(k)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        with tracec.no_grad():
            k = self.concentration.expand(self._extended_shape(sample_shape))
            turned = k._von_mises() + self.loc + math.pi
            return self._own(turned % (2 * math.pi) - math.pi)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        k = self.concentration
        return k * ((value - self.loc).cos() - 1) - math.log(2 * math.pi) - _log(k)


def _log(k: Tensor) -> Tensor:
    """log(i0(k)) - k, which does not overflow."""
    return tracec.special.i0e(k).log()
