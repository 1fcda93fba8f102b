"""Running an archive without the framework: `load("m.tcm")(x)` takes and gives NumPy arrays.

    >>> from tracec_runtime import load
    >>> model = load("digits.tcm")            # doctest: +SKIP
    >>> scores = model(images)                # doctest: +SKIP

The file is checked from end to end before anything runs (`archive.read`). Arguments are checked
against the signature; symbolic sizes take their values from the arguments' shapes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tracec_ir import dims
from tracec_ir.core import Func
from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType
from tracec_ir.interp import Closures, bind_sizes, executable
from tracec_ir.specialize import specialize
from tracec_ir.types import ScalarType, TensorType, Type

from . import knobs
from .archive import Archive, default_float, read
from .events import count, counters
from .memory import from_array
from .watch import log


def load(path: str | os.PathLike[str]) -> Model:
    """The model in the archive at `path`; ArchiveError if the file is not sound."""
    return Model(read(path))


class Model:
    """A function with its weights. Call it with one array per input."""

    def __init__(self, archive: Archive):
        self.archive = archive
        self.inputs = archive.input_types()
        self.outputs = archive.output_types()
        self._weights = [archive.weights[n] for n in archive.signature.weights]
        self._general = Variant(archive.entry, self._weights, archive.default_float)
        self._small: dict[tuple[tuple[str, int], ...], Variant] = {}

    def __repr__(self) -> str:
        return f"<Model {self.signature}>"

    @property
    def primitives(self) -> int:
        """How many primitives the function consists of."""
        return sum(1 for _ in self._general.func.walk())

    @property
    def signature(self) -> str:
        """Inputs and outputs with their types, such as `(x: f32[?n x 64]) -> (out0: f32[?n])`."""
        left, right = (
            ", ".join(f"{name}: {type_!r}" for name, type_ in side)
            for side in (self.inputs, self.outputs)
        )
        return f"({left}) -> ({right})"

    def __call__(self, *args: Any, **named: Any) -> Any:
        """The output array, or a tuple of them where the model has several (or none)."""
        out = self.run(*args, **named)
        return out[0] if len(out) == 1 else tuple(out)

    def run(self, *args: Any, **named: Any) -> list[Any]:
        """All outputs, in order. Inputs are given by position or by name.

        TypeError for a wrong number, type or rank of arguments, ValueError for wrong sizes.
        """
        values = self._arguments(args, named)
        sizes = bind_sizes(self.archive.entry, values + self._weights)
        return self._variant(sizes).run(values, sizes)

    def accepts(self, *args: Any) -> bool:
        """Whether the model works for inputs of these types and sizes."""
        try:
            values = self._arguments(args, {})
            sizes = bind_sizes(self.archive.entry, values + self._weights)
            return self._variant(sizes).guards.hold(sizes)
        except (TypeError, ValueError):
            return False

    def rebind(self, weights: Sequence[np.ndarray]) -> None:
        """Gives the model other weights of the same types, in the order of its signature."""
        self._weights[:] = weights
        for variant in (self._general, *self._small.values()):
            variant.rebind()

    def _variant(self, sizes: Mapping[str, int]) -> Variant:
        """The function for these sizes: symbols mean at least 2, so 0 and 1 need types of their
        own."""
        small = tuple(sorted((name, size) for name, size in sizes.items() if size < 2))
        if not small:
            return self._general
        found = self._small.get(small)
        if found is None:
            default = self.archive.default_float
            try:
                with default_float(default):
                    entry = specialize(self.archive.entry, dict(small))
            except (RuntimeError, ValueError, TypeError, IndexError) as error:
                listed = ", ".join(f"?{name} = {size}" for name, size in small)
                raise ValueError(f"the model does not work with {listed}: {error}") from None
            found = self._small[small] = Variant(entry, self._weights, default)
        return found

    def _arguments(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        names = [name for name, _ in self.inputs]
        given = dict(zip(names, args, strict=False))
        if len(args) > len(names) or not named.keys().isdisjoint(given):
            extra = next((n for n in named if n in given), None)
            raise TypeError(
                f"input {extra!r} is given twice" if extra is not None
                else f"the model takes {_plural(len(names), 'input')} {self.signature}, "
                f"got {len(args)}"
            )  # fmt: skip
        given.update(named)
        unknown = [n for n in named if n not in names]
        if unknown:
            raise TypeError(f"the model has no input {unknown[0]!r}: {self.signature}")
        missing = [n for n in names if n not in given]
        if missing:
            raise TypeError(f"input {missing[0]!r} is missing: {self.signature}")
        return [_checked(name, type_, given[name]) for name, type_ in self.inputs]


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _checked(name: str, type_: Type, value: Any) -> Any:
    """The argument as an array (or number) of its input's type."""
    if isinstance(type_, ScalarType):
        return _number(name, type_, value)
    array = np.asarray(value)
    want = type_.dtype.numpy
    if array.dtype != want:
        raise TypeError(f"input {name!r} must be {type_!r} ({want.name}), got {array.dtype.name}")
    if array.ndim != type_.rank:
        raise TypeError(
            f"input {name!r} must be {type_!r} ({_plural(type_.rank, 'dimension')}), "
            f"got {_plural(array.ndim, 'dimension')}: shape {array.shape}"
        )
    for axis, (have, size) in enumerate(zip(array.shape, type_.shape, strict=True)):
        if isinstance(size, int) and have != size:
            raise ValueError(
                f"input {name!r} must be {type_!r}: dimension {axis} is {have}, not {size}"
            )
    return array


