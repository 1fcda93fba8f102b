"""Register tiles: microkernels of matrix products and the packing of their operands.

A microkernel computes an m x n tile of C from m rows of A and a panel of B that is `nv` vectors
wide, k steps deep, and keeps the whole tile in registers.  A is read in place with run-time strides
(broadcasts), so that a row-major A is never packed.  Every element of C is one chain of
multiply-adds in the order of k, whatever the tile, so results do not depend on how work is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..target import Target
from .text import Function, Module, Value, bytes_of, constant, vector_type, zero

ACCUMULATE = 1
ELEMENTS = {"f32": "float", "f64": "double"}
_DTYPES = {element: dtype for dtype, element in ELEMENTS.items()}
_SHARED = ("tile_rows", "tile_pack", "pack_a", "pack_b")


@dataclass(frozen=True, slots=True)
class Tile:
    """Sizes of the register tile and cache blocks for one element type on one target."""

    element: str                 # "float" or "double"
    lanes: int                   # elements of one vector
    rows: int                    # rows of a full tile
    vectors: int                 # vectors of a full tile's row
    depth: int                   # k steps of a block: a panel of B stays in the first-level cache
    block_rows: int              # rows of a block of A: stays in the second-level cache
    block_columns: int           # columns of a block of B: stays in the last-level cache

    @property
    def width(self) -> int:
        """Columns of a full tile."""
        return self.lanes * self.vectors

    @property
    def vector(self) -> str:
        """Type of one vector."""
        return vector_type(self.element, self.lanes)

    @property
    def bytes(self) -> int:
        """Bytes of one element."""
        return bytes_of(self.element)

    def symbol(self, name: str) -> str:
        """Name of one of the shared functions for this element type."""
        return f"{name}_{_DTYPES[self.element]}"


def tile_for(target: Target, element: str) -> Tile:
    """The tile for an element type: as many accumulators as the registers allow."""
    lanes = target.lanes(8 * bytes_of(element))
    vectors = 4 if target.registers >= 32 else 2
    depth = 384 if target.registers < 32 else 512
    size = bytes_of(element)
    return Tile(element, lanes, 6, vectors, depth, 96 * 4 // size, 1024 * 4 // size)


def tile_symbols(dtype: str) -> tuple[str, ...]:
    """Functions of the tile object, which products and convolutions call."""
    return tuple(f"{name}_{dtype}" for name in _SHARED)


def tile_ir(target: Target, dtype: str) -> str:
    """Text of the object with microkernels and packing for one dtype."""
    tile = tile_for(target, ELEMENTS[dtype])
    module = Module(f"; register tiles, {dtype}, {tile.rows}x{tile.width}")
    for rows in range(1, tile.rows + 1):
        for vectors in range(1, tile.vectors + 1):
            _add_microkernel(module, tile, _microkernel_name(rows, vectors), rows, vectors)
    _add_microkernel(module, tile, tile.symbol("tile_pack"), tile.rows, tile.vectors, pack=True)
    _add_tile_rows(module, tile)
    _add_pack_a(module, tile)
    _add_pack_b(module, tile)
    return str(module)


# ---- microkernels --------------------------------------------------------------------------

_PARAMETERS = [("a", "ptr"), ("rsa", "i64"), ("csa", "i64"), ("b", "ptr"), ("ldb", "i64"),
               ("panel", "ptr"), ("c", "ptr"), ("ldc", "i64"), ("depth", "i64"), ("n", "i64"),
               ("flags", "i64")]


def _microkernel_name(rows: int, vectors: int) -> str:
    return f"tile_{rows}x{vectors}"


def _add_microkernel(module: Module, tile: Tile, name: str, rows: int, vectors: int,
                     pack: bool = False) -> None:
    """Define one microkernel: row k of B is at b + k * ldb, n columns of the tile are written.

    With `pack`, rows of B are also copied to the packed panel.
    """
    f = module.function(name, _PARAMETERS, internal=not pack)
    a, rsa, csa, b, ldb, panel, c, ldc, depth, n, flags = f.parameters
    element = tile.element

    def source(k: Value, at: Value) -> tuple[list[Value], Value]:
        row = [f.load(tile.vector, f.gep(at, j * tile.lanes, element)) for j in range(vectors)]
        if pack:
            store_panel_row(f, tile, panel, k, row)
        return row, f.gep(at, ldb, element)

    tile_body(f, tile, rows, vectors, a, rsa, csa, b, depth, source, c, ldc, n, flags)
    f.ret()


def store_panel_row(f: Function, tile: Tile, panel: Value, k: Value, row: Sequence[Value]) -> None:
    """Copy one row of vectors to the packed panel."""
    to = f.gep(panel, f.mul(k, tile.width), tile.element)
    for j, vector in enumerate(row):
        f.store(vector, f.gep(to, j * tile.lanes, tile.element))


def tile_body(f: Function, tile: Tile, rows: int, vectors: int, a: Value, rsa: Value, csa: Value,
              b: Value, depth: Value, source: Callable[[Value, Value], tuple[list[Value], Value]],
              c: Value, ldc: Value, n: Value, flags: Value) -> None:
    """The tile's loop over k and the writing of its result.

    `source(k, b)` gives the vectors of row k and the address of row k + 1.
    """
    element = tile.element
    for i in range(rows):
        f.prefetch(f.gep(c, f.mul(ldc, i), element), write=True)
    # Rows 3, 4, 5 hang on a second pointer: x86 addresses base, base + s and base + 2 s.
    bases = [a] + [f.gep(a, f.mul(rsa, i), element) for i in range(3, rows, 3)]
    start = [zero(tile.vector)] * (rows * vectors)
    with f.loop(0, depth, 1, [*bases, b, *start], guard=False) as k:
        pointers, at = k.carried[:len(bases)], k.carried[len(bases)]
        sums = k.carried[len(bases) + 1:]
        row, following = source(k.index, at)
        done = []
        for i in range(rows):
            where = pointers[i // 3]
            if i % 3:
                where = f.gep(where, f.mul(rsa, i % 3), element)
            x = f.splat(f.load(element, where), tile.lanes)
            done += [f.muladd(x, row[j], sums[i * vectors + j]) for j in range(vectors)]
        k.next(*(f.gep(p, csa, element) for p in pointers), following, *done)
    sums = k.results[len(bases) + 1:]
    accumulate = f.icmp("ne", f.and_(flags, ACCUMULATE), 0)
    f.branch(f.icmp("eq", n, vectors * tile.lanes),
             lambda: _write_full(f, tile, rows, vectors, sums, c, ldc, accumulate),
             lambda: _write_part(f, tile, rows, vectors, sums, c, ldc, n, accumulate))


def _write_full(f: Function, tile: Tile, rows: int, vectors: int, sums: Sequence[Value],
                c: Value, ldc: Value, accumulate: Value) -> None:
    def write(add: bool) -> None:
        for i in range(rows):
            row = f.gep(c, f.mul(ldc, i), tile.element)
            for j in range(vectors):
                p, v = f.gep(row, j * tile.lanes, tile.element), sums[i * vectors + j]
                f.store(f.fadd(f.load(tile.vector, p), v) if add else v, p)

    f.branch(accumulate, lambda: write(True), lambda: write(False))


def _write_part(f: Function, tile: Tile, rows: int, vectors: int, sums: Sequence[Value],
                c: Value, ldc: Value, n: Value, accumulate: Value) -> None:
    """By way of the stack: masked stores are slow on many machines, or missing."""
    width = vectors * tile.lanes
    stack = f.alloca(tile.element, rows * width, 64)
    for i in range(rows):
        for j in range(vectors):
            f.store(sums[i * vectors + j], f.gep(stack, i * width + j * tile.lanes, tile.element))
    whole = f.and_(n, -tile.lanes)
    with f.loop(0, rows, guard=False) as r:
        row = f.gep(c, f.mul(ldc, r.index), tile.element)
        from_row = f.gep(stack, f.mul(r.index, width), tile.element)

        def copy(type: str, at: Value, row: Value = row, from_row: Value = from_row) -> None:
            p = f.gep(row, at, tile.element)
            new = f.load(type, f.gep(from_row, at, tile.element))
            sum_ = f.branch(accumulate, lambda: [f.fadd(f.load(type, p), new)], lambda: [new])[0]
            f.store(sum_, p)

        with f.loop(0, whole, tile.lanes) as column:
            copy(tile.vector, column.index)
        with f.loop(whole, n) as column:
            copy(tile.element, column.index)


def _add_tile_rows(module: Module, tile: Tile) -> None:
    """tile_rows: all row tiles of one strip of C from a block of A and one panel of B.

    tile_rows(a, rsa, csa, a_step, m, b, ldb, c, ldc, depth, n, flags, i0): tiles from row i0
    on; row tile t of A starts at a + t * a_step.
    """
    f = module.function(tile.symbol("tile_rows"), [
        ("a", "ptr"), ("rsa", "i64"), ("csa", "i64"), ("a_step", "i64"), ("m", "i64"),
        ("b", "ptr"), ("ldb", "i64"), ("c", "ptr"), ("ldc", "i64"), ("depth", "i64"),
        ("n", "i64"), ("flags", "i64"), ("i0", "i64")])
    a, rsa, csa, a_step, m, b, ldb, c, ldc, depth, n, flags, first = f.parameters
    wide = f.sub(f.udiv(f.add(n, tile.lanes - 1), tile.lanes), 1)
    low = f.mul(wide, 8)
    with f.loop(first, m, tile.rows) as i:
        count = f.smin(f.sub(m, i.index), tile.rows)
        a_at = f.gep(a, f.mul(f.udiv(i.index, tile.rows), a_step), tile.element)
        c_at = f.gep(c, f.mul(i.index, ldc), tile.element)

        def call(r: int, v: int, a_at: Value = a_at, c_at: Value = c_at) -> Callable[[], object]:
            return lambda: f.call(_microkernel_name(r, v), "void", a_at, rsa, csa, b, ldb, b, c_at,
                                  ldc, depth, n, flags)

        f.switch(f.add(low, count), {(v - 1) * 8 + r: call(r, v)
                                     for v in range(tile.vectors, 0, -1)
                                     for r in range(tile.rows, 0, -1)})
    f.ret()


def call_tile_rows(f: Function, tile: Tile, a: Value, rsa: Value, csa: Value, a_step: Value,
                   m: Value, b: Value, ldb: Value, c: Value, ldc: Value, depth: Value, n: Value,
                   flags: Value, first: Value) -> None:
    """Emit a call of tile_rows."""
    f.call(tile.symbol("tile_rows"), "void", a, rsa, csa, a_step, m, b, ldb, c, ldc, depth, n,
           flags, first)


# ---- packing -------------------------------------------------------------------------------

def transpose(f: Function, rows: Sequence[Value]) -> list[Value]:
    """A square block of vectors, transposed in registers by swapping off-diagonal blocks."""
    size = len(rows)
    rows = list(rows)
    step = 1
    while step < size:
        for i in range(size):
            if i & step:
                continue
            a, b = rows[i], rows[i + step]
            low = [lane if not lane & step else size + lane - step for lane in range(size)]
            high = [lane + step if not lane & step else size + lane for lane in range(size)]
            rows[i], rows[i + step] = f.shuffle(a, b, low), f.shuffle(a, b, high)
        step *= 2
    return rows


def _add_pack_a(module: Module, tile: Tile) -> None:
    """pack_a(a, rsa, csa, m, depth, to): tiles of rows, k-major, `tile.rows` elements a step."""
    f = module.function(tile.symbol("pack_a"), [
        ("a", "ptr"), ("rsa", "i64"), ("csa", "i64"), ("m", "i64"), ("depth", "i64"),
        ("to", "ptr")])
    a, rsa, csa, m, depth, to = f.parameters
    element = tile.element
    together = vector_type(element, tile.rows)
    with f.loop(0, m, tile.rows) as i:
        rows = f.smin(f.sub(m, i.index), tile.rows)
        from_tile = f.gep(a, f.mul(i.index, rsa), element)
        to_tile = f.gep(to, f.mul(i.index, depth), element)
        whole = f.and_(f.icmp("eq", rsa, 1), f.icmp("eq", rows, tile.rows))
        with f.loop(0, depth, guard=False) as k:
            source = f.gep(from_tile, f.mul(k.index, csa), element)
            target = f.gep(to_tile, f.mul(k.index, tile.rows), element)

            def one_by_one(rows: Value = rows, source: Value = source,
                           target: Value = target) -> None:
                with f.loop(0, rows, guard=False) as r:
                    f.store(f.load(element, f.gep(source, f.mul(r.index, rsa), element)),
                            f.gep(target, r.index, element))

            def at_once(source: Value = source, target: Value = target) -> None:
                f.store(f.load(together, source), target)

            f.branch(whole, at_once, one_by_one)
    f.ret()


def _add_pack_b(module: Module, tile: Tile) -> None:
    """pack_b(b, rsb, csb, n, depth, to): one panel of `tile.width` columns, n of them valid.

    Columns past n repeat the last one: they reach only elements of C that are never written.
    """
    f = module.function(tile.symbol("pack_b"), [
        ("b", "ptr"), ("rsb", "i64"), ("csb", "i64"), ("n", "i64"), ("depth", "i64"),
        ("to", "ptr")])
    b, rsb, csb, n, depth, to = f.parameters
    element, lanes, width = tile.element, tile.lanes, tile.width
    last = f.sub(n, 1)

    def column(j: Value) -> Value:
        return f.gep(b, f.mul(f.smin(j, last), csb), element)

    def by_transposes() -> list[Value]:
        whole = f.and_(depth, -lanes)
        with f.loop(0, width, lanes, guard=False) as j:
            columns = [column(f.add(j.index, i)) for i in range(lanes)]
            with f.loop(0, whole, lanes) as k:
                block = transpose(f, [f.load(tile.vector, f.gep(p, k.index, element))
                                      for p in columns])
                for i in range(lanes):
                    at = f.add(f.mul(f.add(k.index, i), width), j.index)
                    f.store(block[i], f.gep(to, at, element))
        return [whole]

    def by_rows() -> list[Value]:
        full = f.and_(f.icmp("eq", csb, 1), f.icmp("eq", n, width))
        with f.loop(0, f.select(full, depth, constant("i64", 0))) as k:
            source = f.gep(b, f.mul(k.index, rsb), element)
            store_panel_row(f, tile, to, k.index, [
                f.load(tile.vector, f.gep(source, i * lanes, element))
                for i in range(tile.vectors)])
        return [f.select(full, depth, constant("i64", 0))]

    done = f.branch(f.icmp("eq", rsb, 1), by_transposes, by_rows)[0]
    with f.loop(done, depth) as k:
        source = f.mul(k.index, rsb)
        row = f.gep(to, f.mul(k.index, width), element)
        with f.loop(0, width, guard=False) as j:
            value = f.load(element, f.gep(column(j.index), source, element))
            f.store(value, f.gep(row, j.index, element))
    f.ret()
