"""Constraints, transforms, their registries, and utilities of distributions against PyTorch's."""

from functools import partial

import numpy as np
import pytest
import torch

import tracec


def tensors(T, x):
    return T.tensor(x, dtype=T.float64) if isinstance(x, (list, float)) else x


def outcome(run):
    try:
        return run()
    except Exception as error:
        return type(error), " ".join(str(error).split())


def same(ours, theirs):
    if isinstance(theirs, torch.Tensor):
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(
            ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-10, atol=1e-13
        )
    else:
        assert ours == theirs


FACTOR = [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]
CONSTRAINTS = {
    "boolean": (lambda C, T: C.boolean, [0.0, 1.0, 0.5, -1.0]),
    "one_hot": (lambda C, T: C.one_hot, [[0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]]),
    "integer_interval": (lambda C, T: C.integer_interval(1, 3), [0.0, 1.0, 3.0, 2.5, 4.0]),
    "interval": (lambda C, T: C.interval(-1.0, 2), [-1.0, 2.0, 2.1, float("nan")]),
    "tensor interval": (
        lambda C, T: C.interval(T.tensor([0.0, 1.0]), T.tensor([1.0, 1.5])),
        [[0.5, 0.5], [1.0, 1.5]],
    ),
    "half_open_interval": (lambda C, T: C.half_open_interval(0, 1), [0.0, 1.0, 0.5]),
    "unit_interval": (lambda C, T: C.unit_interval, [0.0, 1.0, 1.5]),
    "greater_than": (lambda C, T: C.greater_than(1), [1.0, 2.0]),
    "greater_than_eq": (lambda C, T: C.greater_than_eq(1), [1.0, 0.0]),
    "less_than": (lambda C, T: C.less_than(1), [1.0, 0.0]),
    "nonnegative_integer": (lambda C, T: C.nonnegative_integer, [0.0, -1.0, 2.5]),
    "positive_integer": (lambda C, T: C.positive_integer, [0.0, 1.0]),
    "real": (lambda C, T: C.real, [0.0, float("inf"), float("nan")]),
    "real_vector": (lambda C, T: C.real_vector, [[0.0, 1.0], [float("nan"), 1.0]]),
    "simplex": (lambda C, T: C.simplex, [[0.3, 0.7], [0.3, 0.3], [-0.5, 1.5]]),
    "multinomial": (lambda C, T: C.multinomial(3), [[1.0, 2.0], [-1.0, 2.0], [3.0, 3.0]]),
    "lower_triangular": (lambda C, T: C.lower_triangular, [FACTOR, np.ones((3, 3)).tolist()]),
    "lower_cholesky": (lambda C, T: C.lower_cholesky, [FACTOR, (-np.eye(3)).tolist()]),
    "corr_cholesky": (lambda C, T: C.corr_cholesky, [FACTOR, (2 * np.eye(3)).tolist()]),
    "square": (lambda C, T: C.square, [[[1.0, 2.0]]]),
    "symmetric": (lambda C, T: C.symmetric, [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 2.0], [1.0, 1.0]]]),
    "positive_semidefinite": (
        lambda C, T: C.positive_semidefinite,
        [[[1.0, 0.0], [0.0, 0.0]], [[1.0, 2.0], [2.0, 1.0]]],
    ),
    "positive_definite": (
        lambda C, T: C.positive_definite,
        [[[1.0, 0.5], [0.5, 1.0]], [[1.0, 2.0], [2.0, 1.0]]],
    ),
    "independent": (lambda C, T: C.independent(C.positive, 2), [[[1.0, -1.0]], [[1.0, 1.0]]]),
    "too flat": (lambda C, T: C.independent(C.positive, 2), [1.0]),
    "cat": (lambda C, T: C.cat([C.real, C.positive], 0, [1, 2]), [-1.0, -1.0, 1.0]),
    "stack": (lambda C, T: C.stack([C.real, C.positive], -1), [[-1.0, -1.0], [1.0, 1.0]]),
    "dependent": (lambda C, T: C.dependent, [1.0]),
    "base": (lambda C, T: C.Constraint(), [1.0]),
    "no constraint": (lambda C, T: C.independent(1, 1), [1.0]),
    "negative": (lambda C, T: C.independent(C.real, -1), [1.0]),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraint(name):
    make, value = CONSTRAINTS[name]
    results = []
    for T in (torch, tracec):
        c = outcome(partial(make, T.distributions.constraints, T))
        results.append([repr(c)] if isinstance(c, tuple) else [repr(c), c.is_discrete, c.event_dim]
                       if name != "dependent" else [repr(c)])  # fmt: skip
        if not isinstance(c, tuple):
            results[-1].append(outcome(partial(c.check, tensors(T, value))))
    for ours, theirs in zip(results[1], results[0]):
        same(ours, theirs)


