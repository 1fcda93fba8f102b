"""Errors of distributions, word for word, and how much is executed for checks."""

import copy
import pickle
import warnings
from functools import partial

import pytest
import torch

import tracec
from tracec_runtime.events import counters

CALLS = {
    "nan": lambda T, D: D.Normal(T.tensor([0.0, float("nan")]), 1.0),
    "scale": lambda T, D: D.Normal(0.0, T.tensor([-1.0, 1.0])),
    "no number": lambda T, D: D.Normal("a", 1.0),
    "neither": lambda T, D: D.Categorical(),
    "both": lambda T, D: D.Bernoulli(probs=T.tensor(0.5), logits=T.tensor(0.0)),
    "0-d logits": lambda T, D: D.Categorical(logits=T.tensor(1.0)),
    "0-d probs": lambda T, D: D.Categorical(T.tensor(1.0)),
    "negative probs": lambda T, D: D.Categorical(probs=T.tensor([[0.1, -1.0]])),
    "no probs": lambda T, D: D.Categorical(probs=T.tensor([0.0, 0.0])),
    "nan logits": lambda T, D: D.Categorical(logits=T.tensor([0.0, float("nan")])),
    "inf logits": lambda T, D: D.Categorical(logits=T.tensor([0.0, float("inf")])),
    "-inf logits": lambda T, D: D.Categorical(logits=T.tensor([0.0, -float("inf")])).probs.tolist(),
    "one hot": lambda T, D: D.OneHotCategorical(T.tensor([-3.0, 4.0])),
    "multinomial": lambda T, D: D.Multinomial(T.tensor([1, 2]), T.tensor([0.5, 0.5])),
    "geometric": lambda T, D: D.Geometric(T.tensor([0.0, 0.3])),
    "geometric range": lambda T, D: D.Geometric(T.tensor([-0.1, 0.3])),
    "count": lambda T, D: D.Binomial(T.tensor([1.5]), T.tensor([0.5])),
    "counts": lambda T, D: D.Binomial(T.tensor([1, 2]), T.tensor([0.5])).entropy(),
    "uniform": lambda T, D: D.Uniform(T.tensor([1.0, 0.0]), T.tensor([0.0, 2.0])),
    "uniform numbers": lambda T, D: D.Uniform(1.0, 0.0),
    "log normal": lambda T, D: D.LogNormal(0.0, -1.0),
    "half normal": lambda T, D: D.HalfNormal(T.tensor([-1.0])),
    "half cauchy": lambda T, D: D.HalfCauchy(-1.0),
    "pareto": lambda T, D: D.Pareto(1.0, T.tensor([-1.0])),
    "relaxed": lambda T, D: D.RelaxedBernoulli(T.tensor(1.0), T.tensor([3.0])),
    "lkj": lambda T, D: D.LKJCholesky(1),
    "dirichlet": lambda T, D: D.Dirichlet(T.tensor(1.0)),
    "loc": lambda T, D: D.MultivariateNormal(T.tensor(1.0), T.eye(2)),
    "no matrix": lambda T, D: D.MultivariateNormal(T.zeros(2)),
    "vector": lambda T, D: D.MultivariateNormal(T.zeros(2), T.ones(2)),
    "vector factor": lambda T, D: D.MultivariateNormal(T.zeros(2), scale_tril=T.ones(2)),
    "negative": lambda T, D: D.MultivariateNormal(T.zeros(2), -2 * T.eye(2) - 1),
    "no factor": lambda T, D: D.MultivariateNormal(T.zeros(2), scale_tril=T.ones(2, 2)),
    "rank": lambda T, D: D.LowRankMultivariateNormal(T.zeros(2), T.ones(2), T.ones(2)),
    "rank shape": lambda T, D: D.LowRankMultivariateNormal(T.zeros(2), T.ones(3, 1), T.ones(2)),
    "diagonal": lambda T, D: D.LowRankMultivariateNormal(T.zeros(2), T.ones(2, 1), T.ones(3)),
    "wishart df": lambda T, D: D.Wishart(T.tensor([1.0]), T.eye(3)),
    "wishart vector": lambda T, D: D.Wishart(T.tensor([1.0]), T.ones(3)),
    "wishart vectors": lambda T, D: D.Wishart(3.0, precision_matrix=T.ones(3)),
    "components": lambda T, D: D.MixtureSameFamily(
        D.Categorical(T.ones(2)), D.Normal(T.zeros(3), 1.0)
    ),
    "mixture batch": lambda T, D: D.MixtureSameFamily(
        D.Categorical(T.ones(2, 2)), D.Normal(T.zeros(3, 2), 1.0)
    ),
    "no mixture": lambda T, D: D.MixtureSameFamily(1, D.Normal(T.zeros(3, 2), 1.0)),
    "no component": lambda T, D: D.MixtureSameFamily(D.Categorical(T.ones(2)), 1),
    "continuous": lambda T, D: D.ContinuousBernoulli(T.tensor([2.0]), validate_args=True),
    "independent": lambda T, D: D.Independent(D.Normal(0.0, 1.0), 1),
    "product": lambda T, D: D.Independent(D.Bernoulli(T.ones(2)), 1).enumerate_support(),
    "no transform": lambda T, D: D.TransformedDistribution(D.Normal(0.0, 1.0), 3),
    "no transforms": lambda T, D: D.TransformedDistribution(D.Normal(0.0, 1.0), [3]),
    "dimensions": lambda T, D: D.TransformedDistribution(
        D.Normal(0.0, 1.0), D.StickBreakingTransform()
    ),
    "value nan": lambda T, D: D.Normal(0.0, 1.0).log_prob(T.tensor(float("nan"))),
    "value number": lambda T, D: D.Normal(0.0, 1.0).log_prob(1.0),
    "value shape": lambda T, D: D.Normal(T.zeros(2), 1.0).log_prob(T.zeros(3)),
    "value event": lambda T, D: D.Dirichlet(T.ones(2)).log_prob(T.ones(3) / 3),
    "value scalar": lambda T, D: D.Dirichlet(T.ones(2)).log_prob(T.tensor(1.0)),
    "value category": lambda T, D: D.Categorical(T.ones(3)).log_prob(T.tensor([1, 3])),
    "value fraction": lambda T, D: D.Poisson(1.0).log_prob(T.tensor(1.5)),
    "value one hot": lambda T, D: D.OneHotCategorical(T.ones(3)).log_prob(T.tensor([1.0, 1, 0])),
    "value simplex": lambda T, D: D.Dirichlet(T.ones(2)).log_prob(T.tensor([0.3, 0.3])),
    "value uniform": lambda T, D: D.Uniform(T.zeros(2), 1.0).log_prob(T.tensor([0.5, 1.5])),
    "value positive": lambda T, D: D.LogNormal(0.0, 1.0).log_prob(T.tensor(-1.0)),
    "value base": lambda T, D: D.TransformedDistribution(
        D.Uniform(0.0, 1.0), D.AffineTransform(1.0, 2.0)
    ).log_prob(T.tensor(4.0)),
    "value cdf": lambda T, D: D.Exponential(1.0).cdf(T.tensor(-1.0)),
    "cdf": lambda T, D: D.Gamma(1.0, 1.0).icdf(T.tensor(0.5)),
    "mode": lambda T, D: D.Multinomial(3, T.ones(2)).mode,
    "support": lambda T, D: D.Distribution(validate_args=False).support,
    "sample": lambda T, D: D.Distribution(validate_args=False).sample(),
    "default": lambda T, D: D.Distribution.set_default_validate_args(3),
    "kl": lambda T, D: D.kl_divergence(D.Normal(0.0, 1.0), D.Cauchy(0.0, 1.0)),
    "kl transforms": lambda T, D: D.kl_divergence(
        D.TransformedDistribution(D.Normal(0.0, 1.0), D.ExpTransform()),
        D.TransformedDistribution(D.Normal(0.0, 1.0), D.AffineTransform(0.0, 1.0)),
    ),
    "kl events": lambda T, D: D.kl_divergence(
        D.MultivariateNormal(T.zeros(2), T.eye(2)), D.MultivariateNormal(T.zeros(3), T.eye(3))
    ),
}


