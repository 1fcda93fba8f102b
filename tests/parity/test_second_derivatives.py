"""Derivatives of derivatives: products with zeros, and graphs executed between the two passes."""

import numpy as np
import pytest
import torch

import tracec

VALUES = (1.5, -2.0, 0.7, 3.0, 1.1)


def three(lib, product):
    """The first three derivatives of weighted products, along fixed directions."""

    def at(values):
        rng = np.random.default_rng(0)
        x = lib.tensor(values, dtype=lib.float64, requires_grad=True)
        y = product(x).reshape(-1)
        found = []
        for n in (y.shape[0], 5, 5):
            weights = lib.tensor(rng.standard_normal(n).tolist(), dtype=lib.float64)
            (y,) = lib.autograd.grad((y * weights).sum(), x, create_graph=True)
            found.append(y.detach().numpy())
        return found

    return at


def step_by_step(x):
    parts = [x[0]]
    for i in range(1, 5):
        parts.append(parts[-1] * x[i])
    return torch.stack(parts)


@pytest.mark.parametrize("zeros", [(), (1,), (0, 3), (0, 2, 4), (0, 1, 2, 3, 4)])
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_products_with_zeros_are_exact_up_to_the_third_derivative(name: str, zeros: tuple) -> None:
    values = [0.0 if i in zeros else v for i, v in enumerate(VALUES)]
    running = name == "cumprod"
    ours = three(tracec, lambda x: x.cumprod(0) if running else x.prod())(values)
    exact = three(torch, lambda x: step_by_step(x) if running else step_by_step(x)[-1])(values)
    for a, b in zip(ours, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


# -- the forward pass, and the first backward pass, may have been executed already ----------------
def plain(lib, x):
    return x.exp()


def hooked(lib, x):
    h = x * 2
    h.register_hook(lambda g: g * 3)
    return h.exp()


def written_leaf(lib, x):
    with lib.no_grad():
        x.mul_(0.5)
    return x.exp()


def hooked_view(lib, x):
    h = (x * 2).reshape(2, 2)[0]
    h.register_hook(lambda g: g * 3)
    return h.exp()


def custom(lib, x):
    class Square(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    return Square.apply(x * 0.3).exp() * x


def normalised(lib, x):
    mean, var = lib.zeros(2, dtype=lib.float64), lib.ones(2, dtype=lib.float64)
    y = lib.nn.functional.batch_norm(x.reshape(2, 2), mean, var, training=True)
    assert mean.abs().sum().item() > 0  # the running mean is another one from here on
    return y


@pytest.mark.parametrize("view", [False, True], ids=["leaf", "leaf on a view"])
@pytest.mark.parametrize("executed", [0, 1, 2])
@pytest.mark.parametrize(
    "f", [plain, hooked, written_leaf, hooked_view, custom, normalised], ids=lambda f: f.__name__
)
def test_a_graph_executed_in_between(f, executed: int, view: bool) -> None:
    def second(lib):
        x = lib.arange(4, dtype=lib.float64).add(1)
        x = (lib.arange(8, dtype=lib.float64).add(1)[::2] if view else x).requires_grad_()
        y = f(lib, x)
        if executed:
            y.sum().item()
        (g,) = lib.autograd.grad((y**2).sum(), x, create_graph=True)
        if executed == 2:
            g.sum().item()
        (h,) = lib.autograd.grad((g**2).sum(), x)
        return h.detach().numpy()

    np.testing.assert_allclose(second(tracec), second(torch), rtol=1e-9)


def test_a_chunked_loss_is_differentiated_twice() -> None:
    rng = np.random.default_rng(1)
    arrays = rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    target = rng.integers(0, 4, 6)

    def second(lib, loss):
        x, w = (lib.from_numpy(a.copy()).requires_grad_() for a in arrays)
        g = lib.autograd.grad(loss(lib, x, w), (x, w), create_graph=True)
        return lib.autograd.grad(sum((p**2).sum() for p in g), (x, w))

    def chunked(lib, x, w):
        options = lib.nn.LinearCrossEntropyOptions(batch_chunk_size=2)
        goal = lib.from_numpy(target)
        return lib.nn.functional.linear_cross_entropy(x, w, goal, options=options)

    def whole(lib, x, w):
        return lib.nn.functional.cross_entropy(x @ w.t(), lib.from_numpy(target))

    for a, b in zip(second(tracec, chunked), second(torch, whole), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9)
