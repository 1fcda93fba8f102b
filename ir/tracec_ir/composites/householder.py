"""Products of Householder reflections, H = 1 - tau v vᴴ, with the vectors v below diagonals."""

from __future__ import annotations

import numpy as np

from .. import dims
from ..builder import Builder
from ..core import Value
from ..optable import composite
from ..prims.host import host_function, leading
from ..types import TensorType
from .common import same_shape, shape_text, spelled, take, unsqueeze
from .lu import unit_lower
from .matrices import adjoint, check_kernel, host, no_derivative, on_diagonal, product
from .samples import of
from .triangular import above


def _geqrf_types(x: TensorType) -> tuple:
    return x, TensorType(x.dtype, (*x.shape[:-2], dims.minimum(*x.shape[-2:])))


@host_function("geqrf", _geqrf_types, batch=leading)
def _np_geqrf(x: np.ndarray) -> tuple:
    """R with the vectors of the reflections below it, and their scales."""
    if not x.size:
        return x.copy(), np.zeros((*x.shape[:-2], min(x.shape[-2:])), x.dtype)
    h, tau = np.linalg.qr(x, "raw")
    return h.swapaxes(-1, -2), tau.astype(x.dtype, copy=False)


@composite(vjp=no_derivative("geqrf"), refuses=True, samples=of("d3x2"))
def geqrf(b, x):
    """R of the QR factors with the vectors of the reflections below it, and their scales."""
    if x.rank < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    check_kernel(x, "geqrf_cpu")
    return host(b, "geqrf", x)


def _parts(b: Builder, x: Value, tau: Value) -> tuple[Value, Value]:
    """V and T of the product 1 - V T Vᴴ of all reflections."""
    v = unit_lower(b, take(b, x, x.rank - 1, 0, tau.shape[-1]))
    # T is diag(tau) (1 + S diag(tau))⁻¹ with the products S of different vectors above a diagonal
    scale = unsqueeze(b, tau, tau.rank - 1)
    links = b.mul(b.triu(product(b, adjoint(b, v), v), diagonal=1), scale)
    ones = b.broadcast_to(b.cast(on_diagonal(b, links), x.dtype), links.shape)
    return v, b.mul(above(b, links, ones, unit=True), unsqueeze(b, tau, tau.rank))


def _check_scales(x: Value, tau: Value, name: str) -> None:
    if x.rank - tau.rank != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {tau.rank} and input.ndim is equal to {x.rank}"
        )
    if not same_shape(tau.shape[:-1], x.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got "
            f"{shape_text(tau.shape[:-1])}"
        )


@composite(samples=of("d4x2", "d2"))
def householder_product(b, x, tau):
    """The first columns, as many as x has, of the product of the reflections."""
    name = "torch.linalg.householder_product"
    if x.rank < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    m, n = x.shape[-2:]
    if dims.decide("<", m, n):
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if tau.rank and dims.decide("<", n, tau.shape[-1]):
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    _check_scales(x, tau, name)
    if x.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {spelled(tau.dtype)} does not match input dtype {spelled(x.dtype)}"
        )
    check_kernel(x, "orgqr_cpu")
    v, t = _parts(b, x, tau)
    first = adjoint(b, take(b, v, v.rank - 2, 0, n))
    return b.sub(b.cast(on_diagonal(b, x), x.dtype), product(b, v, t, first))


@composite(samples=of("d4x2", "d2", "d4x3"))
def ormqr(b, x, tau, other, *, left=True, transpose=False):
    """The product Q of the reflections (or Qᴴ) times other, or other times it."""
    _check_ormqr(x, tau, other, left)
    v, t = _parts(b, x, tau)
    t = adjoint(b, t) if transpose else t
    turned = (v, t, adjoint(b, v))
    return b.sub(other, product(b, *turned, other) if left else product(b, other, *turned))


def _check_ormqr(x: Value, tau: Value, other: Value, left: bool) -> None:
    name = "torch.ormqr"
    for v, spelling in ((x, "input"), (other, "other")):
        if v.rank < 2:
            raise RuntimeError(f"{name}: {spelling} must have at least 2 dimensions.")
    side = -2 if left else -1
    if not dims.same(other.shape[side], x.shape[-2]):
        raise RuntimeError(f"{name}: other.shape[{side}] must be equal to input.shape[-2]")
    if tau.rank and not dims.same(tau.shape[-1], dims.minimum(other.shape[side], x.shape[-1])):
        raise RuntimeError(
            f"{name}: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    if other.rank != x.rank:
        raise RuntimeError(
            f"{name}: Expected other to have the same number of dimensions as input, but got "
            f"other.ndim equal to {other.rank} and input.ndim is equal to {x.rank}"
        )
    _check_scales(x, tau, name)
    if not same_shape(other.shape[:-2], x.shape[:-2]):
        raise RuntimeError(
            f"{name}: Expected batch dimensions of other to be equal to input.shape[:-2], but got "
            f"{shape_text(other.shape[:-2])}"
        )
    for v, spelling in ((tau, "tau"), (other, "other")):
        if v.dtype is not x.dtype:
            raise RuntimeError(
                f"{name}: Expected input and {spelling} to have the same dtype, but input has "
                f"dtype {spelled(x.dtype)} and {spelling} has dtype {spelled(v.dtype)}"
            )
    check_kernel(x, "ormqr_cpu")
