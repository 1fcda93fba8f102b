"""Approximations of matrices by products of few columns, from random samples of their range.

After N. Halko, P. G. Martinsson, J. A. Tropp, Finding structure with randomness (2009).
"""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from .face import face
from .linalg import qr, svd
from .random import randn


def _range(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:
    """Orthonormal columns that nearly span the range of A - M (algorithm 4.4)."""

    def times(x: Tensor, turned: bool) -> Tensor:
        y = (A.mH if turned else A) @ x
        return y if M is None else y - (M.mH if turned else M) @ x

    start = randn(A.shape[-1], q, dtype=A.dtype if A.dtype.kind in "fc" else None, device=A.device)
    Q = qr(times(start, False))[0]
    for _ in range(niter):
        Q = qr(times(Q, True))[0]
        Q = qr(times(Q, False))[0]
    return Q


@face("torch")
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V of q columns with U diag(S) Vᴴ near A - M."""
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    rows, columns = A.shape[-2:]
    M = None if M is None else M.broadcast_to(A.shape)
    wide = rows < columns
    if wide:
        A, M = A.mH, None if M is None else M.mH
    Q = _range(A, q, niter, M)
    B = Q.mH @ A
    if M is not None:
        B = B - Q.mH @ M
    U, S, Vh = svd(B, full_matrices=False)
    U, V = Q @ U, Vh.mH
    return (V, S, U) if wide else (U, S, V)


@face("torch")
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """`svd_lowrank` of A less the means of its columns: the principal components of rows."""
    rows, columns = A.shape[-2:]
    most = min(rows, columns)
    q = min(6, rows, columns) if q is None else q
    if not 0 <= q <= most:
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={most}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    mean: Any = A.mean(dim=-2, keepdim=True) if center else None
    return svd_lowrank(A if mean is None else A - mean, q, niter=niter)
