"""Optimizers and schedules against PyTorch: trajectories, state and repr, over the options."""

import warnings

import numpy as np
import pytest

import tracec

torch = pytest.importorskip("torch")

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.1, "betas": (0.8, 0.9)}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.5, "initial_accumulator_value": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adamax", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"weight_decay": 0.1}),
    ("ASGD", {"t0": 3, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("LBFGS", {"lr": 0.5, "max_iter": 3}),
    ("LBFGS", {"line_search_fn": "strong_wolfe", "max_iter": 4}),
]


def _train(backend, name, options, steps=8):
    """Parameters after training with a state_dict round trip half way, and the optimizer."""
    random = np.random.default_rng(0)
    # Rounding steers LBFGS once it has converged: in single precision the paths part.
    dtype = np.float64 if name == "LBFGS" else np.float32
    params = [
        backend.tensor(random.standard_normal(shape, dtype=dtype)).requires_grad_()
        for shape in ((4, 3), (5,))
    ]
    make = getattr(backend.optim, name)
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.05}]
    if name == "LBFGS":
        groups = params
    optimizer = make(groups, **options)

    def closure():
        optimizer.zero_grad()
        loss = sum(((p - 1) ** 2).sum() + p.sin().sum() for p in params)
        loss.backward()
        return loss

    for step in range(steps):
        if step == steps // 2:
            saved = optimizer.state_dict()
            optimizer = make(groups if name != "LBFGS" else params, **options)
            optimizer.load_state_dict(saved)
        optimizer.step(closure)
    return [p.detach().numpy() for p in params], optimizer


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_trajectory(name, options):
    expected, theirs = _train(torch, name, dict(options))
    actual, ours = _train(tracec, name, dict(options))
    for e, a in zip(expected, actual, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)
    assert repr(ours) == repr(theirs)
    state, our_state = theirs.state_dict(), ours.state_dict()
    assert our_state["param_groups"] == state["param_groups"]
    keys = {k: list(v) for k, v in state["state"].items()}
    assert {k: list(v) for k, v in our_state["state"].items()} == keys


SCHEDULES = {
    "lambda": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "multiplicative": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.95),
    "step": lambda s, o: s.StepLR(o, 3, 0.5),
    "multistep": lambda s, o: s.MultiStepLR(o, [3, 3, 8]),
    "constant": lambda s, o: s.ConstantLR(o),
    "linear": lambda s, o: s.LinearLR(o, total_iters=7),
    "exponential": lambda s, o: s.ExponentialLR(o, 0.9),
    "polynomial": lambda s, o: s.PolynomialLR(o, 8, 2.0),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, 7, 0.001),
    "restarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 2),
    "cyclic": lambda s, o: s.CyclicLR(o, 0.01, 0.1, 5, 7, mode="triangular2"),
    "one cycle": lambda s, o: s.OneCycleLR(o, 0.1, 31, three_phase=True),
    "sequential": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, total_iters=5), s.ExponentialLR(o, 0.9)], [5]
    ),
    "chained": lambda s, o: s.ChainedScheduler([s.ConstantLR(o), s.ExponentialLR(o, 0.9)]),
}


def _rates(backend, make, epochs=30):
    optimizer = backend.optim.SGD([backend.zeros(2).requires_grad_()], 0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = make(backend.optim.lr_scheduler, optimizer)
        rates = []
        for _ in range(epochs):
            optimizer.step()
            schedule.step()
            group = optimizer.param_groups[0]
            rates.append((group["lr"], group["momentum"]))
    return rates, schedule.get_last_lr(), sorted(schedule.state_dict())


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    expected, actual = (_rates(backend, SCHEDULES[name]) for backend in (torch, tracec))
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-12)
    assert actual[1:] == expected[1:]


def test_plateau():
    losses = [1, 0.9, 0.95, 0.95, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9]
    found = []
    for backend in (torch, tracec):
        optimizer = backend.optim.SGD([backend.zeros(2).requires_grad_()], 0.1)
        schedule = backend.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, cooldown=1)
        rates = []
        for loss in losses:
            schedule.step(loss)
            rates.append(optimizer.param_groups[0]["lr"])
        found.append(rates)
    assert found[0] == found[1]


def test_clipping_the_norm():
    norms = []
    for backend in (torch, tracec):
        p = backend.arange(6.0).requires_grad_()
        (p * p).sum().backward()
        total = backend.nn.utils.clip_grad_norm_([p], 1.0)
        norms.append((total.item(), p.grad.norm().item()))
    np.testing.assert_allclose(norms[1], norms[0], rtol=1e-6)