_ACCEPTED = {"b": (bool,), "i": (int,), "f": (int, float), "c": (int, float, complex)}


def _number(name: str, type_: ScalarType, value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    kind = type_.dtype.kind
    accepted: tuple[type, ...] = _ACCEPTED[kind]
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind != "b"):
        raise TypeError(f"input {name!r} must be a number of type {type_!r}, got {value!r}")
    return float(value) if isinstance(value, int) and kind == "f" else value


class Variant:
    """A model's function with its weights, executed on one tier or the other."""

    def __init__(self, entry: Func, weights: list[np.ndarray], default: DType):
        self.entry, self.weights, self.default = entry, weights, default
        # deriving the types again finds the relations between sizes that the function relies on,
        # whatever the file says
        with default_float(default), dims.guards() as relied:
            self.func = executable(entry)
        self.guards = dims.Guards(dict.fromkeys([*(entry.guards or ()), *relied]))
        self.tier = Tier(self.func)
        self._interpreter: Interpreter | None = None
        self._native: Native | None = None

    def run(self, values: list[Any], sizes: Mapping[str, int]) -> list[Any]:
        """The results for checked inputs."""
        for relation, a, b in self.guards:
            if not dims.Guards([(relation, a, b)]).hold(sizes):
                listed = ", ".join(f"?{name} = {size}" for name, size in sorted(sizes.items()))
                raise ValueError(
                    f"the model was recorded for sizes with {a} {relation} {b}; these are {listed}"
                )
        return self.engine(sizes).run(values, sizes)

    def rebind(self) -> None:
        """The list of weights holds other arrays now."""
        if self._native is not None:
            self._native.bind(self.weights)

    def engine(self, sizes: Mapping[str, int]) -> Engine:
        """What executes the run with these sizes, which is about to begin."""
        if self._native is None and self.tier.compile_now(sizes):
            try:
                with default_float(self.default):
                    self._native = Native(self.entry, self.weights)
            except NotImplementedError as error:
                if knobs.tier == 1:
                    raise
                self.tier.refused(str(error))
        if self._native is not None and knobs.tier != 0:
            return self._native
        if self._interpreter is None:
            self._interpreter = Interpreter(self.func, self.weights)
        return self._interpreter


