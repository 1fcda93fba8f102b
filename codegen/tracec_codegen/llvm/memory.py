"""Elements between memory and registers: conversions of half types and bool, loads and stores."""

from __future__ import annotations

from tracec_ir.dtypes import DType, b1

from ..kernel.core import Check, Load, Store
from .index import Access, IndexEmitter
from .state import State, Val, memory_type, register_type
from .text import Function, Value, constant, vector_type

ERROR_VALUE = 2  # word of the error record that takes the offending value
_HARDWARE_HALF = ("avx2", "avx512", "neon")


class MemoryEmitter:
    """Emits loads, stores and checks of one kernel."""

    def __init__(self, state: State, index: IndexEmitter) -> None:
        self.s, self.index = state, index

    # ---- loads -----------------------------------------------------------------------------

    def load(self, s: Load) -> None:
        """name = buf[index] where the mask holds, else `other`."""
        state, lanes = self.s, self.s.lanes
        dtype = state.buffers[s.buf][1]
        mask = state.get(s.mask) if s.mask else None
        if mask is not None and mask.number is not None:
            if not mask.number:
                other = constant(register_type(dtype), s.other)
                state.define(s.name, other, s.dtype, mask.level, s.other)
                return
            mask = None
        if lanes is None or not (self.index.varies(s.index) or (mask and mask.lanes > 1)):
            self._load_uniform(s, dtype, mask)
            return
        access = self.index.access(s.buf, s.index)
        type = vector_type(memory_type(dtype), lanes.count)
        if access.kind == "uniform":
            assert mask is not None
            any_lane = state.f.reduce("or", self._active(mask))
            one = state.f.masked_load(memory_type(dtype), access.address, any_lane)
            raw = state.f.splat(one, lanes.count)
        elif access.kind == "contiguous":
            raw = state.f.masked_load(type, access.address, self._mask(mask))
        else:
            where = self._mask(mask) or constant(vector_type("i1", lanes.count), 1)
            raw = state.f.gather(type, access.address, where)
        value = from_memory(state, raw, dtype)
        if mask is not None and (s.other != 0 or access.kind == "uniform"):
            where = state.spread(mask, lanes.count)
            value = state.f.select(where, value, constant(value.type, s.other))
        state.define(s.name, value, s.dtype)

    def _load_uniform(self, s: Load, dtype: DType, mask: Val | None) -> None:
        state = self.s
        level = max(self.index.level(s.index), mask.level if mask else 0)
        if s.buf in state.read_only:
            level = state.safe_level(level)
        else:
            level = state.depth
        with state.at(level):
            address = self.index.access(s.buf, s.index).address
            raw = state.f.masked_load(memory_type(dtype), address, mask.value if mask else None)
            value = from_memory(state, raw, dtype)
            if mask is not None and s.other != 0:
                value = state.f.select(mask.value, value, constant(value.type, s.other))
        state.define(s.name, value, s.dtype, level)

    # ---- masks -----------------------------------------------------------------------------

    def _mask(self, mask: Val | None) -> Value | None:
        """The statement's mask and the active lanes; None if all lanes are active."""
        lanes = self.s.lanes
        assert lanes is not None
        if mask is None:
            return lanes.mask
        value = self.s.spread(mask, lanes.count)
        return value if lanes.mask is None else self.s.f.and_(value, lanes.mask)

    def _active(self, mask: Val) -> Value:
        found = self._mask(mask)
        assert found is not None
        return found

    # ---- stores ----------------------------------------------------------------------------

    def store(self, s: Store) -> None:
        """buf[index] = value (or combined with what is there) where the mask holds."""
        state, lanes, f = self.s, self.s.lanes, self.s.f
        dtype = state.buffers[s.buf][1]
        mask = state.get(s.mask) if s.mask else None
        if mask is not None and mask.number is not None:
            if not mask.number:
                return
            mask = None
        value = state.get(s.value)
        access = self.index.access(s.buf, s.index)
        vector = value.lanes > 1 or (mask is not None and mask.lanes > 1)
        if access.kind == "uniform":
            if vector or (lanes is not None and lanes.mask is not None) or s.combine:
                if lanes is not None:
                    self._store_each(s, access, value, mask, dtype)
                    return
            self._put(s, access.address, value.value, mask.value if mask else None, dtype)
            return
        assert lanes is not None
        where = self._mask(mask)
        if access.kind == "lanes":
            if s.combine or lanes.count == 1:
                self._store_each(s, access, value, mask, dtype)
                return
            raw = to_memory(state, state.spread(value, lanes.count), dtype)
            f.scatter(raw, access.address, where or constant(vector_type("i1", lanes.count), 1))
            return
        new = state.spread(value, lanes.count)
        if s.combine:
            type = vector_type(memory_type(dtype), lanes.count)
            old = from_memory(state, f.masked_load(type, access.address, where), dtype)
            new = combine(f, s.combine, old, new, dtype)
        raw = to_memory(state, new, dtype)
        if state.streaming and where is None and not s.combine and streams(dtype, lanes.count):
            f.stream(raw, access.address, lanes.count * dtype.itemsize)
        else:
            f.masked_store(raw, access.address, where)

    def _put(self, s: Store, address: Value, value: Value, mask: Value | None,
             dtype: DType) -> None:
        """One element."""
        state, f = self.s, self.s.f

        def write() -> None:
            new = value
            if s.combine:
                old = from_memory(state, f.load(memory_type(dtype), address), dtype)
                new = combine(f, s.combine, old, value, dtype)
            f.store(to_memory(state, new, dtype), address)

        if mask is None:
            write()
        else:
            with f.when(mask):
                write()

    def _store_each(self, s: Store, access: Access, value: Val, mask: Val | None,
                    dtype: DType) -> None:
        """Lane after lane, so that equal addresses are updated in order."""
        state, f, lanes = self.s, self.s.f, self.s.lanes
        assert lanes is not None
        where = self._mask(mask)
        values = state.spread(value, lanes.count)
        if lanes.count == 1:
            self._put(s, access.address, values, where, dtype)
            return
        for k in range(lanes.count):
            address = access.address
            if access.kind == "lanes":
                address = f.extract(address, k)
            self._put(s, address, f.extract(values, k),
                      f.extract(where, k) if where is not None else None, dtype)

    # ---- checks ----------------------------------------------------------------------------

    def check(self, s: Check) -> None:
        """Record the code and value of the first failing lane unless something is recorded."""
        state, f, lanes = self.s, self.s.f, self.s.lanes
        ok, value = state.get(s.ok), state.get(s.value)
        assert state.error is not None
        bad = f.not_(ok.value)
        count = 1
        if lanes is not None and max(ok.lanes, value.lanes) > 1:
            count = lanes.count
            bad = f.splat(bad, count) if ok.lanes == 1 else bad
            if lanes.mask is not None:
                bad = f.and_(bad, lanes.mask)
        failed = f.reduce("or", bad) if count > 1 else bad
        with f.when(failed):
            wide = self.index.widened(value)
            if count > 1:
                mask = f.cast("bitcast", bad, f"i{count}")
                lane = f.call(f"llvm.cttz.i{count}", f"i{count}", mask, constant("i1", 0))
                if value.lanes > 1:
                    narrow = f.cast("zext", lane, "i64") if count < 64 else lane
                    wide = f.extract(wide, narrow)
            seen = f.value(f"cmpxchg ptr {state.error}, i64 0, i64 {s.code} seq_cst seq_cst",
                           "{ i64, i1 }")
            first = f.value(f"extractvalue {{ i64, i1 }} {seen}, 1", "i1")
            with f.when(first):
                f.store(wide, f.gep(state.error, ERROR_VALUE, "i64"), 8)


