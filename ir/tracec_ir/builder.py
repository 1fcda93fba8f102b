"""The Builder: emits operations with inferred types, shares equal ones, applies rules.

`emit` is strict: operands must already have the types the op wants. Attribute access is lenient and
reads like PyTorch: `b.add(x, 2.5)` promotes, broadcasts and emits the strict primitives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from . import dtypes
from .core import Func, Op, Value
from .dims import Dim, same
from .dtypes import DType
from .optable import OpDef, lookup
from .promote import broadcast_shapes, pointwise_types
from .types import ScalarType, TensorType, Type

Number = Any  # bool, int, float or complex
Rules = dict[str, list[Callable]]


def _exact(number: Any, dtype: DType) -> bool:
    """Whether a number is known to be one of a 16-bit float type, and of usual size."""
    if isinstance(number, Value):
        return False
    part, exponent = math.frexp(number)
    digits = part * 2 ** (11 if dtype is dtypes.f16 else 8)
    return not math.isfinite(number) or (digits.is_integer() and -13 <= exponent <= 15)


class Builder:
    """Appends to `ops`. `rules`: op name to functions `(b, operands, attrs) -> values or None`."""

    def __init__(self, rules: Rules | None = None, cse: bool = True):
        self.ops: list[Op] = []
        self.rules = rules or {}
        self.loc = ""
        self._known: dict | None = {} if cse else None

    # -- strict -------------------------------------------------------------------------------
    def emit(
        self,
        name: str,
        operands: Iterable[Value],
        attrs: dict | None = None,
        regions: tuple[Func, ...] = (),
    ) -> tuple[Value, ...]:
        """Appends op `name` (or finds an equal one) and returns its results."""
        d = lookup(name)
        operands = tuple(operands)
        attrs = d.complete_attrs(attrs or {})
        for rule in self.rules.get(name, ()):
            out = rule(self, operands, attrs)
            if out is not None:
                return out if isinstance(out, tuple) else (out,)
        key = None
        if self._known is not None and not d.effects and not regions:
            key = (name, tuple(map(id, operands)), tuple(map(attr_key, attrs.values())))
            known = self._known.get(key)
            if known is not None:
                return known.results
        types = d.infer([v.type for v in operands], attrs, regions)
        op = Op(name, operands, attrs, types, regions, self.loc)
        op.order = len(self.ops)
        self.ops.append(op)
        if key is not None and self._known is not None:
            self._known[key] = op
        return op.results

    def emit1(self, name: str, *operands: Value, **attrs: Any) -> Value:
        """`emit` for an op with one result."""
        return self.emit(name, operands, attrs)[0]

    # -- lenient ------------------------------------------------------------------------------
    def apply(self, name: str, operands: Iterable, attrs: dict | None = None) -> tuple[Value, ...]:
        """Emits `name` on values and Python numbers the way PyTorch would: promotes and broadcasts
        for pointwise primitives, turns numbers into constants, expands inline composites."""
        d = lookup(name)
        operands = list(operands)
        if d.pointwise is not None and d.pointwise.promote != "none":
            return (self._pointwise(d, operands, attrs or {}),)
        operands = [v if isinstance(v, Value) else self.scalar(v) for v in operands]
        if d.inline:
            assert d.body is not None
            out = d.body(self, *operands, **d.complete_attrs(attrs or {}))
            return out if isinstance(out, tuple) else (out,)
        return self.emit(name, operands, attrs)

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            lookup(name)
        except KeyError as error:
            raise AttributeError(str(error)) from None

        def call(*operands: Any, **attrs: Any) -> Any:
            out = self.apply(name, operands, attrs)
            return out[0] if len(out) == 1 else out

        return call

    def _pointwise(self, d: OpDef, operands: list, attrs: dict) -> Value:
        types: list[Type] = [
            v.type if isinstance(v, Value) else ScalarType(number_dtype(v)) for v in operands
        ]
        facts = d.pointwise
        assert facts is not None
        if facts.refuse is not None:
            facts.refuse(*types)
        work, _ = pointwise_types(facts.promote, types, d.name)
        assert work is not None
        if d.name in ("mul", "div") and work.bits == 16 and work.kind == "f":
            # a number multiplies in float32, as in PyTorch: 0.1 is not rounded to 16 bits first
            if any(
                isinstance(t, ScalarType) and not _exact(v, work)
                for v, t in zip(operands, types, strict=True)
            ):
                y = self._pointwise(d, [self._single(v) for v in operands], attrs)
                return self.cast(y, work)
        values = [
            self.cast(v, work) if isinstance(v, Value) else self.const(v, work) for v in operands
        ]
        shape = broadcast_shapes(*(v.shape for v in values))
        values = [self.broadcast_to(v, shape) for v in values]
        if d.inline:
            assert d.body is not None
            return d.body(self, *values)
        return self.emit(d.name, values, attrs)[0]

    def _single(self, v: Any) -> Value:
        """A value or number in float32."""
        return self.cast(v, dtypes.f32) if isinstance(v, Value) else self.const(v, dtypes.f32)

    def scalar(self, number: Number) -> Value:
        """A weakly typed constant."""
        return self.emit("const", (), {"value": number, "type": ScalarType(number_dtype(number))})[
            0
        ]

    def const(self, number: Number, dtype: DType) -> Value:
        """A 0-d tensor constant."""
        if dtype.kind in "iu":
            number = int(number)
        elif dtype.kind == "b":
            number = bool(number)
        elif dtype.kind == "f":
            number = float(number)
        else:
            number = complex(number)
        return self.emit("const", (), {"value": number, "type": TensorType(dtype)})[0]

    def full(self, number: Number, dtype: DType, shape: Iterable[Dim]) -> Value:
        """A constant tensor."""
        return self.broadcast_to(self.const(number, dtype), tuple(shape))

    def zeros_like(self, x: Value) -> Value:
        return self.full(0, x.dtype, x.shape)

    def cast(self, x: Value, dtype: DType) -> Value:
        """x as `dtype` (a tensor; weak scalars become 0-d tensors)."""
        if isinstance(x.type, TensorType) and x.dtype is dtype:
            return x
        return self.emit("cast", (x,), {"dtype": dtype})[0]

    def broadcast_to(self, x: Value, shape: tuple[Dim, ...]) -> Value:
        """x repeated to `shape` (NumPy's rules)."""
        if tuple(x.shape) == tuple(shape):
            return x
        return self.emit("broadcast", (x,), {"shape": tuple(shape)})[0]

    def reshape(self, x: Value, shape: Iterable[Dim]) -> Value:
        shape = tuple(shape)
        return x if tuple(x.shape) == shape else self.emit("reshape", (x,), {"shape": shape})[0]

    def permute(self, x: Value, perm: Iterable[int]) -> Value:
        perm = tuple(perm)
        return (
            x if perm == tuple(range(len(perm))) else self.emit("permute", (x,), {"perm": perm})[0]
        )

    def real(self, x: Value) -> Value:
        """The real part of x: x itself unless it is complex."""
        return self.emit("real", (x,))[0] if x.dtype.kind == "c" else x

    def conj(self, x: Value) -> Value:
        """The conjugate of x: x itself unless it is complex."""
        return self.emit("conj", (x,))[0] if x.dtype.kind == "c" else x

    def reduce(self, x: Value, kind: str, axes: Iterable[int], keepdim: bool = False) -> Value:
        """x reduced over `axes` (no axes: x itself); `keepdim` keeps them with size 1."""
        axes = tuple(sorted(a % x.rank for a in axes)) if x.rank else ()
        y = self.emit("reduce", (x,), {"kind": kind, "axes": axes})[0] if axes else x
        if keepdim:
            y = self.reshape(y, [1 if i in axes else s for i, s in enumerate(x.shape)])
        return y

    def sum_to(self, x: Value, shape: tuple[Dim, ...]) -> Value:
        """x summed over the dimensions that broadcasting from `shape` had added or repeated."""
        lead = x.rank - len(shape)
        axes = list(range(lead))
        axes += [lead + i for i, s in enumerate(shape) if s == 1 and x.shape[lead + i] != 1]
        y = self.reduce(x, "sum", axes) if axes else x
        return self.reshape(y, shape)

    def equal_shapes(self, x: Value, y: Value) -> bool:
        return x.rank == y.rank and all(same(a, b) for a, b in zip(x.shape, y.shape, strict=True))

    # -- functions ----------------------------------------------------------------------------
    def inline(self, func: Func, args: Iterable[Value]) -> tuple[Value, ...]:
        """Emits the body of `func` on `args`; returns what it returns."""
        env: dict[Value, Value] = dict(zip(func.params, args, strict=True))
        for op in func.ops:
            saved, self.loc = self.loc, op.loc or self.loc
            out = self.emit(op.name, [env[v] for v in op.operands], op.attrs, op.regions)
            self.loc = saved
            env.update(zip(op.results, out, strict=True))
        return tuple(env[v] for v in func.results)

    def func(self, name: str, params: Iterable[Value], results: Iterable[Value]) -> Func:
        """The function made of everything emitted so far that the results (or effects) need."""
        results = tuple(results)
        needed: set[Value] = set(results)
        kept = []
        for op in reversed(self.ops):
            if lookup(op.name).effects or not needed.isdisjoint(op.results):
                needed.update(op.operands)
                kept.append(op)
        return Func(name, params, kept[::-1], results)


def number_dtype(number: object) -> DType:
    """The weak dtype of a Python number; TypeError for anything else."""
    if isinstance(number, bool):
        return dtypes.b1
    if isinstance(number, int):
        return dtypes.i64
    if isinstance(number, float):
        return dtypes.f64
    if isinstance(number, complex):
        return dtypes.c128
    raise TypeError(f"expected a number or a value, got {type(number).__name__}")


def attr_key(value: object) -> object:
    """A hashable that tells 1, 1.0, True and the two zeros apart."""
    if isinstance(value, (bool, float, complex)):
        return (type(value).__name__, repr(value))
    if isinstance(value, tuple):
        return tuple(map(attr_key, value))
    return value
