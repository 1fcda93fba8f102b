"""Random tensors: pure functions of a seed, an offset and the position (Philox4x32-10).

Offsets count blocks of four 32-bit words; `words` in each docstring is what one element consumes.
"""

from __future__ import annotations

import math

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..dtypes import DType
from ..optable import composite
from .common import is_number, masked, where
from .common import size as count
from .samples import each, of


def uniform_01(b: Builder, seed: Value, offset: Value, shape, dtype: DType) -> Value:
    """Uniform numbers in [0, 1) of a floating dtype (16-bit ones are rounded down from float32)."""
    work = dtypes.f64 if dtype is dtypes.f64 else dtypes.f32
    u = b.emit1("philox", seed, offset, shape=tuple(shape), dtype=work)
    if dtype.bits == 16:
        scale = 2048.0 if dtype is dtypes.f16 else 256.0
        u = b.div(b.floor(b.mul(u, scale)), scale)
    return b.cast(u, dtype)


def normal_01(b: Builder, seed: Value, offset: Value, shape, dtype: DType) -> Value:
    """Standard normal numbers by Box and Muller's transform: two uniform numbers each."""
    work = dtypes.f64 if dtype is dtypes.f64 else dtypes.f32
    u = b.emit1("philox", seed, offset, shape=(2, *shape), dtype=work)
    ones = (1,) * (1 + len(shape))
    parts = []
    for i in (0, 1):
        part = b.emit1(
            "slice", u, starts=(i,) + (0,) * len(shape), stops=(i + 1, *shape), steps=ones
        )
        parts.append(b.reshape(part, shape))
    radius = b.sqrt(b.mul(b.log1p(b.neg(parts[0])), -2.0))
    return b.cast(b.mul(radius, b.cos(b.mul(parts[1], 2 * math.pi))), dtype)


@composite(nondiff=True, samples=of(7, 0, size=(3, 4), dtype=dtypes.f32))
def rand(b, seed, offset, *, size, dtype):
    """Uniform in [0, 1); one word (float64: two)."""
    return uniform_01(b, seed, offset, size, dtype)


@composite(nondiff=True, samples=of(7, 0, size=(3, 4), dtype=dtypes.f32))
def randn(b, seed, offset, *, size, dtype):
    """Standard normal; two words (float64: four)."""
    return normal_01(b, seed, offset, size, dtype)


@composite(nondiff=True, samples=of(-1.0, 2.0, 7, 0, size=(3, 4), dtype=dtypes.f32))
def uniform(b, low, high, seed, offset, *, size, dtype):
    """Uniform in [low, high); one word (float64: two)."""
    u = uniform_01(b, seed, offset, size, dtype)
    low, high = b.cast(low, dtype), b.cast(high, dtype)
    return b.add(b.mul(u, b.sub(high, low)), low)


def _no_information(b: Builder, op: Op, g: Value):
    """Zeros: a draw does not depend smoothly on its parameters here, but stays in the graph."""
    return [
        None if is_number(v) or v.dtype.kind not in "fc" else b.zeros_like(v) for v in op.operands
    ]


@composite(vjp=_no_information, samples=each(of(1.0, 2.0, 7, 0, size=(3, 4), dtype=dtypes.f32)))
def normal(b, mean, std, seed, offset, *, size, dtype):
    """Normal with a mean and a deviation (numbers or tensors); two words (float64: four)."""
    z = normal_01(b, seed, offset, size, dtype)
    return b.cast(b.add(b.mul(z, std), mean), dtype)


@composite(nondiff=True, samples=of(2, 9, 7, 0, size=(3, 4), dtype=dtypes.i64))
def randint(b, low, high, seed, offset, *, size, dtype):
    """Uniform integers in [low, high); two words."""
    words = b.emit1("philox", seed, offset, shape=(2, *size), dtype=dtypes.u32)
    halves = []
    for i in (0, 1):
        part = b.emit1(
            "slice",
            words,
            starts=(i,) + (0,) * len(size),
            stops=(i + 1, *size),
            steps=(1,) * (1 + len(size)),
        )
        halves.append(b.cast(b.reshape(part, size), dtypes.i64))
    # 63 bits, so that the remainder's bias is below 2**-31 for any 32-bit range
    bits = b.add(
        b.mul(b.emit1("bitwise_and", halves[0], b.full(2**31 - 1, dtypes.i64, size)), 2**32),
        halves[1],
    )
    low, high = b.cast(low, dtypes.i64), b.cast(high, dtypes.i64)
    return b.cast(b.add(b.remainder(bits, b.sub(high, low)), low), dtype)


@composite(vjp=_no_information, samples=of(0.3, 7, 0, size=(3, 4), dtype=dtypes.f32))
def bernoulli(b, p, seed, offset, *, size, dtype):
    """1 with probability p (a number or a tensor), else 0; one word."""
    u = b.emit1("philox", seed, offset, shape=tuple(size), dtype=dtypes.f32)
    return b.cast(b.lt(u, p), dtype)


def _dropout_vjp(b: Builder, op: Op, g: Value):
    x, p, scale, seed, offset = op.operands
    return [_dropped(b, g, x, p, scale, seed, offset, op.attrs["axes"])] + [None] * 4


def _dropped(b: Builder, y: Value, x: Value, p, scale, seed, offset, axes) -> Value:
    shape = x.shape if axes is None else tuple(s if i in axes else 1 for i, s in enumerate(x.shape))
    u = b.emit1("philox", seed, offset, shape=tuple(shape), dtype=dtypes.f32)
    return masked(b, b.ge(u, p), b.mul(y, b.cast(scale, y.dtype)))


