"""Contractions: batched matrix product, convolution and its two gradients."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..dims import decide, floordiv, same
from ..optable import prim
from ..types import TensorType
from . import samples as s
from .movement import numel_text
from .rules import equal_shapes, in_f32, tensor


def _same_dtype(op: str, a: TensorType, b: TensorType) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_spelled(a)} != {_spelled(b)}"
        )


def _spelled(t: TensorType) -> str:
    names = {"float32": "float", "float64": "double", "float16": "c10::Half", "int64": "long int",
             "bfloat16": "c10::BFloat16"}  # fmt: skip
    return names.get(t.dtype.name, t.dtype.name)


# -- dot ------------------------------------------------------------------------------------------
def _dot(a, b):
    return np.matmul(a, b).astype(a.dtype)


def _swap(b, x):
    return b.permute(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def _dot_vjp(b, op, g):
    x, y = op.operands
    return [b.emit1("dot", g, _swap(b, y)), b.emit1("dot", _swap(b, x), g)]


def _dot_samples():
    for lead in ((), (3,), (2, 2)):
        yield (s.uniform((*lead, 4, 5)), s.uniform((*lead, 5, 3), seed=1)), {}
    for d in (dtypes.f32, dtypes.bf16, dtypes.f16, dtypes.i64, dtypes.c128):
        yield (s.values((4, 5), d), s.values((5, 3), d, 1)), {}
    yield (s.uniform((2, 0)), s.uniform((0, 3))), {}
    a = TensorType(dtypes.f32, (4, 5))
    wrong = "mat1 and mat2 shapes cannot be multiplied (4x5 and 4x5)"
    yield (a, a), {}, RuntimeError, wrong
    yield (a, TensorType(dtypes.f64, (5, 2))), {}, RuntimeError, "float != double"
    yield (a, TensorType(dtypes.f32, (5,))), {}, RuntimeError, "matrices"
    three = TensorType(dtypes.f32, (2, 4, 5)), TensorType(dtypes.f32, (3, 5, 4))
    yield three, {}, RuntimeError, "Expected size for first two dimensions of batch2 tensor"


@prim(numpy=in_f32(_dot), vjp=_dot_vjp, kernel="dot", samples=_dot_samples)
def dot(a, b):
    """The matrix product over the last two axes; leading axes are equal batches. 16-bit floats
    accumulate in f32."""
    a, b = tensor("dot", a), tensor("dot", b)
    if a.rank < 2 or a.rank != b.rank:
        raise RuntimeError(f"dot: both operands must be matrices of one rank, got {a} and {b}")
    _same_dtype("dot", a, b)
    fits = same(a.shape[-1], b.shape[-2])
    if a.rank == 2 and not fits:
        raise RuntimeError(
            "mat1 and mat2 shapes cannot be multiplied "
            f"({a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]})"
        )
    if not fits or not all(map(same, a.shape[:-2], b.shape[:-2])):
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"{numel_text((a.shape[0], a.shape[-1]))} but got: "
            f"{numel_text((b.shape[0], b.shape[-2]))}."
        )
    return a.with_shape((*a.shape[:-1], b.shape[-1]))


# -- convolution ----------------------------------------------------------------------------------
def conv_sizes(x_shape, w_shape, stride, padding, dilation) -> tuple:
    """The spatial sizes of a convolution's result."""
    return tuple(
        floordiv(n + lo + hi - d * (k - 1) - 1, st) + 1
        for n, k, st, (lo, hi), d in zip(
            x_shape[2:], w_shape[2:], stride, padding, dilation, strict=True
        )
    )