@pytest.mark.parametrize("name", [n for n in CONSTRAINTS if n not in ("too flat", "dependent")])
def test_constraint_on_arrays(name):
    """What is checked by NumPy has the outcome of what is checked by tensors."""
    make, value = CONSTRAINTS[name]
    c = outcome(partial(make, tracec.distributions.constraints, tracec))
    if isinstance(c, tuple) or not c.on_arrays or name == "base":
        return
    flags = c.check(np.array(value))
    flags = flags.numpy() if isinstance(flags, tracec.Tensor) else flags
    np.testing.assert_array_equal(flags, c.check(tensors(tracec, value)).numpy())


VECTOR = [[0.3, -1.2, 0.5], [2.0, 0.1, -0.4]]
SQUARE = [[0.3, -1.2, 0.5], [2.0, 0.1, -0.4], [0.7, 0.2, -1.1]]
POSITIVE = [[0.3, 1.2, 0.5], [2.0, 0.1, 0.4]]
TRANSFORMS = {
    "Exp": (lambda D, t: D.ExpTransform(), VECTOR),
    "Exp cached": (lambda D, t: D.ExpTransform(cache_size=1), VECTOR),
    "Exp inverse": (lambda D, t: D.ExpTransform().inv, POSITIVE),
    "Power": (lambda D, t: D.PowerTransform(t([2.0, -1.0, 0.5])), POSITIVE),
    "Sigmoid": (lambda D, t: D.SigmoidTransform(), VECTOR),
    "Softplus": (lambda D, t: D.SoftplusTransform(), VECTOR),
    "Tanh": (lambda D, t: D.TanhTransform(), VECTOR),
    "Abs": (lambda D, t: D.AbsTransform(), VECTOR),
    "Affine": (lambda D, t: D.AffineTransform(1.0, -2.0), VECTOR),
    "Affine tensors": (lambda D, t: D.AffineTransform(t([1.0, 2.0, 3.0]), t([[2.0]])), VECTOR),
    "Affine events": (lambda D, t: D.AffineTransform(0.5, t([1.0, -2.0, 3.0]), 1), VECTOR),
    "Affine event number": (lambda D, t: D.AffineTransform(0.5, 3, 1), VECTOR),
    "Softmax": (lambda D, t: D.SoftmaxTransform(), VECTOR),
    "StickBreaking": (lambda D, t: D.StickBreakingTransform(), VECTOR),
    "LowerCholesky": (lambda D, t: D.LowerCholeskyTransform(), SQUARE),
    "PositiveDefinite": (lambda D, t: D.PositiveDefiniteTransform(), SQUARE),
    "CorrCholesky": (lambda D, t: D.CorrCholeskyTransform(), VECTOR),
    "Reshape": (lambda D, t: D.ReshapeTransform((3,), (3, 1)), VECTOR),
    "Independent": (lambda D, t: D.IndependentTransform(D.ExpTransform(), 1), VECTOR),
    "Compose": (
        lambda D, t: D.ComposeTransform(
            [D.AffineTransform(1.0, t([0.5, 2.0, -0.3])), D.TanhTransform(), D.SoftmaxTransform()]
        ),
        VECTOR,
    ),
    "Compose sticks": (
        lambda D, t: D.ComposeTransform([D.ExpTransform(), D.StickBreakingTransform()]),
        VECTOR,
    ),
    "Compose none": (lambda D, t: D.ComposeTransform([]), VECTOR),
    "Cat": (
        lambda D, t: D.CatTransform([D.ExpTransform(), D.TanhTransform()], -1, [1, 2]),
        VECTOR,
    ),
    "Stack": (
        lambda D, t: D.StackTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)], 0),
        VECTOR,
    ),
    "Cumulative": (
        lambda D, t: D.CumulativeDistributionTransform(D.Normal(t([0.5]), t([2.0]))),
        VECTOR,
    ),
}


def description(T, name):
    make, value = TRANSFORMS[name]
    D = T.distributions
    t = make(D, partial(tensors, T))
    x = tensors(T, value)
    y = t(x)
    back = outcome(lambda: t.inv(y))
    return [
        repr(t).replace("\n", ""),
        repr(t.inv),
        outcome(lambda: repr(t.domain)),
        outcome(lambda: repr(t.codomain)),
        outcome(lambda: t.domain.event_dim),
        outcome(lambda: t.codomain.event_dim),
        outcome(lambda: t.event_dim),
        t.bijective,
        outcome(lambda: t.sign),
        y,
        back,
        outcome(lambda: t.log_abs_det_jacobian(x, y)),
        outcome(lambda: t.inv.log_abs_det_jacobian(y, x)),
        outcome(lambda: tuple(t.forward_shape(x.shape))),
        outcome(lambda: tuple(t.inverse_shape(y.shape))),
        outcome(lambda: tuple(t.forward_shape(()))),
        outcome(lambda: tuple(t.inverse_shape((5, 4)))),
        t.inv.inv is t,
        t == make(D, partial(tensors, T)),
        t.inv == t,
        outcome(lambda: repr(t.with_cache(1)).replace("\n", "")),
    ]


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transform(name):
    theirs, ours = description(torch, name), description(tracec, name)
    for b, a in zip(ours, theirs):
        same(b, a)


