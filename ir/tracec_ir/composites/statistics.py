"""Variance, norms, order statistics and products of deviations."""

from __future__ import annotations

import numpy as np

from .. import dtypes, promote
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..types import TensorType
from .common import (
    INF,
    axes,
    axis,
    count,
    flat,
    float_result,
    iota_along,
    masked,
    mean_over,
    move,
    numel,
    size,
    spelled,
    take,
    unsqueeze,
    where,
    wide,
)
from .index import gather_positions
from .samples import each, of


def _keep(x: Value, over) -> list:
    return [1 if i in over else s for i, s in enumerate(x.shape)]


def _check_float(x: Value, name: str) -> None:
    if x.dtype.kind not in "fc":
        raise RuntimeError(f"{name} only support floating point and complex dtypes")


def _divisor(b: Builder, x: Value, over, correction):
    """max(n - correction, 0) as an operand."""
    n = count(b, x, over, x.dtype.to_real())
    if isinstance(n, int):
        return max(n - correction, 0.0) + 0.0
    return b.maximum(b.sub(n, float(correction)), 0.0)


# One pass over x: the derivative of the mean inside cancels.
def _var_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    over = axes(x, op.attrs["dim"])
    return [_var_input_grad(b, x, over, op.attrs["correction"], wide(b, g))]


def _var_input_grad(b: Builder, x: Value, over, correction, g: Value) -> Value:
    z = wide(b, x)
    d = b.sub(z, mean_over(b, z, over, True))
    scale = b.div(b.mul(b.reshape(g, _keep(x, over)), 2.0), _divisor(b, z, over, correction))
    return b.cast(b.mul(scale, b.conj(d)), x.dtype)


@composite(
    vjp=_var_vjp,
    samples=each(of("f3x4"), of("f2x3x4", dim=(0, 2)), of("f3x4", dim=1, correction=0)),
)
def var(b, x, *, dim=None, correction=1, keepdim=False):
    """The variance over `dim`; `correction` is subtracted from the number of elements."""
    _check_float(x, "std and var")
    over = axes(x, dim)
    z = wide(b, x)
    d = b.sub(z, mean_over(b, z, over, True))
    square = b.real(b.mul(d, b.conj(d)))
    total = b.reduce(square, "sum", over, keepdim)
    return b.cast(b.div(total, _divisor(b, z, over, correction)), x.dtype.to_real())


def _std_vjp(b: Builder, op: Op, g: Value):
    x, y = op.operands[0], wide(b, op.results[0])
    gv = masked(b, b.ne(y, 0.0), b.div(wide(b, g), b.mul(y, 2.0)))
    return [_var_input_grad(b, x, axes(x, op.attrs["dim"]), op.attrs["correction"], gv)]


@composite(
    vjp=_std_vjp,
    samples=each(of("f3x4"), of("f2x3x4", dim=(0, 2)), of("f3x4", dim=1, correction=0)),
)
def std(b, x, *, dim=None, correction=1, keepdim=False):
    """The standard deviation over `dim`."""
    _check_float(x, "std and var")
    v = b.var(wide(b, x), dim=dim, correction=correction, keepdim=keepdim)
    return b.cast(b.sqrt(v), x.dtype.to_real())


@composite(samples=of("f3x4", dim=1))
def var_mean(b, x, *, dim=None, correction=1, keepdim=False):
    """The variance and the mean over `dim`."""
    _check_float(x, "var_mean")
    v = b.var(x, dim=dim, correction=correction, keepdim=keepdim)
    return v, b.mean(x, dim=dim, keepdim=keepdim)


@composite(samples=of("f3x4", dim=1))
def std_mean(b, x, *, dim=None, correction=1, keepdim=False):
    """The standard deviation and the mean over `dim`."""
    _check_float(x, "std_mean")
    s = b.std(x, dim=dim, correction=correction, keepdim=keepdim)
    return s, b.mean(x, dim=dim, keepdim=keepdim)