class Tier:
    """When a model is compiled: as soon as its runs on the interpreter would have paid for it."""

    def __init__(self, func: Func):
        self._func, self._possible = func, True
        self._paid = 0.0  # estimated nanoseconds that compiled code would have saved so far
        self._costs: tuple[float, float, int] | None = None

    def compile_now(self, sizes: Mapping[str, int]) -> bool:
        """Whether the run with these sizes, which is about to begin, should be a compiled one."""
        tier = knobs.tier
        if tier != "auto" or not self._possible:
            return tier == 1
        if self._costs is None:
            from tracec_codegen.schedule.cost import interpreter_cost, known

            rent, price = interpreter_cost(self._func)
            self._costs = (rent, price, _elements(self._func, known))
        rent, price, elements = self._costs
        # the estimate is for the sizes the model was recorded with
        now = _elements(self._func, lambda dim: dims.evaluate(dim, sizes))
        self._paid += rent * max(1.0, now / max(1, elements))
        return self._paid >= price

    def refuse(self) -> None:
        """Compiled code would not be faster."""
        self._possible = False

    def refused(self, reason: str) -> None:
        """The model cannot be compiled: it stays with the interpreter, which is an event."""
        self._possible = False
        count("fallback", "model")
        log("tier", stays="interpreter", reason=repr(reason))


def _elements(func: Func, value: Callable[[Dim], int]) -> int:
    """How many elements the function's operations compute."""
    types = [r.type for op in func.walk() for r in op.results]
    return sum(value(dims.product(t.shape)) for t in types if isinstance(t, TensorType))


# -- engines ---------------------------------------------------------------------------------------
class Engine(Protocol):
    """What executes a model's function, whose weights it holds, on checked inputs."""

    def run(self, values: list[Any], sizes: Mapping[str, int]) -> list[Any]:
        """One array (or number) per result."""
        ...


class Interpreter:
    """Tier 0: the NumPy interpreter."""

    def __init__(self, func: Func, weights: list[np.ndarray]):
        self._closures, self._weights = Closures(func), weights

    def run(self, values: list[Any], sizes: Mapping[str, int]) -> list[Any]:
        counters.interpreted += 1
        with np.errstate(all="ignore"):
            return self._closures.execute(values + self._weights, sizes)


class Native:
    """Tier 1: compiled kernels, through the plan executor."""

    def __init__(self, func: Func, weights: list[np.ndarray]):
        from .compiler import compile_plan

        self._results: list[TensorType] = []
        for r in func.results:
            if isinstance(r.type, ScalarType):
                raise NotImplementedError("a result that is a Python number, in compiled code")
            self._results.append(r.type)
        self._plan = compile_plan(func, list(range(len(func.results))), {})
        self.bind(weights)
        self._lock = threading.Lock()  # a plan has one table of addresses

    def bind(self, weights: list[np.ndarray]) -> None:
        """Takes the weights' memory."""
        self._weights = [from_array(np.ascontiguousarray(w)) for w in weights]

    def run(self, values: list[Any], sizes: Mapping[str, int]) -> list[Any]:
        counters.executed += 1
        arrays = [np.ascontiguousarray(v) for v in values if isinstance(v, np.ndarray)]
        scalars = [v for v in values if not isinstance(v, np.ndarray)]
        buffers = [*map(from_array, arrays), *self._weights]
        symbols = tuple(sizes[name] for name in self._plan.symbols)
        with self._lock:
            out = self._plan.run(buffers, scalars, symbols)
        return [
            buffer.array(_extents(t, sizes), t.dtype.numpy)
            for buffer, t in zip(out, self._results, strict=True)
        ]


def _extents(type_: TensorType, sizes: Mapping[str, int]) -> tuple[int, ...]:
    def extent(dim: Dim) -> int:
        return dims.evaluate(dim, sizes)

    return tuple(map(extent, type_.shape))
