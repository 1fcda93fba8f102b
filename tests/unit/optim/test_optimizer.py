"""Optimizer: groups, errors, hooks, and that steps stay recorded as a whole."""

import pytest

import tracec
from tracec import nn, optim


def parameter(*shape):
    return nn.Parameter(tracec.ones(*shape))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD([], 0.1), ValueError, "optimizer got an empty parameter list"),
        (lambda: optim.SGD(parameter(1), 0.1), TypeError, "should be an iterable of Tensors"),
        (lambda: optim.SGD([3], 0.1), TypeError, "optimizer can only optimize Tensors"),
        (lambda: optim.SGD([parameter(1) * 2], 0.1), ValueError, "can't optimize a non-leaf"),
        (lambda: optim.SGD([parameter(1)], -1.0), ValueError, "Invalid learning rate: -1.0"),
        (
            lambda: optim.SGD([parameter(1)], 0.1, nesterov=True),
            ValueError,
            "Nesterov momentum requires a momentum and zero dampening",
        ),
        (
            lambda: optim.Adam([parameter(1)], betas=(1.0, 0.9)),
            ValueError,
            "Invalid beta parameter at index 0: 1.0",
        ),
        (
            lambda: optim.Adam([parameter(1)], foreach=True, fused=True),
            RuntimeError,
            "`fused` and `foreach` cannot be `True` together.",
        ),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)


def test_a_parameter_in_two_groups():
    p = parameter(2)
    with pytest.raises(ValueError, match="some parameters appear in more than one"):
        optim.SGD([{"params": [p]}, {"params": [p]}], 0.1)


def test_groups_and_zero_grad():
    a, b, idle = parameter(2), parameter(3), parameter(1)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b, idle], "lr": 1.0}], lr=0.5)
    (a.sum() + b.sum()).backward()
    optimizer.step()
    assert a.tolist() == [0.5, 0.5] and b.tolist() == [0, 0, 0] and idle.tolist() == [1]
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0] and idle.grad is None
    optimizer.zero_grad()
    assert a.grad is None


def test_a_parameter_that_shares_memory_is_stepped_in_place():
    whole = tracec.ones(4)
    p = nn.Parameter(whole[1:3])
    optimizer = optim.SGD([p], lr=1.0, momentum=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        p.sum().backward()
        optimizer.step()
    assert whole.tolist() == [1, -1.5, -1.5, 1]


def test_momentum_of_a_parameter_that_joins_late():
    early, late = parameter(1), parameter(1)
    optimizer = optim.SGD([early, late], lr=1.0, momentum=0.5)
    early.sum().backward()
    optimizer.step()
    late.sum().backward()
    optimizer.step()
    assert early.tolist() == [-1.5] and late.tolist() == [0.0]


def test_hooks_and_closure():
    p, calls = parameter(1), []
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("pre"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("post"))

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        calls.append("closure")
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert calls == ["pre", "closure", "post"]
    assert p.tolist() == [0.0]


def test_steps_are_counted_in_a_tensor():
    p = parameter(2)
    optimizer = optim.AdamW([p], lr=0.1)
    for _ in range(3):
        p.grad = tracec.ones(2)
        optimizer.step()
    step = optimizer.state_dict()["state"][0]["step"]
    assert step.dtype is tracec.float32 and step.dim() == 0 and step.item() == 3


def test_averaged_model():
    model = nn.Linear(1, 1, bias=False)
    averaged = optim.swa_utils.AveragedModel(model)
    for value in (1.0, 3.0):
        nn.init.constant_(model.weight, value)
        averaged.update_parameters(model)
    assert averaged.module.weight.item() == 2.0 and averaged.n_averaged.item() == 2
