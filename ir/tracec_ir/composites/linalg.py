"""Factorisations and solutions of matrices: LAPACK as host functions, derivatives as ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.host import host_function
from ..promote import broadcast_shapes
from ..types import TensorType
from .common import iota_along, masked, numel, size, spelled, swap, take, unsqueeze, where


def _host(b: Builder, fn: str, *operands: Value, options: tuple = ()) -> Any:
    out = b.emit("host", operands, {"fn": fn, "options": options})
    return out[0] if len(out) == 1 else out


def _t(b: Builder, x: Value) -> Value:
    return swap(b, x, x.rank - 1, x.rank - 2)


def _h(b: Builder, x: Value) -> Value:
    return b.conj(_t(b, x))


def _hermitian(rule: Callable) -> Callable:
    """A derivative written for gradients (dL/du + i * dL/dv of x = u + i * v), as the formulas with
    conjugate transposes are, as one for the cotangents that ops exchange."""

    def vjp(b: Builder, op: Op, *grads: Value | None):
        found = rule(b, op, *(None if g is None else b.conj(g) for g in grads))
        return [None if d is None else b.conj(d) for d in found]

    return vjp


def _real(x: TensorType, shape: Any) -> TensorType:
    return TensorType(x.dtype.to_real(), tuple(shape))


def _mm(b: Builder, *factors: Value) -> Value:
    out = factors[0]
    for f in factors[1:]:
        out = b.matmul(out, f)
    return out


def _check_square(x: Value, name: str) -> None:
    _check_matrix(x, name)
    if not dims.same(x.shape[-1], x.shape[-2]):
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices"
        )


def _check_matrix(x: Value, name: str) -> None:
    if x.rank < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.dtype not in (dtypes.f32, dtypes.f64, dtypes.c64, dtypes.c128):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {spelled(x.dtype)}"
        )


def _eye(b: Builder, x: Value, n) -> Value:
    rank = x.rank
    return b.eq(iota_along(b, rank, rank - 2, n), iota_along(b, rank, rank - 1, n))


# -- inverse and solution -------------------------------------------------------------------------
@host_function("inv", lambda x: x)
def _np_inv(x: np.ndarray) -> np.ndarray:
    """The inverses of square matrices."""
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise RuntimeError(
            "linalg.inv: The diagonal element 1 is zero, the inversion could not be completed "
            "because "
            "the input matrix is singular."
        ) from None


def _inv_vjp(b: Builder, op: Op, g: Value):
    y = _t(b, op.results[0])
    return [b.neg(_mm(b, y, g, y))]


@composite("linalg_inv", vjp=_inv_vjp, autocast="single")
def linalg_inv(b, x):
    """The inverses of square matrices."""
    _check_square(x, "linalg.inv")
    return _host(b, "inv", x)


@host_function("solve", lambda a, y: y)
def _np_solve(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The solutions X of A X = Y."""
    try:
        return np.linalg.solve(a, y)
    except np.linalg.LinAlgError:
        raise RuntimeError(
            "torch.linalg.solve: The solver failed because the input matrix is singular."
        ) from None


def _solve_vjp(b: Builder, op: Op, g: Value):
    a, x = op.operands[0], op.results[0]
    gy = b.linalg_solve(_t(b, a), g)
    return [b.neg(_mm(b, gy, _t(b, x))), gy]


@composite("linalg_solve", vjp=_solve_vjp, autocast="single")
def linalg_solve(b, a, y):
    """The solutions X of A X = Y; the stacks have one shape."""
    _check_square(a, "linalg.solve")
    return _host(b, "solve", a, y)


@composite()
def solve(b, a, y, *, left=True):
    """The solutions of A X = B (or X A = B); stacks broadcast, B may hold vectors."""
    _check_square(a, "linalg.solve")
    vector = y.rank == 1 or (y.rank == a.rank - 1 and all(map(dims.same, y.shape, a.shape[:-1])))
    if vector:
        y = unsqueeze(b, y, y.rank)
    if not dims.same(a.shape[-1], y.shape[-2] if left else y.shape[-1]):
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a.shape[-2]}x{a.shape[-1]} and "
            f"{y.shape[-2]}x{y.shape[-1]})"
        )
    batch = broadcast_shapes(a.shape[:-2], y.shape[:-2])
    a = b.broadcast_to(a, (*batch, *a.shape[-2:]))
    y = b.broadcast_to(y, (*batch, *y.shape[-2:]))
    x = b.linalg_solve(a, y) if left else _t(b, b.linalg_solve(_t(b, a), _t(b, y)))
    return b.reshape(x, x.shape[:-1]) if vector else x


