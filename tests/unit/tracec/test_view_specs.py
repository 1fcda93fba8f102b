"""Specs of views are found again instead of being computed, and errors stay errors."""

import numpy as np
import pytest

import tracec
from tracec.spec import VIEWS_KEPT

VIEWS = {
    "view": lambda x: x.view(-1, 6),
    "reshape": lambda x: x.reshape(6, 4),
    "permute": lambda x: x.permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "squeeze": lambda x: x[:1].squeeze(0),
    "expand": lambda x: x.unsqueeze(0).expand(3, -1, -1, -1),
    "narrow": lambda x: x.narrow(2, 1, 2),
    "select": lambda x: x.select(1, -1),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "flatten": lambda x: x.flatten(1),
    "unflatten": lambda x: x.unflatten(2, (2, 2)),
    "integer": lambda x: x[-1],
    "slices": lambda x: x[:, 1:, ::2],
    "mixed": lambda x: x[..., None, 2],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_asked_for_again(name):
    x = tracec.arange(24).reshape(2, 3, 4)
    first, second = VIEWS[name](x), VIEWS[name](x)
    assert second._spec is first._spec and second is not first
    x.add_(100)  # both are views of x
    assert (first >= 100).all() and (second >= 100).all()
    fresh = tracec.arange(24).reshape(2, 3, 4).add(100)
    assert (VIEWS[name](fresh) == VIEWS[name](x)).all()


def test_errors_are_raised_again():
    x = tracec.zeros(2, 3)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="invalid for input of size 6"):
            x.view(4)
        with pytest.raises(IndexError, match="out of bounds"):
            x[2]


def test_the_memory_of_a_spec_is_bounded():
    x = tracec.zeros(VIEWS_KEPT + 10)
    for i in range(VIEWS_KEPT + 10):
        x[i]
    assert len(x._spec.views) <= VIEWS_KEPT


def test_views_of_a_result_carry_its_history():
    x = tracec.ones(2, 3, requires_grad=True)
    with tracec.no_grad():
        assert not (x * 2)[0].requires_grad
    (x * 2)[0].sum().backward()
    assert x.grad.tolist() == [[2.0] * 3, [0.0] * 3]


def test_arrays_of_foreign_byte_order_are_refused():
    with pytest.raises(ValueError, match="byte order"):
        tracec.from_numpy(np.arange(3, dtype=">i4"))
