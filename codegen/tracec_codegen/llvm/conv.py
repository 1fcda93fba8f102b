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

from collections.abc import Sequence
from dataclasses import dataclass

from ..target import Target
from .convforward import STRIPS, add_core, add_flip, call_forward, call_spread_gradient
from .convframe import CONV_WORDS, entry_point
from .convgradient import (
    COLUMN_ELEMENTS,
    add_scatter,
    call_scatter_gradient,
    call_weight_gradient,
)
from .depthwise import add_depthwise
from .gemm import parts_grain
from .patches import add_patches
from .text import Module
from .tile import ELEMENTS, Tile, tile_for

CONV_KINDS = ("conv", "conv_input", "conv_weight")
_FEW_CHANNELS = 12
_PARALLEL_WORK = 1 << 18


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
        own = self._scratch(tile, self.channels, self.out_h, self.out_w, self.stride_h,
                            self.stride_w)
        if kind != "conv_input":
            return own
        taps = self.kernel_h * self.kernel_w
        spread = self._scratch(tile, self.filters, self.height, self.width, 1, 1)
        spread += self.groups * self.channels * self.filters * taps * tile.bytes
        packed = (self.entries + tile.rows) * self.filters
        patches = max(COLUMN_ELEMENTS, self.entries * tile.width)
        return max(spread, own + (packed + patches) * tile.bytes)

    def _scratch(self, tile: Tile, planes: int, out_h: int, out_w: int, stride_h: int,
                 stride_w: int) -> int:
        """Bytes of patch offsets, padded planes and panels."""
        entries = planes * self.kernel_h * self.kernel_w
        height = (max(out_h, 1) - 1) * stride_h + (self.kernel_h - 1) * self.dilation_h + 1
        width = (max(out_w, 1) - 1) * stride_w + (self.kernel_w - 1) * self.dilation_w + 1
        pitch = -(-width // stride_w) * stride_w
        padded = planes * height * pitch + stride_h * pitch + 4 * tile.width
        panels = (tile.depth + tile.lanes) * STRIPS * tile.width
        return 8 * entries + (padded + panels) * tile.bytes + 512


def call_needs(symbol: str, target: Target, words: Sequence[int],
               extent: int) -> tuple[int, int]:
    """(scratch bytes a thread, grain) of a call whose words are known; addresses may be 0."""
    kind, _, dtype = symbol.rpartition("_")
    shape = ConvShape(*words[3:19])
    parts = words[CONV_WORDS.index("parts")]
    work = shape.work() * (shape.batch if kind == "conv_weight" else 1)
    return shape.scratch_bytes(kind, target, dtype), parts_grain(work, parts, extent)


def conv_ir(target: Target, dtype: str) -> str:
    """Text of the object with the three entry points for one dtype."""
    tile = tile_for(target, ELEMENTS[dtype])
    module = Module(f"; 2-D convolution, {dtype}, tile {tile.rows}x{tile.width}")
    add_patches(module, tile)
    add_depthwise(module, tile)
    add_core(module, tile)
    add_flip(module, tile)
    add_scatter(module, tile)
    f, g, lo, hi, scratch = entry_point(module, conv_symbol("conv", dtype))
    call_forward(f, g, lo, hi, scratch)
    f.ret()
    _add_input_gradient(module, tile, conv_symbol("conv_input", dtype))
    f, g, lo, hi, scratch = entry_point(module, conv_symbol("conv_weight", dtype))
    call_weight_gradient(f, g, tile, lo, hi, scratch)
    f.ret()
    return str(module)


def _add_input_gradient(module: Module, tile: Tile, name: str) -> None:
    """Chooses the way: scattering wastes nothing on strides and does little packing per channel."""
    f, g, lo, hi, scratch = entry_point(module, name)
    strided = f.icmp("ne", f.mul(g.stride_h, g.stride_w), 1)
    depthwise = f.and_(f.icmp("eq", g.channels, 1), f.icmp("eq", g.filters, 1))
    few = f.and_(f.icmp("ule", g.channels, _FEW_CHANNELS), f.not_(depthwise))
    some = f.and_(f.icmp("ne", f.mul(g.out_h, g.out_w), 0), f.icmp("slt", lo, hi))
    f.branch(f.and_(f.or_(strided, few), some),
             lambda: call_scatter_gradient(f, g, tile, lo, hi, scratch),
             lambda: call_spread_gradient(f, g, tile, lo, hi, scratch))
    f.ret()