def _check_conv(x: TensorType, w: TensorType, stride, padding, dilation, groups) -> tuple:
    """The result's shape; RuntimeError with PyTorch's wording if the operands do not fit."""
    rank = x.rank - 2
    if rank < 1 or w.rank != x.rank:
        raise RuntimeError(
            f"conv: expected an input N, C, *sizes and weights to match, got {x} and {w}"
        )
    if not len(stride) == len(padding) == len(dilation) == rank:
        raise RuntimeError(f"conv: {rank} strides, paddings and dilations are needed")
    if any(v < 1 for v in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(v < 1 for v in dilation):
        raise RuntimeError("dilation should be greater than zero")
    if groups < 1:
        raise RuntimeError("non-positive groups is not supported")
    if not same(x.shape[1], w.shape[1] * groups):
        raise RuntimeError(
            f"Given groups={groups}, weight of size {numel_text(w.shape)}, expected input"
            f"{numel_text(x.shape)} to have {w.shape[1] * groups} channels, but got {x.shape[1]} "
            "channels instead"
        )
    if decide("<", w.shape[0], groups) or not same(w.shape[0] % groups, 0):
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {numel_text(w.shape)} instead"
        )
    padded = [n + lo + hi for n, (lo, hi) in zip(x.shape[2:], padding, strict=True)]
    reach = [d * (k - 1) + 1 for k, d in zip(w.shape[2:], dilation, strict=True)]
    if any(decide("<", n, k) for n, k in zip(padded, reach, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel "
            f"size: ({' x '.join(map(str, reach))}). Kernel size can't be greater than actual "
            "input size"
        )
    return (x.shape[0], w.shape[0], *conv_sizes(x.shape, w.shape, stride, padding, dilation))


def _patches(x, kernel, out, stride, padding, dilation):
    """x padded, seen as [N, C, *out, *kernel] (a view of the padded copy)."""
    around = [(max(lo, 0), max(hi, 0)) for lo, hi in padding]
    x = np.pad(x, [(0, 0), (0, 0), *around])
    crop: list = [slice(None), slice(None)]  # negative padding
    for (lo, hi), n in zip(padding, x.shape[2:], strict=True):
        crop.append(slice(max(-lo, 0), n + min(hi, 0)))
    x = np.ascontiguousarray(x[tuple(crop)])
    n, c, *steps = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *out, *kernel),
        (n, c, *(v * st for v, st in zip(steps, stride, strict=True)),
         *(v * d for v, d in zip(steps, dilation, strict=True))),
        writeable=False,
    )  # fmt: skip


