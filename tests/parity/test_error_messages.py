"""Common mistakes raise PyTorch's exception with PyTorch's words."""

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tracec


def _leaf(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    x.add_(1)


def _leafview(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    x[0] = 1


def _twice(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    y.backward()


def _unused(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    z = t.ones(2, requires_grad=True)
    t.autograd.grad((x * 2).sum(), [z])


def _assign(t: Any) -> None:
    m = t.nn.Linear(2, 2)
    m.weight = t.ones(2, 2)


def _saved(t: Any) -> None:
    x = t.ones(2, requires_grad=True)
    y = x.exp()
    z = y * y
    y.add_(1)
    z.sum().backward()


MISTAKES: dict[str, Callable[[Any], Any]] = {
    "add_shapes": lambda t: t.ones(2, 3) + t.ones(2, 4),
    "mul_shapes": lambda t: t.ones(2, 3) * t.ones(3, 2),
    "matmul_shapes": lambda t: t.ones(2, 3) @ t.ones(2, 3),
    "matmul_batch": lambda t: t.matmul(t.ones(2, 3, 4), t.ones(3, 4, 5)),
    "matmul_vec": lambda t: t.ones(3) @ t.ones(4),
    "matmul_scalar": lambda t: t.tensor(1.0) @ t.ones(4),
    "mm_dims": lambda t: t.mm(t.ones(2, 3, 4), t.ones(4, 2)),
    "bmm_dims": lambda t: t.bmm(t.ones(2, 3), t.ones(3, 2)),
    "bmm_sizes": lambda t: t.bmm(t.ones(2, 3, 4), t.ones(3, 4, 2)),
    "mv_sizes": lambda t: t.mv(t.ones(2, 3), t.ones(2)),
    "dot_sizes": lambda t: t.dot(t.ones(2), t.ones(3)),
    "addmm_sizes": lambda t: t.addmm(t.ones(2, 2), t.ones(2, 3), t.ones(2, 2)),
    "linear": lambda t: t.nn.Linear(3, 4)(t.ones(2, 5)),
    "linear_dtype": lambda t: t.nn.Linear(3, 4)(t.ones(2, 3, dtype=t.float64)),
    "linear_int": lambda t: t.nn.Linear(3, 4)(t.ones(2, 3, dtype=t.int64)),
    "conv2d_channels": lambda t: t.nn.Conv2d(3, 4, 3)(t.ones(1, 2, 8, 8)),
    "conv2d_dims": lambda t: t.nn.Conv2d(3, 4, 3)(t.ones(3, 8)),
    "conv2d_kernel": lambda t: t.nn.Conv2d(3, 4, 9)(t.ones(1, 3, 8, 8)),
    "conv2d_dtype": lambda t: t.nn.Conv2d(3, 4, 3)(t.ones(1, 3, 8, 8).double()),
    "conv_transpose": lambda t: t.nn.ConvTranspose2d(3, 4, 3)(t.ones(1, 2, 8, 8)),
    "batchnorm_dims": lambda t: t.nn.BatchNorm2d(3)(t.ones(2, 3)),
    "batchnorm_channels": lambda t: t.nn.BatchNorm1d(3)(t.ones(2, 4)),
    "batchnorm_one": lambda t: t.nn.BatchNorm1d(3)(t.ones(1, 3)),
    "layernorm": lambda t: t.nn.LayerNorm(3)(t.ones(2, 4)),
    "groupnorm": lambda t: t.nn.GroupNorm(2, 3),
    "cat_shapes": lambda t: t.cat([t.ones(2, 3), t.ones(2, 4)]),
    "cat_dims": lambda t: t.cat([t.ones(2, 3), t.ones(2)]),
    "cat_tensor": lambda t: t.cat(t.ones(2, 3)),
    "cat_mixed": lambda t: t.cat([t.ones(2, 3), 3]),
    "cat_two": lambda t: t.cat(t.ones(2), t.ones(2)),
    "stack_shapes": lambda t: t.stack([t.ones(2, 3), t.ones(2, 4)]),
    "stack_empty": lambda t: t.stack([]),
    "stack_dim": lambda t: t.stack([t.ones(2)], 3),
    "view_size": lambda t: t.ones(2, 3).view(4, 2),
    "view_strides": lambda t: t.ones(2, 3).t().view(6),
    "view_minus": lambda t: t.ones(2, 3).view(-1, -1),
    "reshape_size": lambda t: t.ones(2, 3).reshape(5, -1),
    "expand_size": lambda t: t.ones(2, 3).expand(4, 3),
    "expand_rank": lambda t: t.ones(2, 3).expand(3),
    "squeeze_dim": lambda t: t.ones(2, 3).squeeze(2),
    "unsqueeze_dim": lambda t: t.ones(2, 3).unsqueeze(4),
    "transpose_dim": lambda t: t.ones(2, 3).transpose(0, 2),
    "permute_rank": lambda t: t.ones(2, 3).permute(0, 1, 2),
    "permute_repeat": lambda t: t.ones(2, 3).permute(0, 0),
    "index_range": lambda t: t.ones(2, 3)[2],
    "index_many": lambda t: t.ones(2, 3)[0, 0, 0],
    "index_float": lambda t: t.ones(2, 3)[1.0],
    "index_str": lambda t: t.ones(2, 3)["a"],
    "index_float_tensor": lambda t: t.ones(2, 3)[t.tensor([0.5])],
    "index_mask": lambda t: t.ones(2, 3)[t.tensor([True, False, True])],
    "index_bcast": lambda t: t.ones(2, 3)[t.tensor([0, 1]), t.tensor([0, 1, 2])],
    "index_data": lambda t: t.ones(2, 3)[t.tensor([5])],
    "index_step": lambda t: t.ones(4)[::-1],
    "setitem_shape": lambda t: t.ones(2, 3).__setitem__(0, t.ones(4)),
    "scalar_index": lambda t: t.tensor(1.0)[0],
    "sum_dim": lambda t: t.ones(2, 3).sum(2),
    "sum_repeat": lambda t: t.ones(2, 3).sum((0, 0)),
    "mean_int": lambda t: t.ones(2, 3, dtype=t.int64).mean(),
    "softmax_dim": lambda t: t.softmax(t.ones(2, 3), 2),
    "softmax_int": lambda t: t.softmax(t.ones(2, 3, dtype=t.int64), 1),
    "max_empty": lambda t: t.ones(0).max(),
    "argmax_empty": lambda t: t.ones(0).argmax(),
    "std_int": lambda t: t.ones(3, dtype=t.int64).std(),
    "chunk_zero": lambda t: t.ones(4).chunk(0),
    "split_sum": lambda t: t.ones(4).split([1, 2]),
    "embedding_float": lambda t: t.nn.Embedding(4, 2)(t.ones(2)),
    "ce_float": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.ones(2)),
    "ce_batch": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.zeros(4, dtype=t.int64)),
    "ce_int32": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.zeros(2, dtype=t.int32)),
    "ce_2d": lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.zeros(2, 1, dtype=t.int64)),
    "nll_float": lambda t: t.nn.functional.nll_loss(t.ones(2, 3), t.ones(2)),
    "bce_shape": lambda t: t.nn.functional.binary_cross_entropy(t.ones(2), t.ones(2, 1)),
    "bcel_shape": lambda t: t.nn.functional.binary_cross_entropy_with_logits(
        t.ones(2), t.ones(2, 1)
    ),
    "mse_shape": lambda t: t.nn.functional.mse_loss(t.ones(2, 3), t.ones(2, 4)),
    "gather_float": lambda t: t.ones(2, 3).gather(1, t.ones(2, 3)),
    "gather_rank": lambda t: t.ones(2, 3).gather(1, t.zeros(2, dtype=t.int64)),
    "scatter_dtype": lambda t: t.zeros(2, 3).scatter(
        1, t.zeros(2, 3, dtype=t.int64), t.ones(2, 3, dtype=t.int64)
    ),
    "scatter_float": lambda t: t.zeros(2, 3).scatter(1, t.zeros(2, 3), t.ones(2, 3)),
    "index_select_dtype": lambda t: t.ones(2, 3).index_select(0, t.ones(1)),
    "index_select_rank": lambda t: t.ones(2, 3).index_select(0, t.zeros(1, 1, dtype=t.int64)),
    "masked_fill_mask": lambda t: t.ones(2).masked_fill(t.ones(2), 0.0),
    "masked_select_mask": lambda t: t.ones(2).masked_select(t.ones(2)),
    "where_shape": lambda t: t.where(t.ones(2) > 0, t.ones(3), t.ones(2)),
    "where_cond": lambda t: t.where(t.ones(2), t.ones(2), t.ones(2)),
    "dtype_matmul": lambda t: t.ones(2, 2) @ t.ones(2, 2, dtype=t.float64),
    "dtype_matmul_int": lambda t: t.ones(2, 2) @ t.ones(2, 2, dtype=t.int64),
    "inplace_cast": lambda t: t.ones(2, dtype=t.int64).add_(1.5),
    "inplace_shape": lambda t: t.ones(2).add_(t.ones(3, 2)),
    "bitwise_float": lambda t: t.ones(2) & t.ones(2),
    "neg_bool": lambda t: -(t.ones(2) > 0),
    "sub_bool": lambda t: (t.ones(2) > 0) - (t.ones(2) > 0),
    "add_str": lambda t: t.ones(2) + "a",
    "add_none": lambda t: t.ones(2) + None,
    "pow_str": lambda t: t.ones(2) ** "a",
    "exp_int_arg": lambda t: t.exp(3),
    "relu_number": lambda t: t.relu(3),
    "zeros_kw": lambda t: t.zeros(2, foo=1),
    "zeros_neg": lambda t: t.zeros(-1),
    "zeros_float": lambda t: t.zeros(2.5),
    "zeros_str": lambda t: t.zeros("a"),
    "ones_dtype": lambda t: t.ones(2, dtype="float32"),
    "tensor_str": lambda t: t.tensor("a"),
    "tensor_ragged": lambda t: t.tensor([[1, 2], [3]]),
    "tensor_none": lambda t: t.tensor(None),
    "tensor_kw": lambda t: t.tensor([1], foo=2),
    "linear_args": lambda t: t.nn.Linear(3),
    "linear_kw": lambda t: t.nn.Linear(3, 4, foo=1),
    "forward_missing": lambda t: t.nn.Linear(3, 4)(),
    "forward_extra": lambda t: t.nn.Linear(3, 4)(t.ones(3), t.ones(3)),
    "forward_notimpl": lambda t: t.nn.Module()(1),
    "leaf_inplace": _leaf,
    "leaf_setitem": _leafview,
    "backward_vector": lambda t: (t.ones(2, requires_grad=True) * 2).backward(),
    "backward_nograd": lambda t: t.ones(2).sum().backward(),
    "backward_twice": _twice,
    "backward_shape": lambda t: (t.ones(2, requires_grad=True) * 2).backward(t.ones(3)),
    "grad_ints": lambda t: t.ones(2, dtype=t.int64, requires_grad=True),
    "grad_ints_": lambda t: t.ones(2, dtype=t.int64).requires_grad_(),
    "grad_nonleaf": lambda t: (t.ones(2, requires_grad=True) * 2).requires_grad_(False),
    "grad_unused": _unused,
    "grad_input": lambda t: t.autograd.grad(t.ones(2, requires_grad=True).sum(), t.ones(2)),
    "item": lambda t: t.ones(2).item(),
    "float_": lambda t: float(t.ones(2)),
    "bool_": lambda t: bool(t.ones(2)),
    "int_": lambda t: int(t.ones(0)),
    "numpy_grad": lambda t: t.ones(2, requires_grad=True).numpy(),
    "array_grad": lambda t: np.asarray(t.ones(2, requires_grad=True)),
    "deepcopy_nonleaf": lambda t: copy.deepcopy(t.ones(2, requires_grad=True) * 2),
    "iter_0d": lambda t: list(t.tensor(1.0)),
    "len_0d": lambda t: len(t.tensor(1.0)),
    "load_missing": lambda t: t.nn.Linear(2, 2).load_state_dict({"weight": t.ones(2, 2)}),
    "load_unexpected": lambda t: t.nn.Linear(2, 2).load_state_dict(
        {"weight": t.ones(2, 2), "bias": t.ones(2), "foo": t.ones(1)}
    ),
    "load_shape": lambda t: t.nn.Linear(2, 2).load_state_dict(
        {"weight": t.ones(3, 2), "bias": t.ones(2)}
    ),
    "load_list": lambda t: t.nn.Linear(2, 2).load_state_dict([1]),
    "module_attr": lambda t: t.nn.Linear(2, 2).foo,
    "tensor_attr": lambda t: t.ones(2).foo,
    "register_parameter": lambda t: t.nn.Module().register_parameter("a", t.ones(2)),
    "assign_parameter": _assign,
    "sgd_empty": lambda t: t.optim.SGD([], lr=0.1),
    "sgd_lr": lambda t: t.optim.SGD([t.ones(2, requires_grad=True)], lr=-1),
    "sgd_tensor": lambda t: t.optim.SGD(t.ones(2, requires_grad=True), lr=0.1),
    "sgd_nonleaf": lambda t: t.optim.SGD([t.ones(2, requires_grad=True) * 2], lr=0.1),
    "adam_betas": lambda t: t.optim.Adam([t.ones(2, requires_grad=True)], betas=(2, 0)),
    "dropout_p": lambda t: t.nn.Dropout(2.0),
    "mha_dim": lambda t: t.nn.MultiheadAttention(5, 2),
    "lstm_size": lambda t: t.nn.LSTM(3, 4)(t.ones(2, 2, 5)),
    "lstm_hidden": lambda t: t.nn.LSTM(3, 4)(t.ones(2, 2, 3), (t.ones(1, 3, 4), t.ones(1, 2, 4))),
    "einsum": lambda t: t.einsum("ij,jk->ik", t.ones(2, 3), t.ones(4, 2)),
    "einsum_count": lambda t: t.einsum("ij,jk->ik", t.ones(2, 3)),
    "sdpa": lambda t: t.nn.functional.scaled_dot_product_attention(
        t.ones(1, 2, 3, 4), t.ones(1, 2, 3, 5), t.ones(1, 2, 3, 5)
    ),
    "solve": lambda t: t.linalg.solve(t.ones(2, 3), t.ones(2)),
    "topk": lambda t: t.ones(3).topk(5),
    "one_hot": lambda t: t.nn.functional.one_hot(t.ones(2)),
    "pad": lambda t: t.nn.functional.pad(t.ones(2), (1, 1, 1, 1)),
    "interpolate": lambda t: t.nn.functional.interpolate(t.ones(2, 2), scale_factor=2),
    "maxpool": lambda t: t.nn.functional.max_pool2d(t.ones(2, 2), 2),
    "repeat": lambda t: t.ones(2, 3).repeat(2),
    "tile_like": lambda t: t.ones(2, 3).flatten(1, 0),
    "from_numpy": lambda t: t.from_numpy([1, 2]),
    "from_numpy_str": lambda t: t.from_numpy(np.array(["a"])),
    "manual_seed": lambda t: t.manual_seed("a"),
    "randint": lambda t: t.randint(5, 2, (2,)),
    "normal_std": lambda t: t.normal(0.0, -1.0, (2,)),
    "arange_inf": lambda t: t.arange(0, float("inf")),
    "copy_shape": lambda t: t.ones(2).copy_(t.ones(3)),
    "clamp_none": lambda t: t.ones(2).clamp(),
    "to_str": lambda t: t.ones(2).to("float32"),
    "type_promo_out": lambda t: t.add(t.ones(2), t.ones(2), out=t.ones(2, dtype=t.int64)),
}


