"""Losses of nn.functional. `reduction` is "none", "mean" or "sum"."""

from __future__ import annotations

import math

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.samples import rng
from .common import (
    fixed,
    iota_along,
    masked,
    numel,
    one_hot_mask,
    reduced,
    same_shape,
    shape_text,
    shared,
    size,
    spelled,
    take,
    unsqueeze,
    where,
    wide,
)
from .index import gather_positions
from .samples import each, of


# -- class indices --------------------------------------------------------------------------------
def _class_axis(x: Value) -> int:
    return 0 if x.rank == 1 else 1


def _check_classes(x: Value, target: Value, weight: Value | None, name: str) -> None:
    want = x.shape[: _class_axis(x)] + x.shape[_class_axis(x) + 1 :]
    if x.rank == 0:
        raise ValueError(f"Expected input to have at least one dimension, got {x.rank}")
    if name == "cross_entropy" and same_shape(x.shape, target.shape):
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{spelled(target.dtype)}"
        )
    samples = target.shape[0] if target.rank else 0
    if x.rank > 1 and not dims.same(x.shape[0], samples):
        raise ValueError(
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({samples})."
        )
    if target.dtype not in (dtypes.i64, dtypes.u8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {spelled(target.dtype)}"
        )
    if x.rank < 3 and target.rank > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if x.rank == 1 and target.rank and not dims.same(samples, 1):
        raise ValueError(
            f"For 1D input, 1D target must have size 1, but got target size: {samples}"
        )
    if x.rank > 1 and not same_shape(target.shape, want):
        raise RuntimeError(
            f"Expected target size {shape_text(want)}, got {shape_text(target.shape)}"
        )
    if weight is not None:
        _check_class_weights(x, weight)


def _check_class_weights(x: Value, weight: Value) -> None:
    classes = x.shape[_class_axis(x)]
    if not same_shape(weight.shape, (classes,)):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {shape_text(weight.shape)}"
        )
    if weight.dtype is not x.dtype:
        raise RuntimeError(
            f"expected scalar type {spelled(x.dtype)} but found {spelled(weight.dtype)}"
        )


def _single(b: Builder, x: Value, target: Value) -> Value:
    """The target of a single sample without its dimension, if it has one."""
    return b.reshape(target, ()) if x.rank == 1 and target.rank else target


def _picked(b: Builder, logp: Value, target: Value, ignore_index: int) -> tuple[Value, Value]:
    """logp at the target classes (class 0 where ignored), and which targets count."""
    ax = _class_axis(logp)
    counts = b.ne(target, ignore_index)
    safe = where(b, counts, b.cast(target, dtypes.i64), b.const(0, dtypes.i64))
    found = gather_positions(b, logp, unsqueeze(b, safe, ax), ax)
    return b.reshape(found, target.shape), counts


def _class_weights(b: Builder, weight: Value | None, target: Value, counts: Value, dtype) -> Value:
    """The weight of each target's class, zero where it is ignored."""
    if weight is None:
        return b.cast(counts, dtype)
    safe = where(b, counts, b.cast(target, dtypes.i64), b.const(0, dtypes.i64))
    return masked(b, counts, b.cast(b.emit1("gather", weight, safe, axes=(0,)), dtype))


def _weighted(b: Builder, terms: Value, weights: Value, reduction: str) -> Value:
    """terms already weighted; the mean divides by the sum of the weights."""
    if reduction != "mean":
        return reduced(b, terms, reduction)
    everything = range(terms.rank)
    return b.div(b.reduce(terms, "sum", everything), b.reduce(weights, "sum", everything))


@composite(autocast="single", samples=of("f5x3", "i5<3"))
def nll_loss(b, logp, target, weight=None, *, ignore_index=-100, reduction="mean"):
    """Minus the log-probability at the target class."""
    _check_classes(logp, target, weight, "nll_loss")
    target = _single(b, logp, target)
    found, counts = _picked(b, logp, target, ignore_index)
    weights = _class_weights(b, weight, target, counts, logp.dtype)
    return _weighted(b, b.neg(b.mul(masked(b, counts, found), weights)), weights, reduction)


