"""Splitting f32 numbers into bf16 parts and packing them into panels for a matrix unit.

x = x1 + x2 + x3: x1 is x without its last 16 significand bits, x2 the rest rounded to 8 bits, x3
what is left.  x1 has x's sign and is not larger; nothing is lost.

A panel holds 32 rows of A or 32 columns of B over a block of k.  For each step of 32 in k it has
three parts of two tiles; a tile has 16 rows of 16 pairs.  In A's tiles rows are rows and pairs run
along k; in B's, rows run along k and pairs are columns.  The numbers k and k + 16 of a step make a
pair in both: any order of k would do, and with this one both halves of a pair come from vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .text import Function, Module, Value, constant, zero
from .tile import transpose

UNIT = 32                              # rows of A, or columns of B, in a panel
STEP = 32                              # k of a step: what one tile instruction sums up
TILE_ROWS = 16
TILE_BYTES = TILE_ROWS * 64
STEP_BYTES = 3 * 2 * TILE_BYTES        # of a panel

# What is known about a panel, words of 32 bits: bits of its largest magnitude; bits just below
# those of its smallest but zero; and the factor that undoes its scaling.
FACTS = 16
LARGEST, SMALLEST, INVERSE = range(3)
FINITE = 0x7F7FFFFF
EXTREMES = 128                         # bytes: what was seen in a panel so far
MOST_PANELS = 12                       # of a block, which may be packed at once
_HIGHEST, _LOWEST = 127 + 55, 127 - 48   # binades (biased): within them a panel is not scaled

FLOATS, WORDS = f"<{TILE_ROWS} x float>", f"<{TILE_ROWS} x i32>"
_PANEL = [("x", "ptr"), ("su", "i64"), ("sk", "i64"), ("units", "i64"), ("depth", "i64"),
          ("to", "ptr"), ("facts", "ptr"), ("panel_bytes", "i64")]
_HIGH_HALF = 0xFFFF0000 - (1 << 32)


def add_packing(module: Module) -> None:
    """Define amx_panels_a and amx_panels_b(x, su, sk, units, depth, to, facts, panel_bytes): rows
    (columns) are su apart, numbers along k are sk apart; panels are panel_bytes apart."""
    _add_split(module)
    _add_copy(module)
    _add_turn(module)
    _add_pick(module)
    for side in "ab":
        _add_pack(module, side)
        _add_panels(module, side)


def _add_split(module: Module) -> None:
    """amx_split(x, row, half, to, extremes, scale): a tile of each part from 16 rows of two
    vectors that are `half` apart."""
    f = module.function("amx_split", [
        ("x", "ptr"), ("row", "i64"), ("half", "i64"), ("to", "ptr"), ("extremes", "ptr"),
        ("scale", "float")], internal=True)
    x, row, half, to, extremes, scale = f.parameters
    factor = f.splat(scale, TILE_ROWS)
    with f.loop(0, TILE_ROWS, 1, [x, to, *load_extremes(f, extremes)], guard=False) as r:
        source, target, *found = r.carried
        pair = [f.fmul(f.load(FLOATS, at), factor)
                for at in (source, f.gep(source, half, "float"))]
        found = split_row(f, pair, target, found)
        r.next(f.gep(source, row, "float"), f.gep(target, 64, "i8"), *found)
    store_extremes(f, extremes, r.results[2:])
    f.ret()


def split_row(f: Function, pair: Sequence[Value], to: Value,
              extremes: Sequence[Value]) -> list[Value]:
    """Split two vectors and store their parts as one row of a tile each; new extremes."""
    def number(v: Value) -> Value:
        return f.cast("bitcast", v, FLOATS)

    most, least = extremes
    parts: list[list[Value]] = []
    for value in pair:
        whole = f.cast("bitcast", value, WORDS)
        twice = f.add(whole, whole)                           # without the sign
        most = f.intrinsic("umax", most, twice)
        least = f.intrinsic("umin", least, f.sub(twice, 1))   # zero becomes the largest
        rest = f.fsub(value, number(f.and_(whole, _HIGH_HALF)))
        rounded = f.add(f.cast("bitcast", rest, WORDS), 0x8000)
        last = f.fsub(rest, number(f.and_(rounded, _HIGH_HALF)))
        parts.append([whole, rounded, f.cast("bitcast", last, WORDS)])
    for part, (low, high) in enumerate(zip(*parts, strict=True)):
        f.store(f.or_(f.lshr(low, 16), f.and_(high, _HIGH_HALF)),
                f.gep(to, part * 2 * TILE_BYTES, "i8"), 64)
    return [most, least]


def clear_extremes(f: Function, at: Value) -> None:
    """Nothing was seen yet; 128 bytes."""
    f.store(zero(WORDS), at, 64)
    f.store(constant(WORDS, -1), f.gep(at, 64, "i8"), 64)


def load_extremes(f: Function, at: Value) -> list[Value]:
    """What was seen: largest and smallest, each for every lane."""
    return [f.load(WORDS, f.gep(at, offset, "i8"), 64) for offset in (0, 64)]


def store_extremes(f: Function, at: Value, extremes: Sequence[Value]) -> None:
    """Keep what was seen."""
    for value, offset in zip(extremes, (0, 64), strict=True):
        f.store(value, f.gep(at, offset, "i8"), 64)


# ---- 16 x 16 numbers to a buffer whose rows are 32 numbers apart; what is missing becomes 0 -----

def _add_copy(module: Module) -> None:
    """amx_copy(x, row, rows, lanes, to)"""
    f = module.function("amx_copy", [("x", "ptr"), ("row", "i64"), ("rows", "i64"),
                                     ("lanes", "i64"), ("to", "ptr")], internal=True)
    x, row, rows, lanes, to = f.parameters
    mask = f.lane_mask(lanes, TILE_ROWS)
    with f.loop(0, TILE_ROWS, guard=False) as r:
        here = f.select(f.icmp("slt", r.index, rows), mask, zero(mask.type))
        f.store(f.masked_load(FLOATS, f.gep(x, f.mul(r.index, row), "float"), here),
                f.gep(to, f.mul(r.index, STEP), "float"), 64)
    f.ret()


def _add_turn(module: Module) -> None:
    """amx_turn(x, row, rows, lanes, to): rows of x become columns of the buffer."""
    f = module.function("amx_turn", [("x", "ptr"), ("row", "i64"), ("rows", "i64"),
                                     ("lanes", "i64"), ("to", "ptr")], internal=True)
    x, row, rows, lanes, to = f.parameters
    mask = f.lane_mask(lanes, TILE_ROWS)
    loaded = [f.masked_load(FLOATS, f.gep(x, f.mul(row, r), "float"),
                            f.select(f.icmp("sgt", rows, r), mask, zero(mask.type)))
              for r in range(TILE_ROWS)]
    for r, vector in enumerate(transpose(f, loaded)):
        f.store(vector, f.gep(to, r * STEP, "float"), 64)
    f.ret()


def _add_pick(module: Module) -> None:
    """amx_pick(x, row, lane, rows, lanes, to): any strides, one number at a time."""
    f = module.function("amx_pick", [("x", "ptr"), ("row", "i64"), ("lane", "i64"),
                                     ("rows", "i64"), ("lanes", "i64"), ("to", "ptr")],
                        internal=True)
    x, row, lane, rows, lanes, to = f.parameters
    with f.loop(0, TILE_ROWS, guard=False) as r:
        f.store(zero(FLOATS), f.gep(to, f.mul(r.index, STEP), "float"), 64)
    with f.loop(0, rows) as r:
        source = f.gep(x, f.mul(r.index, row), "float")
        target = f.gep(to, f.mul(r.index, STEP), "float")
        with f.loop(0, lanes) as i:
            f.store(f.load("float", f.gep(source, f.mul(i.index, lane), "float")),
                    f.gep(target, i.index, "float"))
    f.ret()


# ---- panels --------------------------------------------------------------------------------

def _add_pack(module: Module, side: str) -> None:
    """amx_pack_a, amx_pack_b(x, su, sk, units, depth, to, facts, panel_bytes, scale).

    Several panels may be packed at once, side by side along the units.
    """
    f = module.function(f"amx_pack_{side}", [*_PANEL, ("scale", "float")], internal=True)
    x, su, sk, units, depth, to, facts, panel_bytes, scale = f.parameters
    seen = f.alloca("i8", MOST_PANELS * EXTREMES, 64)
    panels = f.ceil_div(units, UNIT)
    with f.loop(0, panels) as p:
        clear_extremes(f, f.gep(seen, f.mul(p.index, EXTREMES), "i8"))
    buffer = f.alloca("float", TILE_ROWS * STEP, 64)
    row, lane = (su, sk) if side == "a" else (sk, su)
    half = f.mul(sk, TILE_ROWS)
    straight, turned = f.icmp("eq", lane, 1), f.icmp("eq", row, 1)
    with f.loop(0, depth, STEP) as k, f.loop(0, units, TILE_ROWS) as u:
        some_k = f.smin(f.sub(depth, k.index), STEP)
        some_units = f.smin(f.sub(units, u.index), TILE_ROWS)
        full = f.and_(f.icmp("eq", some_k, STEP), f.icmp("eq", some_units, TILE_ROWS))
        source = f.gep(x, f.add(f.mul(k.index, sk), f.mul(u.index, su)), "float")
        panel = f.lshr(u.index, UNIT.bit_length() - 1)
        second = f.and_(f.lshr(u.index, TILE_ROWS.bit_length() - 1), 1)
        target = f.gep(to, f.add(f.add(f.mul(panel, panel_bytes), f.mul(second, TILE_BYTES)),
                                 f.mul(k.index, STEP_BYTES // STEP)), "i8")
        at, step, apart = f.branch(
            f.and_(straight, full), partial(list, (source, row, half)),
            partial(_gathered, f, side, some_k, some_units, source, half,
                    (row, lane, straight, turned), buffer))
        f.call("amx_split", "void", at, step, apart, target,
               f.gep(seen, f.mul(panel, EXTREMES), "i8"), scale)
    with f.loop(0, panels) as p:
        store_facts(f, f.gep(seen, f.mul(p.index, EXTREMES), "i8"),
                    f.gep(facts, f.mul(p.index, FACTS), "i8"))
    f.ret()


def _gathered(f: Function, side: str, some_k: Value, some_units: Value, source: Value,
              half: Value, ways: tuple[Value, Value, Value, Value],
              buffer: Value) -> list[Value]:
    """A tile's numbers brought to the buffer: (address, from row to row, from half to half)."""
    row, lane, straight, turned = ways
    for h in (0, 1):
        along = f.smax(f.smin(f.sub(some_k, h * TILE_ROWS), TILE_ROWS), 0)
        rows, lanes = (some_units, along) if side == "a" else (along, some_units)
        part = f.gep(source, half, "float") if h else source
        piece = f.gep(buffer, h * TILE_ROWS, "float")
        copy = partial(f.call, "amx_copy", "void", part, row, rows, lanes, piece)
        turn = partial(f.call, "amx_turn", "void", part, lane, lanes, rows, piece)
        pick = partial(f.call, "amx_pick", "void", part, row, lane, rows, lanes, piece)
        f.branch(straight, copy, partial(f.branch, turned, turn, pick))
    return [buffer, constant("i64", STEP), constant("i64", TILE_ROWS)]


