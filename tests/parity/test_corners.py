"""Rare forms of calls: values, dtypes and gradients as PyTorch's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tracec


def numbers(t: Any, *shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    """Multiples of 1/8, exact in every float type."""
    values = np.random.default_rng(seed).integers(-16, 17, shape) / 8
    return t.tensor(values.tolist(), dtype=t.float64).reshape(shape).to(getattr(t, dtype))


def learned(t: Any, *shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    return numbers(t, *shape, dtype=dtype, seed=seed).requires_grad_()


def with_grads(t: Any, call: Callable, *leaves: Any) -> list:
    """The result and the gradients of a weighted sum of its elements."""
    y = call(*leaves)
    weights = numbers(t, *y.shape, dtype=str(y.dtype).removeprefix("torch."), seed=9)
    return [y, *t.autograd.grad((y * weights).sum(), leaves)]


def bags(t: Any, end: int = 4, **options: Any) -> list:
    index = t.tensor([4, 1, 1, 0, 4, 2])
    return with_grads(
        t,
        lambda w: t.nn.functional.embedding_bag(index, w, t.tensor([0, 2, end]), **options),
        learned(t, 5, 3),
    )


def bags_that_leave_something(t: Any) -> list:
    """Without gradients: PyTorch's are those of uninitialised memory here."""
    index, offsets = t.tensor([4, 1, 1, 0, 4, 2]), t.tensor([0, 2, 4])
    bag = t.nn.functional.embedding_bag
    return [bag(index, numbers(t, 5, 3), offsets, mode="sum", include_last_offset=True)]


def weighted_bags(t: Any) -> list:
    index = t.tensor([4, 1, 1, 0, 4, 4])
    return with_grads(
        t,
        lambda w, s: t.nn.functional.embedding_bag(
            index, w, t.tensor([0, 3]), mode="sum", per_sample_weights=s, padding_idx=-1
        ),
        learned(t, 5, 3), learned(t, 6, seed=1),
    )  # fmt: skip


def grid(t: Any, mode: str, padding: str, align: bool, dtype: str = "float32") -> list:
    x = learned(t, 2, 3, 4, 5, dtype=dtype)
    places = learned(t, 2, 3, 3, 2, dtype=dtype, seed=2)
    return with_grads(
        t, lambda x, g: t.nn.functional.grid_sample(x, g, mode, padding, align), x, places
    )


def nothing_counts(t: Any) -> list:
    x = learned(t, 2, 3)
    loss = t.nn.functional.cross_entropy(x, t.tensor([1, 1]), ignore_index=1)
    return [loss, *t.autograd.grad(loss, x)]


def next_floats(t: Any, dtype: str) -> list:
    values = [0.0, -0.0, 1.0, -1.0, 6e-8, 65504.0, float("inf"), -float("inf"), float("nan"), 3.25]
    x = t.tensor(values, dtype=getattr(t, dtype))
    return [t.nextafter(x.unsqueeze(1), x), t.nextafter(x.unsqueeze(1) * 0.37, x)]


def whole_mean_square(t: Any) -> list:
    x = t.arange(18).reshape(1, 6, 3)
    return [t.nn.functional.local_response_norm(x, 2, alpha=3e-5, beta=0.5, k=1.25)]


def flat_batch_norm(t: Any) -> list:
    x, stats = t.ones(0), t.ones(0)
    norm = t.nn.functional.batch_norm
    return [norm(x, stats, stats, training=True), norm(x, stats, stats)]


def masked(t: Any, name: str, dtype: str) -> list:
    x, mask = numbers(t, 3, 4, dtype=dtype), numbers(t, 3, 4, seed=3) > 0
    call = getattr(t.masked, name)
    return [call(x, dim=1, mask=mask), call(x, dim=1)]


def other_layouts(t: Any) -> list:
    x = t.zeros(1, 2, 3, 3)
    made = [x.float(memory_format=t.channels_last), x.to(memory_format=t.preserve_format)]
    x.fill_(1)
    return made


