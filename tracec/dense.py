"""The questions about sparse layouts, as dense tensors answer them; tensors here are dense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from .tensor import Tensor


def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """The tensor itself, or a copy in another dtype."""
    return self if dtype is None else self.to(dtype)


def sparse_dim(self: Tensor) -> int:
    """How many dimensions are sparse: 0."""
    return 0


def dense_dim(self: Tensor) -> int:
    """How many dimensions are dense: all."""
    return self.dim()


_COO = "sparse coordinate tensor layout"
_EXPECTED = {
    "coalesce": _COO,
    "is_coalesced": _COO,
    "indices": _COO,
    "values": "sparse tensor layout",
    "crow_indices": "sparse row compressed tensor layout",
    "col_indices": "sparse row compressed tensor layout",
    "ccol_indices": "sparse column compressed tensor layout",
    "row_indices": "sparse column compressed tensor layout",
}
_MISSING = ("to_sparse", "to_sparse_coo", "to_sparse_csr", "to_sparse_csc", "to_sparse_bsr",
            "to_sparse_bsc", "sparse_mask", "_indices", "_values", "_nnz")  # fmt: skip


def _refused(name: str, layout: str) -> Callable:
    def fn(self: Tensor) -> NoReturn:
        raise RuntimeError(f"{name} expected {layout} but got Strided")

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "RuntimeError: the tensor is dense."
    return fn


def _missing(name: str) -> Callable:
    def fn(self: Tensor, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"Tensor.{name}: sparse layouts are not implemented")

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "NotImplementedError: there are no sparse layouts."
    return fn


METHODS = (
    to_dense, sparse_dim, dense_dim, *map(_missing, _MISSING),
    *(_refused(name, layout) for name, layout in _EXPECTED.items()),
)  # fmt: skip