# The mask is drawn again in the backward pass instead of being kept.
@composite(
    vjp=_dropout_vjp,
    samples=each(of("f3x4", 0.3, 1.5, 7, 0), of("f3x4", 0.3, 1.5, 7, 0, axes=(0,))),
)
def dropout(b, x, p, scale, seed, offset, *, axes=None):
    """x with elements zeroed with probability p, the others times `scale`; one word. With `axes`,
    one draw serves everything along the other dimensions."""
    return _dropped(b, x, x, p, scale, seed, offset, axes)


@composite(samples=of("f3x4", 0.3, 7, 0))
def alpha_dropout(b, x, p, seed, offset, *, axes=None):
    """Dropout that keeps the mean and variance of SELU activations; one word."""
    alpha = 1.7580993408473766
    shape = x.shape if axes is None else tuple(s if i in axes else 1 for i, s in enumerate(x.shape))
    u = b.emit1("philox", seed, offset, shape=tuple(shape), dtype=dtypes.f32)
    keep = b.ge(u, p)
    q = b.sub(1.0, p)
    a = b.rsqrt(b.add(q, b.mul(b.mul(b.mul(p, q), alpha), alpha)))
    shift = b.mul(b.mul(a, alpha), p)
    low = b.cast(b.neg(b.mul(a, alpha)), x.dtype)
    y = where(b, keep, b.mul(x, b.cast(a, x.dtype)), low)
    return b.add(y, b.cast(shift, x.dtype))


@composite(nondiff=True, samples=of(2.0, 7, 0, size=(3, 4), dtype=dtypes.f32))
def exponential(b, rate, seed, offset, *, size, dtype):
    """Exponentially distributed with a rate; one word (float64: two)."""
    u = uniform_01(b, seed, offset, size, dtype)
    return b.cast(b.neg(b.div(b.log1p(b.neg(u)), rate)), dtype)


@composite(nondiff=True, samples=of(0.5, 2.0, 7, 0, size=(3, 4), dtype=dtypes.f64))
def cauchy(b, median, sigma, seed, offset, *, size, dtype):
    """Cauchy distributed; one word (float64: two)."""
    u = uniform_01(b, seed, offset, size, dtype)
    return b.cast(b.add(b.mul(b.tan(b.mul(b.sub(u, 0.5), math.pi)), sigma), median), dtype)


@composite(nondiff=True, samples=of(0.5, 0.25, 7, 0, size=(3, 4), dtype=dtypes.f32))
def log_normal(b, mean, std, seed, offset, *, size, dtype):
    """The exponential of a normal variable; two words (float64: four)."""
    z = normal_01(b, seed, offset, size, dtype)
    return b.cast(b.exp(b.add(b.mul(z, std), mean)), dtype)


@composite(nondiff=True, samples=of(0.3, 7, 0, size=(3, 4), dtype=dtypes.f32))
def geometric(b, p, seed, offset, *, size, dtype):
    """The number of trials until the first success of probability p; one word."""
    u = b.emit1("philox", seed, offset, shape=tuple(size), dtype=dtypes.f32)
    return b.cast(b.maximum(b.ceil(b.div(b.log1p(b.neg(u)), b.log1p(b.neg(p)))), 1.0), dtype)


@composite(nondiff=True, samples=of(7, 0, n=6, dtype=dtypes.i64))
def randperm(b, seed, offset, *, n, dtype):
    """A random order of 0..n-1; two words."""
    keys = b.emit1("philox", seed, offset, shape=(n,), dtype=dtypes.f64)
    return b.cast(b.emit("sort", (keys,), {"axis": 0, "descending": False})[1], dtype)


@composite(
    nondiff=True,
    samples=each(
        of("p3x4", 7, 0, num_samples=2, replacement=True),
        of("p4", 7, 0, num_samples=2, replacement=False),
    ),
)
def multinomial(b, weights, seed, offset, *, num_samples, replacement):
    """Indices drawn with probabilities proportional to the weights of the last dimension.

    With replacement: the inverse of the cumulative sum, one word per sample. Without: the largest
    keys log(u) / w (exponential races), one word per weight.
    """
    rows = weights if weights.rank == 2 else b.reshape(weights, (1, weights.shape[0]))
    rows = b.emit1("host", rows, fn="probabilities", options=(replacement and num_samples > 1,))
    n, k = rows.shape
    w = b.cast(rows, dtypes.f64 if rows.dtype is dtypes.f64 else dtypes.f32)
    if replacement:
        total = b.emit1("scan", w, kind="sum", axis=1)
        u = b.cast(
            b.emit1("philox", seed, offset, shape=(n, num_samples), dtype=dtypes.f32), w.dtype
        )
        last = b.reduce(w, "sum", (1,), True)
        # scaled into (0, total]: a weight of zero is never reached
        at = b.mul(b.sub(1.0, u), b.minimum(last, b.emit1(
            "slice", total, starts=(0, k - 1), stops=(n, k), steps=(1, 1))))  # fmt: skip
        y = b.minimum(b.searchsorted(total, at), count(b, k - 1))
    else:
        u = b.cast(b.emit1("philox", seed, offset, shape=(n, k), dtype=dtypes.f32), w.dtype)
        race = b.div(b.neg(b.log1p(b.neg(u))), w)
        race = where(b, b.gt(w, 0.0), race, float("inf"))
        order = b.emit("sort", (race,), {"axis": 1, "descending": False})[1]
        y = b.emit1("slice", order, starts=(0, 0), stops=(n, num_samples), steps=(1, 1))
    return y if weights.rank == 2 else b.reshape(y, (num_samples,))