def streams(dtype: DType, lanes: int) -> bool:
    """Whether a vector of these elements is a full streaming store."""
    return lanes * dtype.itemsize >= 16


# ---- conversions -----------------------------------------------------------------------------

def from_memory(s: State, raw: Value, dtype: DType) -> Value:
    """The register form of elements as they lie in memory."""
    f = s.f
    if dtype is b1:
        return f.icmp("ne", raw, 0)
    if dtype.code not in ("f16", "bf16"):
        return raw
    value = (half_to_float(s, raw) if dtype.code == "f16"
             else f.cast("bitcast", f.shl(f.cast("zext", raw, "i32"), 16), "float"))
    s.narrow[value, dtype.code] = raw
    return value


def to_memory(s: State, value: Value, dtype: DType) -> Value:
    """What is written to memory for a value in registers."""
    f = s.f
    if dtype is b1:
        return f.cast("zext", value, "i8")
    known = s.narrow.get((value, dtype.code))
    if known is not None:  # the value has come from there and needs no rounding
        return known
    if dtype.code == "bf16":
        return float_to_bfloat(f, value)
    if dtype.code == "f16":
        return float_to_half(s, value)
    return value


def float_to_bfloat(f: Function, value: Value) -> Value:
    """The upper half of the float, rounded to nearest even; NaN stays NaN."""
    bits = f.cast("bitcast", value, "i32")
    odd = f.and_(f.lshr(bits, 16), 1)
    rounded = f.add(f.add(bits, 0x7FFF), odd)
    rounded = f.select(f.fcmp("uno", value, value), f.or_(bits, 0x400000), rounded)
    return f.cast("trunc", f.lshr(rounded, 16), "i16")