@composite()
def solve_triangular(b, a, y, *, upper, left=True, unitriangular=False):
    """`solve` with a triangle of A, its diagonal taken as ones if `unitriangular`."""
    _check_square(a, "linalg.solve_triangular")
    t = (
        b.triu(a, diagonal=1 if unitriangular else 0)
        if upper
        else b.tril(a, diagonal=-1 if unitriangular else 0)
    )
    if unitriangular:
        t = b.add(t, b.cast(_eye(b, a, a.shape[-1]), a.dtype))
    return b.solve(t, y, left=left)


# -- determinants ---------------------------------------------------------------------------------
@host_function(
    "slogdet", lambda x: (TensorType(x.dtype, x.shape[:-2]), _real(x, x.shape[:-2]))
)
def _np_slogdet(x: np.ndarray) -> tuple:
    """Signs and logarithms of the magnitudes of determinants."""
    sign, log = np.linalg.slogdet(x)
    return np.asarray(sign, x.dtype), np.asarray(log, x.real.dtype)


def _slogdet_vjp(b: Builder, op: Op, gs: Value | None, g: Value | None):
    x, sign = op.operands[0], op.results[0]
    if x.dtype.kind == "c" and gs is not None:
        turn = b.neg(b.imag(b.mul(b.conj(gs), sign)))
        g = b.complex(b.zeros_like(turn) if g is None else g, turn)
    if g is None:
        return [None]
    wide = unsqueeze(b, unsqueeze(b, g, g.rank), g.rank + 1)
    return [b.mul(wide, _h(b, b.linalg_inv(x)))]


@composite(vjp=_hermitian(_slogdet_vjp))
def slogdet(b, x):
    """Signs and logarithms of the magnitudes of determinants."""
    _check_square(x, "linalg.slogdet")
    return _host(b, "slogdet", x)


# The cofactors, from the singular values: a singular matrix has a gradient too.
def _det_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    u, s, vh = b.svd(x)
    n = x.shape[-1]
    # product of the other singular values, place by place
    others = b.broadcast_to(unsqueeze(b, s, s.rank - 1), (*s.shape[:-1], n, n))
    others = where(b, _eye(b, x, n), 1.0, others)
    others = b.reduce(others, "prod", (others.rank - 1,))
    signs = [b.det_of_orthogonal(q) for q in (u, vh)]
    sign = b.mul(*(signs if x.dtype.kind == "c" else [b.round(q) for q in signs]))
    cofactors = _mm(b, b.mul(b.conj(u), unsqueeze(b, others, others.rank - 1)), b.conj(vh))
    scale = b.mul(g, sign)
    return [b.mul(unsqueeze(b, unsqueeze(b, scale, scale.rank), scale.rank + 1), cofactors)]


@composite(vjp=_det_vjp)
def det(b, x):
    """The determinants of square matrices."""
    _check_square(x, "linalg.det")
    sign, log = b.slogdet(x)
    return b.mul(sign, b.exp(log))


@composite(nondiff=True)
def det_of_orthogonal(b, x):
    """The signs of determinants."""
    return _host(b, "slogdet", x)[0]


# -- factorisations -------------------------------------------------------------------------------
@host_function("cholesky", lambda x: x)
def _np_cholesky(x: np.ndarray) -> np.ndarray:
    """The lower triangular factors of positive definite matrices."""
    try:
        return np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        raise RuntimeError(
            "linalg.cholesky: The factorization could not be completed because the input is not "
            "positive-definite (the leading minor of order 1 is not positive-definite)."
        ) from None


def _cholesky_vjp(b: Builder, op: Op, g: Value):
    lower = op.results[0]
    turn = _mm(b, _h(b, lower), g)
    middle = b.add(b.tril(turn), _h(b, b.tril(turn, diagonal=-1)))
    half = b.linalg_solve(_h(b, lower), b.mul(middle, 0.5))
    return [_t(b, b.linalg_solve(_t(b, lower), _t(b, half)))]


@composite(vjp=_hermitian(_cholesky_vjp), autocast="single")
def cholesky(b, x):
    """The lower triangular L with L Lᴴ = x."""
    _check_square(x, "linalg.cholesky")
    return _host(b, "cholesky", x)


