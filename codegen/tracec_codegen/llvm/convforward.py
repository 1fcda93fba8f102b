"""The forward convolution and the input gradient that is one: filter @ patches of an image."""

from __future__ import annotations

from .convframe import Padded, Words, aligned_pointer, block_depth, part_runs
from .text import NULL, Function, Module, Value, constant
from .tile import ACCUMULATE, Tile, call_tile_rows

STRIPS = 16                              # strips of pixels whose panels are packed together
# What the common core of forward and input gradient works on.
_CORE_WORDS = ("source", "weights", "to", "groups", "channels", "rows", "columns", "filters",
               "kernel_h", "kernel_w", "out_h", "out_w", "stride_h", "stride_w", "top", "left",
               "dilation_h", "dilation_w", "spread_h", "spread_w", "parts", "flags", "epilogue",
               "context")


def add_core(module: Module, tile: Tile) -> None:
    """conv_core(words, lo, hi, scratch): filter @ patches over images and parts of their pixels."""
    f = module.function("conv_core", [("words", "ptr"), ("lo", "i64"), ("hi", "i64"),
                                      ("scratch", "ptr")], internal=True)
    array, lo, hi, scratch = f.parameters
    g = Words(f, array, _CORE_WORDS)
    empty = f.or_(f.icmp("eq", f.mul(g.out_h, g.out_w), 0), f.icmp("sge", lo, hi))
    go, done = f.new_block("go"), f.new_block("done")
    f.jump_if(empty, done, go)
    f.start_block(go)
    padded = Padded(f, tile, g, scratch)
    k, pixels = padded.entries, padded.pixels
    strips = f.ceil_div(pixels, tile.width)
    one = constant("i64", 1)
    depth_step = block_depth(f, k, tile.depth)
    a_step = f.mul(k, tile.rows)
    single = f.and_(f.icmp("eq", g.channels, 1), f.icmp("eq", g.filters, 1))

    def image(item: Value, unit0: Value, unit1: Value) -> None:
        with f.loop(0, g.groups) as group:
            which = f.add(f.mul(item, g.groups), group.index)
            plane = f.mul(g.rows, g.columns)
            source = f.gep(g.source, f.mul(f.mul(which, g.channels), plane), tile.element)
            padded.fill(f, g, source, padded.planes, g.channels, g.rows, g.columns, g.spread_h,
                        g.spread_w)
            weights = f.gep(g.weights, f.mul(f.mul(group.index, g.filters), k), tile.element)
            to = f.gep(g.to, f.mul(f.mul(which, g.filters), pixels), tile.element)
            row0 = f.mul(group.index, g.filters)
            f.branch(single, lambda: plane_rows(item, row0, weights, to, unit0, unit1),
                     lambda: blocks(item, row0, weights, to, unit0, unit1))

    def plane_rows(item: Value, row0: Value, weights: Value, to: Value, y0: Value,
                   y1: Value) -> None:
        """Depthwise: output rows [y0, y1)."""
        f.call("depthwise_rows", "void", padded.planes, padded.offsets, k, weights, to, y0, y1,
               g.out_w, padded.row_step, g.flags)
        with f.when(f.icmp("ne", g.epilogue, NULL)):
            first = f.mul(y0, g.out_w)
            f.call(g.epilogue, "void", f.gep(to, first, tile.element), pixels, row0, first, one,
                   f.sub(f.mul(y1, g.out_w), first), g.context, item)

    def blocks(item: Value, row0: Value, weights: Value, to: Value, strip0: Value,
               strip1: Value) -> None:
        """Blocks of strips of pixels."""
        with f.loop(strip0, strip1, STRIPS) as block:
            count = f.smin(f.sub(strip1, block.index), STRIPS)
            with f.loop(0, k, depth_step) as pc:
                products(item, row0, weights, to, block.index, count, pc.index)
            with f.when(f.icmp("eq", k, 0)):
                no_entries(item, row0, to, block.index, count)

    def products(item: Value, row0: Value, weights: Value, to: Value, strip: Value, count: Value,
                 at: Value) -> None:
        depth = f.smin(f.sub(k, at), depth_step)
        last = f.icmp("eq", f.add(at, depth), k)
        add = f.or_(f.and_(g.flags, ACCUMULATE), f.cast("zext", f.icmp("ne", at, 0), "i64"))
        panel_size = f.mul(depth_step, tile.width)
        with f.loop(0, count, guard=False) as s:
            f.call("pack_patches", "void", padded.planes, f.gep(padded.offsets, at, "i64"), depth,
                   f.mul(f.add(strip, s.index), tile.width), one, pixels, g.out_w, padded.row_step,
                   f.gep(padded.panels, f.mul(s.index, panel_size), tile.element))
        with f.loop(0, g.filters, tile.block_rows) as ic:
            rows = f.smin(f.sub(g.filters, ic.index), tile.block_rows)
            a = f.gep(weights, f.add(f.mul(ic.index, k), at), tile.element)
            with f.loop(0, count, guard=False) as s:
                pixel = f.mul(f.add(strip, s.index), tile.width)
                valid = f.smin(f.sub(pixels, pixel), tile.width)
                c = f.gep(to, f.add(f.mul(ic.index, pixels), pixel), tile.element)
                panel = f.gep(padded.panels, f.mul(s.index, panel_size), tile.element)
                call_tile_rows(f, tile, a, k, one, a_step, rows, panel,
                               constant("i64", tile.width), c, pixels, depth, valid, add,
                               constant("i64", 0))
                with f.when(f.and_(last, f.icmp("ne", g.epilogue, NULL))):
                    f.call(g.epilogue, "void", c, pixels, f.add(row0, ic.index), pixel, rows,
                           valid, g.context, item)

    def no_entries(item: Value, row0: Value, to: Value, strip: Value, count: Value) -> None:
        """A patch without entries: the result is zero."""
        pixel = f.mul(strip, tile.width)
        some = f.smin(f.sub(pixels, pixel), f.mul(count, tile.width))
        fresh = f.icmp("eq", f.and_(g.flags, ACCUMULATE), 0)
        with f.loop(0, f.select(fresh, g.filters, constant("i64", 0))) as row:
            f.memset(f.gep(to, f.add(f.mul(row.index, pixels), pixel), tile.element), 0,
                     f.mul(some, tile.bytes), tile.bytes)
        with f.when(f.icmp("ne", g.epilogue, NULL)):
            f.call(g.epilogue, "void", f.gep(to, pixel, tile.element), pixels, row0, pixel,
                   g.filters, some, g.context, item)

    part_runs(f, lo, hi, g.parts, f.select(single, g.out_h, strips), image)
    f.jump(done)
    f.start_block(done)
    f.ret()


