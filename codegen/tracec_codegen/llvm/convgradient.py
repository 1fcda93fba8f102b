"""Gradients of convolutions: the input's by scattering patches, and the filter's."""

from __future__ import annotations

from collections.abc import Callable

from .convframe import Padded, Words, aligned_pointer, block_depth, part_runs
from .text import NULL, Function, Module, Value, constant
from .tile import ACCUMULATE, Tile, call_tile_rows

COLUMN_ELEMENTS = 1 << 15                # elements of a block of patches scattered at once


def add_scatter(module: Module, tile: Tile) -> None:
    """Define what call_scatter_gradient needs."""
    _add_scatter_patches(module, tile)
    _add_unpad_planes(module, tile)


def _add_scatter_patches(module: Module, tile: Tile) -> None:
    """scatter_patches: add rows of patch entries, `columns` apart, to the padded planes.

    Row k holds entry k of the patches of `count` pixels from `pixel` on.  Neighbouring taps add to
    overlapping vectors, and a load that overlaps a store not yet done stalls: so channels are the
    inner loop.
    """
    f = module.function("scatter_patches", [
        ("base", "ptr"), ("offsets", "ptr"), ("channels", "i64"), ("taps", "i64"),
        ("source", "ptr"), ("columns", "i64"), ("pixel", "i64"), ("count", "i64"),
        ("out_width", "i64"), ("row_step", "i64")], internal=True)
    (base, offsets, channels, taps, source, columns, pixel, count, out_width,
     row_step) = f.parameters
    element = tile.element

    def add(type: str, to: Value, line: Value, at: Value) -> None:
        p = f.gep(to, at, element)
        f.store(f.fadd(f.load(type, p), f.load(type, f.gep(line, at, element))), p)

    def segment(at: Value) -> list[Value]:
        """The pixels from `at` to the end of their output row."""
        q = f.add(pixel, at)
        y, x = f.udiv(q, out_width), f.urem(q, out_width)
        length = f.smin(f.sub(out_width, x), f.sub(count, at))
        whole = f.and_(length, -tile.lanes)
        place = f.gep(base, f.add(f.mul(y, row_step), x), element)
        first = f.gep(source, at, element)
        with f.loop(0, taps) as t, f.loop(0, channels) as c:
            k = f.add(f.mul(c.index, taps), t.index)
            to = f.gep(place, f.load("i64", f.gep(offsets, k, "i64")), element)
            line = f.gep(first, f.mul(k, columns), element)
            with f.loop(0, whole, tile.lanes) as j:
                add(tile.vector, to, line, j.index)
            with f.loop(whole, length) as j:
                add(element, to, line, j.index)
        return [f.add(at, length)]

    f.while_loop([constant("i64", 0)], lambda at: f.icmp("slt", at, count), segment)
    f.ret()


def _add_unpad_planes(module: Module, tile: Tile) -> None:
    """unpad_planes: the reverse of pad_planes; elements outside the padded planes are zero."""
    f = module.function("unpad_planes", [(n, "ptr" if n in ("source", "to") else "i64") for n in (
        "source", "to", "planes", "rows", "columns", "top", "left", "height", "width", "phases",
        "phase_width", "pitch", "plane", "flags")], internal=True)
    (source, to, planes, rows, columns, top, left, height, width, phases, phase_width, pitch, plane,
     flags) = f.parameters
    element = tile.element
    accumulate = f.icmp("ne", f.and_(flags, ACCUMULATE), 0)
    column0, column1 = f.smax(left, 0), f.smin(width, f.add(left, columns))

    def put(type: str, p: Value, value: Value) -> None:
        f.store(f.branch(accumulate, lambda: [f.fadd(f.load(type, p), value)],
                         lambda: [value])[0], p)

    with f.loop(0, planes) as c, f.loop(0, rows) as i:
        line = f.gep(to, f.mul(f.add(f.mul(c.index, rows), i.index), columns), element)
        y = f.add(top, i.index)
        inside = f.and_(f.icmp("sge", y, 0), f.icmp("slt", y, height))
        with f.when(f.not_(accumulate)):
            f.memset(line, 0, f.mul(columns, tile.bytes), tile.bytes)
        row = f.gep(source, f.add(f.mul(c.index, plane), f.mul(y, pitch)), element)
        with f.loop(0, f.select(inside, phases, constant("i64", 0))) as phase:
            first, last = (f.udiv(f.add(f.smax(f.sub(limit, phase.index), 0), f.sub(phases, 1)),
                                  phases) for limit in (column0, column1))
            begin = f.gep(row, f.mul(phase.index, phase_width), element)
            end = f.gep(line, f.sub(phase.index, left), element)
            length = f.smax(f.sub(last, first), 0)
            whole = f.select(f.icmp("eq", phases, 1), f.and_(length, -tile.lanes),
                             constant("i64", 0))
            middle = f.add(first, whole)
            with f.loop(first, middle, tile.lanes) as t:
                put(tile.vector, f.gep(end, t.index, element),
                    f.load(tile.vector, f.gep(begin, t.index, element)))
            with f.loop(middle, last) as t:
                put(element, f.gep(end, f.mul(t.index, phases), element),
                    f.load(element, f.gep(begin, t.index, element)))
    f.ret()


