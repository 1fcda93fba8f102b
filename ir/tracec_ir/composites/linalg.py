"""Factorisations and solutions of matrices: LAPACK as host functions, derivatives as ops."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..errors import LinAlgError
from ..optable import composite
from ..prims.host import host_function, leading
from ..promote import broadcast_shapes
from ..types import TensorType
from .common import is_number, masked, numel, size, take, unsqueeze, where
from .lu import zero_pivot
from .matrices import (
    adjoint,
    check_kernel,
    check_matrix,
    check_square,
    hermitian,
    host,
    on_diagonal,
    product,
    real_type,
    transposed,
    where_in_stack,
)
from .samples import each, of, positive_definite
from .triangular import above


# -- inverse and solution -------------------------------------------------------------------------
@host_function("inv", lambda x: x, batch=leading)
def _np_inv(x: np.ndarray) -> np.ndarray:
    """The inverses of square matrices."""
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        at, row = zero_pivot(x)
        raise LinAlgError(
            f"linalg.inv: {where_in_stack(x.shape[:-2], at)}The diagonal element {row} is zero, "
            "the inversion could not be completed because the input matrix is singular."
        ) from None


def _inv_vjp(b: Builder, op: Op, g: Value | None, *_):
    if g is None:
        return [None]
    y = transposed(b, op.results[0])
    return [b.neg(product(b, y, g, y))]


@composite("linalg_inv", vjp=_inv_vjp, autocast="single", samples=of(positive_definite(2, 3, 3)))
def linalg_inv(b, x):
    """The inverses of square matrices."""
    check_square(x, "linalg.inv")
    return host(b, "inv", x)


@composite(vjp=_inv_vjp, autocast="single", samples=of(positive_definite(2, 3, 3)))
def inv_ex(b, x):
    """The inverses of square matrices, and the places of zero pivots of those without one."""
    check_square(x, "linalg.inv")
    both, pivots, info = b.lu_factor(x)
    ones = b.broadcast_to(b.cast(on_diagonal(b, x), x.dtype), x.shape)
    return b.lu_solve(both, pivots, ones), info


@host_function("solve", lambda a, y: y, batch=leading)
def _np_solve(a: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The solutions X of A X = Y."""
    try:
        return np.linalg.solve(a, y)
    except np.linalg.LinAlgError:
        at, _ = zero_pivot(a)
        raise LinAlgError(
            f"torch.linalg.solve: {where_in_stack(a.shape[:-2], at)}The solver failed because the "
            "input matrix is singular."
        ) from None


def _solve_vjp(b: Builder, op: Op, g: Value | None, *_):
    if g is None:
        return [None, None]
    a, x = op.operands[0], op.results[0]
    gy = b.linalg_solve(transposed(b, a), g)
    return [b.neg(product(b, gy, transposed(b, x))), gy]


@composite(
    "linalg_solve",
    vjp=_solve_vjp,
    autocast="single",
    samples=of(positive_definite(2, 3, 3), "d2x3x2"),
)
def linalg_solve(b, a, y):
    """The solutions X of A X = Y; the stacks have one shape."""
    check_square(a, "linalg.solve")
    return host(b, "solve", a, y)


@composite(vjp=_solve_vjp, samples=of(positive_definite(2, 3, 3), "d2x3x2"))
def linalg_solve_ex(b, a, y):
    """The solutions X of A X = Y, and the places of zero pivots of matrices without one."""
    both, pivots, info = b.lu_factor(a)
    return b.lu_solve(both, pivots, y), info


def _equation(b: Builder, a: Value, y: Value, left: bool, name: str) -> tuple[Value, Value, bool]:
    """The operands of A X = B in stacks of one shape, and whether B holds vectors."""
    check_square(a, name)
    vector = y.rank == 1 or (y.rank == a.rank - 1 and all(map(dims.same, y.shape, a.shape[:-1])))
    if vector:
        y = unsqueeze(b, y, y.rank)
    if not dims.same(a.shape[-1], y.shape[-2] if left else y.shape[-1]):
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a.shape[-2]}x{a.shape[-1]} and "
            f"{y.shape[-2]}x{y.shape[-1]})"
        )
    batch = broadcast_shapes(a.shape[:-2], y.shape[:-2])
    a = b.broadcast_to(a, (*batch, *a.shape[-2:]))
    y = b.broadcast_to(y, (*batch, *y.shape[-2:]))
    return (a, y, vector) if left else (transposed(b, a), transposed(b, y), vector)


