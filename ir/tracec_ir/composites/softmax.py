"""The softmax family: rows normalised through their exponentials."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import INF, axes, axis, where, wide
from .samples import each, of


def _row(b: Builder, x: Value, dim: int, dtype) -> tuple[Value, int]:
    """x in its working type, at least 1-d, and the axis."""
    if dtype is not None:
        x = b.cast(x, dtype)
    ax = axis(x, dim)
    z = wide(b, x)
    return (z if z.rank else b.reshape(z, (1,))), ax


def _finish(b: Builder, y: Value, x: Value, dtype) -> Value:
    if dtype is None:
        dtype = x.dtype
        if dtype.kind in "biu":
            from .common import spelled

            raise NotImplementedError(
                f"\"softmax_lastdim_kernel_impl\" not implemented for '{spelled(dtype)}'"
            )
    return b.reshape(b.cast(y, dtype), x.shape)


# From the result: one row kernel, nothing of the forward pass is evaluated again.
def _softmax_vjp(b: Builder, op: Op, g: Value):
    y, x = op.results[0], op.operands[0]
    ax = axis(x, op.attrs["dim"])
    y, gw = wide(b, y), wide(b, g)
    gy = b.mul(gw, y)
    dx = b.sub(gy, b.mul(y, b.reduce(gy, "sum", (ax,), True)))
    return [b.cast(dx, x.dtype)]


@composite(
    vjp=_softmax_vjp,
    samples=each(of("w3x4", dim=1), of("w2x3x4", dim=-2), of("f3x4", dim=0, dtype=dtypes.f64)),
)
def softmax(b, x, *, dim, dtype=None):
    """exp(x) divided by its sum along `dim`."""
    z, ax = _row(b, x, dim, dtype)
    if z.shape[ax] == 0:
        return _finish(b, z, x, dtype)
    e = b.exp(b.sub(z, b.reduce(z, "max", (ax,), True)))
    return _finish(b, b.div(e, b.reduce(e, "sum", (ax,), True)), x, dtype)


def _log_softmax_vjp(b: Builder, op: Op, g: Value):
    y, x = op.results[0], op.operands[0]
    ax = axis(x, op.attrs["dim"])
    y, gw = wide(b, y), wide(b, g)
    dx = b.sub(gw, b.mul(b.exp(y), b.reduce(gw, "sum", (ax,), True)))
    return [b.cast(dx, x.dtype)]


@composite(vjp=_log_softmax_vjp, samples=each(of("w3x4", dim=-1), of("w2x3x4", dim=1)))
def log_softmax(b, x, *, dim, dtype=None):
    """log(softmax(x)) along `dim` without overflow."""
    z, ax = _row(b, x, dim, dtype)
    if z.shape[ax] == 0:
        return _finish(b, z, x, dtype)
    d = b.sub(z, b.reduce(z, "max", (ax,), True))
    return _finish(b, b.sub(d, b.log(b.reduce(b.exp(d), "sum", (ax,), True))), x, dtype)


@composite(samples=of("w3x4", dim=1))
def softmin(b, x, *, dim, dtype=None):
    """softmax of -x."""
    return b.softmax(b.neg(x), dim=dim, dtype=dtype)


def _safe_softmax_vjp(b: Builder, op: Op, g: Value):
    return _softmax_vjp(b, op, g)


@composite(
    vjp=_safe_softmax_vjp,
    samples=each(
        of("w3x4", dim=1), of(lambda: np.array([[1.0, -np.inf], [-np.inf, -np.inf]]), dim=1)
    ),
)
def safe_softmax(b, x, *, dim):
    """softmax, but zeros for rows that are -inf throughout."""
    ax = axis(x, dim)
    z = wide(b, x)
    top = b.reduce(z, "max", (ax,), True)
    e = b.exp(b.sub(z, where(b, b.eq(top, -INF), 0.0, top)))
    total = b.reduce(e, "sum", (ax,), True)
    return b.cast(b.div(e, where(b, b.eq(total, 0.0), 1.0, total)), x.dtype)


# exp(x - y) never overflows; the composed rule would divide by a sum that may be 0 or inf.
def _logsumexp_vjp(b: Builder, op: Op, g: Value):
    x, y = op.operands[0], op.results[0]
    over = axes(x, op.attrs["dim"])
    keep = [1 if i in over else s for i, s in enumerate(x.shape)]
    y, gk = b.reshape(wide(b, y), keep), b.reshape(wide(b, g), keep)
    re = b.real(y)
    safe = where(b, b.eq(b.abs(re), INF), 0.0, y)
    return [b.cast(b.mul(gk, b.exp(b.sub(wide(b, x), safe))), x.dtype)]


@composite(
    vjp=_logsumexp_vjp, samples=each(of("w3x4", dim=(1,)), of("w2x3x4", dim=(0, 2), keepdim=True))
)
def logsumexp(b, x, *, dim, keepdim=False):
    """log(sum(exp(x))) along `dim` without overflow."""
    over = axes(x, dim)
    z = wide(b, x)
    if any(x.shape[a] == 0 for a in over):
        shape = [1 if i in over else s for i, s in enumerate(x.shape) if keepdim or i not in over]
        return b.full(-INF, z.dtype if x.dtype.kind not in "fc" else x.dtype, shape)
    top = b.reduce(b.real(z), "max", over, True)
    top = where(b, b.eq(b.abs(top), INF), 0.0, top)
    total = b.log(b.reduce(b.exp(b.sub(z, top)), "sum", over, True))
    out_dtype = x.dtype if x.dtype.kind in "fc" else z.dtype
    y = b.cast(b.add(total, top), out_dtype)
    if keepdim:
        return y
    return b.reshape(y, [s for i, s in enumerate(x.shape) if i not in over])
