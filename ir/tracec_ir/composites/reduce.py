"""Reductions: sums, means, extrema and their positions, logical quantifiers."""

from __future__ import annotations

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import (
    as_float,
    axes,
    axis,
    divisor,
    double,
    flat,
    iota_along,
    masked,
    numel,
    spelled,
    unsqueeze,
    wide,
)
from .common import (
    size as size_operand,
)
from .samples import each, of


def _keep(x: Value, over: tuple[int, ...]) -> list:
    return [1 if i in over else s for i, s in enumerate(x.shape)]


def sum_dtype(x: Value, dtype):
    """The dtype of a sum or product: integers add up in int64."""
    return dtype or (dtypes.i64 if x.dtype.kind in "biu" else x.dtype)


@composite(
    "sum",
    samples=each(
        of("f3x4"), of("f2x3x4", dim=(0, 2)), of("i3x4<9", dim=1, keepdim=True), of("b3x4")
    ),
)
def sum_(b, x, *, dim=None, keepdim=False, dtype=None):
    """The sum over the dimensions `dim` (None: all)."""
    return b.reduce(b.cast(x, sum_dtype(x, dtype)), "sum", axes(x, dim), keepdim)


@composite(samples=each(of("f3x4"), of("f2x3x4", dim=1, keepdim=True)))
def mean(b, x, *, dim=None, keepdim=False, dtype=None):
    """The mean over the dimensions `dim` (None: all)."""
    result = dtype or x.dtype
    if result.kind not in "fc":
        option = "Optional dtype" if dtype else "Input dtype"
        raise RuntimeError(
            "mean(): could not infer output dtype. "
            f"{option} must be either a floating point or complex dtype. Got: {spelled(result)}"
        )
    over = axes(x, dim)
    z = wide(b, b.cast(x, result))
    return b.cast(b.div(b.reduce(z, "sum", over, keepdim), divisor(b, z, over, z.dtype)), result)


@composite(nondiff=True, samples=of(size=12, dtype=dtypes.f32))
def element_count(b, *, size, dtype):
    """The number `size` as a 0-d tensor; computed where the size is symbolic."""
    return b.const(size, dtype) if isinstance(size, int) else size_operand(b, size, dtype)


@composite(samples=of(lambda: np.array([[1.0, np.nan], [2.0, -1.5]]), dim=1))
def nansum(b, x, *, dim=None, keepdim=False, dtype=None):
    """The sum over `dim` with NaN counted as zero."""
    if x.dtype.kind == "f":
        x = masked(b, b.logical_not(b.isnan(x)), x)
    return b.sum(x, dim=dim, keepdim=keepdim, dtype=dtype)


@composite(samples=of(lambda: np.array([[1.0, np.nan], [2.0, -1.5]]), dim=1))
def nanmean(b, x, *, dim=None, keepdim=False, dtype=None):
    """The mean over `dim` of what is not NaN."""
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{spelled(x.dtype)}"
        )
    known = b.logical_not(b.isnan(x))
    total = b.nansum(x, dim=dim, keepdim=keepdim, dtype=dtype)
    return b.div(total, b.cast(b.sum(known, dim=dim, keepdim=keepdim), total.dtype))


@composite(autocast="single", samples=each(of("f3x4", dim=1), of("i4<5")))
def prod(b, x, *, dim=None, keepdim=False, dtype=None):
    """The product over the dimensions `dim` (None: all)."""
    z = b.cast(x, sum_dtype(x, dtype))  # each factor's rounding would remain in a product of f32
    return b.cast(b.reduce(double(b, z), "prod", axes(x, dim), keepdim), z.dtype)


def _check_not_empty(x: Value, over: tuple[int, ...], name: str) -> None:
    for a in over:
        if x.shape[a] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {a} to have non-zero size.")


# PyTorch shares the gradient evenly among equal extrema.
def _extremum_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    over = axes(x, op.attrs.get("dim"))
    y = b.reshape(op.results[0], _keep(x, over))
    hit = b.logical_or(b.eq(x, y), b.logical_and(b.isnan(x), b.isnan(y)))
    n = b.reduce(b.cast(hit, x.dtype), "sum", over, True)
    return [masked(b, hit, b.div(b.reshape(g, _keep(x, over)), n))]


def _extremum(b: Builder, x: Value, kind: str, dim, keepdim: bool, name: str) -> Value:
    over = axes(x, dim)
    if (dim is None or dim == ()) and dims.same(numel(x), 0):
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )
    _check_not_empty(x, over, name)
    if x.dtype.kind == "b":
        return b.reduce(x, "any" if kind == "max" else "all", over, keepdim)
    return b.reduce(x, kind, over, keepdim)


@composite(vjp=_extremum_vjp, samples=of("f2x3x4", dim=(0, 2)))
def amax(b, x, *, dim=(), keepdim=False):
    """The largest element over the dimensions `dim`."""
    return _extremum(b, x, "max", dim, keepdim, "amax")


@composite(vjp=_extremum_vjp, samples=of("f2x3x4", dim=(0, 2)))
def amin(b, x, *, dim=(), keepdim=False):
    """The smallest element over the dimensions `dim`."""
    return _extremum(b, x, "min", dim, keepdim, "amin")


def _whole(b: Builder, x: Value, kind: str) -> Value:
    return _extremum(b, x, kind, None, False, kind)


