"""Running sums and extrema, sorting, selecting the largest."""

from __future__ import annotations

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import axis, iota_along, masked, take
from .index import position_indices
from .reduce import sum_dtype
from .samples import each, of


def _row(b: Builder, x: Value, dim: int) -> tuple[Value, int]:
    ax = axis(x, dim)
    return (x, ax) if x.rank else (b.reshape(x, (1,)), 0)


@composite(samples=each(of("f3x4", dim=1), of("i3x4<9", dim=0)))
def cumsum(b, x, *, dim, dtype=None):
    """The sums of everything up to each element along `dim`."""
    row, ax = _row(b, b.cast(x, sum_dtype(x, dtype)), dim)
    return b.reshape(b.emit1("scan", row, kind="sum", axis=ax), x.shape)


@composite(samples=of("h3x4", dim=1))
def cumprod(b, x, *, dim, dtype=None):
    """The products of everything up to each element along `dim`."""
    row, ax = _row(b, b.cast(x, sum_dtype(x, dtype)), dim)
    return b.reshape(b.emit1("scan", row, kind="prod", axis=ax), x.shape)


def _cum_extremum_vjp(b: Builder, op: Op, g: Value | None, _):
    """Each gradient goes back to the element that the index names."""
    x, index = op.operands[0], op.results[1]
    if g is None:
        return [None]
    if not x.rank:
        return [g]
    ax = axis(x, op.attrs["dim"])
    base = b.zeros_like(x)
    given = position_indices(b, index, ax)
    return [b.emit1("scatter", base, g, *given, axes=tuple(range(x.rank)), kind="add")]


def _cum_extremum(b: Builder, x: Value, dim: int, kind: str):
    row, ax = _row(b, x, dim)
    z = b.cast(row, dtypes.u8) if x.dtype.kind == "b" else row
    best = b.emit1("scan", z, kind=kind, axis=ax)
    n = z.shape[ax]
    # the last place so far whose element equals the extremum so far
    hit = b.eq(z, best)
    if z.dtype.kind == "f":
        hit = b.logical_or(hit, b.isnan(z))
    place = b.broadcast_to(iota_along(b, z.rank, ax, n), z.shape)
    index = b.emit1("scan", masked(b, hit, place), kind="max", axis=ax)
    return b.reshape(b.cast(best, x.dtype), x.shape), b.reshape(index, x.shape)


@composite(vjp=_cum_extremum_vjp, samples=of("f3x4", dim=1))
def cummax(b, x, *, dim):
    """The largest element so far along `dim`, and its index."""
    return _cum_extremum(b, x, dim, "max")


@composite(vjp=_cum_extremum_vjp, samples=of("f3x4", dim=1))
def cummin(b, x, *, dim):
    """The smallest element so far along `dim`, and its index."""
    return _cum_extremum(b, x, dim, "min")


@composite(samples=of("w3x4", dim=1))
def logcumsumexp(b, x, *, dim):
    """log(cumsum(exp(x))) along `dim` without overflow."""
    row, ax = _row(b, x, dim)
    return b.reshape(b.emit1("scan", row, kind="logsumexp", axis=ax), x.shape)


@composite(samples=of("f3x5", n=2, dim=1))
def diff(b, x, *, n=1, dim=-1):
    """Differences of neighbours along `dim`, n times."""
    if x.rank == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    ax = axis(x, dim)
    for _ in range(n):
        m = x.shape[ax]
        if m == 0:
            return x
        after, before = take(b, x, ax, 1, m), take(b, x, ax, 0, m - 1)
        x = b.logical_xor(after, before) if x.dtype.kind == "b" else b.sub(after, before)
    return x


def _sort_vjp(b: Builder, op: Op, g: Value | None, _):
    x, index = op.operands[0], op.results[1]
    if g is None:
        return [None]
    if not x.rank:
        return [g]
    ax = axis(x, op.attrs["dim"])
    given = position_indices(b, index, ax)
    return [b.emit1("scatter", b.zeros_like(x), g, *given, axes=tuple(range(x.rank)), kind="set")]


def _sorted(b: Builder, x: Value, dim: int, descending: bool) -> tuple[Value, Value]:
    row, ax = _row(b, x, dim)
    z = b.cast(row, dtypes.u8) if x.dtype.kind == "b" else row
    values, index = b.emit("sort", (z,), {"axis": ax, "descending": descending})
    return b.cast(values, x.dtype), index


@composite(
    "sort_dim", vjp=_sort_vjp, samples=each(of("f3x4", dim=1, descending=True), of("i3x4<4", dim=0))
)
def sort_dim(b, x, *, dim=-1, descending=False):
    """x in order along `dim` and where its elements came from; equal elements keep their order."""
    values, index = _sorted(b, x, dim, descending)
    return b.reshape(values, x.shape), b.reshape(index, x.shape)


@composite(nondiff=True, samples=of("f3x4", dim=1))
def argsort(b, x, *, dim=-1, descending=False):
    """The indices that put x in order along `dim`."""
    return b.reshape(_sorted(b, x, dim, descending)[1], x.shape)


@composite(vjp=_sort_vjp, samples=of("f3x4", k=2, dim=1))
def topk(b, x, *, k, dim=-1, largest=True):
    """The k largest (or smallest) elements along `dim`, in order, and their indices."""
    row, ax = _row(b, x, dim)
    if not 0 <= k <= row.shape[ax]:
        raise RuntimeError("selected index k out of range")
    values, index = _sorted(b, x, dim, largest)
    values, index = take(b, values, ax, 0, k), take(b, index, ax, 0, k)
    return (values, index) if x.rank else (b.reshape(values, ()), b.reshape(index, ()))


@composite(samples=each(of("f3x4", dx=0.5), of("f3x4", "a4")))
def trapezoid(b, y, x=None, *, dx=1.0, dim=-1):
    """The integral along `dim` by the trapezoid rule."""
    ax = axis(y, dim)
    n = y.shape[ax]
    if n == 0:
        return b.full(0, y.dtype, y.shape[:ax] + y.shape[ax + 1 :])
    return b.sum(_trapezoids(b, y, x, dx, ax), dim=(ax,))


@composite(samples=each(of("f3x4", dx=0.5), of("f3x4", "a4")))
def cumulative_trapezoid(b, y, x=None, *, dx=1.0, dim=-1):
    """The running integral along `dim` by the trapezoid rule."""
    ax = axis(y, dim)
    return b.cumsum(_trapezoids(b, y, x, dx, ax), dim=ax)


def _trapezoids(b: Builder, y: Value, x: Value | None, dx, ax: int) -> Value:
    n = y.shape[ax]
    if x is not None:
        if x.rank == 1 and y.rank != 1:
            if x.shape[0] != n:
                raise RuntimeError("trapezoid: There must be one `x` value for each sample point")
            x = b.reshape(x, [n if i == ax else 1 for i in range(y.rank)])
        elif x.rank < y.rank:
            x = b.reshape(x, (1,) * (y.rank - x.rank) + tuple(x.shape))
        m = x.shape[ax]
        step = b.sub(take(b, x, ax, 1, m), take(b, x, ax, 0, m - 1))
        pair = b.add(take(b, y, ax, 1, n), take(b, y, ax, 0, n - 1))
        return (
            b.mul(b.mul(step, pair), 0.5) if y.dtype.kind in "fc" else b.div(b.mul(step, pair), 2)
        )
    pair = b.add(take(b, y, ax, 1, n), take(b, y, ax, 0, n - 1))
    return b.mul(pair, dx / 2)
