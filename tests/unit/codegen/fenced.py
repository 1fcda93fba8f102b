"""Arrays that end where unreadable memory begins, so that reading past them is a crash."""

import ctypes
import mmap

import numpy as np

_libc = ctypes.CDLL(None, use_errno=True)
_PAGE = mmap.PAGESIZE


def fenced(array: np.ndarray) -> np.ndarray:
    """A contiguous copy whose last byte is the last one of a readable page."""
    size = array.nbytes
    pages = -(-size // _PAGE) * _PAGE
    area = mmap.mmap(-1, pages + _PAGE)
    view = np.frombuffer(area, np.uint8)
    fence = ctypes.c_void_p(view.ctypes.data + pages)
    if _libc.mprotect(fence, ctypes.c_size_t(_PAGE), 0):
        raise OSError(ctypes.get_errno(), "mprotect")
    copy = view[pages - size:pages].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