# The derivative is 0 where the norm is: x / norm would be 0 / 0 there.
def _vector_norm_vjp(b: Builder, op: Op, g: Value):
    x, p = op.operands[0], op.attrs["ord"]
    over = axes(x, op.attrs["dim"])
    z, y = wide(b, x), b.reshape(wide(b, op.results[0]), _keep(x, over))
    g = b.reshape(wide(b, g), _keep(x, over))
    sign = b.conj(b.sgn(z))
    if p == 0:
        return [b.zeros_like(x)]
    if p == 1:
        dx = b.mul(g, sign)
    elif p == 2:
        dx = b.mul(b.conj(z), masked(b, b.ne(y, 0.0), b.div(g, y)))
    elif p in (INF, -INF):
        hit = b.logical_or(b.eq(b.abs(z), y), b.logical_and(b.isnan(z), b.isnan(y)))
        n = b.reduce(b.cast(hit, y.dtype), "sum", over, True)
        dx = b.mul(sign, masked(b, hit, b.div(g, n)))
    elif p < 1:
        power = masked(b, b.ne(z, 0.0), b.mul(sign, b.pow(b.abs(z), p - 1)))
        dx = b.mul(b.mul(power, g), b.pow(y, 1 - p))
    else:
        power = b.mul(sign, b.pow(b.abs(z), p - 1))
        dx = b.mul(power, masked(b, b.ne(y, 0.0), b.div(g, b.pow(y, p - 1))))
    return [b.cast(dx, x.dtype)]


@composite(
    vjp=_vector_norm_vjp,
    samples=each(
        of("f3x4", dim=1),
        of("f3x4", ord=1.0),
        of("f3x4", ord=3.5, dim=0),
        of("f3x4", ord=float("inf")),
    ),
)
def vector_norm(b, x, *, ord=2.0, dim=None, keepdim=False, dtype=None):
    """The p-norm of the elements over `dim`."""
    out = dtype or x.dtype
    if out.kind not in "fc":
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. "
            f"Got {spelled(out)}"
        )
    over = axes(x, dim)
    if ord in (INF, -INF) or ord < 0:
        for a in over:
            if x.shape[a] == 0:
                raise RuntimeError(
                    f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because "
                    "the "
                    "operation does not have an identity"
                )
    z = b.abs(wide(b, b.cast(x, out)))
    if ord == 0:
        y = b.reduce(b.cast(b.ne(z, 0.0), z.dtype), "sum", over, keepdim)
    elif ord == 1:
        y = b.reduce(z, "sum", over, keepdim)
    elif ord == 2:
        y = b.sqrt(b.reduce(b.mul(z, z), "sum", over, keepdim))
    elif ord == INF:
        y = b.reduce(z, "max", over, keepdim)
    elif ord == -INF:
        y = b.reduce(z, "min", over, keepdim)
    else:
        y = b.pow(b.reduce(b.pow(z, float(ord)), "sum", over, keepdim), 1.0 / ord)
    return b.cast(y, out.to_real())


@composite(samples=of("f3x4", "f3x4"))
def dist(b, x, y, *, p=2.0):
    """The p-norm of x - y."""
    return b.vector_norm(b.sub(x, y), ord=p)


@composite(samples=of("f3x4"))
def normalize(b, x, *, p=2.0, dim=1, eps=1e-12):
    """x divided by its p-norm along `dim`, but at least eps."""
    over = (dim,) if isinstance(dim, int) else dim
    z = wide(b, x) if x.dtype.kind in "fc" else x
    n = b.vector_norm(z, ord=p, dim=over, keepdim=True)
    return b.cast(b.div(z, b.clamp_min(n, eps)), float_result(x))


@composite(samples=of("f3x4", p=2, dim=0, maxnorm=1.5))
def renorm(b, x, *, p, dim, maxnorm):
    """x with every slice along `dim` scaled down to p-norm at most maxnorm."""
    if x.rank < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.rank} dimensions")
    ax = axis(x, dim)
    over = tuple(i for i in range(x.rank) if i != ax)
    n = b.vector_norm(x, ord=float(p), dim=over, keepdim=True)
    return b.mul(x, where(b, b.gt(n, maxnorm), b.div(float(maxnorm), b.add(n, 1e-7)), 1.0))


