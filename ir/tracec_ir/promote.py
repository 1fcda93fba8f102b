"""Type promotion as PyTorch does it: by dtype among equals, by category across priorities."""

from __future__ import annotations

from collections.abc import Iterable

from . import dtypes
from .dtypes import DType
from .types import ScalarType, TensorType, Type

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}

# how PyTorch's messages spell dtypes
_CXX_NAMES = {
    "u16": "UInt16", "u32": "UInt32", "u64": "UInt64", "f32": "Float", "f64": "Double",
    "i64": "Long", "i32": "Int", "i16": "Short", "i8": "Char", "u8": "Byte", "b1": "Bool",
    "f16": "Half", "bf16": "BFloat16", "c64": "ComplexFloat", "c128": "ComplexDouble",
}  # fmt: skip

default_float: DType = dtypes.f32


def set_default_float(dtype: DType) -> None:
    """What integers become in floating-point ops, and Python floats beside integers."""
    global default_float
    default_float = dtype


def common(a: DType, b: DType) -> DType:
    """The dtype that two tensors of equal priority promote to (`torch.promote_types`)."""
    if a is b:
        return a
    low, high = (a, b) if a.rank <= b.rank else (b, a)
    if high.kind == "c" and not (low.kind == "u" and low.bits > 8):
        return dtypes.c128 if low is dtypes.f64 else high
    if high.kind == "f":
        return dtypes.f32 if low.kind == "f" and low.bits == high.bits else high
    if any(d.kind == "u" and d.bits > 8 for d in (a, b)):
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{_spelled(a)} and {_spelled(b)}"
        )
    return dtypes.i16 if low.bits == high.bits and low.kind != "b" else high


def _spelled(d: DType) -> str:
    return _CXX_NAMES[d.code]


_C_TYPES = {
    "f32": "float", "f64": "double", "i64": "long int", "i32": "int", "i16": "short int",
    "i8": "signed char", "u8": "unsigned char", "b1": "bool", "f16": "c10::Half",
    "bf16": "c10::BFloat16", "c64": "c10::complex<float>", "c128": "c10::complex<double>",
}  # fmt: skip


def c_type(d: DType) -> str:
    """The C++ type that some of PyTorch's messages name: `float`, `long int`."""
    return _C_TYPES.get(d.code, d.name)


def scalar_dtype(scalar: DType) -> DType:
    """The dtype a Python number has when nothing else decides."""
    if scalar.kind == "f":
        return default_float
    return default_float.to_complex() if scalar.kind == "c" else scalar


def result_type(types: Iterable[Type]) -> DType:
    """The dtype of an op over these: tensors first, then 0-d tensors, then Python numbers."""
    dimmed = zero = number = None
    for t in types:
        if isinstance(t, ScalarType):
            d = scalar_dtype(t.dtype)
            number = d if number is None else common(number, d)
        elif t.shape:
            dimmed = t.dtype if dimmed is None else common(dimmed, t.dtype)
        else:
            zero = t.dtype if zero is None else common(zero, t.dtype)
    return _combine(_combine(dimmed, zero), number) or default_float


def _combine(high: DType | None, low: DType | None) -> DType | None:
    if high is None or low is None:
        return high or low
    if _CATEGORY[low.kind] <= _CATEGORY[high.kind]:
        return high
    if low.kind == "c":  # a wider category keeps the tensor's precision
        return high.to_complex() if high.kind == "f" else low
    return common(high, low)


def broadcast_shapes(*shapes: tuple) -> tuple:
    """The common shape of several; RuntimeError with PyTorch's wording if they do not fit."""
    from .dims import same

    rank = max((len(s) for s in shapes), default=0)
    out: list = [1] * rank
    for s in shapes:
        offset = rank - len(s)
        for i in reversed(range(len(s))):
            d, have = s[i], out[offset + i]
            if have == 1:
                out[offset + i] = d
            elif d != 1 and not same(have, d):
                raise RuntimeError(
                    f"The size of tensor a ({have}) must match the size of tensor b ({d}) at "
                    f"non-singleton dimension {offset + i}"
                )
    return tuple(out)


def pointwise_types(
    rule: str, types: list[Type], op: str = ""
) -> tuple[DType | None, DType | None]:
    """(dtype that operands are cast to, dtype of the result) by a promotion rule; None: as is."""
    if rule == "none":
        return None, None
    common_type = result_type(types)
    if rule == "float" and common_type.kind in "biu":
        common_type = default_float
    if rule == "bool":
        return dtypes.b1, dtypes.b1
    if rule == "int" and common_type.kind in "fc":
        raise NotImplementedError(f"\"{op}_cpu\" not implemented for '{_spelled(common_type)}'")
    return common_type, dtypes.b1 if rule == "compare" else common_type


def tensor_operands(types: Iterable[Type]) -> list[TensorType]:
    return [t for t in types if isinstance(t, TensorType)]
