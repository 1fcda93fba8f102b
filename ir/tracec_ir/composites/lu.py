"""Factors P L U of matrices: partial pivoting, permutations, solutions, gradients."""

from __future__ import annotations

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..errors import LinAlgError
from ..optable import composite
from ..prims.host import host_function, leading
from ..promote import broadcast_shapes
from ..types import TensorType
from .common import (
    concat,
    iota_along,
    same_shape,
    shape_text,
    spelled,
    take,
    unsqueeze,
)
from .index import gather_positions
from .matrices import (
    adjoint,
    check_kernel,
    check_square,
    hermitian,
    host,
    on_diagonal,
    product,
    where_in_stack,
)
from .samples import of, positive_definite
from .triangular import BLOCK, above, below, substitute


# -- factors --------------------------------------------------------------------------------------
def _eliminate(a: np.ndarray, pivots: np.ndarray, info: np.ndarray, start: int, stop: int) -> None:
    """Factors the columns start..stop of a stack whose columns before `start` are done."""
    if stop - start > BLOCK:
        middle = (start + stop) // 2
        _eliminate(a, pivots, info, start, middle)
        right = a[:, start:middle, middle:stop]
        substitute(a[:, start:middle, start:middle], right, upper=False, unit=True)
        a[:, middle:, middle:stop] -= a[:, middle:, start:middle] @ right
        _eliminate(a, pivots, info, middle, stop)
        return
    stack = np.arange(len(a))
    for j in range(start, stop):
        column = a[:, j:, j]
        # the size that LAPACK takes for complex numbers, too
        size = np.abs(column.real) + np.abs(column.imag) if a.dtype.kind == "c" else np.abs(column)
        best = size.argmax(axis=1) + j
        pivots[:, j] = best + 1
        row = a[stack, best].copy()
        a[stack, best] = a[:, j]
        a[:, j] = row
        zero = row[:, j] == 0
        info[zero & (info == 0)] = j + 1
        a[:, j + 1 :, j] /= np.where(zero, 1, row[:, j])[:, None]
        a[:, j + 1 :, j + 1 : stop] -= a[:, j + 1 :, j, None] * row[:, None, j + 1 : stop]


def zero_pivot(x: np.ndarray) -> tuple[int, int]:
    """The first singular matrix of a stack, and its first zero pivot, from 1 on."""
    info = _np_lu.numpy(x, "")[2].reshape(-1)
    at = int((info != 0).argmax())
    return at, int(info[at])


def _lu_types(x: TensorType, name: str) -> tuple:
    k = dims.minimum(*x.shape[-2:])
    lead = x.shape[:-2]
    return x, TensorType(dtypes.i32, (*lead, k)), TensorType(dtypes.i32, lead)


@host_function("lu", _lu_types, batch=leading)
def _np_lu(x: np.ndarray, name: str) -> tuple:
    """L and U in one matrix, the rows exchanged (from 1 on), and the first pivot that is zero."""
    m, n = x.shape[-2:]
    k, lead = min(m, n), x.shape[:-2]
    stack = int(np.prod(lead))
    a = np.array(x).reshape(stack, m, n)
    pivots, info = np.empty((stack, k), np.int32), np.zeros(stack, np.int32)
    with np.errstate(all="ignore"):
        _eliminate(a, pivots, info, 0, k)
        substitute(a[:, :, :k][:, :k], a[:, :k, k:], upper=False, unit=True)
    if name and info.any():
        at = int(info.nonzero()[0][0])
        raise LinAlgError(
            f"torch.linalg.{name}: {where_in_stack(lead, at)}U[{info[at]},{info[at]}] is zero and "
            "using it on lu_solve would result in a division by zero. If you still want to perform "
            "the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, "
            "pivot)"
        )
    return a.reshape(x.shape), pivots.reshape(*lead, k), info.reshape(lead)


