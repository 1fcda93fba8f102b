"""2-D convolutions as LLVM IR: forward, input gradient, weight gradient; all shapes at run time.

Tensors are dense: x[N, G*C, H, W], w[G*F, C, R, S], y[N, G*F, P, Q].  Entry points `conv_f32`,
`conv_input_f32`, `conv_weight_f32` (and f64) follow the kernel ABI and share their words:

     0 image     1 filter     2 out         addresses of x, w, y; for the gradients one of them
                                            is the result: conv_input writes `image`,
                                            conv_weight writes `filter`
     3 batch     4 groups     5 channels (C)   6 filters (F), both per group
     7 height    8 width      9 kernel_h   10 kernel_w  11 out_h  12 out_w
    13 stride_h 14 stride_w  15 top        16 left      17 dilation_h  18 dilation_w
    19 parts    20 flags     21 epilogue   22 context

Bottom and right padding follow from the output size; padding may be negative.  Flags 1: add to the
result.  Extents: batch * parts for conv and conv_input, where an image's pixels are cut into parts;
parts for conv_weight, where the patch entries are.  The epilogue, used by conv and conv_input, is
called as in gemm.py, rows being channels and columns pixels.  No result depends on the parts.

Forward is a product filter @ patches whose panels are cut from a padded copy of the image while
they are needed (see patches.py).  The input gradient is the forward pass over the output gradient,
spread by the stride, with filters flipped and transposed.  The weight gradient multiplies output
gradients with transposed panels of patches and adds up images in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..target import Target
from .gemm import ELEMENTS
from .patches import add_patches
from .text import NULL, Function, Module, Value, constant
from .tile import ACCUMULATE, Tile, add_tile_dispatch, call_tile_rows, tile_for

CONV_WORDS = ("image", "filter", "out", "batch", "groups", "channels", "filters", "height", "width",
              "kernel_h", "kernel_w", "out_h", "out_w", "stride_h", "stride_w", "top", "left",
              "dilation_h", "dilation_w", "parts", "flags", "epilogue", "context")
CONV_KINDS = ("conv", "conv_input", "conv_weight")
_POINTERS = ("image", "filter", "out", "epilogue", "context", "source", "to", "weights")
_STRIPS = 16                                # strips of pixels whose panels are packed together
_PARALLEL_WORK = 1 << 18
# What the common core of forward and input gradient works on.
_CORE_WORDS = ("source", "weights", "to", "groups", "channels", "rows", "columns", "filters",
               "kernel_h", "kernel_w", "out_h", "out_w", "stride_h", "stride_w", "top", "left",
               "dilation_h", "dilation_w", "spread_h", "spread_w", "parts", "flags", "epilogue",
               "context")


def conv_symbol(kind: str, dtype: str) -> str:
    """Name of the entry point: conv_symbol("conv_input", "f32") is conv_input_f32."""
    return f"{kind}_{dtype}"


@dataclass(frozen=True, slots=True)
class ConvShape:
    """Sizes of a convolution, in the order of the words."""

    batch: int
    groups: int
    channels: int
    filters: int
    height: int
    width: int
    kernel_h: int
    kernel_w: int
    out_h: int
    out_w: int
    stride_h: int
    stride_w: int
    top: int
    left: int
    dilation_h: int
    dilation_w: int

    def words(self) -> tuple[int, ...]:
        """Words 3 to 18."""
        return tuple(getattr(self, name) for name in CONV_WORDS[3:19])

    @property
    def entries(self) -> int:
        """Entries of a patch: channels times taps."""
        return self.channels * self.kernel_h * self.kernel_w

    def work(self) -> int:
        """Multiply-adds of one image."""
        return self.groups * self.filters * self.entries * self.out_h * self.out_w

    def parts(self, kind: str) -> tuple[int, int]:
        """Sensible (parts, grain)."""
        work = self.work()
        if kind == "conv_weight":
            parts = max(1, min(48, self.groups * self.entries // 8))
            return parts, -max(1, parts * _PARALLEL_WORK // max(1, work * self.batch))
        if self.batch >= 8:
            return 1, -max(1, _PARALLEL_WORK // max(1, work))
        parts = 16
        return parts, -max(1, parts * _PARALLEL_WORK // max(1, work))

    def scratch_bytes(self, kind: str, target: Target, dtype: str) -> int:
        """Scratch bytes a thread needs."""
        tile = tile_for(target, ELEMENTS[dtype])
        if kind == "conv_input":
            entries = self.filters * self.kernel_h * self.kernel_w
            size = (self.height, self.width, self.filters, 1, 1)
            extra = self.groups * self.channels * entries
        else:
            entries = self.entries
            size = (self.out_h, self.out_w, self.channels, self.stride_h, self.stride_w)
            extra = 0
        out_h, out_w, planes, stride_h, stride_w = size
        height = (max(out_h, 1) - 1) * stride_h + (self.kernel_h - 1) * self.dilation_h + 1
        width = (max(out_w, 1) - 1) * stride_w + (self.kernel_w - 1) * self.dilation_w + 1
        pitch = -(-width // stride_w) * stride_w
        padded = planes * height * pitch + stride_h * pitch + 4 * tile.width
        columns = max(_STRIPS * tile.width, entries + 2 * tile.width)
        panels = (tile.depth + tile.lanes) * columns
        return 8 * entries + (padded + panels + extra) * tile.bytes + 512


def conv_ir(target: Target, dtype: str) -> str:
    """Text of the object with the three entry points for one dtype."""
    tile = tile_for(target, ELEMENTS[dtype])
    module = Module(f"; 2-D convolution, {dtype}, tile {tile.rows}x{tile.width}")
    add_tile_dispatch(module, tile)
    add_patches(module, tile)
    _add_core(module, tile)
    _add_forward(module, conv_symbol("conv", dtype))
    _add_flip(module, tile)
    _add_input_gradient(module, tile, conv_symbol("conv_input", dtype))
    _add_weight_gradient(module, tile, conv_symbol("conv_weight", dtype))
    return str(module)


class _Words:
    """Words of an array, loaded once each, by name."""

    def __init__(self, f: Function, array: Value, names: tuple[str, ...]) -> None:
        self._values = {
            name: f.load("ptr" if name in _POINTERS else "i64", f.gep(array, i, "i64"))
            for i, name in enumerate(names)}

    def __getattr__(self, name: str) -> Value:
        return self._values[name]


class _Padded:
    """Geometry of the padded copy of the planes one group reads."""

    def __init__(self, f: Function, tile: Tile, g: _Words, scratch: Value) -> None:
        """Lays out scratch: patch offsets, padded planes, panels; zeroes the planes."""
        self.entries = f.mul(g.channels, f.mul(g.kernel_h, g.kernel_w))
        self.height = _extent(f, g.out_h, g.stride_h, g.kernel_h, g.dilation_h)
        self.width = _extent(f, g.out_w, g.stride_w, g.kernel_w, g.dilation_w)
        self.phase_width = f.ceil_div(self.width, g.stride_w)
        self.pitch = f.mul(self.phase_width, g.stride_w)
        self.plane = f.mul(self.height, self.pitch)
        self.row_step = f.mul(g.stride_h, self.pitch)
        self.pixels = f.mul(g.out_h, g.out_w)
        slack = f.add(self.row_step, 4 * tile.width)
        size = f.add(f.mul(self.plane, g.channels), slack)
        self.offsets = scratch
        self.planes = _aligned(f, f.gep(scratch, self.entries, "i64"))
        self.panels = _aligned(f, f.gep(self.planes, size, tile.element))
        f.memset(self.planes, 0, f.mul(size, tile.bytes), 64)
        f.call("patch_offsets", "void", self.offsets, g.channels, g.kernel_h, g.kernel_w,
               g.dilation_h, g.dilation_w, g.stride_w, self.phase_width, self.pitch, self.plane)

    def fill(self, f: Function, g: _Words, source: Value, to: Value, planes: Value, rows: Value,
             columns: Value, spread_h: Value, spread_w: Value) -> None:
        """Copy planes in."""
        f.call("pad_planes", "void", source, to, planes, rows, columns, g.top, g.left, spread_h,
               spread_w, self.height, self.width, g.stride_w, self.phase_width, self.pitch,
               self.plane)


def _extent(f: Function, out: Value, stride: Value, kernel: Value, dilation: Value) -> Value:
    """How many rows (or columns) of the image the filter touches."""
    last = f.mul(f.sub(out, 1), stride)
    return f.add(f.add(last, f.mul(f.sub(kernel, 1), dilation)), 1)


def _aligned(f: Function, pointer: Value) -> Value:
    address = f.and_(f.add(f.cast("ptrtoint", pointer, "i64"), 63), -64)
    return f.cast("inttoptr", address, "ptr")


def _part_runs(f: Function, lo: Value, hi: Value, parts: Value, units: Value,
               body: Callable[[Value, Value, Value], None]) -> None:
    """body(item, unit0, unit1) for runs of neighbouring parts of [lo, hi) within one item."""
    def run(at: Value) -> list[Value]:
        item, first = f.udiv(at, parts), f.urem(at, parts)
        count = f.smin(f.sub(hi, at), f.sub(parts, first))
        unit0 = f.udiv(f.mul(units, first), parts)
        unit1 = f.udiv(f.mul(units, f.add(first, count)), parts)
        with f.when(f.icmp("ult", unit0, unit1)):
            body(item, unit0, unit1)
        return [f.add(at, count)]

    f.while_loop([lo], lambda at: f.icmp("slt", at, hi), run)


def _blocks(f: Function, size: Value, most: int) -> Value:
    """Depth of the blocks that `size` is cut into: about equal, at most `most`, at least 1."""
    return f.smax(f.ceil_div(size, f.smax(f.ceil_div(size, most), 1)), 1)


def _add_core(module: Module, tile: Tile) -> None:
    """conv_core(words, lo, hi, scratch): filter @ patches over images and parts of their pixels."""
    f = module.function("conv_core", [("words", "ptr"), ("lo", "i64"), ("hi", "i64"),
                                      ("scratch", "ptr")], internal=True)
    array, lo, hi, scratch = f.parameters
    g = _Words(f, array, _CORE_WORDS)
    empty = f.or_(f.icmp("eq", f.mul(g.out_h, g.out_w), 0), f.icmp("sge", lo, hi))
    go, done = f.new_block("go"), f.new_block("done")
    f.jump_if(empty, done, go)
    f.start_block(go)
    padded = _Padded(f, tile, g, scratch)
    k, pixels = padded.entries, padded.pixels
    strips = f.ceil_div(pixels, tile.width)
    one = constant("i64", 1)
    depth_step = _blocks(f, k, tile.depth)
    a_step = f.mul(k, tile.rows)

    def image(item: Value, strip0: Value, strip1: Value) -> None:
        with f.loop(0, g.groups) as group:
            which = f.add(f.mul(item, g.groups), group.index)
            plane = f.mul(g.rows, g.columns)
            source = f.gep(g.source, f.mul(f.mul(which, g.channels), plane), tile.element)
            padded.fill(f, g, source, padded.planes, g.channels, g.rows, g.columns, g.spread_h,
                        g.spread_w)
            weights = f.gep(g.weights, f.mul(f.mul(group.index, g.filters), k), tile.element)
            to = f.gep(g.to, f.mul(f.mul(which, g.filters), pixels), tile.element)
            row0 = f.mul(group.index, g.filters)
            with f.loop(strip0, strip1, _STRIPS) as block:
                count = f.smin(f.sub(strip1, block.index), _STRIPS)
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
                call_tile_rows(f, a, k, one, a_step, rows, panel, constant("i64", tile.width), c,
                               pixels, depth, valid, add, constant("i64", 0))
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

    _part_runs(f, lo, hi, g.parts, strips, image)
    f.jump(done)
    f.start_block(done)
    f.ret()


def _call_core(f: Function, values: dict[str, Value], lo: Value, hi: Value,
               scratch: Value) -> None:
    array = f.alloca("i64", len(_CORE_WORDS))
    for i, name in enumerate(_CORE_WORDS):
        f.store(values[name], f.gep(array, i, "i64"))
    f.call("conv_core", "void", array, lo, hi, scratch)


def _entry(module: Module, name: str) -> tuple[Function, _Words, Value, Value, Value]:
    f = module.function(name, [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("scratch", "ptr")])
    args, lo, hi, scratch = f.parameters
    return f, _Words(f, args, CONV_WORDS), lo, hi, scratch


def _shared(g: _Words, *names: str) -> dict[str, Value]:
    return {name: getattr(g, name) for name in names}


def _add_forward(module: Module, name: str) -> None:
    f, g, lo, hi, scratch = _entry(module, name)
    one = constant("i64", 1)
    _call_core(f, {
        "source": g.image, "weights": g.filter, "to": g.out, "rows": g.height,
        "columns": g.width, "spread_h": one, "spread_w": one,
        **_shared(g, "groups", "channels", "filters", "kernel_h", "kernel_w", "out_h", "out_w",
                  "stride_h", "stride_w", "top", "left", "dilation_h", "dilation_w", "parts",
                  "flags", "epilogue", "context")}, lo, hi, scratch)
    f.ret()


def _add_flip(module: Module, tile: Tile) -> None:
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


def _add_input_gradient(module: Module, tile: Tile, name: str) -> None:
    f, g, lo, hi, scratch = _entry(module, name)
    one = constant("i64", 1)
    taps = f.mul(g.kernel_h, g.kernel_w)
    f.call("flip_filters", "void", g.filter, scratch, g.groups, g.filters, g.channels, taps)
    size = f.mul(f.mul(g.groups, f.mul(g.filters, g.channels)), taps)
    rest = _aligned(f, f.gep(scratch, size, tile.element))
    reach_h = f.mul(f.sub(g.kernel_h, 1), g.dilation_h)
    reach_w = f.mul(f.sub(g.kernel_w, 1), g.dilation_w)
    _call_core(f, {
        "source": g.out, "weights": scratch, "to": g.image, "channels": g.filters,
        "filters": g.channels, "rows": g.out_h, "columns": g.out_w, "out_h": g.height,
        "out_w": g.width, "stride_h": one, "stride_w": one, "top": f.sub(reach_h, g.top),
        "left": f.sub(reach_w, g.left), "spread_h": g.stride_h, "spread_w": g.stride_w,
        **_shared(g, "groups", "kernel_h", "kernel_w", "dilation_h", "dilation_w", "parts",
                  "flags", "epilogue", "context")}, lo, hi, rest)
    f.ret()


def _add_weight_gradient(module: Module, tile: Tile, name: str) -> None:
    f, g, lo, hi, scratch = _entry(module, name)
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
            _part_runs(f, lo, hi, g.parts, units, run)

    def start(group: Value, strip0: Value, strip1: Value) -> None:
        with f.when(f.icmp("eq", f.and_(g.flags, ACCUMULATE), 0)):
            clear(group, f.mul(strip0, tile.width), f.smin(f.mul(strip1, tile.width), entries))

    groups(start)
    some = f.and_(f.icmp("ne", pixels, 0), f.icmp("slt", lo, hi))
    with f.when(some):
        padded = _Padded(f, tile, g, scratch)
        depth_step = _blocks(f, pixels, tile.depth)
        a_step = f.mul(pixels, tile.rows)
        add = constant("i64", ACCUMULATE)

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
                with f.loop(0, pixels, depth_step) as pc, f.loop(strip0, strip1) as s:
                    depth = f.smin(f.sub(pixels, pc.index), depth_step)
                    entry = f.mul(s.index, tile.width)
                    valid = f.smin(f.sub(entries, entry), tile.width)
                    f.call("pack_patches_t", "void", padded.planes,
                           f.gep(padded.offsets, entry, "i64"), valid, pc.index, depth, pixels,
                           g.out_w, padded.row_step, padded.panels)
                    to = f.add(f.mul(f.mul(group, g.filters), entries), entry)
                    call_tile_rows(f, f.gep(gradient, pc.index, tile.element), pixels, one, a_step,
                                   g.filters, padded.panels, constant("i64", tile.width),
                                   f.gep(g.filter, to, tile.element), entries, depth, valid, add,
                                   zero_)

        groups(images)
    f.ret()
