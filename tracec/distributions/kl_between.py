"""Divergences between two distributions of different families.

Minus the entropy of p minus the mean of q's logarithmic density, which needs few moments of p:
each family q gets one formula, and a table says which families p take it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tracec

from ..tensor import Tensor
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .continuous_bernoulli import ContinuousBernoulli
from .exponential import Exponential
from .gamma import Gamma
from .gumbel import Gumbel
from .kl import register_kl
from .laplace import Laplace
from .normal import Normal
from .pareto import Pareto
from .poisson import Poisson
from .uniform import Uniform
from .utils import euler_constant


def _x_log_x(x: Tensor) -> Tensor:
    return x.xlogy(x)


def _to(q: type, *families: type) -> Callable[[Callable], Callable]:
    """Registers a formula for q and each of the families p."""

    def register(fn: Callable) -> Callable:
        for p in families:
            register_kl(p, q)(fn)
        return fn

    return register


def _infinite(p: Any, q: Any) -> Tensor:
    """p has values that q never has."""
    return tracec.full(p.batch_shape, math.inf, dtype=p.mean.dtype)


for _q, _families in {
    Beta: (Exponential, Gamma, Gumbel, Laplace, Normal, Pareto),
    ContinuousBernoulli: (Exponential, Gamma, Gumbel, Laplace, Normal, Pareto),
    Exponential: (Gumbel, Laplace, Normal),
    Gamma: (Gumbel, Laplace, Normal),
    Pareto: (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Normal),
    Uniform: (Exponential, Gamma, Gumbel, Laplace, Normal, Pareto),
    Binomial: (Poisson,),
    Bernoulli: (Poisson,),
}.items():
    _to(_q, *_families)(_infinite)


@_to(Normal, Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Pareto, Uniform)
def _normal(p: Any, q: Any) -> Tensor:
    variance = q.scale.pow(2)
    spread = (p.variance + (p.mean - q.loc).pow(2)) / (2 * variance)
    return 0.5 * (2 * math.pi * variance).log() + spread - p.entropy()


@_to(Exponential, Beta, ContinuousBernoulli, Gamma, Pareto)
def _exponential(p: Any, q: Any) -> Tensor:
    return q.rate * p.mean - q.rate.log() - p.entropy()


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Tensor:
    return tracec.where(p.low < 0, math.inf, _exponential(p, q))


# -- to Gamma, by the mean of log x ---------------------------------------------------------------
def _gamma(p: Any, q: Any, log_mean: Tensor) -> Tensor:
    c = q.concentration
    norm = c.lgamma() - c * q.rate.log()
    return norm - (c - 1) * log_mean + q.rate * p.mean - p.entropy()


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Tensor:
    a = p.concentration1
    return _gamma(p, q, a.digamma() - (a + p.concentration0).digamma())


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Tensor:
    return _gamma(p, q, -p.rate.log() - euler_constant)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Tensor:
    return _gamma(p, q, p.scale.log() + p.alpha.reciprocal())


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Tensor:
    return tracec.where(p.low < 0, math.inf, _gamma(p, q, _log_mean(p.low, p.high)))


def _log_mean(low: Tensor, high: Tensor) -> Tensor:
    """The mean of log x over an interval."""
    return (_x_log_x(high) - _x_log_x(low)) / (high - low) - 1


# -- to Gumbel, by the moment-generating function at -1 / scale -----------------------------------
def _gumbel(p: Any, q: Any, moment: Tensor) -> Tensor:
    """`moment` is the mean of exp((q.loc - x) / q.scale)."""
    return q.scale.log() + (p.mean - q.loc) / q.scale + moment - p.entropy()


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Tensor:
    width = p.rate * q.scale
    return _gumbel(p, q, (q.loc / q.scale).exp() * width / (width + 1))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Tensor:
    spread = (1 + (p.rate * q.scale).reciprocal()).pow(-p.concentration)
    return _gumbel(p, q, (q.loc / q.scale).exp() * spread)


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Tensor:
    shift = (q.loc - p.loc) / q.scale + 0.5 * (p.scale / q.scale).pow(2)
    return _gumbel(p, q, shift.exp())


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Tensor:
    low, high = ((q.loc - end) / q.scale for end in (p.low, p.high))
    return _gumbel(p, q, (low.exp() - high.exp()) / (low - high))


# -- others ---------------------------------------------------------------------------------------
@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Tensor:
    return q.rate - p.probs * q.rate.log() - p.entropy()


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Tensor:
    shift = p.loc - q.loc
    z = shift / p.scale
    distance = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z.pow(2)).exp()
    distance = distance + shift * (math.sqrt(0.5) * z).erf()
    return (2 * q.scale).log() + distance / q.scale - p.entropy()


def _continuous_bernoulli(p: Any, q: Any) -> Tensor:
    norm = (-q.probs).log1p() + q._cont_bern_log_norm()
    return -p.mean * q.logits - norm - p.entropy()


register_kl(Beta, ContinuousBernoulli)(_continuous_bernoulli)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    outside = (p.high > 1) | (p.low < 0)
    return tracec.where(outside, math.inf, _continuous_bernoulli(p, q))


@_to(Uniform, Beta, ContinuousBernoulli)
def _uniform(p: Any, q: Any) -> Tensor:
    outside = (q.low > 0) | (q.high < 1)
    return tracec.where(outside, math.inf, (q.high - q.low).log() - p.entropy())


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    slope = (a - 1) * _log_mean(p.low, p.high) + (b - 1) * _log_mean(1 - p.high, 1 - p.low)
    outside = (p.high > 1) | (p.low < 0)
    return tracec.where(outside, math.inf, norm - slope - p.entropy())


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Tensor:
    norm = q.alpha.log() + q.alpha * q.scale.log()
    result = (q.alpha + 1) * _log_mean(p.low, p.high) - norm - p.entropy()
    return tracec.where(p.low < q.scale, math.inf, result)