# A square matrix has the gradient P L⁻ᴴ H U⁻ᴴ, where H is Lᴴ gL below the diagonal and gU Uᴴ on and
# above it. The columns of a wide matrix beyond the square are L times those of U, the rows of a
# tall one those of L times U: what they give the other factor is subtracted from H.
def _lu_vjp(b: Builder, op: Op, g: Value | None, *_):
    if g is None:
        return [None]
    x, (both, pivots) = op.operands[0], op.results[:2]
    (m, n), rows, columns = x.shape[-2:], x.rank - 2, x.rank - 1
    k = dims.minimum(m, n)
    tall, wide = not dims.same(m, k), not dims.same(n, k)
    square, gs = (take(b, take(b, v, rows, 0, k), columns, 0, k) for v in (both, g))
    low = product(b, adjoint(b, unit_lower(b, square)), b.tril(gs, diagonal=-1))
    high = product(b, b.triu(gs), adjoint(b, b.triu(square)))
    if wide:
        gv, v = (take(b, t, columns, k, n) for t in (g, both))
        low = b.sub(low, product(b, gv, adjoint(b, v)))
    if tall:
        gw, w = (take(b, t, rows, k, m) for t in (g, both))
        high = b.sub(high, product(b, adjoint(b, w), gw))
    out = b.add(b.tril(low, diagonal=-1), b.triu(high))
    if tall:
        out = concat(b, [out, gw], rows)
    out = adjoint(b, above(b, square, adjoint(b, out)))
    top = concat(b, [out, gv], columns) if wide else take(b, out, rows, 0, k)
    top = above(b, adjoint(b, square), top, unit=True)
    out = concat(b, [top, take(b, out, rows, k, m)], rows) if tall else top
    return [_rows(b, out, b.pivot_order(pivots, both, inverse=True))]


def unit_lower(b: Builder, x: Value) -> Value:
    """The triangle of x below the diagonal, with ones on it."""
    ones = b.cast(on_diagonal(b, x), x.dtype)
    return b.add(b.tril(x, diagonal=-1), ones)


def _rows(b: Builder, x: Value, order: Value) -> Value:
    """The rows of matrices in an order given for each."""
    return gather_positions(b, x, unsqueeze(b, order, order.rank), x.rank - 2)


@composite(vjp=hermitian(_lu_vjp), autocast="single", samples=of(positive_definite(2, 3, 3)))
def lu_factor(b, x, *, pivot=True, name=""):
    """L and U in one matrix, the exchanges of rows, and the place of a zero pivot. Errors of a
    singular matrix are raised for the function `name`, if there is one."""
    if x.rank < 2:
        raise RuntimeError(
            f"torch.lu_factor: Expected tensor with 2 or more dimensions. Got size: "
            f"{shape_text(x.shape)} instead"
        )
    check_kernel(x, "lu_cpu")
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return host(b, "lu", x, options=(name,))


# -- permutations ---------------------------------------------------------------------------------
_WRONG = "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive."
_WRONG_TO_SOLVE = "Pivots given to lu_solve must all be smaller or equal to LU.size(-2)."


def _order_type(pivots: TensorType, x: TensorType, inverse: bool, wrong: str) -> TensorType:
    return TensorType(dtypes.i64, (*pivots.shape[:-1], x.shape[-2]))


@host_function("pivot_order", _order_type, batch=leading)
def _np_pivot_order(pivots: np.ndarray, x: np.ndarray, inverse: bool, wrong: str) -> np.ndarray:
    """The rows of x that the exchanges (row i with row pivots[i], from 1 on) bring to each place,
    or the place that each row is brought to."""
    rows = x.shape[-2]
    if ((pivots < 1) | (pivots > rows)).any():
        raise RuntimeError(wrong + " Did you properly pass the result of lu_factor?")
    lead = pivots.shape[:-1]
    flat = pivots.reshape(int(np.prod(lead)), pivots.shape[-1]) - 1
    order = np.tile(np.arange(rows), (len(flat), 1))
    stack = np.arange(len(flat))
    for i, other in enumerate(flat.T):
        order[stack, other], order[:, i] = order[:, i].copy(), order[stack, other]
    return (order.argsort(axis=1) if inverse else order).reshape(*lead, rows)


