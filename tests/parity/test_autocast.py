"""autocast and GradScaler against PyTorch: result dtypes, values, gradients, states, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import tracec
from tests.parity.same import assert_same

CASES = {
    "matmul": lambda m, f: f((3, 4)) @ f((4, 5)),
    "mv": lambda m, f: m.mv(f((3, 4)), f((4,))),
    "einsum": lambda m, f: m.einsum("ij,jk->ik", f((3, 4)), f((4, 5))),
    "addmm": lambda m, f: m.addmm(f((3, 5)), f((3, 4)), f((4, 5))),
    "bmm": lambda m, f: m.bmm(f((2, 3, 4)), f((2, 4, 5))),
    "baddbmm": lambda m, f: m.baddbmm(f((2, 3, 5)), f((2, 3, 4)), f((2, 4, 5))),
    "outer": lambda m, f: m.outer(f((3,)), f((4,))),
    "linear": lambda m, f: m.nn.functional.linear(f((2, 3)), f((4, 3)), f((4,))),
    "conv2d": lambda m, f: m.nn.functional.conv2d(f((1, 2, 5, 5)), f((3, 2, 3, 3))),
    "conv_transpose1d": lambda m, f: m.nn.functional.conv_transpose1d(f((1, 2, 5)), f((2, 3, 3))),
    "prelu": lambda m, f: m.nn.functional.prelu(f((3, 4)), f((1,))),
    "attention": lambda m, f: m.nn.functional.scaled_dot_product_attention(*[f((1, 2, 3, 4))] * 3),
    "softmax": lambda m, f: m.softmax(f((3, 4)), -1),
    "layer_norm": lambda m, f: m.nn.functional.layer_norm(f((3, 4)), (4,)),
    "cross_entropy": lambda m, f: m.nn.functional.cross_entropy(f((3, 4)), m.tensor([0, 1, 2])),
    "nll_loss": lambda m, f: m.nn.functional.nll_loss(f((3, 4)), m.tensor([0, 1, 2])),
    "mse_loss": lambda m, f: m.nn.functional.mse_loss(f((3,)), f((3,))),
    "l1_loss": lambda m, f: m.nn.functional.l1_loss(f((3,)), f((3,))),
    "bce_with_logits": lambda m, f: m.nn.functional.binary_cross_entropy_with_logits(
        f((3,)), f((3,)).abs().clamp(0, 1)
    ),
    "avg_pool2d": lambda m, f: m.nn.functional.avg_pool2d(f((1, 1, 4, 4)), 2),
    "max_pool3d": lambda m, f: m.nn.functional.max_pool3d(f((1, 1, 4, 4, 4)), 2),
    "prod": lambda m, f: f((4,)).prod(),
    "sum": lambda m, f: f((4,)).sum(),
    "trace": lambda m, f: f((3, 3)).trace(),
    "cat": lambda m, f: m.cat([f((3,)), f((3,)).float()]),
    "float64": lambda m, f: f((3, 4)).double() @ f((4, 5)).double(),
}


def maker(m: Any, dtype: str) -> Any:
    g = np.random.default_rng(3)
    return lambda shape: m.tensor(g.standard_normal(shape).astype(np.float32)).to(getattr(m, dtype))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_dtypes_and_values(name: str, dtype: str) -> None:
    found = []
    for m in (tracec, torch):
        with m.autocast("cpu", m.bfloat16):
            y = CASES[name](m, maker(m, dtype))
        found.append((str(y.dtype), y.double().numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=0.02, atol=0.02)


def test_gradients_have_the_dtypes_of_their_tensors() -> None:
    def run(m: Any) -> Any:
        w = m.arange(6.0).reshape(2, 3).div(7).requires_grad_()
        b = m.ones(2, requires_grad=True)
        x = m.arange(12.0).reshape(4, 3).div(5)
        with m.autocast("cpu", dtype=m.bfloat16):
            y = m.nn.functional.linear(x, w, b)
            loss = y.relu().float().mean()
        loss.backward()
        return str(y.dtype), str(w.grad.dtype), w.grad, b.grad

    ours, theirs = run(tracec), run(torch)
    assert ours[:2] == theirs[:2] == ("torch.bfloat16", "torch.float32")
    np.testing.assert_allclose(ours[2].numpy(), theirs[2].numpy(), rtol=0.02)
    np.testing.assert_allclose(ours[3].numpy(), theirs[3].numpy(), rtol=0.02)


def test_regions_nest_and_end() -> None:
    def run(m: Any) -> list[str]:
        x, seen = m.ones(2, 2), []
        with m.autocast("cpu"):
            seen.append((x @ x).dtype)
            with m.autocast("cpu", enabled=False):
                seen.append((x @ x).dtype)
                with m.autocast("cpu", dtype=m.float16):
                    seen.append((x @ x).dtype)
            (x @ x).sum().item()  # a value is looked at
            seen.append((x @ x).dtype)
            seen += [m.is_autocast_enabled("cpu"), m.get_autocast_dtype("cpu")]
        seen.append((x @ x).dtype)
        with pytest.raises(ZeroDivisionError), m.autocast("cpu"):
            raise ZeroDivisionError
        seen += [(x @ x).dtype, m.is_autocast_enabled("cpu")]

        @m.autocast("cpu", dtype=m.bfloat16)
        def product(a: Any) -> Any:
            return a @ a

        seen += [product(x).dtype, (x @ x).dtype]
        return [str(s) for s in seen]

    assert_same(run)


def test_what_autocast_refuses() -> None:
    def run(m: Any, *args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with m.autocast(*args, **kwargs):
                dtype = str((m.ones(2, 2) @ m.ones(2, 2)).dtype)
        return dtype, [str(w.message)[:20] for w in caught]

    assert_same(lambda m: run(m, "cuda"))
    assert_same(lambda m: run(m, "cpu", m.float64))
    with pytest.raises(ValueError, match="`device_type` of type `str`"):
        tracec.autocast(3)
    with pytest.raises(RuntimeError, match="spaceship"):
        tracec.autocast("spaceship")


def test_a_recurring_step_records_nothing_new() -> None:
    from tracec_runtime.events import counts

    model = tracec.nn.Linear(4, 4)
    optimizer = tracec.optim.SGD(model.parameters(), lr=0.1)
    x = tracec.randn(8, 4)

    def step() -> None:
        optimizer.zero_grad()
        with tracec.autocast("cpu", dtype=tracec.bfloat16):
            loss = tracec.nn.functional.mse_loss(model(x), x)
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    with counts() as c:
        for _ in range(3):
            step()
    assert (c.trie_misses, c.plan_misses, c.flushes) == (0, 0, 3)


def test_functions_with_custom_fwd_and_bwd() -> None:
    def run(m: Any) -> list[str]:
        seen: list[str] = []

        class Product(m.autograd.Function):
            @staticmethod
            @m.amp.custom_fwd(device_type="cpu")
            def forward(ctx: Any, a: Any, b: Any) -> Any:
                ctx.save_for_backward(a, b)
                return a @ b

            @staticmethod
            @m.amp.custom_bwd(device_type="cpu")
            def backward(ctx: Any, g: Any) -> Any:
                a, b = ctx.saved_tensors
                seen.append(str(m.is_autocast_enabled("cpu")))
                return (g.float() @ b.t()).float(), (a.t() @ g.float()).float()

        class Wide(m.autograd.Function):
            @staticmethod
            @m.amp.custom_fwd(device_type="cpu", cast_inputs=m.float32)
            def forward(ctx: Any, a: Any) -> Any:
                seen.append(str(a.dtype) + str(m.is_autocast_enabled("cpu")))
                return a * 1

            @staticmethod
            @m.amp.custom_bwd(device_type="cpu")
            def backward(ctx: Any, g: Any) -> Any:
                return g

        x = m.ones(2, 2, requires_grad=True)
        with m.autocast("cpu", dtype=m.bfloat16):
            y = Product.apply(x, x)
            seen.append(str(y.dtype))
            seen.append(str(Wide.apply(y).dtype))
        y.float().sum().backward()
        return seen

    assert_same(run)


class Toy:
    """An optimizer-like object with one parameter."""

    def __init__(self, p: Any):
        self.param_groups, self.steps = [{"params": [p]}], 0

    def step(self) -> int:
        self.steps += 1
        return self.steps


def test_grad_scaler() -> None:
    def run(m: Any) -> list:
        p = m.ones(3, requires_grad=True)
        toy = Toy(p)
        scaler = m.amp.GradScaler("cpu", init_scale=16.0, growth_interval=2)
        out: list = []
        for k, bad in enumerate((False, True, False, False, False)):
            p.grad = None
            scaler.scale((p * 2).sum()).backward()
            if bad:
                p.grad[1] = float("inf")
            if k % 2:
                scaler.unscale_(toy)
                out.append(p.grad.tolist())
            out.append(scaler.step(toy))
            scaler.update()
            out += [scaler.get_scale(), scaler.state_dict()["_growth_tracker"]]
        fresh = m.amp.GradScaler("cpu")
        fresh.load_state_dict(scaler.state_dict())
        return [*out, fresh.get_scale(), scaler.is_enabled(), fresh.state_dict()]

    assert_same(run)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda m, s, toy: (s.unscale_(toy), s.unscale_(toy)),
        lambda m, s, toy: (s.step(toy), s.unscale_(toy)),
        lambda m, s, toy: (s.step(toy), s.step(toy)),
        lambda m, s, toy: s.update(),
        lambda m, s, toy: s.load_state_dict({}),
        lambda m, s, toy: m.amp.GradScaler("cpu", growth_factor=0.5),
        lambda m, s, toy: s.step(toy, closure=lambda: 0),
    ],
)
def test_grad_scaler_errors(wrong: Any) -> None:
    def run(m: Any) -> tuple[str, str]:
        p = m.ones(3, requires_grad=True)
        scaler, toy = m.amp.GradScaler("cpu"), Toy(p)
        scaler.scale(p.sum()).backward()
        with pytest.raises(Exception) as error:
            wrong(m, scaler, toy)
        return error.type.__name__, str(error.value)

    assert_same(run)


def test_disabled_grad_scaler_passes_through() -> None:
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = tracec.amp.GradScaler("cuda")
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not tracec.cuda.amp.GradScaler().is_enabled()
    toy = Toy(tracec.ones(1))
    assert scaler.scale(3) == 3 and scaler.step(toy) == 1 and scaler.state_dict() == {}