def raised(mistake: Callable[[Any], Any], framework: Any) -> tuple[str, str]:
    """The class and the first line of the error, without the place that recorded the operation."""
    with pytest.raises(Exception) as caught:
        repr(mistake(framework))
    text = str(caught.value).split("\n")[0].replace("tracec", "torch")
    return caught.type.__name__, " ".join(re.sub(r"\(recorded at .*\)", "", text).split())


@pytest.mark.parametrize("name", MISTAKES)
@pytest.mark.filterwarnings("ignore")
def test_message(name: str) -> None:
    assert raised(MISTAKES[name], tracec) == raised(MISTAKES[name], torch)


# Where PyTorch's text says more than what went wrong: the phrase a reader would search for.
PHRASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "add_list": (
        lambda t: t.add(t.ones(2), [1, 2]),
        "argument 'other' (position 2) must be Tensor, not list",
    ),
    "fill_str": (
        lambda t: t.ones(2).fill_("a"),
        "received an invalid combination of arguments - got (str)",
    ),
    "device": (lambda t: t.zeros(2, device="foo"), "device type at start of device string: foo"),
    "embedding": (lambda t: t.nn.Embedding(4, 2)(t.tensor([5])), "index"),
    "target": (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([5, 0])),
        "out of bounds",
    ),
    "full_missing": (lambda t: t.full((2,)), "full() missing 1 required positional argument"),
    "saved": (_saved, "has been modified by an inplace operation: [torch.FloatTensor [2]]"),
    "cholesky": (
        lambda t: t.linalg.cholesky(-t.eye(2)),
        "(the leading minor of order 1 is not positive-definite)",
    ),
    "inv": (lambda t: t.linalg.inv(t.zeros(2, 2)), "The diagonal element 1 is zero"),
    "max of numbers": (
        lambda t: t.max(1, 2),
        "max() received an invalid combination of arguments - got (int, int)",
    ),
}


@pytest.mark.parametrize("name", PHRASES)
def test_phrase(name: str) -> None:
    mistake, phrase = PHRASES[name]
    (ours, our_text), (theirs, their_text) = raised(mistake, tracec), raised(mistake, torch)
    assert ours == theirs.removeprefix("_")
    assert phrase in our_text
    assert phrase in their_text