@host_function("eigh", lambda x: (_real(x, x.shape[:-1]), x))
def _np_eigh(x: np.ndarray) -> tuple:
    """Eigenvalues in ascending order and eigenvectors of symmetric matrices (lower triangle)."""
    return tuple(np.linalg.eigh(x))


def _eigh_vjp(b: Builder, op: Op, gw: Value | None, gv: Value | None):
    w, v = op.results
    n = w.shape[-1]
    inner: Any = None
    if gv is not None:
        gap = b.sub(unsqueeze(b, w, w.rank - 1), unsqueeze(b, w, w.rank))
        on = _eye(b, v, n)
        inner = where(b, on, 0.0, b.div(_mm(b, _h(b, v), gv), where(b, on, 1.0, gap)))
    if gw is not None:
        diagonal = masked(b, _eye(b, v, n), unsqueeze(b, gw, gw.rank))
        inner = diagonal if inner is None else b.add(inner, diagonal)
    whole = _mm(b, v, b.cast(inner, v.dtype), _h(b, v))
    return [b.mul(b.add(whole, _h(b, whole)), 0.5)]


@composite(vjp=_hermitian(_eigh_vjp))
def eigh(b, x):
    """Eigenvalues and eigenvectors of symmetric matrices (the lower triangle is read)."""
    _check_square(x, "linalg.eigh")
    return _host(b, "eigh", x)


def _qr_types(x: TensorType, complete: bool) -> tuple:
    m, n = x.shape[-2:]
    k = m if complete else dims.minimum(m, n)
    return x.with_shape((*x.shape[:-1], k)), x.with_shape((*x.shape[:-2], k, n))


@host_function("qr", _qr_types)
def _np_qr(x: np.ndarray, complete: bool) -> tuple:
    """Orthogonal and upper triangular factors."""
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    return q, r


def _qr_vjp(b: Builder, op: Op, gq: Value | None, gr: Value | None):
    x = op.operands[0]
    q, r = op.results
    m, n = x.shape[-2:]
    if op.attrs["mode"] == "complete" and m != n:
        raise NotImplementedError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if m < n:
        return [_wide_qr_grad(b, x, q, r, gq, gr)]
    return [_tall_qr_grad(b, q, r, gq, gr)]


def _wide_qr_grad(b: Builder, x: Value, q: Value, r: Value, gq: Value | None, gr: Value | None):
    """x = [a | c], q r = [q u | q v]: a is a square matrix with the factors q and u."""
    m, n = x.shape[-2:]
    ax = x.rank - 1
    if gr is None:
        gr = b.zeros_like(r)
    right, u = take(b, x, ax, m, n), take(b, r, ax, 0, m)
    gu, gv = take(b, gr, ax, 0, m), take(b, gr, ax, m, n)
    turn = _mm(b, right, _h(b, gv))
    gq = turn if gq is None else b.add(gq, turn)
    return b.emit1("concat", _tall_qr_grad(b, q, u, gq, gu), _mm(b, q, gv), axis=ax)


def _tall_qr_grad(b: Builder, q: Value, r: Value, gq: Value | None, gr: Value | None) -> Value:
    middle = None
    if gr is not None:
        middle = _mm(b, r, _h(b, gr))
    if gq is not None:
        turn = b.neg(_mm(b, _h(b, gq), q))
        middle = turn if middle is None else b.add(middle, turn)
    if q.dtype.kind == "c":  # the diagonal of r is real
        on = _eye(b, middle, middle.shape[-1])
        middle = where(b, on, b.cast(b.real(middle), middle.dtype), middle)
    lower = b.tril(middle)
    strict = b.tril(middle, diagonal=-1)
    right = _mm(b, q, b.add(lower, _h(b, strict)))
    total = right if gq is None else b.add(gq, right)
    return _h(b, b.linalg_solve(r, _h(b, total)))


@composite("linalg_qr", vjp=_hermitian(_qr_vjp), autocast="single")
def linalg_qr(b, x, *, mode="reduced"):
    """Orthogonal Q and upper triangular R with Q R = x."""
    _check_matrix(x, "linalg.qr")
    return _host(b, "qr", x, options=(mode == "complete",))


def _svd_types(x: TensorType, full: bool) -> tuple:
    m, n = x.shape[-2:]
    k = dims.minimum(m, n)
    lead = x.shape[:-2]
    return (
        x.with_shape((*lead, m, m if full else k)), _real(x, (*lead, k)),
        x.with_shape((*lead, n if full else k, n)),
    )  # fmt: skip


