"""Eigenvalues and eigenvectors of square matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..builder import Builder
from ..core import Op, Value
from ..errors import LinAlgError
from ..optable import composite
from ..prims.host import host_function, leading
from ..types import TensorType
from .common import masked, spelled, unsqueeze, where
from .matrices import (
    LAPACK,
    adjoint,
    check_kernel,
    check_square,
    hermitian,
    host,
    on_diagonal,
    product,
    real_type,
)
from .samples import of, positive_definite


# -- symmetric matrices ----------------------------------------------------------------------------
@host_function("eigh", lambda x: (real_type(x, x.shape[:-1]), x), batch=leading)
def _np_eigh(x: np.ndarray) -> tuple:
    """Eigenvalues in ascending order and eigenvectors of symmetric matrices (lower triangle)."""
    return tuple(np.linalg.eigh(x))


def _eigh_vjp(b: Builder, op: Op, gw: Value | None, gv: Value | None):
    w, v = op.results
    on = on_diagonal(b, v)
    inner: Any = None
    if gv is not None:
        gap = b.sub(unsqueeze(b, w, w.rank - 1), unsqueeze(b, w, w.rank))
        turn = product(b, adjoint(b, v), gv)
        if v.dtype.kind == "c":
            turns = b.imag(masked(b, on, turn))
            turn = b.checked_phases(turn, turns, message=phase_message("linalg_eigh_backward"))
        inner = where(b, on, 0.0, b.div(turn, where(b, on, 1.0, gap)))
    if gw is not None:
        diagonal = masked(b, on, unsqueeze(b, gw, gw.rank))
        inner = diagonal if inner is None else b.add(inner, diagonal)
    whole = product(b, v, b.cast(inner, v.dtype), adjoint(b, v))
    return [b.mul(b.add(whole, adjoint(b, whole)), 0.5)]


@composite(vjp=hermitian(_eigh_vjp), autocast="single", samples=of(positive_definite(2, 3, 3)))
def eigh(b, x):
    """Eigenvalues and eigenvectors of symmetric matrices (the lower triangle is read)."""
    check_square(x, "linalg.eigh")
    return host(b, "eigh", x)


def phase_message(name: str) -> str:
    """The error of a loss that depends on the phases of vectors."""
    return (
        f"{name}: The eigenvectors in the complex case are specified up to multiplication by "
        "e^{i phi}. The specified loss function depends on this quantity, so it is ill-defined."
    )


# -- any matrices ----------------------------------------------------------------------------------
def _eig_types(x: TensorType) -> tuple:
    dtype = x.dtype.to_complex()
    return TensorType(dtype, x.shape[:-1]), TensorType(dtype, x.shape)


@host_function("eig", _eig_types, batch=leading)
def _np_eig(x: np.ndarray) -> tuple:
    """Eigenvalues and eigenvectors of length 1 in columns, both complex."""
    dtype = np.result_type(x.dtype, np.complex64)
    if not np.isfinite(x).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    try:
        values, vectors = np.linalg.eig(x)
    except np.linalg.LinAlgError:
        raise LinAlgError(
            "linalg.eig: The algorithm failed to converge because the input matrix is "
            "ill-conditioned or has too many repeated eigenvalues."
        ) from None
    return values.astype(dtype), vectors.astype(dtype)


# With E_ij = w_j - w_i the gradient is V⁻ᴴ (diag(gw) + (Vᴴ gV - Vᴴ V Re diag(Vᴴ gV)) / conj(E)) Vᴴ:
# the vectors have length 1, so what lengthens them has no part in it.
def _eig_vjp(b: Builder, op: Op, gw: Value | None, gv: Value | None):
    (x,), (w, v) = op.operands, op.results
    vh, on = adjoint(b, v), on_diagonal(b, v)
    inner: Any = None
    if gv is not None:
        turn = product(b, vh, gv)
        along = b.reduce(masked(b, on, turn), "sum", (turn.rank - 2,), True)
        turn = b.checked_phases(turn, b.imag(along), message=phase_message("linalg_eig_backward"))
        turn = b.sub(turn, b.mul(product(b, vh, v), b.real(along)))
        gap = b.conj(b.sub(unsqueeze(b, w, w.rank - 1), unsqueeze(b, w, w.rank)))
        inner = where(b, on, 0.0, b.div(turn, where(b, on, 1.0, gap)))
    if gw is not None:
        diagonal = masked(b, on, unsqueeze(b, gw, gw.rank))
        inner = diagonal if inner is None else b.add(inner, diagonal)
    if inner is None:
        return [None]
    out = b.linalg_solve(vh, product(b, inner, vh))
    return [out if x.dtype.kind == "c" else b.real(out)]


@composite(
    vjp=hermitian(_eig_vjp),
    autocast="single",
    samples=of(lambda: np.array([[1.0, 2.0, 0.5], [0.25, -3.0, 1.0], [2.0, 0.0, 4.0]])),
)
def eig(b, x, *, name="linalg.eig"):
    """Eigenvalues and eigenvectors, complex."""
    if x.rank < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.dtype.kind not in "fc":
        raise RuntimeError(f"Unknown Complex ScalarType for {spelled(x.dtype)}")
    if x.dtype not in LAPACK:
        check_kernel(x, "linalg_eig_out_cpu")
    check_square(x, "linalg.eig")
    return host(b, "eig", x)
