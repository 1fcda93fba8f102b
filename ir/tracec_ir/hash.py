"""The canonical form of functions: structural equality, digests, and skeletons without sizes.

Names of functions and values, source lines, hints and guards do not count; the order of
parameters, operations and results does, and so do the names of symbolic sizes, because whoever
runs the function binds sizes by name.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from .core import Func, Value
from .dims import Dim, Poly
from .dtypes import DType
from .types import ScalarType, TensorType, Type

# Attributes of these names hold sizes or positions, in every op: what varies with input shapes.
SIZE_ATTRS = frozenset((
    "shape", "size", "sizes", "input_shape", "weight_shape", "output_size", "normalized_shape",
    "strides", "offset", "starts", "stops", "low", "high", "pad", "shifts", "row", "col",
    "diagonal", "num_classes", "num_samples", "repeats",
))  # fmt: skip

_TypeKey = Callable[[Type], object]
_AttrKey = Callable[[str, object], object]


def equal(f: Func, g: Func) -> bool:
    """Whether two functions are the same but for names, source lines, hints and guards."""
    return canonical(f) == canonical(g)


def digest(func: Func) -> str:
    """SHA-256 of the canonical form, in hexadecimal; the same in every process."""
    return sha256(repr(canonical(func)).encode()).hexdigest()


def skeleton(func: Func) -> str:
    """A digest that all size-like integers are left out of: sizes in types (0 and 1 stay, they
    steer broadcasting) and the attributes in `SIZE_ATTRS`. Functions with equal skeletons are
    candidates for one function with symbolic sizes."""
    return sha256(repr(_canonical(func, _type_shape, _attr_shape)).encode()).hexdigest()


def canonical(func: Func) -> tuple:
    """Nested tuples of texts and integers that are equal for equal functions only."""
    return _canonical(func, repr, lambda name, value: attr_key(value))


def _canonical(func: Func, type_key: _TypeKey, of_attr: _AttrKey) -> tuple:
    numbers: dict[Value, int] = {p: i for i, p in enumerate(func.params)}
    ops = []
    for op in func.ops:
        operands = tuple(_number(numbers, v, op.name) for v in op.operands)
        attrs = tuple((name, of_attr(name, v)) for name, v in op.attrs.items())
        types = tuple(type_key(r.type) for r in op.results)
        regions = tuple(_canonical(r, type_key, of_attr) for r in op.regions)
        ops.append((op.name, operands, attrs, types, regions))
        for r in op.results:
            numbers[r] = len(numbers)
    params = tuple(type_key(p.type) for p in func.params)
    return params, tuple(ops), tuple(_number(numbers, v, "return") for v in func.results)


def _number(numbers: dict[Value, int], value: Value, user: str) -> int:
    try:
        return numbers[value]
    except KeyError:
        raise ValueError(f"{user} uses {value!r}, which is not defined before it") from None


def attr_key(value: object) -> object:
    """Texts and integers that tell any two attribute values apart, 1 from 1.0 and 0.0 from -0.0."""
    if type(value) is int or value is None:
        return value
    if isinstance(value, tuple):
        return ("tuple", *map(attr_key, value))
    if isinstance(value, complex):
        return ("complex", repr(value.real), repr(value.imag))
    if isinstance(value, (bool, float, str, Poly)):
        return (type(value).__name__, repr(value))
    if isinstance(value, DType):
        return ("dtype", value.code)
    if isinstance(value, (TensorType, ScalarType)):
        return ("type", repr(value))
    raise TypeError(f"a {type(value).__name__} cannot be an attribute: {value!r}")


def _type_shape(type_: Type) -> object:
    if isinstance(type_, TensorType):
        return (type_.dtype.code, *map(_size_key, type_.shape))
    return repr(type_)


def _size_key(size: Dim) -> object:
    return size if isinstance(size, int) and size in (0, 1) else "?"


def _attr_shape(name: str, value: object) -> object:
    return _without_sizes(value, name in SIZE_ATTRS)


def _without_sizes(value: object, size_like: bool) -> object:
    if isinstance(value, Poly) or (size_like and type(value) is int):
        return "?"
    if isinstance(value, tuple):
        return ("tuple", *(_without_sizes(v, size_like) for v in value))
    if isinstance(value, TensorType):
        return ("type", _type_shape(value))
    return attr_key(value)
