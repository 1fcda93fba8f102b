"""The values that script computes with: tensors, numbers known at run time, Python objects.

What is known while scripting stays an ordinary Python object. Sizes are dims (`tracec_ir.dims`),
numbers that depend on data are `Number`s around a 0-d tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from tracec_ir import dtypes, promote
from tracec_ir.dims import Poly
from tracec_ir.dtypes import DType

from ..record import apply
from ..tensor import Tensor, view_of
from .errors import ScriptError

PYTHON = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
WEAK_DTYPES = {bool: dtypes.b1, int: dtypes.i64, float: dtypes.f64, complex: dtypes.c128}


class Number:
    """A Python number (or bool) that is known only when the model runs: a 0-d tensor inside."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor):
        # as wide as Python's numbers are
        self.tensor = cast(tensor, WEAK_DTYPES[PYTHON[tensor.dtype.kind]])

    def __bool__(self) -> bool:
        raise ScriptError(
            "a number that is known only when the model runs decides something in library code here"
        )

    @property
    def python(self) -> type:
        """bool, int, float or complex."""
        return PYTHON[self.tensor.dtype.kind]

    def operand(self, others: Any) -> Tensor:
        """The number as an operand beside `others`, whose dtype it follows as numbers do."""
        kind = self.python
        if kind in (bool, int):
            return self.tensor
        floats = [t.dtype for t in tensors_in(others) if t.dtype.kind in "fc"]
        return cast(
            self.tensor, reduce(promote.common, floats) if floats else promote.default_float
        )


@dataclass(frozen=True, slots=True)
class Undefined:
    """A variable without a usable value, and why; it would have one if these sizes were equal."""

    reason: str
    sizes: tuple = ()


class Pending:
    """An input of which only the name is known, until something uses it."""

    __slots__ = ("name", "tensor")

    def __init__(self, name: str):
        self.name = name
        self.tensor: Tensor | None = None


def cast(x: Tensor, dtype: DType) -> Tensor:
    """x as `dtype`."""
    return x if x.dtype is dtype else apply("cast", (x,), (("dtype", dtype),))


def size_tensor(dim: Poly) -> Tensor:
    """A symbolic size as a 0-d tensor: the last entry of 0, 1, ..., dim."""
    from ..spec import spec

    counted = apply("iota", (), (("size", dim + 1), ("dtype", dtypes.i64)))
    return view_of(counted, spec(dtypes.i64, (), (), dim, counted.device))


def is_number(x: Any) -> bool:
    """Whether x is a Python number, static or not."""
    return isinstance(x, (bool, int, float, complex, Number, Poly))


def is_dynamic(x: Any) -> bool:
    """Whether x's value is unknown while scripting."""
    return isinstance(x, (Number, Poly, Tensor))


def tensor_of(x: Any) -> Tensor:
    """A tensor, or a number as a 0-d tensor of its own dtype (int64, float64, ...)."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, Number):
        return x.tensor
    if isinstance(x, Poly):
        return size_tensor(x)
    if isinstance(x, (bool, int, float, complex)):
        dtype = WEAK_DTYPES[type(x)]
        return apply("full", (x,), (("shape", ()), ("dtype", dtype)))
    raise ScriptError(f"a {type(x).__name__} cannot be a value that is known only at run time")


def tensors_in(x: Any) -> list[Tensor]:
    """The tensors in nested tuples, lists and dictionaries."""
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, (tuple, list)):
        return [t for item in x for t in tensors_in(item)]
    if isinstance(x, dict):
        return [t for item in x.values() for t in tensors_in(item)]
    return []


def contains(x: Any, kinds: type | tuple) -> bool:
    """Whether a value of these types occurs in nested tuples, lists, dictionaries and slices."""
    if isinstance(x, kinds):
        return True
    if isinstance(x, (tuple, list)):
        return any(contains(item, kinds) for item in x)
    if isinstance(x, dict):
        return any(contains(item, kinds) for item in x.values())
    if isinstance(x, slice):
        return any(contains(item, kinds) for item in (x.start, x.stop, x.step))
    return False
