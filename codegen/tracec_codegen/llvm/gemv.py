"""Matrix times vector: y[n] = sum over k of x[k] * B[k, n], any strides at run time.

If rows of B are contiguous, several rows at a time are streamed into y; if columns are, several
dot products run side by side.  Every y[n] depends on n only through its column, so cutting the
columns does not change bits.
"""

from __future__ import annotations

from functools import partial

from .text import Function, Module, Value, lanes_of, zero
from .tile import ACCUMULATE, Tile

_ROWS = 8                    # rows of B streamed together
_COLUMNS, _UNROLL = 2, 4     # dot products side by side, vectors of each in flight


def longest_packed(tile: Tile) -> int:
    """Elements of the longest vector that is copied to scratch to be contiguous."""
    return tile.depth * tile.block_columns


def add_gemv(module: Module, tile: Tile) -> None:
    """gemv(x, sx, b, rsb, csb, y, sy, n, k, flags, scratch).

    Scratch holds k elements, or longest_packed if that is less.
    """
    _add_rows(module, tile)
    _add_dots(module, tile)
    f = module.function("gemv", [
        ("x", "ptr"), ("sx", "i64"), ("b", "ptr"), ("rsb", "i64"), ("csb", "i64"), ("y", "ptr"),
        ("sy", "i64"), ("n", "i64"), ("k", "i64"), ("flags", "i64"), ("scratch", "ptr")],
        internal=True)
    x, sx, b, rsb, csb, y, sy, n, k, flags, scratch = f.parameters
    element = tile.element
    accumulate = f.icmp("ne", f.and_(flags, ACCUMULATE), 0)

    def by_dots() -> None:
        # The vector is read for every column: worth having in one piece.
        def gathered() -> list[Value]:
            with f.loop(0, k) as i:
                f.store(f.load(element, f.gep(x, f.mul(i.index, sx), element)),
                        f.gep(scratch, i.index, element))
            return [scratch]

        packed = f.branch(f.icmp("eq", sx, 1), lambda: [x], gathered)[0]
        f.call("gemv_dots", "void", packed, b, csb, y, sy, n, k, accumulate)

    def plain() -> None:
        """Neither way is contiguous: one element at a time."""
        with f.loop(0, n) as j:
            column = f.gep(b, f.mul(j.index, csb), element)
            to = f.gep(y, f.mul(j.index, sy), element)
            start = f.branch(accumulate, lambda: [f.load(element, to)], lambda: [zero(element)])[0]
            with f.loop(0, k, 1, [start]) as i:
                i.next(f.muladd(f.load(element, f.gep(x, f.mul(i.index, sx), element)),
                                f.load(element, f.gep(column, f.mul(i.index, rsb), element)),
                                i.carried[0]))
            f.store(i.results[0], to)

    streams = f.and_(f.icmp("eq", csb, 1), f.icmp("eq", sy, 1))
    packable = f.or_(f.icmp("eq", sx, 1), f.icmp("sle", k, longest_packed(tile)))
    f.branch(f.and_(f.icmp("eq", rsb, 1), packable), by_dots, lambda: f.branch(
        streams, lambda: f.call("gemv_rows", "void", x, sx, b, rsb, y, n, k, accumulate), plain))
    f.ret()


