"""Accumulators of reduction loops: start, update, merging of partial results, across lanes.

An accumulator's state is a list of LLVM values of any lane count.  The loop keeps several
*partial* states, which are updated element by element, and merges them into a *total* now and
then.  Totals of float sums carry the rounding error of their additions, so that long sums are
accurate to a few units in the last place; all merging happens in a fixed order.
"""

from __future__ import annotations

import math

from tracec_ir.dtypes import DType, b1, f64

from .memory import combine, identity
from .state import register_type
from .text import Function, Value, bits_of, constant, lanes_of, vector_type

Parts = list[Value]


class Accumulator:
    """Combining by a function without rounding: integers, bool as 0/-1 integers, products."""

    def __init__(self, f: Function, kind: str, dtype: DType, bits: int) -> None:
        self.f, self.kind, self.dtype = f, kind, dtype
        self.bits = bits  # width of the integers that stand for bool

    @property
    def type(self) -> str:
        """Element type of the state."""
        return f"i{self.bits}" if self.dtype is b1 else register_type(self.dtype)

    def start(self, lanes: int) -> Parts:
        """The state before the first element."""
        if self.dtype is b1:
            number: float = -1 if identity(self.kind, b1) else 0
        else:
            number = identity(self.kind, self.dtype)
        return [constant(vector_type(self.type, lanes), number)]

    def total_start(self, lanes: int) -> Parts:
        """A total of no elements."""
        return self.start(lanes)

    def update(self, parts: Parts, value: Value, mask: Value | None) -> Parts:
        """The state after one more element per lane; lanes outside the mask keep theirs."""
        f = self.f
        if mask is not None:
            rest = constant(value.type, identity(self.kind, self.dtype))
            value = f.select(mask, value, rest)
        if self.dtype is b1:
            value = f.cast("sext", value, self.type)
        return self.merge(parts, [value])

    def merge(self, a: Parts, b: Parts) -> Parts:
        """One partial state for two."""
        return [combine(self.f, self.kind if self.dtype is not b1 else self._bitwise, a[0], b[0],
                        self.dtype)]

    @property
    def _bitwise(self) -> str:
        return "all" if identity(self.kind, b1) else "any"

    def add_partial(self, total: Parts, partial: Parts) -> Parts:
        """The total including a partial state."""
        return self.merge(total, partial)

    def first_partial(self, partial: Parts) -> Parts:
        """The total of one partial state."""
        return partial

    def add_total(self, a: Parts, b: Parts) -> Parts:
        """One total for two."""
        return self.merge(a, b)

    def across(self, total: Parts) -> Parts:
        """The total over all lanes, halves combined first."""
        f, lanes = self.f, lanes_of(total[0].type)
        while lanes > 1:
            half = lanes // 2
            if half > 1:
                low = [f.shuffle(p, p, range(half)) for p in total]
                high = [f.shuffle(p, p, range(half, lanes)) for p in total]
            else:
                low, high = ([f.extract(p, k) for p in total] for k in (0, 1))
            total, lanes = self.add_total(low, high), half
        return total

    def finish(self, total: Parts) -> list[Value]:
        """The result: one value, for an arg accumulator value and index."""
        if self.dtype is b1:
            return [self.f.icmp("ne", total[0], 0)]
        return list(total)

    def finish_across(self, total: Parts) -> list[Value]:
        """The result over all lanes."""
        return self.finish(self.across(total))

    def with_init(self, result: Value, init: Value) -> Value:
        """The result combined with what the carry started from."""
        return combine(self.f, self.kind, init, result, self.dtype)


class FloatSum(Accumulator):
    """Sum of floats; totals are (sum, error)."""

    def total_start(self, lanes: int) -> Parts:
        return self.start(lanes) * 2

    def add_partial(self, total: Parts, partial: Parts) -> Parts:
        rounded, error = self._exact_sum(total[0], partial[0])
        return [rounded, self.f.fadd(total[1], error)]

    def first_partial(self, partial: Parts) -> Parts:
        return [partial[0], constant(partial[0].type, 0)]

    def add_total(self, a: Parts, b: Parts) -> Parts:
        rounded, error = self._exact_sum(a[0], b[0])
        return [rounded, self.f.fadd(self.f.fadd(a[1], b[1]), error)]

    def across(self, total: Parts) -> Parts:
        if self.type != "float" or lanes_of(total[0].type) < 4:
            return super().across(total)
        f, whole = self.f, self._across_in_double(total)
        rounded = f.cast("fptrunc", whole, "float")
        rest = f.cast("fptrunc", f.fsub(whole, f.cast("fpext", rounded, "double")), "float")
        return [rounded, rest]

    def finish_across(self, total: Parts) -> list[Value]:
        if self.type != "float" or lanes_of(total[0].type) < 4:
            return super().finish_across(total)
        return [self.f.cast("fptrunc", self._across_in_double(total), "float")]

    def _across_in_double(self, total: Parts) -> Value:
        """The sum over the lanes; in double that of so few floats needs no record of errors."""
        f, (wide, error) = self.f, (self.f.cast("fpext", x, "double") for x in total)
        if not _is_zero(total[1]):
            wide = f.fadd(wide, f.select(self._usable(error), error, constant(error.type, 0)))
        (whole,) = Accumulator(f, self.kind, f64, 64).across([wide])
        return whole

    def _usable(self, error: Value) -> Value:
        """Whether an error is a number: neither infinite nor NaN."""
        return self.f.fcmp("oeq", self.f.fsub(error, error), 0)

    def _exact_sum(self, a: Value, b: Value) -> tuple[Value, Value]:
        """The rounded sum and what rounding lost."""
        f = self.f
        s = f.fadd(a, b)
        part = f.fsub(s, a)
        return s, f.fadd(f.fsub(a, f.fsub(s, part)), f.fsub(b, part))

    def finish(self, total: Parts) -> list[Value]:
        f, (s, error) = self.f, total
        return [s if _is_zero(error) else f.select(self._usable(error), f.fadd(s, error), s)]


