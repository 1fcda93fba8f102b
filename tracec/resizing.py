"""Tensors that change their shape or memory: `resize_`, `resize_as_`, `set_`, growing storages."""

from __future__ import annotations

import warnings

import numpy as np

from tracec_runtime.memory import allocate

from . import record
from .creation import _checked, preserve_format
from .creation import contiguous_format as contiguous
from .inplace import _NAMES, check
from .record import Flush, flush
from .spec import dense, private, row_major, spec
from .storage import Storage
from .tensor import Tensor
from .views import sizes


def settle(st: Storage) -> None:
    """Executes whatever computes or reads the storage, in any thread: its buffer is its value."""
    flush(Flush.VALUE)
    tr = record.current()
    if st.trace is not None:
        record.flush_foreign(st.trace)
    if len(record._holders) > 1:
        record._end_loans(tr, st)
    if st.buf is None:
        raise RuntimeError(
            "the value of this tensor was never computed because an earlier operation failed"
        )


def resize_storage(st: Storage, nbytes: int) -> None:
    """Gives a storage as many bytes; the first ones stay, new ones are undefined.

    Tensors on it keep their shapes. RuntimeError for memory that somebody else sees.
    """
    settle(st)
    if isinstance(st.buf.owner, np.ndarray) and st.foreign():
        raise RuntimeError("Trying to resize storage that is not resizable")
    if st.source is not None:
        leaf = getattr(st.source, "tensor", lambda: None)()
        if leaf is None or leaf._spec is not st.spec:
            raise NotImplementedError(
                "resizing memory that a computed tensor with gradient history uses; clone() it"
            )
        leaf._spec, st.source = private(leaf._spec), None
    dtype = st.spec.dtype
    fresh = allocate(max(nbytes, 1))
    fresh.write(st.buf)
    st.buf, st.spec = fresh, dense(dtype, (-(-nbytes // dtype.itemsize),), st.spec.device)
    st.version += 1


def resize_(self: Tensor, *args, size=None, memory_format=None) -> Tensor:
    """The tensor with another shape, row-major from where it starts; its memory grows if needed.

    RuntimeError for tensors that require grad.
    """
    if memory_format not in (None, contiguous, preserve_format):
        raise NotImplementedError(f"resize_ with memory_format={memory_format}")
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = _checked(sizes(args if size is None else (size,), "size"))
    s = self._spec
    if shape == tuple(s.shape):
        return self
    new = spec(s.dtype, shape, row_major(shape), s.offset, s.device)
    need = (s.offset + new.numel) * s.dtype.itemsize if new.numel else 0
    if need > self._st.nbytes:
        resize_storage(self._st, need)
    self._spec = new
    return self


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format=None) -> Tensor:
    """`resize_` to the shape of another tensor."""
    return resize_(self, tuple(the_template.shape), memory_format=memory_format)


def resize(self: Tensor, *args) -> Tensor:
    """The elements under another shape of as many elements; gradients flow (deprecated)."""
    warnings.warn("non-inplace resize is deprecated", stacklevel=2)
    shape = sizes(args)
    numel = 1
    for n in shape:
        numel *= n
    if numel != self.numel():
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, shape))} ({numel} elements in total), but the "
            f"given tensor has a size of {'x'.join(map(str, self.shape))} ({self.numel()} "
            "elements). autograd's resize can only change the shape of a given tensor, while "
            "preserving the number of elements. "
        )
    return self.contiguous().view(shape)


def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """`resize` to the shape of another tensor (deprecated)."""
    return resize(self, tuple(tensor.shape))


def set_(self: Tensor, source=None, storage_offset: int = 0, size=None, stride=None) -> Tensor:
    """The tensor on the memory of another tensor or storage, with the shape asked for."""
    from .storages import TypedStorage, UntypedStorage

    check(self)
    dtype = self._spec.dtype
    if isinstance(source, Tensor):
        if source.dtype is not dtype:
            raise RuntimeError(
                f"Could not set tensor of type {_kind(source)} to a tensor of type {_kind(self)}"
            )
        st, base = source._st, source._spec.canonical
        if size is None:
            return _place(self, st, base)
    elif isinstance(source, (TypedStorage, UntypedStorage)):
        if isinstance(source, TypedStorage) and source.dtype is not dtype:
            raise RuntimeError(f"Expected a Storage of type {dtype} or an UntypedStorage, but got "
                               f"type {source.dtype} for argument 1 'storage'")  # fmt: skip
        st = source._st
    elif source is None:
        from .creation import empty

        fresh = empty(0, dtype=dtype)
        return _place(self, fresh._st, fresh._spec)
    else:
        raise TypeError(f"set_(): source must be a Tensor or Storage, not {type(source).__name__}")
    if size is None:
        size = ((st.nbytes // dtype.itemsize) - storage_offset,)
    shape = _checked(sizes((size,), "size"))
    strides = row_major(shape) if stride is None else sizes((stride,), "stride")
    if len(strides) != len(shape):
        raise RuntimeError("mismatch in length of strides and shape")
    new = spec(dtype, shape, strides, storage_offset, self._spec.device)
    low, high = new.span()
    if low < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {storage_offset}")
    if new.numel and high * dtype.itemsize > st.nbytes:
        resize_storage(st, high * dtype.itemsize)
    return _place(self, st, new)


_C_NAMES = {"Float": "float", "Double": "double", "Half": "c10::Half", "Long": "long int",
            "BFloat16": "c10::BFloat16", "Int": "int", "Short": "short int", "Char": "signed char",
            "Byte": "unsigned char", "Bool": "bool"}  # fmt: skip


def _kind(x: Tensor) -> str:
    name = _NAMES[x.dtype.code]
    return _C_NAMES.get(name, name)


def _place(x: Tensor, st: Storage, s) -> Tensor:
    """x as the tensor with this storage and spec; a leaf stays one."""
    leaf = x._leaf is not None
    x._rg, x._base = 0, None
    if leaf:
        x._leaf = None
    x._st, x._spec = st, s
    return x.requires_grad_(True) if leaf else x


def share_memory_(self: Tensor) -> Tensor:
    """Moves the tensor's memory to where processes forked from now on share it; returns self.

    Every write then lands there at once.
    """
    from .storages import share

    share(self._st)
    return self


def is_shared(self: Tensor) -> bool:
    """Whether forked processes share the memory (`share_memory_`)."""
    from .storages import is_shared as shared

    return shared(self._st)


def is_pinned(self: Tensor, device=None) -> bool:
    """Whether the memory is page-locked for a GPU: without one, never."""
    return False


def pin_memory(self: Tensor, device=None) -> Tensor:
    """A copy in page-locked memory; RuntimeError without an accelerator."""
    raise RuntimeError(
        "Cannot access accelerator device when none is available."
        if device in (None, "cuda")
        else f"Need to provide pin_memory allocator to use pin memory on device '{device}'."
    )


def untyped_storage(self: Tensor):
    """The bytes behind the tensor and its views."""
    from .storages import UntypedStorage

    return UntypedStorage._of(self._st)


def storage(self: Tensor):
    """The memory behind the tensor as a row of its elements."""
    from .storages import TypedStorage

    return TypedStorage._of(self._st, self._spec.dtype)


def storage_type(self: Tensor):
    """The class of `storage()`."""
    from .storages import TypedStorage

    return TypedStorage


METHODS = (
    resize_, resize_as_, resize, resize_as, set_, share_memory_, is_shared, is_pinned, pin_memory,
    untyped_storage, storage, storage_type,
)  # fmt: skip
