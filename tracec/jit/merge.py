"""Values with structure: their leaves, copies of their containers, and two of them made one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracec_ir import dtypes
from tracec_ir.dims import Poly
from tracec_ir.dtypes import DType
from tracec_ir.types import TensorType

from ..tensor import Tensor
from .values import WEAK_DTYPES, Number, Undefined, contains, is_number


class Cannot(Exception):
    """Two values that cannot be one; they could if the pairs of sizes in `sizes` were equal."""

    def __init__(self, message: str, sizes: tuple = ()):
        super().__init__(message)
        self.sizes = sizes


@dataclass(frozen=True, slots=True)
class Leaf:
    """Stands for result number `index` of an operation."""

    index: int
    number: bool


def leaves_of(value: Any) -> list[Any]:
    """The leaves of nested tuples, lists and dictionaries; the value itself if it is none."""
    if isinstance(value, (tuple, list)):
        return [leaf for item in value for leaf in leaves_of(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves_of(item)]
    return [value]


def rebuilt(value: Any, leaves: list[Any]) -> Any:
    """`value` with other leaves."""
    remaining = iter(leaves)

    def build(v: Any) -> Any:
        if isinstance(v, tuple):
            items = [build(item) for item in v]
            return type(v)(*items) if hasattr(v, "_fields") else type(v)(items)
        if isinstance(v, list):
            return [build(item) for item in v]
        if isinstance(v, dict):
            return {k: build(item) for k, item in v.items()}
        return next(remaining)

    return build(value)


def copied(env: dict[str, Any]) -> dict[str, Any]:
    """Variables with copies of their lists and dictionaries (shared ones stay shared)."""
    memo: dict[int, Any] = {}

    def copy(v: Any) -> Any:
        if type(v) in (list, dict, tuple):
            found = memo.get(id(v))
            if found is None:
                if type(v) is list:
                    found = memo[id(v)] = []
                    found.extend(copy(item) for item in v)
                elif type(v) is dict:
                    found = memo[id(v)] = {}
                    found.update((k, copy(item)) for k, item in v.items())
                else:
                    items = [copy(item) for item in v]
                    same = all(a is b for a, b in zip(items, v, strict=True))
                    found = memo[id(v)] = v if same else tuple(items)
            return found
        return v

    return {name: copy(value) for name, value in env.items()}


def same_static(x: Any, y: Any) -> bool:
    """Whether both are known while scripting, of one type, and equal."""
    if type(x) is not type(y) or contains([x, y], (Tensor, Number)):
        return False
    try:
        return bool(x == y) and (not isinstance(x, float) or repr(x) == repr(y))
    except Exception:  # objects that cannot be compared are not the same
        return False


def number_leaf(x: Any) -> DType:
    """The dtype that a number has as a 0-d tensor."""
    if isinstance(x, Number):
        return x.tensor.dtype
    return dtypes.i64 if isinstance(x, Poly) else WEAK_DTYPES[type(x)]


_ORDER = (dtypes.b1, dtypes.i64, dtypes.f64, dtypes.c128)


def join_leaves(x: Any, y: Any, leaf: Callable[[Any, Any, TensorType, bool], Leaf]) -> Any:
    """x and y as one value; `leaf(x, y, type, is a number)` stands for what differs."""
    if x is y or same_static(x, y):
        return x
    for v in (x, y):
        if isinstance(v, Undefined):
            raise Cannot(v.reason, v.sizes)
    if isinstance(x, (tuple, list)) and type(x) is type(y):
        if len(x) != len(y):
            raise Cannot(f"a {type(x).__name__} of {len(x)} items and one of {len(y)}")
        items = [join_leaves(a, b, leaf) for a, b in zip(x, y, strict=True)]
        return type(x)(*items) if hasattr(x, "_fields") else type(x)(items)
    if isinstance(x, dict) and isinstance(y, dict):
        if list(x) != list(y):
            raise Cannot("dictionaries with different keys")
        return {k: join_leaves(x[k], y[k], leaf) for k in x}
    if isinstance(x, Tensor) or isinstance(y, Tensor):
        return leaf(x, y, _tensor_type(x, y), False)
    if is_number(x) and is_number(y):
        kinds = [number_leaf(x), number_leaf(y)]
        if any(k not in _ORDER for k in kinds):
            raise Cannot(f"{kinds[0].code} and {kinds[1].code}")
        return leaf(x, y, TensorType(max(kinds, key=_ORDER.index)), True)
    raise Cannot(f"{_described(x)} and {_described(y)}")


def _tensor_type(x: Any, y: Any) -> TensorType:
    types = [TensorType(v.dtype, tuple(v.shape)) for v in (x, y) if isinstance(v, Tensor)]
    if len(types) == 2:
        if types[0] != types[1]:
            raise Cannot(f"{types[0]!r} and {types[1]!r}", unequal_sizes(*types))
        return types[0]
    number = y if isinstance(x, Tensor) else x
    if not is_number(number) or types[0].shape:
        raise Cannot(f"{_described(x)} and {_described(y)}")
    return types[0]


def unequal_sizes(a: TensorType, b: TensorType) -> tuple:
    """The pairs of sizes that differ, if nothing else does and symbols could make them equal."""
    if a.dtype is not b.dtype or a.rank != b.rank:
        return ()
    pairs = tuple((x, y) for x, y in zip(a.shape, b.shape, strict=True) if x != y)
    return pairs if all(isinstance(x, Poly) or isinstance(y, Poly) for x, y in pairs) else ()


def _described(x: Any) -> str:
    if isinstance(x, Tensor):
        return repr(TensorType(x.dtype, tuple(x.shape)))
    if x is None:
        return "None"
    if isinstance(x, Number):
        return f"a {x.python.__name__}"
    return repr(x) if isinstance(x, (bool, int, float, str)) else f"a {type(x).__name__}"
