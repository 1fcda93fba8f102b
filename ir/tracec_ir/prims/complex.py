"""Primitives between complex numbers and their parts.

Gradients inside the IR are those of the complex-linear transpose: for y = f(x) with f holomorphic
the cotangent of x is g * f'(x), as for real numbers. `autodiff.grad` conjugates what enters and
leaves, which is PyTorch's convention (Kreutz-Delgado, "The complex gradient operator", 2009).
"""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..types import TensorType, Type
from . import samples as s
from .declare import binary, unary


def complex_samples():
    """Sample complex numbers of ops with one operand."""
    yield (s.uniform((3, 2), -2, 2, dtypes.c128),), {}
    yield (s.uniform((4,), -2, 2, dtypes.c64, 1),), {}
    yield (s.uniform((), -2, 2, dtypes.c128, 2),), {}
    yield (TensorType(dtypes.f32, (2,)),), {}, RuntimeError, "must be complex"


def _real_result(t: TensorType) -> Type:
    return t.with_dtype(t.dtype.to_real())


def _complex_result(t: TensorType) -> Type:
    return t.with_dtype(t.dtype.to_complex())


def _times_minus_i(b, g):
    """The complex number -i * g of a real g."""
    return b.complex(b.zeros_like(g), b.neg(g))


@unary(lambda x: x.real.copy(), lambda b, g, x, y: b.cast(g, x.dtype), promote="same", kinds="c",
       result=_real_result, samples=complex_samples)  # fmt: skip
def real(x):
    """The real part."""


@unary(lambda x: x.imag.copy(), lambda b, g, x, y: _times_minus_i(b, g), promote="same", kinds="c",
       result=_real_result, samples=complex_samples)  # fmt: skip
def imag(x):
    """The imaginary part."""


def _join(re, im):
    out = np.empty(np.shape(re), np.result_type(re.dtype, np.complex64))
    out.real, out.imag = re, im
    return out


def _pair_samples():
    for d in (dtypes.f32, dtypes.f64):
        yield (s.uniform((3, 2), -2, 2, d), s.uniform((3, 2), -2, 2, d, 1)), {}
    f32, f64 = TensorType(dtypes.f32, (3,)), TensorType(dtypes.f64, (3,))
    yield (f32, f64), {}, RuntimeError, "Expected object of scalar type"
    yield (f32, TensorType(dtypes.f32, (4,))), {}, RuntimeError, "shapes differ"


def _refuse(re, im):
    if re.dtype is not im.dtype:
        names = {"f64": "Double", "f32": "Float", "f16": "Half"}
        first, second = (names.get(t.dtype.code, t.dtype.name) for t in (re, im))
        raise RuntimeError(
            f"Expected object of scalar type {first} but got scalar type {second} for second "
            "argument"
        )


@binary(_join, lambda b, g, x, y, out: (b.real(g), b.neg(b.imag(g))), promote="same", kinds="f",
        result=_complex_result, refuse=_refuse, samples=_pair_samples)  # fmt: skip
def complex(re, im):
    """re + i * im."""
