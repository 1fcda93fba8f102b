"""Depthwise convolutions: one channel and one filter a group, so no matrix product is worth it.

Each vector of output pixels is a sum over the taps of shifted loads from the padded plane.
"""

from __future__ import annotations

from functools import partial

from .text import Function, Module, Value, zero
from .tile import ACCUMULATE, Tile

_VECTORS = 4          # vectors of pixels, or taps of a weight gradient, summed side by side


def add_depthwise(module: Module, tile: Tile) -> None:
    """Define depthwise_rows and depthwise_taps."""
    _add_rows(module, tile)
    _add_taps(module, tile)


def _add_rows(module: Module, tile: Tile) -> None:
    """depthwise_rows: output rows [row0, row1) of one plane."""
    f = module.function("depthwise_rows", [
        ("plane", "ptr"), ("offsets", "ptr"), ("taps", "i64"), ("weights", "ptr"), ("to", "ptr"),
        ("row0", "i64"), ("row1", "i64"), ("out_width", "i64"), ("row_step", "i64"),
        ("flags", "i64")], internal=True)
    plane, offsets, taps, weights, to, row0, row1, out_width, row_step, flags = f.parameters
    element, lanes = tile.element, tile.lanes
    accumulate = f.icmp("ne", f.and_(flags, ACCUMULATE), 0)

    def put(total: Value, p: Value, mask: Value | None) -> None:
        old = f.branch(accumulate, lambda: [f.masked_load(total.type, p, mask)],
                       lambda: [zero(total.type)])[0]
        f.masked_store(f.fadd(total, old), p, mask)

    with f.loop(row0, row1) as y, f.loop(0, out_width, _VECTORS * lanes) as x:
        source = f.gep(plane, f.add(f.mul(y.index, row_step), x.index), element)
        target = f.gep(to, f.add(f.mul(y.index, out_width), x.index), element)
        left = f.sub(out_width, x.index)
        with f.loop(0, taps, 1, [zero(tile.vector)] * _VECTORS) as t:
            place = f.gep(source, f.load("i64", f.gep(offsets, t.index, "i64")), element)
            weight = f.splat(f.load(element, f.gep(weights, t.index, element)), lanes)
            t.next(*(f.muladd(f.load(tile.vector, f.gep(place, j * lanes, element)), weight, total)
                     for j, total in enumerate(t.carried)))
        for j, total in enumerate(t.results):
            p = f.gep(target, j * lanes, element)
            remaining = f.sub(left, j * lanes)

            def part(total: Value = total, p: Value = p, remaining: Value = remaining) -> None:
                with f.when(f.icmp("sgt", remaining, 0)):
                    put(total, p, f.lane_mask(remaining, lanes, 8 * tile.bytes))

            f.branch(f.icmp("sge", remaining, lanes), partial(put, total, p, None), part)
    f.ret()


def _add_taps(module: Module, tile: Tile) -> None:
    """depthwise_taps: to[t] += sum over pixels of gradient * plane shifted by tap t."""
    f = module.function("depthwise_taps", [
        ("plane", "ptr"), ("offsets", "ptr"), ("taps", "i64"), ("gradient", "ptr"), ("to", "ptr"),
        ("out_height", "i64"), ("out_width", "i64"), ("row_step", "i64")], internal=True)
    plane, offsets, taps, gradient, to, out_height, out_width, row_step = f.parameters
    element, lanes = tile.element, tile.lanes
    whole = f.and_(out_width, -lanes)
    with f.loop(0, taps, _VECTORS) as first:
        last = f.sub(taps, 1)
        places = [f.load("i64", f.gep(offsets, f.smin(f.add(first.index, i), last), "i64"))
                  for i in range(_VECTORS)]
        with f.loop(0, out_height, 1, [zero(tile.vector)] * _VECTORS) as y:
            source = f.gep(plane, f.mul(y.index, row_step), element)
            lines = [f.gep(source, place, element) for place in places]
            row = f.gep(gradient, f.mul(y.index, out_width), element)
            sums = _row_sums(f, tile, row, lines, whole, out_width, y.carried)
            y.next(*sums)
        for i, total in enumerate(y.results):
            t = f.add(first.index, i)
            with f.when(f.icmp("slt", t, taps)):
                p = f.gep(to, t, element)
                f.store(f.fadd(f.load(element, p), f.reduce("fadd", total, 0.0)), p)
    f.ret()


def _row_sums(f: Function, tile: Tile, row: Value, lines: list[Value], whole: Value, width: Value,
              start: list[Value]) -> list[Value]:
    """The running sums after one output row."""
    def turn(x: Value, sums: list[Value], mask: Value | None) -> list[Value]:
        g = f.masked_load(tile.vector, f.gep(row, x, tile.element), mask)
        return [f.muladd(f.masked_load(tile.vector, f.gep(line, x, tile.element), mask), g, total)
                for line, total in zip(lines, sums, strict=True)]

    with f.loop(0, whole, tile.lanes, start) as x:
        x.next(*turn(x.index, x.carried, None))
    with f.loop(whole, width, tile.lanes, x.results) as tail:
        mask = f.lane_mask(f.sub(width, tail.index), tile.lanes, 8 * tile.bytes)
        tail.next(*turn(tail.index, tail.carried, mask))
    return tail.results
