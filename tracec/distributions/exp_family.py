"""Exponential families: entropy by differentiating the log-normaliser."""

from __future__ import annotations

from typing import Any

import tracec

from ..tensor import Tensor
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """Densities exp(<t(x), theta> - F(theta) + k(x)) with natural parameters theta, log-normaliser
    F and carrier measure k."""

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Tensor) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F(theta) - <theta, grad F(theta)> - E[k(x)] (Nielsen and Nock, 2010)."""
        entropy = -self._mean_carrier_measure
        with tracec.enable_grad():
            parameters = [p.detach().requires_grad_() for p in self._natural_params]
            normalizer = self._log_normalizer(*parameters)
            slopes = tracec.autograd.grad(normalizer.sum(), parameters, create_graph=True)
        entropy = entropy + normalizer
        rank = len(self.batch_shape)
        for parameter, slope in zip(parameters, slopes):
            inner = parameter * slope
            entropy = entropy - inner.reshape(*inner.shape[:rank], -1).sum(-1)
        return entropy
