"""What in-place writes must satisfy, with PyTorch's errors."""

from __future__ import annotations

from . import record

_NAMES = {
    "f32": "Float",
    "f64": "Double",
    "f16": "Half",
    "bf16": "BFloat16",
    "i64": "Long",
    "i32": "Int",
    "i16": "Short",
    "i8": "Char",
    "u8": "Byte",
    "b1": "Bool",
    "c64": "ComplexFloat",
    "c128": "ComplexDouble",
}


def check(x, value=None) -> None:
    """Raises RuntimeError if x must not be written now."""
    if not record.current().grad:
        return
    if x._rg and x._leaf is not None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    base = x._base
    if base is not None and base._rg and base._leaf is not None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


def conform(x, value):
    """`value` as a tensor of x's dtype and shape; RuntimeError if it cannot become one."""
    spec = x._spec
    if not isinstance(value, record.Tensor):
        _check_number(value, spec.dtype)
        return record.apply("full", (value,), {"shape": tuple(spec.shape), "dtype": spec.dtype})
    v = value._spec
    if v.dtype is not spec.dtype:
        value = record.apply("cast", (value,), {"dtype": spec.dtype})
    if v.shape != spec.shape:
        value = record.apply("broadcast", (value,), {"shape": tuple(spec.shape)})
    if spec.overlaps() and spec.numel > 1:
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single "
            "memory location. Please clone() the tensor before performing the operation."
        )
    return value


def _check_number(value, dtype) -> None:
    """RuntimeError for a Python number that the dtype cannot hold at all."""
    kind = dtype.kind
    if kind == "c" or value.__class__ not in (int, float, complex):
        return
    lost = value.__class__ is complex and value.imag != 0
    if not lost and kind in "iu":
        lost = value != value or abs(value) >= 2 ** (8 * dtype.itemsize)
    if lost:
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


def check_result(x, result) -> None:
    """What an in-place form demands of its computed result: x's shape, and a dtype that casts."""
    s, r = x._spec, result._spec
    if r.shape != s.shape:
        raise RuntimeError(
            f"output with shape {list(s.shape)} doesn't match the broadcast shape {list(r.shape)}"
        )
    check_dtype(x, result)


def check_dtype(x, result) -> None:
    """RuntimeError unless values of the result's dtype may be written into x."""
    s, r = x._spec, result._spec
    order = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    if order[r.dtype.kind] > order[s.dtype.kind]:
        raise RuntimeError(
            f"result type {_NAMES[r.dtype.code]} can't be cast to the desired output type "
            f"{_NAMES[s.dtype.code]}"
        )


def update(x, result):
    """x with its elements replaced by `result`, the outcome of an in-place form; returns x."""
    check_result(x, result)
    return record.assign(x, result, computed=True)