CASES: dict[str, Callable[[Any], list]] = {
    "bags": lambda t: bags(t, mode="mean"),
    "bags with an end": lambda t: bags(t, 6, mode="sum", include_last_offset=True),
    "bags with an early end": bags_that_leave_something,
    "maxima of bags": lambda t: bags(t, mode="max", padding_idx=1),
    "weighted bags": weighted_bags,
    "grid": lambda t: grid(t, "bilinear", "zeros", False),
    "grid on the border": lambda t: grid(t, "bilinear", "border", True),
    "mirrored grid": lambda t: grid(t, "bilinear", "reflection", False),
    "cubic grid": lambda t: grid(t, "bicubic", "zeros", True),
    "cubic mirrored grid": lambda t: grid(t, "bicubic", "reflection", False),
    "nothing counts": nothing_counts,
    "next float16": lambda t: next_floats(t, "float16"),
    "next bfloat16": lambda t: next_floats(t, "bfloat16"),
    "mean square of integers": whole_mean_square,
    "batch norm without channels": flat_batch_norm,
    "masked var": lambda t: masked(t, "var", "bfloat16"),
    "masked complex var": lambda t: masked(t, "var", "complex64"),
    "masked std": lambda t: masked(t, "std", "float16"),
    "masked logsumexp": lambda t: masked(t, "logsumexp", "int64"),
    "similarity of broadcast vectors": lambda t: with_grads(
        t,
        lambda x, y: t.nn.functional.cosine_similarity(x, y, dim=-2),
        learned(t, 1, 2, 3), learned(t, 2, 1, 3, seed=1),
    ),
    "weights of another precision": lambda t: [
        t.cov(numbers(t, 2, 3, dtype="float64"), aweights=t.tensor([0.3666, 0.0583, 0.7006]))
    ],
    "other layouts": other_layouts,
    "largest parts": lambda t: [*t.nn.functional.adaptive_max_pool2d(
        numbers(t, 2, 3, 5, 7), (2, None), return_indices=True
    )],
}  # fmt: skip


def assert_same(ours: Any, theirs: Any) -> None:
    assert str(ours.dtype) == str(theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape)
    a, b = (
        y.detach().to(y.dtype if "complex" in str(y.dtype) else t.float64).numpy()
        for t, y in ((tracec, ours), (torch, theirs))
    )
    # one unit of bfloat16 where the result is rounded to 16 bits
    tolerance = 8e-3 if "float16" in str(theirs.dtype) else 2e-6
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_case(name: str) -> None:
    for ours, theirs in zip(CASES[name](tracec), CASES[name](torch), strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_grids_of_16_bits_are_float32_rounded(dtype: str, padding: str) -> None:
    half = grid(tracec, "bilinear", padding, True, dtype)
    single = grid(tracec, "bilinear", padding, True)
    for x, y in zip(half, single, strict=True):
        np.testing.assert_allclose(x.float().detach(), y.detach(), rtol=8e-3, atol=2e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_are_not_rounded_to_16_bits(dtype: str) -> None:
    for call in (lambda x: x * 0.37, lambda x: 0.37 * x, lambda x: x / 0.37, lambda x: x * 3):
        ours, theirs = (call(numbers(t, 40, dtype=dtype)).float().numpy() for t in (tracec, torch))
        np.testing.assert_array_equal(ours, theirs)


def test_channels_of_a_single_sample_drop_out_one_by_one() -> None:
    tracec.manual_seed(0)
    for shape, kept in (((64, 2, 2, 2), 0), ((64, 2, 2), 0), ((2, 64, 2, 2, 2), 1)):
        y = tracec.nn.functional.dropout3d(tracec.ones(shape)).numpy()
        whole = y.reshape(*shape[: kept + 1], -1)
        assert (whole == whole[..., :1]).all()
        assert 0 < whole[..., 0].mean() < 2