def _columns(x, kernel, out, groups, stride, padding, dilation):
    """The patches as a matrix per group: [G, N * out, C/G * kernel]."""
    k = len(out)
    p = _patches(x, kernel, out, stride, padding, dilation)
    n, c = p.shape[:2]
    p = p.reshape(n, groups, c // groups, *out, *kernel)
    p = p.transpose(1, 0, *range(3, 3 + k), 2, *range(3 + k, 3 + 2 * k))
    return p.reshape(groups, n * int(np.prod(out)), (c // groups) * int(np.prod(kernel)))


def _channels_last(g, groups):
    """[N, O, *S] as [G, N * S, O/G]."""
    n, o, *out = g.shape
    k = len(out)
    rows = g.reshape(n, groups, o // groups, *out).transpose(1, 0, *range(3, 3 + k), 2)
    return rows.reshape(groups, n * int(np.prod(out)), o // groups)


def _conv(x, w, *, stride, padding, dilation, groups):
    out = conv_sizes(x.shape, w.shape, stride, padding, dilation)
    o, k = w.shape[0], len(out)
    columns = _columns(x, w.shape[2:], out, groups, stride, padding, dilation)
    y = columns @ w.reshape(groups, o // groups, -1).transpose(0, 2, 1)
    y = y.reshape(groups, x.shape[0], *out, o // groups)
    y = y.transpose(1, 0, k + 2, *range(2, k + 2))
    return np.ascontiguousarray(y.reshape(x.shape[0], o, *out))


def _conv_input(g, w, *, input_shape, stride, padding, dilation, groups):
    n, c, *sizes = input_shape
    o, _, *kernel = w.shape
    out, k = g.shape[2:], len(kernel)
    columns = _channels_last(g, groups) @ w.reshape(groups, o // groups, -1)
    columns = columns.reshape(groups, n, *out, c // groups, *kernel)
    columns = columns.transpose(1, 0, k + 2, *range(2, k + 2), *range(k + 3, 2 * k + 3))
    columns = columns.reshape(n, c, *out, *kernel)
    padded = [size + max(lo, 0) + max(hi, 0) for size, (lo, hi) in zip(sizes, padding, strict=True)]
    total = np.zeros((n, c, *padded), g.dtype)
    first = [max(-lo, 0) for lo, _ in padding]
    for position in np.ndindex(*kernel):
        target = tuple(
            slice(f + p * d, f + p * d + (m - 1) * st + 1, st)
            for f, p, d, m, st in zip(first, position, dilation, out, stride, strict=True)
        )
        total[(slice(None), slice(None), *target)] += columns[(..., *position)]
    crop = tuple(
        slice(max(lo, 0), max(lo, 0) + size) for size, (lo, _) in zip(sizes, padding, strict=True)
    )
    return np.ascontiguousarray(total[(slice(None), slice(None), *crop)])


def _conv_weight(x, g, *, weight_shape, stride, padding, dilation, groups):
    columns = _columns(x, weight_shape[2:], g.shape[2:], groups, stride, padding, dilation)
    return (_channels_last(g, groups).transpose(0, 2, 1) @ columns).reshape(weight_shape)


def _geometry(attrs: dict) -> dict:
    return {k: attrs[k] for k in ("stride", "padding", "dilation", "groups")}


def _conv_vjp(b, op, g):
    x, w = op.operands
    geometry = _geometry(op.attrs)
    return [
        b.conv_input(g, w, input_shape=x.shape, **geometry),
        b.conv_weight(x, g, weight_shape=w.shape, **geometry),
    ]


def _conv_input_vjp(b, op, g):
    y, w = op.operands
    geometry = _geometry(op.attrs)
    return [b.conv(g, w, **geometry), b.conv_weight(g, y, weight_shape=w.shape, **geometry)]


def _conv_weight_vjp(b, op, g):
    x, y = op.operands
    geometry = _geometry(op.attrs)
    return [b.conv_input(y, g, input_shape=x.shape, **geometry), b.conv(x, g, **geometry)]


_CASES = (
    ((2, 3, 5), (4, 3, 3), (1,), ((1, 1),), (1,), 1),
    ((2, 4, 6, 5), (6, 2, 3, 2), (2, 1), ((1, 0), (0, 2)), (1, 2), 2),
    ((1, 2, 5, 5), (2, 1, 3, 3), (2, 2), ((0, 0), (1, 1)), (1, 1), 2),
    ((2, 2, 6, 6), (3, 2, 2, 2), (1, 1), ((-1, 1), (0, -2)), (2, 1), 1),
    ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), (1, 2, 1), ((0, 1), (1, 1), (0, 0)), (1, 1, 1), 1),
)  # fmt: skip


def _conv_cases():
    for x, w, stride, padding, dilation, groups in _CASES:
        geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        yield x, w, (x[0], w[0], *conv_sizes(x, w, stride, padding, dilation)), geometry


def _conv_samples():
    for x, w, _, geometry in _conv_cases():
        yield (s.uniform(x), s.uniform(w, seed=1)), geometry
    yield (s.uniform(x, dtype=dtypes.bf16), s.uniform(w, dtype=dtypes.bf16, seed=1)), geometry
    x, w = TensorType(dtypes.f32, (1, 3, 4, 4)), TensorType(dtypes.f32, (2, 3, 3, 3))
    attrs = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    yield (x.with_shape((1, 2, 4, 4)), w), attrs, RuntimeError, "to have 3 channels, but got 2"
    yield (x.with_shape((1, 3, 2, 4)), w), attrs, RuntimeError, "Kernel size can't be greater than"
    yield (x, w), attrs | {"stride": (0, 1)}, RuntimeError, "non-positive stride"
    yield (x, w.with_dtype(dtypes.f64)), attrs, RuntimeError, "same dtype"


@prim(numpy=in_f32(_conv), vjp=_conv_vjp, kernel="conv", samples=_conv_samples)
def conv(x, w, *, stride, padding, dilation, groups):
    """The cross-correlation of x[N, C, *sizes] with w[O, C/groups, *kernel]; `padding` holds one
    (low, high) pair per axis."""
    x, w = tensor("conv", x), tensor("conv", w, "weight")
    _same_dtype("conv", x, w)
    return x.with_shape(_check_conv(x, w, stride, padding, dilation, groups))


def _conv_input_samples():
    for x, w, y, geometry in _conv_cases():
        yield (s.uniform(y), s.uniform(w, seed=1)), {"input_shape": x, **geometry}
    bad = {"input_shape": (9, *x[1:]), **geometry}
    yield (TensorType(dtypes.f32, y), TensorType(dtypes.f32, w)), bad, RuntimeError, "shapes differ"


@prim(numpy=in_f32(_conv_input), vjp=_conv_input_vjp, kernel="conv", samples=_conv_input_samples)
def conv_input(g, w, *, input_shape, stride, padding, dilation, groups):
    """The gradient of conv's input given that of its result: the transposed convolution."""
    g, w = tensor("conv_input", g), tensor("conv_input", w, "weight")
    _same_dtype("conv_input", g, w)
    x = g.with_shape(input_shape)
    result = x.with_shape(_check_conv(x, w, stride, padding, dilation, groups))
    equal_shapes("conv_input", g, result)
    return x


def _conv_weight_samples():
    for x, w, y, geometry in _conv_cases():
        yield (s.uniform(x), s.uniform(y, seed=1)), {"weight_shape": w, **geometry}
    bad = {"weight_shape": (w[0] + 1, *w[1:]), **geometry}
    yield (TensorType(dtypes.f32, x), TensorType(dtypes.f32, y)), bad, RuntimeError, "shapes differ"


@prim(numpy=in_f32(_conv_weight), vjp=_conv_weight_vjp, kernel="conv", samples=_conv_weight_samples)
def conv_weight(x, g, *, weight_shape, stride, padding, dilation, groups):
    """The gradient of conv's weight given that of its result."""
    x, g = tensor("conv_weight", x), tensor("conv_weight", g)
    _same_dtype("conv_weight", x, g)
    w = x.with_shape(weight_shape)
    result = x.with_shape(_check_conv(x, w, stride, padding, dilation, groups))
    equal_shapes("conv_weight", g, result)
    return w