def half_to_float(s: State, raw: Value) -> Value:
    """IEEE half bits (i16) as float."""
    f = s.f
    if s.target.isa in _HARDWARE_HALF:
        return f.cast("fpext", f.cast("bitcast", raw, "half"), "float")
    bits = f.cast("zext", raw, "i32")
    body = f.shl(f.and_(bits, 0x7FFF), 13)
    # scaling by 2^112 moves the exponent and makes denormals normal
    scaled = f.fmul(f.cast("bitcast", body, "float"), 2.0 ** 112)
    special = f.icmp("uge", body, 0x0F800000)
    magnitude = f.select(special, f.or_(body, 0x7F800000), f.cast("bitcast", scaled, "i32"))
    sign = f.shl(f.and_(bits, 0x8000), 16)
    return f.cast("bitcast", f.or_(magnitude, sign), "float")


def float_to_half(s: State, value: Value) -> Value:
    """IEEE half bits (i16) of a float, rounded to nearest even."""
    f = s.f
    if s.target.isa in _HARDWARE_HALF:
        if s.target.arch == "x86_64":
            # keeps LLVM from merging this with a rounding from double, which has no instruction
            value = f.intrinsic("arithmetic.fence", value)
        return f.cast("bitcast", f.cast("fptrunc", value, "half"), "i16")
    bits = f.cast("bitcast", value, "i32")
    body = f.and_(bits, 0x7FFFFFFF)
    odd = f.and_(f.lshr(body, 13), 1)
    normal = f.lshr(f.add(f.add(body, (0xFFF - (112 << 23)) & 0xFFFFFFFF), odd), 13)
    # adding 0.5 rounds at 2^-24, the spacing of half denormals
    shifted = f.fadd(f.cast("bitcast", body, "float"), 0.5)
    denormal = f.sub(f.cast("bitcast", shifted, "i32"), 0x3F000000)
    small = f.icmp("ult", body, 113 << 23)
    result = f.select(small, denormal, normal)
    result = f.select(f.icmp("uge", body, 143 << 23), constant(bits.type, 0x7C00), result)
    result = f.select(f.icmp("ugt", body, 0x7F800000), constant(bits.type, 0x7E00), result)
    result = f.or_(result, f.and_(f.lshr(bits, 16), 0x8000))
    return f.cast("trunc", result, "i16")


def round_to(s: State, value: Value, dtype: DType) -> Value:
    """A float rounded to the precision of a half type, as float."""
    if dtype.code not in ("f16", "bf16"):
        return value
    return from_memory(s, to_memory(s, value, dtype), dtype)


# ---- combining -------------------------------------------------------------------------------

def combine(f: Function, kind: str, a: Value, b: Value, dtype: DType) -> Value:
    """a and b combined: sum/add, prod/mul, max, min (NaN wins), any, all."""
    boolean, floating = dtype is b1, dtype.is_floating_point
    if kind == "last":
        return b
    if kind in ("any", "all"):
        return f.or_(a, b) if kind == "any" else f.and_(a, b)
    if boolean:
        return f.or_(a, b) if kind in ("sum", "add", "max") else f.and_(a, b)
    if kind in ("sum", "add"):
        return f.fadd(a, b) if floating else f.add(a, b)
    if kind in ("prod", "mul"):
        return f.fmul(a, b) if floating else f.mul(a, b)
    if floating:
        return nan_extreme(f, kind, a, b)
    sign = "s" if dtype.is_signed else "u"
    return f.intrinsic(sign + kind, a, b)


def nan_extreme(f: Function, kind: str, a: Value, b: Value) -> Value:
    """The larger ("max") or smaller of two floats; NaN if either is."""
    better = f.select(f.fcmp("ogt" if kind == "max" else "olt", a, b), a, b)  # b if unordered
    return f.select(f.fcmp("uno", a, a), a, better)


def identity(kind: str, dtype: DType) -> float | int:
    """The number that leaves its partner unchanged under `combine`."""
    if kind in ("sum", "add", "any"):
        return 0
    if kind in ("prod", "mul", "all"):
        return 1
    if kind == "last":
        return 0
    if dtype is b1:
        return 0 if kind == "max" else 1
    if dtype.is_floating_point:
        return float("-inf") if kind == "max" else float("inf")
    low = -(1 << (dtype.bits - 1)) if dtype.is_signed else 0
    high = low + (1 << dtype.bits) - 1
    return low if kind == "max" else high

