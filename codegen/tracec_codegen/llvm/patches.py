"""Image patches for convolutions: padded copies of planes, and panels of patches cut from them.

A convolution never builds its im2col matrix.  A plane is copied once into a zero-padded buffer
(rows `pitch` elements apart, planes `plane` apart).  With a column stride s the buffer keeps the
columns of equal remainder modulo s together, so that neighbouring output pixels always read
neighbouring elements.  Entry k = (channel, filter row, filter column) of a patch then sits at a
fixed offset from the patch's origin, and a panel of patches is a few vector loads per k: a vector
of output pixels that runs over the end of an output row is blended from two loads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from .text import Function, Module, Value, constant
from .tile import Tile, transpose


def add_patches(module: Module, tile: Tile) -> None:
    """Define pad_planes, patch_offsets, pack_patches and pack_patches_t."""
    _add_pad_planes(module, tile)
    _add_patch_offsets(module)
    _add_pack(module, tile)
    _add_pack_transposed(module, tile)


def _add_pad_planes(module: Module, tile: Tile) -> None:
    """pad_planes: copy planes into the padded buffer, whose other elements are zero already.

    Element (i, j) of a plane goes to row top + i * spread_h, column left + j * spread_w; what
    falls outside height x width is dropped.  `phases` is the column stride (see above), each phase
    `phase_width` long.
    """
    f = module.function("pad_planes", [(n, "ptr" if n in ("source", "to") else "i64") for n in (
        "source", "to", "planes", "rows", "columns", "top", "left", "spread_h", "spread_w",
        "height", "width", "phases", "phase_width", "pitch", "plane")], internal=True)
    (source, to, planes, rows, columns, top, left, spread_h, spread_w, height, width, phases,
     phase_width, pitch, plane) = f.parameters
    element = tile.element
    none = constant("i64", 0)
    row0 = f.udiv(f.add(f.smax(f.sub(none, top), 0), f.sub(spread_h, 1)), spread_h)
    row1 = f.smin(rows, f.udiv(f.add(f.smax(f.sub(height, top), 0), f.sub(spread_h, 1)),
                               spread_h))
    column0 = f.smax(left, 0)
    column1 = f.smin(width, f.add(left, columns))

    def spread(row: Value, line: Value) -> None:
        first = f.udiv(f.add(f.smax(f.sub(none, left), 0), f.sub(spread_w, 1)), spread_w)
        last = f.smin(columns, f.udiv(f.add(f.smax(f.sub(width, left), 0), f.sub(spread_w, 1)),
                                      spread_w))
        with f.loop(first, last) as j:
            at = f.add(left, f.mul(j.index, spread_w))
            f.store(f.load(element, f.gep(line, j.index, element)), f.gep(row, at, element))

    def contiguous(row: Value, line: Value) -> None:
        count = f.smax(f.sub(column1, column0), 0)
        begin = f.gep(line, f.sub(column0, left), element)
        end = f.gep(row, column0, element)
        whole = f.and_(count, -tile.lanes)
        with f.loop(0, whole, tile.lanes) as j:
            f.store(f.load(tile.vector, f.gep(begin, j.index, element)),
                    f.gep(end, j.index, element))
        with f.loop(whole, count) as j:
            f.store(f.load(element, f.gep(begin, j.index, element)),
                    f.gep(end, j.index, element))

    def by_phase(row: Value, line: Value) -> None:
        with f.loop(0, phases) as phase:
            first, last = (f.udiv(f.add(f.smax(f.sub(limit, phase.index), 0), f.sub(phases, 1)),
                                  phases) for limit in (column0, column1))
            begin = f.gep(line, f.sub(phase.index, left), element)
            end = f.gep(row, f.mul(phase.index, phase_width), element)
            with f.loop(first, last) as t:
                f.store(f.load(element, f.gep(begin, f.mul(t.index, phases), element)),
                        f.gep(end, t.index, element))

    with f.loop(0, planes) as c, f.loop(row0, row1) as i:
        y = f.add(top, f.mul(i.index, spread_h))
        row = f.gep(to, f.add(f.mul(c.index, plane), f.mul(y, pitch)), element)
        line = f.gep(source, f.mul(f.add(f.mul(c.index, rows), i.index), columns), element)
        ways = [partial(way, row, line) for way in (spread, contiguous, by_phase)]
        f.branch(f.icmp("ne", spread_w, 1), ways[0],
                 partial(f.branch, f.icmp("eq", phases, 1), ways[1], ways[2]))
    f.ret()


def _add_patch_offsets(module: Module) -> None:
    """patch_offsets: for each k = (channel, row, column), its offset from the patch's origin."""
    f = module.function("patch_offsets", [("to", "ptr"), *((n, "i64") for n in (
        "channels", "kernel_h", "kernel_w", "dilation_h", "dilation_w", "phases", "phase_width",
        "pitch", "plane"))], internal=True)
    (to, channels, kernel_h, kernel_w, dilation_h, dilation_w, phases, phase_width, pitch,
     plane) = f.parameters
    with f.loop(0, channels) as c, f.loop(0, kernel_h) as r, f.loop(0, kernel_w) as s:
        x = f.mul(s.index, dilation_w)
        column = f.add(f.mul(f.urem(x, phases), phase_width), f.udiv(x, phases))
        line = f.add(f.mul(c.index, plane), f.mul(f.mul(r.index, dilation_h), pitch))
        k = f.add(f.mul(f.add(f.mul(c.index, kernel_h), r.index), kernel_w), s.index)
        f.store(f.add(line, column), f.gep(to, k, "i64"))
    f.ret()


