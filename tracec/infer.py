"""Result types of recorded ops: the op table's rules, memoised; loaded at the first miss."""

from __future__ import annotations

from tracec_ir import dtypes, promote
from tracec_ir.builder import Builder, attr_key
from tracec_ir.core import Value
from tracec_ir.dtypes import DType
from tracec_ir.optable import lookup
from tracec_ir.types import ScalarType, TensorType

from .device import CPU
from .spec import Spec, dense

_SCALARS = {
    float: ScalarType(dtypes.f64),
    int: ScalarType(dtypes.i64),
    bool: ScalarType(dtypes.b1),
    complex: ScalarType(dtypes.c128),
}
_memo: dict = {}


def scalar_type(number) -> ScalarType:
    """The weak type of a Python number."""
    return _SCALARS[number.__class__]


def result_types(name: str, types: tuple, attrs: dict) -> tuple[tuple, bool]:
    """(types of the results, whether gradients flow through the op)."""
    key = (name, types, tuple((k, attr_key(v)) for k, v in attrs.items()), promote.default_float)
    found = _memo.get(key)
    if found is None:
        b = Builder(cse=False)
        out = b.apply(name, [Value(t) for t in types], attrs)
        found = tuple(tensor_type(v.type) for v in out), not lookup(name).nondiff
        if len(_memo) > 20_000:
            _memo.clear()
        _memo[key] = found
    return found


def autocast(name: str, types: list, mode) -> tuple | None:
    """The dtypes that autocast to `mode` casts an op's operands to (None: as it is), or None."""
    policy = lookup(name).autocast
    if not policy:
        return None
    to = mode if policy == "half" else dtypes.f32

    def cast(t) -> DType | None:
        eligible = isinstance(t, TensorType) and t.dtype.code in _AUTOCAST
        return to if eligible and t.dtype is not to else None

    casts = tuple(map(cast, types))
    return casts if any(casts) else None


_AUTOCAST = frozenset(("f32", "f16", "bf16"))


def cast_types(types, casts: tuple | None) -> tuple:
    """The types after `autocast`."""
    if casts is None:
        return tuple(types)
    return tuple(
        t if to is None else TensorType(to, t.shape) for t, to in zip(types, casts, strict=True)
    )


def tensor_type(t) -> TensorType:
    return TensorType(promote.scalar_dtype(t.dtype)) if isinstance(t, ScalarType) else t


def spec_of(t: TensorType, device=None) -> Spec:
    """The dense spec of a value of type t."""
    return dense(t.dtype, tuple(t.shape), device or CPU)
