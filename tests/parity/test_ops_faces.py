"""PyTorch's spelling: variants of one declaration, arguments, errors, randomness."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import tracec as tc  # noqa: E402
from tracec.ops import face  # noqa: E402


def pair(*shape, seed=0, grad=False):
    array = np.random.default_rng(seed).uniform(-2, 2, shape).astype(np.float32)
    return (
        torch.tensor(array, requires_grad=grad),
        tc.tensor(array.tolist(), requires_grad=grad),
    )


def same(ours, theirs):
    if isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b)
        return
    if not isinstance(theirs, torch.Tensor):
        assert ours == theirs
        return
    assert str(ours.dtype) == str(theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=2e-6, atol=2e-6, equal_nan=True
    )


CALLS = [
    lambda m, x: m.add(x, x, alpha=2),
    lambda m, x: m.sub(x, 1.5, alpha=2),
    lambda m, x: m.div(x, 0.3, rounding_mode="floor"),
    lambda m, x: m.div(x, 0.3, rounding_mode="trunc"),
    lambda m, x: x.clamp(min=0),
    lambda m, x: x.clamp(-1, 1),
    lambda m, x: m.clip(x, max=0.5),
    lambda m, x: x.sum(0, keepdim=True),
    lambda m, x: m.sum(x, dim=[0, 1]),
    lambda m, x: x.sum(dtype=m.float64),
    lambda m, x: x.mean((0, 1)),
    lambda m, x: x.max(1),
    lambda m, x: m.max(x, dim=0, keepdim=True),
    lambda m, x: m.max(x, x * 2),
    lambda m, x: x.var(1, unbiased=False),
    lambda m, x: x.std(dim=1, correction=0),
    lambda m, x: x.var(False),
    lambda m, x: m.var_mean(x, dim=1),
    lambda m, x: x.norm(),
    lambda m, x: x.norm(p=1, dim=1),
    lambda m, x: m.linalg.norm(x, ord="nuc"),
    lambda m, x: x.sort(descending=True),
    lambda m, x: x.topk(2, largest=False),
    lambda m, x: x.median(),
    lambda m, x: x.median(dim=1),
    lambda m, x: m.where(x > 0, x, 0.0),
    lambda m, x: m.where(x > 0),
    lambda m, x: x.masked_fill(x > 0, -1),
    lambda m, x: m.masked_select(x, x > 0),
    lambda m, x: (x > 0).nonzero(),
    lambda m, x: m.cat([x, x], dim=-1),
    lambda m, x: m.concat((x, x)),
    lambda m, x: m.stack((x, x), 1),
    lambda m, x: m.hstack([x, x]),
    lambda m, x: x.repeat(2, 3),
    lambda m, x: x.repeat_interleave(2, dim=0),
    lambda m, x: x.flip(0, 1),
    lambda m, x: m.flip(x, dims=[1]),
    lambda m, x: x.roll(1, 0),
    lambda m, x: m.einsum("ij,kj->ik", x, x),
    lambda m, x: x @ x.T,
    lambda m, x: m.matmul(x, x[0]),
    lambda m, x: m.outer(x[0], x[1]),
    lambda m, x: m.addmm(m.ones(3, 3), x, x.T, beta=0.5, alpha=2),
    lambda m, x: m.softmax(x, dim=1),
    lambda m, x: x.log_softmax(-1),
    lambda m, x: m.special.expit(x),
    lambda m, x: 2.0**x,
    lambda m, x: x**2,
    lambda m, x: x % 0.7,
    lambda m, x: x // 0.7,
    lambda m, x: ~(x > 0),
    lambda m, x: (x > 0) & (x < 1),
    lambda m, x: x.to(m.int64),
    lambda m, x: x.double(),
    lambda m, x: x.type_as(m.ones(1, dtype=m.float64)),
    lambda m, x: x.tril(),
    lambda m, x: m.diag(x[0]),
    lambda m, x: x.gather(1, m.tensor([[0], [1], [3]])),
    lambda m, x: x.scatter(1, m.tensor([[0], [1], [3]]), 9.0),
    lambda m, x: x.index_select(0, m.tensor([2, 0])),
    lambda m, x: x.cumsum(1),
    lambda m, x: m.unique(m.tensor([3, 1, 3])),
    lambda m, x: m.bincount(m.tensor([3, 1, 3])),
    lambda m, x: m.meshgrid(x[0], x[1], indexing="xy"),
    lambda m, x: m.allclose(x, x),
    lambda m, x: m.broadcast_shapes((3, 1), (4,)),
    lambda m, x: m.nn.functional.layer_norm(x, (4,)),
    lambda m, x: m.nn.functional.gelu(x, approximate="tanh"),
    lambda m, x: m.nn.functional.one_hot(m.tensor([0, 2])),
    lambda m, x: m.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    lambda m, x: m.linalg.inv(x @ x.T + m.eye(3)),
    lambda m, x: m.linalg.svd(x).S,
    lambda m, x: m.hann_window(5),
    lambda m, x: m.masked.mean(x, 1, mask=x > 0),
]


def text(call):
    return inspect.getsource(call).strip().removeprefix("lambda m, x: ").rstrip(",")


@pytest.mark.parametrize("call", CALLS, ids=text)
def test_call(call):
    theirs, ours = pair(3, 4)
    same(call(tc, ours), call(torch, theirs))


INPLACE = [
    lambda x: x.add_(1, alpha=2),
    lambda x: x.relu_(),
    lambda x: x.clamp_(-1, 1),
    lambda x: x.mul_(x + 1),
    lambda x: x.zero_(),
    lambda x: x.fill_(2),
    lambda x: x.masked_fill_(x > 0, 0.0),
    lambda x: x.copy_(x[0].clone()),
    lambda x: x.tril_(),
    lambda x: x.pow_(2),
    lambda x: x.sub_(x[0] * 1),
    lambda x: x.index_fill_(0, x[:2, 0].argsort(), 5.0),
    lambda x: x.t().add_(x.t()),
    lambda x: x[:, 1].exp_(),
]


@pytest.mark.parametrize("call", INPLACE, ids=lambda c: str(INPLACE.index(c)))
def test_inplace_forms_write_and_return_their_input(call):
    theirs, ours = pair(3, 4)
    result = call(ours)
    call(theirs)
    same(ours, theirs)
    assert result._st is ours._st


@pytest.mark.parametrize("call", INPLACE[:4], ids=lambda c: str(INPLACE.index(c)))
def test_inplace_forms_have_gradients(call):
    theirs, ours = pair(3, 4, grad=True)
    got = []
    for m, x in ((torch, theirs), (tc, ours)):
        y = x.clone()
        call(y)
        got.append(m.autograd.grad(y.sum(), x)[0])
    same(got[1], got[0])


ERRORS = [
    (
        lambda m: m.ones(2, 3) @ m.ones(2, 3),
        RuntimeError,
        "mat1 and mat2 shapes cannot be multiplied",
    ),
    (lambda m: m.ones(2, 3).sum(2), IndexError, "Dimension out of range"),
    (
        lambda m: m.cat([m.ones(2, 3), m.ones(3, 2)]),
        RuntimeError,
        "Sizes of tensors must match except in dimension 0",
    ),
    (lambda m: m.ones(2).long().mean(), RuntimeError, "could not infer output dtype"),
    (
        lambda m: m.ones(3, dtype=m.int64).add_(1.5),
        RuntimeError,
        "can't be cast to the desired output type Long",
    ),
    (lambda m: m.ones(3).add_(m.ones(2, 3)), RuntimeError, "doesn't match the broadcast shape"),
    (
        lambda m: m.nn.functional.conv2d(m.ones(1, 3, 4, 4), m.ones(2, 4, 3, 3)),
        RuntimeError,
        "to have 4 channels, but got 3 channels instead",
    ),
    (
        lambda m: m.nn.functional.layer_norm(m.ones(2, 3), (4,)),
        RuntimeError,
        "Given normalized_shape=[4]",
    ),
    (
        lambda m: m.nn.functional.cross_entropy(m.ones(2, 3), m.zeros(3, dtype=m.int64)),
        ValueError,
        "Expected input batch_size (2) to match target batch_size (3).",
    ),
    (lambda m: m.ones(2, 3).softmax(5), IndexError, "Dimension out of range"),
    (lambda m: m.ones(2, 3).topk(4), RuntimeError, "selected index k out of range"),
    (
        lambda m: m.ones(2, 3) + m.ones(2, 4),
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
    ),
    (
        lambda m: m.zeros(2, requires_grad=True).add_(1),
        RuntimeError,
        "a leaf Variable that requires grad",
    ),
    (lambda m: m.stack([]), RuntimeError, "non-empty"),
    (lambda m: m.clamp(m.ones(2)), (RuntimeError, ValueError), "At least one of"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS, ids=[m for _, _, m in ERRORS])
def test_errors_are_worded_as_pytorchs(call, kind, message):
    for m in (torch, tc):
        with pytest.raises(kind) as error:
            call(m)
        assert message in str(error.value)


def test_every_listed_function_is_documented():
    for place in face.PLACES:
        for name in face.names(place):
            assert (face._listed[place][name].__doc__ or "").strip(), (place, name)


# -- randomness -------------------------------------------------------------------------------
def draws():
    tc.manual_seed(7)
    return [tc.rand(5), tc.randn(4), tc.randint(0, 10, (6,)), tc.randperm(8), tc.rand(3)]


def test_the_seed_decides():
    first, second = draws(), draws()
    for a, b in zip(first, second, strict=True):
        assert a.tolist() == b.tolist()
    assert first[0].tolist()[:3] != first[4].tolist()


def test_state_can_be_restored():
    tc.manual_seed(3)
    tc.rand(10)
    state = tc.get_rng_state()
    first = tc.rand(4).tolist()
    tc.set_rng_state(state)
    assert tc.rand(4).tolist() == first


def test_generators_are_independent_streams():
    one = tc.Generator().manual_seed(5)
    first = tc.rand(3, generator=one).tolist()
    tc.rand(100)
    assert tc.rand(3, generator=tc.Generator().manual_seed(5)).tolist() == first


def test_distributions():
    tc.manual_seed(0)
    n = 20_000
    u, z = tc.rand(n).numpy(), tc.randn(n).numpy()
    assert 0 <= u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 0.01
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.03
    k = tc.randint(3, 7, (n,)).numpy()
    assert sorted(set(k.tolist())) == [3, 4, 5, 6]
    assert sorted(tc.randperm(50).tolist()) == list(range(50))
    e = tc.empty(n).exponential_(2.0).numpy()
    assert abs(e.mean() - 0.5) < 0.02 and e.min() >= 0
    b = tc.full((n,), 0.3).bernoulli().numpy()
    assert abs(b.mean() - 0.3) < 0.02
    m = tc.multinomial(tc.tensor([0.0, 1.0, 3.0]), n, replacement=True).numpy()
    assert m.min() == 1 and abs((m == 2).mean() - 0.75) < 0.02
    assert sorted(tc.multinomial(tc.ones(5), 5).tolist()) == list(range(5))


def test_dropout_scales_what_it_keeps_and_its_gradient_has_the_same_mask():
    tc.manual_seed(1)
    x = tc.ones(1000, requires_grad=True)
    y = tc.nn.functional.dropout(x, 0.25)
    values = y.tolist()
    assert set(np.round(values, 5)) == {0.0, 1.33333}
    (g,) = tc.autograd.grad(y.sum(), x)
    assert g.tolist() == values
    assert tc.nn.functional.dropout(x, 1.0).sum().item() == 0


def test_uniform_and_normal_fill_in_place():
    tc.manual_seed(2)
    x = tc.empty(1000).uniform_(-3, -2)
    assert -3 <= x.min().item() and x.max().item() < -2
    assert abs(tc.empty(5000).normal_(4, 0.5).mean().item() - 4) < 0.05


def test_views_in_place_keep_memory_and_gradients():
    got = []
    for m in (torch, tc):
        x = m.arange(6.0).reshape(2, 3).clone().requires_grad_()
        y = x * 2
        y.transpose_(0, 1).unsqueeze_(0)
        assert tuple(y.shape) == (1, 3, 2)
        (y * m.arange(6.0).reshape(3, 2)).sum().backward()
        got.append(x.grad)
    same(got[1], got[0])


@pytest.mark.parametrize("pad", [0, 2])
def test_conv_tbc(pad: int) -> None:
    rng = np.random.default_rng(0)
    x, w, c = (rng.standard_normal(s).astype(np.float32) for s in ((6, 2, 3), (3, 3, 4), (4,)))
    for module in ("", "nn.functional"):
        ours, theirs = tc, torch
        for part in filter(None, module.split(".")):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        found = ours.conv_tbc(tc.tensor(x), tc.tensor(w), tc.tensor(c), pad)
        wanted = theirs.conv_tbc(torch.tensor(x), torch.tensor(w), torch.tensor(c), pad)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)


def test_conv_tbc_refuses_other_sizes() -> None:
    shapes = [((2, 2), (1, 2, 3), (3,)), ((2, 2, 2), (1, 2), (3,)), ((2, 2, 2), (1, 2, 3), (3, 1)),
              ((2, 2, 2), (1, 3, 3), (3,)), ((2, 2, 2), (1, 2, 3), (4,))]  # fmt: skip
    for case in shapes:
        with pytest.raises(RuntimeError) as theirs:
            torch.conv_tbc(*(torch.ones(s) for s in case))
        with pytest.raises(RuntimeError) as ours:
            tc.conv_tbc(*(tc.ones(s) for s in case))
        assert str(ours.value) == str(theirs.value).split("\n")[0]
