"""What the files on matrices share: checks, adjoints, the convention of their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..dims import Dim
from ..optable import composite
from ..prims.host import host_function, leading
from ..types import TensorType
from .common import iota_along, spelled, swap
from .samples import of


def host(b: Builder, fn: str, *operands: Value, options: tuple = ()) -> Any:
    """The result of the host function `fn`, or a tuple of its results."""
    out = b.emit("host", operands, {"fn": fn, "options": options})
    return out[0] if len(out) == 1 else out


def transposed(b: Builder, x: Value) -> Value:
    return swap(b, x, x.rank - 1, x.rank - 2)


def adjoint(b: Builder, x: Value) -> Value:
    return b.conj(transposed(b, x))


def product(b: Builder, *factors: Value) -> Value:
    """The matrix product of all factors, from the left."""
    out = factors[0]
    for f in factors[1:]:
        out = b.matmul(out, f)
    return out


def on_diagonal(b: Builder, x: Value, n: Dim | None = None) -> Value:
    """Where the places of the matrices x (or of n x n matrices) are on their diagonals: one matrix
    with the rank of x."""
    rows, columns = x.shape[-2:] if n is None else (n, n)
    rank = x.rank
    return b.eq(iota_along(b, rank, rank - 2, rows), iota_along(b, rank, rank - 1, columns))


def hermitian(rule: Callable) -> Callable:
    """A derivative written for gradients (dL/du + i * dL/dv of x = u + i * v), as the formulas with
    conjugate transposes are, as one for the cotangents that ops exchange."""

    def vjp(b: Builder, op: Op, *grads: Value | None):
        found = rule(b, op, *(None if g is None else b.conj(g) for g in grads))
        return [None if d is None else b.conj(d) for d in found]

    return vjp


def no_derivative(name: str) -> Callable:
    """A derivative that is missing in PyTorch, too: NotImplementedError once it is asked for."""

    def vjp(b: Builder, op: Op, *grads: Value | None):
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    return vjp


def real_type(x: TensorType, shape: Any) -> TensorType:
    """Real numbers as exact as those of x."""
    return TensorType(x.dtype.to_real(), tuple(shape))


# -- checks ---------------------------------------------------------------------------------------
def check_square(x: Value, name: str) -> None:
    check_matrix(x, name)
    if not dims.same(x.shape[-1], x.shape[-2]):
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices"
        )


def check_matrix(x: Value, name: str) -> None:
    if x.rank < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.dtype not in LAPACK:
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {spelled(x.dtype)}"
        )


LAPACK = (dtypes.f32, dtypes.f64, dtypes.c64, dtypes.c128)


def check_kernel(x: Value, kernel: str) -> None:
    """NotImplementedError for dtypes that LAPACK does not have, as PyTorch's kernels raise it."""
    if x.dtype not in LAPACK:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{spelled(x.dtype)}'")


def where_in_stack(shape: tuple[int, ...], at: int) -> str:
    """How messages name the matrix number `at` of a stack: nothing for a single matrix."""
    return f"(Batch element {at}): " if shape else ""


# -- phases ---------------------------------------------------------------------------------------
@host_function("phases", lambda x, turns, message: x, batch=leading)
def _np_phases(x: np.ndarray, turns: np.ndarray, message: str) -> np.ndarray:
    """x, unless a derivative along changes of phase is not zero."""
    if not np.allclose(turns, 0, rtol=1e-2, atol=1e-2):
        raise RuntimeError(message)
    return x


def _phases_vjp(b: Builder, op: Op, g: Value):
    return [g, None]


@composite(vjp=_phases_vjp, samples=of("d2x3", lambda: np.zeros(2), message="not zero"))
def checked_phases(b, x, turns, *, message):
    """x; RuntimeError if `turns` are not zero."""
    return host(b, "phases", x, turns, options=(message,))
