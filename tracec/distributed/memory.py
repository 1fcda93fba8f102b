"""Between tensors and transports: the arrays that are sent, and where what is received goes.

A contiguous tensor is sent from its own memory. What is received goes to fresh memory, which then
becomes the tensor's, unless somebody else can see the old one or the tensor is a part of it: then
it is written there.
"""

from __future__ import annotations

import numpy as np

from tracec_runtime.memory import ALIGNMENT, Buffer, allocate

from .. import record
from ..autograd.mode import no_grad
from ..resizing import settle
from ..spec import dense
from ..tensor import Tensor, wrap


def outgoing(x: Tensor) -> np.ndarray:
    """The values of x, computed and contiguous."""
    array = x.detach()._array()
    return array if array.flags.c_contiguous else array.copy()


def joined(tensors: list[Tensor]) -> np.ndarray:
    """The values of all tensors, one after the other."""
    arrays = [outgoing(t).reshape(-1) for t in tensors]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


class Incoming:
    """Fresh memory for `numel` elements that are received: `array`; `into` hands it to tensors."""

    def __init__(self, dtype, numel: int):
        self.dtype = dtype
        self.buffer = allocate(max(numel * dtype.itemsize, 1))
        self.array: np.ndarray | None = self.buffer.array((numel,), dtype.numpy)

    def into(self, *tensors: Tensor) -> None:
        """Writes the elements into the tensors, one after the other; those of another dtype are
        rounded to it."""
        self.array = None  # nobody sees the memory any more
        if len(tensors) == 1:
            self._give(tensors[0], self.buffer)
            return
        start = 0
        for t in tensors:
            nbytes = t._spec.numel * self.dtype.itemsize
            part = Buffer(self.buffer.addr + start, nbytes, self.buffer)
            self._give(t, part if part.addr % ALIGNMENT == 0 else part.copy())
            start += nbytes

    def _give(self, x: Tensor, buffer: Buffer) -> None:
        value = wrap(buffer, dense(self.dtype, tuple(x._spec.shape)))
        st = x._st
        if x._spec.canonical is st.spec and self.dtype is x._spec.dtype:
            settle(st)
            if not st.foreign():
                st.buf = buffer
                if not x._untracked:
                    st.version += 1
                return
        with no_grad():
            record.assign(x, value)
