"""The binomial distribution."""

from __future__ import annotations

from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .distribution import Distribution
from .parameters import Odds, one_of
from .utils import broadcast_all

__all__ = ["Binomial"]


class Binomial(Odds, Distribution):
    """How many of `total_count` trials succeed with probability `probs` (log-odds `logits`)."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _parameters = ("total_count", "probs", "logits")

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ):
        name, given = ("probs", probs) if one_of(probs, logits) else ("logits", logits)
        self.total_count, value = broadcast_all(total_count, given)
        self.total_count = self.total_count.type_as(value)
        setattr(self, name, value)
        super().__init__(value.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        shape = self._extended_shape(sample_shape)
        with tracec.no_grad():
            return self._own(
                tracec.binomial(self.total_count.expand(shape), self.probs.expand(shape))
            )

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        norm = -n * tracec.nn.functional.logsigmoid(-logits)
        return value * logits - norm + ways

    def entropy(self) -> Tensor:
        """NotImplementedError unless all counts of trials are equal."""
        most = int(self.total_count.max())
        if self.total_count.min() != most:
            raise NotImplementedError("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """NotImplementedError unless all counts of trials are equal."""
        most = int(self.total_count.max())
        if self.total_count.min() != most:
            raise NotImplementedError(
                "Inhomogeneous total count not supported by `enumerate_support`."
            )
        values = tracec.arange(1 + most, dtype=self.total_count.dtype)
        values = values.view((-1, *(1,) * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values
