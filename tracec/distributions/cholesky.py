"""What the multivariate distributions compute with Cholesky factors of covariances."""

from __future__ import annotations

import tracec

from ..tensor import Tensor


def half_log_det(factor: Tensor) -> Tensor:
    """Half the logarithms of the determinants of factor @ factor.mT."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def mahalanobis(factor: Tensor, x: Tensor) -> Tensor:
    """x.mT @ (factor @ factor.mT)^-1 @ x for vectors x, to whose batch the factors broadcast."""
    if factor.dim() == 2:  # one factor: all vectors in one solve
        n = factor.shape[-1]
        columns = x.reshape(-1, n).mT
        solved = tracec.linalg.solve_triangular(factor, columns, upper=False)
        return solved.pow(2).sum(0).reshape(x.shape[:-1])
    return solved_by(factor, x).pow(2).sum(-1)


def solved_by(factor: Tensor, x: Tensor) -> Tensor:
    """factor^-1 @ x for vectors x."""
    return tracec.linalg.solve_triangular(factor, x.unsqueeze(-1), upper=False).squeeze(-1)


def of_precision(precision: Tensor) -> Tensor:
    """The lower Cholesky factors of the inverses: turned around, the factor of a matrix is the
    upper one of its inverse."""
    turned = tracec.linalg.cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    return tracec.linalg.solve_triangular(turned, _identity(precision), upper=False)


def precision_of(factor: Tensor) -> Tensor:
    """The inverses of factor @ factor.mT."""
    return tracec.cholesky_inverse(factor)


def _identity(like: Tensor) -> Tensor:
    return tracec.eye(like.shape[-1], dtype=like.dtype).expand(like.shape)