class _Pixels:
    """One vector of output pixels: where its lanes read, in at most two pieces."""

    def __init__(self, f: Function, tile: Tile, base: Value, pixel: Value, total: Value,
                 out_width: Value, row_step: Value) -> None:
        self._f, self._tile = f, tile
        q = f.smin(pixel, f.sub(total, 1))           # lanes past the end are never used
        x = f.urem(q, out_width)
        left = f.sub(out_width, x)
        self.crosses = f.icmp("slt", left, tile.lanes)
        gap = f.select(self.crosses, f.sub(row_step, out_width), constant("i64", 0))
        self.first = f.gep(base, f.add(f.mul(f.udiv(q, out_width), row_step), x), tile.element)
        self.second = f.gep(self.first, gap, tile.element)
        self.mask = f.lane_mask(left, tile.lanes, 8 * tile.bytes)

    def load(self, offset: Value, crossing: bool) -> Value:
        """The lanes' elements at an offset from the patches' origins."""
        f, tile = self._f, self._tile
        low = f.load(tile.vector, f.gep(self.first, offset, tile.element))
        if not crossing:
            return low
        high = f.load(tile.vector, f.gep(self.second, offset, tile.element))
        return f.select(self.mask, low, high)


_PACK_PARAMETERS = [("base", "ptr"), ("offsets", "ptr"), ("depth", "i64"), ("pixel", "i64"),
                    ("count", "i64"), ("total", "i64"), ("out_width", "i64"), ("row_step", "i64"),
                    ("to", "ptr")]


def _add_pack(module: Module, tile: Tile) -> None:
    """pack_patches: `depth` entries of the patches of `tile.width` pixels, one row per entry."""
    f = module.function("pack_patches", _PACK_PARAMETERS, internal=True)
    base, offsets, depth, pixel, _count, total, out_width, row_step, to = f.parameters

    def vectors() -> None:
        pixels = [_Pixels(f, tile, base, f.add(pixel, j * tile.lanes), total, out_width, row_step)
                  for j in range(tile.vectors)]
        crossing = pixels[0].crosses
        for other in pixels[1:]:
            crossing = f.or_(crossing, other.crosses)

        def rows(blended: bool) -> None:
            with f.loop(0, depth, guard=False) as k:
                offset = f.load("i64", f.gep(offsets, k.index, "i64"))
                row = f.gep(to, f.mul(k.index, tile.width), tile.element)
                for j, some in enumerate(pixels):
                    f.store(some.load(offset, blended), f.gep(row, j * tile.lanes, tile.element))

        f.branch(crossing, lambda: rows(True), lambda: rows(False))

    def single() -> None:
        """Output rows shorter than a vector: every lane has its own place."""
        places = f.alloca("i64", tile.width)
        with f.loop(0, tile.width, guard=False) as j:
            f.store(_place(f, f.add(pixel, j.index), total, out_width, row_step),
                    f.gep(places, j.index, "i64"))
        with f.loop(0, depth, guard=False) as k:
            offset = f.load("i64", f.gep(offsets, k.index, "i64"))
            source = f.gep(base, offset, tile.element)
            row = f.gep(to, f.mul(k.index, tile.width), tile.element)
            for lane in range(tile.width):
                place = f.load("i64", f.gep(places, lane, "i64"))
                f.store(f.load(tile.element, f.gep(source, place, tile.element)),
                        f.gep(row, lane, tile.element))

    f.branch(f.icmp("sge", out_width, tile.lanes), vectors, single)
    f.ret()


def _place(f: Function, pixel: Value, total: Value, out_width: Value, row_step: Value) -> Value:
    """Offset of a pixel's patch origin."""
    q = f.smin(pixel, f.sub(total, 1))
    return f.add(f.mul(f.udiv(q, out_width), row_step), f.urem(q, out_width))


def _add_pack_transposed(module: Module, tile: Tile) -> None:
    """pack_patches_t: `count` pixels from `pixel` on, one row per pixel, `depth` entries wide.

    Rows are `tile.width` long; entries past `depth` repeat the last.  Up to a whole vector of rows
    is written past `count`.
    """
    f = module.function("pack_patches_t", _PACK_PARAMETERS, internal=True)
    base, offsets, depth, pixel, count, total, out_width, row_step, to = f.parameters
    clamped: Sequence[Value] = [
        f.load("i64", f.gep(offsets, f.smin(f.sub(depth, 1), j), "i64"))
        for j in range(tile.width)]

    def vectors() -> None:
        with f.loop(0, count, tile.lanes, guard=False) as p:
            pixels = _Pixels(f, tile, base, f.add(pixel, p.index), total, out_width, row_step)
            rows = f.gep(to, f.mul(p.index, tile.width), tile.element)

            def block(blended: bool) -> None:
                for j in range(0, tile.width, tile.lanes):
                    square = transpose(f, [pixels.load(clamped[j + i], blended)
                                           for i in range(tile.lanes)])
                    for i, row in enumerate(square):
                        f.store(row, f.gep(rows, i * tile.width + j, tile.element))

            f.branch(pixels.crosses, lambda: block(True), lambda: block(False))

    def single() -> None:
        with f.loop(0, count, guard=False) as p:
            place = _place(f, f.add(pixel, p.index), total, out_width, row_step)
            source = f.gep(base, place, tile.element)
            row = f.gep(to, f.mul(p.index, tile.width), tile.element)
            for j, offset in enumerate(clamped):
                f.store(f.load(tile.element, f.gep(source, offset, tile.element)),
                        f.gep(row, j, tile.element))

    f.branch(f.icmp("sge", out_width, tile.lanes), vectors, single)
    f.ret()