# softmax minus one-hot, in one pass over the scores, from the scores' logsumexp.
def _cross_entropy_vjp(b: Builder, op: Op, g: Value):
    x, target, *rest = op.operands
    target = _single(b, x, target)
    reduction = op.attrs["reduction"]
    ax = _class_axis(x)
    z = wide(b, x)
    counts = b.ne(target, op.attrs["ignore_index"])
    weights = _class_weights(b, rest[0] if rest else None, target, counts, z.dtype)
    g = wide(b, g)
    if reduction == "mean":
        g = b.div(g, b.reduce(weights, "sum", range(weights.rank)))
    # what is ignored learns nothing, even if nothing counts and g is NaN
    scale = unsqueeze(b, masked(b, counts, b.mul(g, weights)), ax)
    p = b.softmax(z, dim=ax)
    hit = one_hot_mask(b, unsqueeze(b, target, ax), x.rank, ax, x.shape[ax])
    dx = b.cast(b.mul(where(b, hit, b.sub(p, 1.0), p), scale), x.dtype)
    return [dx] + [None] * (len(op.operands) - 1)


@composite(
    vjp=_cross_entropy_vjp,
    autocast="single",
    samples=each(
        of("f5x3", "i5<3"),
        of("f2x3x2", "i2x2<3", ignore_index=1, reduction="sum"),
        of("n5x3", "i5<3", "n3"),
    ),
)
def cross_entropy(b, x, target, weight=None, *, ignore_index=-100, reduction="mean"):
    """nll_loss of log_softmax over the classes (dimension 1, or 0 of a single sample)."""
    _check_classes(x, target, weight, "cross_entropy")
    y = b.log_softmax(x, dim=_class_axis(x))
    operands = (y, target) if weight is None else (y, target, weight)
    return b.nll_loss(*operands, ignore_index=ignore_index, reduction=reduction)


@composite(autocast="single", samples=of("f5x3", "i5<3", label_smoothing=0.1))
def cross_entropy_smooth(
    b, x, target, weight=None, *, ignore_index=-100, reduction="mean", label_smoothing=0.0
):  # fmt: skip
    """cross_entropy against targets mixed with the uniform distribution."""
    _check_classes(x, target, weight, "cross_entropy")
    target = _single(b, x, target)
    ax = _class_axis(x)
    logp = b.log_softmax(x, dim=ax)
    found, counts = _picked(b, logp, target, ignore_index)
    weights = _class_weights(b, weight, target, counts, logp.dtype)
    nll = b.neg(b.mul(masked(b, counts, found), weights))
    spread = logp if weight is None else b.mul(logp, _along(b, weight, x.rank, ax))
    smooth = masked(b, counts, b.neg(b.reduce(spread, "sum", (ax,))))
    share = (
        b.div(label_smoothing, size(b, x.shape[ax], x.dtype))
        if not isinstance(x.shape[ax], int)
        else (label_smoothing / x.shape[ax])
    )
    terms = b.add(b.mul(nll, 1.0 - label_smoothing), b.mul(smooth, share))
    return _weighted(b, terms, weights, reduction)


def _along(b: Builder, v: Value, rank: int, ax: int) -> Value:
    return b.reshape(v, [v.shape[0] if i == ax else 1 for i in range(rank)])


@composite(autocast="single", samples=of("f5x3", "p5x3"))
def cross_entropy_prob(b, x, target, weight=None, *, reduction="mean", label_smoothing=0.0):
    """cross_entropy against a distribution over the classes for each sample."""
    if not same_shape(x.shape, target.shape):
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{spelled(target.dtype)}"
            if target.dtype.kind not in "f"
            else f"The size of tensor a {shape_text(x.shape)} must match the size of tensor b "
            f"{shape_text(target.shape)}"
        )
    ax = _class_axis(x)
    n = x.shape[ax]
    if label_smoothing:
        share = (
            b.div(label_smoothing, size(b, n, x.dtype))
            if not isinstance(n, int)
            else label_smoothing / n
        )
        target = b.add(b.mul(target, 1.0 - label_smoothing), share)
    terms = b.mul(b.log_softmax(x, dim=ax), target)
    if weight is not None:
        terms = b.mul(terms, _along(b, weight, x.rank, ax))
    y = b.neg(b.reduce(terms, "sum", (ax,)))
    if reduction != "mean":
        return reduced(b, y, reduction)
    total = b.reduce(y, "sum", range(y.rank))
    samples = dims.product(y.shape)
    return b.div(total, size(b, samples, x.dtype))


# -- regression -----------------------------------------------------------------------------------
def _mse_vjp(b: Builder, op: Op, g: Value):
    x, y = op.operands[:2]
    d = b.sub(x, y)
    scale = 2.0
    if op.attrs["reduction"] == "mean":
        n = size(b, numel(d), d.dtype)
        scale = 2.0 / n if isinstance(n, int) and n else b.div(2.0, n)
    dx = b.mul(b.mul(g, scale), d)
    return [b.cast(b.sum_to(dx, x.shape), x.dtype), b.cast(b.sum_to(b.neg(dx), y.shape), y.dtype)]


