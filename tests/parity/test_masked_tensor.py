"""torch.masked's MaskedTensor: construction, functions, reductions, views, gradients and errors."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

import tracec

from .same import words


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():  # PyTorch warns of a prototype at every result
        warnings.simplefilter("ignore")
        yield


def names(m: Any) -> dict[str, Any]:
    """What the expressions of this file may use."""
    d = m.tensor([[0.25, 2.0, 3.0], [4.0, 0.5, 6.0]])
    mask = m.tensor([[True, False, True], [False, True, False]])
    masked = m.masked.masked_tensor
    e = d.clone().requires_grad_()
    return {
        "m": m, "d": d, "mask": mask, "masked": masked, "e": e,
        "x": masked(d, mask), "y": masked(d, mask, requires_grad=True),
        "z": m.masked.as_masked_tensor(e, mask),
        "i": masked((d * 10).int(), mask), "b": masked(d > 1, mask),
        "t": masked(d + 1, ~mask),
    }  # fmt: skip


def seen(value: Any) -> Any:
    """A result as something comparable: text, dtype and shape of masked and plain tensors."""
    if isinstance(value, (tuple, list)):
        return [seen(v) for v in value]
    if isinstance(value, (torch.Tensor, tracec.Tensor)):
        return f"{value!r}".split(", grad_fn")[0], str(value.dtype), tuple(value.shape)
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def outcome(m: Any, text: str) -> Any:
    try:
        return seen(eval(text, names(m)))
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        return error


def assert_same(text: str, whole: bool = True) -> None:
    theirs, ours = outcome(torch, text), outcome(tracec, text)
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        assert not whole or words(ours)[:4] == words(theirs)[:4]
    else:
        assert ours == theirs


def cases(text: str) -> list[str]:
    """The expressions of a table: those of a line stand between bars."""
    return [case for line in text.split("\n") for case in line.split("|")]


UNARY = """abs absolute acos arccos acosh angle asin arcsin asinh atan arctan atanh ceil
conj_physical cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 fix floor frac lgamma log
log10 log1p log2 logit i0 isnan isfinite nan_to_num neg negative positive rad2deg reciprocal round
rsqrt sigmoid sign sgn signbit sin sinc sinh sqrt square tan tanh trunc""".split()
NOT_IN_PLACE = {"angle", "isnan", "isfinite", "positive", "signbit"}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    assert_same(f"m.{name}(x)")
    assert_same(f"x.{name}()")
    if name not in NOT_IN_PLACE:
        assert_same(f"[x.{name}_(), x]")


BINARY = """add atan2 arctan2 div divide floor_divide fmod mul multiply nextafter remainder sub
subtract true_divide eq ne le ge greater greater_equal gt less_equal lt less not_equal""".split()
BITS = "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift".split()
BINARY_PURE = "logaddexp logaddexp2 maximum minimum fmax fmin".split()


@pytest.mark.parametrize("name", BINARY + BITS + BINARY_PURE)
def test_binary(name: str) -> None:
    x, plain, other = ("i", "(d*10).int()", "t.int()") if name in BITS else ("x", "d", "t")
    assert_same(f"m.{name}({x}, {x})")
    assert_same(f"{x}.{name}({plain})")
    assert_same(f"m.{name}({plain}, {x})")
    assert_same(f"m.{name}({x}, {other})")  # masks differ: ValueError
    if name not in BINARY_PURE:
        assert_same(f"[{x}.{name}_({plain}), {x}]")


@pytest.mark.parametrize("text", cases("""-x, abs(x), +x|~b|~i|x + x, x - 1, 2 * x, x / 2, 2 / x
x // 2, x % 2, x ** 2|i & 1, i | 2, i ^ i|x == x, x != 1, x < x, x <= 2, x > 2, x >= d
d == x, d < x|d + x, d - x, d / x|x + m.ones(2, 2, 3)|masked(m.ones(3), mask[0]) + d
x + masked(m.ones(3), mask[0])
masked(m.ones(2, 1), mask[:, :1]) + masked(d, mask[:, :1].expand(2, 3))
x + t|x + m.ones(2)
x.clamp(0.5, 2), m.clamp(x, min=1), x.clip(max=1)|x.pow(2), x.pow_(2)|x.add_(1), x.mul_(x)
i.add_(1.5)|y.add_(1)|x.copy_(t), x.copy_(d)|m.softmax(x, 1), x.softmax(0)
m.nn.functional.softmax(x, 1)"""))  # fmt: skip
def test_operators(text: str) -> None:
    assert_same(text)


@pytest.mark.parametrize("name", "sum mean prod amax amin argmax argmin std var all".split())
def test_reductions(name: str) -> None:
    for x in ("b",) if name == "all" else ("x", "i") if name not in ("mean", "std", "var") else "x":
        positional = "0" if name in ("std", "var") else "1, True"  # there it is `unbiased`
        for arguments in ("", "0", "1", "dim=-1", positional, "dim=0, keepdim=True"):
            assert_same(f"{x}.{name}({arguments})")
            assert_same(f"m.{name}({x}{arguments and ', '}{arguments})")
        if name not in ("prod", "argmax", "argmin"):
            assert_same(f"{x}.{name}((0, 1))")
    if name != "all":
        assert_same(f"masked(d, m.zeros(2, 3, dtype=m.bool)).{name}(0)")
    assert_same(f"m.{name}(masked(d[0] > 1, mask[0]))") if name == "all" else None


@pytest.mark.parametrize("text", cases("""x.view(3, 2)|x.reshape(-1)|x.t()|x.transpose(0, 1)|x[0]
x[:, 1]|x[0, 1]|x[:, 1:]|x[None]|x[..., 0]|x[[0, 1]]|x[m.tensor([1])]|x[mask]
x.flatten()|x.unsqueeze(0)
x.expand(2, 2, 3)|x.expand_as(m.zeros(2, 2, 3))|x.broadcast_to((2, 2, 3))|x.split(1)|x.chunk(2)
m.cat([x, x])|m.cat([x, t], 1)|m.stack([x, x])|m.cat([x, d])|x.unfold(0, 1, 1)|x.narrow(0, 0, 1)
x.select(0, 1)|x.swapaxes(0, 1)|x.mT|x.view_as(x)|x.contiguous()|x.clone()|x.detach()
x.t().contiguous()|x.t().sin()|x.t() + x.t()|x.t() * d.t()|x[:, 1:][0]
x.to(m.float64)|x.double()|x.int()|x.bool()|x.half()|x.to('cpu')|x.type(m.int64)|x.to(m.bfloat16)
m.where(mask, x, x)|m.where(mask, x, d)|m.where(mask, d, x)|m.where(mask, x, 0.0)
m.where(mask, x, t)|x.view(5)|x.transpose(0, 2)|x.to_dense()"""))  # fmt: skip
def test_structure(text: str) -> None:
    assert_same(text)


@pytest.mark.parametrize("text", cases("""x.shape, x.dtype, x.layout, x.is_sparse, x.is_sparse_coo()
x.is_sparse_csr(), x.requires_grad, y.requires_grad, x.is_leaf, y.is_leaf
z.is_leaf, z.requires_grad|x.dim(), x.numel()
len(x), x.size(1), x.stride(), x.is_contiguous()|x.get_data(), x.get_mask()
x.to_tensor(0)|x.to_tensor(m.tensor(7.0))|i.to_tensor(1)|y.get_data().is_leaf|x.reshape(2, 1, 3)
y.detach().requires_grad|x.get_mask() is x.get_mask()|str(x), repr(b), repr(i)
repr(x[0, 1]), repr(x[0, 0])|masked(m.tensor([1.0, 1e10, -m.inf, m.nan]), m.ones(4) > 0)
masked(m.tensor([1, 10**10]), mask[1, :2])
m.masked.is_masked_tensor(x), m.masked.is_masked_tensor(d), isinstance(x, m.Tensor), m.is_tensor(x)
isinstance(x, m.masked.MaskedTensor), m.masked.MaskedTensor(d, mask)|x.get_data().add_(1), x
masked(d, mask).add_(1), d|x[0, 0].item(), float(x[0, 0]), bool(x[0, 0])|x.item()
masked([1], mask)|masked(d, [1])|masked(d, mask.int())|masked(d, mask[0])|masked(d, mask[:, :2])
masked(d.bfloat16(), mask)|masked(d.byte(), mask)|masked(d + 0j, mask)|masked(x, mask)|masked(d, b)
masked(d.int(), mask, requires_grad=True)|m.masked.as_masked_tensor(1, mask)|x.tolist()|x.numpy()
m.masked.as_masked_tensor(d, d)|m.masked.MaskedTensor(d, mask[0])|masked(e, mask).requires_grad
m.masked.sum(x), m.masked.sum(x, 0), m.masked.prod(x), m.masked.amax(x, 1), m.masked.argmin(x, 1)
m.masked.softmax(x, 1).nan_to_num(0.0)"""))  # fmt: skip
def test_face(text: str) -> None:
    assert_same(text)


@pytest.mark.parametrize("text", cases("""x.relu()|x.logical_not()|x.cumsum(0)|m.log_softmax(x, 1)
x.masked_fill(mask, 0)|x.max()|x.max(0)|x.sort()|m.lerp(x, x, 0.5)|m.hypot(x, x)|m.copysign(x, x)
x.any()|x.flip(0)|x.roll(1)|x.repeat(2, 1)|x.zero_()|x.fill_(1)|x.__setitem__(0, 1.0)
m.matmul(x, d.t())|x.dot(x)|m.equal(x, x)|m.nn.functional.gelu(x)|m.nn.functional.linear(x, d)
x.index_select(0, m.tensor([0]))|m.allclose(x, x)|x.gather(0, m.tensor([[0]]))"""))  # fmt: skip
def test_what_pytorch_refuses(text: str) -> None:
    assert isinstance(outcome(torch, text), TypeError)
    assert isinstance(outcome(tracec, text), TypeError), outcome(tracec, text)


@pytest.mark.parametrize("text", cases("""y|y * y|y.sin()|y.exp().sum(1)|y.mean()|y.amax(0)|y.prod()
y.std()|y.t()|y[0]|y[:, 1:]|y.reshape(-1)|y.clone()|y.contiguous()|y.to(m.float64)|y.get_data()
y.expand(2, 2, 3)|m.where(mask, y, x)|m.cat([y, y])|y + e|m.softmax(y, 1) * y|y / d
(y * 2).add_(1).mul_(y)|y.log().mean(1)|y.to_tensor(0)"""))  # fmt: skip
def test_gradients_of_a_leaf(text: str) -> None:
    """`.grad` is masked as the leaf is (PyTorch hides what a view left out, too)."""

    def gradient(m: Any) -> Any:
        at = names(m)
        eval(text, at).sum().backward()
        assert m.masked.is_masked_tensor(at["y"].grad)
        return at["y"].grad.to_tensor(0)

    theirs, ours = gradient(torch), gradient(tracec)
    assert ours.tolist() == [pytest.approx(row, rel=1e-5) for row in theirs.tolist()]


def test_gradients_reach_the_data() -> None:
    for text in ("z", "z * z", "z.log().mean(1)", "z.get_data() * 2", "z.amax(1)"):
        at, theirs = names(tracec), names(torch)
        eval(text, at).sum().backward()
        eval(text, theirs).sum().backward()
        expected = theirs["e"].grad.to_tensor(0.0)
        assert at["e"].grad.tolist() == [pytest.approx(r, rel=1e-5) for r in expected.tolist()]
    at = names(tracec)
    tracec.masked.as_masked_tensor(at["e"] * 0, at["mask"]).log().sum().backward()
    assert at["e"].grad[0, 1] == 0.0  # no NaN from what is hidden


@pytest.mark.parametrize("gradient", ["m.tensor(2.0)", "masked(m.tensor(2.0), m.tensor(True))"])
def test_backward_with_a_gradient(gradient: str) -> None:
    assert_same(f"[y.sum().backward({gradient}), y.grad]")
    assert_same("y.sin().sum(1).backward()")
    assert_same("[y.sin().backward(x), y.grad]")


def test_gradients_add_up_and_are_cleared() -> None:
    y = names(tracec)["y"]
    y.sum().backward()
    (y * 2).sum().backward()
    assert y.grad.to_tensor(0).tolist() == [[3.0, 0.0, 3.0], [0.0, 3.0, 0.0]]
    y.grad = None
    assert y.grad is None


def test_an_index_has_no_mask() -> None:
    at = names(tracec)
    with pytest.raises(TypeError, match="index must not be a MaskedTensor"):
        at["d"][at["i"] * 0]


def test_hidden_elements_have_no_number() -> None:
    for m in (torch, tracec):
        with pytest.raises(ValueError):
            names(m)["x"][0, 1].item()


def test_copies() -> None:
    x = names(tracec)["y"]
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert repr(other) == repr(x) and other.requires_grad
        assert other.get_data().detach() is not x.get_data()


TAKEN_HERE = {
    "1 - x": "1 - d", "2 ** x": "2 ** d", "m.add(x, x, alpha=2)": "d * 3",
    "x.sub(d, alpha=2)": "-d", "x.round(decimals=1)": "d.round(decimals=1)",
    "x.clamp(m.tensor(2.0))": "d.clamp(2.0)", "x.permute(1, 0)": "d.T", "x.T": "d.T",
    "x[:1].squeeze(0)": "d[0]", "x.unbind(1)[0]": "d[:, 0]", "x.split([1, 1])[1]": "d[1:]",
    "x.sum(dtype=m.float64)": "d[mask].double().sum()", "x.norm(1)": "d[mask].norm(1)",
    "x.std(correction=0)": "d[mask].std(correction=0)", "x.norm()": "d[mask].norm()",
}  # fmt: skip


@pytest.mark.parametrize("text", TAKEN_HERE)
def test_what_pytorch_refuses_here(text: str) -> None:
    """More than PyTorch takes: the values are those of plain tensors."""
    theirs = outcome(torch, text)
    assert isinstance(theirs, Exception)
    at = names(tracec)
    ours, plain = eval(text, at), eval(TAKEN_HERE[text], at)
    assert tracec.masked.is_masked_tensor(ours) and ours.shape == plain.shape
    hidden = tracec.where(ours.get_mask(), plain, 7.0)
    assert tracec.allclose(ours.to_tensor(7.0), hidden, equal_nan=True)


def test_new_data() -> None:
    x = names(tracec)["x"]
    before, row = x.get_data(), x[0]
    x.sin_()
    row.add_(1)
    assert before.tolist() == names(tracec)["d"].tolist()
    assert repr(x) == repr(names(torch)["x"].sin_())


def test_masked_functions_count_what_is_kept() -> None:
    at, theirs = names(tracec), names(torch)
    kept = theirs["d"][theirs["mask"]]
    for name in ("mean", "var", "std"):
        ours = getattr(tracec.masked, name)(at["x"]).item()
        assert ours == pytest.approx(getattr(torch, name)(kept).item())
        assert getattr(torch.masked, name)(theirs["x"]).item() != pytest.approx(ours)
        if name != "mean":  # the second argument is `unbiased`, as for tensors
            assert getattr(at["x"], name)(0, True).dim() == 1
            assert getattr(theirs["x"], name)(0, True).dim() == 2
    assert tracec.masked.sum(at["x"], mask=~at["mask"]).item() == 0.0  # what both keep


def test_a_number_before_a_masked_operand_is_not_recorded_twice() -> None:
    at = names(tracec)
    plain = at["d"] * 2.0
    masked = 3.0 / at["x"]
    assert (5.0 - plain).tolist() == (5.0 - names(torch)["d"] * 2.0).tolist()
    assert repr(masked) == repr(3.0 / names(torch)["x"])


def test_what_cannot_be_reached_names_itself() -> None:
    x = names(tracec)["x"]
    with pytest.raises(NotImplementedError, match=r"as_strided\(\) of a MaskedTensor"):
        x.as_strided((2,), (1,))
    with pytest.raises(NotImplementedError, match=r"unique\(\) of a MaskedTensor"):
        x.unique()
    with pytest.raises(NotImplementedError, match="to_sparse"):
        x.to_sparse()
    y = names(tracec)["y"]
    with pytest.raises(NotImplementedError, match="MaskedTensor"):
        tracec.autograd.grad(y.sum(), y)
    assert type(tracec.ones_like(x)) is tracec.Tensor
    assert torch.masked.is_masked_tensor(torch.ones_like(names(torch)["x"]))


def test_views_of_plain_tensors_are_remembered_as_before() -> None:
    """Indexing a MaskedTensor leaves nothing behind that a plain tensor of its layout finds."""
    at = names(tracec)
    for text in ("x[0]", "x[:, 1:]", "x.t()", "x.reshape(-1)", "x[:, 1:].clone()[0]"):
        eval(text, at)
        plain = eval(text.replace("x", "d"), at)
        assert type(plain) is tracec.Tensor
        assert plain.tolist() == eval(text.replace("x", "d"), names(torch)).tolist()
