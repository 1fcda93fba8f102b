"""Comparisons and logic made of eq, lt, le and the bitwise operations on truth values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import dtypes
from ..prims import samples as s
from ..prims.declare import binary, unary
from ..types import TensorType, Type


def _comparison(numpy: Callable, derived: str, kinds: str = "buif") -> Callable:
    sampled = "fib" + ("c" if "c" in kinds else "")
    return binary(numpy, None, promote="compare", kinds=kinds, boolean=True,
                  samples=s.binary(kinds=sampled), derived=derived)  # fmt: skip


@_comparison(np.not_equal, "exact", "buifc")
def ne(b, x, y):
    """x != y."""
    return b.emit1("bitwise_not", b.emit1("eq", x, y))


@_comparison(np.greater, "spelling")
def gt(b, x, y):
    """x > y."""
    return b.emit1("lt", y, x)


@_comparison(np.greater_equal, "spelling")
def ge(b, x, y):
    """x >= y."""
    return b.emit1("le", y, x)


def _to_bool(t: TensorType) -> Type:
    return t.with_dtype(dtypes.b1)


@unary(np.isnan, None, promote="same", kinds="buifc", result=_to_bool,
       samples=s.unary(-3, 3, "fic"), derived="exact")  # fmt: skip
def isnan(b, x):
    """Whether x is not a number."""
    if x.dtype.kind not in "fc":
        return b.full(False, dtypes.b1, x.shape)
    return b.emit1("bitwise_not", b.emit1("eq", x, x))


def _logical(numpy: Callable) -> Callable:
    return binary(numpy, None, promote="bool", kinds="b", boolean=True,
                  samples=s.binary(kinds="b"), derived="spelling")  # fmt: skip


@_logical(np.logical_and)
def logical_and(b, x, y):
    """Whether both are true."""
    return b.emit1("bitwise_and", x, y)


@_logical(np.logical_or)
def logical_or(b, x, y):
    """Whether either is true."""
    return b.emit1("bitwise_or", x, y)


@_logical(np.logical_xor)
def logical_xor(b, x, y):
    """Whether exactly one is true."""
    return b.emit1("bitwise_xor", x, y)


@unary(np.logical_not, None, promote="bool", kinds="buifc", result=_to_bool,
       samples=s.unary(-3, 3, "b"), derived="spelling")  # fmt: skip
def logical_not(b, x):
    """Whether x is zero."""
    return b.emit1("bitwise_not", b.cast(x, dtypes.b1))
