"""Views and writes: a dense operand's memory addressed by a shape, strides and an offset."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..dims import decide, hint, is_static, same
from ..optable import prim
from ..types import TensorType
from . import samples as s
from .movement import numel_text, type_of
from .rules import tensor


def is_injective(shape, strides) -> bool:
    """Whether no two positions of the spec address one element (sufficient test, by strides)."""
    dims = [(st, n) for n, st in zip(shape, strides, strict=True) if n != 1]
    if any(n == 0 for _, n in dims):
        return True
    if any(st == 0 for st, _ in dims):
        return False
    dims.sort(key=lambda d: hint(d[0]))
    reach = 0  # the largest offset that the inner dimensions address
    for st, n in dims:
        if not decide("<", reach, st):
            return False
        reach = reach + st * (n - 1)
    return True


def _addresses(shape, strides, offset) -> np.ndarray:
    at = np.full(shape, offset, np.int64)
    for axis, (n, st) in enumerate(zip(shape, strides, strict=True)):
        at += (np.arange(n) * st).reshape([-1] + [1] * (len(shape) - axis - 1))
    return at


def _count(b, n):
    return b.emit("iota", (), {"size": n, "dtype": dtypes.i64})[0]


def _view(flat: np.ndarray, shape, strides, offset, writeable: bool = False) -> np.ndarray:
    size = flat.dtype.itemsize
    return np.lib.stride_tricks.as_strided(
        flat[offset:], shape, [st * size for st in strides], writeable=writeable
    )


def _strided(x, *, shape, strides, offset):
    if 0 in shape:
        return np.empty(shape, x.dtype)
    return _view(np.ascontiguousarray(x).reshape(-1), shape, strides, offset)


def _strided_vjp(b, op, g):
    x, spec = op.operands[0], op.attrs
    if is_injective(spec["shape"], spec["strides"]):
        return [b.write(b.zeros_like(x), g, **spec)]
    numel = x.type.numel
    addresses = b.strided(_count(b, numel), **spec)
    nothing = b.full(0, x.dtype, (numel,))
    total = b.emit("scatter", (nothing, g, addresses), {"axes": (0,), "kind": "add"})[0]
    return [b.reshape(total, x.shape)]


def _check_spec(op: str, x: TensorType, shape, strides, offset) -> None:
    if len(shape) != len(strides):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {len(strides)} strides, {len(shape)} sizes"
        )
    if any(is_static(st) and st < 0 for st in strides):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            + numel_text(strides)
        )
    if any(n == 0 for n in shape):
        return
    last = offset
    for n, st in zip(shape, strides, strict=True):
        last = last + (n - 1) * st
    if not decide("<=", 0, offset) or not decide("<", last, x.numel):
        size = x.dtype.itemsize
        raise RuntimeError(
            f"setStorage: sizes {numel_text(shape)}, strides {numel_text(strides)}, storage "
            f"offset {offset}, and itemsize {size} requiring a storage size of {(last + 1) * size} "
            f"are out of bounds for storage of size {x.numel * size}"
        )


SPECS = (
    ((3, 2), (1, 4), 2), ((2, 3), (6, 2), 0), ((3, 4, 2), (2, 0, 1), 1), ((3, 3), (1, 1), 3),
    ((), (), 5), ((0, 2), (1, 1), 0), ((1, 3), (50, 4), 1),
)  # fmt: skip


def _spec(shape, strides, offset) -> dict:
    return {"shape": shape, "strides": strides, "offset": offset}


def _strided_samples():
    for spec in SPECS:
        yield (s.uniform((3, 4)),), _spec(*spec)
    yield (type_of(4),), _spec((3,), (2,), 0), RuntimeError, "out of bounds for storage of size 16"
    yield (type_of(4),), _spec((2,), (-1,), 3), RuntimeError, "Negative strides"


@prim(numpy=_strided, vjp=_strided_vjp, kernel="movement", samples=_strided_samples)
def strided(x, *, shape, strides, offset):
    """The elements at `offset + sum(index * stride)` of x's row-major memory."""
    x = tensor("strided", x)
    _check_spec("strided", x, shape, strides, offset)
    return x.with_shape(shape)


def _write(base, new, *, shape, strides, offset):
    out = np.array(base, order="C")
    flat = out.reshape(-1)
    if 0 in shape:
        return out
    if is_injective(shape, strides):
        _view(flat, shape, strides, offset, writeable=True)[...] = new
    else:
        at = _addresses(shape, strides, offset)
        flat[at.reshape(-1)] = np.reshape(new, -1)  # the last one wins
    return out


def _write_vjp(b, op, g):
    base, new = op.operands
    spec = op.attrs
    to_base = b.write(g, b.zeros_like(new), **spec)
    to_new = b.strided(g, **spec)
    if not is_injective(spec["shape"], spec["strides"]):
        # where several positions address one element only the last written one counts
        order = b.reshape(_count(b, new.type.numel), new.shape)
        winners = b.write(b.full(0, dtypes.i64, base.shape), order, **spec)
        won = b.eq(b.strided(winners, **spec), order)
        to_new = b.select(won, to_new, b.zeros_like(to_new))
    return [to_base, to_new]


def _write_samples():
    for spec in SPECS:
        yield (s.uniform((3, 4)), s.uniform(spec[0], seed=1)), _spec(*spec)
    yield (type_of(4), type_of(2)), _spec((3,), (1,), 0), RuntimeError, "must have the shape"
    yield (type_of(4), type_of(3)), _spec((3,), (2,), 0), RuntimeError, "out of bounds"


@prim(numpy=_write, vjp=_write_vjp, kernel="movement", samples=_write_samples)
def write(base, new, *, shape, strides, offset):
    """base with the elements that the spec addresses replaced by `new`, in row-major order."""
    base, new = tensor("write", base), tensor("write", new, "new")
    if new.dtype is not base.dtype:
        raise RuntimeError(f"write: operand dtypes differ: {base} and {new}")
    if new.rank != len(shape) or not all(map(same, new.shape, shape)):
        raise RuntimeError(f"write: new must have the shape {numel_text(shape)}, got {new}")
    _check_spec("write", base, shape, strides, offset)
    return base
