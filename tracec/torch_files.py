"""Reads checkpoint files that PyTorch's ``torch.save`` wrote, without PyTorch.

Such a file is a pickle whose tensors refer to storages: in a zip each storage is an entry of its
own (``data.pkl``, ``data/0``, ``data/1``, ...); the older form is a chain of pickles followed by
the storages' bytes. The pickle is read by an unpickler that knows the few names that weights need,
all defined here, and refuses every other one; so nothing from the file is executed. With
``weights_only=False`` other names are imported, ``torch.*`` ones from ``tracec``.
"""

from __future__ import annotations

import collections
import io
import pickle
import struct
import sys
import zipfile
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import tracec
from tracec_ir import dtypes

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # how a pickle begins

_STORAGES = {
    "FloatStorage": "f32", "DoubleStorage": "f64", "HalfStorage": "f16", "BFloat16Storage": "bf16",
    "LongStorage": "i64", "IntStorage": "i32", "ShortStorage": "i16", "CharStorage": "i8",
    "ByteStorage": "u8", "BoolStorage": "b1", "ComplexFloatStorage": "c64",
    "ComplexDoubleStorage": "c128", "UntypedStorage": "u8",
}  # fmt: skip
_DTYPES = {
    "float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128", "uint16", "uint32", "uint64", "float", "double", "half", "long",
    "int", "short",
}  # fmt: skip
_PLAIN = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "Counter"): collections.Counter,
    ("collections", "defaultdict"): collections.defaultdict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytearray"): bytearray,
    ("builtins", "list"): list,
    ("builtins", "dict"): dict,
    ("builtins", "int"): int,
    ("builtins", "float"): float,
}


class _Storage:
    """A storage of the file: its memory as one flat tensor, and the device it was saved from."""

    __slots__ = ("base", "location")

    def __init__(self, base: Any, location: str) -> None:
        self.base, self.location = base, location


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, which old pickle protocols write as text."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def _numpy_dtype(*arguments: Any) -> np.dtype:
    """A NumPy dtype of plain numbers; any other (objects) is refused."""
    made = np.dtype(arguments[0])
    if made.hasobject:
        raise pickle.UnpicklingError(f"the NumPy dtype {made}")
    return made


def _numpy_scalar(dtype: np.dtype, data: bytes) -> Any:
    """A NumPy number from its bytes."""
    return np.frombuffer(data, dtype, 1)[0]


