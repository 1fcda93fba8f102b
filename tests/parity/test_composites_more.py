"""Further composites against PyTorch: images, losses, scattering, matrices, optimizer steps."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from tests.parity.composites import Case, build, check, type_of  # noqa: E402
from tracec_ir import interp  # noqa: E402

rng = np.random.default_rng(1)


def x(*shape, low=-2.0, high=2.0):
    return rng.uniform(low, high, shape)


def i(*shape, high=3):
    return rng.integers(0, high, shape)


def signs(*shape):
    return rng.choice([-1.0, 1.0], shape)


def spd(n):
    a = x(2, n, n)
    return a @ a.swapaxes(1, 2) + np.eye(n)


def resized(mode, size, ours, symbolic=True, align=None, **data):
    attrs = {"size": size, "mode": ours, "align_corners": bool(align)}
    image = x(2, 3, *(5, 7, 4)[: len(size)])
    oracle = lambda t: F.interpolate(t, size, mode=mode, align_corners=align)  # noqa: E731
    return Case("interpolate", oracle, (image,), attrs, symbolic=symbolic, tolerance=1e-5)


IMAGES = [
    resized("nearest", (8, 3), "nearest"),
    resized("nearest-exact", (8, 3), "nearest-exact"),
    resized("bilinear", (8, 3), "linear", align=False),
    resized("bilinear", (8, 3), "linear", align=True),
    resized("bicubic", (8, 3), "cubic", align=False),
    resized("trilinear", (3, 9, 6), "linear", align=False),
    *[
        Case(
            "grid_sample",
            lambda t, g, m=mode, p=padding: F.grid_sample(t, g, m, p, False),
            (x(2, 3, 5, 6), x(2, 4, 3, 2, low=-1.3, high=1.3)),
            {"mode": mode, "padding_mode": padding},
            symbolic=False,
            tolerance=1e-8,
        )
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
    ],
    Case(
        "lp_pool",
        lambda t: F.lp_pool2d(t, 2, 2),
        (x(2, 3, 4, 6),),
        {"norm_type": 2, "kernel_size": (2, 2), "stride": (2, 2)},
    ),
    Case(
        "adaptive_avg_pool3d",
        lambda t: F.adaptive_avg_pool3d(t, (2, 3, 2)),
        (x(2, 3, 4, 5, 5),),
        {"output_size": (2, 3, 2)},
    ),
    Case(
        "max_unpool2d",
        lambda t, k: F.max_unpool2d(t, k, 2),
        (x(1, 2, 2, 2), np.array([[[[0, 2], [8, 11]], [[5, 3], [9, 15]]]])),
        {"output_size": (4, 4)},
        symbolic=False,
    ),
    Case(
        "pad_mode",
        lambda t: F.pad(t, (2, 1, 1, 2), "replicate"),
        (x(1, 2, 3, 4),),
        {"pad": (2, 1, 1, 2), "mode": "replicate"},
    ),
    Case(
        "pad_mode",
        lambda t: F.pad(t, (2, 1, 1, 2), "circular"),
        (x(1, 2, 3, 4),),
        {"pad": (2, 1, 1, 2), "mode": "circular"},
    ),
]

LOSSES = [
    Case("hinge_embedding_loss", F.hinge_embedding_loss, (x(3, 4), signs(3, 4))),
    Case("margin_ranking_loss", F.margin_ranking_loss, (x(4), x(4), signs(4))),
    Case("soft_margin_loss", F.soft_margin_loss, (x(3, 4), signs(3, 4)), grad=False),
    Case("cosine_embedding_loss", F.cosine_embedding_loss, (x(3, 4), x(3, 4), signs(3))),
    Case("triplet_margin_loss", F.triplet_margin_loss, (x(3, 4), x(3, 4), x(3, 4)), tolerance=1e-6),
    Case("multi_margin_loss", F.multi_margin_loss, (x(3, 4), i(3, high=4))),
    Case(
        "multilabel_margin_loss",
        F.multilabel_margin_loss,
        (x(2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 2]])),
    ),
    Case(
        "multilabel_soft_margin_loss",
        F.multilabel_soft_margin_loss,
        (x(3, 4), i(3, 4, high=2).astype(np.float64)),
        tolerance=1e-7,
    ),
    Case(
        "poisson_nll_loss",
        lambda a, c: F.poisson_nll_loss(a, c, full=True),
        (x(3, 4), x(3, 4, low=0.5, high=5)),
        {"full": True},
    ),
    Case(
        "gaussian_nll_loss",
        lambda a, c, v: F.gaussian_nll_loss(a, c, v),
        (x(3, 4), x(3, 4), x(3, 4, low=0.1)),
    ),
    Case("pairwise_distance", F.pairwise_distance, (x(3, 4), x(3, 4))),
]


def ctc_oracle(logp, targets, steps, lengths):
    return F.ctc_loss(logp, targets, steps, lengths)


SEQUENCES = [
    Case(
        "ctc_loss",
        ctc_oracle,
        (
            np.log(rng.dirichlet(np.ones(5), (7, 2))),
            np.array([[1, 2, 2], [3, 1, 4]]),
            np.array([7, 6]),
            np.array([3, 2]),
        ),
        symbolic=False,
        grad=False,
        tolerance=1e-9,
    ),
    Case("embedding_bag", lambda w, k: F.embedding_bag(k, w), (x(5, 3), i(2, 4, high=5))),
    Case(
        "embedding_bag",
        lambda w, k, o: F.embedding_bag(k, w, o, mode="max"),
        (x(5, 3), i(6, high=5), np.array([0, 2, 5])),
        {"mode": "max", "has_offsets": True},
        symbolic=False,
    ),
]

SCATTERS = [
    *[
        Case(
            "scatter_reduce",
            lambda t, k, s, r=how, inc=self_: t.scatter_reduce(0, k, s, r, include_self=inc),
            (x(3, 4), i(5, 4), x(5, 4)),
            {"dim": 0, "reduce": how, "include_self": self_},
        )
        for how in ("sum", "prod", "mean", "amax", "amin")
        for self_ in (True, False)
    ],
    Case(
        "index_copy",
        lambda t, k, s: t.index_copy(0, k, s),
        (x(4, 3), np.array([2, 0]), x(2, 3)),
        {"dim": 0},
    ),
    Case(
        "index_reduce",
        lambda t, k, s: t.index_reduce(0, k, s, "mean"),
        (x(3, 4), i(5), x(5, 4)),
        {"dim": 0, "reduce": "mean"},
    ),
    Case(
        "index_fill",
        lambda t, k, _: t.index_fill(1, k, 2.5),
        (x(3, 4), np.array([0, 2]), 2.5),
        {"dim": 1},
    ),
    Case(
        "put",
        lambda t, k, s: t.put(k, s, True),
        (x(3, 4), i(2, 2, high=12), x(2, 2)),
        {"accumulate": True},
    ),
    Case("take", lambda t, k: t.take(k), (x(3, 4), i(2, 2, high=12))),
    Case("masked_scatter", lambda t, m, s: t.masked_scatter(m, s), (x(3, 4), x(3, 4) > 0, x(12))),
    Case(
        "index_put",
        lambda t, v, a, c: t.index_put((a, c), v, True),
        (x(3, 4), x(5), i(5), i(5, high=4)),
        {"axes": (0, 1), "accumulate": True},
    ),
]

STATISTICS = [
    Case("cov", torch.cov, (x(3, 5),)),
    Case("corrcoef", torch.corrcoef, (x(3, 5),)),
    Case(
        "renorm",
        lambda t: t.renorm(2, 0, 1.5),
        (x(3, 4),),
        {"p": 2, "dim": 0, "maxnorm": 1.5},
        tolerance=1e-6,
    ),
    Case("mode", lambda t: t.mode(1), (i(4, 6),), {"dim": 1}, grad=False, symbolic=False),
    Case(
        "nanmedian_dim",
        lambda t: t.nanmedian(1),
        (np.where(x(3, 5) > 1, np.nan, x(3, 5)),),
        {"dim": 1},
    ),
    Case("trapezoid", lambda t: torch.trapezoid(t, dx=0.5), (x(3, 4),), {"dx": 0.5}),
    Case("diff", lambda t: t.diff(2, 1), (x(3, 5),), {"n": 2, "dim": 1}),
    Case("cross", lambda a, c: torch.linalg.cross(a, c), (x(2, 3), x(2, 3)), symbolic=False),
    Case("addmv", torch.addmv, (x(3), x(3, 4), x(4))),
    Case("inner", torch.inner, (x(2, 4), x(3, 4))),
    Case("heaviside", torch.heaviside, (np.array([-1.0, 0.0, 2.0]), x(3)), grad=False),
    Case("gcd", torch.gcd, (i(3, 4, high=100), i(3, 4, high=100)), grad=False),
    Case("lcm", torch.lcm, (i(3, 4, high=50), i(3, 4, high=50)), grad=False),
    *[
        Case(
            "polygamma",
            lambda t, n=n: torch.polygamma(n, t),
            (x(4, low=0.3),),
            {"n": n},
            tolerance=1e-9,
        )
        for n in (1, 2, 3)
    ],
    Case(
        "zeta",
        torch.special.zeta,
        (x(4, low=1.5, high=4), x(4, low=0.3)),
        grad=False,
        tolerance=1e-9,
    ),
]

MATRICES = [
    Case("linalg_inv", torch.linalg.inv, (spd(3),), tolerance=1e-8),
    Case("solve", torch.linalg.solve, (spd(3), x(2, 3, 4)), tolerance=1e-8),
    Case("solve", torch.linalg.solve, (spd(3)[0], x(3)), tolerance=1e-8),
    Case(
        "solve_triangular",
        lambda a, c: torch.linalg.solve_triangular(a, c, upper=True),
        (spd(3), x(2, 3, 4)),
        {"upper": True},
        tolerance=1e-8,
    ),
    Case("det", torch.linalg.det, (x(2, 3, 3),), tolerance=1e-8),
    Case("slogdet", torch.linalg.slogdet, (spd(3),), tolerance=1e-8),
    Case("cholesky", torch.linalg.cholesky, (spd(3),), tolerance=1e-8),
    Case("matrix_exp", torch.linalg.matrix_exp, (x(2, 3, 3),), tolerance=1e-8),
    Case("pinv", torch.linalg.pinv, (x(2, 3, 5),), tolerance=1e-8),
    Case(
        "matrix_norm",
        lambda a: torch.linalg.matrix_norm(a, "nuc"),
        (x(2, 3, 4),),
        {"ord": "nuc"},
        tolerance=1e-8,
    ),
    Case("matrix_norm", lambda a: torch.linalg.matrix_norm(a, 1), (x(2, 3, 4),), {"ord": 1}),
    Case(
        "matrix_rank", torch.linalg.matrix_rank, (np.outer(x(3), x(4)),), grad=False, symbolic=False
    ),
]

EVERY = [*IMAGES, *LOSSES, *SEQUENCES, *SCATTERS, *STATISTICS, *MATRICES]


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_values_and_gradients(case):
    check(case)


def stepped(name, numbers, columns, attrs):
    """The results of an optimizer step on lists of arrays."""
    operands = (*numbers, *(a for column in columns for a in column))
    case = Case(name, lambda *_: None, operands, {"n": len(columns[0]), **attrs})
    return interp.run(build(case, [type_of(v) for v in operands]), *operands)


@pytest.mark.parametrize("options", [
    {}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"maximize": True},
    {"momentum": 0.8, "dampening": 0.3},
])  # fmt: skip
def test_sgd_step(options):
    params, grads = [x(3, 4), x(5)], [[x(3, 4), x(5)] for _ in range(3)]
    theirs = [torch.nn.Parameter(torch.tensor(p)) for p in params]
    optimizer = torch.optim.SGD(theirs, lr=0.1, **options)
    momentum = options.get("momentum", 0.0)
    buffers = []
    for k, g in enumerate(grads):
        for p, gp in zip(theirs, g, strict=True):
            p.grad = torch.tensor(gp)
        optimizer.step()
        attrs = {
            "has_momentum": momentum != 0, "has_decay": "weight_decay" in options, "first": k == 0,
            "nesterov": options.get("nesterov", False), "maximize": options.get("maximize", False),
        }  # fmt: skip
        columns = [params, g] + ([buffers] if momentum and k else [])
        numbers = (0.1, momentum, options.get("dampening", 0.0), options.get("weight_decay", 0.0))
        out = stepped("sgd_step", numbers, columns, attrs)
        params, buffers = out[:2], out[2:]
    for ours, other in zip(params, theirs, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_step(amsgrad, decoupled):
    params, grads = [x(3, 4), x(5)], [[x(3, 4), x(5)] for _ in range(3)]
    theirs = [torch.nn.Parameter(torch.tensor(p)) for p in params]
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    optimizer = kind(theirs, lr=0.1, amsgrad=amsgrad, weight_decay=0.1)
    state = [[np.zeros_like(p) for p in params] for _ in range(3 if amsgrad else 2)]
    steps = [np.zeros((), np.float32) for _ in params]
    for g in grads:
        for p, gp in zip(theirs, g, strict=True):
            p.grad = torch.tensor(gp)
        optimizer.step()
        attrs = {"amsgrad": amsgrad, "decoupled": decoupled, "has_decay": True}
        out = stepped("adam_step", (0.1, 0.9, 0.999, 1e-8, 0.1), [params, g, *state, steps], attrs)
        params, *state, steps = (out[k : k + 2] for k in range(0, len(out), 2))
    for ours, other in zip(params, theirs, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=1e-9)
