"""Factors L D Lᴴ (or L D Lᵀ) of symmetric matrices with the pivoting of Bunch and Kaufman: D has
blocks of one or two rows; exchanges of rows of the blocks of two are negative pivots."""

from __future__ import annotations

import numpy as np

from .. import dims, dtypes
from ..core import Value
from ..errors import LinAlgError
from ..optable import composite
from ..prims.host import host_function, leading
from ..promote import broadcast_shapes
from ..types import TensorType
from .common import same_shape, shape_text, spelled
from .matrices import check_kernel, check_square, host, no_derivative, where_in_stack
from .samples import of, positive_definite

GROWTH = (1 + 17**0.5) / 8  # of the elements of D: keeps both kinds of blocks equally stable


def _size(x: np.ndarray) -> np.ndarray:
    """The magnitudes that LAPACK compares."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def _choose(a: np.ndarray, k: int) -> tuple[int, int]:
    """The row to exchange at column k, and the rows of the block; (k, 0) for a column of zeros."""
    own = _size(a[k, k])
    below = _size(a[k + 1 :, k])
    most = below.max(initial=0.0)
    if max(own, most) == 0 or np.isnan(own):
        return k, 0
    if own >= GROWTH * most:
        return k, 1
    at = k + 1 + int(below.argmax())
    row = _size(a[at, k:])
    row[at - k] = 0
    if own >= GROWTH * most * (most / row.max()):
        return k, 1
    return at, 1 if _size(a[at, at]) >= GROWTH * row.max() else 2


def _factor(a: np.ndarray, pivots: np.ndarray, conjugate: bool) -> int:
    """Puts L and D into the lower triangle of a; returns the first column of zeros, from 1 on."""
    n, info, k = len(a), 0, 0
    a[...] = np.tril(a)
    if conjugate:
        np.fill_diagonal(a, a.diagonal().real)
    a += np.tril(a, -1).conj().T if conjugate else np.tril(a, -1).T
    while k < n:
        other, rows = _choose(a, k)
        if not rows:
            info, rows = info or k + 1, 1
            pivots[k] = k + 1
            k += 1
            continue
        end = k + rows
        pair, turned = [end - 1, other], [other, end - 1]
        a[pair, k:] = a[turned, k:]
        a[k:, pair] = a[k:, turned]
        pivots[k:end] = other + 1 if rows == 1 else -other - 1
        block = a[k:end, k:end]
        scaled = np.linalg.solve(block.T, a[end:, k:end].T).T
        a[end:, end:] -= scaled @ (a[end:, k:end].conj() if conjugate else a[end:, k:end]).T
        a[end:, k:end] = scaled
        k = end
    a[...] = np.tril(a)
    return info


def _factor_types(x: TensorType, conjugate: bool, name: str) -> tuple:
    return x, TensorType(dtypes.i32, x.shape[:-1]), TensorType(dtypes.i32, x.shape[:-2])


@host_function("ldl_factor", _factor_types, batch=leading)
def _np_ldl_factor(x: np.ndarray, conjugate: bool, name: str) -> tuple:
    """L and D in one matrix, the exchanges of rows, and the first column that is zero."""
    conjugate = conjugate and x.dtype.kind == "c"
    lead, n = x.shape[:-2], x.shape[-1]
    a = x.astype(np.result_type(x.dtype, np.float64)).reshape(int(np.prod(lead)), n, n)
    pivots, info = np.zeros((len(a), n), np.int32), np.zeros(len(a), np.int32)
    for i, matrix in enumerate(a):
        info[i] = _factor(matrix, pivots[i], conjugate)
    if name and info.any():
        at = int(info.nonzero()[0][0])
        raise LinAlgError(
            f"{name}: {where_in_stack(lead, at)}D[{info[at]},{info[at]}] is zero and using it on "
            "ldl_solve would result in a division by zero."
        )
    return a.astype(x.dtype).reshape(x.shape), pivots.reshape(x.shape[:-1]), info.reshape(lead)


@composite(
    vjp=no_derivative("linalg_ldl_factor_ex"), refuses=True, samples=of(positive_definite(3, 3))
)
def ldl_factor(b, x, *, hermitian=False, name=""):
    """L and D in one matrix, exchanges of rows, places of zeros; errors of a matrix that cannot be
    divided by are raised for the function `name`, if there is one."""
    if x.dtype in (dtypes.f16, dtypes.bf16):
        check_kernel(x, "ldl_factor_kernel_cpu")
    check_square(x, "torch.linalg.ldl_factor_ex")
    return host(b, "ldl_factor", x, options=(hermitian, name))


# -- solutions ------------------------------------------------------------------------------------
def _solve(a: np.ndarray, pivots: np.ndarray, y: np.ndarray, conjugate: bool) -> None:
    """y becomes the solution of L D Lᴴ X = y."""
    n, k = len(a), 0
    blocks = []
    while k < n:
        rows = 1 if pivots[k] > 0 or k + 1 == n else 2
        blocks.append((k, k + rows, abs(int(pivots[k])) - 1))
        k += rows
    for k, end, other in blocks:
        y[[end - 1, other]] = y[[other, end - 1]]
        y[end:] -= a[end:, k:end] @ y[k:end]
        block = a[k:end, k:end]
        upper = np.tril(block, -1).T
        y[k:end] = _divided(block + (upper.conj() if conjugate else upper), y[k:end])
    for k, end, other in reversed(blocks):
        column = a[end:, k:end]
        y[k:end] -= (column.conj() if conjugate else column).T @ y[end:]
        y[[end - 1, other]] = y[[other, end - 1]]


def _divided(block: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The solution with a block of one or two rows; not finite if that is singular."""
    if len(block) == 1:
        return y / block
    (p, q), (r, s) = block
    return np.stack([s * y[0] - q * y[1], p * y[1] - r * y[0]]) / (p * s - q * r)


