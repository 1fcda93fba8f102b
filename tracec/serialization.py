"""Owns ``save`` and ``load``: a zip of a JSON structure and the raw bytes of tensors.

A checkpoint holds ``structure.json`` (containers, numbers, texts, and where tensors lie),
``tensors.safetensors`` (one flat tensor per storage, so that views stay views of one storage) and,
only when something was saved that is neither, ``objects.pkl`` (a pickle, which ``load`` reads with
``weights_only=False`` alone). Reading the first two executes nothing from the file.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import pickle
import struct
import tempfile
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

import tracec

from .torch_files import is_chain, is_zip, load_chain, load_zip

FORMAT = "tracec checkpoint"
VERSION = 1
_STRUCTURE, _TENSORS, _OBJECTS = "structure.json", "tensors.safetensors", "objects.pkl"
_MAX_DEPTH = 200

# safetensors' names of dtypes, by ours
_NAMES = {
    "f32": "F32", "f64": "F64", "f16": "F16", "bf16": "BF16", "i64": "I64", "i32": "I32",
    "i16": "I16", "i8": "I8", "u8": "U8", "u16": "U16", "u32": "U32", "u64": "U64", "b1": "BOOL",
    "c64": "C64", "c128": "C128",
}  # fmt: skip
_CODES = {name: code for code, name in _NAMES.items()}


class CheckpointError(RuntimeError):
    """A file that is no checkpoint, or a damaged one."""


# ---- writing -----------------------------------------------------------------------------


class _Writer:
    """Turns an object into a structure of JSON values, flat tensors and pickled objects."""

    def __init__(self) -> None:
        self.flat: list[tuple[str, np.ndarray]] = []  # code and elements of each storage
        self.objects: list[Any] = []
        self._storages: dict[int, int] = {}
        self._kept: list[Any] = []  # what identities refer to must stay alive

    def encode(self, value: Any, depth: int = 0) -> Any:
        """The JSON form: plain values as they are, everything else as a tagged dict."""
        if depth > _MAX_DEPTH:
            raise ValueError(f"cannot save an object nested more than {_MAX_DEPTH} deep")
        if value is None or isinstance(value, bool) or type(value) is str:
            return value
        if type(value) is int:
            # JSON readers elsewhere have doubles only; larger integers go as text.
            return value if abs(value) < 2**53 else {"int": str(value)}
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, tracec.Tensor):
            return self._tensor(value)
        kind = type(value)
        if kind in (list, tuple, set, frozenset, tracec.Size):
            return {_SEQUENCES[kind]: [self.encode(v, depth + 1) for v in value]}
        if kind in (dict, OrderedDict, Counter):
            return self._mapping(value, depth)
        if kind is defaultdict and value.default_factory in (None, *_FACTORIES.values()):
            encoded = self._mapping(value, depth)
            names = [n for n, made in _FACTORIES.items() if made is value.default_factory]
            return {**encoded, "factory": names[0] if names else None}
        if kind is complex:
            return {"complex": [repr(value.real), repr(value.imag)]}
        if kind is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        if kind is tracec.dtype:
            return {"dtype": value.code}
        if kind is tracec.device:
            return {"device": str(value)}
        self.objects.append(value)
        return {"object": len(self.objects) - 1}

    def _mapping(self, value: Any, depth: int) -> dict[str, Any]:
        pairs = [[self.encode(k, depth + 1), self.encode(v, depth + 1)] for k, v in value.items()]
        encoded: dict[str, Any] = {_MAPPINGS[type(value)]: pairs}
        metadata = getattr(value, "_metadata", None)  # of a module's state dict
        if metadata is not None:
            encoded["metadata"] = self.encode(metadata, depth + 1)
        return encoded

    def _tensor(self, tensor: Any) -> dict[str, Any]:
        storage = tensor._st
        index = self._storages.get(id(storage))
        if index is None:
            index = len(self.flat)
            self._storages[id(storage)] = index
            self._kept.append(storage)
            count = math.prod(storage.spec.shape)
            flat = tensor.detach().as_strided((count,), (1,), 0)
            code = tensor.dtype.code
            self.flat.append((code, np.ascontiguousarray(flat._array())))
        code = self.flat[index][0]
        if code != tensor.dtype.code:  # a view of the bytes as another dtype: saved on its own
            alone = tensor.detach().clone()
            self.flat.append((tensor.dtype.code, np.ascontiguousarray(alone._array()).reshape(-1)))
            encoded = {"tensor": len(self.flat) - 1, "shape": list(alone.shape),
                       "stride": list(alone.stride()), "offset": 0}  # fmt: skip
        else:
            encoded = {"tensor": index, "shape": list(tensor.shape),
                       "stride": list(tensor.stride()),
                       "offset": int(tensor.storage_offset())}  # fmt: skip
        if tensor.requires_grad and tensor.is_leaf:
            encoded["requires_grad"] = True
        if _is_parameter(tensor):
            encoded["parameter"] = True
        return encoded


_SEQUENCES = {
    list: "list", tuple: "tuple", set: "set", frozenset: "frozenset", tracec.Size: "size",
}  # fmt: skip
_MAPPINGS = {dict: "dict", OrderedDict: "ordered", Counter: "counter", defaultdict: "default"}
_FACTORIES = {"dict": dict, "list": list, "int": int, "float": float, "set": set}


def _is_parameter(tensor: Any) -> bool:
    import sys

    module = sys.modules.get("tracec.nn.parameter")
    return module is not None and isinstance(tensor, module.Parameter)


def _safetensors(flat: list[tuple[str, np.ndarray]]) -> bytes:
    """The arrays in the safetensors format, named by their positions."""
    header, offset = {}, 0
    for index, (code, array) in enumerate(flat):
        end = offset + array.nbytes
        header[str(index)] = {
            "dtype": _NAMES[code], "shape": [array.size], "data_offsets": [offset, end],
        }  # fmt: skip
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    parts = [struct.pack("<Q", len(text)), text]
    return b"".join([*parts, *(array.tobytes() for _, array in flat)])


def _write(obj: Any, target: Any, pickle_module: Any, protocol: int) -> None:
    writer = _Writer()
    structure = {"format": FORMAT, "version": VERSION, "value": writer.encode(obj)}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_STRUCTURE, json.dumps(structure, ensure_ascii=False))
        archive.writestr(_TENSORS, _safetensors(writer.flat))
        if writer.objects:
            archive.writestr(_OBJECTS, pickle_module.dumps(writer.objects, protocol=protocol))


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save an object to a path or a file. A file at the path is replaced at once, or not at all."""
    if not isinstance(f, (str, os.PathLike)):
        buffer = io.BytesIO()
        _write(obj, buffer, pickle_module, pickle_protocol)
        f.write(buffer.getvalue())
        return
    path = Path(f)
    if not path.parent.is_dir():
        raise RuntimeError(f"Parent directory {path.parent} does not exist.")
    descriptor, temporary = tempfile.mkstemp(prefix=path.name + ".", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write(obj, file, pickle_module, pickle_protocol)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files for the owner alone; a plain open() would have asked the umask.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


# ---- reading -----------------------------------------------------------------------------


class _Reader:
    """Turns a structure of JSON values back into an object."""

    def __init__(self, bases: list[Any], objects: list[Any] | None, place: Any) -> None:
        self.bases = bases
        self.objects = objects
        self.place = place

    def decode(self, value: Any, depth: int = 0) -> Any:
        """The object that a JSON value stands for."""
        if depth > _MAX_DEPTH:
            raise CheckpointError("the structure is nested too deeply")
        if not isinstance(value, dict):
            if isinstance(value, list):
                raise CheckpointError("the structure holds an untagged list")
            return value
        tag = next(iter(value), None)
        payload = value.get(tag)
        if tag == "tensor":
            return self._tensor(value)
        if tag in _SEQUENCE_TYPES:
            return _SEQUENCE_TYPES[tag](self.decode(v, depth + 1) for v in payload)
        if tag in _MAPPING_TYPES:
            return self._mapping(tag, value, depth)
        if tag == "int":
            return int(payload)
        if tag == "float":
            return float(payload)
        if tag == "complex":
            return complex(float(payload[0]), float(payload[1]))
        if tag == "bytes":
            return base64.b64decode(payload)
        if tag == "dtype":
            from tracec_ir.dtypes import by_code

            return by_code(payload)
        if tag == "device":
            return tracec.device(payload)
        if tag == "object":
            if self.objects is None:
                raise pickle.UnpicklingError(
                    "Weights only load failed. The file holds pickled objects, which can execute "
                    "code when they are loaded. If you trust the file, load it with "
                    "`weights_only=False`."
                )
            return self.objects[payload]
        raise CheckpointError(f"the structure holds an unknown tag {tag!r}")

    def _mapping(self, tag: str, value: dict[str, Any], depth: int) -> Any:
        pairs = [(self.decode(k, depth + 1), self.decode(v, depth + 1)) for k, v in value[tag]]
        if tag == "default":
            factory = value.get("factory")
            result: Any = defaultdict(None if factory is None else _FACTORIES[factory], pairs)
        else:
            result = _MAPPING_TYPES[tag]()
            result.update(pairs) if tag != "counter" else result.update(dict(pairs))
        if "metadata" in value:
            result._metadata = self.decode(value["metadata"], depth + 1)
        return result

    def _tensor(self, value: dict[str, Any]) -> Any:
        base = self.bases[value["tensor"]]
        shape, stride, offset = value["shape"], value["stride"], value["offset"]
        numbers = [*shape, *stride, offset]
        if len(shape) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
            raise CheckpointError("a tensor has an impossible shape, stride or offset")
        last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
        if 0 not in shape and last >= base.numel():
            raise CheckpointError("a tensor reaches beyond its storage")
        tensor = base.as_strided(tuple(shape), tuple(stride), offset)
        tensor = self.place(tensor)
        if value.get("parameter"):
            from tracec.nn.parameter import Parameter

            return Parameter(tensor, bool(value.get("requires_grad")))
        if value.get("requires_grad"):
            tensor = tensor.detach().requires_grad_(True)
        return tensor


_SEQUENCE_TYPES: dict[Any, Any] = {name: kind for kind, name in _SEQUENCES.items()}
_MAPPING_TYPES: dict[Any, Any] = {name: kind for kind, name in _MAPPINGS.items()}


def named_tensors(data: bytes) -> dict[str, Any]:
    """The tensors of a safetensors file, by name."""
    from tracec.tensor import rebuild
    from tracec_ir.dtypes import by_code

    if len(data) < 8:
        raise CheckpointError("the tensors are truncated")
    (length,) = struct.unpack_from("<Q", data)
    if length > len(data) - 8:
        raise CheckpointError("the header of the tensors is truncated")
    header = json.loads(data[8 : 8 + length])
    body = memoryview(data)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        dtype = by_code(_CODES[entry["dtype"]])
        shape = tuple(entry["shape"])
        count = math.prod(shape)
        start, end = entry["data_offsets"]
        if not (0 <= start <= end <= len(body)) or end - start != count * dtype.itemsize:
            raise CheckpointError("a tensor's bytes lie outside the file")
        array = np.frombuffer(body[start:end], dtype=np.uint8).copy().view(dtype.numpy)
        tensors[name] = rebuild(array.reshape(shape), dtype.code, False, tracec.Tensor)
    return tensors


def _placer(map_location: Any) -> Any:
    """The function that puts a loaded tensor where it belongs."""
    if map_location is None:
        return lambda tensor: tensor
    if isinstance(map_location, dict):
        target = map_location.get("cpu", "cpu")
        return lambda tensor: tensor.to(target)
    if callable(map_location) and not isinstance(map_location, tracec.device):
        # PyTorch passes storages; a function that returns what it got, or None, keeps the place.
        def place(tensor: Any) -> Any:
            moved = map_location(tensor, "cpu")
            return tensor if moved is None else moved

        return place
    return lambda tensor: tensor.to(map_location)


def _from_device(map_location: Any) -> Any:
    """As `_placer`, for tensors of PyTorch, which remember the device they were saved from."""
    place = _placer(map_location)

    def from_device(tensor: Any, location: str) -> Any:
        if map_location is None and location != "cpu":
            raise RuntimeError(
                f"Attempting to deserialize object on a {location.split(':')[0].upper()} device "
                "but torch.cuda.is_available() is False. If you are running on a CPU-only machine, "
                "please use torch.load with map_location=torch.device('cpu') to map your storages "
                "to the CPU."
            )
        return place(tensor)

    return from_device


def _foreign(f: Any, map_location: Any, trusted: bool) -> tuple[Any] | None:
    """What a file that is no zip holds, in a tuple; None if it is a zip."""
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return _foreign(file, map_location, trusted)
    start = f.tell()
    head = f.read(9)
    f.seek(start)
    if is_chain(head):
        return (load_chain(f.read(), _from_device(map_location), trusted),)
    if head[8:] == b"{":  # safetensors: the length of a JSON object, and the object
        data = f.read()
        place = _placer(map_location)
        return ({name: place(tensor) for name, tensor in named_tensors(data).items()},)
    return None


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = pickle,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what ``save`` wrote, or PyTorch's ``torch.save``, or a ``.safetensors`` file.

    ``map_location`` is a device, a dict or a function that says where tensors go. Pickled objects
    are refused unless ``weights_only=False``: pickle.UnpicklingError. A damaged file, or one of
    another kind, is a CheckpointError (a RuntimeError).
    """
    if mmap:
        raise NotImplementedError("load(mmap=True)")
    name = f if isinstance(f, (str, os.PathLike)) else "the file"
    trusted = weights_only is False
    try:
        other = _foreign(f, map_location, trusted)
        if other is not None:
            return other[0]
        with zipfile.ZipFile(f) as archive:
            names = set(archive.namelist())
            if is_zip(names):
                return load_zip(archive, _from_device(map_location), trusted)
            if _STRUCTURE not in names:
                raise CheckpointError("it was written neither by tracec.save nor by torch.save")
            structure = json.loads(archive.read(_STRUCTURE))
            data = archive.read(_TENSORS)
            pickled = archive.read(_OBJECTS) if _OBJECTS in names else None
        if structure["format"] != FORMAT:
            raise CheckpointError(f"its format is {structure['format']!r}")
        if structure["version"] > VERSION:
            raise CheckpointError(f"it has version {structure['version']}, newer than {VERSION}")
        objects = None
        if pickled is not None and trusted:
            objects = pickle_module.loads(pickled, **pickle_load_args)
        tensors = named_tensors(data)
        bases = [tensors[str(i)] for i in range(len(tensors))]
        return _Reader(bases, objects, _placer(map_location)).decode(structure["value"])
    except (CheckpointError, zipfile.BadZipFile, EOFError, struct.error) as error:
        raise CheckpointError(f"cannot load {name}: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        text = f"cannot load {name}: its contents are damaged ({error!r})"
        raise CheckpointError(text) from error
