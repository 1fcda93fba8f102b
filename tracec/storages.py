"""What `untyped_storage()` and `storage()` return: the memory itself, as bytes or as elements."""

from __future__ import annotations

import mmap

import numpy as np

from tracec_ir import dtypes, promote
from tracec_ir.dtypes import DType
from tracec_runtime.memory import from_array

from .device import CPU, Device
from .resizing import resize_storage, settle
from .spec import Spec, spec
from .storage import Storage
from .tensor import Tensor


class _SharedMemory(mmap.mmap):
    """Anonymous memory that forked processes have in common."""


def share(st: Storage) -> None:
    """Moves a storage to memory that processes forked later share with this one."""
    if is_shared(st):
        return
    settle(st)
    memory = np.frombuffer(_SharedMemory(-1, max(st.nbytes, 1)), np.uint8)
    fresh = from_array(memory)
    fresh.write(st.buf)
    st.buf = fresh


def is_shared(st: Storage) -> bool:
    """Whether `share` moved the storage."""
    owner = st.buf.owner if st.buf is not None else None
    base = getattr(owner, "base", None)
    return isinstance(getattr(base, "obj", base), _SharedMemory)


def _tensor(st: Storage, s: Spec) -> Tensor:
    """The tensor without history that looks into a storage through `s`."""
    whole = object.__new__(Tensor)
    whole._st, whole._spec, whole._rg = st, s, 0
    return whole


class _Memory:
    """What both kinds of storage have in common; `_st` is the storage, `_dtype` of an element."""

    __slots__ = ("_st", "_dtype")
    _st: Storage
    _dtype: DType

    def _row(self) -> Tensor:
        """The elements as a one-dimensional tensor on this memory."""
        n = self._st.nbytes // self._dtype.itemsize
        return _tensor(self._st, spec(self._dtype, (n,), (1,), 0, self._st.spec.device))

    def size(self) -> int:
        """How many elements there are."""
        return self._st.nbytes // self._dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        return self._st.nbytes

    def element_size(self) -> int:
        return self._dtype.itemsize

    def data_ptr(self) -> int:
        """The address of the first byte; 0 if there is none."""
        settle(self._st)
        return self._st.buf.addr if self._st.nbytes else 0

    @property
    def device(self) -> Device:
        return self._st.spec.device or CPU

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def __eq__(self, other) -> bool:
        return isinstance(other, _Memory) and self._st is other._st and self._dtype is other._dtype

    def __hash__(self) -> int:
        return hash((id(self._st), self._dtype.code))

    def __getitem__(self, index):
        n = len(self)
        if isinstance(index, slice):
            start, stop, step = index.indices(n)
            if step != 1:
                raise RuntimeError(f"Trying to slice with a step of {step}, but only a step of 1 "
                                   "is supported")  # fmt: skip
            return type(self)._copied(self._row()[start : max(start, stop)])
        if not -n <= index < n:
            raise IndexError(f"index {index} out of range for storage of size {n}")
        return self._row()[index].item()

    def __setitem__(self, index, value) -> None:
        self._row()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def tolist(self) -> list:
        return self._row().tolist()

    def fill_(self, value):
        self._row().fill_(value)
        return self

    def copy_(self, source, non_blocking: bool = False):
        """Takes over the elements of another storage of this size."""
        if len(source) != len(self):
            raise RuntimeError(
                f"size mismatch, expected {len(self)} elements, but got {len(source)}"
            )
        self._row().copy_(source._row())
        return self

    def clone(self):
        """A copy in memory of its own."""
        return type(self)._copied(self._row())

    def cpu(self):
        return self

    def resize_(self, size: int):
        """Gives the memory room for `size` elements; tensors on it keep their shapes."""
        if size < 0:
            raise RuntimeError("resize: size must be non-negative")
        resize_storage(self._st, size * self._dtype.itemsize)
        return self

    def is_pinned(self, device=None) -> bool:
        return False

    def is_shared(self) -> bool:
        return is_shared(self._st)

    def share_memory_(self):
        share(self._st)
        return self

    def _text(self, kind: str) -> str:
        lines = "\n".join(f" {v}" for v in self.tolist())
        return f"{lines}\n[torch.storage.{kind} of size {len(self)}]"


class UntypedStorage(_Memory):
    """The bytes behind tensors: `UntypedStorage(100)` or `x.untyped_storage()`."""

    __slots__ = ()

    def __init__(self, size: int = 0, *, device=None):
        from .creation import empty

        self._st, self._dtype = empty(size, dtype=dtypes.u8, device=device)._st, dtypes.u8

    @classmethod
    def _of(cls, st: Storage) -> UntypedStorage:
        out = object.__new__(cls)
        out._st, out._dtype = st, dtypes.u8
        return out

    @classmethod
    def _copied(cls, row: Tensor) -> UntypedStorage:
        return cls._of(row.clone()._st)

    @property
    def _cdata(self) -> int:
        """A number that tells storages apart."""
        return id(self._st)

    def untyped(self) -> UntypedStorage:
        return self

    def __repr__(self) -> str:
        return self._text(f"UntypedStorage(device={self.device})")


class TypedStorage(_Memory):
    """The elements behind tensors: `x.storage()`."""

    __slots__ = ()

    def __init__(self, size: int = 0, *, dtype: DType | None = None, device=None):
        from .creation import empty

        self._dtype = dtype or promote.default_float
        self._st = empty(size, dtype=self._dtype, device=device)._st

    @classmethod
    def _of(cls, st: Storage, dtype: DType) -> TypedStorage:
        out = object.__new__(cls)
        out._st, out._dtype = st, dtype
        return out

    @classmethod
    def _copied(cls, row: Tensor) -> TypedStorage:
        return cls._of(row.clone()._st, row.dtype)

    @property
    def dtype(self) -> DType:
        return self._dtype

    def untyped(self) -> UntypedStorage:
        return UntypedStorage._of(self._st)

    _untyped_storage = property(untyped)

    def __repr__(self) -> str:
        return self._text(f"TypedStorage(dtype={self._dtype}, device={self.device})")


for _cls in (UntypedStorage, TypedStorage):
    _cls.__module__ = "tracec"
__all__ = ["TypedStorage", "UntypedStorage", "is_shared", "share"]
