"""The vocabulary of vector math: float arithmetic of one precision, bits, exponents, splitting."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from ..target import Target
from .text import Function, Value, bits_of, constant, element_of, lanes_of, with_element

# adding it rounds to a whole number, by double or not
_MAGIC = {False: 1.5 * 2.0 ** 23, True: 1.5 * 2.0 ** 52}


class Real:
    """Operations on values of one LLVM type, float or double, scalar or vector."""

    def __init__(self, f: Function, target: Target, type: str) -> None:
        self.f, self.target, self.type = f, target, type
        self.double = element_of(type) == "double"
        self.integer = with_element(type, "i64" if self.double else "i32")
        self.mantissa = 52 if self.double else 23
        self.bias = 1023 if self.double else 127
        self.sign = -1 << (63 if self.double else 31)  # the integer with only the sign's bit

    # ---- arithmetic ------------------------------------------------------------------------

    def k(self, number: float) -> Value:
        """A constant."""
        return constant(self.type, number)

    def ki(self, number: int) -> Value:
        """An integer constant of the same width."""
        return constant(self.integer, number)

    def fma(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """a * b + c, rounded once where the machine can."""
        return self.f.muladd(a, b, c)

    def poly(self, x: Value, coefficients: Sequence[float]) -> Value:
        """The polynomial, constant term first, by Estrin's scheme.

        Pairs of terms are independent of each other, which leaves the adders less idle than the
        chain of Horner's rule.
        """
        terms: list[Value | float] = list(coefficients)
        power = x
        while len(terms) > 1:
            pairs: list[Value | float] = [
                self.fma(power, high, low) for low, high in zip(terms[::2], terms[1::2])]
            terms = pairs + terms[len(terms) - len(terms) % 2:]
            if len(terms) > 1:
                power = self.f.fmul(power, power)
        only = terms[0]
        return only if isinstance(only, Value) else self.k(only)

    def select(self, condition: Value, a: Value | float, b: Value | float) -> Value:
        """a where the condition holds, else b."""
        x = a if isinstance(a, Value) else self.k(a)
        y = b if isinstance(b, Value) else self.k(b)
        return self.f.select(condition, x, y)

    def abs(self, x: Value) -> Value:
        """|x|"""
        return self.f.intrinsic("fabs", x)

    def copysign(self, x: Value, sign: Value) -> Value:
        """x with another value's sign."""
        return self.f.intrinsic("copysign", x, sign)

    def sqrt(self, x: Value) -> Value:
        """The correctly rounded square root."""
        return self.f.intrinsic("sqrt", x)

    def clamp(self, x: Value, low: float, high: float) -> Value:
        """x within bounds; NaN stays."""
        x = self.select(self.f.fcmp("olt", x, low), low, x)
        return self.select(self.f.fcmp("ogt", x, high), high, x)

    # ---- bits ------------------------------------------------------------------------------

    def bits(self, x: Value) -> Value:
        """The bits as integers."""
        return self.f.cast("bitcast", x, element_of(self.integer))

    def real(self, bits: Value) -> Value:
        """Integers read as floats."""
        return self.f.cast("bitcast", bits, element_of(self.type))

    def code(self, number: float) -> int:
        """The bits of a constant."""
        if self.double:
            return struct.unpack("<Q", struct.pack("<d", number))[0]
        return struct.unpack("<I", struct.pack("<f", number))[0]

    def nearest(self, x: Value, times: float = 1.0) -> tuple[Value, Value]:
        """(n, i): the nearest whole number of a moderate x * times as float and as integer bits.

        `i` is n plus a constant that vanishes when shifted left by the exponent's position.
        """
        magic = _MAGIC[self.double]
        t = self.f.fadd(x, magic) if times == 1.0 else self.fma(x, times, magic)
        return self.f.fsub(t, magic), self.bits(t)

    def power_of_two(self, i: Value) -> Value:
        """2^i for the integer bits of `nearest`, within the normal range."""
        f = self.f
        return self.real(f.shl(f.add(i, self.bias), self.mantissa))

    def scaled(self, v: Value, i: Value) -> Value:
        """v * 2^n for the bits i of `nearest`; gradual underflow and overflow are right."""
        f = self.f
        if self._scales:
            return self._scale_instruction(v, self._number(i))
        n = f.sub(i, self.ki(self.code(_MAGIC[self.double])))
        half = f.ashr(n, 1) if not self.double else self._halved(n)
        return f.fmul(f.fmul(v, self.power_of_two(half)), self.power_of_two(f.sub(n, half)))

    def shifted(self, v: Value, i: Value) -> Value:
        """v * 2^n for the bits i of `nearest`, where 2^n is a normal number."""
        if self._scales:
            return self._scale_instruction(v, self._number(i))
        return self.f.fmul(v, self.power_of_two(i))

    def _number(self, i: Value) -> Value:
        """The whole number that `nearest` gave with these bits."""
        return self.f.fsub(self.real(i), _MAGIC[self.double])

    @property
    def _scales(self) -> bool:
        """Whether there is an instruction for v * 2^n."""
        return self.target.isa == "avx512" and bits_of(self.type) * lanes_of(self.type) >= 128

    def _scale_instruction(self, v: Value, n: Value) -> Value:
        """v * 2^n by AVX-512's instruction, piece by piece if v fills several registers."""
        f, lanes = self.f, lanes_of(v.type)
        bits = bits_of(v.type) * lanes
        if bits > 512:
            half = lanes // 2
            low, high = (
                self._scale_instruction(f.shuffle(v, v, part), f.shuffle(n, n, part))
                for part in (range(half), range(half, lanes)))
            return f.shuffle(low, high, range(lanes))
        name = f"llvm.x86.avx512.mask.scalef.p{'d' if self.double else 's'}.{bits}"
        mask = constant(f"i{max(8, lanes)}", -1)
        rounding = (constant("i32", 4),) if bits == 512 else ()  # as the mode register says
        return f.call(name, v.type, v, n, v, mask, *rounding)

    def _halved(self, n: Value) -> Value:
        """floor(n / 2) of 64-bit integers in the range of exponents; AVX2 has no such shift."""
        f = self.f
        return f.sub(f.lshr(f.add(n, self.ki(4096)), 1), self.ki(2048))

    def normalised(self, x: Value, denormals: bool = True) -> tuple[Value, Value]:
        """(m, e) with x = m * 2^e and m in [sqrt(1/2), sqrt(2)); for positive finite x."""
        f = self.f
        bits = self.bits(x)
        shift = self.mantissa + 1
        if denormals:
            smallest = 2.0 ** (1 - self.bias)
            tiny = f.fcmp("olt", x, smallest)
            bits = f.select(tiny, self.bits(f.fmul(x, 2.0 ** shift)), bits)
        root = self.code(0.7071067811865476)
        t = f.sub(bits, self.ki(root))
        mask = (1 << self.mantissa) - 1
        m = self.real(f.add(f.and_(t, self.ki(mask)), self.ki(root)))
        e = self.whole(f.ashr(t, self.mantissa)) if not self.double else self._exponent(t)
        if denormals:
            e = f.select(tiny, f.fsub(e, float(shift)), e)
        return m, e

    def _exponent(self, t: Value) -> Value:
        """floor(t / 2^52) as double, for |quotient| < 2^12; vector units lack the conversion."""
        f = self.f
        raw = f.lshr(f.add(t, self.ki(1 << 62)), 52)  # the quotient plus 1024
        magic = f.or_(raw, self.ki(0x4330000000000000))
        return f.fsub(self.real(magic), 2.0 ** 52 + 1024)

    def whole(self, i: Value) -> Value:
        """Integers as floats."""
        return self.f.cast("sitofp", i, element_of(self.type))

    # ---- lanes -----------------------------------------------------------------------------

    def rarely(self, condition: Value, fast: Value, slow: Callable[[], Value]) -> Value:
        """`fast`, or the result of emitting `slow` if the condition holds in any lane."""
        f = self.f
        any_lane = f.reduce("or", condition)
        return f.branch(any_lane, lambda: [slow()], lambda: [fast])[0]

    def libm(self, name: str, *operands: Value) -> Value:
        """The C library's function, lane after lane."""
        f = self.f
        element, lanes = element_of(self.type), lanes_of(self.type)
        symbol = name if self.double else name + "f"
        if lanes == 1:
            return f.call(symbol, element, *operands)
        result = Value("poison", self.type)
        for lane in range(lanes):
            one = f.call(symbol, element, *(f.extract(x, lane) for x in operands))
            result = f.insert(result, one, lane)
        return result
