"""Factorisations of matrices without symmetry, what they solve, and low-rank approximations."""

from __future__ import annotations

from typing import Any

from ..record import apply, apply_multi
from ..tensor import Tensor
from . import returns
from .arguments import all_given, given, need_tensor
from .face import face


def _empty(x: Tensor) -> Tensor:
    """No elements, with the dtype and the history of x."""
    return x.reshape(-1)[:0]


# -- LU -------------------------------------------------------------------------------------------
def _lu_factor(A: Tensor, pivot: bool, name: str) -> tuple:
    need_tensor(A, "linalg_" + (name or "lu_factor_ex"), "A")
    return apply_multi("lu_factor", (A,), (("pivot", bool(pivot)), ("name", name)))


@face("linalg")
def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """L and U of A = P L U in one matrix, and the exchanges of rows that make P."""
    return all_given(out, returns.lu_factor(*_lu_factor(A, pivot, "lu_factor")[:2]))


@face("linalg")
def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """`lu_factor`, and the place of the first zero on the diagonal of U, 0 if there is none."""
    found = _lu_factor(A, pivot, "lu_factor_ex" if check_errors else "")
    return all_given(out, returns.lu_factor_ex(*found))


@face("torch")
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """`linalg.lu_factor`, or with `get_infos` `linalg.lu_factor_ex`."""
    if get_infos:
        return all_given(out, returns.lu_with_info(*_lu_factor(A, pivot, "")))
    return all_given(out, _lu_factor(A, pivot, "")[:2])


@face("method", name="lu")
def _method_lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple:
    """`linalg.lu_factor`, or with `get_infos` `linalg.lu_factor_ex`."""
    return tuple(lu(self, pivot, get_infos))


@face("linalg", name="lu")
def _linalg_lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """P, L and U with A = P L U."""
    if isinstance(A, Tensor) and A.dim() < 2:
        raise RuntimeError(
            "linalg.lu: Expected tensor with 2 or more dimensions. Got size: "
            f"{list(A.shape)} instead"
        )
    need_tensor(A, "linalg_lu", "A")
    both, pivots, _ = _lu_factor(A, pivot, "")
    return all_given(
        out, returns.lu(_permutation(both, pivots), *apply_multi("lu_unpack", (both,)))
    )


def _permutation(both: Tensor, pivots: Tensor) -> Tensor:
    return apply("permutation_matrix", (pivots, both))


@face("torch")
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """P, L and U of what `linalg.lu_factor` returns; those that are not asked for are empty."""
    from tracec_ir.dtypes import i32

    if unpack_pivots and LU_pivots.dtype is not i32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
            "dtype.\nNote: this function is intended to be used with the output produced by "
            "torch.linalg.lu_factor"
        )
    if LU_data.dim() < 2:
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got -2)")
    empty = _empty(LU_data)
    P = _permutation(LU_data, LU_pivots) if unpack_pivots else empty.detach()
    L, U = apply_multi("lu_unpack", (LU_data,)) if unpack_data else (empty, empty.clone())
    return all_given(out, returns.lu_unpack(P, L, U))


@face("linalg", name="lu_solve")
def _linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The solution of A X = B (or X A = B) where A, or its adjoint, has the factors LU."""
    attrs = (("left", left), ("turned", adjoint))
    return given(out, apply("lu_solve", (LU, pivots, B), attrs))


@face()
def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The solution of A x = b where A has the factors LU."""
    return _linalg_lu_solve(LU_data, LU_pivots, b, out=out)


# -- eigenvalues ----------------------------------------------------------------------------------
@face("linalg")
def eig(A: Tensor, *, out: Any = None) -> Any:
    """The eigenvalues and eigenvectors of square matrices, complex."""
    need_tensor(A, "linalg_eig")
    return all_given(out, returns.eig(*apply_multi("eig", (A,))))


@face("linalg")
def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of square matrices, complex."""
    need_tensor(A, "linalg_eigvals")
    return given(out, apply_multi("eig", (A,), (("name", "linalg.eigvals"),))[0])


# -- least squares --------------------------------------------------------------------------------
@face("linalg")
def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None, out: Any = None
) -> Any:
    """The X that makes A X - B smallest, with what the driver (of LAPACK) finds besides: sums of
    squares of the rest, ranks, singular values."""
    need_tensor(A, "linalg_lstsq")
    need_tensor(B, "linalg_lstsq", "b", 2)
    driver = "gelsy" if driver is None else driver
    attrs = (("rcond", None if rcond is None else float(rcond)), ("driver", driver))
    solution, residuals, rank, singular = apply_multi("lstsq", (A, B), attrs)
    rows, columns = A.shape[-2:]
    # they are only sums of what is left over if every matrix has full rank
    if rows <= columns or driver == "gelsy":
        residuals = _empty(residuals)
    elif driver != "gels" and not bool((rank == columns).all()):
        residuals = _empty(residuals)
    singular = singular.detach() if driver in ("gelsd", "gelss") else _empty(singular).detach()
    rank = _empty(rank) if driver == "gels" else rank
    return all_given(out, returns.lstsq(solution, residuals, rank, singular))


# -- reflections ----------------------------------------------------------------------------------
@face()
def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """R of the QR factors with the vectors of reflections below it, and their scales."""
    return all_given(out, returns.geqrf(*apply_multi("geqrf", (input,))))


@face("linalg")
def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of the reflections that `geqrf` returns."""
    if tau.dim() < 1:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    return given(out, apply("householder_product", (A, tau)))


@face()
def orgqr(input: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of the product of the reflections that `geqrf` returns."""
    return householder_product(input, tau, out=out)


@face()
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The product Q of the reflections that `geqrf` returns, or its adjoint, times `other` (or
    `other` times it)."""
    attrs = (("left", left), ("transpose", transpose))
    return given(out, apply("ormqr", (input, tau, other), attrs))


# -- LDL ------------------------------------------------------------------------------------------
@face("linalg")
def ldl_factor(A: Tensor, *, hermitian: bool = False, out: Any = None) -> Any:
    """L and D of a symmetric (or Hermitian) matrix in one, and exchanges of rows."""
    need_tensor(A, "linalg_ldl_factor")
    attrs = (("hermitian", hermitian), ("name", "torch.linalg.ldl_factor"))
    return all_given(out, returns.ldl_factor(*apply_multi("ldl_factor", (A,), attrs)[:2]))


@face("linalg")
def ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """`ldl_factor`, and the place of the first zero block of D, 0 if there is none."""
    need_tensor(A, "linalg_ldl_factor_ex")
    name = "torch.linalg.ldl_factor_ex" if check_errors else ""
    attrs = (("hermitian", hermitian), ("name", name))
    return all_given(out, returns.ldl_factor_ex(*apply_multi("ldl_factor", (A,), attrs)))


@face("linalg")
def ldl_solve(
    LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Tensor | None = None
) -> Tensor:
    """The solution of A X = B where LD and pivots are A's factors."""
    return given(out, apply("ldl_solve", (LD, pivots, B), (("hermitian", hermitian),)))