@composite(nondiff=True, samples=of(lambda: np.array([3, 2, 3], np.int32), "d3x3"))
def pivot_order(b, pivots, x, *, inverse=False, wrong=_WRONG):
    """The order of the rows of x that pivots stand for, or its inverse; `wrong` is what is said of
    pivots out of range."""
    return host(b, "pivot_order", pivots, x, options=(inverse, wrong))


@composite(nondiff=True, samples=of(lambda: np.array([3, 2, 3], np.int32), "d3x3"))
def permutation_matrix(b, pivots, both):
    """The matrix P of P L U."""
    order = b.pivot_order(pivots, both)
    at = iota_along(b, order.rank + 1, order.rank - 1, both.shape[-2])
    return b.cast(b.eq(at, unsqueeze(b, order, order.rank - 1)), both.dtype)


@composite(samples=of("d3x3"))
def lu_unpack(b, both):
    """The triangles L and U of what `lu_factor` returns."""
    rows, columns = both.rank - 2, both.rank - 1
    k = dims.minimum(*both.shape[-2:])
    return unit_lower(b, take(b, both, columns, 0, k)), b.triu(take(b, both, rows, 0, k))


# -- solutions ------------------------------------------------------------------------------------
def _check_solve(both: Value, pivots: Value, y: Value, left: bool) -> None:
    if both.rank < 2 or not dims.same(*both.shape[-2:]):
        check_square(both, "torch.linalg.lu_solve")
    if y.rank < 2:
        raise RuntimeError("linalg.lu_solve: The input tensor B must have at least 2 dimensions.")
    if both.dtype is not y.dtype:
        raise RuntimeError(
            "linalg.lu_solve: Expected LU and B to have the same dtype, but found LU of type "
            f"{spelled(both.dtype)} and B of type {spelled(y.dtype)} instead"
        )
    if pivots.dtype is not dtypes.i32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    if not dims.same(pivots.shape[-1], both.shape[-1]):
        raise RuntimeError(
            "linalg.lu_solve: Number of pivots per batch should be same as the dimension of the "
            "matrix"
        )
    if not same_shape(pivots.shape, both.shape[:-1]):
        raise RuntimeError(
            "linalg.lu_solve: Expected LU.shape[:-1] and pivots.shape to be the same, but got "
            f"pivots with shape {shape_text(pivots.shape)} instead"
        )
    if not dims.same(both.shape[-1], y.shape[-2] if left else y.shape[-1]):
        raise RuntimeError(
            "linalg.lu_solve: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({both.shape[-2]}x{both.shape[-1]} and "
            f"{y.shape[-2]}x{y.shape[-1]})"
        )
    check_kernel(both, "lu_solve_cpu")


@composite(samples=of(positive_definite(3, 3), lambda: np.array([3, 2, 3], np.int32), "d3x2"))
def lu_solve(b, both, pivots, y, *, left=True, turned=False):
    """The solutions of A X = B (or X A = B), Aᴴ instead of A if `turned`, A being P L U."""
    _check_solve(both, pivots, y, left)
    batch = broadcast_shapes(both.shape[:-2], y.shape[:-2])
    both = b.broadcast_to(both, (*batch, *both.shape[-2:]))
    y = b.broadcast_to(y, (*batch, *y.shape[-2:]))
    if not left:  # X A = B is Aᴴ Xᴴ = Bᴴ
        return adjoint(b, _solve(b, both, pivots, adjoint(b, y), not turned))
    return _solve(b, both, pivots, y, turned)


def _solve(b: Builder, both: Value, pivots: Value, y: Value, turned: bool) -> Value:
    n = both.shape[-1]
    order = b.pivot_order(pivots, both, inverse=turned, wrong=_WRONG_TO_SOLVE)
    order = b.broadcast_to(order, (*both.shape[:-2], n))
    if turned:
        both = adjoint(b, both)
        return _rows(b, above(b, both, below(b, both, y), unit=True), order)
    return above(b, both, below(b, both, _rows(b, y, order), unit=True))