# -- order statistics -----------------------------------------------------------------------------
def _last(b: Builder, x: Value, dim: int | None) -> tuple[Value, int]:
    if dim is None:
        return flat(b, x), 0
    ax = axis(x, dim)
    return (x, ax) if x.rank else (b.reshape(x, (1,)), 0)


def sorted_at(b: Builder, x: Value, ax: int, position, keepdim: bool) -> tuple[Value, Value]:
    """The element of rank `position` along `ax` and where it stands in x."""
    values, index = b.emit("sort", (x,), {"axis": ax, "descending": False})
    if isinstance(position, int):
        pair = [take(b, v, ax, position, position + 1) for v in (values, index)]
    else:
        pair = [gather_positions(b, v, position, ax) for v in (values, index)]
    if keepdim:
        return pair[0], pair[1]
    shape = x.shape[:ax] + x.shape[ax + 1 :]
    return b.reshape(pair[0], shape), b.reshape(pair[1], shape)


def _pick_vjp(b: Builder, op: Op, g: Value | None, *_):
    """The gradient goes to the element the index result names."""
    x, index = op.operands[0], op.results[1]
    if g is None:
        return [None]
    if not x.rank:
        return [g]
    ax = axis(x, op.attrs["dim"])
    if not op.attrs["keepdim"]:
        g, index = unsqueeze(b, g, ax), unsqueeze(b, index, ax)
    return [masked(b, b.eq(iota_along(b, x.rank, ax, x.shape[ax]), index), g)]


@composite(vjp=_pick_vjp, samples=of("f3x4", k=2, dim=1))
def kthvalue(b, x, *, k, dim=-1, keepdim=False):
    """The k-th smallest element along `dim` and its index."""
    z, ax = _last(b, x, dim)
    if not 1 <= k <= z.shape[ax]:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {ax}")
    v, i = sorted_at(b, z, ax, k - 1, keepdim)
    return (v, i) if x.rank else (b.reshape(v, ()), b.reshape(i, ()))