@host_function("svd", _svd_types)
def _np_svd(x: np.ndarray, full: bool) -> tuple:
    """Left singular vectors, singular values in descending order, right singular vectors."""
    return tuple(np.linalg.svd(x, full_matrices=full))


def _svd_vjp(b: Builder, op: Op, gu: Value | None, gs: Value | None, gvh: Value | None):
    u, s, vh = op.results
    k = s.shape[-1]
    if op.attrs["full_matrices"]:  # the vectors beyond the first k are not determined
        u, vh = take(b, u, u.rank - 1, 0, k), take(b, vh, vh.rank - 2, 0, k)
        gu = None if gu is None else take(b, gu, gu.rank - 1, 0, k)
        gvh = None if gvh is None else take(b, gvh, gvh.rank - 2, 0, k)
    on = _eye(b, unsqueeze(b, s, s.rank), k)
    row, column = unsqueeze(b, s, s.rank - 1), unsqueeze(b, s, s.rank)
    gap = where(b, on, 1.0, b.sub(b.mul(row, row), b.mul(column, column)))
    inner: Any = None
    if gs is not None:
        inner = masked(b, on, unsqueeze(b, gs, gs.rank))
    if gu is not None:
        turn = _mm(b, _h(b, u), gu)
        skew = b.sub(turn, _h(b, turn))
        part = b.mul(b.div(skew, gap), row)
        if u.dtype.kind == "c":  # the phases of pairs of vectors
            part = where(b, on, b.div(b.mul(skew, 0.5), row), part)
        inner = part if inner is None else b.add(inner, part)
    if gvh is not None:
        turn = _mm(b, vh, _h(b, gvh))
        part = b.mul(column, masked(b, b.logical_not(on), b.div(b.sub(turn, _h(b, turn)), gap)))
        inner = part if inner is None else b.add(inner, part)
    out = _mm(b, u, b.cast(inner, u.dtype), vh)
    m, n = op.operands[0].shape[-2:]
    if gu is not None and not dims.same(m, k):
        rest = b.sub(gu, _mm(b, u, _h(b, u), gu))
        out = b.add(out, _mm(b, b.div(rest, row), vh))
    if gvh is not None and not dims.same(n, k):
        rest = b.sub(gvh, _mm(b, gvh, _h(b, vh), vh))
        out = b.add(out, _mm(b, u, b.div(rest, column)))
    return [out]


@composite(vjp=_hermitian(_svd_vjp))
def svd(b, x, *, full_matrices=False):
    """U, S and Vh with U diag(S) Vh = x."""
    _check_matrix(x, "linalg.svd")
    return _host(b, "svd", x, options=(full_matrices,))


# Golub and Pereyra's formula: it holds for rank-deficient and for symmetric matrices too.
def _pinv_vjp(b: Builder, op: Op, g: Value):
    a, p = op.operands[0], op.results[0]
    pt, gt = _h(b, p), _h(b, g)
    if a.shape[-2] <= a.shape[-1]:
        k = _mm(b, gt, p)
        turned = _mm(b, k, pt)
        parts = [turned, b.neg(_mm(b, a, p, turned)), _mm(b, pt, p, b.sub(gt, _mm(b, k, a)))]
        out = b.neg(_h(b, _mm(b, p, k)))
    else:
        k = _mm(b, p, gt)
        turned = _mm(b, pt, k)
        parts = [_mm(b, b.sub(gt, _mm(b, a, k)), p, pt), turned, b.neg(_mm(b, turned, p, a))]
        out = b.neg(_h(b, _mm(b, k, p)))
    for part in parts:
        out = b.add(out, part)
    return [out]


@composite(vjp=_hermitian(_pinv_vjp))
def pinv(b, x, *, atol=0.0, rtol=None, hermitian=False):
    """The pseudo-inverse; singular values up to max(atol, rtol * the largest) count as zero."""
    _check_matrix(x, "linalg.pinv")
    if numel(x) == 0:
        return b.full(0, x.dtype, (*x.shape[:-2], x.shape[-1], x.shape[-2]))
    rtol = _default_rtol(b, x, atol) if rtol is None else rtol
    if hermitian:
        w, v = b.eigh(x)
        large = b.abs(w)
        keep = b.gt(
            large, b.maximum(b.mul(b.reduce(large, "max", (large.rank - 1,), True), rtol), atol)
        )
        inverse = masked(b, keep, b.reciprocal(where(b, keep, w, 1.0)))
        return _mm(b, b.mul(v, unsqueeze(b, inverse, inverse.rank - 1)), _h(b, v))
    u, s, vh = b.svd(x)
    top = b.detach(b.reduce(s, "max", (s.rank - 1,), True))
    keep = b.gt(s, b.maximum(b.mul(top, rtol), atol))
    inverse = masked(b, keep, b.reciprocal(where(b, keep, s, 1.0)))
    return _mm(b, b.mul(_h(b, vh), unsqueeze(b, inverse, inverse.rank - 1)), _h(b, u))


