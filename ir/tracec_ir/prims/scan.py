"""Primitives along one axis that keep its length: running totals and sorting."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..optable import prim
from ..types import TensorType
from . import samples as s
from .movement import flip
from .rules import axis_in, in_double, in_f32, of_kind

_KINDS = ("sum", "prod", "max", "min", "logsumexp")


def grid(b, shape, axis: int):
    """The index along `axis` at every position of `shape`, as i64."""
    counted = b.emit("iota", (), {"size": shape[axis], "dtype": dtypes.i64})[0]
    column = b.reshape(counted, [n if i == axis else 1 for i, n in enumerate(shape)])
    return b.broadcast_to(column, tuple(shape))


def _scan(x, *, kind, axis):
    if kind in ("sum", "prod"):
        return in_double(np.cumsum if kind == "sum" else np.cumprod, x, axis)
    if kind == "logsumexp":
        return _logaddexp(x, axis) if x.dtype.kind == "c" else np.logaddexp.accumulate(x, axis)
    return (np.maximum if kind == "max" else np.minimum).accumulate(x, axis=axis)


def _logaddexp(x, axis):
    """Running log-sum-exp of complex numbers, the larger real part factored out of each step."""
    out = np.moveaxis(x.copy(), axis, 0)
    with np.errstate(all="ignore"):
        for k in range(1, len(out)):
            a, b = out[k - 1], out[k]
            swap = (a.real < b.real) | np.isnan(b.real)
            top, low = np.where(swap, b, a), np.where(swap, a, b)
            gap = np.where(low.real == -np.inf, complex(-np.inf), low - top)
            out[k] = np.where(np.isneginf(top.real), top, top + np.log1p(np.exp(gap)))
    return np.moveaxis(out, 0, axis)


def _logsumexp_grad(b, g, x, y, axis):
    """The sums of g_k exp(x_i - y_k) over all k from i on, their parts of either sign apart."""

    def part(positive):
        amount = b.select(positive, g, b.full(1, g.dtype, g.shape))
        logs = b.sub(b.log(b.abs(amount)), y)
        logs = b.select(positive, logs, b.full(float("-inf"), g.dtype, g.shape))
        total = flip(b, b.scan(flip(b, logs, axis), kind="logsumexp", axis=axis), axis)
        return b.exp(b.add(total, x))

    if g.dtype.kind == "c":
        none = b.eq(g, 0)
        logs = b.sub(b.log(b.select(none, b.full(1, g.dtype, g.shape), g)), y)
        logs = b.select(none, b.full(float("-inf"), g.dtype, g.shape), logs)
        total = flip(b, b.scan(flip(b, logs, axis), kind="logsumexp", axis=axis), axis)
        return b.exp(b.add(total, x))
    return b.sub(part(b.gt(g, 0)), part(b.lt(g, 0)))


def from_the_end(b, x, axis):
    """The sum of each element and all behind it."""
    return flip(b, b.scan(flip(b, x, axis), kind="sum", axis=axis), axis)


def _extremum_grad(b, g, x, y, axis):
    """To the position that holds the running extremum: its latest occurrence."""
    here = grid(b, x.shape, axis)
    record = b.logical_or(b.eq(x, y), b.isnan(x))
    holder = b.scan(b.select(record, here, b.zeros_like(here)), kind="max", axis=axis)
    return scatter_along(b, b.zeros_like(x), g, holder, axis, "add")


def scatter_along(b, base, values, index, axis: int, kind: str):
    """base with values combined in at positions that differ from their own along `axis` only."""
    places = [index if i == axis else grid(b, values.shape, i) for i in range(base.rank)]
    attrs = {"axes": tuple(range(base.rank)), "kind": kind}
    return b.emit("scatter", (base, values, *places), attrs)[0]


def _scan_vjp(b, op, g):
    x, y = op.operands[0], op.results[0]
    kind, axis = op.attrs["kind"], op.attrs["axis"]
    if kind == "sum":
        return [from_the_end(b, g, axis)]
    if kind == "logsumexp":
        return [_logsumexp_grad(b, g, x, y, axis)]
    if kind == "prod":
        return [b.emit1("cumulative_product_grad", g, x, y, axis=axis)]
    return [_extremum_grad(b, g, x, y, axis)]


def _scan_samples():
    for kind in _KINDS:
        if kind == "logsumexp":
            yield (s.uniform((3, 4), -300, 300, dtypes.f64),), {"kind": kind, "axis": 1}
            yield (s.uniform((5,), dtype=dtypes.bf16),), {"kind": kind, "axis": 0}
            inf = np.inf
            yield (np.array([-inf, -inf, 1.0, -inf, inf, inf, 2.0]),), {"kind": kind, "axis": 0}
            continue
        yield (s.uniform((3, 4)),), {"kind": kind, "axis": 1}
        yield (s.uniform((3, 2, 2)),), {"kind": kind, "axis": 0}
        yield (s.uniform((5,), dtype=dtypes.bf16),), {"kind": kind, "axis": 0}
        yield (s.integers((3, 4), dtype=dtypes.i32),), {"kind": kind, "axis": 1}
        yield (np.array([1.0, np.nan, 3.0, 0.5]),), {"kind": kind, "axis": 0}
    yield (np.array([[2.0, 0.0, 3.0, 4.0], [1.0, 0.0, 0.0, 2.0]]),), {"kind": "prod", "axis": 1}
    bad = TensorType(dtypes.f32, (3,))
    yield (bad,), {"kind": "sum", "axis": 1}, IndexError, "Dimension out of range"
    yield (bad,), {"kind": "any", "axis": 0}, ValueError, "kind"


@prim(numpy=in_f32(_scan), vjp=_scan_vjp, kernel="scan", samples=_scan_samples)
def scan(x, *, kind, axis):
    """Each element combined with all before it along an axis; NaN wins max and min."""
    if kind not in _KINDS:
        raise ValueError(f"scan: the kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    kinds = "fc" if kind == "logsumexp" else "uif" + ("c" if kind in ("sum", "prod") else "b")
    x = of_kind("scan", x, kinds)
    axis_in("scan", axis, x.rank)
    return x


# -- sort -----------------------------------------------------------------------------------------
def _sort(x, *, axis, descending):
    if (
        descending
    ):  # a stable descending order: sort the reversed line ascending, reverse the result
        order = np.flip(np.argsort(np.flip(x, axis), axis=axis, kind="stable"), axis)
        order = x.shape[axis] - 1 - order
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    return np.take_along_axis(x, order, axis), order.astype(np.int64)


def _sort_vjp(b, op, g, _):
    if g is None:
        return [None]
    x = op.operands[0]
    return [scatter_along(b, b.zeros_like(x), g, op.results[1], op.attrs["axis"], "set")]


def _sort_samples():
    for descending in (False, True):
        yield (s.uniform((3, 4)),), {"axis": 1, "descending": descending}
        yield (s.uniform((4, 2)),), {"axis": 0, "descending": descending}
        yield (s.integers((20,), -3, 3),), {"axis": 0, "descending": descending}
        yield (s.bools((9,)),), {"axis": 0, "descending": descending}
        yield (s.uniform((5,), dtype=dtypes.bf16),), {"axis": 0, "descending": descending}
        yield (
            (np.array([3.0, np.nan, -np.inf, np.inf, 1.0]),),
            {"axis": 0, "descending": descending},
        )
    bad = TensorType(dtypes.f32, (3,))
    yield (bad,), {"axis": 2, "descending": False}, IndexError, "Dimension out of range"


@prim(numpy=in_f32(_sort), vjp=_sort_vjp, kernel="sort", samples=_sort_samples)
def sort(x, *, axis, descending):
    """x in order along an axis, and where each element came from; stable, NaN counts as largest."""
    x = of_kind("sort", x, "buif")
    axis_in("sort", axis, x.rank)
    return x, x.with_dtype(dtypes.i64)
