"""The body of one kernel under construction: nested frames of statements, each scalar emitted once.

A frame is a loop being filled (the first is the space outside all loops). A statement goes into
the outermost open frame that defines everything it depends on, so what is invariant is hoisted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tracec_ir import dims, dtypes
from tracec_ir.core import Value
from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType
from tracec_ir.types import ScalarType

from ..kernel.core import (
    Check,
    Const,
    IndexValue,
    Load,
    Loop,
    Number,
    Scalar,
    Store,
    Update,
)
from . import indexing
from .indexing import Index


class Frame:
    """One loop (or, for the first frame, none): its variable, statements and what they compute."""

    __slots__ = ("var", "extent", "stmts", "known")

    def __init__(self, var: str = "", extent: Dim = 1):
        self.var, self.extent = var, extent
        self.stmts: list = []
        self.known: dict = {}


class Body:
    """Emits scalar code. `source(value)` names the kernel buffer that holds a value, or None if it
    is to be computed here; `check(...)` gives the error code of a data-dependent index."""

    def __init__(self, source: Callable[[Value], str | None], check: Callable[..., int]):
        self.source, self.check = source, check
        self.frames = [Frame()]
        self.level: dict[str, int] = {}  # name -> depth of the frame that defines it
        self.ranges: dict[str, Dim] = {}
        self.bound: dict[Value, str] = {}  # values that are one scalar here
        self.kept: dict[Value, tuple[str, Callable[[Index], Dim]]] = {}  # in scratch or stored
        self.indices: dict[str, Dim] = {}  # scalars that are index expressions
        self._count = 0
        self.uses_error = False

    # -- loops --------------------------------------------------------------------------------
    def fresh(self, prefix: str = "%") -> str:
        """A name not used before in this kernel."""
        self._count += 1
        return f"{prefix}{self._count}"

    def open(self, extent: Dim, name: str = "") -> Dim:
        """Opens a loop over `extent`; its variable as a dim."""
        var = name or self.fresh("_i")
        self.level[var] = len(self.frames)
        self.ranges[var] = extent
        self.frames.append(Frame(var, extent))
        return dims.symbol(var)

    def close(self) -> Frame:
        """Ends the innermost loop; its statements are the caller's to place."""
        return self.frames.pop()

    def place(self, loop: Loop) -> None:
        """Appends a finished loop to the frame that is open; its carries are defined there."""
        depth = len(self.frames) - 1
        for c in loop.carries:
            self.level[c.name] = depth
            if hasattr(c, "index_name"):
                self.level[c.index_name] = depth
        self.frames[-1].stmts.append(loop)

    # -- statements ---------------------------------------------------------------------------
    def depth(self, names: Iterable[str], index: Iterable[Dim] = ()) -> int:
        """The depth of the outermost frame in which all of these are defined."""
        level = self.level
        at = 0
        for n in names:
            if n:
                at = max(at, level.get(n, 0))
        for d in index:
            for s in dims.symbols(d):
                at = max(at, level.get(s.name, 0))
        return at

    def _emit(self, key: tuple, depth: int, make: Callable[[str], object]) -> str:
        known = self.frames[depth].known
        name = known.get(key)
        if name is None:
            name = self.fresh()
            self.level[name] = depth
            self.frames[depth].stmts.append(make(name))
            known[key] = name
        return name

    def const(self, value: Number, dtype: DType) -> str:
        """A number."""
        key = ("const", type(value).__name__, repr(value), dtype.code)
        return self._emit(key, 0, lambda n: Const(n, value, dtype))

    def scalar(
        self, op: str, args: tuple[str, ...], dtype: DType, attrs: dict | None = None
    ) -> str:
        """op(args)."""
        attrs = attrs or {}
        key = (op, args, dtype.code, tuple(attrs.items()))
        return self._emit(key, self.depth(args), lambda n: Scalar(n, op, args, dtype, attrs))

    def index(self, index: Dim) -> str:
        """An index expression as an i64 scalar."""
        if isinstance(index, int):
            return self.const(index, dtypes.i64)
        key = ("index", index)
        name = self._emit(key, self.depth((), (index,)), lambda n: IndexValue(n, index, dtypes.i64))
        self.indices[name] = index
        return name

    def load(self, buf: str, index: Dim, dtype: DType, mask: str = "") -> str:
        """buf[index], or 0 where the mask is false."""
        key = ("load", buf, index, mask)
        depth = self.depth((mask,), (index,))
        return self._emit(key, depth, lambda n: Load(n, buf, index, dtype, mask, 0))

    def store(self, buf: str, index: Dim, value: str, mask: str = "", combine: str = "") -> None:
        """buf[index] = value, in the innermost frame."""
        self.frames[-1].stmts.append(Store(buf, index, value, mask, combine))

    def update(self, carry: str, value: str) -> None:
        """carry = combine(carry, value), in the innermost frame."""
        self.frames[-1].stmts.append(Update(carry, value))

    def append(self, stmt: object) -> None:
        """Any other statement, in the innermost frame."""
        self.frames[-1].stmts.append(stmt)

    # -- masks --------------------------------------------------------------------------------
    def both(self, a: str, b: str) -> str:
        """The mask that holds where both do ("" always holds)."""
        if not a or not b:
            return a or b
        return a if a == b else self.scalar("bitwise_and", (a, b), dtypes.b1)

    def at_least(self, index: Dim, low: Dim) -> str:
        """The mask index >= low; "" if that is certain."""
        bound = indexing.lower(index - low, self.ranges)
        if bound is not None and indexing.nonnegative(bound):
            return ""
        return self.scalar("le", (self.index(low), self.index(index)), dtypes.b1)

    def below(self, index: Dim, high: Dim) -> str:
        """The mask index < high; "" if that is certain."""
        bound = indexing.upper(index, self.ranges)
        if bound is not None and indexing.nonnegative(high - 1 - bound):
            return ""
        return self.scalar("lt", (self.index(index), self.index(high)), dtypes.b1)

    # -- values -------------------------------------------------------------------------------
    def value(self, v: Value, index: Index, mask: str = "") -> str:
        """The scalar that is element `index` of v; where `mask` is false it may be anything."""
        found = self.bound.get(v)
        if found is not None:
            return found
        key = ("value", id(v), index, mask)
        for frame in reversed(self.frames):
            name = frame.known.get(key)
            if name is not None:
                return name
        name = self._compute(v, index, mask)
        depth = max(self.level.get(name, 0), 0)
        self.frames[depth].known[key] = name
        return name

    def _compute(self, v: Value, index: Index, mask: str) -> str:
        kept = self.kept.get(v)
        if kept is not None:
            name, position = kept
            return self.load(name, position(index), v.dtype, mask)
        buf = self.source(v)
        if buf is not None:
            if isinstance(v.type, ScalarType):
                return self._cell(v, buf)
            return self.load(buf, indexing.flatten(index, v.shape), v.dtype, mask)
        from .expressions import expression

        return expression(self, v, index, mask)

    def _cell(self, v: Value, buf: str) -> str:
        if v.dtype is dtypes.b1:
            return self.scalar("cast", (self.load(buf, 0, dtypes.i64),), dtypes.b1)
        return self.load(buf, 0, v.dtype)

    def checked(self, raw: str, size: Dim, mask: str, site: tuple) -> Dim:
        """A gathered or scattered index: negative ones count from the end; one outside is an error
        (and becomes a safe one). One that is certainly inside stays the expression it is."""
        known = self.indices.get(raw)
        if known is not None and self._inside(known, size):
            return known
        limit, zero = self.index(size), self.const(0, dtypes.i64)
        negative = self.scalar("lt", (raw, zero), dtypes.b1)
        wrapped = self.scalar("add", (raw, limit), dtypes.i64)
        index = self.scalar("select", (negative, wrapped, raw), dtypes.i64)
        low = self.scalar("le", (zero, index), dtypes.b1)
        high = self.scalar("lt", (index, limit), dtypes.b1)
        ok = self.scalar("bitwise_and", (low, high), dtypes.b1)
        if mask:
            off = self.scalar("bitwise_not", (mask,), dtypes.b1)
            ok = self.scalar("bitwise_or", (ok, off), dtypes.b1)
        depth = self.depth((ok, raw))
        key = ("check", ok, raw)
        if key not in self.frames[depth].known:
            self.frames[depth].known[key] = ok
            self.frames[depth].stmts.append(Check(ok, self.check(*site, size), raw))
            self.uses_error = True
        last = self.scalar("sub", (limit, self.const(1, dtypes.i64)), dtypes.i64)
        capped = self.scalar("minimum", (index, last), dtypes.i64)
        return dims.symbol(self.scalar("maximum", (capped, zero), dtypes.i64))

    def _inside(self, index: Dim, size: Dim) -> bool:
        """Whether 0 <= index < size is certain."""
        low = indexing.lower(index, self.ranges)
        high = indexing.upper(index, self.ranges)
        return (
            low is not None
            and high is not None
            and indexing.nonnegative(low)
            and indexing.nonnegative(size - 1 - high)
        )
