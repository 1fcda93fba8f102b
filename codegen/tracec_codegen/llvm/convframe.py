"""What the convolution kernels share: argument words, padded planes, the cutting into parts."""

from __future__ import annotations

from collections.abc import Callable

from .text import Function, Module, Value
from .tile import Tile

CONV_WORDS = ("image", "filter", "out", "batch", "groups", "channels", "filters", "height", "width",
              "kernel_h", "kernel_w", "out_h", "out_w", "stride_h", "stride_w", "top", "left",
              "dilation_h", "dilation_w", "parts", "flags", "epilogue", "context")
_POINTERS = ("image", "filter", "out", "epilogue", "context", "source", "to", "weights")


class Words:
    """Words of an array, loaded once each, by name."""

    def __init__(self, f: Function, array: Value, names: tuple[str, ...]) -> None:
        self._values = {
            name: f.load("ptr" if name in _POINTERS else "i64", f.gep(array, i, "i64"))
            for i, name in enumerate(names)}

    def __getattr__(self, name: str) -> Value:
        return self._values[name]


class Padded:
    """Geometry of the padded copy of the planes one group reads."""

    def __init__(self, f: Function, tile: Tile, g: Words, scratch: Value) -> None:
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
        self.planes = aligned_pointer(f, f.gep(scratch, self.entries, "i64"))
        self.panels = aligned_pointer(f, f.gep(self.planes, size, tile.element))
        f.memset(self.planes, 0, f.mul(size, tile.bytes), 64)
        f.call("patch_offsets", "void", self.offsets, g.channels, g.kernel_h, g.kernel_w,
               g.dilation_h, g.dilation_w, g.stride_w, self.phase_width, self.pitch, self.plane)

    def fill(self, f: Function, g: Words, source: Value, to: Value, planes: Value, rows: Value,
             columns: Value, spread_h: Value, spread_w: Value) -> None:
        """Copy planes in."""
        f.call("pad_planes", "void", source, to, planes, rows, columns, g.top, g.left, spread_h,
               spread_w, self.height, self.width, g.stride_w, self.phase_width, self.pitch,
               self.plane)


def _extent(f: Function, out: Value, stride: Value, kernel: Value, dilation: Value) -> Value:
    """How many rows (or columns) of the image the filter touches."""
    last = f.mul(f.sub(out, 1), stride)
    return f.add(f.add(last, f.mul(f.sub(kernel, 1), dilation)), 1)


def aligned_pointer(f: Function, pointer: Value) -> Value:
    address = f.and_(f.add(f.cast("ptrtoint", pointer, "i64"), 63), -64)
    return f.cast("inttoptr", address, "ptr")


def part_runs(f: Function, lo: Value, hi: Value, parts: Value, units: Value,
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


def block_depth(f: Function, size: Value, most: int) -> Value:
    """Depth of the blocks that `size` is cut into: about equal, at most `most`, at least 1."""
    return f.smax(f.ceil_div(size, f.smax(f.ceil_div(size, most), 1)), 1)


def entry_point(module: Module, name: str) -> tuple[Function, Words, Value, Value, Value]:
    """An entry point of the kernel ABI: function, words, lo, hi, scratch."""
    f = module.function(name, [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("scratch", "ptr")])
    args, lo, hi, scratch = f.parameters
    return f, Words(f, args, CONV_WORDS), lo, hi, scratch
