"""Complex numbers: other coordinates, signs, and storages read as their parts."""

from __future__ import annotations

import math

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..prims.complex import complex_samples
from ..prims.declare import unary
from .common import as_float, spelled, where
from .samples import each, of


@unary(np.conj, lambda b, g, x, y: b.conj(g), promote="same", kinds="c", samples=complex_samples,
       derived="exact")  # fmt: skip
def conj(b, x):
    """The conjugate: the imaginary part with the other sign."""
    return b.complex(b.real(x), b.neg(b.imag(x)))


@composite(nondiff=True, samples=each(of("f3"), of("c3")))
def isreal(b, x):
    """Whether x has no imaginary part."""
    return b.eq(b.imag(x), 0) if x.dtype.kind == "c" else b.full(True, dtypes.b1, x.shape)


@composite(samples=each(of("f3x2"), of("c3x2")))
def sgn(b, x):
    """The sign of x; for complex numbers x / |x|, and 0 at 0."""
    if x.dtype.kind != "c":
        return b.sign(x)
    length = b.abs(x)
    zero = b.eq(length, 0)
    safe = b.cast(where(b, zero, b.const(1, length.dtype), length), x.dtype)
    return where(b, zero, b.const(0, x.dtype), b.div(x, safe))


def _angle_vjp(b: Builder, op: Op, g: Value):
    (x,) = op.operands
    if x.dtype.kind != "c":
        return [b.zeros_like(x)]
    re, im = b.real(x), b.imag(x)
    square = b.add(b.mul(re, re), b.mul(im, im))
    zero = b.eq(square, 0)
    scale = b.div(g, where(b, zero, b.const(1, square.dtype), square))
    scale = where(b, zero, b.const(0, square.dtype), scale)
    return [b.complex(b.neg(b.mul(scale, im)), b.neg(b.mul(scale, re)))]


@composite(vjp=_angle_vjp, samples=each(of("f3x2"), of("c3x2")))
def angle(b, x):
    """The argument of a complex number; of a real one 0 or, if it is negative, pi; NaN stays."""
    if x.dtype.kind == "c":
        return b.atan2(b.imag(x), b.real(x))
    z = as_float(b, x)
    return where(
        b, b.isnan(z), z, where(b, b.lt(z, 0), b.const(math.pi, z.dtype), b.const(0, z.dtype))
    )


@composite(autocast="single", samples=of("h3x2", "f3x2"))
def polar(b, abs, angle):
    """abs * (cos(angle) + i * sin(angle))."""
    if abs.dtype.kind != "f" or angle.dtype.kind != "f":
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{spelled(abs.dtype)} and {spelled(angle.dtype)}"
        )
    if abs.dtype is not angle.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {spelled(abs.dtype)} but got scalar type "
            f"{spelled(angle.dtype)} for second argument"
        )
    return b.apply("complex", (b.mul(abs, b.cos(angle)), b.mul(abs, b.sin(angle))))[0]


@composite(samples=of("c3x2"))
def as_parts(b, x):
    """A last dimension of two: the real and the imaginary parts of x."""
    shape = (*x.shape, 1)
    pair = [b.reshape(part, shape) for part in (b.real(x), b.imag(x))]
    return b.emit("concat", pair, {"axis": x.rank})[0]


@composite(samples=of("f3x2"))
def from_parts(b, x):
    """The complex numbers whose parts the last dimension of x holds."""
    lead = tuple(x.shape[:-1])
    parts = []
    for i in (0, 1):
        ends = {"starts": (*(0 for _ in lead), i), "stops": (*lead, i + 1)}
        part = b.emit("slice", (x,), {**ends, "steps": (1,) * x.rank})[0]
        parts.append(b.reshape(part, lead))
    return b.complex(*parts)
