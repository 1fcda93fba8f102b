"""Divergences against PyTorch's, and those that PyTorch gets wrong against a quadrature."""

import numpy as np
import pytest
import torch

import tracec

from .distributions_table import Maker
from .test_distributions import close, same_gradients

FAMILIES = {
    "Bernoulli": lambda D, t, i: D.Bernoulli(t([[0.2, 0.7], [0.5, 0.4]][i])),
    "Beta": lambda D, t, i: D.Beta(t([[0.6, 2.0], [1.5, 0.7]][i]), t([[1.7, 3.0], [2.0, 0.4]][i])),
    "Binomial": lambda D, t, i: D.Binomial(6, t([[0.2, 0.7], [0.5, 0.4]][i])),
    "Categorical": lambda D, t, i: D.Categorical(t([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]][i])),
    "Cauchy": lambda D, t, i: D.Cauchy(t([0.2, 1.5][i]), t([1.0, 0.7][i])),
    "Chi2": lambda D, t, i: D.Chi2(t([[2.0, 5.0], [3.0, 1.0]][i])),
    "ContinuousBernoulli": lambda D, t, i: D.ContinuousBernoulli(t([[0.2, 0.7], [0.4, 0.3]][i])),
    "Dirichlet": lambda D, t, i: D.Dirichlet(t([[0.8, 2.0, 3.5], [1.5, 1.2, 4.0]][i])),
    "Exponential": lambda D, t, i: D.Exponential(t([[0.5, 2.0], [1.5, 0.7]][i])),
    "Gamma": lambda D, t, i: D.Gamma(t([[0.6, 2.0], [1.5, 0.7]][i]), t([[1.7, 3.0], [2, 0.4]][i])),
    "Geometric": lambda D, t, i: D.Geometric(t([[0.2, 0.7], [0.5, 0.4]][i])),
    "Gumbel": lambda D, t, i: D.Gumbel(t([[0.2, 1.0], [0.5, -0.4]][i]), t([[1.0, 2], [0.5, 3]][i])),
    "HalfNormal": lambda D, t, i: D.HalfNormal(t([[0.5, 2.0], [1.5, 0.7]][i])),
    "Independent": lambda D, t, i: D.Independent(
        D.Normal(t([[0.2, 1.0], [0.5, -0.4]][i]), t([[1.0, 2], [0.5, 3]][i])), 1
    ),
    "Laplace": lambda D, t, i: D.Laplace(t([[0.2, 1], [0.5, -0.4]][i]), t([[1.0, 2], [0.5, 3]][i])),
    "LogNormal": lambda D, t, i: D.LogNormal(t([0.2, 1.5][i]), t([1.0, 0.7][i])),
    "LowRankMultivariateNormal": lambda D, t, i: D.LowRankMultivariateNormal(
        t([[0.5, -1.0], [0.0, 1.0]][i]), t([[[1.0], [0.5]], [[0.3], [-0.7]]][i]), t([0.5, 2.0])
    ),
    "MultivariateNormal": lambda D, t, i: D.MultivariateNormal(
        t([[0.5, -1.0], [0.0, 1.0]][i]), t([[[2.0, 0.3], [0.3, 1.0]], [[1.0, 0], [0, 0.5]]][i])
    ),
    "Normal": lambda D, t, i: D.Normal(t([[0.2, 1.0], [0.5, -0.4]][i]), t([[1.0, 2], [0.5, 3]][i])),
    "OneHotCategorical": lambda D, t, i: D.OneHotCategorical(t([[0.2, 0.8], [0.7, 0.3]][i])),
    "Pareto": lambda D, t, i: D.Pareto(
        t([[0.9, 2.0], [0.5, 0.7]][i]), t([[2.5, 1.7], [3, 0.8]][i])
    ),
    "Poisson": lambda D, t, i: D.Poisson(t([[0.5, 2.0], [1.5, 0.7]][i])),
    "Uniform": lambda D, t, i: D.Uniform(
        t([[0.1, 0.3], [-1.0, 0.0]][i]), t([[0.6, 0.9], [2, 1]][i])
    ),
}
PAIRS = sorted(
    (p.__name__, q.__name__)
    for p, q in torch.distributions.kl._KL_REGISTRY
    if p.__name__ in FAMILIES and q.__name__ in FAMILIES
) + [("Chi2", "Chi2"), ("Chi2", "Gamma"), ("Gamma", "Chi2"), ("LogNormal", "LogNormal")]
# PyTorch calls the divergence from [0, 1] to [0, 1] infinite, too
DIFFERENT = {("ContinuousBernoulli", "Uniform")}


@pytest.mark.parametrize("p, q", [pair for pair in PAIRS if pair not in DIFFERENT])
def test_kl(p, q):
    results = []
    for framework in (torch, tracec):
        make = Maker(framework)
        D = framework.distributions
        a, b = FAMILIES[p](D, make, 0), FAMILIES[q](D, make, 1)
        results.append((D.kl_divergence(a, b), make.leaves))
    (theirs, their_leaves), (ours, our_leaves) = results
    close(ours, theirs, tolerance=1e-9 if "ContinuousBernoulli" in (p, q) else None)
    if theirs.isfinite().all():
        same_gradients(ours, theirs, our_leaves, their_leaves, "", 1e-8)


def test_kl_of_unequal_supports():
    D = tracec.distributions
    inside, equal = D.Uniform(0.1, 1.0), D.Uniform(0.0, 1.0)
    p = D.ContinuousBernoulli(tracec.tensor(0.3, dtype=tracec.float64))
    assert D.kl_divergence(p, inside).item() == float("inf")
    x = np.linspace(0, 1, 20001)
    density = p.log_prob(tracec.tensor(x)).exp().numpy()
    integral = np.trapezoid(density * np.log(density), x)
    np.testing.assert_allclose(D.kl_divergence(p, equal).item(), integral, rtol=1e-7)
    certain = D.Bernoulli(tracec.tensor([0.0, 1.0, 0.5]))
    assert D.kl_divergence(certain, D.Bernoulli(tracec.tensor([0.5, 1.0, 0.0]))).tolist() == (
        pytest.approx([np.log(2), 0.0, np.inf])
    )


def test_kl_of_impossible_categories():
    for framework in (torch, tracec):
        D, t = framework.distributions, framework.tensor
        p, q = D.Categorical(t([0.0, 1.0, 0.0])), D.Categorical(t([0.0, 0.5, 0.5]))
        assert D.kl_divergence(p, q).item() == pytest.approx(np.log(2), rel=1e-6)
        assert D.kl_divergence(q, p).item() == np.inf


def test_register_kl():
    D = tracec.distributions

    class Mine(D.Normal):
        pass

    class Yours(D.Normal):
        pass

    a, b = Mine(0.0, 1.0), Yours(1.0, 1.0)
    assert D.kl_divergence(a, b).item() == pytest.approx(0.5)
    registry = D.kl._KL_REGISTRY
    try:
        D.register_kl(Mine, D.Normal)(lambda p, q: "left")
        assert D.kl_divergence(a, b) == "left"
        D.register_kl(D.Normal, Yours)(lambda p, q: "right")
        with pytest.warns(RuntimeWarning, match="Ambiguous kl_divergence"):
            assert D.kl_divergence(a, b) == "left"
        D.register_kl(Mine, Yours)(lambda p, q: "both")
        assert D.kl_divergence(a, b) == "both"
    finally:
        for pair in ((Mine, D.Normal), (D.Normal, Yours), (Mine, Yours)):
            registry.pop(pair, None)
        D.kl._found.clear()
    with pytest.raises(TypeError):
        D.register_kl(3, D.Normal)