class FloatExtreme(Accumulator):
    """Maximum or minimum of floats; the second part remembers whether there was a NaN."""

    @property
    def _integer(self) -> str:
        return f"i{bits_of(self.type)}"

    def start(self, lanes: int) -> Parts:
        number = identity(self.kind, self.dtype)
        return [constant(vector_type(self.type, lanes), number),
                constant(vector_type(self._integer, lanes), 0)]

    def _better(self, a: Value, b: Value) -> Value:
        f = self.f
        return f.select(f.fcmp("ogt" if self.kind == "max" else "olt", a, b), a, b)

    def update(self, parts: Parts, value: Value, mask: Value | None) -> Parts:
        f = self.f
        if mask is not None:
            value = f.select(mask, value, constant(value.type, identity(self.kind, self.dtype)))
        nan = f.cast("sext", f.fcmp("uno", value, value), self._integer)
        return [self._better(parts[0], value), f.or_(parts[1], nan)]

    def merge(self, a: Parts, b: Parts) -> Parts:
        return [self._better(a[0], b[0]), self.f.or_(a[1], b[1])]

    def finish(self, total: Parts) -> list[Value]:
        f = self.f
        nan = constant(total[0].type, math.nan)
        return [f.select(f.icmp("ne", total[1], 0), nan, total[0])]


class ArgExtreme(Accumulator):
    """(value, index) of the first best element; NaN beats numbers."""

    _NONE = (1 << 63) - 1  # index of no element: larger than any

    def start(self, lanes: int) -> Parts:
        if self.dtype is b1:
            number: float = 0 if self.kind == "max" else 1
        else:
            number = identity(self.kind, self.dtype)
        type = vector_type(self.type, lanes)
        return [constant(type, number), constant(vector_type("i64", lanes), self._NONE)]

    def _takes(self, a: Parts, b: Parts) -> Value:
        """Whether b replaces a."""
        f = self.f
        earlier = f.icmp("slt", b[1], a[1])
        if self.dtype.is_floating_point:
            better = f.fcmp("ugt" if self.kind == "max" else "ult", b[0], a[0])
            same = f.fcmp("ueq", b[0], a[0])
            a_nan, b_nan = f.fcmp("uno", a[0], a[0]), f.fcmp("uno", b[0], b[0])
            better = f.and_(better, f.not_(a_nan))
            same = f.and_(same, f.not_(f.xor(a_nan, b_nan)))
        else:
            sign = "s" if self.dtype.is_signed else "u"
            better = f.icmp(sign + ("gt" if self.kind == "max" else "lt"), b[0], a[0])
            same = f.icmp("eq", b[0], a[0])
        return f.or_(better, f.and_(same, earlier))

    def consider(self, parts: Parts, value: Value, position: Value, mask: Value | None) -> Parts:
        """The state after one more (value, position) per lane."""
        f = self.f
        if self.dtype is b1:
            value = f.cast("zext", value, self.type)
        takes = self._takes(parts, [value, position])
        if mask is not None:
            takes = f.and_(takes, mask)
        return [f.select(takes, value, parts[0]), f.select(takes, position, parts[1])]

    def merge(self, a: Parts, b: Parts) -> Parts:
        takes = self._takes(a, b)
        return [self.f.select(takes, y, x) for x, y in zip(a, b, strict=True)]

    def finish(self, total: Parts) -> list[Value]:
        value = self.f.icmp("ne", total[0], 0) if self.dtype is b1 else total[0]
        return [value, total[1]]


def _is_zero(value: Value) -> bool:
    return str(value) == str(constant(value.type, 0))


def make(f: Function, kind: str, dtype: DType, bits: int) -> Accumulator:
    """The accumulator for a carry's `combine` and element type."""
    if kind == "last":
        raise NotImplementedError('a "last" carry in a reduce loop')
    if dtype.is_floating_point and kind == "sum":
        return FloatSum(f, kind, dtype, bits)
    if dtype.is_floating_point and kind in ("max", "min"):
        return FloatExtreme(f, kind, dtype, bits)
    return Accumulator(f, kind, dtype, bits)
