"""Primitives that address elements by index tensors: gather and scatter."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..dims import same
from ..optable import prim
from ..types import TensorType
from . import samples as s
from .rules import axis_in, is_half, of_kind, tensor

_KINDS = ("set", "add", "mul", "min", "max")


def _result_shape(op: str, x: TensorType, indices, axes) -> tuple:
    """The shape of gather's result: the indices' shape, then the axes that they do not address."""
    if len(indices) != len(axes) or not axes:
        raise RuntimeError(f"{op}: {len(axes)} axes need as many indices, got {len(indices)}")
    for i, axis in enumerate(axes):
        axis_in(op, axis, x.rank)
        if axis in axes[:i]:
            raise RuntimeError(f"{op}: axis {axis} is addressed twice")
    first = tensor(op, indices[0], "index")
    for index in indices:
        if of_kind(op, index, "i", "index").dtype is not dtypes.i64:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if index.rank != first.rank or not all(map(same, index.shape, first.shape)):
            raise IndexError(
                "shape mismatch: indexing tensors could not be broadcast together with shapes "
                + ", ".join(str(list(t.shape)) for t in indices)
            )
    return first.shape + tuple(n for i, n in enumerate(x.shape) if i not in axes)


def _located(x: np.ndarray, indices, axes) -> tuple[np.ndarray, tuple]:
    """(x with the addressed axes in front, indices counted from the front)."""
    out = []
    for axis, index in zip(axes, indices, strict=True):
        n = x.shape[axis]
        index = np.asarray(index)
        wrong = (index < -n) | (index >= n)
        if wrong.any():
            bad = int(index[wrong].flat[0])
            raise IndexError(f"index {bad} is out of bounds for dimension {axis} with size {n}")
        out.append(np.where(index < 0, index + n, index))
    return np.moveaxis(x, axes, range(len(axes))), tuple(out)


def _gather(x, *indices, axes):
    front, located = _located(x, indices, axes)
    return front[located]


def _gather_vjp(b, op, g):
    x, *indices = op.operands
    attrs = {"axes": op.attrs["axes"], "kind": "add"}
    return [b.emit("scatter", (b.zeros_like(x), g, *indices), attrs)[0]] + [None] * len(indices)


def _gather_samples():
    i = s.integers((2, 3), -4, 4)
    yield (s.uniform((4, 5)), i), {"axes": (0,)}
    yield (s.uniform((5, 4)), i), {"axes": (1,)}
    yield (s.uniform((4, 3, 6)), i[0], s.integers((3,), -6, 6, seed=2)), {"axes": (0, 2)}
    yield (s.uniform((6, 3, 4)), i, s.integers((2, 3), -6, 6, seed=2)), {"axes": (2, 0)}
    yield (s.integers((4,)), np.array(2)), {"axes": (0,)}
    yield (s.uniform((4, 0)), i), {"axes": (0,)}
    x, index = TensorType(dtypes.f32, (4, 5)), TensorType(dtypes.i64, (2,))
    yield (x, index), {"axes": (2,)}, IndexError, "Dimension out of range"
    yield (x, index, TensorType(dtypes.i64, (3,))), {"axes": (0, 1)}, IndexError, "shape mismatch"
    yield (x, TensorType(dtypes.f32, (2,))), {"axes": (0,)}, RuntimeError, "must be integer"
    yield (
        (s.uniform((3,)), np.array([0, 3])),
        {"axes": (0,)},
        IndexError,
        "index 3 is out of bounds",
    )


@prim(numpy=_gather, vjp=_gather_vjp, kernel="gather", samples=_gather_samples)
def gather(x, *indices, axes):
    """The elements of x that the indices address on `axes`; the other axes come whole, behind."""
    x = tensor("gather", x)
    return x.with_shape(_result_shape("gather", x, indices, axes))


# -- scatter --------------------------------------------------------------------------------------
_AT = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def _scatter(base, values, *indices, axes, kind):
    wide = kind != "set" and is_half(base.dtype)
    out = np.array(base, np.float32 if wide else base.dtype, order="C")
    front, located = _located(out, indices, axes)  # a view of out
    if kind == "set":
        front[located] = values
    else:
        _AT[kind].at(front, located, values.astype(np.float32) if wide else values)
    return out.astype(base.dtype) if wide else out


def _scatter_vjp(b, op, g):
    base, values, *indices = op.operands
    axes, kind, y = op.attrs["axes"], op.attrs["kind"], op.results[0]

    def at(x):
        return b.emit("gather", (x, *indices), {"axes": axes})[0]

    def into(x, v, how):
        return b.emit("scatter", (x, v, *indices), {"axes": axes, "kind": how})[0]

    if kind == "add":
        grads = [g, at(g)]
    elif kind == "set":
        grads = [into(g, b.zeros_like(values), "set"), at(g)]
    elif kind == "mul":
        ones = b.full(1, base.dtype, base.shape)
        zero = b.eq(values, 0)
        safe = b.select(zero, b.full(1, values.dtype, values.shape), values)
        zeros = at(into(b.zeros_like(base), b.cast(zero, base.dtype), "add"))
        alone = b.select(
            b.eq(zeros, 1), at(b.mul(g, into(base, safe, "mul"))), b.zeros_like(values)
        )
        others = b.div(at(b.mul(g, y)), safe)
        grads = [b.mul(g, into(ones, values, "mul")), b.select(zero, alone, others)]
    else:  # ties share evenly, the base included
        kept = b.cast(b.eq(base, y), base.dtype)
        best = b.cast(b.eq(values, at(y)), base.dtype)
        share = b.div(g, into(kept, best, "add"))
        grads = [b.mul(share, kept), b.mul(at(share), best)]
    return grads + [None] * len(indices)


def _scatter_samples():
    for kind in _KINDS:
        attrs = {"axes": (0,), "kind": kind}
        repeated = kind != "set"  # equal places leave losers whose gradient is not defined
        i = s.integers((2, 2), -4, 4) if repeated else np.array([[1, 0], [-1, 2]])
        yield (s.uniform((4, 3)), s.uniform((2, 2, 3), seed=1), i), attrs
        yield (
            (s.uniform((4, 3), dtype=dtypes.bf16), s.uniform((2, 2, 3), dtype=dtypes.bf16), i),
            attrs,
        )
        yield (s.integers((4,)), s.integers((2, 2), seed=1), i), attrs
    two = (
        s.uniform((3, 2, 4)),
        s.uniform((3, 2), seed=1),
        np.array([0, 1, 1]),
        np.array([2, 3, -4]),
    )
    yield two, {"axes": (0, 2), "kind": "add"}
    zeros = np.array([0.0, 2.0, 0.0, 0.0, 3.0])
    yield (s.uniform((3,)), zeros, np.array([0, 0, 1, 1, 2])), {"axes": (0,), "kind": "mul"}
    base, index = TensorType(dtypes.f32, (4,)), TensorType(dtypes.i64, (2,))
    attrs = {"axes": (0,), "kind": "add"}
    yield (base, TensorType(dtypes.f32, (3,)), index), attrs, RuntimeError, "shape mismatch"
    yield (base, TensorType(dtypes.f64, (2,)), index), attrs, RuntimeError, "same dtype"
    yield (base, base, index), {"axes": (0,), "kind": "or"}, ValueError, "kind"
    far = (s.uniform((3,)), s.uniform((1,)), np.array([-4]))
    yield far, attrs, IndexError, "index -4 is out of bounds for dimension 0 with size 3"


@prim(numpy=_scatter, vjp=_scatter_vjp, kernel="scatter", samples=_scatter_samples)
def scatter(base, values, *indices, axes, kind):
    """base with `values` put or combined into the elements that gather would read, one after the
    other: of several "set" to one place the last stays."""
    base, values = tensor("scatter", base), tensor("scatter", values, "values")
    if kind not in _KINDS:
        raise ValueError(f"scatter: the kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    shape = _result_shape("scatter", base, indices, axes)
    if base.dtype is not values.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match: they must have the same "
            f"dtype, got {base} and {values}"
        )
    if values.rank != len(shape) or not all(map(same, values.shape, shape)):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            f"indexing result of shape {list(shape)}"
        )
    return base
