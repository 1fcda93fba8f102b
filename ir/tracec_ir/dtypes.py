"""Element types: one object per dtype, shared by the IR, the runtime and the PyTorch face."""

from __future__ import annotations

from typing import Any


class DType:
    """An element type. `code` is the IR spelling (`f32`), `name` PyTorch's (`float32`).

    `kind` is one of "b" (bool), "u", "i", "f", "c"; `bits` is the storage width of one element.
    """

    __slots__ = ("code", "name", "kind", "bits", "itemsize", "numpy_name", "rank")

    def __init__(self, code: str, name: str, kind: str, bits: int, numpy_name: str, rank: int):
        self.code, self.name, self.kind, self.bits = code, name, kind, bits
        self.itemsize, self.numpy_name, self.rank = bits // 8, numpy_name, rank

    def __repr__(self) -> str:
        return "torch." + self.name

    def __reduce__(self) -> tuple:
        return by_code, (self.code,)

    def __copy__(self) -> DType:
        return self

    def __deepcopy__(self, memo: dict) -> DType:
        return self

    @property
    def is_floating_point(self) -> bool:
        """Whether the elements are real floating numbers."""
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        """Whether the elements are complex."""
        return self.kind == "c"

    @property
    def is_signed(self) -> bool:
        """Whether the elements can be negative."""
        return self.kind in "ifc"

    @property
    def is_integral(self) -> bool:
        """True for integers, bool excluded."""
        return self.kind in "iu"

    @property
    def numpy(self) -> Any:
        """The NumPy dtype holding this element type (bfloat16 through ml_dtypes)."""
        import numpy as np

        if self.code == "bf16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.numpy_name)

    def to_real(self) -> DType:
        """The real type of a complex one; any other type is returned as it is."""
        return {"c64": f32, "c128": f64}.get(self.code, self)

    def to_complex(self) -> DType:
        """The complex type whose parts hold this floating type."""
        return {"f64": c128, "f32": c64, "f16": c64, "bf16": c64}.get(self.code, self)


b1 = DType("b1", "bool", "b", 8, "bool", 0)
u8 = DType("u8", "uint8", "u", 8, "uint8", 1)
i8 = DType("i8", "int8", "i", 8, "int8", 1)
i16 = DType("i16", "int16", "i", 16, "int16", 2)
i32 = DType("i32", "int32", "i", 32, "int32", 3)
i64 = DType("i64", "int64", "i", 64, "int64", 4)
u16 = DType("u16", "uint16", "u", 16, "uint16", 2)
u32 = DType("u32", "uint32", "u", 32, "uint32", 3)
u64 = DType("u64", "uint64", "u", 64, "uint64", 4)
f16 = DType("f16", "float16", "f", 16, "float16", 5)
bf16 = DType("bf16", "bfloat16", "f", 16, "bfloat16", 5)
f32 = DType("f32", "float32", "f", 32, "float32", 6)
f64 = DType("f64", "float64", "f", 64, "float64", 7)
c64 = DType("c64", "complex64", "c", 64, "complex64", 8)
c128 = DType("c128", "complex128", "c", 128, "complex128", 9)

ALL: tuple[DType, ...] = (b1, u8, i8, i16, i32, i64, u16, u32, u64, f16, bf16, f32, f64, c64, c128)
_BY_CODE = {d.code: d for d in ALL}
_BY_NUMPY = {d.numpy_name: d for d in ALL}
_MET: dict = {}  # NumPy dtype -> dtype, for those asked for


def by_code(code: str) -> DType:
    """The dtype spelled `code` in IR text; KeyError if there is none."""
    return _BY_CODE[code]


def by_numpy(dtype: object) -> DType:
    """The dtype of a NumPy dtype; TypeError if there is no such element type."""
    found = _MET.get(dtype)
    if found is not None:
        return found
    name = getattr(dtype, "name", None) or str(dtype)
    if not getattr(dtype, "isnative", True):
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            "between byte orders is currently not supported."
        )
    try:
        found = _MET[dtype] = _BY_NUMPY[name]
        return found
    except KeyError:
        kind = getattr(dtype, "type", type(dtype)).__name__
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{kind}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, "
            "uint32, uint16, uint8, and bool."
        ) from None
