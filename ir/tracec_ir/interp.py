"""The NumPy reference interpreter: the oracle of every backend, and tier 0 of execution.

A function is turned once into a list of closures over a table of slots; running it is calling them
in order. Composites without a reference of their own are expanded first. Results never share memory
with arguments or each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .core import Func, Op
from .dims import Poly, Sym, evaluate, symbols
from .expand import expand, has_reference
from .optable import lookup
from .prims.rules import is_half
from .types import ScalarType, TensorType, Type

Step = Callable[[list], None]


def run(func: Func, *args: Any) -> list:
    """The results of `func` on arrays (and Python numbers where parameters are scalars)."""
    return closures(func)(*args)


def closures(func: Func) -> Closures:
    """`func` prepared for repeated execution."""
    return Closures(executable(func))


def executable(func: Func) -> Func:
    """`func` as operations that have a NumPy reference."""
    return expand(func, keep=has_reference)


class Closures:
    """A function of primitives as a list of closures. Call it with one argument per parameter."""

    __slots__ = (
        "func",
        "steps",
        "_size",
        "_template",
        "_results",
        "_symbolic",
        "_constants",
        "_locs",
    )

    def __init__(self, func: Func):
        slots: dict = {p: i for i, p in enumerate(func.params)}
        for op in func.ops:
            for r in op.results:
                slots[r] = len(slots)
        self.func = func
        self._size = len(slots) + 1  # the last slot holds the sizes, for symbolic attributes
        initial: list = [None] * self._size
        self.steps: list[Step] = []
        self._locs: list[str] = []  # where the operation of each step was recorded
        for op in func.ops:
            step = _step(op, slots, self._size - 1)
            if op.operands or op.regions or any(map(_is_symbolic, op.attrs.values())):
                self.steps.append(step)
                self._locs.append(op.loc)
            else:  # constants are computed once
                step(initial)
        self._template = initial[len(func.params) :]
        self._constants = {id(v) for v in self._template if v is not None}
        self._results = [(slots[r], _target(r.type)) for r in func.results]
        self._symbolic = any(
            isinstance(d, Poly)
            for p in func.params
            if isinstance(p.type, TensorType)
            for d in p.shape
        )

    def __call__(self, *args: Any) -> list:
        params = self.func.params
        if len(args) != len(params):
            raise TypeError(f"@{self.func.name} takes {len(params)} arguments, got {len(args)}")
        values = [_argument(self.func, i, p.type, a) for i, (p, a) in enumerate(zip(params, args))]
        sizes = bind_sizes(self.func, values) if self._symbolic else {}
        with np.errstate(all="ignore"):
            return self.execute(values, sizes)

    def execute(self, values: list, sizes: Mapping[str, int]) -> list:
        """The results, given checked arguments and the values of symbolic sizes."""
        slots = values + self._template
        slots[-1] = sizes
        step = None
        try:
            for step in self.steps:
                step(slots)
        except IndexError as error:  # data-dependent: the reader wants to know where it comes from
            loc = self._locs[self.steps.index(step)] if step is not None else ""
            raise IndexError(f"{error} (recorded at {loc})" if loc else str(error)) from None
        taken = {*map(id, values), *self._constants}
        return [_owned(slots[i], dtype, taken) for i, dtype in self._results]


def _target(t: Type) -> np.dtype | None:
    return None if isinstance(t, ScalarType) else t.dtype.numpy


def _owned(value: Any, dtype: np.dtype | None, taken: set[int]) -> Any:
    """value as a C-ordered array that owns its memory."""
    if dtype is None:
        return value
    array = np.asarray(value, dtype)
    if array.base is not None or not array.flags.c_contiguous or id(array) in taken:
        array = np.array(array, order="C")
    taken.add(id(array))
    return array


def _argument(func: Func, index: int, t: Type, value: Any) -> Any:
    if isinstance(t, ScalarType):
        return value.item() if isinstance(value, (np.generic, np.ndarray)) else value
    array = np.asarray(value)
    if array.dtype != t.dtype.numpy or array.ndim != len(t.shape):
        raise TypeError(
            f"@{func.name}: argument {index} must be {t}, got {array.dtype}{list(array.shape)}"
        )
    for have, want in zip(array.shape, t.shape, strict=True):
        if isinstance(want, int) and have != want:
            raise TypeError(
                f"@{func.name}: argument {index} must be {t}, got shape {list(array.shape)}"
            )
    return array


# -- symbolic sizes -------------------------------------------------------------------------------
def bind_sizes(func: Func, values: Sequence) -> dict[str, int]:
    """The symbols' values that the arguments' shapes give; ValueError if they contradict."""
    pairs = [
        (want, have)
        for p, v in zip(func.params, values, strict=True)
        if isinstance(p.type, TensorType)
        for want, have in zip(p.shape, v.shape, strict=True)
        if isinstance(want, Poly)
    ]
    sizes: dict[str, int] = {}
    pending = pairs
    while pending:
        rest = [(want, have) for want, have in pending if not _solve(want, have, sizes)]
        if len(rest) == len(pending):
            break
        pending = rest
    for want, have in pairs:
        unknown = sorted(s.name for s in symbols(want) if s.name not in sizes)
        if unknown:
            raise ValueError(f"@{func.name}: no argument determines the size ?{unknown[0]}")
        if evaluate(want, sizes) != have:
            raise ValueError(
                f"@{func.name}: a size is {have} where {want} = {evaluate(want, sizes)}"
            )
    return sizes


def _solve(want: Poly, have: int, sizes: dict[str, int]) -> bool:
    """Learns the one unknown symbol of a linear size; whether nothing is left to learn."""
    unknown = [s for s in symbols(want) if s.name not in sizes]
    if not unknown:
        return True
    if len(unknown) > 1:
        return False
    name = unknown[0].name
    if not _is_polynomial(want):
        return False
    at_zero = evaluate(want, {**sizes, name: 0})
    slope = evaluate(want, {**sizes, name: 1}) - at_zero
    value = (have - at_zero) // slope if slope else 0
    if evaluate(want, {**sizes, name: value}) != have:
        return False
    sizes[name] = value
    return True


def _is_polynomial(dim: Poly) -> bool:
    return all(isinstance(u, Sym) for mono in dim.terms for u in mono)


# -- steps ----------------------------------------------------------------------------------------
def _step(op: Op, slots: Mapping, sizes: int) -> Step:
    """The closure that executes one op on the slot table."""
    d = lookup(op.name)
    fn = d.numpy
    if fn is None:
        raise NotImplementedError(f"op '{op.name}' has no NumPy reference")
    types = [v.type for v in op.operands]
    half = any(isinstance(t, TensorType) and is_half(t.dtype.numpy) for t in types)
    if not half:
        fn = getattr(fn, "exact", fn)
    ins = [slots[v] for v in op.operands]
    outs = [slots[r] for r in op.results]
    attrs = dict(op.attrs)
    if op.regions:
        return _region_step(fn, ins, outs, attrs, [Closures(r) for r in op.regions], sizes)
    dynamic = {k: v for k, v in attrs.items() if _is_symbolic(v)}
    if dynamic:
        return _symbolic_step(fn, ins, outs, attrs, dynamic, sizes)
    if len(outs) == 1:
        return _simple_step(fn, ins, outs[0], attrs)
    return _many_step(fn, ins, outs, attrs)


def _simple_step(fn: Callable, ins: list[int], out: int, attrs: dict) -> Step:
    """One result: a closure per number of operands, to keep the overhead of an op small."""
    if attrs:
        if len(ins) == 1:
            (a,) = ins

            def unary_attrs(s: list) -> None:
                s[out] = fn(s[a], **attrs)

            return unary_attrs

        def any_attrs(s: list) -> None:
            s[out] = fn(*[s[i] for i in ins], **attrs)

        return any_attrs
    if len(ins) == 1:
        (a,) = ins

        def unary(s: list) -> None:
            s[out] = fn(s[a])

        return unary
    if len(ins) == 2:
        a, b = ins

        def binary(s: list) -> None:
            s[out] = fn(s[a], s[b])

        return binary

    def many_operands(s: list) -> None:
        s[out] = fn(*[s[i] for i in ins])

    return many_operands


def _store(s: list, outs: list[int], results: Any) -> None:
    results = results if isinstance(results, (tuple, list)) else (results,)
    for i, value in zip(outs, results, strict=True):
        s[i] = value


def _many_step(fn: Callable, ins: list[int], outs: list[int], attrs: dict) -> Step:
    def many(s: list) -> None:
        _store(s, outs, fn(*[s[i] for i in ins], **attrs))

    return many


def _symbolic_step(
    fn: Callable, ins: list[int], outs: list[int], attrs: dict, dynamic: dict, sizes: int
) -> Step:
    def symbolic(s: list) -> None:
        known = {k: _resolve(v, s[sizes]) for k, v in dynamic.items()}
        _store(s, outs, fn(*[s[i] for i in ins], **{**attrs, **known}))

    return symbolic


def _region_step(
    fn: Callable, ins: list[int], outs: list[int], attrs: dict, regions: list[Closures], sizes: int
) -> Step:
    def with_regions(s: list) -> None:
        def callable_of(region: Closures) -> Callable:
            return lambda *args: region.execute(list(args), s[sizes])

        _store(
            s, outs, fn(*[s[i] for i in ins], regions=[callable_of(r) for r in regions], **attrs)
        )

    return with_regions


def _is_symbolic(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(map(_is_symbolic, value))
    return isinstance(value, Poly) or (isinstance(value, TensorType) and _is_symbolic(value.shape))


def _resolve(value: Any, sizes: Mapping[str, int]) -> Any:
    """An attribute with its symbolic sizes evaluated."""
    if isinstance(value, tuple):
        return tuple(_resolve(v, sizes) for v in value)
    if isinstance(value, Poly):
        return evaluate(value, sizes)
    return (
        value.with_shape(_resolve(value.shape, sizes)) if isinstance(value, TensorType) else value
    )
