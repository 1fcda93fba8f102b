"""The same small programs on PyTorch and here: equal gradients, equal errors, whether or not a
value is looked at between forward and backward."""

import numbers
from typing import Any

import pytest
import torch

import tracec
from tests.parity import autograd_hidden, autograd_writes  # noqa: F401  (register their programs)
from tests.parity.autograd_programs import PROGRAMS
from tests.parity.same import assert_same
from tracec_runtime import knobs


def nothing(t: Any) -> Any:
    return t


def item(t: Any) -> Any:
    t.detach().sum().item()
    return t


def assert_close(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, (list, tuple)):
        assert type(ours) is type(theirs) and len(ours) == len(theirs), (ours, theirs)
        for a, b in zip(ours, theirs):
            assert_close(a, b)
    elif isinstance(theirs, numbers.Number) and not isinstance(theirs, bool):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    else:
        assert ours == theirs


@pytest.mark.parametrize("look", [nothing, item])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str, look: Any) -> None:
    program, error = PROGRAMS[name]
    results = []
    for m in (torch, tracec):
        if error:
            with pytest.raises(RuntimeError) as failed:
                program(m, look)
            assert error in str(failed.value), m.__name__
        else:
            results.append(program(m, look))
    if results:
        assert_close(results[1], results[0])


@pytest.mark.parametrize("name", [n for n, (_, error) in PROGRAMS.items() if not error][::5])
def test_compiled(name: str) -> None:
    program, _ = PROGRAMS[name]
    with knobs.override(tier=1):
        ours = program(tracec, item)
    assert_close(ours, program(torch, item))


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize(
    "losses",
    [
        lambda m, x, w: ((x * x).sum(), x.exp().sum()),
        lambda m, x, w: ((x * w).sum(), (x * w).exp().sum()),
        lambda m, x, w: (lambda h: ((h + 1).sum(), (h * 2).sum()))(x + w),
        lambda m, x, w: (lambda h: ((h * h).sum(), h.sin().sum()))(x + w),
        lambda m, x, w: (lambda h: ((h * h).sum(), h.sin().sum()))(x * w),
        lambda m, x, w: (lambda h: (h, (h * 2).sum()))(x.exp().sum()),
        lambda m, x, w: (x @ w.t(), (x + w).sum()),
        lambda m, x, w: (x.relu().detach() + w.sum(), (x.relu() * 2).sum()),
    ],
)
def test_two_results_of_one_region_go_backward(losses: Any, looked: bool) -> None:
    """Where graphs meet in an operation that saves values, the second backward is refused."""

    def run(m: Any) -> Any:
        x = m.tensor([[1.0, 2.0], [0.5, -1.0]], requires_grad=True)
        w = m.tensor([[0.3, -2.0], [1.5, 1.0]], requires_grad=True)
        a, c = losses(m, x, w)
        if looked:
            a.tolist(), c.tolist()
        a.backward(m.ones_like(a))
        c.backward(m.ones_like(c))
        grads = [g.tolist() for g in (x.grad, w.grad) if g is not None]
        return [[[round(v, 4) for v in row] for row in g] for g in grads]

    assert_same(run)
