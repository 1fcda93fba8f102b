"""Buffers and the caching allocator: 64-byte-aligned memory that is kept for reuse when it dies.

Fresh memory is expensive (the first touch of each page costs more than computing what goes on it),
so a block that dies goes to the free list of its size class, up to `TRACEC_MEMORY_CACHE_BYTES`.
A `Buffer` lives as long as anything refers to it: itself, or a NumPy array made by `array()`.
Nothing here takes a lock: a finalizer may run inside any line, and each step is atomic in CPython.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import knobs
from .events import counters

ALIGNMENT = 64
_PAGES = 1 << 20  # from this size on, memory comes from the kernel in whole pages
_BYTE = np.dtype(np.uint8)


def size_class(nbytes: int) -> int:
    """The block size used for `nbytes`: a multiple of 64, at most an eighth larger beyond 1 KiB."""
    if nbytes <= 1024:
        return (nbytes + 63) & -64 or 64
    step = 1 << ((nbytes - 1).bit_length() - 4)
    return (nbytes + step - 1) & -step


class Buffer:
    """`nbytes` bytes at `addr`; `owner` is whatever keeps the memory mapped."""

    __slots__ = ("addr", "nbytes", "owner", "_pool", "_flat", "__weakref__")
    _flat: np.ndarray | None

    def __init__(self, addr: int, nbytes: int, owner: Any, pool: Pool | None = None):
        self.addr, self.nbytes, self.owner = addr, nbytes, owner
        self._pool = pool
        self._flat = None

    def __del__(self) -> None:
        # once arrays exist, the last of them gives the block back (see _Export)
        if self._pool is not None and self._flat is None:
            self._pool.give(self.nbytes, self.addr, self.owner)

    def __repr__(self) -> str:
        return f"<Buffer of {self.nbytes} bytes at {self.addr:#x}>"

    @property
    def flat(self) -> np.ndarray:
        """The bytes as a one-dimensional array that keeps the memory alive."""
        if self._flat is None:
            self._flat = np.asarray(_Export(self))
        return self._flat

    def array(
        self,
        shape: Sequence[int],
        dtype: np.dtype,
        strides: Sequence[int] | None = None,
        offset: int = 0,
    ) -> np.ndarray:
        """A NumPy array on this memory (strides and offset in bytes) that keeps it alive."""
        return np.ndarray(shape, dtype, self.flat, offset, strides)

    def copy(self) -> Buffer:
        """A new buffer with the same bytes."""
        out = allocate(self.nbytes)
        out.write(self)
        return out

    def write(self, source: Buffer) -> None:
        """Takes over the bytes of `source` (as many as both have)."""
        ctypes.memmove(self.addr, source.addr, min(self.nbytes, source.nbytes))


class _Export:
    """What arrays made from a buffer refer to; the block goes back to the pool when it dies."""

    __slots__ = ("nbytes", "addr", "owner", "pool")

    def __init__(self, buffer: Buffer):
        self.nbytes, self.addr, self.owner = buffer.nbytes, buffer.addr, buffer.owner
        self.pool = buffer._pool

    @property
    def __array_interface__(self) -> dict[str, Any]:
        readonly = isinstance(self.owner, np.ndarray) and not self.owner.flags.writeable
        return {
            "shape": (self.nbytes,),
            "typestr": "|u1",
            "data": (self.addr, readonly),
            "version": 3,
        }

    def __del__(self) -> None:
        if self.pool is not None:
            self.pool.give(self.nbytes, self.addr, self.owner)


class Pool:
    """The caching allocator.

    `limit` bounds the bytes that are kept for reuse; without it the knob decides at the first use.
    """

    def __init__(self, limit: int | None = None):
        self.limit = -1 if limit is None else limit
        self._free: dict[int, list[tuple[int, Any]]] = {}
        self.cached_bytes = 0  # in free lists
        self.total_bytes = 0  # of all blocks, free or in use
        self.peak_bytes = 0  # the most that was ever in use

    @property
    def live_bytes(self) -> int:
        """Bytes of blocks in use (rounded up to size classes)."""
        return self.total_bytes - self.cached_bytes

    def allocate(self, nbytes: int) -> Buffer:
        """A buffer of at least `nbytes` bytes with undefined contents, 64-byte aligned.

        RuntimeError with PyTorch's wording if the system has no more memory.
        """
        size = (nbytes + 63) & -64 if 0 < nbytes <= 1024 else size_class(nbytes)
        counters.allocations += 1
        try:
            addr, owner = self._free[size].pop()
            self.cached_bytes -= size
        except (KeyError, IndexError):
            counters.fresh_allocations += 1
            if self.limit < 0:
                self.limit = knobs.memory_cache_bytes
            addr, owner = self._fresh(size, nbytes)
            self.total_bytes += size
        live = self.total_bytes - self.cached_bytes
        if live > self.peak_bytes:
            self.peak_bytes = live
        return Buffer(addr, size, owner, self)

    def give(self, size: int, addr: int, owner: Any) -> None:
        """Takes a dead block back; frees it for good where the bound is reached."""
        if self.cached_bytes + size > self.limit:
            self._trim(size)
            if self.cached_bytes + size > self.limit:
                self.total_bytes -= size
                return
        try:
            self._free[size].append((addr, owner))
        except KeyError:
            self._free[size] = [(addr, owner)]
        self.cached_bytes += size

    def _trim(self, keep: int) -> None:
        """Frees every cached block, except those of size class `keep`, which is in use now."""
        for size in list(self._free):
            if size != keep:
                for _ in self._free.pop(size, ()):
                    self.cached_bytes -= size
                    self.total_bytes -= size

    def empty_cache(self) -> None:
        """Gives all memory that is not in use back to the system."""
        self._trim(-1)

    def _fresh(self, size: int, wanted: int) -> tuple[int, Any]:
        block = _from_system(size)
        if block is None:
            self.empty_cache()
            block = _from_system(size)
        if block is None:
            raise RuntimeError(
                "[enforce fail at memory.py] . DefaultCPUAllocator: can't allocate memory: you "
                f"tried to allocate {wanted} bytes. Error code 12 (Cannot allocate memory)"
            )
        return block

    def reset_peak(self) -> None:
        """Starts the peak anew at what is in use now."""
        self.peak_bytes = self.live_bytes

    def stats(self) -> dict[str, int]:
        """Bytes in use, at the peak, and kept for reuse."""
        return {
            "live_bytes": self.live_bytes,
            "peak_bytes": self.peak_bytes,
            "cached_bytes": self.cached_bytes,
        }


def _from_system(size: int) -> tuple[int, Any] | None:
    """(aligned address, object that owns the memory), or None if there is none to be had."""
    owner: bytearray | mmap.mmap
    try:
        if size < _PAGES:
            owner = bytearray(size + ALIGNMENT)
        else:
            owner = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                try:
                    owner.madvise(mmap.MADV_HUGEPAGE)
                except OSError:  # a kernel without huge pages
                    pass
    except (MemoryError, OverflowError, ValueError, OSError):
        return None
    addr = np.frombuffer(owner, _BYTE).__array_interface__["data"][0]
    return (addr + ALIGNMENT - 1) & -ALIGNMENT, owner


def from_array(array: np.ndarray) -> Buffer:
    """A buffer on the memory of a NumPy array, shared and not copied.

    It covers every element, also with negative strides: element [0, ...] lies at
    `array.ctypes.data - buffer.addr`. Alignment is whatever the array has.
    """
    low = high = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        high += array.nbytes
    elif array.size:
        for n, stride in zip(array.shape, array.strides, strict=True):
            if stride < 0:
                low += (n - 1) * stride
            else:
                high += (n - 1) * stride
        high += array.itemsize
    return Buffer(low, high - low, array)


pool = Pool()
allocate = pool.allocate
