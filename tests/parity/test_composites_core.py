"""The composites that training uses, against PyTorch: values and gradients in double precision."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from tests.parity.composites import Case, check  # noqa: E402

rng = np.random.default_rng(0)


def x(*shape, low=-2.0, high=2.0):
    return rng.uniform(low, high, shape)


def i(*shape, high=3):
    return rng.integers(0, high, shape)


def ties(*shape):
    """Small whole numbers: equal elements are common."""
    return rng.integers(-2, 3, shape).astype(np.float64)


def sane(*shape):
    return x(*shape, low=0.1, high=0.9)


ACTIVATIONS = [
    Case("relu", torch.relu, (ties(3, 4),)),
    Case("relu6", F.relu6, (x(3, 4) * 5,)),
    Case(
        "hardtanh",
        lambda t: F.hardtanh(t, -0.5, 0.75),
        (x(3, 4),),
        {"min_val": -0.5, "max_val": 0.75},
    ),
    Case("sigmoid", torch.sigmoid, (x(3, 4) * 10,)),
    Case("silu", F.silu, (x(3, 4),)),
    Case("gelu", F.gelu, (x(3, 4),)),
    Case("gelu", lambda t: F.gelu(t, approximate="tanh"), (x(3, 4),), {"approximate": "tanh"}),
    Case("leaky_relu", lambda t: F.leaky_relu(t, 0.2), (ties(3, 4),), {"negative_slope": 0.2}),
    Case("elu", lambda t: F.elu(t, 1.5), (ties(3, 4),), {"alpha": 1.5}),
    Case("celu", lambda t: F.celu(t, 1.5), (x(3, 4),), {"alpha": 1.5}),
    Case("selu", F.selu, (x(3, 4),)),
    Case("prelu", F.prelu, (x(2, 3, 4), x(3))),
    Case("hardsigmoid", F.hardsigmoid, (x(3, 4) * 3,), tolerance=1e-7),
    Case("hardswish", F.hardswish, (x(3, 4) * 3,)),
    Case("hardshrink", lambda t: F.hardshrink(t, 0.5), (x(3, 4),)),
    Case("softshrink", lambda t: F.softshrink(t, 0.5), (x(3, 4),)),
    Case(
        "softplus",
        lambda t: F.softplus(t, 2.0, 3.0),
        (x(3, 4) * 2,),
        {"beta": 2.0, "threshold": 3.0},
    ),
    Case("softsign", F.softsign, (x(3, 4),)),
    Case("mish", F.mish, (x(3, 4),)),
    Case("logsigmoid", F.logsigmoid, (x(3, 4) * 10,)),
    Case("tanhshrink", F.tanhshrink, (x(3, 4),)),
    Case("glu", lambda t: F.glu(t, 1), (x(3, 4),), {"dim": 1}),
    Case(
        "threshold",
        lambda t: F.threshold(t, 0.1, 7.0),
        (x(3, 4),),
        {"threshold": 0.1, "value": 7.0},
    ),
    Case("clamp", lambda t, *_: t.clamp(-1, 1), (ties(3, 4), -1.0, 1.0)),
    Case("clamp", torch.clamp, (x(3, 4), x(4), x(3, 1))),
    Case("clamp_min", lambda t, *_: t.clamp_min(0), (ties(3, 4), 0)),
    Case("clamp_max", lambda t, *_: t.clamp_max(0), (ties(3, 4), 0)),
]

REDUCTIONS = [
    Case("softmax", lambda t: t.softmax(1), (x(3, 4) * 50,), {"dim": 1}),
    Case("softmax", lambda t: t.softmax(-2), (x(2, 3, 4),), {"dim": -2}),
    Case("log_softmax", lambda t: t.log_softmax(-1), (x(3, 4) * 50,), {"dim": -1}),
    Case("logsumexp", lambda t: t.logsumexp((0, 2)), (x(2, 3, 4),), {"dim": (0, 2)}),
    Case("sum", lambda t: t.sum((0, 2)), (x(2, 3, 4),), {"dim": (0, 2)}),
    Case("sum", torch.sum, (i(3, 4),), grad=False),
    Case("mean", lambda t: t.mean(1, keepdim=True), (x(2, 3, 4),), {"dim": 1, "keepdim": True}),
    Case("prod", lambda t: t.prod(1), (ties(5, 4),), {"dim": 1}),
    Case("var", lambda t: t.var((0, 2)), (x(2, 3, 4),), {"dim": (0, 2)}),
    Case("std", lambda t: t.std(1, correction=0), (x(3, 4),), {"dim": 1, "correction": 0}),
    Case("std", lambda t: t.std(1), (np.ones((2, 4)),), {"dim": 1}),
    Case("var_mean", lambda t: torch.var_mean(t, 1), (x(3, 4),), {"dim": 1}),
    Case("amax", lambda t: t.amax((0, 2)), (ties(2, 3, 4),), {"dim": (0, 2)}),
    Case("amin", lambda t: t.amin(1), (ties(3, 4),), {"dim": 1}),
    Case("max_all", torch.max, (ties(3, 4),)),
    Case("max_dim", lambda t: t.max(1), (x(3, 4),), {"dim": 1}),
    Case("min_dim", lambda t: t.min(0, keepdim=True), (x(3, 4),), {"dim": 0, "keepdim": True}),
    Case("argmax", lambda t: t.argmax(1), (x(3, 4),), {"dim": 1}, grad=False),
    Case("argmin", torch.argmin, (x(3, 4),), grad=False),
    Case("nansum", lambda t: t.nansum(1), (np.where(x(3, 4) > 1, np.nan, x(3, 4)),), {"dim": 1}),
    Case("all", lambda t: t.all(1), (i(3, 4),), {"dim": 1}, grad=False),
    Case("any", torch.any, (i(3, 4),), grad=False),
    Case("count_nonzero", lambda t: t.count_nonzero(0), (i(3, 4),), {"dim": 0}, grad=False),
    *[
        Case(
            "vector_norm",
            lambda t, p=p: torch.linalg.vector_norm(t, p, 1),
            (x(3, 4),),
            {"ord": p, "dim": 1},
        )
        for p in (0.0, 0.5, 1.0, 2.0, 3.5, float("inf"), float("-inf"))
    ],
    Case("vector_norm", torch.linalg.vector_norm, (np.zeros((2, 3)),)),
    Case("median", torch.median, (x(3, 5),)),
    Case("median_dim", lambda t: t.median(1), (x(3, 4),), {"dim": 1}),
    Case("kthvalue", lambda t: t.kthvalue(2, 1), (x(3, 4),), {"k": 2, "dim": 1}),
    Case(
        "quantile",
        lambda t, q: t.quantile(q, 1),
        (x(3, 5), np.array([0.1, 0.5, 0.8])),
        {"dim": 1},
        grad=False,
    ),
    Case("cumsum", lambda t: t.cumsum(1), (x(3, 4),), {"dim": 1}),
    Case("cumprod", lambda t: t.cumprod(1), (ties(3, 4),), {"dim": 1}),
    Case("cummax", lambda t: t.cummax(1), (ties(3, 5),), {"dim": 1}),
    Case("logcumsumexp", lambda t: t.logcumsumexp(1), (x(3, 4),), {"dim": 1}),
    Case(
        "sort_dim", lambda t: t.sort(1, descending=True), (x(3, 4),), {"dim": 1, "descending": True}
    ),
    Case("topk", lambda t: t.topk(2, 1), (x(3, 4),), {"k": 2, "dim": 1}),
]

PRODUCTS = [
    *[
        Case("matmul", torch.matmul, (x(*a), x(*c)))
        for a, c in (
            ((4,), (4,)),
            ((3, 4), (4,)),
            ((4,), (4, 5)),
            ((3, 4), (4, 5)),
            ((2, 3, 4), (4, 5)),
            ((2, 3, 4), (2, 4, 5)),
            ((6, 1, 3, 4), (2, 4, 5)),
            ((4,), (2, 4, 5)),
            ((2, 3, 4), (4,)),
        )
    ],
    Case("linear", F.linear, (x(2, 3, 4), x(5, 4), x(5))),
    Case("linear", F.linear, (x(4), x(5, 4))),
    Case(
        "addmm",
        lambda c, a, b: torch.addmm(c, a, b, beta=0.5, alpha=2),
        (x(5), x(3, 4), x(4, 5)),
        {"beta": 0.5, "alpha": 2},
    ),
    Case("baddbmm", torch.baddbmm, (x(3, 5), x(2, 3, 4), x(2, 4, 5))),
    Case("bilinear", F.bilinear, (x(2, 3), x(2, 4), x(5, 3, 4), x(5))),
    Case(
        "einsum",
        lambda a, b: torch.einsum("bij,bjk->bik", a, b),
        (x(2, 3, 4), x(2, 4, 5)),
        {"equation": "bij,bjk->bik"},
    ),
    Case(
        "einsum",
        lambda a: torch.einsum("ii->i", a),
        (x(3, 3),),
        {"equation": "ii->i"},
        symbolic=False,
    ),
    Case(
        "einsum", lambda a, b: torch.einsum("...i,i", a, b), (x(2, 3), x(3)), {"equation": "...i,i"}
    ),
    Case(
        "tensordot",
        lambda a, b: torch.tensordot(a, b, ([1, 0], [0, 1])),
        (x(2, 3, 4), x(3, 2, 5)),
        {"dims_self": (1, 0), "dims_other": (0, 1)},
    ),
    Case("kron", torch.kron, (x(2, 3), x(3, 2))),
    Case("cdist", torch.cdist, (x(2, 3, 4), x(2, 5, 4))),
]

CONVOLUTIONS = [
    Case(
        "conv2d",
        lambda a, w, c: F.conv2d(a, w, c, 2, 1),
        (x(2, 3, 7, 6), x(4, 3, 3, 3), x(4)),
        {"stride": (2, 2), "padding": (1, 1)},
    ),
    Case(
        "conv2d",
        lambda a, w: F.conv2d(a, w, groups=2, dilation=2),
        (x(2, 4, 7, 7), x(6, 2, 2, 2)),
        {"dilation": (2, 2), "groups": 2},
        symbolic=False,
    ),
    Case(
        "conv2d",
        lambda a, w: F.conv2d(a, w, padding="same"),
        (x(1, 2, 5, 5), x(3, 2, 4, 3)),
        {"padding": "same"},
        symbolic=False,
    ),
    Case("conv1d", F.conv1d, (x(3, 8), x(4, 3, 3)), symbolic=False),
    Case(
        "conv_transpose2d",
        lambda a, w, c: F.conv_transpose2d(a, w, c, 2, 1, 1),
        (x(2, 3, 4, 4), x(3, 5, 3, 3), x(5)),
        {"stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1)},
        symbolic=False,
    ),
    Case(
        "im2col",
        lambda a: F.unfold(a, (2, 3), 1, 1, 2),
        (x(2, 3, 6, 7),),
        {"kernel_size": (2, 3), "dilation": (1, 1), "padding": (1, 1), "stride": (2, 2)},
        symbolic=False,
    ),
    Case(
        "col2im",
        lambda a: F.fold(a, (4, 5), (2, 2), 1, 0, 1),
        (x(2, 12, 12),),
        {
            "output_size": (4, 5),
            "kernel_size": (2, 2),
            "dilation": (1, 1),
            "padding": (0, 0),
            "stride": (1, 1),
        },
        symbolic=False,
    ),
]


def pool(name, n, data, oracle=None, symbolic=True, **attrs):
    pairs = {
        k: (v,) * n
        if isinstance(v, int) and not isinstance(v, bool) and k != "divisor_override"
        else v
        for k, v in attrs.items()
    }
    return Case(
        name, oracle or (lambda t: getattr(F, name)(t, **attrs)), (data,), pairs, symbolic=symbolic
    )


POOLING = [
    pool("max_pool2d", 2, ties(2, 3, 6, 8), kernel_size=2, stride=2),
    pool("max_pool2d", 2, ties(2, 3, 7, 8), kernel_size=3, stride=2, padding=1, symbolic=False),
    pool(
        "max_pool2d", 2, ties(2, 3, 7, 9), kernel_size=2, stride=2, ceil_mode=True, symbolic=False
    ),
    pool("max_pool2d", 2, ties(2, 3, 7, 9), kernel_size=2, stride=1, dilation=2, symbolic=False),
    pool("max_pool1d", 1, ties(2, 3, 9), kernel_size=3, stride=3),
    pool("max_pool3d", 3, ties(1, 2, 4, 4, 4), kernel_size=2, stride=2, symbolic=False),
    Case(
        "max_pool2d_with_indices",
        lambda t: F.max_pool2d(t, 3, 2, 1, return_indices=True),
        (ties(2, 3, 7, 8),),
        {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)},
        symbolic=False,
    ),
    Case(
        "max_pool2d_with_indices",
        lambda t: F.max_pool2d(t, 2, return_indices=True),
        (ties(2, 3, 6, 8),),
        {"kernel_size": (2, 2), "stride": (2, 2)},
    ),
    pool("avg_pool2d", 2, x(2, 3, 6, 8), kernel_size=2, stride=2),
    pool("avg_pool2d", 2, x(2, 3, 7, 8), kernel_size=3, stride=2, padding=1, symbolic=False),
    pool(
        "avg_pool2d",
        2,
        x(2, 3, 7, 8),
        kernel_size=3,
        stride=2,
        padding=1,
        count_include_pad=False,
        ceil_mode=True,
        symbolic=False,
    ),
    Case(
        "adaptive_avg_pool2d",
        lambda t: F.adaptive_avg_pool2d(t, 1),
        (x(2, 3, 6, 8),),
        {"output_size": (1, 1)},
    ),
    Case(
        "adaptive_avg_pool2d",
        lambda t: F.adaptive_avg_pool2d(t, (3, 5)),
        (x(2, 3, 7, 8),),
        {"output_size": (3, 5)},
    ),
    Case(
        "adaptive_max_pool2d",
        lambda t: F.adaptive_max_pool2d(t, (3, 5), True),
        (x(2, 3, 7, 8),),
        {"output_size": (3, 5)},
        symbolic=False,
    ),
]

NORMALISATION = [
    Case(
        "layer_norm",
        lambda t, w, c: F.layer_norm(t, (4,), w, c),
        (x(2, 3, 4), x(4), x(4)),
        {"normalized_shape": (4,)},
    ),
    Case(
        "layer_norm", lambda t: F.layer_norm(t, (3, 4)), (x(2, 3, 4),), {"normalized_shape": (3, 4)}
    ),
    Case(
        "rms_norm",
        lambda t, w: F.rms_norm(t, (4,), w, 1e-6),
        (x(2, 3, 4), x(4)),
        {"normalized_shape": (4,), "eps": 1e-6},
    ),
    Case(
        "group_norm",
        lambda t, w, c: F.group_norm(t, 2, w, c),
        (x(3, 4, 5), x(4), x(4)),
        {"num_groups": 2},
    ),
    Case(
        "batch_norm_eval",
        lambda t, m, v, w, c: F.batch_norm(t, m.detach(), v.detach(), w, c),
        (x(3, 4, 5), x(4), sane(4), x(4), x(4)),
        {"eps": 1e-5},
        grad=False,
    ),
    Case(
        "batch_norm_train",
        lambda t, w, c: F.batch_norm(t, None, None, w, c, True),
        (x(3, 4, 5), x(4), x(4)),
        {"affine": True, "eps": 1e-5},
    ),
    Case("local_response_norm", lambda t: F.local_response_norm(t, 3), (x(2, 5, 4),), {"size": 3}),
    Case("normalize", lambda t: F.normalize(t, dim=1), (x(3, 4),), {"dim": 1}),
]

LOSSES = [
    Case("cross_entropy", F.cross_entropy, (x(5, 3), i(5))),
    Case(
        "cross_entropy",
        lambda t, c, w: F.cross_entropy(t, c, w, ignore_index=1),
        (x(5, 3, 4), i(5, 4), sane(3)),
        {"ignore_index": 1},
        grad=False,
    ),
    Case(
        "cross_entropy",
        lambda t, c: F.cross_entropy(t, c, ignore_index=1, reduction="sum"),
        (x(5, 3, 4), i(5, 4)),
        {"ignore_index": 1, "reduction": "sum"},
    ),
    Case(
        "cross_entropy",
        lambda t, c: F.cross_entropy(t, c, reduction="none"),
        (x(5, 3), i(5)),
        {"reduction": "none"},
    ),
    Case(
        "cross_entropy_smooth",
        lambda t, c: F.cross_entropy(t, c, label_smoothing=0.1),
        (x(5, 3), i(5)),
        {"label_smoothing": 0.1},
    ),
    Case("cross_entropy_prob", F.cross_entropy, (x(5, 3), sane(5, 3))),
    Case("nll_loss", F.nll_loss, (x(5, 3), i(5))),
    Case("mse_loss", F.mse_loss, (x(3, 4), x(3, 4))),
    Case("l1_loss", F.l1_loss, (x(3, 4), x(3, 4))),
    Case(
        "smooth_l1_loss",
        lambda a, c: F.smooth_l1_loss(a, c, beta=0.5),
        (x(3, 4), x(3, 4)),
        {"beta": 0.5},
    ),
    Case(
        "huber_loss", lambda a, c: F.huber_loss(a, c, delta=0.5), (x(3, 4), x(3, 4)), {"delta": 0.5}
    ),
    Case("binary_cross_entropy", F.binary_cross_entropy, (sane(3, 4), sane(3, 4))),
    Case("bce_with_logits", F.binary_cross_entropy_with_logits, (x(3, 4), sane(3, 4))),
    Case(
        "kl_div",
        lambda a, c: F.kl_div(a, c, reduction="batchmean"),
        (x(3, 4), sane(3, 4)),
        {"reduction": "batchmean"},
    ),
    Case("cosine_similarity", F.cosine_similarity, (x(3, 4), x(3, 4))),
]

INDEXING = [
    Case("embedding", lambda w, k: F.embedding(k, w), (x(5, 3), i(2, 4, high=5))),
    Case(
        "embedding",
        lambda w, k: F.embedding(k, w, padding_idx=1),
        (x(5, 3), i(2, 4, high=5)),
        {"padding_idx": 1},
    ),
    Case("gather_along", lambda t, k: t.gather(1, k), (x(3, 4), i(3, 2)), {"dim": 1}),
    Case(
        "scatter_along",
        lambda t, k, s: t.scatter(1, k, s),
        (x(3, 4), np.array([[0, 2], [1, 3], [3, 0]]), x(3, 2)),
        {"dim": 1},
    ),
    Case(
        "scatter_add",
        lambda t, k, s: t.scatter_add(0, k, s),
        (x(3, 4), i(5, 4), x(5, 4)),
        {"dim": 0},
    ),
    Case("index_select", lambda t, k: t.index_select(1, k), (x(3, 4, 2), i(5, high=4)), {"dim": 1}),
    Case(
        "index_add",
        lambda t, k, s: t.index_add(0, k, s, alpha=2),
        (x(3, 4), i(5), x(5, 4)),
        {"dim": 0, "alpha": 2},
    ),
    Case(
        "index",
        lambda t, a, c: t[:, a, :, c],
        (x(2, 3, 4, 5), i(6), i(6, high=5)),
        {"axes": (1, 3)},
    ),
    Case(
        "index", lambda t, a, c: t[:, a, c], (x(2, 3, 4, 5), i(6), i(6, high=4)), {"axes": (1, 2)}
    ),
    Case("where", torch.where, (x(3, 4) > 0, x(3, 4), x(4))),
    Case("masked_fill", lambda t, m, _: t.masked_fill(m, 2.5), (x(3, 4), x(3, 4) > 0, 2.5)),
    Case(
        "take_along_dim", lambda t, k: torch.take_along_dim(t, k, 1), (x(3, 4), i(3, 2)), {"dim": 1}
    ),
    Case("tril", lambda t: t.tril(-1), (x(3, 4),), {"diagonal": -1}),
    Case(
        "diag_embed",
        lambda t: torch.diag_embed(t, -1, 0, 2),
        (x(3, 4),),
        {"offset": -1, "dim1": 0, "dim2": 2},
    ),
    Case("one_hot", lambda k: F.one_hot(k, 4), (i(3, 2),), {"num_classes": 4}, grad=False),
    Case("searchsorted", torch.searchsorted, (np.sort(x(8)), x(3, 4)), grad=False),
    Case("cat", lambda a, c: torch.cat([a, c], 1), (x(3, 2), x(3, 4)), {"dim": 1}),
    Case("stack", lambda a, c: torch.stack([a, c], -1), (x(3, 4), x(3, 4)), {"dim": -1}),
    Case("flip", lambda t: t.flip(0, 2), (x(2, 3, 4),), {"dims": (0, 2)}),
    Case(
        "roll",
        lambda t: t.roll((1, -2), (0, 1)),
        (x(3, 4),),
        {"shifts": (1, -2), "dims": (0, 1)},
        symbolic=False,
    ),
    Case("repeat", lambda t: t.repeat(2, 1, 3), (x(3, 4),), {"sizes": (2, 1, 3)}),
    Case("repeat_each", lambda t: t.repeat_interleave(3, 0), (x(3, 4),), {"repeats": 3, "dim": 0}),
    Case(
        "constant_pad_nd",
        lambda t: F.pad(t, (1, -1, 2, 0), value=3.0),
        (x(3, 4),),
        {"pad": (1, -1, 2, 0), "value": 3.0},
    ),
    Case(
        "pad_mode",
        lambda t: F.pad(t, (1, 2), "reflect"),
        (x(2, 3, 5),),
        {"pad": (1, 2), "mode": "reflect"},
    ),
    Case("pixel_shuffle", lambda t: F.pixel_shuffle(t, 2), (x(1, 8, 3, 4),), {"upscale_factor": 2}),
]

ATTENTION = [
    Case(
        "scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        (x(2, 3, 4, 5), x(2, 3, 6, 5), x(2, 3, 6, 7)),
    ),
    Case(
        "scaled_dot_product_attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        (x(2, 4, 5), x(2, 4, 5), x(2, 4, 5)),
        {"is_causal": True},
    ),
    Case(
        "scaled_dot_product_attention",
        F.scaled_dot_product_attention,
        (x(2, 4, 5), x(2, 6, 5), x(2, 6, 5), x(4, 6) > -1),
    ),
]

ELEMENTWISE = [
    Case("lerp", torch.lerp, (x(3, 4), x(3, 4), x(3, 4))),
    Case(
        "addcmul",
        lambda a, c, d, _: torch.addcmul(a, c, d, value=0.5),
        (x(3, 4), x(3, 4), x(4), 0.5),
    ),
    Case(
        "addcdiv",
        lambda a, c, d, _: torch.addcdiv(a, c, d, value=0.5),
        (x(3, 4), x(3, 4), sane(4), 0.5),
    ),
    Case("xlogy", torch.xlogy, (ties(3, 4), sane(3, 4))),
    Case("logaddexp", torch.logaddexp, (x(3, 4) * 20, x(3, 4) * 20)),
    Case("logit", lambda t: torch.logit(t, 0.2), (sane(3, 4),), {"eps": 0.2}),
    Case("sinc", torch.sinc, (ties(3, 4),)),
    Case("nan_to_num", torch.nan_to_num, (np.array([1.0, np.nan, np.inf, -np.inf]),)),
]


def case_id(case):
    return str(case)


EVERY = [
    *ACTIVATIONS,
    *REDUCTIONS,
    *PRODUCTS,
    *CONVOLUTIONS,
    *POOLING,
    *NORMALISATION,
    *LOSSES,
    *INDEXING,
    *ATTENTION,
    *ELEMENTWISE,
]


@pytest.mark.parametrize("case", EVERY, ids=case_id)
def test_values_and_gradients(case):
    check(case)
