"""Index expressions (dims) to integer code: split by scope, by lane, and into addresses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracec_ir.dims import Atom, Dim, Poly, Sym, floordiv, symbol, symbols
from tracec_ir.dtypes import i64

from ..kernel.core import Loop
from .state import State, Val, memory_type
from .text import Value, constant, vector_constant, vector_type

_Parts = tuple[Dim, Dim, Dim]


@dataclass(frozen=True, slots=True)
class Access:
    """How a lane loop touches a buffer: the same element in all lanes ("uniform"), consecutive
    elements ("contiguous"; `address` is that of lane 0), or one address per lane ("lanes")."""

    kind: str
    address: Value
    level: int


def is_positive(dim: Dim, around: Sequence[Loop] = ()) -> bool:
    """Whether a loop extent is surely at least 1 (symbols of sizes are at least 2).

    `around` are the loops around it: block v of ceil(total / block) blocks has
    min(block, total - v * block) elements, which is never 0.
    """
    if isinstance(dim, int):
        return dim >= 1
    only = list(dim.terms.items())
    if len(only) == 1 and len(only[0][0]) == 1 and only[0][1] >= 1:
        unknown = only[0][0][0]
        if isinstance(unknown, Atom) and unknown.kind == "min":
            sides = [(unknown.a, unknown.b), (unknown.b, unknown.a)]
            return any(isinstance(x, int) and x >= 1 and _rest_of_blocks(x, y, around)
                       for x, y in sides)
    total = 0
    for mono, coef in dim.terms.items():
        if mono and (coef < 0 or any(isinstance(u, Atom) for u in mono)):
            return False
        total += coef * 2 ** len(mono)
    return total >= 1


def _rest_of_blocks(block: int, rest: Dim, around: Sequence[Loop]) -> bool:
    if is_positive(rest):
        return True
    for loop in around:
        total = rest + symbol(loop.var) * block
        if not any(s.name == loop.var for s in symbols(total)):
            return loop.extent == floordiv(total + (block - 1), block)
    return False


class IndexEmitter:
    """Emits index arithmetic for one kernel."""

    def __init__(self, state: State) -> None:
        self.s = state

    # ---- what an expression depends on -------------------------------------------------------

    def varies(self, dim: Dim) -> bool:
        """Whether lanes may disagree on the value."""
        return any(self._symbol_varies(u) for u in symbols(dim))

    def _symbol_varies(self, symbol: Sym) -> bool:
        lanes = self.s.lanes
        if lanes is not None and symbol.name == lanes.var:
            return True
        return self.s.get(symbol.name).lanes > 1

    def _unknown_varies(self, unknown: Sym | Atom) -> bool:
        if isinstance(unknown, Sym):
            return self._symbol_varies(unknown)
        return self.varies(unknown.a) or self.varies(unknown.b)

    def split(self, dim: Dim) -> _Parts:
        """(a, b, c) with dim = a + b * lane variable + c; a and b are uniform, c varies freely."""
        lanes = self.s.lanes
        if lanes is None or isinstance(dim, int):
            return dim, 0, 0
        a: Dim = 0
        b: Dim = 0
        c: Dim = 0
        for mono, coef in dim.terms.items():
            varying = [u for u in mono if self._unknown_varies(u)]
            if not varying:
                a = a + Poly({mono: coef})
            elif (len(varying) == 1 and isinstance(varying[0], Sym)
                  and varying[0].name == lanes.var):
                rest = list(mono)
                rest.remove(varying[0])
                b = b + (Poly({tuple(rest): coef}) if rest else coef)
            else:
                c = c + Poly({mono: coef})
        return a, b, c

    # ---- uniform values --------------------------------------------------------------------

    def _level(self, unknown: Sym | Atom) -> int:
        if isinstance(unknown, Sym):
            return self.s.get(unknown.name).level
        return max(self.level(unknown.a), self.level(unknown.b))

    def level(self, dim: Dim) -> int:
        """Depth of the outermost scope where the value is known."""
        return max((self.s.get(x.name).level for x in symbols(dim)), default=0)

    def _by_level(self, dim: Dim) -> list[tuple[int, Dim]]:
        """The dim's terms grouped by scope, outermost first; the constant comes last."""
        if isinstance(dim, int):
            return [(0, dim)]
        groups: dict[int, dict] = {}
        for mono, coef in dim.terms.items():
            level = max((self._level(u) for u in mono), default=-1)
            groups.setdefault(level, {})[mono] = coef
        number = groups.pop(-1, {}).get((), 0)
        out: list[tuple[int, Dim]] = [(k, Poly(groups[k])) for k in sorted(groups)]
        if number:
            out.append((out[-1][0] if out else 0, number))
        return out

    def uniform(self, dim: Dim) -> Value:
        """The i64 value of a dim on which all lanes agree."""
        if isinstance(dim, int):
            return constant("i64", dim)
        return self.s.cached(self.level(dim), ("index", dim), lambda: self._uniform(dim))

    def _uniform(self, dim: Poly) -> Value:
        total: Value | None = None
        for level, part in self._by_level(dim):
            with self.s.at(level):
                value = self._sum(part)
                total = value if total is None else self.s.f.add(total, value)
        assert total is not None
        return total

    def _sum(self, dim: Dim) -> Value:
        f = self.s.f
        if isinstance(dim, int):
            return constant("i64", dim)
        total: Value | None = None
        for mono, coef in dim.terms.items():
            product: Value | None = None
            for unknown in mono:
                value = self._unknown(unknown)
                product = value if product is None else f.mul(product, value)
            assert product is not None
            term = f.mul(product, coef)
            total = term if total is None else f.add(total, term)
        assert total is not None
        return total

    def _unknown(self, unknown: Sym | Atom) -> Value:
        if isinstance(unknown, Sym):
            return self.widened(self.s.get(unknown.name))
        level = self._level(unknown)
        return self.s.cached(level, ("atom", unknown), lambda: self._atom(unknown))

    def _atom(self, atom: Atom) -> Value:
        f = self.s.f
        a, b = self.uniform(atom.a), self.uniform(atom.b)
        if atom.kind in ("min", "max"):
            return f.smin(a, b) if atom.kind == "min" else f.smax(a, b)
        return self.divide(atom.kind, a, b, atom.a, atom.b)

    def divide(self, kind: str, a: Value, b: Value, dim_a: Dim, dim_b: Dim) -> Value:
        """floor(a / b) or a mod b for b > 0, scalars or vectors of i64."""
        f = self.s.f
        if isinstance(dim_b, int) and dim_b > 0 and dim_b & (dim_b - 1) == 0:
            if kind == "//":
                return f.ashr(a, dim_b.bit_length() - 1)
            return f.and_(a, dim_b - 1)
        if self.nonnegative(dim_a):
            return f.udiv(a, b) if kind == "//" else f.urem(a, b)
        rest = f.srem(a, b)
        negative = f.icmp("slt", rest, 0)
        if kind == "%":
            return f.add(rest, f.select(negative, b, constant(b.type, 0)))
        return f.add(f.sdiv(a, b), f.cast("sext", negative, "i64"))

    def nonnegative(self, dim: Dim) -> bool:
        """Whether the dim is surely 0 or more: sums of products of loop variables and sizes."""
        if isinstance(dim, int):
            return dim >= 0
        for mono, coef in dim.terms.items():
            if coef < 0:
                return False
            for u in mono:
                if isinstance(u, Atom):
                    if u.kind != "%" and not (self.nonnegative(u.a) and self.nonnegative(u.b)):
                        return False
                elif self.s.lanes is not None and u.name == self.s.lanes.var:
                    continue
                elif not self.s.get(u.name).natural:
                    return False
        return True

    def widened(self, val: Val) -> Value:
        """An integer value as i64."""
        if val.value.type.endswith(("i64", "i64>")):
            return val.value
        return self.s.f.cast("sext" if val.dtype.is_signed else "zext", val.value, "i64")

    # ---- values per lane -------------------------------------------------------------------

    def lane_value(self, dim: Dim) -> Value:
        """The value as a vector of i64, one per lane of the lane loop."""
        s, lanes = self.s, self.s.lanes
        assert lanes is not None
        key = ("lane value", dim, lanes.offset)
        level = max(self.level(dim), lanes.level)
        return s.cached(level, key, lambda: self._lane_value(dim))

    def _lane_value(self, dim: Dim) -> Value:
        s, f, lanes = self.s, self.s.f, self.s.lanes
        assert lanes is not None
        a, b, c = self.split(dim)
        total: Value | None = None
        if not (isinstance(b, int) and b == 0):
            start = f.add(self.uniform(a), self._times(self.lane_start(), b))
            total = f.add(f.splat(start, lanes.count), self.steps(b))
        elif not (isinstance(a, int) and a == 0) or (isinstance(c, int) and c == 0):
            total = s.spread(Val(self.uniform(a), i64, self.level(a)), lanes.count)
        if isinstance(c, Poly):
            for mono, coef in c.terms.items():
                product: Value | None = None
                for u in mono:
                    value = self._lane_unknown(u)
                    product = value if product is None else f.mul(product, value)
                assert product is not None
                term = f.mul(product, coef)
                total = term if total is None else f.add(total, term)
        assert total is not None
        return total

    def lane_start(self) -> Value:
        """The loop variable's value in lane 0."""
        lanes = self.s.lanes
        assert lanes is not None
        if not lanes.offset:
            return lanes.base
        return self.s.cached(self.s.depth, ("start", str(lanes.base), lanes.offset),
                             lambda: self.s.f.add(lanes.base, lanes.offset))

    def _times(self, value: Value, factor: Dim) -> Value:
        return self.s.f.mul(value, factor if isinstance(factor, int) else self.uniform(factor))

    def steps(self, factor: Dim) -> Value:
        """0, factor, 2 * factor, ... per lane."""
        s, lanes = self.s, self.s.lanes
        assert lanes is not None
        count = lanes.count
        iota = s.f.iota("i64", count)
        if isinstance(factor, int):
            if factor == 1:
                return iota
            return vector_constant("i64", [factor * k for k in range(count)])
        level = self.level(factor)
        return s.cached(level, ("steps", factor, count),
                        lambda: s.f.mul(s.f.splat(self.uniform(factor), count), iota))

    def _lane_unknown(self, unknown: Sym | Atom) -> Value:
        s, lanes = self.s, self.s.lanes
        assert lanes is not None
        if isinstance(unknown, Sym):
            if unknown.name == lanes.var:
                return self.lane_value(Poly({(unknown,): 1}))
            found = s.get(unknown.name)
            return s.spread(Val(self.widened(found), i64, found.level), lanes.count)
        if not self._unknown_varies(unknown):
            level = self._level(unknown)
            return s.spread(Val(self._unknown(unknown), i64, level), lanes.count)
        key = ("lane atom", unknown, lanes.offset)
        return s.cached(s.depth, key, lambda: self._lane_atom(unknown))

    def _lane_atom(self, atom: Atom) -> Value:
        f = self.s.f
        power = isinstance(atom.b, int) and atom.b > 0 and atom.b & (atom.b - 1) == 0
        if atom.kind in ("//", "%") and not power:  # powers of two are shifts and masks
            fast = self._consecutive_division(atom)
            if fast is not None:
                return fast
        a, b = self.lane_value(atom.a), self.lane_value(atom.b)
        if atom.kind in ("min", "max"):
            return f.smin(a, b) if atom.kind == "min" else f.smax(a, b)
        return self.divide(atom.kind, a, b, atom.a, atom.b)

    def _consecutive_division(self, atom: Atom) -> Value | None:
        """Division of consecutive numbers: one scalar division, then small numbers per lane.

        With q, r = divmod(first, d), lane k has q + 1 + (r + k - d) // d unless r + k < d; the
        number divided is less than the lane count, which float division does exactly.
        """
        s, f, lanes = self.s, self.s.f, self.s.lanes
        assert lanes is not None
        if isinstance(atom.b, int) and atom.b & (atom.b - 1) == 0:
            return None
        a, step, c = self.split(atom.a)
        if self.varies(atom.b) or c != 0 or step != 1 or not isinstance(step, int):
            return None
        first, divisor = f.add(self.uniform(a), self.lane_start()), self.uniform(atom.b)
        linear = self.nonnegative(atom.a)
        quotient = self.divide("//", first, divisor, 0 if linear else -1, atom.b)
        rest = f.sub(first, f.mul(quotient, divisor))
        n = lanes.count
        limit = 1 << 20
        over = f.cast("trunc", f.smax(f.sub(rest, divisor), -limit), "i32")
        over_lanes = f.add(f.splat(over, n), f.iota("i32", n))
        wide = vector_type("i32", n)
        inside = f.icmp("slt", over_lanes, 0)

        def float_divisor() -> Value:
            small = f.cast("trunc", f.smin(divisor, limit), "i32")
            return f.splat(f.cast("sitofp", small, "float"), n)

        denominator = s.cached(self.level(atom.b), ("float divisor", atom.b, n), float_divisor)
        wraps = f.cast("fptosi", f.fdiv(f.cast("sitofp", over_lanes, "float"), denominator), "i32")
        if atom.kind == "//":
            extra = f.select(inside, constant(wide, 0), f.add(wraps, 1))
            return f.add(f.splat(quotient, n), f.cast("sext", extra, "i64"))
        turns = f.cast("sext", f.select(inside, constant(wide, 0), f.add(wraps, 1)), "i64")
        wide_rest = f.add(f.splat(rest, n), f.iota("i64", n))
        return f.sub(wide_rest, f.mul(turns, s.spread(
            Val(divisor, i64, self.level(atom.b)), n)))

    # ---- addresses -------------------------------------------------------------------------

    def _base(self, buf: str, dim: Dim) -> tuple[Value, int]:
        """Address of element `dim` (uniform), built up scope by scope, and its depth."""
        s = self.s
        address, dtype = s.buffers[buf]
        element = memory_type(dtype)
        key: tuple = ("address", buf)
        depth = 0
        for level, part in self._by_level(dim):
            if part == 0:
                continue
            depth = max(depth, level)
            key = (*key, part)
            previous = address

            def step(previous: Value = previous, part: Dim = part) -> Value:
                index: int | Value = part if isinstance(part, int) else self.uniform(part)
                return s.f.gep(previous, index, element)

            address = s.cached(depth, key, step)
        return address, depth

    def access(self, buf: str, dim: Dim) -> Access:
        """The address or addresses of buf[dim] in the current lanes."""
        s, f, lanes = self.s, self.s.f, self.s.lanes
        dtype = s.buffers[buf][1]
        element = memory_type(dtype)
        if lanes is None or not self.varies(dim):
            address, level = self._base(buf, dim)
            return Access("uniform", address, level)
        a, b, c = self.split(dim)
        if c == 0 and isinstance(c, int):
            origin, level = self._base(buf, a)
            level = max(level, lanes.level, self.level(b))
            here = s.cached(level, ("walk", str(origin), b, str(lanes.base)),
                            lambda: f.gep(origin, self._times(lanes.base, b), element))
            if isinstance(b, int) and b == 1:
                return Access("contiguous", f.gep(here, lanes.offset, element), s.depth)
            if lanes.offset:
                here = f.gep(here, self._times(constant("i64", lanes.offset), b), element)
            return Access("lanes", f.gep(here, self.steps(b), element), s.depth)
        origin, _ = self._base(buf, a)
        return Access("lanes", f.gep(origin, self.lane_value(dim - a), element), s.depth)