@composite(
    vjp=_mse_vjp,
    autocast="single",
    samples=each(of("f3x4", "f3x4"), of("f3x4", "f3x4", reduction="none")),
)
def mse_loss(b, x, target, *, reduction="mean"):
    """(x - target) squared."""
    d = b.sub(x, target)
    return reduced(b, b.mul(d, d), reduction)


@composite(autocast="single", samples=of("f3x4", "f3x4"))
def l1_loss(b, x, target, *, reduction="mean"):
    """|x - target|."""
    return reduced(b, b.abs(b.sub(x, target)), reduction)


@composite(autocast="single", samples=of("f3x4", "f3x4", beta=0.5))
def smooth_l1_loss(b, x, target, *, reduction="mean", beta=1.0):
    """Quadratic below beta, linear above."""
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return b.l1_loss(x, target, reduction=reduction)
    d = b.sub(x, target)
    z = b.abs(d)
    small = b.div(b.mul(b.mul(d, d), 0.5), float(beta))
    return reduced(b, where(b, b.lt(z, beta), small, b.sub(z, 0.5 * beta)), reduction)


@composite(autocast="single", samples=of("f3x4", "f3x4", delta=0.5))
def huber_loss(b, x, target, *, reduction="mean", delta=1.0):
    """Half the square below delta, delta * (|d| - delta / 2) above."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    d = b.sub(x, target)
    z = b.abs(d)
    small = b.mul(b.mul(d, d), 0.5)
    return reduced(
        b, where(b, b.le(z, delta), small, b.mul(b.sub(z, 0.5 * delta), float(delta))), reduction
    )


@composite(autocast="single", samples=of("f3x4", "h3x4", full=True))
def poisson_nll_loss(b, x, target, *, log_input=True, full=False, eps=1e-08, reduction="mean"):
    """Minus the log-likelihood of a Poisson distribution, without or with Stirling's term."""
    if log_input:
        y = b.sub(b.exp(x), b.mul(target, x))
    else:
        y = b.sub(x, b.mul(target, b.log(b.add(x, eps))))
    if full:
        large = b.gt(target, 1)
        safe = where(b, large, target, 1)
        stirling = b.add(
            b.sub(b.mul(safe, b.log(safe)), safe), b.mul(b.log(b.mul(safe, 2 * math.pi)), 0.5)
        )
        y = b.add(y, masked(b, large, stirling))
    return reduced(b, y, reduction)


@composite(samples=of("f3x4", "f3x4", "p3x4"))
def gaussian_nll_loss(b, x, target, var, *, full=False, eps=1e-06, reduction="mean"):
    """Minus the log-likelihood of a normal distribution of given variance, at least eps."""
    v = b.add(var, b.detach(b.sub(b.clamp_min(var, eps), var)))
    d = b.sub(x, target)
    y = b.mul(b.add(b.log(v), b.div(b.mul(d, d), v)), 0.5)
    if full:
        y = b.add(y, 0.5 * math.log(2 * math.pi))
    return reduced(b, y, reduction)


# -- probabilities --------------------------------------------------------------------------------
@composite(autocast="single", samples=of("p3x4", "p3x4"))
def binary_cross_entropy(b, x, target, weight=None, *, reduction="mean"):
    """-(target * log(x) + (1 - target) * log(1 - x)), logarithms no lower than -100."""
    if not same_shape(x.shape, target.shape):
        raise ValueError(
            f"Using a target size (torch.Size({shape_text(target.shape)})) that is different to "
            "the input size "
            f"(torch.Size({shape_text(x.shape)})) is deprecated. Please ensure they have the same "
            "size."
        )
    y = b.bce_terms(x, target)
    if weight is not None:
        y = b.mul(y, weight)
    return reduced(b, y, reduction)


# The limit on the logarithms is not differentiated; the divisor is limited instead, as in PyTorch.
def _bce_terms_vjp(b: Builder, op: Op, g: Value):
    x, target = op.operands
    room = b.clamp_min(b.mul(b.sub(1.0, x), x), 1e-12)
    dt = b.mul(g, b.sub(b.clamp_min(b.log1p(b.neg(x)), -100.0), b.clamp_min(b.log(x), -100.0)))
    return [b.mul(g, b.div(b.sub(x, target), room)), dt]