def call_scatter_gradient(f: Function, g: Words, tile: Tile, lo: Value, hi: Value,
                          scratch: Value) -> None:
    """The input gradient: transposed filters @ output gradient, scattered into the planes.

    An image's channels are cut into parts.  Blocks of pixels do not depend on the parts, because
    the order of the additions depends on them.
    """
    padded = Padded(f, tile, g, scratch)
    k, pixels = padded.entries, padded.pixels
    taps, plane = f.mul(g.kernel_h, g.kernel_w), f.mul(g.height, g.width)
    strips = f.ceil_div(pixels, tile.width)
    block = f.smax(f.smin(f.udiv(constant("i64", COLUMN_ELEMENTS // tile.width), f.smax(k, 1)),
                          16), 1)
    columns = f.mul(block, tile.width)
    depth_step = block_depth(f, g.filters, tile.depth)
    panel_size = f.mul(depth_step, tile.width)
    patches = aligned_pointer(f, f.gep(padded.panels, f.mul(panel_size, block), tile.element))
    packed = aligned_pointer(f, f.gep(patches, f.mul(columns, k), tile.element))

    def image(item: Value, channel0: Value, channel1: Value) -> None:
        channels = f.sub(channel1, channel0)
        rows, entry0 = f.mul(channels, taps), f.mul(channel0, taps)
        planes = f.gep(padded.planes, f.mul(channel0, padded.plane), tile.element)
        with f.loop(0, g.groups) as group:
            which = f.add(f.mul(item, g.groups), group.index)
            weights = f.add(f.mul(f.mul(group.index, g.filters), k), entry0)
            f.memset(planes, 0, f.mul(f.mul(channels, padded.plane), tile.bytes), tile.bytes)
            with f.when(f.icmp("ne", g.filters, 0)):
                f.call(tile.symbol("pack_a"), "void", f.gep(g.filter, weights, tile.element),
                       constant("i64", 1), k, rows, g.filters, packed)
                gradient = f.gep(g.out, f.mul(f.mul(which, g.filters), pixels), tile.element)
                with f.loop(0, strips, block) as strip:
                    count = f.smin(f.sub(strips, strip.index), block)
                    pixel = f.mul(strip.index, tile.width)
                    with f.loop(0, g.filters, depth_step) as pc:
                        products(gradient, pixel, count, rows, pc.index)
                    f.call("scatter_patches", "void", padded.planes,
                           f.gep(padded.offsets, entry0, "i64"), channels, taps, patches, columns,
                           pixel, f.smin(f.sub(pixels, pixel), f.mul(count, tile.width)), g.out_w,
                           padded.row_step)
            row = f.add(f.mul(which, g.channels), channel0)
            to = f.gep(g.image, f.mul(row, plane), tile.element)
            f.call("unpad_planes", "void", planes, to, channels, g.height, g.width, g.top, g.left,
                   padded.height, padded.width, g.stride_w, padded.phase_width, padded.pitch,
                   padded.plane, g.flags)
            with f.when(f.icmp("ne", g.epilogue, NULL)):
                f.call(g.epilogue, "void", to, plane,
                       f.add(f.mul(group.index, g.channels), channel0), constant("i64", 0),
                       channels, plane, g.context, item)

    def products(gradient: Value, pixel: Value, count: Value, rows: Value, at: Value) -> None:
        """Entries of the patches of one block of pixels, summed over some filters."""
        depth = f.smin(f.sub(g.filters, at), depth_step)
        add = f.cast("zext", f.icmp("ne", at, 0), "i64")
        with f.loop(0, count, guard=False) as s:
            first = f.add(pixel, f.mul(s.index, tile.width))
            valid = f.smin(f.sub(pixels, first), tile.width)
            panel = f.gep(padded.panels, f.mul(s.index, panel_size), tile.element)
            source = f.gep(gradient, f.add(f.mul(at, pixels), first), tile.element)
            f.call(tile.symbol("pack_b"), "void", source, pixels, constant("i64", 1), valid, depth,
                   panel)
        with f.loop(0, rows, tile.block_rows) as ic, f.loop(0, count, guard=False) as s:
            some = f.smin(f.sub(rows, ic.index), tile.block_rows)
            first = f.mul(s.index, tile.width)
            valid = f.smin(f.sub(pixels, f.add(pixel, first)), tile.width)
            a = f.gep(packed, f.add(f.mul(ic.index, g.filters), f.mul(at, tile.rows)),
                      tile.element)
            panel = f.gep(padded.panels, f.mul(s.index, panel_size), tile.element)
            c = f.gep(patches, f.add(f.mul(ic.index, columns), first), tile.element)
            call_tile_rows(f, tile, a, constant("i64", 1), constant("i64", tile.rows),
                           f.mul(g.filters, tile.rows), some, panel, constant("i64", tile.width),
                           c, columns, depth, valid, add, constant("i64", 0))

    part_runs(f, lo, hi, g.parts, g.channels, image)


def call_weight_gradient(f: Function, g: Words, tile: Tile, lo: Value, hi: Value,
                         scratch: Value) -> None:
    """The filter's gradient: output gradients @ transposed patches, image after image."""
    taps = f.mul(g.kernel_h, g.kernel_w)
    entries = f.mul(g.channels, taps)
    group_strips = f.ceil_div(entries, tile.width)
    pixels = f.mul(g.out_h, g.out_w)
    one = constant("i64", 1)
    zero_ = constant("i64", 0)

    def clear(group: Value, entry0: Value, entry1: Value) -> None:
        with f.loop(0, g.filters) as row:
            at = f.add(f.mul(f.add(f.mul(group, g.filters), row.index), entries), entry0)
            f.memset(f.gep(g.filter, at, tile.element), 0,
                     f.mul(f.sub(entry1, entry0), tile.bytes), tile.bytes)

    def groups(body: Callable[[Value, Value, Value], None]) -> None:
        """body(group, strip0, strip1) for the strips of each group within the parts."""
        units = f.mul(group_strips, g.groups)

        def run(_item: Value, unit0: Value, unit1: Value) -> None:
            first = f.udiv(unit0, group_strips)
            last = f.udiv(f.sub(unit1, 1), group_strips)
            with f.loop(first, f.add(last, 1)) as group:
                start = f.mul(group.index, group_strips)
                body(group.index, f.smax(f.sub(unit0, start), 0),
                     f.smin(f.sub(unit1, start), group_strips))

        with f.when(f.icmp("ne", units, 0)):
            part_runs(f, lo, hi, g.parts, units, run)

    def start(group: Value, strip0: Value, strip1: Value) -> None:
        with f.when(f.icmp("eq", f.and_(g.flags, ACCUMULATE), 0)):
            clear(group, f.mul(strip0, tile.width), f.smin(f.mul(strip1, tile.width), entries))

    groups(start)
    some = f.and_(f.icmp("ne", pixels, 0), f.icmp("slt", lo, hi))
    with f.when(some):
        padded = Padded(f, tile, g, scratch)
        depth_step = block_depth(f, pixels, tile.depth)
        a_step = f.mul(pixels, tile.rows)
        add = constant("i64", ACCUMULATE)
        single = f.and_(f.icmp("eq", g.channels, 1), f.icmp("eq", g.filters, 1))

        def images(group: Value, strip0: Value, strip1: Value) -> None:
            entry0 = f.mul(strip0, tile.width)
            entry1 = f.smin(f.mul(strip1, tile.width), entries)
            channel0 = f.udiv(entry0, taps)
            channels = f.sub(f.ceil_div(entry1, taps), channel0)
            plane = f.mul(g.height, g.width)
            with f.loop(0, g.batch) as n:
                which = f.add(f.mul(n.index, g.groups), group)
                source = f.add(f.mul(which, g.channels), channel0)
                padded.fill(f, g, f.gep(g.image, f.mul(source, plane), tile.element),
                            f.gep(padded.planes, f.mul(channel0, padded.plane), tile.element),
                            channels, g.height, g.width, one, one)
                gradient = f.gep(g.out, f.mul(f.mul(which, g.filters), pixels), tile.element)
                f.branch(single, lambda: plane_taps(group, gradient, entry0, entry1),
                         lambda: blocks(group, gradient, strip0, strip1))

        def plane_taps(group: Value, gradient: Value, entry0: Value, entry1: Value) -> None:
            """Depthwise: some taps of one filter."""
            to = f.add(f.mul(group, entries), entry0)
            f.call("depthwise_taps", "void", padded.planes, f.gep(padded.offsets, entry0, "i64"),
                   f.sub(entry1, entry0), gradient, f.gep(g.filter, to, tile.element), g.out_h,
                   g.out_w, padded.row_step)

        def blocks(group: Value, gradient: Value, strip0: Value, strip1: Value) -> None:
            """Blocks of pixels times strips of patch entries."""
            with f.loop(0, pixels, depth_step) as pc, f.loop(strip0, strip1) as s:
                depth = f.smin(f.sub(pixels, pc.index), depth_step)
                entry = f.mul(s.index, tile.width)
                valid = f.smin(f.sub(entries, entry), tile.width)
                f.call("pack_patches_t", "void", padded.planes,
                       f.gep(padded.offsets, entry, "i64"), valid, pc.index, depth, pixels,
                       g.out_w, padded.row_step, padded.panels)
                to = f.add(f.mul(f.mul(group, g.filters), entries), entry)
                a = f.gep(gradient, pc.index, tile.element)
                call_tile_rows(f, tile, a, pixels, one, a_step, g.filters, padded.panels,
                               constant("i64", tile.width), f.gep(g.filter, to, tile.element),
                               entries, depth, valid, add, zero_)

        groups(images)
