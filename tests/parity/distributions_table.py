"""Distributions with parameters for the tests: each a function of a `distributions` package and of
a maker of float64 tensors."""

from collections.abc import Callable
from typing import Any

PD = [[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 0.8]]
TRIL = [[1.3, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.2, 0.5, 1.1]]
PROBS = [[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]]
LOGITS = [[0.3, -1.2, 0.8, 0.1], [2.0, 0.5, -0.7, 0.0]]

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "Bernoulli probs": lambda D, t: D.Bernoulli(t([0.2, 0.7, 0.5])),
    "Bernoulli logits": lambda D, t: D.Bernoulli(logits=t([[0.2, -3.0], [1.5, 0.0]])),
    "Bernoulli number": lambda D, t: D.Bernoulli(0.3),
    "Beta": lambda D, t: D.Beta(t([0.6, 2.0, 5.0]), t([1.7, 3.0, 0.8])),
    "Beta numbers": lambda D, t: D.Beta(2.0, t([3.0])),
    "Binomial probs": lambda D, t: D.Binomial(7, t([0.2, 0.7])),
    "Binomial logits": lambda D, t: D.Binomial(t([4.0, 9.0]).detach(), logits=t([0.3, -1.0])),
    "Categorical probs": lambda D, t: D.Categorical(t(PROBS)),
    "Categorical logits": lambda D, t: D.Categorical(logits=t(LOGITS)),
    "Categorical vector": lambda D, t: D.Categorical(t([0.1, 3.0, 0.9])),
    "Cauchy": lambda D, t: D.Cauchy(t([0.5, -1.0]), t([[1.0], [2.5]])),
    "Chi2": lambda D, t: D.Chi2(t([1.0, 2.5, 7.0])),
    "ContinuousBernoulli probs": lambda D, t: D.ContinuousBernoulli(t([0.1, 0.4995, 0.7])),
    "ContinuousBernoulli logits": lambda D, t: D.ContinuousBernoulli(logits=t([-2.0, 0.001, 1.0])),
    "Dirichlet": lambda D, t: D.Dirichlet(t([[0.8, 2.0, 3.5], [1.5, 1.2, 4.0]])),
    "Dirichlet vertex": lambda D, t: D.Dirichlet(t([0.3, 0.6, 0.5])),
    "Exponential": lambda D, t: D.Exponential(t([0.5, 1.0, 7.0])),
    "Exponential number": lambda D, t: D.Exponential(2.0),
    "FisherSnedecor": lambda D, t: D.FisherSnedecor(t([1.5, 3.0, 6.0]), t([1.0, 3.0, 9.0])),
    "Gamma": lambda D, t: D.Gamma(t([0.4, 1.0, 6.0]), t([1.0, 0.5, 3.0])),
    "GeneralizedPareto": lambda D, t: D.GeneralizedPareto(
        t([0.0, 1.0, -1.0, 0.3]), t([1.0, 0.5, 2.0, 1.0]), t([0.3, -0.2, 0.7, 1.3])
    ),
    "Geometric probs": lambda D, t: D.Geometric(t([0.2, 0.9])),
    "Geometric logits": lambda D, t: D.Geometric(logits=t([-1.0, 2.0])),
    "Gumbel": lambda D, t: D.Gumbel(t([0.0, 2.0]), t([1.0, 0.5])),
    "HalfCauchy": lambda D, t: D.HalfCauchy(t([0.5, 2.0])),
    "HalfNormal": lambda D, t: D.HalfNormal(t([0.5, 2.0])),
    "Independent": lambda D, t: D.Independent(
        D.Normal(t([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]), t([1.0, 2.0, 0.5])), 1
    ),
    "Independent none": lambda D, t: D.Independent(D.Bernoulli(t([0.3, 0.6])), 0),
    "InverseGamma": lambda D, t: D.InverseGamma(t([0.8, 1.5, 4.0]), t([1.0, 2.0, 0.5])),
    "Kumaraswamy": lambda D, t: D.Kumaraswamy(t([0.7, 2.0]), t([3.0, 1.5])),
    "LKJCholesky": lambda D, t: D.LKJCholesky(3, t([0.7, 2.0])),
    "Laplace": lambda D, t: D.Laplace(t([0.0, 2.0]), t([1.0, 0.5])),
    "LogNormal": lambda D, t: D.LogNormal(t([0.0, 0.5]), t([1.0, 0.3])),
    "LogisticNormal": lambda D, t: D.LogisticNormal(t([0.2, -0.4]), t([0.5, 1.0])),
    "LowRankMultivariateNormal": lambda D, t: D.LowRankMultivariateNormal(
        t([[0.5, -1.0, 2.0], [0.0, 1.0, 0.0]]), t([[1.0], [0.5], [-0.3]]), t([0.5, 1.0, 2.0])
    ),
    "MixtureSameFamily": lambda D, t: D.MixtureSameFamily(
        D.Categorical(t(PROBS)),
        D.Normal(t([[-1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]), t([0.5, 1.0, 0.7])),
    ),
    "MixtureSameFamily vectors": lambda D, t: D.MixtureSameFamily(
        D.Categorical(logits=t([0.4, -0.4])),
        D.MultivariateNormal(t([[0.0, 1.0, 0.5], [2.0, 0.0, 1.0]]), scale_tril=t(TRIL)),
    ),
    "Multinomial": lambda D, t: D.Multinomial(5, t(PROBS)),
    "Multinomial logits": lambda D, t: D.Multinomial(3, logits=t(LOGITS)),
    "MultivariateNormal covariance": lambda D, t: D.MultivariateNormal(t([0.5, 1.0, -2.0]), t(PD)),
    "MultivariateNormal precision": lambda D, t: D.MultivariateNormal(
        t([[0.5, 1.0, -2.0], [0.0, 0.0, 1.0]]), precision_matrix=t(PD)
    ),
    "MultivariateNormal factor": lambda D, t: D.MultivariateNormal(
        t([[0.5, 1.0, -2.0], [0.0, 0.0, 1.0]]), scale_tril=t([TRIL, TRIL])
    ),
    "NegativeBinomial probs": lambda D, t: D.NegativeBinomial(t([3.0, 0.5]), t([0.3, 0.8])),
    "NegativeBinomial logits": lambda D, t: D.NegativeBinomial(5, logits=t([0.3, -0.8])),
    "Normal": lambda D, t: D.Normal(t([0.5, -1.0]), t([[1.0], [2.5]])),
    "Normal numbers": lambda D, t: D.Normal(0.5, 2),
    "OneHotCategorical": lambda D, t: D.OneHotCategorical(t(PROBS)),
    "OneHotCategorical logits": lambda D, t: D.OneHotCategorical(logits=t(LOGITS)),
    "OneHotCategoricalStraightThrough": lambda D, t: D.OneHotCategoricalStraightThrough(t(PROBS)),
    "Pareto": lambda D, t: D.Pareto(t([1.0, 0.5, 2.0]), t([0.7, 1.5, 3.0])),
    "Poisson": lambda D, t: D.Poisson(t([0.5, 4.0, 30.0])),
    "RelaxedBernoulli": lambda D, t: D.RelaxedBernoulli(t(0.7), t([0.2, 0.6])),
    "RelaxedBernoulli logits": lambda D, t: D.RelaxedBernoulli(t(1.5), logits=t([0.2, -1.6])),
    "RelaxedOneHotCategorical": lambda D, t: D.RelaxedOneHotCategorical(t(0.7), t(PROBS)),
    "RelaxedOneHotCategorical logits": lambda D, t: D.RelaxedOneHotCategorical(
        t(1.2), logits=t(LOGITS)
    ),
    "StudentT": lambda D, t: D.StudentT(t([0.8, 1.5, 6.0]), t([0.0, 1.0, 2.0]), t([1.0, 2.0, 0.5])),
    "TransformedDistribution": lambda D, t: D.TransformedDistribution(
        D.Normal(t([0.3, 0.1]), t([1.0, 0.5])),
        [D.AffineTransform(t([0.5, 0.2]), -2.0), D.SigmoidTransform()],
    ),
    "TransformedDistribution tanh": lambda D, t: D.TransformedDistribution(
        D.Independent(D.Normal(t([0.3, 0.1]), t([1.0, 0.5])), 1), D.TanhTransform(cache_size=1)
    ),
    "TransformedDistribution sticks": lambda D, t: D.TransformedDistribution(
        D.Normal(t([[0.3, 0.1, -0.5]]), t([1.0, 0.5, 0.7])),
        [D.ExpTransform(), D.PowerTransform(t(0.5)), D.StickBreakingTransform()],
    ),
    "Uniform": lambda D, t: D.Uniform(t([0.0, -1.0]), t([1.0, 3.0])),
    "VonMises": lambda D, t: D.VonMises(t([0.3, -2.0]), t([0.5, 8.0])),
    "Weibull": lambda D, t: D.Weibull(t([1.0, 2.0]), t([0.8, 3.0])),
    "Wishart": lambda D, t: D.Wishart(t([4.0, 6.5]), t(PD)),
    "Wishart factor": lambda D, t: D.Wishart(t(5.0), scale_tril=t(TRIL)),
    "Wishart precision": lambda D, t: D.Wishart(t(5.0), precision_matrix=t(PD)),
}


class Maker:
    """Makes float64 tensors of a framework that require gradients, and remembers them."""

    def __init__(self, framework: Any):
        self.framework, self.leaves = framework, []

    def __call__(self, values: Any) -> Any:
        leaf = self.framework.tensor(values, dtype=self.framework.float64, requires_grad=True)
        self.leaves.append(leaf)
        return leaf


def built(framework: Any, name: str) -> tuple[Any, list]:
    """The distribution of a case, and its parameters."""
    make = Maker(framework)
    return CASES[name](framework.distributions, make), make.leaves


# one case of each class
FIRST = list({name.split()[0]: name for name in reversed(CASES)}.values())[::-1]