def store_facts(f: Function, extremes: Value, facts: Value) -> None:
    """The facts of a panel without a scale, from what was seen."""
    most, least = load_extremes(f, extremes)
    f.store(f.lshr(f.reduce("umax", most), 1), f.gep(facts, LARGEST, "i32"))
    f.store(f.lshr(f.reduce("umin", least), 1), f.gep(facts, SMALLEST, "i32"))
    f.store(constant("float", 1.0), f.gep(facts, INVERSE, "i32"))


def _add_panels(module: Module, side: str) -> None:
    """amx_panels packs panels, amx_fit packs one once more, with a scale, if its numbers are very
    small or large."""
    f = module.function(f"amx_panels_{side}", _PANEL, internal=True)
    x, su, sk, units, depth, to, facts, panel_bytes = f.parameters
    f.call(f"amx_pack_{side}", "void", *f.parameters, constant("float", 1.0))
    with f.loop(0, units, UNIT, [x, to, facts]) as u:
        at, panel, fact = u.carried
        f.call(f"amx_fit_{side}", "void", at, su, sk, f.smin(f.sub(units, u.index), UNIT), depth,
               panel, fact, panel_bytes)
        u.next(f.gep(at, f.mul(su, UNIT), "float"), f.gep(panel, panel_bytes, "i8"),
               f.gep(fact, FACTS, "i8"))
    f.ret()

    f = module.function(f"amx_fit_{side}", _PANEL, internal=True)
    facts = f.parameters[-2]
    most, least = (f.load("i32", f.gep(facts, i, "i32")) for i in (LARGEST, SMALLEST))
    binade = f.lshr(most, 23)
    high, low = f.icmp("ugt", binade, _HIGHEST), f.icmp("ult", f.lshr(least, 23), _LOWEST)
    finite = f.icmp("ule", most, FINITE)
    with f.when(f.and_(f.or_(high, low), finite)):
        # The largest comes to the highest binade; the power and its inverse are normal numbers.
        power = f.umin(f.sub(_HIGHEST + 127, binade), 253)
        scale = f.cast("bitcast", f.shl(power, 23), "float")
        inverse = f.cast("bitcast", f.shl(f.sub(254, power), 23), "float")
        f.call(f"amx_pack_{side}", "void", *f.parameters, scale)
        f.store(inverse, f.gep(facts, INVERSE, "i32"))
    f.ret()