@composite(vjp=_bce_terms_vjp, samples=of("p3x4", "p3x4"))
def bce_terms(b, x, target):
    """The elements of binary_cross_entropy."""
    log_x, log_rest = b.clamp_min(b.log(x), -100.0), b.clamp_min(b.log1p(b.neg(x)), -100.0)
    return b.sub(b.mul(b.sub(target, 1.0), log_rest), b.mul(target, log_x))


@composite(
    autocast="single",
    samples=each(of("f3x4", "p3x4"), of("f3x4", "p3x4", "h4", has_pos_weight=True)),
)
def bce_with_logits(b, x, target, *rest, has_weight=False, has_pos_weight=False, reduction="mean"):
    """binary_cross_entropy of sigmoid(x) without overflow. Further operands: weight, pos_weight."""
    if not same_shape(x.shape, target.shape):
        raise ValueError(
            f"Target size (torch.Size({shape_text(target.shape)})) must be the same as input size "
            f"(torch.Size({shape_text(x.shape)}))"
        )
    weight = rest[0] if has_weight else None
    log_sigmoid = b.logsigmoid(x)
    if has_pos_weight:
        factor = b.add(b.mul(b.sub(rest[-1], 1), target), 1)
        y = b.sub(b.mul(b.sub(1, target), x), b.mul(factor, log_sigmoid))
    else:
        y = b.sub(b.mul(b.sub(1, target), x), log_sigmoid)
    if weight is not None:
        y = b.mul(y, weight)
    return reduced(b, y, reduction)


@composite(autocast="single", samples=of("f3x4", "p3x4", reduction="batchmean"))
def kl_div(b, x, target, *, reduction="mean", log_target=False):
    """target * (log(target) - x), 0 where target is."""
    if log_target:
        y = b.mul(b.exp(target), b.sub(target, x))
    else:
        y = b.sub(b.xlogy(target, target), b.mul(target, x))
    if reduction == "batchmean":
        total = reduced(b, y, "sum")
        return b.div(total, size(b, x.shape[0], total.dtype)) if x.rank else total
    return reduced(b, y, reduction)


@composite(autocast="single", samples=of("f3x4", "s3x4"))
def soft_margin_loss(b, x, target, *, reduction="mean"):
    """log(1 + exp(-target * x))."""
    return reduced(b, b.log1p(b.exp(b.neg(b.mul(target, x)))), reduction)


@composite(autocast="single", samples=of("f3x4", "s3x4"))
def hinge_embedding_loss(b, x, target, *, margin=1.0, reduction="mean"):
    """x where target is 1, max(0, margin - x) where it is -1."""
    hinge = masked(b, b.ne(target, 1), b.clamp_min(b.sub(margin, x), 0))
    return reduced(b, b.add(hinge, masked(b, b.ne(target, -1), x)), reduction)


@composite(autocast="single", samples=of("f4", "f4", "s4"))
def margin_ranking_loss(b, x1, x2, target, *, margin=0.0, reduction="mean"):
    """max(0, -target * (x1 - x2) + margin)."""
    d = b.add(b.mul(b.neg(target), b.sub(x1, x2)), margin)
    return reduced(b, b.clamp_min(d, 0), reduction)


@composite(samples=of("f3x4", "f3x4"))
def cosine_similarity(b, x1, x2, *, dim=1, eps=1e-08):
    """The cosine of the angle between vectors along `dim`, their lengths at least eps."""
    from ..promote import common

    work = common(x1.dtype, x2.dtype)
    if work.kind not in "fc":
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {spelled(work)}"
        )
    # vectors that broadcasting lengthens along `dim` count with their new length
    x1, x2 = (wide(b, x) for x in shared(b, (x1, x2), work))

    def unit(x):
        # the limit keeps gradients of short vectors from exploding but passes them on
        n = b.vector_norm(x, dim=(dim,), keepdim=True)
        return b.div(x, b.add(n, b.detach(b.sub(b.clamp_min(n, eps), n))))

    return b.cast(b.sum(b.mul(unit(x1), unit(x2)), dim=(dim,)), work)