def _add_rows(module: Module, tile: Tile) -> None:
    """gemv_rows: rows of B are streamed into y, which stays in the first-level cache."""
    f = module.function("gemv_rows", [
        ("x", "ptr"), ("sx", "i64"), ("b", "ptr"), ("rsb", "i64"), ("y", "ptr"), ("n", "i64"),
        ("k", "i64"), ("accumulate", "i1")], internal=True)
    x, sx, b, rsb, y, n, k, accumulate = f.parameters
    element = tile.element
    whole = f.and_(n, -tile.lanes)
    with f.when(f.not_(accumulate)):
        f.memset(y, 0, f.mul(n, tile.bytes), tile.bytes)

    def add_rows(first: Value, count: int) -> None:
        scalars = [f.load(element, f.gep(x, f.mul(f.add(first, i), sx), element))
                   for i in range(count)]
        sources = [f.gep(b, f.mul(f.add(first, i), rsb), element) for i in range(count)]

        def update(type: str, at: Value) -> None:
            p = f.gep(y, at, element)
            total = f.load(type, p)
            for scalar, source in zip(scalars, sources, strict=True):
                total = f.muladd(f.splat(scalar, lanes_of(type)),
                                 f.load(type, f.gep(source, at, element)), total)
            f.store(total, p)

        with f.loop(0, whole, tile.lanes) as j:
            update(tile.vector, j.index)
        with f.loop(whole, n) as j:
            update(element, j.index)

    groups = f.and_(k, -_ROWS)
    with f.loop(0, groups, _ROWS) as i:
        add_rows(i.index, _ROWS)
    with f.loop(groups, k) as i:
        add_rows(i.index, 1)
    f.ret()


def _add_dots(module: Module, tile: Tile) -> None:
    """gemv_dots: column j of B is contiguous at b + j * csb."""
    f = module.function("gemv_dots", [
        ("x", "ptr"), ("b", "ptr"), ("csb", "i64"), ("y", "ptr"), ("sy", "i64"), ("n", "i64"),
        ("k", "i64"), ("accumulate", "i1")], internal=True)
    x, b, csb, y, sy, n, k, accumulate = f.parameters
    whole, long = f.and_(k, -tile.lanes), f.and_(k, -(tile.lanes * _UNROLL))

    def dots(first: Value, count: int) -> None:
        columns = [f.gep(b, f.mul(f.add(first, i), csb), tile.element) for i in range(count)]
        sums = _dot_sums(f, tile, x, columns, whole, long, k)
        for i, total in enumerate(sums):
            to = f.gep(y, f.mul(f.add(first, i), sy), tile.element)
            old = f.branch(accumulate, partial(_loaded, f, tile, to),
                           lambda: [zero(tile.element)])[0]
            f.store(f.fadd(old, total), to)

    pairs = f.and_(n, -_COLUMNS)
    with f.loop(0, pairs, _COLUMNS) as j:
        dots(j.index, _COLUMNS)
    with f.loop(pairs, n) as j:
        dots(j.index, 1)
    f.ret()


def _loaded(f: Function, tile: Tile, p: Value) -> list[Value]:
    return [f.load(tile.element, p)]


def _dot_sums(f: Function, tile: Tile, x: Value, columns: list[Value], whole: Value, long: Value,
              k: Value) -> list[Value]:
    """Dot products of x with contiguous columns, summed in an order that depends on k alone."""
    count, element = len(columns), tile.element
    with f.loop(0, long, tile.lanes * _UNROLL,
                [zero(tile.vector)] * (count * _UNROLL)) as i:
        new = []
        for u in range(_UNROLL):
            at = f.add(i.index, u * tile.lanes)
            xs = f.load(tile.vector, f.gep(x, at, element))
            new += [f.muladd(f.load(tile.vector, f.gep(p, at, element)), xs,
                             i.carried[u * count + c]) for c, p in enumerate(columns)]
        i.next(*new)
    sums = [i.results[c] for c in range(count)]
    for u in range(1, _UNROLL):
        sums = [f.fadd(s, i.results[u * count + c]) for c, s in enumerate(sums)]
    with f.loop(long, whole, tile.lanes, sums) as i:
        xs = f.load(tile.vector, f.gep(x, i.index, element))
        i.next(*(f.muladd(f.load(tile.vector, f.gep(p, i.index, element)), xs, s)
                 for p, s in zip(columns, i.carried, strict=True)))
    scalars = [f.reduce("fadd", s, 0.0) for s in i.results]
    with f.loop(whole, k, 1, scalars) as i:
        xs = f.load(element, f.gep(x, i.index, element))
        i.next(*(f.muladd(f.load(element, f.gep(p, i.index, element)), xs, s)
                 for p, s in zip(columns, i.carried, strict=True)))
    return i.results