def _solution(b: Builder, x: Value, left: bool, vector: bool) -> Value:
    x = x if left else transposed(b, x)
    return b.reshape(x, x.shape[:-1]) if vector else x


@composite(autocast="single", samples=of(positive_definite(2, 3, 3), "d2x3x2"))
def solve(b, a, y, *, left=True):
    """The solutions of A X = B (or X A = B); stacks broadcast, B may hold vectors."""
    a, y, vector = _equation(b, a, y, left, "linalg.solve")
    return _solution(b, b.linalg_solve(a, y), left, vector)


@composite(autocast="single", samples=of(positive_definite(2, 3, 3), "d2x3x2"))
def solve_ex(b, a, y, *, left=True):
    """`solve`, and the places of zero pivots of matrices without a solution."""
    a, y, vector = _equation(b, a, y, left, "linalg.solve")
    x, info = b.linalg_solve_ex(a, y)
    return _solution(b, x, left, vector), info


@composite(autocast="single", samples=of(positive_definite(2, 3, 3), "d2x3x2", upper=True))
def solve_triangular(b, a, y, *, upper, left=True, unitriangular=False):
    """`solve` with a triangle of A, its diagonal taken as ones if `unitriangular`."""
    a, y, vector = _equation(b, a, y, left, "linalg.solve_triangular")
    x = b.triangular(a, y, upper=upper if left else not upper, unit=unitriangular)
    return _solution(b, x, left, vector)


