"""The types of IR values: tensors with possibly symbolic sizes, and weakly typed scalars."""

from __future__ import annotations

from collections.abc import Iterable

from . import dims
from .dims import Dim
from .dtypes import DType


class TensorType:
    """`f32[8x?n]`: an element type and a shape. Immutable, hashable."""

    __slots__ = ("dtype", "shape", "_hash")

    def __init__(self, dtype: DType, shape: tuple[Dim, ...] = ()):
        self.dtype, self.shape = dtype, tuple(shape)
        self._hash = hash((dtype.code, self.shape))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TensorType)
            and self.dtype is other.dtype
            and self.shape == other.shape
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"{self.dtype.code}[{' x '.join(map(dim_text, self.shape))}]"

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> Dim:
        return dims.product(self.shape)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def with_shape(self, shape: Iterable[Dim]) -> TensorType:
        return TensorType(self.dtype, tuple(shape))


class ScalarType:
    """`i64`, `f64`, `b1`, `c128`: a Python number known only at run time.

    It takes part in promotion the way Python numbers do in PyTorch: by category, not by width.
    """

    __slots__ = ("dtype",)

    def __init__(self, dtype: DType):
        self.dtype = dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScalarType) and self.dtype is other.dtype

    def __hash__(self) -> int:
        return hash(("scalar", self.dtype.code))

    def __repr__(self) -> str:
        return self.dtype.code


Type = TensorType | ScalarType


def dim_text(dim: Dim) -> str:
    """A size as IR text: integers and single symbols bare, anything else in parentheses."""
    text = str(dim)
    return text if isinstance(dim, int) or text.replace("?", "").isidentifier() else f"({text})"
