"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .categorical import Categorical
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A component chosen by `mixture_distribution`, a Categorical, along the last dimension of the
    batch of `component_distribution`."""

    arg_constraints: dict[str, Any] = {}
    has_rsample = False
    _parameters = ("_mixture_distribution",)
    _kept = ("_num_component", "_event_ndims")

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of "
                "torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of "
                "torch.distributions.Distribution"
            )
        outer = mixture_distribution.batch_shape
        batch = component_distribution.batch_shape[:-1]
        for i, j in zip(reversed(outer), reversed(batch)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({outer}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch})"
                )
        k = mixture_distribution.logits.shape[-1]
        components = component_distribution.batch_shape[-1]
        if k != components:
            raise ValueError(
                f"`mixture_distribution component` ({k}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({components})"
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = k
        event = component_distribution.event_shape
        self._event_ndims = len(event)
        super().__init__(batch, event, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        shape = Size((*batch_shape, self._num_component))
        new._component_distribution = self._component_distribution.expand(shape)
        return new

    mixture_distribution = property(lambda self: self._mixture_distribution)
    component_distribution = property(lambda self: self._component_distribution)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    def _weights(self) -> Tensor:
        """The probabilities of the components, with dimensions for an event."""
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *(1,) * self._event_ndims)

    def _over_components(self, x: Tensor) -> Tensor:
        return x.sum(-1 - self._event_ndims)

    @property
    def mean(self) -> Tensor:
        return self._over_components(self._weights() * self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        """By the law of total variance."""
        p, inner = self._weights(), self.component_distribution
        offset = inner.mean - self.mean.unsqueeze(-1 - self._event_ndims)
        within = self._over_components(p * inner.variance)
        return within + self._over_components(p * offset.pow(2))

    def cdf(self, x: Tensor) -> Tensor:
        inner = self.component_distribution.cdf(self._padded(x))
        return (inner * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(x)
        inner = self.component_distribution.log_prob(self._padded(x))
        return (inner + self.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def _padded(self, x: Tensor) -> Tensor:
        return x.unsqueeze(-1 - self._event_ndims)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        with tracec.no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            inner = self.component_distribution.sample(sample_shape)
            place = len(sample_shape) + len(self._batch_shape)
            index = chosen.reshape(*chosen.shape, *(1,) * (self._event_ndims + 1))
            index = index.expand(*inner.shape[:place], 1, *self._event_shape)
            return self._own(inner.gather(place, index).squeeze(place))

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
        )
