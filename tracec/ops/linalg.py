"""Inverses, determinants, factorisations and norms of matrices."""

from __future__ import annotations

from typing import Any

from ..parameter_names import renamed
from ..record import apply, apply_multi, unary
from ..tensor import Tensor
from . import returns
from .arguments import all_given, dims, given
from .face import add as list_as
from .face import face
from .reduction import vector_norm


def _no_failure(A: Tensor) -> Tensor:
    """What the `_ex` functions report beside a result whose failure would have been raised."""
    from tracec_ir.dtypes import i32

    return apply("full", (0,), (("shape", tuple(A.shape[:-2])), ("dtype", i32)))


@face("linalg")
def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverses of square matrices.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return given(out, unary("linalg_inv", A))


list_as(renamed(inv, A="input"), "torch method", "inverse")


@face("linalg")
def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """The inverses of square matrices, and the places of zero pivots, 0 if there is none.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    found = (inv(A), _no_failure(A)) if check_errors else apply_multi("inv_ex", (A,))
    return all_given(out, returns.inv_ex(*found))


@face("linalg")
def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """The solution of A X = B (or X A = B).

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return given(out, apply("solve", (A, B), (("left", left),)))


@face("linalg")
def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """The solution of A X = B, and the places of zero pivots, 0 if there is none.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    if check_errors:
        return all_given(out, returns.solve_ex(solve(A, B, left=left), _no_failure(A)))
    return all_given(out, returns.solve_ex(*apply_multi("solve_ex", (A, B), (("left", left),))))


@face("linalg")
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The solution of A X = B with a triangle of A."""
    attrs = (("upper", upper), ("left", left), ("unitriangular", unitriangular))
    return given(out, apply("solve_triangular", (A, B), attrs))


@face()
def triangular_solve(
    b: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False,
    *, out: Any = None,
) -> Any:  # fmt: skip
    """The solution of A X = b with a triangle of A, and A."""
    triangle = A.mT if transpose else A
    attrs = (("upper", upper != transpose), ("left", True), ("unitriangular", unitriangular))
    x = apply("solve_triangular", (triangle, b), attrs)
    return all_given(out, returns.triangular_solve(x, A.clone()))


@face("linalg")
def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinants of square matrices.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return given(out, unary("det", A))


list_as(renamed(det, A="input"), "torch method", "det")


@face("linalg")
def slogdet(A: Tensor, *, out: Any = None) -> Any:
    """Signs and logarithms of the magnitudes of determinants.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return all_given(out, returns.linalg_slogdet(*apply_multi("slogdet", (A,))))


@face("torch method", name="slogdet")
def _torch_slogdet(input: Tensor, *, out: Any = None) -> Any:
    """Signs and logarithms of the magnitudes of determinants."""
    return returns.slogdet(*slogdet(input, out=out))


@face()
def logdet(input: Tensor) -> Tensor:
    """The logarithms of determinants; NaN for negative ones.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    sign, log = apply_multi("slogdet", (input,))
    if input.dtype.kind == "c":
        return sign.log() + log
    return apply("where", (sign < 0, float("nan"), log))


@face("linalg")
def cholesky(A: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """The triangular factors of positive definite matrices.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    y = apply("cholesky", (A,), (("upper", bool(upper)),))
    return given(out, y.mH if upper else y)


@face("linalg")
def cholesky_ex(
    A: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """The triangular factors, and the orders of minors that prevent them, 0 if there is none.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    if check_errors:
        found = (cholesky(A, upper=upper), _no_failure(A))
    else:
        y, info = apply_multi("cholesky_ex", (A,), (("upper", bool(upper)),))
        found = (y.mH if upper else y, info)
    return all_given(out, returns.cholesky_ex(*found))


@face("torch method", name="cholesky")
def _torch_cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The triangular factors of positive definite matrices."""
    return cholesky(input, upper=upper, out=out)


def _whole(L: Tensor, upper: bool) -> Tensor:
    """The matrix whose Cholesky factor L is."""
    # the value of one triangle, with the gradient of the whole, as PyTorch has it
    t = L + ((L.triu() if upper else L.tril()) - L).detach()
    return t.mH @ t if upper else t @ t.mH


@face()
def cholesky_solve(
    B: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The solution of A X = B where L is the Cholesky factor of A."""
    return given(out, apply("solve", (_whole(L, upper), B), (("left", True),)))


@face()
def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of the matrix whose Cholesky factor L is."""
    return given(out, unary("linalg_inv", _whole(L, upper)))


@face("linalg")
def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of symmetric matrices.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    found = apply_multi("eigh", (A.mH if UPLO.upper() == "U" else A,))
    return all_given(out, returns.eigh(*found))


@face("linalg")
def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of symmetric matrices.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return given(out, eigh(A, UPLO)[0])


@face("linalg")
def qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """Orthogonal and upper triangular factors.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or "
            "'complete'"
        )
    q, r = apply_multi("linalg_qr", (A,), (("mode", "reduced" if mode == "r" else mode),))
    if mode == "r":
        q = apply("full", (0.0,), (("shape", (0,)), ("dtype", A.dtype)))
    return all_given(out, returns.linalg_qr(q, r))


@face("torch method", name="qr")
def _torch_qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """Orthogonal and upper triangular factors."""
    return returns.qr(*qr(input, "reduced" if some else "complete", out=out))


