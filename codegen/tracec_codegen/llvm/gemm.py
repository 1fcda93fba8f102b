"""Matrix products as LLVM IR: C = A @ B, batched, any size and stride at run time.

Entry points `gemm_f32` and `gemm_f64` follow the kernel ABI; their words are

     0 A          1 B          2 C            addresses
     3 stride A   4 stride B   5 stride C     elements from one batch entry to the next
     6 M          7 N          8 K
     9 rsa       10 csa                       elements from one row (column) of A to the next
    11 rsb       12 csb                       the same of B
    13 ldc                                    elements from one row of C to the next; columns are 1
    14 parts                                  how many parts each product is cut into, at least 1
    15 flags                                  1: add to C
    16 epilogue  17 context                   function called on finished tiles, or null

The extent is batch * parts.  Neighbouring parts of a call are computed together, so the number of
parts may be generous; the bits of the result depend on M, N, K alone, not on the cutting.

The epilogue is called as fn(tile, ldc, row, column, rows, columns, context, batch) on every element
exactly once, while the tile is still in cache.

Blocks are nested as usual (columns, k, rows, strip, tile).  A row-major A is read in place; any
other A is packed.  The first row tile of a strip writes the packed panel of B while it computes.
Where the target has a matrix unit, products that are large enough go to it (`amx.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..target import Target
from . import amx
from .gemv import add_gemv, longest_packed
from .text import NULL, Function, Module, Value, constant
from .tile import (
    ACCUMULATE,
    ELEMENTS,
    Tile,
    call_tile_rows,
    tile_for,
)

GEMM_WORDS = ("a", "b", "c", "stride_a", "stride_b", "stride_c", "m", "n", "k", "rsa", "csa",
              "rsb", "csb", "ldc", "parts", "flags", "epilogue", "context")
_PARALLEL_WORK = 1 << 18                  # multiply-adds below which threads cost more than help


def gemm_symbol(dtype: str) -> str:
    """Name of the entry point for a dtype ("f32", "f64")."""
    return f"gemm_{dtype}"


def unit_symbol(dtype: str) -> str:
    """Name of the function that switches the matrix unit; see `_add_unit_control`."""
    return f"matrix_unit_{dtype}"


def gemm_scratch_bytes(target: Target, dtype: str, n: int | None = None,
                       k: int | None = None, m: int | None = None) -> int:
    """Scratch bytes a thread needs; less when the sizes are known to be small."""
    least = _plain_scratch_bytes(target, dtype, n, k)
    if not amx.usable(target, ELEMENTS[dtype]):
        return least
    if n is None or k is None:
        return max(least, amx.scratch_bytes(amx.KEPT, amx.KEPT, amx.DEPTH))
    m = amx.KEPT if m is None else m
    return max(least, amx.scratch_bytes(m, n, k)) if amx.pays(m, n, k) else least


def _plain_scratch_bytes(target: Target, dtype: str, n: int | None, k: int | None) -> int:
    tile = tile_for(target, ELEMENTS[dtype])
    depth = tile.depth if k is None else min(tile.depth, max(k, 1))
    columns = tile.block_columns if n is None else min(tile.block_columns, n + tile.width)
    # Matrix-vector products pack the vector, unless it is too long.
    vector = 0 if k is None else min(k, longest_packed(tile))
    return (depth * (columns + tile.width + tile.block_rows) + vector + 64) * tile.bytes


def gemm_parts(m: int, n: int, k: int, batch: int = 1) -> tuple[int, int]:
    """Sensible (parts, grain) for a product: one part if it is too small for threads."""
    work = m * n * k
    if work * batch < 2 * _PARALLEL_WORK:
        return 1, -max(batch, 1)
    if batch >= 16 or work < _PARALLEL_WORK:
        return 1, -max(1, _PARALLEL_WORK // max(work, 1))
    parts = 48
    return parts, -max(1, parts * _PARALLEL_WORK // work)


def call_needs(symbol: str, target: Target, words: Sequence[int],
               extent: int) -> tuple[int, int]:
    """(scratch bytes a thread, grain) of a call whose words are known; addresses may be 0."""
    m, n, k, parts = (words[GEMM_WORDS.index(name)] for name in ("m", "n", "k", "parts"))
    scratch = gemm_scratch_bytes(target, symbol.rpartition("_")[2], n, k, m)
    return scratch, parts_grain(m * n * k, parts, extent)


def parts_grain(work: int, parts: int, extent: int) -> int:
    """Grain for items of `work` multiply-adds cut into parts: serial when all of it is little."""
    each = work / max(parts, 1)
    if each * extent < 2 * _PARALLEL_WORK:
        return -max(extent, 1)
    return -max(1, round(_PARALLEL_WORK / max(each, 1e-9)))


def gemm_ir(target: Target, dtype: str) -> str:
    """Text of the object with the entry point for one dtype."""
    tile = tile_for(target, ELEMENTS[dtype])
    module = Module(f"; matrix product, {dtype}, tile {tile.rows}x{tile.width}")
    unit = amx.usable(target, tile.element)
    if unit:
        amx.add_matrix_unit(module, tile)
    add_gemv(module, tile)
    _add_block(module, tile, unit)
    _add_entry(module, tile, unit, gemm_symbol(dtype))
    _add_unit_control(module, unit, unit_symbol(dtype))
    return str(module)


def _on_unit(f: Function, unit: bool, m: Value, n: Value, k: Value) -> Value:
    """Whether the product goes to the matrix unit; the system is asked when it first pays."""
    if not unit:
        return constant("i1", 0)
    return f.branch(amx.emit_pays(f, m, n, k), lambda: [f.call("amx_ready", "i1")],
                    lambda: [constant("i1", 0)])[0]


def _add_unit_control(module: Module, unit: bool, name: str) -> None:
    """Forbids (0) or allows (1) the matrix unit, or asks for it (-1); -1 returns if it is used."""
    f = module.function(name, [("what", "i64")], "i64")
    if not unit:
        f.ret(0)
        return
    what = f.parameters[0]
    asks = f.icmp("slt", what, 0)
    with f.when(f.not_(asks)):
        word = f.cast("trunc", what, "i32")
        f.do(f"store atomic i32 {word}, ptr @amx_allowed monotonic, align 4")
    f.ret(f.branch(asks, lambda: [f.cast("zext", f.call("amx_ready", "i1"), "i64")],
                   lambda: [constant("i64", 0)])[0])


class _Words:
    """The argument words, loaded by name."""

    def __init__(self, f: Function, args: Value) -> None:
        self._f, self._args = f, args

    def __getitem__(self, name: str) -> Value:
        type = "ptr" if name in ("a", "b", "c", "epilogue", "context") else "i64"
        return self._f.load(type, self._f.gep(self._args, GEMM_WORDS.index(name), "i64"))


def _add_entry(module: Module, tile: Tile, unit: bool, name: str) -> None:
    """Cuts [lo, hi) of batch * parts into runs within one product, and those into blocks."""
    f = module.function(name, [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("scratch", "ptr")])
    args, lo, hi, scratch = f.parameters
    words = _Words(f, args)
    parts, m, n, k = (words[w] for w in ("parts", "m", "n", "k"))
    on_unit = _on_unit(f, unit, m, n, k)
    wide, tall = tile.width, constant("i64", tile.rows)
    if unit:
        tall = f.select(on_unit, constant("i64", amx.UNIT), tall)
        wide = max(wide, amx.UNIT)
    strips, tiles = f.ceil_div(n, wide), f.ceil_div(m, tall)
    # Cutting columns packs nothing twice, so rows are cut only if there are many more of them.
    by_columns = f.icmp("ule", tiles, f.mul(strips, 8))
    if unit:
        # Splitting costs the same for both sides: the longer one is cut.
        by_columns = f.select(on_unit, f.icmp("ule", m, n), by_columns)
    units = f.select(by_columns, strips, tiles)
    some = f.and_(f.icmp("ne", m, 0), f.icmp("ne", n, 0))

    def product(at: Value) -> list[Value]:
        batch = f.udiv(at, parts)
        first = f.urem(at, parts)
        count = f.smin(f.sub(hi, at), f.sub(parts, first))
        unit0 = f.udiv(f.mul(units, first), parts)
        unit1 = f.udiv(f.mul(units, f.add(first, count)), parts)

        def limits(here: Value, each: Value | int, size: Value) -> tuple[Value, Value]:
            low = f.select(here, f.mul(unit0, each), constant("i64", 0))
            high = f.select(here, f.smin(f.mul(unit1, each), size), size)
            return low, high

        column0, column1 = limits(by_columns, wide, n)
        row0, row1 = limits(f.not_(by_columns), tall, m)
        with f.when(f.and_(some, f.icmp("ult", unit0, unit1))):
            a, b, c = (f.gep(words[x], f.mul(batch, words[f"stride_{x}"]), tile.element)
                       for x in "abc")
            f.call("gemm_block", "void", args, a, b, c, row0, row1, column0, column1, batch,
                   scratch)
        return [f.add(at, count)]

    f.while_loop([lo], lambda at: f.icmp("slt", at, hi), product)
    f.ret()


def _add_block(module: Module, tile: Tile, unit: bool) -> None:
    """gemm_block: rows [row0, row1) and columns [col0, col1) of one product."""
    f = module.function("gemm_block", [
        ("args", "ptr"), ("a", "ptr"), ("b", "ptr"), ("c", "ptr"), ("row0", "i64"),
        ("row1", "i64"), ("col0", "i64"), ("col1", "i64"), ("batch", "i64"), ("scratch", "ptr")],
        internal=True)
    args, a, b, c, row0, row1, col0, col1, batch, scratch = f.parameters
    words = _Words(f, args)
    m, n, k = (words[w] for w in "mnk")
    rsa, csa, rsb, csb = (words[w] for w in ("rsa", "csa", "rsb", "csb"))
    ldc, flags = words["ldc"], words["flags"]

    def epilogue(row: Value, column: Value, rows: Value, columns: Value) -> None:
        fn = words["epilogue"]
        with f.when(f.icmp("ne", fn, NULL)):
            at = f.gep(c, f.add(f.mul(row, ldc), column), tile.element)
            f.call(fn, "void", at, ldc, row, column, rows, columns, words["context"], batch)

    def empty_sum() -> None:
        with f.loop(row0, f.select(f.icmp("eq", f.and_(flags, ACCUMULATE), 0), row1, row0)) as i:
            row = f.gep(c, f.add(f.mul(i.index, ldc), col0), tile.element)
            f.memset(row, 0, f.mul(f.sub(col1, col0), tile.bytes), tile.bytes)
        epilogue(row0, col0, f.sub(row1, row0), f.sub(col1, col0))

    def vector_row() -> None:
        """One row of C: y = x @ B."""
        y = f.gep(c, col0, tile.element)
        f.call("gemv", "void", a, csa, f.gep(b, f.mul(col0, csb), tile.element), rsb, csb, y,
               constant("i64", 1), f.sub(col1, col0), k, flags, scratch)
        epilogue(row0, col0, constant("i64", 1), f.sub(col1, col0))

    def vector_column() -> None:
        """One column of C: y = A @ x, which is the transposed product's row."""
        y = f.gep(c, f.mul(row0, ldc), tile.element)
        f.call("gemv", "void", b, rsb, f.gep(a, f.mul(row0, rsa), tile.element), csa, rsa, y, ldc,
               f.sub(row1, row0), k, flags, scratch)
        epilogue(row0, col0, f.sub(row1, row0), constant("i64", 1))

    def general() -> None:
        what = (f, tile, a, b, c, (row0, row1, col0, col1), k, (rsa, csa, rsb, csb), ldc, flags,
                scratch, epilogue)
        if unit:
            f.branch(_on_unit(f, unit, m, n, k), lambda: amx.emit_blocks(*what),
                     lambda: _blocks(*what))
        else:
            _blocks(*what)

    def vectors_or_general() -> None:
        f.branch(f.icmp("eq", m, 1), vector_row, lambda: f.branch(
            f.icmp("eq", n, 1), vector_column, general))

    f.branch(f.icmp("eq", k, 0), empty_sum, vectors_or_general)
    f.ret()


