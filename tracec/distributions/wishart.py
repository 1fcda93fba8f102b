"""The Wishart distribution."""

from __future__ import annotations

import math
from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .cholesky import half_log_det, of_precision, precision_of
from .exp_family import ExponentialFamily
from .utils import lazy_property

__all__ = ["Wishart"]


class Wishart(ExponentialFamily):
    """Sums of `df` outer products of normal vectors with one of `covariance_matrix`, its inverse
    `precision_matrix`, or its lower Cholesky factor `scale_tril`; df may be any number above the
    dimension minus 1."""

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = ("df", "covariance_matrix", "precision_matrix", "scale_tril")
    _kept = ("_unbroadcasted_scale_tril",)

    @property
    def arg_constraints(self) -> dict[str, Any]:  # type: ignore[override]
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ):
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {k: v for k, v in given.items() if v is not None}
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        whole = df if isinstance(df, Tensor) else tracec.tensor(df, dtype=matrix.dtype)
        batch = Size(tracec.broadcast_shapes(whole.shape, matrix.shape[:-2]))
        event = matrix.shape[-2:]
        if bool((whole <= event[-1] - 1).any()):
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}."
            )
        self.df = whole.expand(batch)
        setattr(self, name, matrix.expand((*batch, -1, -1)))
        super().__init__(batch, event, validate_args=validate_args)
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        elif name == "covariance_matrix":
            self._unbroadcasted_scale_tril = tracec.linalg.cholesky(matrix)
        else:
            self._unbroadcasted_scale_tril = of_precision(matrix)

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance of the vectors."""
        factor = self._unbroadcasted_scale_tril
        return self._whole(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return self._whole(precision_of(self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """NaN unless df exceeds the dimension plus 1."""
        more = self.df - self._event_shape[-1] - 1
        more = tracec.where(more <= 0, math.nan, more)
        return more[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        d = v.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (v.pow(2) + d.unsqueeze(-1) * d.unsqueeze(-2))

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """By Bartlett's decomposition: a triangle of normal variables, chi variables on its
        diagonal."""
        shape = self._extended_shape(sample_shape)
        n, dtype = self._event_shape[-1], self.df.dtype
        shapes = (self.df.unsqueeze(-1) - tracec.arange(n, dtype=dtype)) * 0.5
        squares = 2 * tracec._standard_gamma(shapes.expand(shape[:-1]))
        root = squares.clamp(min=tracec.finfo(dtype).tiny).sqrt()
        lower = tracec.randn(shape, dtype=dtype).tril(-1) + root.diag_embed()
        factor = self._unbroadcasted_scale_tril @ lower
        return self._own(factor @ factor.mT)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, p, factor = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        trace = tracec.cholesky_solve(value, factor).diagonal(dim1=-2, dim2=-1).sum(-1)
        norm = nu * (0.5 * p * math.log(2) + half_log_det(factor)) + (nu / 2).mvlgamma(p)
        return (nu - p - 1) / 2 * tracec.linalg.slogdet(value)[1] - norm - trace / 2

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        scale = 0.5 * p * math.log(2) + half_log_det(self._unbroadcasted_scale_tril)
        spread = (nu - p - 1) / 2 * _mvdigamma(nu / 2, p)
        return (p + 1) * scale + (nu / 2).mvlgamma(p) - spread + nu * p / 2

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return 0.5 * self.df, -0.5 * self.precision_matrix

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        p = y.shape[-1]
        size = p * math.log(2) - tracec.linalg.slogdet(-2 * y)[1]
        return x * size + x.mvlgamma(p)


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """The derivative of the logarithm of the multivariate gamma function."""
    return (x.unsqueeze(-1) - 0.5 * tracec.arange(p, dtype=x.dtype)).digamma().sum(-1)
