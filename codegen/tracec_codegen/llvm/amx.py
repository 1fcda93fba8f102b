"""Products of f32 matrices on a matrix unit (Intel AMX), as sums of bf16 products.

Every number is split into three bf16 numbers, x = x1 + x2 + x3 (`amxpack.py`).  Of the nine
products of parts six are computed, x1 y1, x1 y2, x2 y1, x2 y2, x1 y3, x3 y1; the others are below
2^-22 of x y and of either sign.  (Henry, Tang, Heinecke: Leveraging the bfloat16 artificial
intelligence datatype for higher-precision computations, ARITH 2019.)  Since x1 is never larger than
x and x1 y1 comes last, no partial sum of integers exceeds the sum of the magnitudes of the
products: where those are below 2^24, the result is exact.

A block of C is 32 x 32, two by two tiles, from a panel of 32 rows of A and one of 32 columns of B.
Its sum over a block of k leaves the tiles for scratch, and is then added to C.

The unit knows no denormal numbers, and parts of an infinity do not multiply as the infinity does.
Panels whose numbers are all very small or large are therefore scaled by a power of two, and where a
panel is not finite, or two panels together span too many binades, the block is computed by
multiply-adds (`tile.py`).  This depends on the numbers and on the fixed grid of blocks alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from ..target import Target
from .amxpack import (
    EXTREMES,
    FACTS,
    FINITE,
    INVERSE,
    LARGEST,
    MOST_PANELS,
    SMALLEST,
    STEP,
    STEP_BYTES,
    TILE_ROWS,
    UNIT,
    add_packing,
    clear_extremes,
    store_facts,
)
from .amxtile import BLOCK_BYTES, JOB_ROWS, JOBS, add_tiles, configuration, tile_call
from .text import Function, Module, Value, constant
from .tile import Tile, call_tile_rows

DEPTH = 512                            # k of a block
KEPT = MOST_PANELS * UNIT              # rows or columns whose panels stay in the second level
_FIXED = BLOCK_BYTES + EXTREMES + -(-(KEPT // UNIT + 2) * FACTS // 64) * 64

_MANY = 64                             # rows and columns from which splitting pays
_DEEP = 64
_WORK = 1 << 22

# Sums of the binades (biased) of two panels' largest and smallest numbers: within these limits no
# partial sum of a block overflows, and what the unit flushes to zero is below the rounding error.
_SUM_HIGHEST, _SUM_LOWEST = 2 * 127 + 115, 2 * 127 - 96
_PARTS_LOWEST = 127 - 102              # parts of smaller numbers may be denormal

_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18
_UNKNOWN, _GRANTED, _REFUSED = 0, 1, 2


def usable(target: Target, element: str) -> bool:
    """Whether products of the element type have code for a matrix unit on the target."""
    return target.tiles and target.is_linux and element == "float"


def pays(m: int, n: int, k: int) -> bool:
    """Whether a product of these sizes goes to the matrix unit."""
    return min(m, n) >= _MANY and k >= _DEEP and m * n * k >= _WORK


def emit_pays(f: Function, m: Value, n: Value, k: Value) -> Value:
    """`pays` in code."""
    many = f.icmp("sge", f.smin(m, n), _MANY)
    enough = f.icmp("sge", f.mul(f.mul(m, n), k), _WORK)
    return f.and_(f.and_(many, f.icmp("sge", k, _DEEP)), enough)


def scratch_bytes(m: int, n: int, k: int) -> int:
    """Scratch bytes of a thread for a product of these sizes."""
    depth = min(DEPTH, -(-k // STEP) * STEP)
    panels = -(-min(KEPT, max(m, n)) // UNIT) + 2
    return _FIXED + panels * (depth // STEP * STEP_BYTES) + _exact_bytes(depth)


def _exact_bytes(depth: int) -> int:
    return depth * (64 + 36) * 4


def add_matrix_unit(module: Module, tile: Tile) -> None:
    """Define amx_ready() -> i1 and what `emit_blocks` calls."""
    _add_ready(module)
    add_packing(module)
    add_tiles(module)
    _add_exact(module, tile)


def _add_ready(module: Module) -> None:
    """amx_ready() -> i1: whether the unit may be used; the system is asked once a process.

    amx_allow(i32) forbids or allows it.
    """
    state = module.add_global("amx_state", "i32")
    allowed = module.add_global("amx_allowed", "i32", "1")

    def read(f: Function, word: Value) -> Value:
        return f.value(f"load atomic i32, ptr {word} monotonic, align 4", "i32")

    f = module.function("amx_ready", [], "i1", internal=True)

    def ask() -> list[Value]:
        # For the process: threads that exist and those to come.
        answer = f.call("syscall", "i64", constant("i64", _ARCH_PRCTL),
                        constant("i64", _REQUEST_PERMISSION), constant("i64", _TILE_DATA),
                        variadic=1)
        found = f.select(f.icmp("eq", answer, 0), constant("i32", _GRANTED),
                         constant("i32", _REFUSED))
        f.do(f"store atomic i32 {found}, ptr {state} monotonic, align 4")
        return [found]

    def known() -> list[Value]:
        now = read(f, state)
        return f.branch(f.icmp("eq", now, _UNKNOWN), ask, lambda: [now])

    found = f.branch(f.icmp("ne", read(f, allowed), 0), known,
                     lambda: [constant("i32", _REFUSED)])[0]
    f.ret(f.icmp("eq", found, _GRANTED))


def _add_exact(module: Module, tile: Tile) -> None:
    """amx_exact(...): one block by multiply-adds."""
    f = module.function("amx_exact", [
        ("a", "ptr"), ("rsa", "i64"), ("csa", "i64"), ("b", "ptr"), ("rsb", "i64"),
        ("csb", "i64"), ("c", "ptr"), ("ldc", "i64"), ("rows", "i64"), ("columns", "i64"),
        ("depth", "i64"), ("flags", "i64"), ("scratch", "ptr")], internal=True)
    a, rsa, csa, b, rsb, csb, c, ldc, rows, columns, depth, flags, scratch = f.parameters
    panel = scratch
    packed = f.gep(scratch, f.mul(depth, tile.width), tile.element)
    plain = f.icmp("eq", csa, 1)
    with f.when(f.not_(plain)):
        f.call(tile.symbol("pack_a"), "void", a, rsa, csa, rows, depth, packed)
    in_place = f.and_(f.icmp("eq", csb, 1), f.icmp("eq", columns, UNIT))
    with f.when(f.not_(in_place)):
        f.call(tile.symbol("pack_b"), "void", b, rsb, csb, columns, depth, panel)
    one, width = constant("i64", 1), constant("i64", tile.width)
    call_tile_rows(
        f, tile, f.select(plain, a, packed), f.select(plain, rsa, one),
        f.select(plain, one, constant("i64", tile.rows)),
        f.mul(f.select(plain, rsa, depth), tile.rows), rows, f.select(in_place, b, panel),
        f.select(in_place, rsb, width), c, ldc, depth, columns, flags, constant("i64", 0))
    f.ret()


# ---- blocks --------------------------------------------------------------------------------

def _fact(f: Function, facts: Value, number: int, type: str = "i32") -> Value:
    return f.load(type, f.gep(facts, number, "i32"))


def _fits(f: Function, one: Value, other: Value) -> Value:
    """Whether the unit computes the product of two panels as exactly as multiply-adds."""
    result = constant("i1", 1)
    for which, low, high in ((LARGEST, None, _SUM_HIGHEST), (SMALLEST, _SUM_LOWEST, None)):
        bits = [_fact(f, facts, which) for facts in (one, other)]
        binades = [f.lshr(x, 23) for x in bits]
        total = f.add(*binades)
        if high is not None:
            finite = f.and_(*(f.icmp("ule", x, FINITE) for x in bits))
            result = f.and_(result, f.and_(finite, f.icmp("ule", total, high)))
        if low is not None:
            normal = f.and_(*(f.icmp("uge", x, _PARTS_LOWEST) for x in binades))
            result = f.and_(result, f.and_(normal, f.icmp("uge", total, low)))
    return result


@dataclass(frozen=True, slots=True)
class _Side:
    """One operand as a sequence of panels."""

    x: Value                           # its first number
    su: Value                          # from one row of A, or column of B, to the next
    sk: Value                          # from one k to the next
    low: Value
    high: Value
    panels: Value                      # functions that pack panels, and scale one
    fit: Value

    def at(self, f: Function, unit: Value, k: Value) -> Value:
        """Address of a number."""
        return f.gep(self.x, f.add(f.mul(unit, self.su), f.mul(k, self.sk)), "float")


def _chosen(f: Function, condition: Value, one: _Side, other: _Side) -> _Side:
    return _Side(*(f.select(condition, getattr(one, field.name), getattr(other, field.name))
                   for field in fields(_Side)))


def emit_blocks(f: Function, tile: Tile, a: Value, b: Value, c: Value,
                limits: tuple[Value, Value, Value, Value], k: Value,
                strides: tuple[Value, Value, Value, Value], ldc: Value, flags: Value,
                scratch: Value, epilogue: Callable[[Value, Value, Value, Value], None]) -> None:
    """Rows and columns within the limits (low ones multiples of UNIT) of one product.

    Panels of a block of one operand are kept; those of the other stream past them, each packed
    while the one before is used, and again for the next block.  A streams if its rows are
    contiguous, which packs fastest.  Bits do not depend on that.
    """
    row0, row1, col0, col1 = limits
    rsa, csa, rsb, csb = strides
    side_a, side_b = (
        _Side(*what, Value(f"@amx_panels_{name}", "ptr"), Value(f"@amx_fit_{name}", "ptr"))
        for name, what in (("a", (a, rsa, csa, row0, row1)), ("b", (b, csb, rsb, col0, col1))))
    swap = f.icmp("ne", csa, 1)
    kept, moving = _chosen(f, swap, side_a, side_b), _chosen(f, swap, side_b, side_a)

    def even(size: Value, most: int, unit: int) -> Value:
        """Blocks of about equal size."""
        pieces = f.ceil_div(size, most)
        return f.mul(f.ceil_div(f.ceil_div(size, pieces), unit), unit)

    def a_b(stream: Value, keep: Value) -> tuple[Value, Value]:
        """What belongs to the streaming and the kept operand, as what belongs to A and B."""
        return f.select(swap, keep, stream), f.select(swap, stream, keep)

    depth_step = even(k, DEPTH, STEP)
    kept_step = even(f.sub(kept.high, kept.low), KEPT, UNIT)
    panel_bytes = f.mul(f.udiv(depth_step, STEP), STEP_BYTES)
    block, extremes = scratch, f.gep(scratch, BLOCK_BYTES, "i8")
    kept_facts = f.gep(extremes, EXTREMES, "i8")
    facts_1 = f.gep(kept_facts, KEPT // UNIT * FACTS, "i8")
    panel_1 = f.gep(scratch, _FIXED, "i8")
    kept_panels = f.gep(panel_1, f.mul(panel_bytes, 2), "i8")
    exact = f.gep(kept_panels, f.mul(f.udiv(kept_step, UNIT), panel_bytes), "i8")
    panel_2, facts_2 = f.gep(panel_1, panel_bytes, "i8"), f.gep(facts_1, FACTS, "i8")
    # Jobs: rows of a tile of A are rows; those of B are numbers along k, of two tiles in turn.
    lane = f.select(swap, moving.su, moving.sk)
    row = f.select(swap, moving.sk, moving.su)
    half, along = f.mul(moving.sk, TILE_ROWS), f.mul(moving.sk, STEP)
    tile_call(f, "ldtilecfg", configuration(f.module))
    with f.loop(kept.low, kept.high, kept_step) as jc, f.loop(0, k, depth_step) as pc:
        many = f.smin(f.sub(kept.high, jc.index), kept_step)
        depth = f.smin(f.sub(k, pc.index), depth_step)
        steps = f.ceil_div(depth, STEP)
        last = f.icmp("eq", f.add(pc.index, depth), k)
        add = f.or_(flags, f.cast("zext", f.icmp("ne", pc.index, 0), "i64"))
        # What is contiguous across panels is read along; else panel by panel.
        together = f.select(f.icmp("eq", kept.su, 1), many, constant("i64", UNIT))
        with f.loop(0, many, together) as j:
            strip = f.udiv(j.index, UNIT)
            f.call(kept.panels, "void", kept.at(f, f.add(jc.index, j.index), pc.index), kept.su,
                   kept.sk, f.smin(f.sub(many, j.index), together), depth,
                   f.gep(kept_panels, f.mul(strip, panel_bytes), "i8"),
                   f.gep(kept_facts, f.mul(strip, FACTS), "i8"), panel_bytes)
        first = moving.at(f, moving.low, pc.index)
        f.call(moving.panels, "void", first, moving.su, moving.sk,
               f.smin(f.sub(moving.high, moving.low), UNIT), depth, panel_1, facts_1, panel_bytes)
        can_work = f.and_(f.and_(f.icmp("eq", lane, 1),
                                 f.icmp("eq", f.mul(steps, STEP), depth)),
                          f.icmp("sge", many, JOBS * UNIT))
        with f.loop(moving.low, moving.high, UNIT,
                    [first, panel_1, facts_1, panel_2, facts_2]) as ic:
            x_now, panel_now, facts_now, panel_then, facts_then = ic.carried
            units = f.smin(f.sub(moving.high, ic.index), UNIT)
            left = f.smin(f.sub(moving.high, f.add(ic.index, UNIT)), UNIT)
            x_then = f.gep(x_now, f.mul(moving.su, UNIT), "float")
            works = f.and_(can_work, f.icmp("eq", left, UNIT))
            clear_extremes(f, extremes)
            with f.loop(0, many, UNIT, [kept_panels, kept_facts, constant("i64", 0)]) as jr:
                panel, facts, jobs = jr.carried
                at = f.add(jc.index, jr.index)
                rows, columns = a_b(units, f.smin(f.sub(many, jr.index), UNIT))
                top, left_column = a_b(ic.index, at)
                c_at = f.gep(c, f.add(f.mul(top, ldc), left_column), tile.element)

                def on_the_unit() -> list[Value]:
                    job = f.udiv(jr.index, UNIT)
                    tile_row = f.mul(job, JOB_ROWS)
                    busy = f.and_(works, f.icmp("slt", job, JOBS))
                    in_tile = f.and_(tile_row, TILE_ROWS - 1)
                    x_job = f.gep(x_then, f.select(
                        swap, f.add(f.mul(in_tile, row), f.sub(tile_row, in_tile)),
                        f.mul(tile_row, row)), "float")
                    f.call("amx_block", "void", *a_b(panel_now, panel), steps, c_at, ldc, rows,
                           columns, _fact(f, facts_now, INVERSE, "float"),
                           _fact(f, facts, INVERSE, "float"), add, block, x_job, row, half, along,
                           f.gep(panel_then, f.mul(tile_row, 64), "i8"), extremes, busy)
                    return [f.add(jobs, f.cast("zext", busy, "i64"))]

                def by_multiply_adds() -> list[Value]:
                    a_at, b_at = a_b(x_now, kept.at(f, at, pc.index))
                    f.call("amx_exact", "void", a_at, rsa, csa, b_at, rsb, csb, c_at, ldc, rows,
                           columns, depth, add, exact)
                    return [f.add(jobs, 0)]

                jobs = f.branch(_fits(f, facts_now, facts), on_the_unit, by_multiply_adds)[0]
                with f.when(last):
                    epilogue(top, left_column, rows, columns)
                jr.next(f.gep(panel, panel_bytes, "i8"), f.gep(facts, FACTS, "i8"), jobs)
            then = (x_then, moving.su, moving.sk, left, depth, panel_then, facts_then, panel_bytes)

            def settle() -> None:
                store_facts(f, extremes, facts_then)
                f.call(moving.fit, "void", *then)

            def pack() -> None:
                with f.when(f.icmp("sgt", left, 0)):
                    f.call(moving.panels, "void", *then)

            f.branch(f.icmp("eq", jr.results[2], JOBS), settle, pack)
            ic.next(x_then, panel_then, facts_then, panel_now, facts_now)
    tile_call(f, "tilerelease")
