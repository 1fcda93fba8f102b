"""Division of lanes by one number: a product with its reciprocal, corrected to the exact quotient.

The divider is slow on wide vectors. With r = 1/b rounded to nearest and q = a * r, the quotient
q + (a - q * b) * r is a / b rounded to nearest (P. Markstein, Computation of elementary functions
on the IBM RISC System/6000 processor, 1990), as long as nothing overflows or loses bits on the
way. Where the operands are so large or small that it might, the division is carried out.
"""

from __future__ import annotations

from .state import State, Val
from .text import Value, bits_of, constant
from .vreal import Real

# powers of two: least |a|, most |a|, least |b|, most |b|
_BOUNDS = {32: (-100, 80, -40, 24), 64: (-800, 600, -400, 200)}


def applies(s: State, a: Val, b: Val) -> bool:
    """Whether b is one number for all lanes of a, known before the loop over them."""
    lanes = s.lanes
    return (
        lanes is not None
        and b.dtype.kind == "f"
        and s.target.fma
        and a.lanes > 1
        and b.lanes == 1
        and b.level < lanes.level
        and bits_of(b.value.type) in _BOUNDS
    )


def quotient(s: State, a: Val, b: Val) -> Value:
    """a / b, correctly rounded."""
    f, r = s.f, Real(s.f, s.target, a.value.type)
    one = Real(s.f, s.target, b.value.type)
    low_a, high_a, low_b, high_b = _BOUNDS[bits_of(b.value.type)]
    low, high = r.code(2.0**low_a), r.code(2.0**high_a)

    def start() -> Value:
        """The least bits of |a| that are in range; more than any has if b is out of range."""
        size = one.abs(b.value)
        fits = f.and_(f.fcmp("oge", size, 2.0**low_b), f.fcmp("ole", size, 2.0**high_b))
        bits = one.integer
        return f.splat(f.select(fits, constant(bits, low), constant(bits, one.sign)), a.lanes)

    def reciprocal() -> Value:
        return f.splat(f.fdiv(one.k(1.0), b.value), a.lanes)

    key = (str(b.value), a.lanes)
    first = s.cached(b.level, ("divisor's range", *key), start)
    by = s.cached(b.level, ("reciprocal", *key), reciprocal)
    divisor = s.spread(b, a.lanes)
    above = f.sub(f.and_(r.bits(a.value), r.ki(~one.sign)), first)
    estimate = f.fmul(a.value, by)
    rest = f.fma(f.fneg(estimate), divisor, a.value)
    exact = f.fma(rest, by, estimate)
    return r.rarely(f.icmp("ugt", above, high - low), exact, lambda: f.fdiv(a.value, divisor))