@composite(autocast="single", samples=of("f3x4", "f3x4", "s3"))
def cosine_embedding_loss(b, x1, x2, target, *, margin=0.0, reduction="mean"):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""
    tiny = 1e-12
    ax = x1.rank - 1 if x1.rank else 0
    product = b.sum(b.mul(x1, x2), dim=(ax,))
    n1 = b.add(b.sum(b.mul(x1, x1), dim=(ax,)), tiny)
    n2 = b.add(b.sum(b.mul(x2, x2), dim=(ax,)), tiny)
    cos = b.div(product, b.sqrt(b.mul(n1, n2)))
    near = masked(b, b.eq(target, 1), b.sub(1.0, cos))
    far = masked(b, b.eq(target, -1), b.clamp_min(b.sub(cos, margin), 0))
    return reduced(b, b.add(near, far), reduction)


@composite(samples=of("f3x4", "f3x4"))
def pairwise_distance(b, x1, x2, *, p=2.0, eps=1e-06, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension."""
    d = b.add(b.sub(x1, x2), eps)
    return b.vector_norm(d, ord=float(p), dim=(d.rank - 1,), keepdim=keepdim)


@composite(autocast="single", samples=of("f3x4", "f3x4", "f3x4"))
def triplet_margin_loss(
    b, anchor, positive, negative, *, margin=1.0, p=2.0, eps=1e-06, swap=False, reduction="mean"
):
    """max(0, distance to the positive - distance to the negative + margin)."""
    near = b.pairwise_distance(anchor, positive, p=p, eps=eps)
    far = b.pairwise_distance(anchor, negative, p=p, eps=eps)
    if swap:
        far = b.minimum(far, b.pairwise_distance(positive, negative, p=p, eps=eps))
    return reduced(b, b.clamp_min(b.add(b.sub(near, far), margin), 0), reduction)


# -- several labels -------------------------------------------------------------------------------
@composite(autocast="single", samples=of("f3x4", "i3<4"))
def multi_margin_loss(b, x, target, weight=None, *, p=1, margin=1.0, reduction="mean"):
    """The mean over wrong classes of max(0, margin - x[target] + x[i]) ** p."""
    if p not in (1, 2):
        raise RuntimeError("only p == 1 and p == 2 supported")
    rows = x if x.rank == 2 else b.reshape(x, (1, numel(x)))
    n, c = rows.shape
    t = b.reshape(target, (n, 1))
    own = gather_positions(b, rows, t, 1)
    z = b.clamp_min(b.add(b.sub(rows, own), margin), 0)
    z = b.mul(z, z) if p == 2 else z
    if weight is not None:
        z = b.mul(z, b.emit1("gather", weight, b.cast(t, dtypes.i64), axes=(0,)))
    hit = one_hot_mask(b, t, 2, 1, c)
    y = b.div(b.reduce(masked(b, b.logical_not(hit), z), "sum", (1,)), size(b, c, x.dtype))
    if x.rank < 2:
        return b.reshape(y, ()) if reduction == "none" else reduced(b, y, reduction)
    return reduced(b, y, reduction)


@composite(autocast="single", samples=of("f2x4", lambda: np.array([[3, 0, -1, 1], [1, -1, 0, 2]])))
def multilabel_margin_loss(b, x, target, *, reduction="mean"):
    """The hinge between every labelled and every other class; labels end at the first -1."""
    if not same_shape(x.shape, target.shape):
        raise RuntimeError(
            f"inconsistent target size: {shape_text(target.shape)} for input of size: "
            f"{shape_text(x.shape)}"
        )
    rows = x if x.rank == 2 else b.reshape(x, (1, numel(x)))
    t = b.reshape(target, rows.shape)
    n, c = rows.shape
    ended = b.emit1("scan", b.cast(b.lt(t, 0), dtypes.i64), kind="sum", axis=1)
    valid = b.eq(ended, 0)
    safe = where(b, valid, b.cast(t, dtypes.i64), 0)
    # [n, label, class]
    hit = b.logical_and(b.eq(unsqueeze(b, safe, 2), iota_along(b, 3, 2, c)), unsqueeze(b, valid, 2))
    labelled = b.reduce(hit, "any", (1,))
    own = gather_positions(b, rows, safe, 1)
    z = b.clamp_min(b.add(b.sub(1.0, unsqueeze(b, own, 2)), unsqueeze(b, rows, 1)), 0)
    keep = b.logical_and(unsqueeze(b, valid, 2), b.logical_not(unsqueeze(b, labelled, 1)))
    y = b.div(b.reduce(masked(b, keep, z), "sum", (1, 2)), size(b, c, x.dtype))
    if x.rank < 2:
        return b.reshape(y, ())
    return reduced(b, y, reduction)


@composite(samples=of("f3x4", "p3x4"))
def multilabel_soft_margin_loss(b, x, target, weight=None, *, reduction="mean"):
    """The mean over classes of the binary cross entropy of sigmoid(x)."""
    y = b.neg(
        b.add(b.mul(target, b.logsigmoid(x)), b.mul(b.sub(1, target), b.logsigmoid(b.neg(x))))
    )
    if weight is not None:
        y = b.mul(y, weight)
    return reduced(b, b.mean(y, dim=(x.rank - 1,)), reduction)


# -- sequences ------------------------------------------------------------------------------------
@composite(
    autocast="single",
    samples=of(
        lambda: np.log(rng().dirichlet(np.ones(4), (5, 2))),
        lambda: np.array([[1, 2], [3, 1]]),
        lambda: np.array([5, 4]),
        lambda: np.array([2, 1]),
    ),
)
def ctc_loss(
    b,
    logp,
    targets,
    input_lengths,
    target_lengths,
    *,
    blank=0,
    zero_infinity=False,
    reduction="mean",
):
    """Minus the log-probability of the target sequences over all alignments with blanks.

    logp is [time, batch, classes] and targets [batch, longest]. The forward recursion runs over the
    extended targets (blanks between labels); its derivative is the backward recursion.
    """
    batch, time = logp.shape[1], fixed(logp.shape[0])
    longest = targets.shape[1]
    states = 2 * longest + 1
    s = iota_along(b, 2, 1, states)
    odd = b.eq(b.fmod(s, 2), 1)
    last = size(b, dims.maximum(longest - 1, 0))
    labels = b.minimum(b.idiv(s, b.full(2, dtypes.i64, s.shape)), last)
    labels = b.broadcast_to(labels, (batch, states))
    if not dims.same(longest, 0):
        labels = gather_positions(b, b.cast(targets, dtypes.i64), labels, 1)
    inside = b.le(s, b.mul(unsqueeze(b, b.cast(target_lengths, dtypes.i64), 1), 2))
    classes_at = where(b, b.logical_and(odd, inside), labels, blank)
    emit = [_emission(b, logp, classes_at, t) for t in range(time)]
    low = -1e30 if logp.dtype.code != "f16" else -6e4
    previous = _moved(b, classes_at, 2, -1)
    skip = b.logical_and(odd, b.logical_and(b.ne(classes_at, previous), b.ge(s, 2)))
    state = where(b, b.logical_and(b.lt(s, 2), inside), emit[0], low)
    history = [state]
    for t in range(1, time):
        one = _moved(b, state, 1, low)
        two = where(b, skip, _moved(b, state, 2, low), low)
        state = where(b, inside, b.add(_log_add3(b, state, one, two), emit[t]), low)
        history.append(state)
    every = b.emit1("concat", *(unsqueeze(b, h, 0) for h in history), axis=0)
    last = b.reshape(b.sub(b.cast(input_lengths, dtypes.i64), 1), (1, batch, 1))
    final = b.reshape(gather_positions(b, every, b.maximum(last, 0), 0), (batch, states))
    end = b.mul(unsqueeze(b, b.cast(target_lengths, dtypes.i64), 1), 2)
    at_end = gather_positions(b, final, end, 1)
    before = where(b, b.gt(end, 0), gather_positions(b, final, b.maximum(b.sub(end, 1), 0), 1), low)
    y = b.neg(b.reshape(b.logaddexp(at_end, before), (batch,)))
    impossible = b.gt(y, -low / 2)
    y = where(b, impossible, 0.0 if zero_infinity else float("inf"), y)
    if reduction != "mean":
        return reduced(b, y, reduction)
    lengths = b.cast(b.maximum(target_lengths, 1), y.dtype)
    return reduced(b, b.div(y, lengths), "mean")


def _emission(b: Builder, logp: Value, classes_at: Value, t: int) -> Value:
    row = b.reshape(take(b, logp, 0, t, t + 1), logp.shape[1:])
    return gather_positions(b, row, classes_at, 1)


def _moved(b: Builder, x: Value, by: int, fill) -> Value:
    """x shifted right along its last axis."""
    return b.emit1("pad", x, b.const(fill, x.dtype), low=(0, by), high=(0, -by), interior=(0, 0))


def _log_add3(b: Builder, x: Value, y: Value, z: Value) -> Value:
    top = b.detach(b.maximum(b.maximum(x, y), z))
    total = b.add(b.add(b.exp(b.sub(x, top)), b.exp(b.sub(y, top))), b.exp(b.sub(z, top)))
    return b.add(b.log(total), top)