class _Unpickler(pickle.Unpickler):
    """Makes tracec's objects of what PyTorch pickled; `storage` finds the memory of a key."""

    def __init__(self, file: Any, storage: Callable, place: Callable, trusted: bool) -> None:
        super().__init__(file, encoding="utf-8")
        self._storage, self._place, self._trusted = storage, place, trusted

    def persistent_load(self, reference: Any) -> _Storage:
        """The storage that a tensor refers to."""
        if not (isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage"):
            raise pickle.UnpicklingError(f"a reference to {reference!r}")
        _, code, key, location, count = reference[:5]
        if not isinstance(code, str) or type(count) is not int or count < 0:
            raise pickle.UnpicklingError(f"a reference to {reference!r}")
        return _Storage(self._storage(str(key), dtypes.by_code(code), count), str(location))

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for here."""
        if module == "__builtin__":  # Python 2's spelling, which old protocols keep
            module = "builtins"
        plain = _PLAIN.get((module, name))
        if plain is not None:
            return plain
        if name in _STORAGES and module in ("torch", "torch.storage"):
            return _STORAGES[name]
        if module == "torch":
            if name in _DTYPES:
                return getattr(tracec, name)
            if name in ("Size", "device"):
                return getattr(tracec, name)
        rebuild = {
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_tensor_v3"): self._retyped,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            ("torch._tensor", "_rebuild_from_type_v2"): self._plain_type,
            ("torch.serialization", "_get_layout"): self._layout,
            ("_codecs", "encode"): _encode,
            ("numpy", "dtype"): _numpy_dtype,
            ("numpy.core.multiarray", "scalar"): _numpy_scalar,
            ("numpy._core.multiarray", "scalar"): _numpy_scalar,
        }.get((module, name))
        if rebuild is not None:
            return rebuild
        if (module, name) == ("torch._tensor", "Tensor"):
            return tracec.Tensor
        if self._trusted:
            return self._imported(module, name)
        raise pickle.UnpicklingError(
            f"Weights only load failed. Unsupported global: GLOBAL {module}.{name} was not an "
            "allowed global by default. Loading it can execute code. If you trust the file, load "
            "it with `weights_only=False`."
        )

    def _imported(self, module: str, name: str) -> Any:
        """A name of the user's programs, or tracec's for PyTorch's."""
        if module == "torch" or module.startswith("torch."):
            try:
                owner: Any = import_module("tracec" + module[len("torch") :])
                for part in name.split("."):
                    owner = getattr(owner, part)
            except (ImportError, AttributeError):
                raise NotImplementedError(f"{module}.{name}, which the file holds") from None
            return owner
        return super().find_class(module, name)

    def _tensor(
        self, storage: _Storage, offset: int, size: Any, stride: Any,
        requires_grad: bool = False, hooks: Any = None, metadata: Any = None,
    ) -> Any:  # fmt: skip
        return self._view(storage.base, storage, offset, size, stride, requires_grad)

    def _retyped(
        self, storage: _Storage, offset: int, size: Any, stride: Any, requires_grad: bool,
        hooks: Any, dtype: Any, metadata: Any = None,
    ) -> Any:  # fmt: skip
        return self._view(storage.base.view(dtype), storage, offset, size, stride, requires_grad)

    def _view(
        self, base: Any, storage: _Storage, offset: Any, size: Any, stride: Any, requires_grad: Any
    ) -> Any:
        size, stride = tuple(size), tuple(stride)
        numbers = (*size, *stride, offset)
        if len(size) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("a tensor has an impossible shape, stride or offset")
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if 0 not in size and last >= base.numel():
            raise ValueError("a tensor reaches beyond its storage")
        tensor = self._place(base.as_strided(size, stride, offset), storage.location)
        return tensor.detach().requires_grad_(True) if requires_grad else tensor

    def _parameter(self, data: Any, requires_grad: bool, hooks: Any) -> Any:
        from tracec.nn.parameter import Parameter

        return Parameter(data.detach(), bool(requires_grad))

    def _plain_type(self, rebuild: Callable, kind: Any, arguments: tuple, state: Any) -> Any:
        """A tensor with attributes of its own; a subclass becomes a plain tensor."""
        tensor = rebuild(*arguments)
        if isinstance(state, dict):
            for name, value in state.items():
                if not name.startswith("__"):
                    setattr(tensor, name, value)
        return tensor

    def _layout(self, name: str) -> Any:
        return getattr(tracec, name.removeprefix("torch."))


def _flat(data: bytes, dtype: dtypes.DType, count: int, swap: bool) -> Any:
    """The bytes of a storage as a one-dimensional tensor."""
    from tracec.tensor import rebuild

    if len(data) != count * dtype.itemsize:
        raise ValueError(f"a storage has {len(data)} bytes, not {count * dtype.itemsize}")
    array = np.frombuffer(data, np.uint8).copy().view(dtype.numpy)
    if swap:
        array = array.byteswap()
    return rebuild(array, dtype.code, False, tracec.Tensor)


def is_zip(names: set[str]) -> bool:
    """Whether an archive with entries of these names is PyTorch's."""
    return any(name.endswith("/data.pkl") or name == "data.pkl" for name in names)


def load_zip(archive: zipfile.ZipFile, place: Callable, trusted: bool) -> Any:
    """The object in a zip of PyTorch's; `place(tensor, location)` moves a tensor that it holds."""
    names = set(archive.namelist())
    (pickled,) = (n for n in names if n.endswith("/data.pkl") or n == "data.pkl")
    root = pickled.removesuffix("data.pkl")
    if root + "constants.pkl" in names:
        raise NotImplementedError("load of a TorchScript archive")
    order = archive.read(root + "byteorder") if root + "byteorder" in names else b"little"
    swap = order.decode() != sys.byteorder
    bases: dict[str, Any] = {}

    def storage(key: str, dtype: dtypes.DType, count: int) -> Any:
        if key not in bases:
            bases[key] = _flat(archive.read(f"{root}data/{key}"), dtype, count, swap)
        return bases[key]

    return _Unpickler(io.BytesIO(archive.read(pickled)), storage, place, trusted).load()


def is_chain(start: bytes) -> bool:
    """Whether a file that begins so may be PyTorch's older form."""
    return start[:2] in _PICKLES


def load_chain(data: bytes, place: Callable, trusted: bool) -> Any:
    """The object in a file of PyTorch's older form, `data`."""

    class Plain(pickle.Unpickler):
        """For the parts that hold numbers and texts only."""

        def find_class(self, module: str, name: str) -> Any:
            raise pickle.UnpicklingError(f"the name {module}.{name}")

    file = io.BytesIO(data)
    if Plain(file).load() != _MAGIC or Plain(file).load() != _PROTOCOL:
        raise ValueError("it does not begin as files of PyTorch's do")
    little = Plain(file).load().get("little_endian", True)
    swap = little != (sys.byteorder == "little")
    begin = file.tell()

    # The bytes stand behind the pickle that refers to them: it is read once to see what it refers
    # to, on storages of zeros, and again when they are there.
    wanted: dict[str, tuple[dtypes.DType, int]] = {}

    def zeros(key: str, dtype: dtypes.DType, count: int) -> Any:
        if count * dtype.itemsize > len(data):
            raise ValueError("a storage is larger than the file")
        wanted[key] = dtype, count
        return _flat(bytes(count * dtype.itemsize), dtype, count, False)

    _Unpickler(file, zeros, lambda tensor, location: tensor, trusted).load()
    bases = {}
    for key in Plain(file).load():
        dtype, count = wanted[str(key)]
        (stored,) = struct.unpack("<q" if little else ">q", file.read(8))
        if stored != count:
            raise ValueError(f"a storage has {stored} elements, not {count}")
        bases[str(key)] = _flat(file.read(count * dtype.itemsize), dtype, count, swap)
    file.seek(begin)
    return _Unpickler(file, lambda key, dtype, count: bases[key], place, trusted).load()