def outcome(run):
    try:
        return run()
    except Exception as error:
        text = str(error).replace("torch.distributions", "tracec.distributions")
        return type(error), " ".join(text.split())


@pytest.mark.parametrize("name", CALLS)
def test_error(name):
    results = [outcome(partial(CALLS[name], T, T.distributions)) for T in (torch, tracec)]
    if name == "inf logits":  # which elements of the normalised row are NaN differs
        results = [(kind, text.partition(" but found")[0]) for kind, text in results]
    assert results[1] == results[0]


def warned(run):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = outcome(run)
    return result, [(w.category, str(w.message).replace("torch.", "tracec.")) for w in seen]


def test_subclasses():
    def run(T):
        D = T.distributions

        class Plain(D.Normal):
            pass

        class Own(D.Normal):
            def __init__(self):
                super().__init__(0.0, 1.0)

        assert type(Plain(0.0, 1.0).expand((2,))) is Plain
        return outcome(lambda: Own().expand((2,)))

    assert run(torch) == run(tracec)


def test_warnings():
    def run(T):
        D = T.distributions

        class Mute(D.Distribution):
            __module__, __qualname__ = "tests", "Mute"

        class Free(D.Distribution):
            __module__, __qualname__ = "tests", "Free"
            arg_constraints = {}

        return (
            warned(lambda: Mute(validate_args=True) and None),
            warned(lambda: Free(validate_args=True)._validate_sample(T.ones(()))),
            warned(lambda: D.Normal(0.0, 1.0).sample_n(2).shape == (2,)),
        )

    assert run(torch) == run(tracec)


