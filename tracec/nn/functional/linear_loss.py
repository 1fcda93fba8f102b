"""Owns linear_cross_entropy: the loss of a linear layer's logits, whole or in chunks of a batch."""

from __future__ import annotations

import math
from typing import Any

import tracec
from tracec import ops

from .loss import cross_entropy

CHUNK_ELEMENTS = 1 << 22  # logits of a chunk, unless options say how many rows it has


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """cross_entropy(linear(input, linear_weight, linear_bias), target).

    Shapes: input (features) or (N, features); linear_weight (C, d1, ..., dK, features), linear_bias
    without the features; target as for `cross_entropy` of logits (N, C, d1, ..., dK). With
    `options` (`nn.LinearCrossEntropyOptions`) the batch is worked through in chunks whose logits
    are computed again for the gradient, so that memory for all of them is only needed where that
    is differentiated again.

    Raises RuntimeError for shapes that do not fit, and for `ignore_index` with probabilities.
    """
    _check(input, linear_weight, target, linear_bias, ignore_index)
    if ignore_index is None:
        ignore_index = -100
    settings = (weight, ignore_index, label_smoothing)
    classes, *outer, features = linear_weight.shape
    if options is None or outer:
        return _whole(input, linear_weight, linear_bias, target, settings, reduction)
    batch = input if input.dim() == 2 else input.unsqueeze(0)
    goal = target if input.dim() == 2 else target.unsqueeze(0)
    rows = options.batch_chunk_size or max(1, CHUNK_ELEMENTS // max(1, classes))
    losses = _Chunked.apply(batch, linear_weight, linear_bias, goal, settings, rows)
    if reduction == "none":
        return losses if input.dim() == 2 else losses.squeeze(0)
    total = losses.sum()
    if reduction == "sum":
        return total
    if reduction != "mean":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if goal.is_floating_point():
        return total / goal.shape[0]
    kept = goal != ignore_index
    if weight is not None:
        kept = tracec.where(kept, weight[tracec.where(kept, goal, 0)], 0)
    return total / kept.sum().to(total.dtype)


def _check(
    input: Any, linear_weight: Any, target: Any, linear_bias: Any, ignore_index: int | None
) -> None:
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_weight.dim() > 2 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {input.shape[-1]}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != tuple(linear_weight.shape[:-1]):
        raise RuntimeError(
            f"expected linear_bias shape {tuple(linear_weight.shape[:-1])}, got "
            f"{tuple(linear_bias.shape)}"
        )
    if ignore_index is not None and target.is_floating_point():
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")


def _whole(
    x: Any, linear_weight: Any, bias: Any, target: Any, settings: tuple, reduction: str
) -> Any:
    """The loss from all logits at once."""
    *outer, features = linear_weight.shape
    flat = linear_weight.reshape(math.prod(outer), features)
    logits = ops.linear(x, flat, None if bias is None else bias.reshape(math.prod(outer)))
    weight, ignore_index, label_smoothing = settings
    return cross_entropy(
        logits.reshape((*x.shape[:-1], *outer)), target, weight=weight, reduction=reduction,
        ignore_index=ignore_index, label_smoothing=label_smoothing,
    )  # fmt: skip


class _Chunked(tracec.autograd.Function):
    """The loss of each row; going backward computes the logits of each chunk again."""

    @staticmethod
    def forward(
        ctx: Any, x: Any, linear_weight: Any, bias: Any, target: Any, settings: tuple, rows: int
    ) -> Any:
        ctx.save_for_backward(x, linear_weight, bias, target)
        ctx.settings, ctx.rows = settings, rows
        parts = [
            _whole(part, linear_weight, bias, goal, settings, "none")
            for part, goal in zip(x.split(rows), target.split(rows), strict=True)
        ]
        return tracec.cat(parts)

    @staticmethod
    def backward(ctx: Any, g: Any) -> tuple:
        x, linear_weight, bias, target = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:4]
        if tracec.is_grad_enabled():  # to be differentiated again: every logit would be kept anyway
            whole = _whole(x, linear_weight, bias, target, ctx.settings, "none")
            given = zip((x, linear_weight, bias, target), wanted, strict=True)
            asked = [t for t, need in given if need]
            found = iter(tracec.autograd.grad(whole, asked, g, create_graph=True))
            return *(next(found) if need else None for need in wanted), None, None
        rows: list = [[], []]  # gradients of parts of x and of the target
        sums: list = [None, None]
        for part, goal, gp in zip(
            x.split(ctx.rows), target.split(ctx.rows), g.split(ctx.rows), strict=True
        ):
            with tracec.enable_grad():
                leaves = [
                    t if t is None or not need else t.detach().requires_grad_()
                    for t, need in zip((part, linear_weight, bias, goal), wanted, strict=True)
                ]
                losses = _whole(*leaves, ctx.settings, "none")
            asked = [t for t, need in zip(leaves, wanted, strict=True) if need]
            found = iter(tracec.autograd.grad(losses, asked, gp))
            grads = [next(found) if need else None for need in wanted]
            rows[0].append(grads[0])
            rows[1].append(grads[3])
            for i, grad in enumerate(grads[1:3]):
                if grad is not None:
                    sums[i] = grad if sums[i] is None else sums[i] + grad
        whole = [tracec.cat(r) if need else None for r, need in zip(rows, wanted[::3], strict=True)]
        return whole[0], *sums, whole[1], None, None