# -- determinants ---------------------------------------------------------------------------------
@host_function(
    "slogdet",
    lambda x: (TensorType(x.dtype, x.shape[:-2]), real_type(x, x.shape[:-2])),
    batch=leading,
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
    return [b.mul(wide, adjoint(b, b.linalg_inv(x)))]


@composite(vjp=hermitian(_slogdet_vjp), samples=of(positive_definite(2, 3, 3)))
def slogdet(b, x):
    """Signs and logarithms of the magnitudes of determinants."""
    check_square(x, "linalg.slogdet")
    return host(b, "slogdet", x)


# The cofactors, from the singular values: a singular matrix has a gradient too.
def _det_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    u, s, vh = b.svd(x)
    n = x.shape[-1]
    # product of the other singular values, place by place
    others = b.broadcast_to(unsqueeze(b, s, s.rank - 1), (*s.shape[:-1], n, n))
    others = where(b, on_diagonal(b, x), 1.0, others)
    others = b.reduce(others, "prod", (others.rank - 1,))
    signs = [b.det_of_orthogonal(q) for q in (u, vh)]
    sign = b.mul(*(signs if x.dtype.kind == "c" else [b.round(q) for q in signs]))
    cofactors = product(b, b.mul(b.conj(u), unsqueeze(b, others, others.rank - 1)), b.conj(vh))
    scale = b.mul(g, sign)
    return [b.mul(unsqueeze(b, unsqueeze(b, scale, scale.rank), scale.rank + 1), cofactors)]


@composite(vjp=_det_vjp, samples=of(positive_definite(2, 3, 3)))
def det(b, x):
    """The determinants of square matrices."""
    check_square(x, "linalg.det")
    sign, log = b.slogdet(x)
    return b.mul(sign, b.exp(log))


@composite(nondiff=True, samples=of(lambda: np.eye(3)[[1, 0, 2]]))
def det_of_orthogonal(b, x):
    """The signs of determinants."""
    return host(b, "slogdet", x)[0]


# -- factorisations -------------------------------------------------------------------------------
def _cholesky_types(x: TensorType, upper: bool, name: str) -> tuple:
    return x, TensorType(dtypes.i32, x.shape[:-2])


@host_function("cholesky", _cholesky_types, batch=leading)
def _np_cholesky(x: np.ndarray, upper: bool, name: str) -> tuple:
    """The lower triangular factors, and the orders of minors that are not positive definite."""
    x = x.conj().swapaxes(-1, -2) if upper else x
    info = np.zeros(x.shape[:-2], np.int32)
    try:
        return np.linalg.cholesky(x), info
    except np.linalg.LinAlgError:
        pass
    out = np.tril(x)
    for at in np.ndindex(info.shape):
        info[at] = order = _indefinite_minor(x[at])
        good = order - 1 if order else x.shape[-1]
        out[at][:good, :good] = np.linalg.cholesky(x[at][:good, :good])
        if order and name:
            number = int(np.ravel_multi_index(at, info.shape)) if at else 0
            raise LinAlgError(
                f"{name}: {where_in_stack(info.shape, number)}The factorization could not be "
                "completed because the input is not positive-definite (the leading minor of order "
                f"{order} is not positive-definite)."
            )
    return out, info


def _indefinite_minor(x: np.ndarray) -> int:
    """The order of the first leading minor that is not positive definite; 0 if there is none."""
    good, bad = 0, len(x) + 1
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            np.linalg.cholesky(x[:middle, :middle])
            good = middle
        except np.linalg.LinAlgError:
            bad = middle
    return bad if bad <= len(x) else 0


def _cholesky_vjp(b: Builder, op: Op, g: Value | None, *_):
    if g is None:
        return [None]
    lower = op.results[0]
    turn = product(b, adjoint(b, lower), g)
    middle = b.add(b.tril(turn), adjoint(b, b.tril(turn, diagonal=-1)))
    half = above(b, adjoint(b, lower), b.mul(middle, 0.5))
    return [adjoint(b, above(b, adjoint(b, lower), adjoint(b, half)))]


@composite(vjp=hermitian(_cholesky_vjp), autocast="single", samples=of(positive_definite(2, 3, 3)))
def cholesky(b, x, *, upper=False):
    """The lower triangular L with L Lᴴ = x; `upper` says which triangle of x is read."""
    check_square(x, "linalg.cholesky")
    return host(b, "cholesky", x, options=(upper, "linalg.cholesky"))[0]


@composite(vjp=hermitian(_cholesky_vjp), autocast="single", samples=of(positive_definite(2, 3, 3)))
def cholesky_ex(b, x, *, upper=False):
    """`cholesky`, and the orders of minors that prevent it."""
    check_square(x, "linalg.cholesky")
    return host(b, "cholesky", x, options=(upper, ""))


def _qr_types(x: TensorType, complete: bool) -> tuple:
    m, n = x.shape[-2:]
    k = m if complete else dims.minimum(m, n)
    return x.with_shape((*x.shape[:-1], k)), x.with_shape((*x.shape[:-2], k, n))


@host_function("qr", _qr_types, batch=leading)
def _np_qr(x: np.ndarray, complete: bool) -> tuple:
    """Orthogonal and upper triangular factors."""
    q, r = np.linalg.qr(x, "complete" if complete else "reduced")
    return q, r


def _qr_vjp(b: Builder, op: Op, gq: Value | None, gr: Value | None):
    x = op.operands[0]
    q, r = op.results
    m, n = x.shape[-2:]
    if op.attrs["mode"] == "complete" and dims.decide("<", n, m):
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
    turn = product(b, right, adjoint(b, gv))
    gq = turn if gq is None else b.add(gq, turn)
    return b.emit1("concat", _tall_qr_grad(b, q, u, gq, gu), product(b, q, gv), axis=ax)


def _tall_qr_grad(b: Builder, q: Value, r: Value, gq: Value | None, gr: Value | None) -> Value:
    middle: Any = None
    if gr is not None:
        middle = product(b, r, adjoint(b, gr))
    if gq is not None:
        turn = b.neg(product(b, adjoint(b, gq), q))
        middle = turn if middle is None else b.add(middle, turn)
    if q.dtype.kind == "c":  # the diagonal of r is real
        on = on_diagonal(b, middle)
        middle = where(b, on, b.cast(b.real(middle), middle.dtype), middle)
    lower = b.tril(middle)
    strict = b.tril(middle, diagonal=-1)
    right = product(b, q, b.add(lower, adjoint(b, strict)))
    total = right if gq is None else b.add(gq, right)
    return adjoint(b, above(b, r, adjoint(b, total)))


@composite(
    "linalg_qr", vjp=hermitian(_qr_vjp), autocast="single", refuses=True, samples=of("d2x3x2")
)
def linalg_qr(b, x, *, mode="reduced"):
    """Orthogonal Q and upper triangular R with Q R = x."""
    if x.dtype in (dtypes.f16, dtypes.bf16):
        check_kernel(x, "geqrf_cpu")
    check_matrix(x, "linalg.qr")
    return host(b, "qr", x, options=(mode == "complete",))


def _svd_types(x: TensorType, full: bool) -> tuple:
    m, n = x.shape[-2:]
    k = dims.minimum(m, n)
    lead = x.shape[:-2]
    return (
        x.with_shape((*lead, m, m if full else k)), real_type(x, (*lead, k)),
        x.with_shape((*lead, n if full else k, n)),
    )  # fmt: skip


@host_function("svd", _svd_types, batch=leading)
def _np_svd(x: np.ndarray, full: bool) -> tuple:
    """Left singular vectors, singular values in descending order, right singular vectors."""
    return tuple(np.linalg.svd(x, full_matrices=full))


_PHASES = (
    "svd_backward: The singular vectors in the complex case are specified up to multiplication by "
    "e^{i phi}. The specified loss function depends on this phase term, making it ill-defined."
)


def _svd_vjp(b: Builder, op: Op, gu: Value | None, gs: Value | None, gvh: Value | None):
    u, s, vh = op.results
    k = s.shape[-1]
    if op.attrs["full_matrices"]:  # the vectors beyond the first k are not determined
        u, vh = take(b, u, u.rank - 1, 0, k), take(b, vh, vh.rank - 2, 0, k)
        gu = None if gu is None else take(b, gu, gu.rank - 1, 0, k)
        gvh = None if gvh is None else take(b, gvh, gvh.rank - 2, 0, k)
    on = on_diagonal(b, u, k)
    row, column = unsqueeze(b, s, s.rank - 1), unsqueeze(b, s, s.rank)
    gap = where(b, on, 1.0, b.sub(b.mul(row, row), b.mul(column, column)))
    inner: Any = None
    turns = []
    if gs is not None:
        inner = masked(b, on, unsqueeze(b, gs, gs.rank))
    if gu is not None:
        turn = product(b, adjoint(b, u), gu)
        turns.append(turn)
        skew = b.sub(turn, adjoint(b, turn))
        part = b.mul(b.div(skew, gap), row)
        if u.dtype.kind == "c":  # the phases of pairs of vectors
            part = where(b, on, b.div(b.mul(skew, 0.5), row), part)
        inner = part if inner is None else b.add(inner, part)
    if gvh is not None:
        turn = product(b, vh, adjoint(b, gvh))
        turns.append(turn)
        skew = b.sub(turn, adjoint(b, turn))
        part = b.mul(column, masked(b, b.logical_not(on), b.div(skew, gap)))
        inner = part if inner is None else b.add(inner, part)
    if turns and u.dtype.kind == "c":
        both = masked(b, on, b.imag(turns[0] if len(turns) == 1 else b.add(*turns)))
        inner = b.checked_phases(b.cast(inner, u.dtype), both, message=_PHASES)
    out = product(b, u, b.cast(inner, u.dtype), vh)
    m, n = op.operands[0].shape[-2:]
    if gu is not None and not dims.same(m, k):
        rest = b.sub(gu, product(b, u, adjoint(b, u), gu))
        out = b.add(out, product(b, b.div(rest, row), vh))
    if gvh is not None and not dims.same(n, k):
        rest = b.sub(gvh, product(b, gvh, adjoint(b, vh), vh))
        out = b.add(out, product(b, u, b.div(rest, column)))
    return [out]


@composite(vjp=hermitian(_svd_vjp), samples=of("d2x3x2"))
def svd(b, x, *, full_matrices=False):
    """U, S and Vh with U diag(S) Vh = x."""
    check_matrix(x, "linalg.svd")
    return host(b, "svd", x, options=(full_matrices,))


# Golub and Pereyra's formula: it holds for rank-deficient and for symmetric matrices too.
def pinv_grad(b: Builder, a: Value, p: Value, g: Value) -> Value:
    """The gradient of a matrix from that of its pseudo-inverse p."""
    pt, gt = adjoint(b, p), adjoint(b, g)
    if a.shape[-2] <= a.shape[-1]:
        k = product(b, gt, p)
        turned = product(b, k, pt)
        rest = product(b, pt, p, b.sub(gt, product(b, k, a)))
        parts = [turned, b.neg(product(b, a, p, turned)), rest]
        out = b.neg(adjoint(b, product(b, p, k)))
    else:
        k = product(b, p, gt)
        turned = product(b, pt, k)
        rest = product(b, b.sub(gt, product(b, a, k)), p, pt)
        parts = [rest, turned, b.neg(product(b, turned, p, a))]
        out = b.neg(adjoint(b, product(b, k, p)))
    for part in parts:
        out = b.add(out, part)
    return b.sum_to(out, a.shape)


def _pinv_vjp(b: Builder, op: Op, g: Value):
    return [pinv_grad(b, op.operands[0], op.results[0], g)] + [None] * (len(op.operands) - 1)


@composite(vjp=hermitian(_pinv_vjp), autocast="single", samples=of("d3x2"))
def pinv(b, x, *tolerances, hermitian=False):
    """The pseudo-inverse; singular values that `tolerances` (see `_limit`) exclude count as 0."""
    check_matrix(x, "linalg.pinv")
    if numel(x) == 0:
        return b.full(0, x.dtype, (*x.shape[:-2], x.shape[-1], x.shape[-2]))
    if hermitian:
        w, v = b.eigh(x)
        s, left, right = w, v, v
    else:
        u, s, vh = b.svd(x)
        left, right = u, adjoint(b, vh)
    keep = _large(b, x, b.detach(b.abs(s)), tolerances)
    inverse = masked(b, keep, b.reciprocal(where(b, keep, s, 1.0)))
    return product(b, b.mul(right, unsqueeze(b, inverse, inverse.rank - 1)), adjoint(b, left))


def _large(b: Builder, x: Value, s: Value, tolerances: tuple) -> Value:
    """Which singular values of x count as not zero: those above the larger of an absolute
    tolerance and a relative one times the largest. The relative one is, unless it is given, 0
    beside a positive absolute one and else as exact as the dtype is."""
    n = size(b, dims.maximum(*x.shape[-2:]), x.dtype.to_real())
    exact = b.mul(n, float(np.finfo(x.dtype.numpy_name).eps))
    absolute, relative = (*tolerances, None, None)[:2]
    if relative is None:
        relative = exact if absolute is None else where(b, b.gt(absolute, 0.0), 0.0, exact)
    limit = b.mul(b.reduce(s, "max", (s.rank - 1,), True), _column(b, relative))
    if absolute is not None:
        limit = b.maximum(limit, _column(b, absolute))
    return b.gt(s, limit)


def _column(b: Builder, x: Any) -> Any:
    """A number for each matrix as one for each row of singular values."""
    return unsqueeze(b, x, x.rank) if isinstance(x, Value) and not is_number(x) else x


@composite(nondiff=True, autocast="single", samples=of("d3x2"))
def matrix_rank(b, x, *tolerances, hermitian=False):
    """How many singular values (or magnitudes of eigenvalues) are above the tolerance."""
    check_matrix(x, "linalg.matrix_rank")
    if numel(x) == 0:
        return b.full(0, dtypes.i64, x.shape[:-2])
    s = b.abs(b.eigh(x)[0]) if hermitian else b.svd(x)[1]
    keep = _large(b, x, s, tolerances)
    return b.reduce(b.cast(keep, dtypes.i64), "sum", (keep.rank - 1,))


@composite(samples=each(of("d3x2"), of("d3x2", ord="nuc"), of("d3x2", ord=1)))
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


@host_function("expm", lambda x: x, batch=leading)
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
    a = transposed(b, op.operands[0])
    n = a.shape[-1]
    zero = b.zeros_like(a)
    top = b.emit1("concat", a, g, axis=a.rank - 1)
    bottom = b.emit1("concat", zero, a, axis=a.rank - 1)
    y = b.matrix_exp(b.emit1("concat", top, bottom, axis=a.rank - 2))
    lead = a.shape[:-2]
    zeros = (0,) * len(lead)
    ones = (1,) * a.rank
    return [b.emit1("slice", y, starts=(*zeros, 0, n), stops=(*lead, n, 2 * n), steps=ones)]


@composite(vjp=_matrix_exp_vjp, samples=of("d3x3"))
def matrix_exp(b, x):
    """The exponentials of square matrices."""
    if x.dtype in (dtypes.f16, dtypes.bf16):
        return b.cast(b.matrix_exp(b.cast(x, dtypes.f32)), x.dtype)
    check_square(x, "linalg.matrix_exp")
    return host(b, "expm", x)