def test_default_of_checks():
    D = tracec.distributions
    try:
        D.Distribution.set_default_validate_args(False)
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Normal(0.0, -1.0)


def flushes(run) -> int:
    tracec.record.synchronize()
    before = counters.flushes
    run()
    return counters.flushes - before


def test_known_parameters_cost_no_flush():
    D = tracec.distributions
    x, positive = tracec.randn(4, 3), tracec.rand(4, 3) + 0.1
    action = tracec.tensor([0, 2, 1, 1])
    tracec.record.synchronize()

    def run():
        d = D.Categorical(logits=x)
        drawn = d.sample()
        kept.append((d.log_prob(drawn), d.log_prob(action), d.entropy()))
        d = D.Categorical(positive)
        kept.append(d.log_prob(d.sample()))
        d = D.Independent(D.Normal(x, positive), 1)
        kept.append((d.log_prob(d.rsample()), d.entropy(), d.log_prob(x)))
        d = D.Normal(0.0, 1.0)
        kept.append(d.log_prob(d.sample((3,))))
        d = D.TransformedDistribution(D.Normal(x, positive), D.TanhTransform())
        kept.append(d.log_prob(d.rsample()))

    kept: list = []
    assert flushes(run) == 0


def test_pending_parameters_cost_one_flush():
    D = tracec.distributions
    x = tracec.randn(4, 3)
    kept: list = []

    def run(make):
        d = make(x * 2)
        drawn = d.sample()
        kept.append((d.log_prob(drawn), d.entropy()))

    assert flushes(partial(run, lambda y: D.Categorical(logits=y))) == 1
    assert flushes(partial(run, lambda y: D.Normal(y, y.exp()))) == 1
    assert flushes(partial(run, lambda y: D.Beta(y.exp(), y.exp() + 1))) == 1
    assert flushes(partial(run, lambda y: D.StudentT(y.exp(), y, y.exp() + 1))) == 1
    assert flushes(partial(run, lambda y: D.Normal(y, y.exp(), validate_args=False))) == 0


def test_categorical_step_records_few_instructions():
    D = tracec.distributions
    x = tracec.randn(4, 3)
    tracec.record.synchronize()
    d = D.Categorical(logits=x)
    kept = d.log_prob(d.sample()), d.entropy()
    assert tracec.record.current().node.depth <= 14, kept


