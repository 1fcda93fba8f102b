"""Running kernels in tests: compile, call on arrays, keep canaries around outputs."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np

from tracec_codegen.jit import Loaded, compile_text, load_object
from tracec_codegen.kernel.core import Buf, Kernel, Load, Loop, Scalar, Size, Store
from tracec_codegen.kernel.verify import verify
from tracec_codegen.llvm.emit import emit
from tracec_codegen.target import Target, host_target
from tracec_ir.dims import symbol
from tracec_ir.dtypes import DType

CANARY = 0xA5
P, N = symbol("i"), symbol("n")


class Compiled:
    """A kernel as a callable: `compiled(arrays, sizes, low, high)` returns the error record."""

    def __init__(self, kernel: Kernel, target: Target | None = None) -> None:
        verify(kernel)
        target = target or host_target()
        self.kernel = kernel
        self.code: Loaded = load_object(compile_text(emit(kernel, target), target), [kernel.name])
        self.function = self.code.function(kernel.name, None, ctypes.c_void_p, ctypes.c_int64,
                                           ctypes.c_int64, ctypes.c_void_p)

    def __call__(self, arrays: Sequence[np.ndarray], sizes: Sequence[int] = (), low: int = 0,
                 high: int = 1) -> np.ndarray:
        """Run on copies with canaries on both sides; outputs are copied back."""
        error = np.zeros(8, np.int64)
        guarded = [_guard(a) for a in arrays]
        words = [error.ctypes.data] if self.kernel.uses_error else []
        words += [data.ctypes.data for _, data in guarded] + list(sizes)
        packed = np.array(words, np.int64)
        scratch = np.zeros(1 << 16, np.uint8)
        self.function(packed.ctypes.data, low, high, scratch.ctypes.data)
        for buf, array, (whole, data) in zip(self.kernel.bufs, arrays, guarded):
            if buf.mode == "in":
                assert data.tobytes() == array.tobytes(), f"{buf.name} was written"
            array.reshape(-1)[...] = data
            start = data.ctypes.data - whole.ctypes.data
            data.view(np.uint8)[...] = CANARY
            assert (whole == CANARY).all(), f"memory around {buf.name} was written ({start})"
        return error


def _guard(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, data): a copy of the array, aligned to 64, with canary bytes before and after."""
    size = array.nbytes
    whole = np.full(size + 512, CANARY, np.uint8)
    start = 128 + -(whole.ctypes.data + 128) % 64
    data = whole[start : start + size].view(array.dtype)
    data[...] = array.reshape(-1)
    return whole, data


@cache
def pointwise(op: str, types: tuple[DType, ...], result: DType, isa: str = "",
              kind: str = "vector") -> Compiled:
    """y[i] = op(x0[i], x1[i], ...)"""
    names = [f"x{k}" for k in range(len(types))]
    body: list = [Load(f"%{k}", name, P, d) for k, (name, d) in enumerate(zip(names, types))]
    args = tuple(f"%{k}" for k in range(len(types)))
    attrs = {"dtype": result} if op in ("cast", "bitcast") else {}
    body += [Scalar("%r", op, args, result, attrs), Store("y", P, "%r")]
    bufs = [Buf(name, d) for name, d in zip(names, types)] + [Buf("y", result, "out")]
    kernel = Kernel("pointwise", bufs, [Size("n")], [Loop("i", N, kind, body)])
    return Compiled(kernel, host_target(isa or None))


def apply(op: str, *arrays: np.ndarray, types: tuple[DType, ...], result: DType,
          isa: str = "") -> np.ndarray:
    """The op on flat arrays of one length (at least 2)."""
    out = np.zeros(len(arrays[0]), result.numpy)
    pointwise(op, types, result, isa)([*arrays, out], [len(out)])
    return out


def ulps(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Distance in units in the last place of `found`'s type; 0 where both are not finite alike."""
    info = np.finfo(found.dtype)
    wide = np.asarray(exact, np.longdouble)
    with np.errstate(all="ignore"):
        rounded = wide.astype(found.dtype)
        same = (rounded == found) | (np.isnan(rounded) & np.isnan(found))
        size = np.abs(np.where(np.isfinite(wide), wide, 1))
        exponent = np.maximum(np.floor(np.log2(np.where(size > 0, size, 1))), info.minexp)
        exponent = np.where(size > 0, exponent, info.minexp)
        distance = np.abs(found - wide) / np.exp2(exponent - info.nmant)
    finite = np.isfinite(rounded) & np.isfinite(found)
    return np.where(finite, distance, np.where(same, 0, np.inf)).astype(float)
