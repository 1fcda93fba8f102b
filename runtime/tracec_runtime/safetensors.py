"""Named arrays in the safetensors format, written and strictly read without copies.

The layout: header length (u64), header (JSON: name -> dtype, shape, offsets), then the bytes of the
arrays without gaps. Larger element types come first, so that each array is aligned to its elements.
The format has no complex128; such an array is stored as float64 pairs and named in the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tracec_ir import dtypes
from tracec_ir.dtypes import DType

_CODES: dict[str, DType] = {
    "BOOL": dtypes.b1, "U8": dtypes.u8, "I8": dtypes.i8, "I16": dtypes.i16, "U16": dtypes.u16,
    "I32": dtypes.i32, "U32": dtypes.u32, "I64": dtypes.i64, "U64": dtypes.u64, "F16": dtypes.f16,
    "BF16": dtypes.bf16, "F32": dtypes.f32, "F64": dtypes.f64, "C64": dtypes.c64,
}  # fmt: skip
_SPELLED = {d: code for code, d in _CODES.items()}
_MAX_HEADER = 100 << 20
_PAIRS = "complex128"  # the metadata entry with the names of arrays stored as float64 pairs


class FormatError(ValueError):
    """Bytes that are not well-formed safetensors."""


def pack(arrays: Mapping[str, np.ndarray]) -> list[bytes | memoryview]:
    """The file's contents in pieces; the arrays' memory is used as it is where contiguous."""
    stored, pairs = {}, []
    for name, array in arrays.items():
        dtype = dtypes.by_numpy(array.dtype)
        array = np.ascontiguousarray(array).reshape(array.shape)
        if dtype is dtypes.c128:
            pairs.append(name)
            dtype = dtypes.f64
            array = array.reshape(-1).view(np.float64).reshape(*array.shape, 2)
        stored[name] = (dtype, array)
    order = sorted(stored, key=lambda n: (-stored[n][0].itemsize, n))
    header: dict[str, Any] = {"__metadata__": {_PAIRS: json.dumps(sorted(pairs))}} if pairs else {}
    offset, pieces = 0, []
    for name in order:
        dtype, array = stored[name]
        end = offset + array.nbytes
        shape = [int(n) for n in array.shape]
        header[name] = {
            "dtype": _SPELLED[dtype], "shape": shape, "data_offsets": [offset, end]
        }  # fmt: skip
        pieces.append(array.reshape(-1).view(np.uint8).data)
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return [len(text).to_bytes(8, "little") + text, *pieces]


def unpack(blob: memoryview) -> dict[str, np.ndarray]:
    """The arrays in `blob`, as views of it; FormatError unless every byte is accounted for."""
    if len(blob) < 8:
        raise FormatError("the header is missing")
    length = int.from_bytes(blob[:8], "little")
    if length > min(len(blob) - 8, _MAX_HEADER):
        raise FormatError("the header is longer than the file")
    header = _header(bytes(blob[8 : 8 + length]))
    data = blob[8 + length :]
    pairs = _pair_names(header.pop("__metadata__", {}))
    out, position = {}, 0
    for name, entry in sorted(header.items(), key=_begin):
        dtype, shape, end = _entry(name, entry, position)
        if end > len(data):
            raise FormatError(f"{name!r} reaches beyond the file")
        array: np.ndarray = np.ndarray(shape, dtype.numpy, data, position)
        if name in pairs:
            if dtype is not dtypes.f64 or not shape or shape[-1] != 2:
                raise FormatError(f"{name!r} does not consist of pairs")
            array = array.view(np.complex128).reshape(shape[:-1])
        out[name] = array
        position = end
    if position != len(data):
        raise FormatError("there are bytes behind the last array")
    if not pairs <= set(out):
        raise FormatError("the metadata names an array that does not exist")
    return out


def _header(text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) != len(pairs):
            raise FormatError("a name occurs twice in the header")
        return out

    try:
        header = json.loads(text, object_pairs_hook=unique)
    except FormatError:
        raise
    except (ValueError, RecursionError):
        raise FormatError("the header is not JSON") from None
    if not isinstance(header, dict):
        raise FormatError("the header is not an object")
    return header


def _pair_names(metadata: Any) -> set[str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError("the metadata is malformed")
    try:
        names = json.loads(metadata.get(_PAIRS, "[]"))
    except (ValueError, RecursionError):
        raise FormatError("the metadata is malformed") from None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise FormatError("the metadata is malformed")
    return set(names)


def _begin(item: tuple[str, Any]) -> tuple[int, int, str]:
    try:
        begin, end = item[1]["data_offsets"]
    except (TypeError, KeyError, ValueError):
        raise FormatError(f"{item[0]!r} is malformed") from None
    if type(begin) is not int or type(end) is not int:
        raise FormatError(f"{item[0]!r} is malformed")
    return begin, end, item[0]


def _entry(name: str, entry: Any, position: int) -> tuple[DType, tuple[int, ...], int]:
    """(element type, shape, end) of an array that must begin at `position`."""
    if set(entry) != {"dtype", "shape", "data_offsets"} or not isinstance(entry["shape"], list):
        raise FormatError(f"{name!r} is malformed")
    dtype = _CODES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise FormatError(f"{name!r} has the unknown element type {entry['dtype']!r}")
    shape = entry["shape"]
    if len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise FormatError(f"{name!r} has a malformed shape")
    size = dtype.itemsize
    for n in shape:
        size *= n
    begin, end = entry["data_offsets"]
    if begin != position or end - begin != size:
        raise FormatError(f"{name!r} does not lie where it must")
    return dtype, tuple(shape), end