def _default_rtol(b: Builder, x: Value, atol: float):
    if atol:
        return 0.0
    n = size(b, dims.maximum(*x.shape[-2:]), x.dtype.to_real())
    eps = float(np.finfo(x.dtype.numpy_name).eps)
    return n * eps if isinstance(n, int) else b.mul(n, eps)


@composite(nondiff=True)
def matrix_rank(b, x, *, atol=0.0, rtol=None, hermitian=False):
    """How many singular values (or magnitudes of eigenvalues) are above the tolerance."""
    _check_matrix(x, "linalg.matrix_rank")
    if numel(x) == 0:
        return b.full(0, dtypes.i64, x.shape[:-2])
    rtol = _default_rtol(b, x, atol) if rtol is None else rtol
    s = b.abs(b.eigh(x)[0]) if hermitian else b.svd(x)[1]
    top = b.reduce(s, "max", (s.rank - 1,), True)
    keep = b.gt(s, b.maximum(b.mul(top, rtol), atol))
    return b.reduce(b.cast(keep, dtypes.i64), "sum", (keep.rank - 1,))


@composite()
def matrix_norm(b, x, *, ord="fro", dim=(-2, -1), keepdim=False):
    """The norms of matrices in two dimensions."""
    if x.rank < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    first, second = (d % x.rank for d in dim)
    if first == second:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return b.vector_norm(x, ord=2.0, dim=(first, second), keepdim=keepdim)
    if ord in (1, -1, float("inf"), float("-inf")):
        over, then = (first, second) if abs(ord) == 1 else (second, first)
        total = b.reduce(b.abs(x), "sum", (over,), True)
        y = (
            b.amax(total, dim=then, keepdim=True)
            if ord > 0
            else b.amin(total, dim=then, keepdim=True)
        )
    elif ord in ("nuc", 2, -2):
        lead = [i for i in range(x.rank) if i not in (first, second)]
        s = b.svd(b.permute(x, [*lead, first, second]))[1]
        ax = s.rank - 1
        y = (
            b.sum(s, dim=ax)
            if ord == "nuc"
            else b.amax(s, dim=ax)
            if ord == 2
            else b.amin(s, dim=ax)
        )
        y = b.reshape(y, [1 if i in (first, second) else n for i, n in enumerate(x.shape)])
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        return y
    return b.reshape(y, [n for i, n in enumerate(x.shape) if i not in (first, second)])


@host_function("expm", lambda x: x)
def _np_expm(x: np.ndarray) -> np.ndarray:
    """Matrix exponentials: a Taylor polynomial of the matrix scaled down, squared back up."""
    z = x.astype(np.result_type(x.dtype, np.float64))
    size = np.abs(z).sum(-1).max(initial=0.0) if z.size else 0.0
    halvings = max(0, int(np.ceil(np.log2(size))) + 1) if size > 0 else 0
    z = z / 2.0**halvings
    term = total = np.broadcast_to(np.eye(z.shape[-1]), z.shape)
    for k in range(1, 20):
        term = term @ z / k
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total.astype(x.dtype)


# exp([[Aᵀ, g], [0, Aᵀ]]) holds the derivative in its upper right corner.
def _matrix_exp_vjp(b: Builder, op: Op, g: Value):
    a = _t(b, op.operands[0])
    n = a.shape[-1]
    zero = b.zeros_like(a)
    top = b.emit1("concat", a, g, axis=a.rank - 1)
    bottom = b.emit1("concat", zero, a, axis=a.rank - 1)
    y = b.matrix_exp(b.emit1("concat", top, bottom, axis=a.rank - 2))
    lead = a.shape[:-2]
    zeros = (0,) * len(lead)
    ones = (1,) * a.rank
    return [b.emit1("slice", y, starts=(*zeros, 0, n), stops=(*lead, n, 2 * n), steps=ones)]


@composite(vjp=_matrix_exp_vjp)
def matrix_exp(b, x):
    """The exponentials of square matrices."""
    _check_square(x, "linalg.matrix_exp")
    return _host(b, "expm", x)
