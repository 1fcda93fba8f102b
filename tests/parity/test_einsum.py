"""einsum of several operands: PyTorch's values, in the order that takes the fewest operations."""

import numpy as np
import pytest
import torch

import tracec
from tracec_ir import dims, dtypes, interp
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.expand import expand
from tracec_ir.types import TensorType

CHAINS = [
    ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ij,jk,kl,lm", (3, 4), (4, 5), (5, 2), (2, 3)),
    ("bij,bjk,k->bi", (2, 3, 4), (2, 4, 5), (5,)),
    ("...i,ij,...j->...", (2, 3, 4), (4, 5), (2, 3, 5)),
    ("i,j,k->kij", (2,), (3,), (4,)),
    ("ii,ij,j->i", (3, 3), (3, 4), (4,)),
    ("a,ab,bc,cd,de,ef->f", (2,), (2, 3), (3, 4), (4, 3), (3, 2), (2, 5)),
    ("ij,ij,ij->", (3, 4), (3, 4), (3, 4)),
    ("ij,jk,->ik", (3, 1), (4, 2), ()),
]


def _arrays(shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def _values(T, arrays, call):
    tensors = [T.tensor(a, requires_grad=True) for a in arrays]
    y = call(T, tensors)
    y.cos().sum().backward()
    return [y.detach().numpy(), *(x.grad.numpy() for x in tensors)]


@pytest.mark.parametrize("equation, shapes", [(c[0], c[1:]) for c in CHAINS])
def test_several_operands(equation, shapes):
    arrays = _arrays(shapes)
    ours, theirs = (
        _values(T, arrays, lambda T, x: T.einsum(equation, *x)) for T in (tracec, torch)
    )
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_sublists():
    arrays = _arrays([(2, 3, 4), (2, 4, 5)])
    for form in (([0, 1, 30], [0, 30, 3], [1, 3]), ([..., 1, 2], [..., 2, 3], [..., 3, 1]),
                 ([0, 1, 2], [0, 2, 3])):  # fmt: skip

        def call(T, x, form=form):
            return T.einsum(x[0], form[0], x[1], form[1], *form[2:])

        ours, theirs = (_values(T, arrays, call) for T in (tracec, torch))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    with pytest.raises(ValueError, match=r"not within the valid range \[0, 52\)"):
        tracec.einsum(tracec.ones(2, 3), [0, 52])
    with pytest.raises(RuntimeError, match="output subscript F does not appear"):
        tracec.einsum(tracec.ones(2, 3), [0, 1], [5])


def _multiplications(equation, *shapes):
    """How many the expansion's products take."""
    b = Builder()
    params = [Value(TensorType(dtypes.f64, s)) for s in shapes]
    func = expand(b.func("f", params, b.apply("einsum", params, {"equation": equation})))
    dots = [op for op in func.ops if op.name == "dot"]
    return func, sum(
        dims.hint(dims.product(op.results[0].shape)) * dims.hint(op.operands[0].shape[-1])
        for op in dots
    )


def test_the_cheapest_order_is_taken():
    _, count = _multiplications("ij,jk,kl->il", (100, 100), (100, 100), (100, 1))
    assert count == 2 * 100 * 100
    n = dims.symbol("n", 50)
    func, count = _multiplications("ij,jk,kl->il", (n, 40), (40, n), (n, 2))
    assert count == 2 * (40 * 50 * 2)
    arrays = _arrays([(7, 40), (40, 7), (7, 2)])
    (y,) = interp.run(func, *arrays)
    np.testing.assert_allclose(y, np.linalg.multi_dot(arrays), rtol=1e-10)
