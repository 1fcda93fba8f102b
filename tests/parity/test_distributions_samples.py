"""The laws of samples, and gradients through them: fixed seeds, generous bounds."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

import tracec

from .distributions_table import CASES, FIRST, built

COUNT = 3000
LEAST = 1e-4  # of the probability that both samples have one law


def columns(x: np.ndarray) -> np.ndarray:
    """Each element of a sample, and for events of several the sum over all."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    return np.concatenate([flat, flat @ np.cos(np.arange(flat.shape[1])[:, None])], axis=1)


# PyTorch's rows of LKJ factors have radii of another law (their squares are 2-dimensional points'
# as if of 3 dimensions), so that its correlations are not alike; see test_lkj_correlations
@pytest.mark.parametrize("name", [name for name in CASES if name != "LKJCholesky"])
def test_law(name):
    """Kolmogorov and Smirnov's test of samples against PyTorch's."""
    torch.manual_seed(20)
    tracec.manual_seed(21)
    theirs = columns(built(torch, name)[0].sample((COUNT,)).numpy())
    ours = columns(built(tracec, name)[0].sample((COUNT,)).numpy())
    for a, b in zip(theirs.T, ours.T):
        assert scipy.stats.ks_2samp(a, b, method="asymp").pvalue > LEAST


# PyTorch's Wishart samples cannot go backward: what is saved is changed in place; see test_wishart
@pytest.mark.parametrize("name", [name for name in FIRST if not name.startswith("Wishart")])
def test_rsample_gradient(name):
    """The gradient of the mean of a function of samples is that of PyTorch's samples."""
    torch.manual_seed(22)
    tracec.manual_seed(23)
    results = []
    for framework in (torch, tracec):
        d, leaves = built(framework, name)
        if not d.has_rsample or not leaves:
            return
        x = d.rsample((COUNT,))
        smooth = (x.tanh() * framework.arange(1, 1 + x[0].numel()).reshape(x[0].shape)).sum()
        grads = framework.autograd.grad(smooth / COUNT, leaves, allow_unused=True)
        results.append([0 if g is None else g.numpy() for g in grads])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=0.2, atol=0.2)


@pytest.mark.parametrize("concentration", [0.7, 2.0])
def test_lkj_correlations(concentration):
    """Every correlation is 2 x - 1 with x beta distributed (Lewandowski et al., 2009)."""
    tracec.manual_seed(27)
    n = 4
    d = tracec.distributions.LKJCholesky(n, concentration)
    factor = d.sample((COUNT,)).numpy().astype(np.float64)
    correlations = factor @ factor.swapaxes(-1, -2)
    a = concentration + n / 2 - 1
    for i in range(n):
        for j in range(i):
            x = (correlations[:, i, j] + 1) / 2
            assert scipy.stats.kstest(x, scipy.stats.beta(a, a).cdf).pvalue > LEAST


@pytest.mark.parametrize("name", ["Wishart", "Wishart precision"])
def test_wishart_gradient(name):
    """The gradient of the mean of samples is that of the mean."""
    tracec.manual_seed(28)
    d, leaves = built(tracec, name)
    weights = tracec.tensor([[1.0, 0.5, 0.2], [0.5, 2.0, 0.3], [0.2, 0.3, 1.0]]).double()
    sampled = tracec.autograd.grad((d.rsample((COUNT,)).mean(0) * weights).sum(), leaves)
    d, leaves = built(tracec, name)
    exact = tracec.autograd.grad((d.mean * weights).sum(), leaves)
    for a, b in zip(sampled, exact):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0.1, atol=0.2)


def test_gamma_slope_keeps_the_quantile():
    a = np.array([0.02, 0.3, 1.0, 3.0, 20.0, 400.0])
    for q in (1e-4, 0.2, 0.5, 0.9, 1 - 1e-6):
        x = scipy.special.gammaincinv(a, q)
        seen = x > 1e-280
        h = 1e-6 * a
        expected = (scipy.special.gammaincinv(a + h, q) - scipy.special.gammaincinv(a - h, q)) / (
            2 * h
        )
        slope = tracec._standard_gamma_grad(tracec.tensor(a), tracec.tensor(x)).numpy()
        np.testing.assert_allclose(slope[seen], expected[seen], rtol=1e-7)


def test_gamma_slope_of_large_shapes_joins_the_series():
    z = np.array([-4.0, -1.0, 0.0, 2.0, 4.0])
    slopes = []
    for a in (0.99999e5, 1.00001e5):
        x = a + z * a**0.5
        slopes.append(
            tracec._standard_gamma_grad(
                tracec.full((5,), a, dtype=tracec.float64), tracec.tensor(x)
            )
        )
    np.testing.assert_allclose(slopes[0].numpy(), slopes[1].numpy(), rtol=1e-7)


def test_second_derivative_of_gamma_samples_is_refused():
    a = tracec.tensor([2.0], requires_grad=True)
    x = tracec.distributions.Gamma(a, 1.0).rsample()
    (g,) = tracec.autograd.grad(x.sum(), [a], create_graph=True)
    with pytest.raises(NotImplementedError, match="_standard_gamma_grad"):
        g.sum().backward()
        a.grad.tolist()


@pytest.mark.parametrize("rate", [0.0, 0.4, 9.0, 12.0, 800.0])
def test_poisson(rate):
    tracec.manual_seed(24)
    x = tracec.poisson(tracec.full((20000,), rate, dtype=tracec.float64)).numpy()
    at = np.arange(0, 2 * rate + 10)
    assert (x == np.floor(x)).all()
    below = (x[:, None] <= at).mean(0) if rate < 100 else np.array([(x <= k).mean() for k in at])
    assert np.abs(below - scipy.stats.poisson(rate).cdf(at)).max() * 20000**0.5 < 2.2


@pytest.mark.parametrize("n, p", [(5, 0.3), (0, 0.5), (40, 0.9), (100, 0.5), (2000, 0.02), (9, 1)])
def test_binomial(n, p):
    tracec.manual_seed(25)
    shape = (20000,)
    x = tracec.binomial(
        tracec.full(shape, n, dtype=tracec.float64), tracec.full(shape, p, dtype=tracec.float64)
    ).numpy()
    at = np.arange(0, min(n, 200) + 1)
    below = (x[:, None] <= at).mean(0)
    assert np.abs(below - scipy.stats.binom(n, p).cdf(at)).max() * 20000**0.5 < 2.2


def test_sampled_from_tensors_of_a_wrong_kind():
    for framework in (torch, tracec):
        with pytest.raises(RuntimeError, match="expected rate to be non-negative"):
            framework.poisson(framework.tensor([-1.0])).sum().item()
        with pytest.raises(RuntimeError):
            framework.binomial(framework.tensor([1.0]), framework.tensor([0.5]).double())


def test_zero_weights_are_never_drawn():
    tracec.manual_seed(26)
    D = tracec.distributions
    weights = tracec.tensor([0.0, 1.0, 0.0, 2.0])
    for d in (D.Categorical(weights), D.Categorical(logits=weights.log())):
        assert set(d.sample((20000,)).tolist()) == {1, 3}


def test_seeds():
    d = tracec.distributions.Gamma(tracec.ones(3), 1.0)
    draws = []
    for seed in (1, 1, 2):
        tracec.manual_seed(seed)
        draws.append((d.sample().tolist(), d.sample().tolist()))
    assert draws[0] == draws[1] != draws[2] and draws[0][0] != draws[0][1]