@pytest.mark.parametrize("name", ["Tanh", "StickBreaking", "CorrCholesky", "Compose sticks"])
def test_transform_gradient(name):
    make, value = TRANSFORMS[name]
    grads = []
    for T in (torch, tracec):
        x = tensors(T, value).requires_grad_()
        t = make(T.distributions, partial(tensors, T))
        y = t(x)
        (t.log_abs_det_jacobian(x, y).sum() + (y * y).sum() + t.inv(y).sum()).backward()
        grads.append(x.grad)
    same(grads[1], grads[0])


def test_cache_returns_the_argument():
    t = tracec.distributions.TanhTransform(cache_size=1)
    x = tracec.tensor([20.0, 0.1])
    y = t(x)
    assert t.inv(y) is x and t(x) is y
    assert t.with_cache(0).inv(y).tolist()[0] == float("inf")


REGISTERED = (
    "real positive nonnegative unit_interval simplex lower_cholesky positive_definite "
    "positive_semidefinite corr_cholesky real_vector boolean square dependent"
).split()


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
def test_registry(registry):
    def found(T):
        D = T.distributions
        C, at = D.constraints, getattr(D, registry)
        more = [C.interval(0, 2.0), C.less_than(1.0), C.greater_than(2), C.half_open_interval(0, 1)]
        more += [C.multinomial(2), C.independent(C.positive, 1), C.stack([C.real, C.positive])]
        more += [C.cat([C.real, C.positive], 0, [1, 2]), 3]
        every = [getattr(C, name) for name in REGISTERED] + more
        return [outcome(lambda c=c: repr(at(c))) for c in every] + [
            outcome(lambda: at.register(3, 4))
        ]

    assert found(tracec) == found(torch)


@pytest.mark.parametrize("name", ["positive", "unit_interval", "simplex", "corr_cholesky"])
def test_registered_transforms_reach_the_constraint(name):
    D = tracec.distributions
    constraint = getattr(D.constraints, name)
    x = tensors(tracec, VECTOR)
    y = D.biject_to(constraint)(x)
    assert constraint.check(y).all()
    np.testing.assert_allclose(D.biject_to(constraint).inv(y).numpy(), x.numpy(), rtol=1e-9)
    assert constraint.check(D.transform_to(constraint)(x)).all()


def test_own_constraint():
    D = tracec.distributions
    registry = D.constraint_registry.ConstraintRegistry()

    class Even(D.constraints.Constraint):
        is_discrete = True

    @registry.register(Even)
    def even(constraint):
        return D.AffineTransform(0, 2)

    assert registry(Even()) == D.AffineTransform(0, 2)


def test_utilities():
    def run(T):
        u = T.distributions.utils
        p = tensors(T, [0.2, 0.8, 0.0])
        out = [
            u.probs_to_logits(p), u.probs_to_logits(p, True), u.logits_to_probs(p),
            u.logits_to_probs(p, True), u.clamp_probs(p), *u.broadcast_all(1, p, 2.0),
            *u.broadcast_all(1.0, 2), outcome(lambda: u.broadcast_all("a")),
        ]  # fmt: skip
        for diag in (-2, -1, 0, 1):
            m = T.arange(32.0).reshape(2, 4, 4)
            v = u.tril_matrix_to_vec(m, diag)
            out += [v, u.vec_to_tril_matrix(v, diag)]
        out += [outcome(lambda: u.vec_to_tril_matrix(T.ones(5)))]
        out += [outcome(lambda: u.tril_matrix_to_vec(T.ones(3, 3), 3))]
        return out

    for ours, theirs in zip(run(tracec), run(torch)):
        same(ours, theirs)


def test_lazy_property():
    calls = []

    class Thing:
        @tracec.distributions.utils.lazy_property
        def value(self):
            """A value."""
            calls.append(tracec.is_grad_enabled())
            return 3

    thing = Thing()
    with tracec.no_grad():
        assert thing.value == thing.value == 3
    assert calls == [True] and Thing.value.__doc__ == "A value."
