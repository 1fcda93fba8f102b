"""Least squares: the X that makes |A X - B| smallest, and of these the smallest."""

from __future__ import annotations

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.host import host_function, leading
from ..promote import broadcast_shapes
from ..types import TensorType
from .common import same_shape, spelled, squeeze, unsqueeze
from .linalg import pinv_grad
from .matrices import LAPACK, adjoint, hermitian, host, product, real_type
from .samples import of
from .triangular import substitute

DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


def _lstsq_types(x: TensorType, y: TensorType, rcond: float | None, driver: str) -> tuple:
    lead, (m, n), columns = x.shape[:-2], x.shape[-2:], y.shape[-1]
    return (
        TensorType(x.dtype, (*lead, n, columns)), real_type(x, (*lead, columns)),
        TensorType(dtypes.i64, lead), real_type(x, (*lead, dims.minimum(m, n))),
    )  # fmt: skip


@host_function("lstsq", _lstsq_types, batch=leading)
def _np_lstsq(x: np.ndarray, y: np.ndarray, rcond: float | None, driver: str) -> tuple:
    """Solutions, sums of squares of what is left over, ranks and singular values."""
    m, n = x.shape[-2:]
    small, kind = min(m, n), np.result_type(x.dtype, np.float64)
    a, c, lead = x.astype(kind), y.astype(kind), x.shape[:-2]
    rank, s = np.full(lead, small, np.int64), np.zeros((*lead, small))
    if not a.size or not c.size:
        out = np.zeros((*lead, n, c.shape[-1]), kind)
        if driver != "gels":
            rank[...] = 0
    elif driver == "gels":
        out = _of_full_rank(a, c)
    else:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        limit = np.finfo(x.dtype).eps * max(m, n) if rcond is None else rcond
        keep = s > limit * s.max(axis=-1, keepdims=True)
        rank = keep.sum(axis=-1)
        inverse = np.where(keep, 1 / np.where(keep, s, 1), 0)
        part = (u.conj().swapaxes(-1, -2) @ c) * inverse[..., None]
        out = vh.conj().swapaxes(-1, -2) @ part
    left = a @ out - c
    squares = (left.real**2 + left.imag**2).sum(axis=-2)
    real = x.real.dtype
    return out.astype(x.dtype), squares.astype(real), np.asarray(rank, np.int64), s.astype(real)


def _of_full_rank(a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The solutions from QR factors."""
    tall = a.shape[-2] >= a.shape[-1]
    q, r = np.linalg.qr(a if tall else a.conj().swapaxes(-1, -2))
    with np.errstate(all="ignore"):
        if tall:
            out = q.conj().swapaxes(-1, -2) @ c
            substitute(r, out, upper=True, unit=False)
            return out
        out = c.copy()
        substitute(r.conj().swapaxes(-1, -2), out, upper=False, unit=False)
        return q @ out


# X is the pseudo-inverse of A times B.
def _lstsq_vjp(b: Builder, op: Op, gx: Value | None, gr: Value | None, *_):
    (a, y), x = op.operands, op.results[0]
    ga = gy = None
    if gx is not None:
        p = b.pinv(a)
        ga, gy = pinv_grad(b, a, p, product(b, gx, adjoint(b, y))), product(b, adjoint(b, p), gx)
    if gr is not None:
        left = b.mul(b.sub(product(b, a, x), y), b.mul(unsqueeze(b, gr, gr.rank - 1), 2.0))
        turn = product(b, left, adjoint(b, x))
        ga = turn if ga is None else b.add(ga, turn)
        gy = b.neg(left) if gy is None else b.sub(gy, left)
    return [ga, gy]


@composite(vjp=hermitian(_lstsq_vjp), samples=of("d4x2", "d4x3"))
def linalg_lstsq(b, x, y, *, rcond=None, driver="gelsy"):
    """`lstsq` of stacks of one shape."""
    return host(b, "lstsq", x, y, options=(rcond, driver))


@composite(samples=of("d4x2", "d4x3"))
def lstsq(b, x, y, *, rcond=None, driver="gelsy"):
    """The X that makes |A X - B| smallest, the squares of the rest, ranks, singular values;
    B may hold vectors."""
    name = "torch.linalg.lstsq"
    if x.rank < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if y.rank < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype "
            f"{spelled(x.dtype)} and other's dtype {spelled(y.dtype)}"
        )
    if driver not in DRIVERS:
        raise RuntimeError(f"{name}: parameter `driver` should be one of ({', '.join(DRIVERS)})")
    if x.dtype not in LAPACK:
        raise RuntimeError("This function doesn't handle types other than float and double")
    if not x.rank - 1 <= y.rank <= x.rank:
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - "
            "other.dim()) <= 1"
        )
    vector = y.rank == x.rank - 1 and same_shape(y.shape, x.shape[:-1])
    if vector:
        y = unsqueeze(b, y, y.rank)
    if y.rank < 2 or not dims.same(x.shape[-2], y.shape[-2]):
        raise RuntimeError(f"{name}: input.size(-2) should match other.size(-2)")
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = b.broadcast_to(x, (*batch, *x.shape[-2:]))
    y = b.broadcast_to(y, (*batch, *y.shape[-2:]))
    out, *others = b.linalg_lstsq(x, y, rcond=rcond, driver=driver)
    return (squeeze(b, out, out.rank - 1) if vector else out, *others)