def test_a_written_sample_is_checked_again():
    D = tracec.distributions
    d = D.Categorical(tracec.ones(3))
    drawn = d.sample((4,))
    d.log_prob(drawn)
    drawn[1] = 7
    with pytest.raises(ValueError, match="to be within the support"):
        d.log_prob(drawn)


def test_large_parameters_are_checked_by_compiled_code():
    D = tracec.distributions
    scale = tracec.ones(70_000)
    D.Normal(0.0, scale)
    scale[69_999] = -1.0
    with pytest.raises(ValueError, match="GreaterThan"):
        D.Normal(0.0, scale)


def test_half_precision():
    D = tracec.distributions
    x = tracec.zeros(3, dtype=tracec.bfloat16)
    d = D.Normal(x, x + 1)
    assert d.log_prob(d.sample()).dtype is tracec.bfloat16
    with pytest.raises(ValueError):
        D.Normal(x, x - 1)


def test_copies_and_pickles():
    D = tracec.distributions
    d = D.Normal(tracec.tensor([0.5]), 2.0)
    drawn = d.sample()
    for other in (copy.deepcopy(d), pickle.loads(pickle.dumps(d))):
        assert repr(other) == repr(d)
        assert other.log_prob(drawn).tolist() == d.log_prob(drawn).tolist()
    t = pickle.loads(pickle.dumps(D.ExpTransform().inv))
    assert t == D.ExpTransform().inv


def test_import_is_lazy():
    import subprocess
    import sys

    code = "import sys, tracec; assert 'tracec.distributions' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    names = set(torch.distributions.__all__)
    assert names <= set(tracec.distributions.__all__)
    for module in ("constraints", "transforms", "kl", "utils"):
        theirs = getattr(torch.distributions, module)
        ours = getattr(tracec.distributions, module)
        assert set(getattr(theirs, "__all__", ())) <= set(dir(ours))


def test_transformed_functions():
    def run(T):
        D = T.distributions
        x = T.tensor([0.3, -0.2])

        def log_prob(m, **options):
            return D.Normal(m, 1.0, **options).log_prob(T.tensor(1.0)).sum()

        gradient = T.func.grad(log_prob)(x).tolist()
        with pytest.raises(RuntimeError):  # about the values, which the message would show
            T.vmap(lambda s: D.Normal(0.0, s).log_prob(s))(x)
        twice = T.vmap(T.vmap(log_prob))(T.stack([x, x + 1])).sum(0).tolist()
        return gradient, T.vmap(log_prob)(x).tolist(), twice

    ours, theirs = run(tracec), run(torch)
    for a, b in zip(ours, theirs):
        assert a == pytest.approx(b, rel=1e-5)
    with pytest.raises(ValueError):
        tracec.func.grad(lambda s: tracec.distributions.Normal(0.0, s).log_prob(s))(
            tracec.tensor(-1.0)
        )


def test_samples_that_underflow():
    D = tracec.distributions
    tracec.manual_seed(2)
    tiny = tracec.full((200, 3), 0.01, requires_grad=True)
    for d in (D.Gamma(tiny, 1.0), D.Beta(tiny, tiny), D.Dirichlet(tiny)):
        x = d.rsample()
        (g,) = tracec.autograd.grad(x.sum(), [tiny])
        assert g.isfinite().all() and (x > 0).all()


def test_training_loops_record_one_trace():
    D = tracec.distributions
    tracec.manual_seed(3)
    policy = tracec.nn.Linear(4, 3)
    optimizer = tracec.optim.SGD(policy.parameters(), 1e-3)
    seen = tracec.randn(16, 4)

    def step():
        d = D.Categorical(logits=policy(seen))
        drawn = d.sample()
        loss = -d.log_prob(drawn).mean() - 0.01 * d.entropy().mean()
        squashed = D.TransformedDistribution(
            D.Independent(D.Normal(policy(seen), 1.0), 1), [D.TanhTransform(cache_size=1)]
        )
        loss = loss + squashed.log_prob(squashed.rsample()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    before = counters.trie_misses
    for _ in range(3):
        step()
    assert counters.trie_misses == before
