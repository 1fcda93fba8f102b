"""Owns the loss functions: frequent ones are one recorded operation, others compositions."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import tracec
from tracec import ops
from tracec_ir import promote

from .. import _reduction

_LEGACY = _reduction.legacy_get_string
_REDUCTIONS = ("mean", "sum", "none")


def _checked(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction, after the deprecated flags had their say."""
    if size_average is not None or reduce is not None:
        return _LEGACY(size_average, reduce)
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _warn_of_broadcast(input: Any, target: Any) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighted(values: Any, weight: Any, input: Any, target: Any, reduction: str) -> Any:
    if target.shape != weight.shape and input.shape != weight.shape:
        raise ValueError("Weights and input must have the same size.")
    values = values * weight
    if reduction == "mean":
        return values.sum() / weight.sum()
    return _reduction.apply(values, reduction)


def mse_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The squared difference.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    if input.shape != target.shape:
        _warn_of_broadcast(input, target)
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = _checked(reduction, size_average, reduce)
    if weight is None:
        return ops.mse_loss(input, target, reduction=reduction)
    values = ops.mse_loss(input, target, reduction="none")
    return _weighted(values, weight, input, target, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The absolute difference.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    if input.shape != target.shape:
        _warn_of_broadcast(input, target)
    reduction = _checked(reduction, size_average, reduce)
    if weight is None:
        return ops.l1_loss(input, target, reduction=reduction)
    values = ops.l1_loss(input, target, reduction="none")
    return _weighted(values, weight, input, target, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Squared near zero, absolute further out.

    With d = |input - target|: d * d / (2 beta) below beta, d - beta / 2 from there on (Girshick,
    2015).

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    _warn_of_broadcast(input, target)
    reduction = _checked(reduction, size_average, reduce)
    if beta == 0.0:
        return ops.l1_loss(input, target, reduction=reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return ops.smooth_l1_loss(input, target, reduction=reduction, beta=beta)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """Squared near zero, absolute further out, with a slope of delta.

    With d = |input - target|: d * d / 2 below delta, delta * (d - delta / 2) from there on (Huber,
    1964).

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    _warn_of_broadcast(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    reduction = _checked(reduction)
    distance = (input - target).abs()
    near = 0.5 * distance * distance
    values = tracec.where(distance <= delta, near, delta * (distance - 0.5 * delta))
    if weight is not None:
        return _weighted(values, weight, input, target, reduction)
    return _reduction.apply(values, reduction)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross-entropy of logits with class indices or probabilities.

    `input` holds logits [N, C, ...] or [C]; `target` class numbers (int64) in the same shape
    without C, or probabilities in the shape of `input`. The terms are -weight[t] *
    log_softmax(input)[t]; targets equal to `ignore_index` count nothing, and the mean divides by
    the sum of the weights. `label_smoothing` in [0, 1] mixes in the uniform distribution.
    `reduction` is "mean", "sum" or "none" (ValueError for anything else). RuntimeError for shapes
    or dtypes that do not fit, IndexError for a class out of range.
    """
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = _checked(reduction, size_average, reduce)
    if ignore_index >= 0 and target.shape == input.shape and target.is_floating_point():
        raise RuntimeError("ignore_index is not supported for floating point target")
    return ops.cross_entropy(
        input, target, weight=weight, ignore_index=ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Minus the log-probability of the target class.

    `input` holds log-probabilities [N, C, ...] or [C], `target` class numbers (int64) in that shape
    without C. The terms are -weight[t] * input[t], 0 where the target is `ignore_index`; the mean
    divides by the sum of weights. `reduction` is "mean", "sum" or "none" (ValueError for anything
    else).
    """
    reduction = _checked(reduction, size_average, reduce)
    return ops.nll_loss(
        input, target, weight=weight, ignore_index=ignore_index, reduction=reduction
    )


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross-entropy of probabilities; logarithms are limited to -100.

    -(target * log(input) + (1 - target) * log(1 - input)), times `weight`, for probabilities in [0,
    1].

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    reduction = _checked(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    return ops.binary_cross_entropy(input, target, weight=weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross-entropy of logits.

    Binary cross-entropy of sigmoid(input), computed without overflow; `pos_weight` multiplies the
    terms of positive targets.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    reduction = _checked(reduction, size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    return ops.binary_cross_entropy_with_logits(
        input, target, weight=weight, reduction=reduction, pos_weight=pos_weight
    )


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """The Kullback-Leibler divergence of log-probabilities from the target.

    target * (log(target) - input), input being logarithms of probabilities; with `log_target` so is
    target. `reduction` may also be "batchmean": the sum divided by the size of dimension 0, the
    divergence itself.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    if size_average is not None or reduce is not None:
        reduction = _LEGACY(size_average, reduce)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support "
            "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=2,
        )
    if log_target:
        values = target.exp() * (target - input)
    else:
        values = tracec.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return values.sum() / input.size(0) if input.dim() else values.sum()
    return _reduction.apply(values, _checked(reduction))


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Minus the log-likelihood of counts.

    exp(input) - target * input, or input - target * log(input + eps) without `log_input`; `full`
    adds the rest of Stirling's formula.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    reduction = _checked(reduction, size_average, reduce)
    if log_input:
        values = input.exp() - target * input
    else:
        values = input - target * (input + eps).log()
    if full:
        # Stirling's approximation of log(target!), for targets above one.
        safe = target.clamp(min=1)
        stirling = safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log()
        values = values + tracec.where(target > 1, stirling, 0.0)
    return _reduction.apply(values, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """Minus the log-likelihood of normally distributed targets.

    (log(var) + (input - target) ** 2 / var) / 2 with var at least eps; `full` adds log(2 pi) / 2.
    ValueError for negative var.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * tracec.ones_like(input)
    elif tracec.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        elif not (input.size()[:-1] == var.size()[:-1] and var.size(-1) == 1) and not (
            input.dim() == var.dim()
            and sum(y for x, y in zip(input.size(), var.size(), strict=True) if x != y) == 1
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in _REDUCTIONS:
        raise ValueError(reduction + " is not valid")
    # The limit applies to the value only; the gradient is that of the variance.
    limited = var + (var.detach().clamp(min=eps) - var.detach())
    values = 0.5 * (limited.log() + (input - target) ** 2 / limited)
    if full:
        values = values + 0.5 * math.log(2 * math.pi)
    return _reduction.apply(values, reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """x for targets of 1, the part of x below the margin for targets of -1.

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    reduction = _checked(reduction, size_average, reduce)
    below = tracec.where(target != 1, (margin - input).clamp_min(0), 0.0)
    above = tracec.where(target != -1, input, 0.0)
    return _reduction.apply(below + above, reduction)


def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """log(1 + exp(-target * x)).

    `reduction` is "mean", "sum" or "none" (ValueError for anything else). Floating tensors whose
    shapes broadcast, or, for the cross-entropies, are equal (ValueError).
    """
    reduction = _checked(reduction, size_average, reduce)
    return _reduction.apply(ops.softplus(-(input * target), 1, 1e30), reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Whether the first input ranks above the second, by target.

    max(0, -target * (input1 - input2) + margin) for targets 1 and -1. `reduction` is "mean", "sum"
    or "none" (ValueError for anything else).
    """
    reduction = _checked(reduction, size_average, reduce)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    values = (-target * (input1 - input2) + margin).clamp_min(0)
    return _reduction.apply(values, reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Whether pairs point in the same direction, by target.

    1 - cos for targets of 1, max(0, cos - margin) for targets of -1, over the last dimension of (N,
    D) or (D). `reduction` is "mean", "sum" or "none" (ValueError for anything else).
    """
    reduction = _checked(reduction, size_average, reduce)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1:
        if input1.dim() != 2 or input2.dim() != 2:
            raise RuntimeError(
                "1D target tensor expects 2D input tensors, but found inputs with sizes "
                f"{list(input1.shape)} and {list(input2.shape)}."
            )
    elif input1.dim() != 1 or input2.dim() != 1:
        raise RuntimeError(
            "0D target tensor expects 1D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    dim = target.dim()
    tiny = 1e-12
    product = (input1 * input2).sum(dim)
    norms = ((input1 * input1).sum(dim) + tiny) * ((input2 * input2).sum(dim) + tiny)
    cosine = product / norms.sqrt()
    same = tracec.where(target == 1, 1 - cosine, 0.0)
    different = tracec.where(target == -1, (cosine - margin).clamp_min(0), 0.0)
    return _reduction.apply(same + different, reduction)


def _check_rows(input: Any) -> None:
    """RuntimeError unless the input is one sample or a batch of them, with classes."""
    if input.dim() > 2 or (input.dim() and input.size(-1) == 0):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )


def _check_long(target: Any) -> None:
    if target.dtype is not tracec.int64:
        raise RuntimeError(f"expected scalar type Long but found {promote._spelled(target.dtype)}")


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Hinge loss between the target class and every other.

    The sum over classes i other than t of max(0, margin - x[t] + x[i]) ** p, divided by the number
    of classes. (N, C) with targets (N), or (C) with a single one. `reduction` is "mean", "sum" or
    "none" (ValueError for anything else).
    """
    reduction = _checked(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    _check_rows(input)
    logits = input if input.dim() == 2 else input.reshape(1, -1)
    samples, classes = logits.shape
    if target.dim() > 1 or target.numel() != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input "
            f"samples (batch size). Expected target size [{samples}], but got "
            f"{list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if weight is not None and weight.numel() != classes:
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    _check_long(target)
    index = target.reshape(-1, 1)
    values = (margin - logits.gather(1, index) + logits).clamp_min(0)
    if p == 2:
        values = values * values
    if weight is not None:
        values = values * weight[index]
    others = 1 - ops.one_hot(index.squeeze(1), classes).to(logits.dtype)
    values = (values * others).sum(1) / classes
    if input.dim() < 2 and target.dim() == 0:
        values = values.squeeze(0)
    return _reduction.apply(values, reduction)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """Hinge loss between the target classes (listed up to the first -1) and the others.

    (N, C) or (C); targets are class numbers in the same shape. The sum of max(0, 1 - (x[t] - x[i]))
    over targets t and other classes i, divided by C. `reduction` is "mean", "sum" or "none"
    (ValueError for anything else).
    """
    reduction = _checked(reduction, size_average, reduce)
    _check_rows(input)
    if input.shape != target.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    _check_long(target)
    logits = input.reshape(1, -1) if input.dim() < 2 else input
    labels = target.reshape(1, -1) if input.dim() < 2 else target
    classes = logits.size(1)
    listed = (labels < 0).to(tracec.int64).cumsum(1) == 0
    index = tracec.where(listed, labels, 0)
    chosen = logits.gather(1, index)
    hits = ops.one_hot(index, classes) * listed.unsqueeze(2)
    is_target = hits.sum(1) > 0
    gaps = (1 - (chosen.unsqueeze(2) - logits.unsqueeze(1))).clamp_min(0)
    counted = listed.unsqueeze(2) & ~is_target.unsqueeze(1)
    values = tracec.where(counted, gaps, 0.0).sum((1, 2)) / classes
    if input.dim() < 2:
        values = values.squeeze(0)
    return _reduction.apply(values, reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross-entropy of every class, averaged over classes.

    (N, C) with targets 0 or 1 in the same shape. `reduction` is "mean", "sum" or "none" (ValueError
    for anything else).
    """
    reduction = _checked(reduction, size_average, reduce)
    values = -(target * ops.logsigmoid(input) + (1 - target) * ops.logsigmoid(-input))
    if weight is not None:
        values = values * weight
    values = values.sum(-1) / input.size(-1)
    return _reduction.apply(values, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """How much nearer the positive is than the negative.

    max(0, d(anchor, positive) - d(anchor, negative) + margin) with the p-norm distance d over the
    last dimension; with `swap` also d(positive, negative) counts (Balntas et al., 2016).
    `reduction` is "mean", "sum" or "none" (ValueError for anything else).
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    reduction = _checked(reduction, size_average, reduce)
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )

    def distance(a: Any, b: Any) -> Any:
        return ops.pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """triplet_margin_loss with a distance of one's own."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )
    distance = ops.pairwise_distance if distance_function is None else distance_function
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    anchor: Any, positive: Any, negative: Any, distance: Any, margin: float, swap: bool,
    reduction: str,
) -> Any:  # fmt: skip
    to_positive = distance(anchor, positive)
    to_negative = distance(anchor, negative)
    if swap:
        to_negative = tracec.minimum(to_negative, distance(positive, negative))
    values = (margin + to_positive - to_negative).clamp_min(0)
    return _reduction.apply(values, reduction)


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """Connectionist temporal classification: the forward recursion over all alignments.

    Minus log of the probability of `targets` over all alignments with blanks (Graves et al., 2006).
    `log_probs` is (T, N, C) or (T, C); targets are padded (N, S) or concatenated, without blanks.
    The mean divides by target lengths first; `zero_infinity` turns impossible alignments into 0.
    `reduction` is "mean", "sum" or "none" (ValueError for anything else).
    """
    from .ctc import ctc_losses

    reduction = _checked(reduction)
    batched = log_probs if log_probs.dim() == 3 else log_probs.unsqueeze(1)
    values, lengths = ctc_losses(batched, targets, input_lengths, target_lengths, blank)
    if zero_infinity:
        values = tracec.where(values == math.inf, 0.0, values)
    if reduction == "mean":
        return (values / lengths.clamp(min=1).to(values.dtype)).mean()
    if log_probs.dim() == 2:
        values = values.squeeze(0)
    return _reduction.apply(values, reduction)
