"""Losses against PyTorch: values and gradients for every reduction."""

import numpy as np
import pytest

import tracec

torch = pytest.importorskip("torch")

FLOAT = [(4, 3), (4, 3)]
CASES = {
    "mse_loss": FLOAT, "l1_loss": FLOAT, "smooth_l1_loss": FLOAT, "huber_loss": FLOAT,
    "soft_margin_loss": FLOAT, "kl_div": FLOAT, "poisson_nll_loss": FLOAT,
}  # fmt: skip


def _both(call, *arrays):
    """Value and gradient of the first argument, by PyTorch and by tracec."""
    results = []
    for backend in (torch, tracec):
        args = [backend.from_numpy(array.copy()) for array in arrays]
        args[0].requires_grad_()
        loss = call(backend, backend.nn.functional, *args)
        loss.sum().backward()
        results.append((loss.detach().numpy(), args[0].grad.numpy()))
    return results


def _same(call, *arrays):
    (value, grad), (our_value, our_grad) = _both(call, *arrays)
    np.testing.assert_allclose(our_value, value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(our_grad, grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:reduction")
def test_of_two_floats(name, reduction):
    random = np.random.default_rng(0)
    x, y = (random.random(shape, dtype=np.float32) + 0.1 for shape in CASES[name])
    _same(lambda b, F, x, y: getattr(F, name)(x, y, reduction=reduction), x, y)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(reduction, smoothing):
    x = np.random.default_rng(1).standard_normal((5, 4), dtype=np.float32)
    target = np.array([0, 3, -100, 1, 2])
    weight = np.array([1.0, 2.0, 0.5, 3.0], np.float32)
    _same(
        lambda b, F, x, t, w: F.cross_entropy(
            x, t, weight=w, reduction=reduction, label_smoothing=smoothing
        ),
        x, target, weight,
    )  # fmt: skip


def test_binary_cross_entropies():
    random = np.random.default_rng(2)
    x, y = random.random((4, 3), dtype=np.float32), random.random((4, 3), dtype=np.float32)
    _same(lambda b, F, x, y: F.binary_cross_entropy(x, y), x, y)
    _same(lambda b, F, x, y: F.binary_cross_entropy_with_logits(x, y, pos_weight=y + 1), x, y)


def test_margins():
    random = np.random.default_rng(3)
    a, p, n = (random.standard_normal((4, 6), dtype=np.float32) for _ in range(3))
    sign = np.array([1.0, -1.0, 1.0, -1.0], np.float32)
    _same(lambda b, F, a, p, n: F.triplet_margin_loss(a, p, n, swap=True), a, p, n)
    _same(lambda b, F, a, p, s: F.cosine_embedding_loss(a, p, s, margin=0.2), a, p, sign)
    _same(lambda b, F, a, t: F.multi_margin_loss(a, t), a, np.array([0, 5, 2, 1]))
    listed = np.array([[3, 0, -1, 1, 1, 1]] * 4)
    _same(lambda b, F, a, t: F.multilabel_margin_loss(a, t), a, listed)


def test_ctc():
    x = np.random.default_rng(4).standard_normal((6, 2, 4), dtype=np.float32)

    def loss(backend, F, x):
        return F.ctc_loss(
            F.log_softmax(x, 2), backend.tensor([[1, 2], [3, 3]]), backend.tensor([6, 5]),
            backend.tensor([2, 2]),
        )  # fmt: skip

    _same(loss, x)


def test_straight_through_gradient():
    """A detached leaf shares memory with the leaf, but no gradient."""
    for backend in (torch, tracec):
        x = backend.ones(3, requires_grad=True)
        (x * x.detach()).sum().backward()
        assert x.grad.tolist() == [1, 1, 1]
        x.grad = None
        loss = (x.exp().detach() - x.detach() + x * x.detach()).sum()
        loss.item()  # computed before the backward
        loss.backward()
        assert x.grad.tolist() == [1, 1, 1]