@face("linalg")
def svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> Any:
    """U, S and Vh with U diag(S) Vh = A.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    found = apply_multi("svd", (A,), (("full_matrices", full_matrices),))
    return all_given(out, returns.svd(*found))


@face("torch method", name="svd")
def _torch_svd(
    input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None
) -> Any:
    """U, S and V with U diag(S) Vᵀ = input."""
    u, s, vh = apply_multi("svd", (input,), (("full_matrices", not some),))
    if not compute_uv:
        u, vh = (t.detach() * 0 for t in (u, vh))
    return all_given(out, returns.svd_v(u, s, vh.mH))


@face("linalg")
def svdvals(A: Tensor, *, driver: str | None = None, out: Tensor | None = None) -> Tensor:
    """The singular values.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return given(out, apply_multi("svd", (A,), (("full_matrices", False),))[1])


def _tolerances(name: str, atol: Any, rtol: Any) -> tuple:
    """The operands that say which singular values count, after the matrix."""
    from tracec_ir.promote import _spelled

    for given_, spelled in ((atol, "atol"), (rtol, "rtol")):
        if isinstance(given_, Tensor) and given_.dtype.kind == "c":
            raise RuntimeError(
                f"torch.linalg.{name}: {spelled} tensor of complex type is not supported. Got "
                f"{_spelled(given_.dtype)}"
            )
    if rtol is None:
        return () if atol is None else (atol,)
    return (0.0 if atol is None else atol, rtol)


@face("linalg")
def pinv(
    A: Tensor, *, atol: Any = None, rtol: Any = None, rcond: Any = None, hermitian: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The pseudo-inverses of matrices.

    Singular values below max(atol, rtol * the largest) count as zero; rtol defaults to max(m, n) *
    eps. Stacks of matrices (..., m, n).
    """
    tolerances = _tolerances("pinv", atol, rtol if rcond is None else rcond)
    return given(out, apply("pinv", (A, *tolerances), (("hermitian", hermitian),)))


@face()
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverses of matrices.

    Singular values below max(atol, rtol * the largest) count as zero; rtol defaults to max(m, n) *
    eps. Stacks of matrices (..., m, n).
    """
    return pinv(input, rtol=float(rcond))


@face("linalg")
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """How many singular values are above the tolerance.

    Singular values below max(atol, rtol * the largest) count as zero; rtol defaults to max(m, n) *
    eps. Stacks of matrices (..., m, n).
    """
    if tol is not None:
        atol, rtol = tol, 0.0
    tolerances = _tolerances("matrix_rank", atol, rtol)
    return given(out, apply("matrix_rank", (A, *tolerances), (("hermitian", hermitian),)))


@face("linalg")
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The norms of matrices.

    `ord` is "fro", "nuc" (sum of singular values), 2 and -2 (largest, smallest), 1 and -1 (column
    sums), inf and -inf (row sums), over the two dimensions `dim`. RuntimeError otherwise.
    """
    x = A if dtype is None else A.to(dtype)
    attrs = (("ord", ord), ("dim", tuple(dim)), ("keepdim", keepdim))
    return given(out, apply("matrix_norm", (x,), attrs))


@face("linalg")
def norm(
    input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The norm of vectors or, with two dimensions, of matrices."""
    d = (dim,) if isinstance(dim, int) else dims(dim)
    if ord is not None and (d is not None and len(d) == 2 or d is None and input.dim() == 2):
        return matrix_norm(input, ord, (-2, -1) if d is None else d, keepdim, dtype=dtype, out=out)
    if ord is not None and d is None and input.dim() > 2:
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. "
            f"Got {input.dim()}D."
        )
    if ord is not None and isinstance(ord, str):
        raise RuntimeError("linalg.norm: Order " + ord + " is only defined for matrices")
    return vector_norm(input, 2 if ord is None else ord, d, keepdim, dtype=dtype, out=out)


@face("linalg")
def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition numbers of matrices.

    |A|_p |A^-1|_p for the matrix norms p; None means 2, the ratio of extreme singular values.
    """
    if p in (None, 2, -2):
        s = svdvals(A)
        ratio = s[..., 0] / s[..., -1]
        return given(out, 1 / ratio if p == -2 else ratio)
    return given(out, matrix_norm(A, p) * matrix_norm(inv(A), p))


@face("linalg torch method")
def matrix_exp(A: Tensor) -> Tensor:
    """The exponentials of square matrices.

    Stacks of matrices (..., m, n) in float32, float64 or their complex kinds (RuntimeError
    otherwise); square ones where the function asks for it. Runs on the host with LAPACK;
    derivatives are operations. A matrix for which there is no result raises linalg.LinAlgError when
    the value is computed, the functions in _ex tell instead.
    """
    return unary("matrix_exp", A)


@face("linalg")
def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A as a map between its first `ind` dimensions and the others."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = tuple(A.shape[ind:]) + tuple(A.shape[:ind])
    rows = 1
    for n in A.shape[:ind]:
        rows *= n
    if rows * rows != A.numel():
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            "prod(self.shape[:ind]), "
            f"but got {A.numel() // max(rows, 1)} != {rows}"
        )
    return given(out, inv(A.reshape(rows, rows)).reshape(shape))


@face("linalg")
def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X with tensordot(A, X) = B."""
    if dims is not None:
        rest = [i for i in range(A.dim()) if i not in dims]
        A = A.permute(*rest, *dims)
    shape = tuple(A.shape[B.dim() :])
    return given(out, solve(A.reshape(B.numel(), -1), B.reshape(-1)).reshape(shape))