@host_function("ldl_solve", lambda a, pivots, y, conjugate: y, batch=leading)
def _np_ldl_solve(a: np.ndarray, pivots: np.ndarray, y: np.ndarray, conjugate: bool) -> np.ndarray:
    """The solutions X of A X = Y, A being given by its factors."""
    conjugate = conjugate and a.dtype.kind == "c"
    n, kind = a.shape[-1], np.result_type(a.dtype, np.float64)
    if (pivots == 0).any() or (np.abs(pivots) > n).any():
        raise RuntimeError(
            "torch.linalg.ldl_solve: the magnitudes of pivots must be between 1 and LD.size(-2). "
            "Did you properly pass the result of ldl_factor?"
        )
    out = y.astype(kind)
    with np.errstate(all="ignore"):
        for at in np.ndindex(y.shape[:-2]):
            _solve(a[at].astype(kind), pivots[at], out[at], conjugate)
    return out.astype(y.dtype)


@composite(
    vjp=no_derivative("linalg_ldl_solve"),
    refuses=True,
    samples=of(positive_definite(3, 3), lambda: np.array([1, 2, 3], np.int32), "d3x2"),
)
def ldl_solve(b, a, pivots, y, *, hermitian=False):
    """The solutions X of A X = B, A being given by its factors L and D; stacks broadcast."""
    _check_solve(a, pivots, y)
    batch = broadcast_shapes(a.shape[:-2], y.shape[:-2])
    a = b.broadcast_to(a, (*batch, *a.shape[-2:]))
    pivots = b.broadcast_to(b.cast(pivots, dtypes.i64), a.shape[:-1])
    y = b.broadcast_to(y, (*batch, *y.shape[-2:]))
    return host(b, "ldl_solve", a, pivots, y, options=(hermitian,))


def _check_solve(a: Value, pivots: Value, y: Value) -> None:
    name = "torch.linalg.ldl_solve"
    if y.rank < 2:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got -2)")
    check_square(a, name)
    if a.dtype is not y.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {spelled(y.dtype)} and "
            f"A of type {spelled(a.dtype)} instead."
        )
    if not dims.same(a.shape[-1], y.shape[-2]):
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {a.shape[-1]} by "
            f"{a.shape[-1]} but each b matrix is {y.shape[-2]} by {y.shape[-1]}"
        )
    if not same_shape(pivots.shape, a.shape[:-1]):
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {shape_text(pivots.shape)} instead"
        )
    if pivots.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {spelled(pivots.dtype)}")
