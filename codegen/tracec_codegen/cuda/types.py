"""How element types are spelled in CUDA C: in memory, in registers, as literals; identities."""

from __future__ import annotations

import math

import numpy as np

from tracec_ir.dtypes import DType, b1

_INTEGERS = {
    "i8": "signed char", "i16": "short", "i32": "int", "i64": "long long",
    "u8": "unsigned char", "u16": "unsigned short", "u32": "unsigned int",
    "u64": "unsigned long long",
}  # fmt: skip
_REGISTER = {"b1": "bool", "f16": "float", "bf16": "float", "f32": "float", "f64": "double"}
_MEMORY = {"b1": "unsigned char", "f16": "__half", "bf16": "__nv_bfloat16"}
_NAN = ("__longlong_as_double(0x7ff8000000000000LL)", "__int_as_float(0x7fc00000)")
_INFINITY = ("__longlong_as_double(0x7ff0000000000000LL)", "__int_as_float(0x7f800000)")
_HEADERS = {"f16": "cuda_fp16.h", "bf16": "cuda_bf16.h"}


def register_type(dtype: DType) -> str:
    """The type of a scalar in registers: half types live as float."""
    if dtype.kind == "c":
        raise NotImplementedError(f"CUDA kernels over {dtype.name}")
    return _INTEGERS.get(dtype.code) or _REGISTER[dtype.code]


def memory_type(dtype: DType) -> str:
    """The type of an element in memory."""
    return _MEMORY.get(dtype.code) or register_type(dtype)


def header(dtype: DType) -> str:
    """The header that declares the memory type, if it needs one."""
    return _HEADERS.get(dtype.code, "")


def from_memory(text: str, dtype: DType) -> str:
    """The register form of an element that was read."""
    if dtype.code == "f16":
        return f"__half2float({text})"
    if dtype.code == "bf16":
        return f"__bfloat162float({text})"
    return f"{text} != 0" if dtype is b1 else text


def to_memory(text: str, dtype: DType) -> str:
    """What is written for a value in registers."""
    if dtype.code == "f16":
        return f"__float2half_rn({text})"
    return f"__float2bfloat16_rn({text})" if dtype.code == "bf16" else text


def literal(value: float, dtype: DType) -> str:
    """A constant in register form."""
    if dtype is b1:
        return "true" if value else "false"
    if dtype.is_integral:
        return _integer(int(value), dtype)
    single = register_type(dtype) == "float"
    if single:
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
    if math.isnan(value):
        return _NAN[single]
    if math.isinf(value):
        return ("-" if value < 0 else "") + _INFINITY[single]
    text = str(np.float32(value)) if single else repr(value)
    return text + ("f" if single else "")


def _integer(value: int, dtype: DType) -> str:
    if dtype.code == "u64":
        return f"{value}ULL"
    if dtype.code == "i64":
        return f"({value + 1}LL - 1)" if value == -(1 << 63) else f"{value}LL"
    if dtype.code == "i32":
        return f"({value + 1} - 1)" if value == -(1 << 31) else str(value)
    if dtype.code == "u32":
        return f"{value}u"
    return f"({register_type(dtype)}){value}"


def identity(combine: str, dtype: DType) -> float:
    """The number that leaves its partner unchanged under a way of combining."""
    if combine in ("sum", "any", "last"):
        return 0
    if combine in ("prod", "all"):
        return 1
    if dtype is b1:
        return combine == "min"
    if dtype.is_floating_point:
        return -math.inf if combine == "max" else math.inf
    low = -(1 << (dtype.bits - 1)) if dtype.is_signed else 0
    return low if combine == "max" else low + (1 << dtype.bits) - 1
