"""Programs and kernels as JSON-ready data and back: what the disk cache stores."""

from __future__ import annotations

import dataclasses
from typing import Any

from tracec_ir import dtypes
from tracec_ir.dims import Atom, Poly, Sym
from tracec_ir.dtypes import DType
from tracec_ir.types import ScalarType, TensorType

from .kernel import core

_RECORDS: dict[str, type] = {
    name: cls
    for name, cls in vars(core).items()
    if isinstance(cls, type) and dataclasses.is_dataclass(cls)
}


def record(cls: type) -> type:
    """Class decorator: makes a dataclass known to `encode` and `decode`."""
    _RECORDS[cls.__name__] = cls
    return cls


def encode(value: Any) -> Any:
    """`value` as data that `json.dumps` takes; TypeError for anything unknown."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [encode(v) for v in value]
    if isinstance(value, tuple):
        return {"t": [encode(v) for v in value]}
    if isinstance(value, dict):
        return {"d": [[encode(k), encode(v)] for k, v in value.items()]}
    if isinstance(value, Poly):
        return {
            "p": [[coef, [_encode_unknown(u) for u in mono]] for mono, coef in value.terms.items()]
        }
    if isinstance(value, DType):
        return {"e": value.code}
    if isinstance(value, TensorType):
        return {"tensor": [value.dtype.code, [encode(s) for s in value.shape]]}
    if isinstance(value, ScalarType):
        return {"scalar": value.dtype.code}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if type(value).__name__ in _RECORDS:
        fields = dataclasses.fields(value)
        return {"r": type(value).__name__, "f": [encode(getattr(value, f.name)) for f in fields]}
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def decode(data: Any) -> Any:
    """The value that `encode` made `data` from; ValueError if it is not of that form."""
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return [decode(v) for v in data]
    if not isinstance(data, dict) or not data:
        raise ValueError("not an encoded value")
    if "r" in data:
        cls = _RECORDS.get(data["r"])
        if cls is None:
            raise ValueError(f"unknown record {data['r']!r}")
        return cls(*map(decode, data["f"]))
    ((tag, inner),) = data.items()
    if tag == "t":
        return tuple(map(decode, inner))
    if tag == "d":
        return {decode(k): decode(v) for k, v in inner}
    if tag == "p":
        return Poly({tuple(map(_decode_unknown, mono)): coef for coef, mono in inner})
    if tag == "e":
        return dtypes.by_code(inner)
    if tag == "tensor":
        return TensorType(dtypes.by_code(inner[0]), tuple(map(decode, inner[1])))
    if tag == "scalar":
        return ScalarType(dtypes.by_code(inner))
    if tag == "c":
        return complex(*inner)
    raise ValueError(f"unknown tag {tag!r}")


def _encode_unknown(unknown: Sym | Atom) -> Any:
    if isinstance(unknown, Sym):
        return unknown.name if unknown.hint is None else [unknown.name, unknown.hint]
    return [unknown.kind, encode(unknown.a), encode(unknown.b)]


def _decode_unknown(data: Any) -> Sym | Atom:
    if isinstance(data, str):
        return Sym(data)
    if len(data) == 2:
        return Sym(data[0], data[1])
    kind, a, b = data
    if kind not in ("//", "%", "min", "max"):
        raise ValueError(f"unknown atom {kind!r}")
    return Atom(kind, decode(a), decode(b))