def _call_core(f: Function, values: dict[str, Value], lo: Value, hi: Value,
               scratch: Value) -> None:
    array = f.alloca("i64", len(_CORE_WORDS))
    for i, name in enumerate(_CORE_WORDS):
        f.store(values[name], f.gep(array, i, "i64"))
    f.call("conv_core", "void", array, lo, hi, scratch)


def _shared(g: Words, *names: str) -> dict[str, Value]:
    return {name: getattr(g, name) for name in names}


def call_forward(f: Function, g: Words, lo: Value, hi: Value, scratch: Value) -> None:
    """The forward pass on the words of a convolution."""
    one = constant("i64", 1)
    _call_core(f, {
        "source": g.image, "weights": g.filter, "to": g.out, "rows": g.height,
        "columns": g.width, "spread_h": one, "spread_w": one,
        **_shared(g, "groups", "channels", "filters", "kernel_h", "kernel_w", "out_h", "out_w",
                  "stride_h", "stride_w", "top", "left", "dilation_h", "dilation_w", "parts",
                  "flags", "epilogue", "context")}, lo, hi, scratch)


def add_flip(module: Module, tile: Tile) -> None:
    """flip_filters(w, to, groups, filters, channels, taps): [G,F,C,T] to [G,C,F,T reversed]."""
    f = module.function("flip_filters", [("w", "ptr"), ("to", "ptr"), *((n, "i64") for n in (
        "groups", "filters", "channels", "taps"))], internal=True)
    w, to, groups, filters, channels, taps = f.parameters
    with f.loop(0, groups) as g, f.loop(0, filters) as o, f.loop(0, channels) as c:
        row = f.add(f.mul(f.add(f.mul(g.index, filters), o.index), channels), c.index)
        new = f.add(f.mul(f.add(f.mul(g.index, channels), c.index), filters), o.index)
        source = f.gep(w, f.mul(row, taps), tile.element)
        target = f.gep(to, f.sub(f.mul(f.add(new, 1), taps), 1), tile.element)
        with f.loop(0, taps) as t:
            back = f.sub(constant("i64", 0), t.index)
            f.store(f.load(tile.element, f.gep(source, t.index, tile.element)),
                    f.gep(target, back, tile.element))
    f.ret()


def call_spread_gradient(f: Function, g: Words, tile: Tile, lo: Value, hi: Value,
                         scratch: Value) -> None:
    """The input gradient as a forward pass over the output gradient, spread by the stride."""
    one = constant("i64", 1)
    taps = f.mul(g.kernel_h, g.kernel_w)
    f.call("flip_filters", "void", g.filter, scratch, g.groups, g.filters, g.channels, taps)
    size = f.mul(f.mul(g.groups, f.mul(g.filters, g.channels)), taps)
    rest = aligned_pointer(f, f.gep(scratch, size, tile.element))
    reach_h = f.mul(f.sub(g.kernel_h, 1), g.dilation_h)
    reach_w = f.mul(f.sub(g.kernel_w, 1), g.dilation_w)
    _call_core(f, {
        "source": g.out, "weights": scratch, "to": g.image, "channels": g.filters,
        "filters": g.channels, "rows": g.out_h, "columns": g.out_w, "out_h": g.height,
        "out_w": g.width, "stride_h": one, "stride_w": one, "top": f.sub(reach_h, g.top),
        "left": f.sub(reach_w, g.left), "spread_h": g.stride_h, "spread_w": g.stride_w,
        **_shared(g, "groups", "kernel_h", "kernel_w", "dilation_h", "dilation_w", "parts",
                  "flags", "epilogue", "context")}, lo, hi, rest)
