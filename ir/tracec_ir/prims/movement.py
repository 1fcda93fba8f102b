"""Primitives that move elements without computing: shapes, slices, padding, strided views."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..dims import decide, floordiv, product, same
from ..optable import prim
from ..promote import broadcast_shapes
from ..types import TensorType
from . import samples as s
from .rules import axis_in, tensor

F32 = dtypes.f32


def type_of(*shape, dtype=F32) -> TensorType:
    return TensorType(dtype, shape)


def numel_text(shape) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


# -- broadcast ------------------------------------------------------------------------------------
def _broadcast_samples():
    yield (s.uniform((3, 1)),), {"shape": (2, 3, 4)}
    yield (s.uniform(()),), {"shape": (2, 2)}
    yield (s.uniform((4,)),), {"shape": (0, 4)}
    yield (s.integers((1, 2)),), {"shape": (3, 2)}
    yield (type_of(3),), {"shape": (2, 4)}, RuntimeError, "must match"


@prim(
    numpy=lambda x, *, shape: np.broadcast_to(x, shape),
    vjp=lambda b, op, g: [b.sum_to(g, op.operands[0].shape)],
    kernel="movement",
    samples=_broadcast_samples,
)
def broadcast(x, *, shape):
    """x repeated along new leading axes and along axes of size 1."""
    x = tensor("broadcast", x)
    if len(shape) < x.rank:
        raise RuntimeError(
            f"The number of sizes provided ({len(shape)}) must be greater or equal to the number "
            f"of dimensions in the tensor ({x.rank})"
        )
    lead = len(shape) - x.rank
    for i, (have, want) in enumerate(zip(x.shape, shape[lead:], strict=True)):
        if have != 1 and not same(have, want):
            raise RuntimeError(
                f"The expanded size of the tensor ({want}) must match the existing size ({have}) "
                f"at non-singleton dimension {lead + i}.  Target sizes: {numel_text(shape)}.  "
                f"Tensor sizes: {numel_text(x.shape)}"
            )
    broadcast_shapes(x.shape, shape)
    return x.with_shape(shape)


# -- reshape and permute --------------------------------------------------------------------------
def _reshape_samples():
    yield (s.uniform((3, 4)),), {"shape": (2, 6)}
    yield (s.uniform((1, 1)),), {"shape": ()}
    yield (s.uniform((0, 3)),), {"shape": (5, 0)}
    yield (type_of(3, 4),), {"shape": (5, 2)}, RuntimeError, "shape '[5, 2]' is invalid"


@prim(
    numpy=lambda x, *, shape: np.reshape(x, shape),
    vjp=lambda b, op, g: [b.reshape(g, op.operands[0].shape)],
    kernel="movement",
    samples=_reshape_samples,
)
def reshape(x, *, shape):
    """The elements of x, in row-major order, in another shape."""
    x = tensor("reshape", x)
    if not same(product(shape), x.numel):
        raise RuntimeError(f"shape '{numel_text(shape)}' is invalid for input of size {x.numel}")
    return x.with_shape(shape)


def _inverse(perm) -> tuple[int, ...]:
    out = [0] * len(perm)
    for i, p in enumerate(perm):
        out[p] = i
    return tuple(out)


def _permute_samples():
    yield (s.uniform((2, 3, 4)),), {"perm": (2, 0, 1)}
    yield (s.uniform(()),), {"perm": ()}
    yield (type_of(2, 3),), {"perm": (0, 0)}, RuntimeError, "permute"


@prim(
    numpy=lambda x, *, perm: np.transpose(x, perm),
    vjp=lambda b, op, g: [b.permute(g, _inverse(op.attrs["perm"]))],
    kernel="movement",
    samples=_permute_samples,
)
def permute(x, *, perm):
    """Axis i of the result is axis perm[i] of x."""
    x = tensor("permute", x)
    if len(perm) != x.rank:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {x.rank} is not "
            f"equal to len(dims) = {len(perm)}"
        )
    if sorted(perm) != list(range(x.rank)):
        raise RuntimeError("permute(dims): duplicate dims are not allowed.")
    return x.with_shape(x.shape[p] for p in perm)


# -- slice ----------------------------------------------------------------------------------------
def slice_size(start, stop, step: int):
    """ceil((stop - start) / step), the number of elements; at least 0."""
    if step == 1:
        return stop - start
    return floordiv(stop - start + (step - 1 if step > 0 else step + 1), step)


def _slice(x, *, starts, stops, steps):
    return x[tuple(
        slice(a, z if z >= 0 else None, n) if a != z else slice(0, 0)
        for a, z, n in zip(starts, stops, steps, strict=True)
    )]  # fmt: skip


def flip(b, x, axis: int):
    """x reversed along one axis."""
    return b.slice(
        x,
        starts=tuple(n - 1 if i == axis else 0 for i, n in enumerate(x.shape)),
        stops=tuple(-1 if i == axis else n for i, n in enumerate(x.shape)),
        steps=tuple(-1 if i == axis else 1 for i in range(x.rank)),
    )


def _slice_vjp(b, op, g):
    x, attrs = op.operands[0], op.attrs
    low, high, interior = [], [], []
    for axis, (start, step, size) in enumerate(
        zip(attrs["starts"], attrs["steps"], x.shape, strict=True)
    ):
        n = g.shape[axis]
        if n == 0:
            return [b.zeros_like(x)]
        if step < 0:
            g = flip(b, g, axis)
            start, step = start + (n - 1) * step, -step
        low.append(start)
        high.append(size - start - (n - 1) * step - 1)
        interior.append(step - 1)
    zero = b.const(0, x.dtype)
    return [b.pad(g, zero, low=tuple(low), high=tuple(high), interior=tuple(interior))]


def _slice_samples():
    yield (s.uniform((5, 6)),), {"starts": (1, 0), "stops": (4, 6), "steps": (1, 2)}
    yield (s.uniform((5, 6)),), {"starts": (4, 5), "stops": (-1, 0), "steps": (-1, -2)}
    yield (s.uniform((7,)),), {"starts": (1,), "stops": (7,), "steps": (3,)}
    yield (s.uniform((7,)),), {"starts": (3,), "stops": (3,), "steps": (1,)}
    yield (type_of(3),), {"starts": (0,), "stops": (5,), "steps": (1,)}, IndexError, "slice"
    yield (type_of(3),), {"starts": (0,), "stops": (3,), "steps": (0,)}, ValueError, "step"


@prim("slice", numpy=_slice, vjp=_slice_vjp, kernel="movement", samples=_slice_samples)
def slice_(x, *, starts, stops, steps):
    """Every steps[i]-th element from starts[i] up to, not including, stops[i] (resolved: inside the
    operand; -1 as the stop of a negative step means through element 0)."""
    x = tensor("slice", x)
    if not len(starts) == len(stops) == len(steps) == x.rank:
        raise IndexError(f"slice: {x.rank} starts, stops and steps are needed")
    sizes = []
    for axis, (a, z, n, size) in enumerate(zip(starts, stops, steps, x.shape, strict=True)):
        if n == 0:
            raise ValueError("slice step cannot be zero")
        count = slice_size(a, z, n)
        low, high = (a, z - 1) if n > 0 else (z + 1, a)
        if count != 0 and not (
            decide("<", 0, count) and decide("<=", 0, low) and decide("<", high, size)
        ):
            raise IndexError(f"slice: [{a}:{z}:{n}] is not inside axis {axis} of size {size}")
        sizes.append(count)
    return x.with_shape(sizes)


# -- pad ------------------------------------------------------------------------------------------
def _pad(x, value, *, low, high, interior):
    shape = []
    source, target = [], []
    for n, lo, hi, gap in zip(x.shape, low, high, interior, strict=True):
        out = (n + (n - 1) * gap if n else 0) + lo + hi
        step = gap + 1
        first = 0 if lo >= 0 else -(lo // step)  # the first element that is not cropped away
        at = lo + first * step
        count = min(n - first, max(0, -(-(out - at) // step))) if n > first else 0
        count = max(count, 0)
        shape.append(out)
        source.append(slice(first, first + count))
        target.append(slice(at, at + count * step if count else at, step) if count else slice(0, 0))
    y = np.full(shape, value, x.dtype)
    y[tuple(target)] = x[tuple(source)]
    return y


def _undo_pad(b, g, x, attrs):
    zero = b.const(0, g.dtype)
    none = (0,) * x.rank
    low, high = attrs["low"], attrs["high"]
    if any(n == 0 for n in x.shape):
        return b.zeros_like(x)
    if low != none or high != none:
        g = b.pad(g, zero, low=tuple(-v for v in low), high=tuple(-v for v in high), interior=none)
    if attrs["interior"] != none:
        g = b.slice(g, starts=none, stops=g.shape, steps=tuple(v + 1 for v in attrs["interior"]))
    return g


def _pad_vjp(b, op, g):
    x, value = op.operands
    hole = b.pad(b.zeros_like(x), b.const(1, x.dtype), **op.attrs)
    return [
        _undo_pad(b, g, x, op.attrs),
        b.reshape(b.reduce(b.mul(g, hole), "sum", range(g.rank)), value.shape),
    ]


def _pad_samples():
    for low, high, interior in (
        ((1, 2), (0, 3), (0, 0)), ((-1, 0), (0, -2), (0, 0)), ((0, 1), (2, 0), (2, 1)),
        ((-1, -2), (1, -1), (1, 2)), ((0, 0), (0, 0), (0, 0)), ((3, 0), (-4, 0), (0, 0)),
    ):  # fmt: skip
        attrs = {"low": low, "high": high, "interior": interior}
        yield (s.uniform((3, 4)), s.uniform(())), attrs
    yield (s.integers((0,)), s.integers(())), {"low": (1,), "high": (2,), "interior": (1,)}
    bad = {"low": (-3,), "high": (-1,), "interior": (0,)}
    yield (type_of(2), type_of()), bad, RuntimeError, "negative output size"
    yield (type_of(2), type_of(1)), bad, RuntimeError, "0-d"


@prim(numpy=_pad, vjp=_pad_vjp, kernel="movement", samples=_pad_samples)
def pad(x, value, *, low, high, interior):
    """x with `interior` copies of value between elements, then `low` and `high` around (negative
    ones crop)."""
    x, value = tensor("pad", x), tensor("pad", value, "value")
    if value.rank or value.dtype is not x.dtype:
        raise RuntimeError(f"pad: the value must be a 0-d {x.dtype.code}, got {value}")
    sizes = []
    for n, lo, hi, gap in zip(x.shape, low, high, interior, strict=True):
        if gap < 0:
            raise RuntimeError(f"pad: the interior padding must not be negative, got {gap}")
        size = (n + (n - 1) * gap if n != 0 else 0) + lo + hi
        if decide("<", size, 0):
            raise RuntimeError(
                f"The input size {n}, plus negative padding {lo} and {hi} resulted in a negative "
                "output size, which is invalid. Check dimension 0 of your input."
            )
        sizes.append(size)
    return x.with_shape(sizes)


# -- concat ---------------------------------------------------------------------------------------
def _concat_vjp(b, op, g):
    axis, at, grads = op.attrs["axis"], 0, []
    for x in op.operands:
        n = x.shape[axis]
        starts = tuple(at if i == axis else 0 for i in range(g.rank))
        stops = tuple(at + n if i == axis else size for i, size in enumerate(g.shape))
        grads.append(b.slice(g, starts=starts, stops=stops, steps=(1,) * g.rank))
        at = at + n
    return grads


def _concat_samples():
    yield (s.uniform((2, 3)), s.uniform((2, 1), seed=1), s.uniform((2, 0))), {"axis": 1}
    yield (s.uniform((2, 3)),), {"axis": 0}
    yield (type_of(2, 3), type_of(3, 4)), {"axis": 0}, RuntimeError, "Sizes of tensors must match"
    yield (type_of(2), type_of(2, 2)), {"axis": 0}, RuntimeError, "same number of dimensions"
    yield (type_of(), type_of()), {"axis": 0}, RuntimeError, "zero-dimensional"
    yield (), {"axis": 0}, RuntimeError, "non-empty"


@prim(numpy=lambda *xs, axis: np.concatenate(xs, axis), vjp=_concat_vjp, kernel="movement",
      samples=_concat_samples)  # fmt: skip
def concat(*xs, axis):
    """The operands one after the other along an axis."""
    if not xs:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    first = tensor("concat", xs[0])
    total = 0
    for i, x in enumerate(xs):
        if not x.rank:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
        if x.rank != first.rank:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.rank} and {x.rank}"
            )
        if x.dtype is not first.dtype:
            raise RuntimeError(f"concat: operand dtypes differ: {first} and {x}")
        axis_in("concat", axis, x.rank)
        for d, (n, want) in enumerate(zip(x.shape, first.shape, strict=True)):
            if d != axis and not same(n, want):
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {want} "
                    f"but got size {n} for tensor number {i} in the list."
                )
        total = total + x.shape[axis]
    return first.with_shape(total if i == axis else n for i, n in enumerate(first.shape))