def _blocks(f: Function, tile: Tile, a: Value, b: Value, c: Value,
            limits: tuple[Value, Value, Value, Value], k: Value,
            strides: tuple[Value, Value, Value, Value], ldc: Value, flags: Value, scratch: Value,
            epilogue: Callable[[Value, Value, Value, Value], None]) -> None:
    row0, row1, col0, col1 = limits
    rsa, csa, rsb, csb = strides
    element, width = tile.element, tile.width
    # Blocks of k of about equal depth.
    pieces = f.ceil_div(k, tile.depth)
    depth_step = f.ceil_div(k, pieces)
    panels = scratch
    packed_a = f.gep(scratch, f.mul(depth_step, f.add(
        f.smin(f.sub(col1, col0), tile.block_columns), width)), element)
    plain_a, plain_b = f.icmp("eq", csa, 1), f.icmp("eq", csb, 1)
    single = f.icmp("sle", f.sub(row1, row0), tile.rows)
    with f.loop(col0, col1, tile.block_columns) as jc, f.loop(0, k, depth_step) as pc:
        columns = f.smin(f.sub(col1, jc.index), tile.block_columns)
        depth = f.smin(f.sub(k, pc.index), depth_step)
        last = f.icmp("eq", f.add(pc.index, depth), k)
        add = f.or_(flags, f.cast("zext", f.icmp("ne", pc.index, 0), "i64"))
        b_block = f.gep(b, f.add(f.mul(pc.index, rsb), f.mul(jc.index, csb)), element)
        with f.loop(row0, row1, tile.block_rows) as ic:
            rows = f.smin(f.sub(row1, ic.index), tile.block_rows)
            first = f.icmp("eq", ic.index, row0)
            a_block = f.gep(a, f.add(f.mul(ic.index, rsa), f.mul(pc.index, csa)), element)
            with f.when(f.not_(plain_a)):
                f.call(tile.symbol("pack_a"), "void", a_block, rsa, csa, rows, depth, packed_a)
            block = f.select(plain_a, a_block, packed_a)
            rs = f.select(plain_a, rsa, constant("i64", 1))
            cs = f.select(plain_a, constant("i64", 1), constant("i64", tile.rows))
            step = f.mul(f.select(plain_a, rsa, depth), tile.rows)
            with f.loop(0, columns, width) as jr:
                valid = f.smin(f.sub(columns, jr.index), width)
                full = f.and_(plain_b, f.icmp("eq", valid, width))
                source = f.gep(b_block, f.mul(jr.index, csb), element)
                panel = f.gep(panels, f.mul(jr.index, depth), element)
                column = f.add(jc.index, jr.index)
                c_at = f.gep(c, f.add(f.mul(ic.index, ldc), column), element)
                in_place = f.and_(full, single)
                fused = f.and_(f.and_(full, first), f.not_(single))
                with f.when(f.and_(first, f.not_(full))):
                    f.call(tile.symbol("pack_b"), "void", source, rsb, csb, valid, depth, panel)
                with f.when(fused):
                    f.call(tile.symbol("tile_pack"), "void", block, rs, cs, source, rsb, panel,
                           c_at, ldc, depth, valid, add)
                call_tile_rows(
                    f, tile, block, rs, cs, step, rows, f.select(in_place, source, panel),
                    f.select(in_place, rsb, constant("i64", width)), c_at, ldc, depth, valid, add,
                    f.select(fused, constant("i64", tile.rows), constant("i64", 0)))
                with f.when(last):
                    epilogue(ic.index, column, rows, valid)