def _median_position(b: Builder, x: Value, ax: int, ignore_nan: bool):
    n = x.shape[ax]
    middle = size(b, (n - 1) // 2)
    if x.dtype.kind != "f":
        return middle
    nan = b.reduce(b.cast(b.isnan(x), dtypes.i64), "sum", (ax,), True)
    known = b.sub(size(b, n), nan)
    if ignore_nan:
        return b.maximum(b.emit1("shr", b.sub(known, 1), b.full(1, dtypes.i64, nan.shape)), 0)
    # with a NaN anywhere the answer is the first of them, which sorts right after the numbers
    return where(b, b.gt(nan, 0), known, middle)


def _median(b: Builder, x: Value, dim: int, keepdim: bool, ignore_nan: bool):
    z, ax = _last(b, x, dim)
    if z.shape[ax] == 0:
        raise IndexError(f"median(): Expected reduction dim {ax} to have non-zero size.")
    v, i = sorted_at(b, z, ax, _median_position(b, z, ax, ignore_nan), keepdim)
    return (v, i) if x.rank else (b.reshape(v, ()), b.reshape(i, ()))


@composite(vjp=_pick_vjp, samples=of("f3x4", dim=1))
def median_dim(b, x, *, dim=-1, keepdim=False):
    """The lower median along `dim` and its index; NaN wins."""
    return _median(b, x, dim, keepdim, False)


@composite(
    vjp=_pick_vjp, samples=of(lambda: np.array([[1.0, np.nan, 3.0], [2.0, -1.5, 0.5]]), dim=1)
)
def nanmedian_dim(b, x, *, dim=-1, keepdim=False):
    """The lower median along `dim` of what is not NaN, and its index."""
    return _median(b, x, dim, keepdim, True)


def _whole_median_vjp(b: Builder, op: Op, g: Value):
    """Shared evenly among the elements equal to the median."""
    x, y = op.operands[0], op.results[0]
    hit = b.logical_or(b.eq(x, y), b.logical_and(b.isnan(x), b.isnan(y)))
    n = b.reduce(b.cast(hit, x.dtype), "sum", range(x.rank))
    return [masked(b, hit, b.div(g, n))]


@composite(vjp=_whole_median_vjp, samples=of("f3x4"))
def median(b, x):
    """The lower median of all elements."""
    return b.median_dim(flat(b, x), dim=0)[0]


@composite(
    vjp=_whole_median_vjp, samples=of(lambda: np.array([[1.0, np.nan, 3.0], [2.0, -1.5, 0.5]]))
)
def nanmedian(b, x):
    """The lower median of all elements that are not NaN."""
    return b.nanmedian_dim(flat(b, x), dim=0)[0]


@composite(
    autocast="single",
    samples=each(
        of("d3x5", lambda: np.array([0.125, 0.5, 0.8]), dim=1),
        of("f3x5", lambda: np.float32(0.3).reshape(())),
    ),
)
def quantile(b, x, q, *, dim=None, keepdim=False, interpolation="linear", ignore_nan=False):
    """The q-quantiles along `dim`; a 1-d q adds a leading dimension."""
    name = "nanquantile" if ignore_nan else "quantile"
    if numel(x) == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if x.dtype not in (dtypes.f32, dtypes.f64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if q.rank > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    z, ax = _last(b, x, dim)
    rows = move(b, z, ax, z.rank - 1)
    n = rows.shape[-1]
    ordered = b.emit("sort", (rows,), {"axis": rows.rank - 1, "descending": False})[0]
    nan = b.reduce(b.cast(b.isnan(rows), x.dtype), "sum", (rows.rank - 1,), True)
    last = b.sub(size(b, n - 1, x.dtype), nan) if ignore_nan else size(b, n - 1, x.dtype)
    rank = b.mul(b.reshape(b.cast(q, x.dtype), (numel(q),)), last)
    rank = b.broadcast_to(rank, (*rows.shape[:-1], numel(q)))
    if not ignore_nan:
        rank = where(b, b.gt(nan, 0.0), size(b, n - 1, x.dtype), rank)
    else:
        rank = b.maximum(rank, 0.0)
    y = _between(b, ordered, rank, interpolation)
    # the quantiles come first, the reduced dimension stays with size 1 where asked for
    y = move(b, y, y.rank - 1, 0)
    shape = list(z.shape)
    if dim is None:
        kept: list = [1] * x.rank if keepdim else []
    else:
        kept = shape[:ax] + ([1] if keepdim else []) + shape[ax + 1 :]
        if not x.rank:
            kept = []
    return b.reshape(y, ([numel(q)] if q.rank else []) + kept)


def _between(b: Builder, ordered: Value, rank: Value, interpolation: str) -> Value:
    ax = ordered.rank - 1
    if interpolation == "lower":
        rank = b.floor(rank)
    elif interpolation == "higher":
        rank = b.ceil(rank)
    elif interpolation == "nearest":
        rank = b.round(rank)
    low = b.floor(rank)
    below = gather_positions(b, ordered, b.cast(low, dtypes.i64), ax)
    if interpolation in ("lower", "higher", "nearest"):
        return below
    above = gather_positions(b, ordered, b.cast(b.ceil(rank), dtypes.i64), ax)
    weight = (
        b.full(0.5, rank.dtype, rank.shape) if interpolation == "midpoint" else b.sub(rank, low)
    )
    return b.lerp(below, above, weight)


@composite(samples=of("i4x6<3", dim=1))
def mode(b, x, *, dim=-1, keepdim=False):
    """The most frequent value along `dim` (the smallest of equals) and its last index."""
    z, ax = _last(b, x, dim)
    ordered, index = b.emit("sort", (z,), {"axis": ax, "descending": False})
    n = z.shape[ax]
    place = b.broadcast_to(iota_along(b, z.rank, ax, n), z.shape)
    fresh = b.ne(place, place) if n == 1 else _starts(b, ordered, ax)
    start = b.emit1("scan", masked(b, fresh, place), kind="max", axis=ax)
    best = b.emit1("argreduce", b.sub(place, start), kind="max", axis=ax)
    best = unsqueeze(b, best, ax)
    value = gather_positions(b, ordered, best, ax)
    where_ = gather_positions(b, index, best, ax)
    shape = (z.shape if keepdim else z.shape[:ax] + z.shape[ax + 1 :]) if x.rank else ()
    if keepdim and x.rank:
        shape = tuple(1 if i == ax else s for i, s in enumerate(z.shape))
    return b.reshape(value, shape), b.reshape(where_, shape)


def _starts(b: Builder, ordered: Value, ax: int) -> Value:
    """True where a sorted row takes a new value (not at its first place)."""
    n = ordered.shape[ax]
    changed = b.ne(take(b, ordered, ax, 1, n), take(b, ordered, ax, 0, n - 1))
    low, high = [0] * ordered.rank, [0] * ordered.rank
    low[ax] = 1
    return b.emit1(
        "pad", changed, b.const(False, dtypes.b1), low=tuple(low), high=tuple(high),
        interior=(0,) * ordered.rank,
    )  # fmt: skip


# -- differences and covariance -------------------------------------------------------------------
@composite(samples=of("f3x5"))
def cov(b, x, *weights, correction=1, has_fweights=False, has_aweights=False):
    """The covariance of the rows of a matrix (of one row: the variance), its columns weighted by
    how often they occur (frequencies) and how much they count."""
    _check_matrix(x, "cov")
    z = x if x.rank == 2 else b.reshape(x, (1, numel(x)))
    z = wide(b, z)
    out = float_result(x)
    if has_aweights:
        out = promote.result_type([TensorType(out, (1,)), weights[-1].type])
        z = b.cast(z, promote.result_type([z.type, weights[-1].type]))
    if not weights:
        w, total = None, count(b, z, (1,), z.dtype)
        mean = mean_over(b, z, (1,), True)
    else:
        # sums of weights keep the weights' own precision
        work = weights[-1].dtype if has_aweights else z.dtype
        w = b.cast(weights[0], work)
        if len(weights) > 1:
            w = b.mul(w, weights[1])
        total = b.reduce(w, "sum", (0,))
        mean = b.div(b.reduce(b.mul(z, w), "sum", (1,), True), total)
    d = b.sub(z, mean)
    if has_aweights and correction:
        squares = b.mul(w, weights[-1])
        lost = b.mul(b.div(b.reduce(squares, "sum", (0,)), total), float(correction))
    else:
        lost = float(correction)
    if isinstance(total, int):
        norm = max(total - lost, 0)
    else:
        norm = b.maximum(b.sub(b.real(total), lost), 0.0)
    weighted = d if w is None else b.mul(d, w)
    c = b.div(b.matmul(weighted, b.conj(b.permute(d, (1, 0)))), norm)
    c = b.cast(c, out)
    return b.reshape(c, ()) if z.shape[0] == 1 else c


def _check_matrix(x: Value, name: str) -> None:
    if x.rank > 2:
        raise RuntimeError(
            f"{name}(): expected input to have two or fewer dimensions but got an input with "
            f"{x.rank} dimensions"
        )


@composite(samples=of("f3x5"))
def corrcoef(b, x):
    """The correlation coefficients of the rows of a matrix."""
    _check_matrix(x, "corrcoef")
    c = b.cov(wide(b, x))
    if c.rank == 0:
        return b.cast(b.div(c, c), float_result(x))
    n = c.shape[0]
    eye = b.eq(iota_along(b, 2, 0, n), iota_along(b, 2, 1, n))
    d = b.sqrt(b.real(b.reduce(masked(b, eye, c), "sum", (1,))))
    r = b.div(b.div(c, unsqueeze(b, d, 1)), unsqueeze(b, d, 0))
    if x.dtype.kind == "c":
        return b.complex(b.clamp(b.real(r), -1.0, 1.0), b.clamp(b.imag(r), -1.0, 1.0))
    return b.cast(b.clamp(r, -1.0, 1.0), float_result(x))
