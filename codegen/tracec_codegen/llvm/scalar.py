"""Lowerings of the pointwise primitives to LLVM instructions, for any lane count.

Values come in register form (half types as float, bool as i1); all operands have equal lanes.
Results of half types keep the precision of float until a cast or a store rounds them.
Integer semantics are PyTorch's: wrap-around, shifts past the width give 0 (or the sign), division
by zero gives 0 and never traps (a producer that wants an error emits a Check).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracec_ir.dtypes import DType, b1

from . import vmath
from .memory import from_memory, nan_extreme, round_to, to_memory
from .state import State, register_type
from .text import Function, Value, bits_of, constant, element_of


@dataclass(frozen=True, slots=True)
class Call:
    """One application: operand element types and the result's."""

    state: State
    types: tuple[DType, ...]
    dtype: DType
    attrs: dict

    @property
    def f(self) -> Function:
        return self.state.f

    @property
    def of(self) -> DType:
        """The element type of the first operand."""
        return self.types[0]

    @property
    def floating(self) -> bool:
        return self.of.is_floating_point

    @property
    def boolean(self) -> bool:
        return self.of is b1


Lowering = Callable[..., Value]
_LOWERINGS: dict[str, Lowering] = {}


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Registers how primitives are emitted: `fn(call, *values)`, or with the name if several."""

    def register(fn: Lowering) -> Lowering:
        for name in names:
            if len(names) == 1:
                _LOWERINGS[name] = fn
            else:
                _LOWERINGS[name] = lambda c, *xs, name=name: fn(c, name, *xs)
        return fn

    return register


def lower(state: State, op: str, values: list[Value], types: tuple[DType, ...], dtype: DType,
          attrs: dict) -> Value:
    """The value of one pointwise primitive."""
    try:
        emit = _LOWERINGS[op]
    except KeyError:
        raise NotImplementedError(f"no native lowering of pointwise op '{op}'") from None
    return emit(Call(state, types, dtype, attrs), *values)


def supported() -> frozenset[str]:
    """Names of the primitives that can be emitted."""
    return frozenset(_LOWERINGS)


# ---- arithmetic ----------------------------------------------------------------------------

@lowering("add", "sub", "mul")
def _arithmetic(c: Call, name: str, a: Value, b: Value) -> Value:
    if c.boolean:
        return {"add": c.f.or_, "mul": c.f.and_, "sub": c.f.xor}[name](a, b)
    return getattr(c.f, "f" + name if c.floating else name)(a, b)


@lowering("div")
def _div(c: Call, a: Value, b: Value) -> Value:
    return c.f.fdiv(a, b) if c.floating else _quotient(c, a, b)


@lowering("neg")
def _neg(c: Call, a: Value) -> Value:
    return c.f.fneg(a) if c.floating else c.f.sub(constant(a.type, 0), a)


@lowering("abs")
def _abs(c: Call, a: Value) -> Value:
    if c.floating:
        return c.f.intrinsic("fabs", a)
    return c.f.smax(a, c.f.sub(constant(a.type, 0), a)) if c.of.kind == "i" else a


@lowering("floor", "ceil", "trunc", "round")
def _rounding(c: Call, name: str, a: Value) -> Value:
    return vmath.rounded(c.f, c.state.target, name, a) if c.floating else a


@lowering("sqrt")
def _sqrt(c: Call, a: Value) -> Value:
    return c.f.intrinsic("sqrt", a)


# ---- division ------------------------------------------------------------------------------

def _quotient(c: Call, a: Value, b: Value) -> Value:
    """Integer a / b toward zero; 0 for b = 0; wraps for the one quotient that does not fit."""
    f, bits = c.f, c.of.bits
    signed = c.of.is_signed
    zero = f.icmp("eq", b, 0)
    special = f.or_(zero, f.icmp("eq", b, -1)) if signed else zero
    safe = f.select(special, constant(b.type, 1), b)
    if bits <= 32:  # vector units divide floats only; the quotient of small integers is exact
        real = "float" if bits <= 16 else "double"
        to, back = ("sitofp", "fptosi") if signed else ("uitofp", "fptoui")
        x, y = (f.cast(to, v, real) for v in (a, safe))
        result = f.cast(back, f.fdiv(x, y), element_of(a.type))
    else:
        result = f.sdiv(a, safe) if signed else f.udiv(a, safe)
    if signed:
        minus = f.sub(constant(a.type, 0), a)
        result = f.select(f.icmp("eq", b, -1), minus, result)
    return f.select(zero, constant(a.type, 0), result)


@lowering("fmod")
def _fmod(c: Call, a: Value, b: Value) -> Value:
    f = c.f
    if c.floating:
        return vmath.fmod(f, c.state.target, a, b)
    rest = f.sub(a, f.mul(_quotient(c, a, b), b))
    return f.select(f.icmp("eq", b, 0), constant(a.type, 0), rest)


# ---- extremes ------------------------------------------------------------------------------

@lowering("maximum", "minimum")
def _extreme(c: Call, name: str, a: Value, b: Value) -> Value:
    kind, f = name[:3], c.f
    if c.boolean:
        return f.or_(a, b) if kind == "max" else f.and_(a, b)
    if c.floating:
        return nan_extreme(f, kind, a, b)
    return f.intrinsic(("s" if c.of.is_signed else "u") + kind, a, b)


# ---- bits and comparisons -------------------------------------------------------------------

@lowering("bitwise_and", "bitwise_or", "bitwise_xor")
def _bitwise(c: Call, name: str, a: Value, b: Value) -> Value:
    return {"and": c.f.and_, "or": c.f.or_, "xor": c.f.xor}[name[8:]](a, b)


@lowering("bitwise_not")
def _bitwise_not(c: Call, a: Value) -> Value:
    return c.f.not_(a)


@lowering("shl", "shr")
def _shift(c: Call, name: str, a: Value, b: Value) -> Value:
    f, bits = c.f, c.of.bits
    inside = f.icmp("ult", b, bits)  # a negative amount is a large unsigned one
    amount = f.select(inside, b, constant(b.type, 0))
    if name == "shl":
        return f.select(inside, f.shl(a, amount), constant(a.type, 0))
    if c.of.is_signed:
        return f.ashr(a, f.select(inside, b, constant(b.type, bits - 1)))
    return f.select(inside, f.lshr(a, amount), constant(a.type, 0))


@lowering("eq", "lt", "le")
def _compare(c: Call, name: str, a: Value, b: Value) -> Value:
    if c.floating:
        return c.f.fcmp("o" + name, a, b)
    if name == "eq":
        return c.f.icmp(name, a, b)
    return c.f.icmp(("s" if c.of.kind == "i" else "u") + name, a, b)


@lowering("select")
def _select(c: Call, condition: Value, a: Value, b: Value) -> Value:
    return c.f.select(condition, a, b)


# ---- conversions ---------------------------------------------------------------------------

@lowering("cast")
def _cast(c: Call, a: Value) -> Value:
    return convert(c.state, a, c.of, c.dtype)


def convert(s: State, a: Value, source: DType, to: DType) -> Value:
    """A value converted as C does: floats to integers toward zero, anything to bool by != 0."""
    f, element = s.f, register_type(to)
    if source is to:
        return a
    if to is b1:
        return f.fcmp("une", a, 0) if source.is_floating_point else f.icmp("ne", a, 0)
    if source.is_floating_point:
        if to.is_floating_point:
            if bits_of(a.type) != bits_of(element):
                a = f.cast("fptrunc" if bits_of(a.type) == 64 else "fpext", a, element)
            return round_to(s, a, to)
        return _to_integer(s, a, to)
    if to.is_floating_point:
        signed = source.kind == "i"
        return round_to(s, f.cast("sitofp" if signed else "uitofp", a, element), to)
    if source is b1 or to.bits > source.bits:
        return f.cast("sext" if source.kind == "i" else "zext", a, element)
    return f.cast("trunc", a, element) if to.bits < source.bits else a


def _to_integer(s: State, a: Value, to: DType) -> Value:
    f = s.f
    if to.code == "u64":
        half = 2.0 ** 63
        above = f.fcmp("oge", a, half)
        low = f.cast("fptosi", f.select(above, f.fsub(a, half), a), "i64")
        return f.xor(low, f.select(above, constant(low.type, -(1 << 63)), constant(low.type, 0)))
    wide = "i64" if to.bits == 64 or to.code == "u32" else "i32"
    value = f.cast("fptosi", a, wide)  # out of range is whatever the machine gives
    return f.cast("trunc", value, f"i{to.bits}") if bits_of(wide) != to.bits else value


@lowering("bitcast")
def _bitcast(c: Call, a: Value) -> Value:
    source, to = c.of, c.dtype
    if source.bits != to.bits:
        raise NotImplementedError(f"bitcast of {source.name} to {to.name} in a kernel")
    raw = to_memory(c.state, a, source)
    memory = {"f32": "float", "f64": "double"}.get(to.code, f"i{to.bits}")
    if element_of(raw.type) != memory:
        raw = c.f.cast("bitcast", raw, memory)
    return from_memory(c.state, raw, to)


# ---- transcendental functions --------------------------------------------------------------

@lowering(*vmath.UNARY)
def _unary(c: Call, name: str, a: Value) -> Value:
    return vmath.unary(c.f, c.state.target, name, a)


@lowering("atan2", "hypot")
def _binary(c: Call, name: str, a: Value, b: Value) -> Value:
    return vmath.binary(c.f, c.state.target, name, a, b)


@lowering("pow")
def _pow(c: Call, a: Value, b: Value) -> Value:
    if c.floating:
        return vmath.binary(c.f, c.state.target, "pow", a, b)
    if c.boolean:
        return c.f.or_(a, c.f.not_(b))
    return _integer_power(c, a, b)


def _integer_power(c: Call, a: Value, b: Value) -> Value:
    """Repeated squaring with wrap-around; negative exponents give 0, except of 1 and -1."""
    f, bits = c.f, c.of.bits
    one, zero = constant(a.type, 1), constant(a.type, 0)
    signed = c.of.is_signed
    exponent = f.select(f.icmp("slt", b, 0), zero, b) if signed else b

    def running(result: Value, base: Value, left: Value) -> Value:
        return f.reduce("or", f.icmp("ne", left, 0))

    def body(result: Value, base: Value, left: Value) -> list[Value]:
        odd = f.icmp("ne", f.and_(left, 1), 0)
        return [f.mul(result, f.select(odd, base, one)), f.mul(base, base), f.lshr(left, 1)]

    result = f.while_loop([one, a, exponent], running, body)[0]
    if signed:
        odd = f.icmp("ne", f.and_(b, 1), 0)
        minus = f.select(odd, constant(a.type, -1), one)
        inverse = f.select(f.icmp("eq", a, -1), minus, zero)
        inverse = f.select(f.icmp("eq", a, 1), one, inverse)
        result = f.select(f.icmp("slt", b, 0), inverse, result)
    assert bits
    return result