@composite(vjp=_extremum_vjp, samples=of("f3x4"))
def max_all(b, x):
    """The largest element."""
    return _whole(b, x, "max")


@composite(vjp=_extremum_vjp, samples=of("f3x4"))
def min_all(b, x):
    """The smallest element."""
    return _whole(b, x, "min")


def _selected_vjp(b: Builder, op: Op, g: Value | None, _):
    """The whole gradient goes to the element that the index names."""
    x, index = op.operands[0], op.results[1]
    if g is None:
        return [None]
    if not x.rank:
        return [g]
    ax = axis(x, op.attrs["dim"])
    if not op.attrs["keepdim"]:
        g, index = unsqueeze(b, g, ax), unsqueeze(b, index, ax)
    return [masked(b, b.eq(iota_along(b, x.rank, ax, x.shape[ax]), index), g)]


def _best(b: Builder, x: Value, kind: str, dim: int, keepdim: bool) -> tuple[Value, Value]:
    ax = axis(x, dim)
    if not x.rank:
        return x, b.full(0, dtypes.i64, ())
    _check_not_empty(x, (ax,), kind)
    z = b.cast(x, dtypes.u8) if x.dtype.kind == "b" else x
    index = b.emit1("argreduce", z, kind=kind, axis=ax)
    value = b.cast(b.reduce(z, kind, (ax,), keepdim), x.dtype)
    return value, unsqueeze(b, index, ax) if keepdim else index


@composite(vjp=_selected_vjp, samples=of("f3x4", dim=1))
def max_dim(b, x, *, dim, keepdim=False):
    """The largest elements along `dim` and where they are first found."""
    return _best(b, x, "max", dim, keepdim)


@composite(vjp=_selected_vjp, samples=of("f3x4", dim=0, keepdim=True))
def min_dim(b, x, *, dim, keepdim=False):
    """The smallest elements along `dim` and where they are first found."""
    return _best(b, x, "min", dim, keepdim)


def _position(b: Builder, x: Value, kind: str, dim: int | None, keepdim: bool) -> Value:
    if x.dtype.kind == "b":
        raise NotImplementedError(f"\"arg{kind}_cpu\" not implemented for 'Bool'")
    if dim is None:
        if numel(x) == 0:
            raise IndexError(
                f"arg{kind}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        index = b.emit1("argreduce", flat(b, x), kind=kind, axis=0)
        return b.reshape(index, (1,) * x.rank) if keepdim else index
    return _best(b, x, kind, dim, keepdim)[1]


@composite(nondiff=True, samples=each(of("f3x4"), of("f3x4", dim=1)))
def argmax(b, x, *, dim=None, keepdim=False):
    """Where the largest element is (in the flat tensor without `dim`)."""
    return _position(b, x, "max", dim, keepdim)


@composite(nondiff=True, samples=each(of("f3x4"), of("f3x4", dim=1)))
def argmin(b, x, *, dim=None, keepdim=False):
    """Where the smallest element is (in the flat tensor without `dim`)."""
    return _position(b, x, "min", dim, keepdim)


def _quantifier(b: Builder, x: Value, kind: str, dim, keepdim: bool) -> Value:
    y = b.reduce(b.cast(x, dtypes.b1), kind, axes(x, dim), keepdim)
    return b.cast(y, dtypes.u8) if x.dtype is dtypes.u8 else y


@composite("all", nondiff=True, samples=each(of("b3x4"), of("b3x4", dim=1)))
def all_(b, x, *, dim=None, keepdim=False):
    """Whether every element over `dim` is true (nonzero)."""
    return _quantifier(b, x, "all", dim, keepdim)


@composite("any", nondiff=True, samples=each(of("b3x4"), of("b3x4", dim=1)))
def any_(b, x, *, dim=None, keepdim=False):
    """Whether some element over `dim` is true (nonzero)."""
    return _quantifier(b, x, "any", dim, keepdim)


@composite(nondiff=True, samples=of("i3x4<3", dim=0))
def count_nonzero(b, x, *, dim=None):
    """How many elements over `dim` are not zero."""
    return b.reduce(b.cast(b.cast(x, dtypes.b1), dtypes.i64), "sum", axes(x, dim))


@composite(nondiff=True, samples=of("i3x4<2", "i3x4<2"))
def equal(b, x, y):
    """Whether two tensors of one shape agree everywhere, as a 0-d bool."""
    return b.reduce(b.eq(x, y), "all", range(x.rank))


@composite(nondiff=True, samples=of("f3x4", "f3x4"))
def isclose(b, x, y, *, rtol=1e-05, atol=1e-08, equal_nan=False):
    """|x - y| <= atol + rtol * |y|, elementwise; infinities are close to themselves."""
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{spelled(x.dtype)} did not match {spelled(y.dtype)}")
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol:g}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol:g}")
    close = b.eq(x, y)
    if equal_nan and x.dtype.kind in "fc":
        close = b.logical_or(close, b.logical_and(b.isnan(x), b.isnan(y)))
    if rtol == 0 and atol == 0:
        return close
    x, y = as_float(b, x), as_float(b, y)
    allowed = b.add(b.mul(b.abs(y), rtol), atol)
    error = b.abs(b.sub(x, y))
    near = b.logical_and(b.isfinite(error), b.le(error, allowed))
    return b.logical_or(close, near)
