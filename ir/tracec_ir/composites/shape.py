"""Rearrangements that make new tensors: joining, repeating, rolling, padding, pixel shuffles."""

from __future__ import annotations

from .. import dims, promote
from ..builder import Builder
from ..core import Value
from ..optable import composite
from .common import axes, axis, concat, flip_axis, numel, shape_text, swap, take, unsqueeze
from .common import pad as pad_by
from .samples import each, of


@composite(samples=each(of("f3x2", "f3x4", dim=1), of("i3<4", "f2")))
def cat(b, *xs, dim=0):
    """The tensors one after the other along `dim`; empty 1-d tensors do not count."""
    kept = [x for x in xs if tuple(x.shape) != (0,)]
    work = promote.result_type([x.type for x in xs])
    if any(x.rank == 0 for x in xs):
        i = next(i for i, x in enumerate(xs) if x.rank == 0)
        raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    if not kept:
        return b.cast(xs[0], work)
    first = kept[0]
    ax = axis(first, dim)
    for i, x in enumerate(kept[1:], 1):
        if x.rank != first.rank:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.rank} and {x.rank}"
            )
        for d in range(x.rank):
            if d != ax and not dims.same(x.shape[d], first.shape[d]):
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {ax}. Expected size "
                    f"{first.shape[d]} but "
                    f"got size {x.shape[d]} for tensor number {i} in the list."
                )
    return concat(b, [b.cast(x, work) for x in kept], ax)


@composite(samples=of("f3x4", "f3x4", dim=-1))
def stack(b, *xs, dim=0):
    """The tensors along a new dimension `dim`."""
    ax = axis(xs[0], dim, 1)
    for i, x in enumerate(xs):
        if x.rank != xs[0].rank or any(
            not dims.same(m, n) for m, n in zip(x.shape, xs[0].shape, strict=True)
        ):
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {shape_text(xs[0].shape)} "
                "at entry 0 and "
                f"{shape_text(x.shape)} at entry {i}"
            )
    work = promote.result_type([x.type for x in xs])
    return concat(b, [unsqueeze(b, b.cast(x, work), ax) for x in xs], ax)


@composite(samples=of("f2x3x4", dims=(0, 2)))
def flip(b, x, *, dims):
    """x reversed along the dimensions `dims`."""
    for ax in axes(x, tuple(dims)) if dims else ():
        x = flip_axis(b, x, ax)
    return x


@composite(samples=of("f3x4", shifts=(1, -2), dims=(0, 1)))
def roll(b, x, *, shifts, dims):
    """x moved cyclically by `shifts` along `dims` (the flat tensor where `dims` is empty)."""
    if not shifts:
        raise RuntimeError("`shifts` required")
    if not dims:
        if len(shifts) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:0")
        return b.reshape(_rolled(b, b.reshape(x, (numel(x),)), shifts[0], 0), x.shape)
    if len(shifts) != len(dims):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}"
        )
    if not x.rank:
        raise IndexError(f"Dimension specified as {dims[0]} but tensor has no dimensions")
    for shift, dim in zip(shifts, dims, strict=True):
        x = _rolled(b, x, shift, axis(x, dim))
    return x


def _rolled(b: Builder, x: Value, shift: int, ax: int) -> Value:
    n = x.shape[ax]
    if n == 0:
        return x
    if dims.is_static(n):
        at = -shift % n
    else:  # near enough to 0 it is a plain size
        at = -shift if shift <= 0 else n - shift
        if not (dims.decide("<=", 0, at) and dims.decide("<", at, n)):
            at = dims.mod(-shift, n)
    if at == 0:
        return x
    return concat(b, [take(b, x, ax, at, n), take(b, x, ax, 0, at)], ax)


@composite(samples=of("f3x4"))
def rot90(b, x, *, k=1, dims=(0, 1)):
    """x turned by k quarter turns in the plane of two dimensions."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if x.rank < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {x.rank}")
    i, j = axis(x, dims[0]), axis(x, dims[1])
    if i == j:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    turns = k % 4
    if turns == 1:
        return swap(b, flip_axis(b, x, j), i, j)
    if turns == 2:
        return flip_axis(b, flip_axis(b, x, i), j)
    if turns == 3:
        return flip_axis(b, swap(b, x, i, j), j)
    return x


@composite(samples=of("f3x4", sizes=(2, 1, 3)))
def repeat(b, x, *, sizes):
    """x laid out sizes[i] times along each dimension; leading sizes add dimensions."""
    if len(sizes) < x.rank:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any(isinstance(n, int) and n < 0 for n in sizes):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(sizes)}: {shape_text(sizes)}"
        )
    shape = (1,) * (len(sizes) - x.rank) + tuple(x.shape)
    spread = [d for n, s in zip(sizes, shape, strict=True) for d in (n, s)]
    thin = [d for s in shape for d in (1, s)]
    y = b.broadcast_to(b.reshape(x, thin), tuple(spread))
    return b.reshape(y, [n * s for n, s in zip(sizes, shape, strict=True)])


@composite(samples=of("f3x4", pad=(1, -1, 2, 0), value=3.0))
def constant_pad_nd(b, x, *, pad, value=0.0):
    """x with `value` around it; pairs of amounts from the last dimension on, negative ones crop."""
    low, high = _pad_pairs(x, pad)
    for i, (lo, hi) in enumerate(zip(low, high, strict=True)):
        n = x.shape[i] + lo + hi
        if isinstance(n, int) and n < 0:
            raise RuntimeError(
                f"The input size {x.shape[i]}, plus negative padding {lo} and {hi} resulted in a "
                "negative output "
                f"size, which is invalid. Check dimension {i} of your input."
            )
    return pad_by(b, x, low, high, value)


def _pad_pairs(x: Value, amounts) -> tuple[list, list]:
    if len(amounts) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(amounts)}")
    k = len(amounts) // 2
    if k > x.rank:
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. "
            "Pad length is "
            f"{len(amounts)} while the input has {x.rank} dimensions."
        )
    low, high = [0] * x.rank, [0] * x.rank
    for i in range(k):
        low[x.rank - 1 - i], high[x.rank - 1 - i] = amounts[2 * i], amounts[2 * i + 1]
    return low, high


@composite(
    autocast="single",
    samples=each(
        of("f2x3x5", pad=(1, 2), mode="reflect"),
        of("f1x2x3x4", pad=(2, 1, 1, 2), mode="replicate"),
        of("f2x3x5", pad=(1, 2), mode="circular"),
    ),
)
def pad_mode(b, x, *, pad, mode):
    """x continued beyond its borders: "reflect", "replicate" or "circular"."""
    low, high = _pad_pairs(x, pad)
    for ax in range(x.rank):
        if low[ax] or high[ax]:
            x = _continued(b, x, ax, low[ax], high[ax], mode)
    return x


def _continued(b: Builder, x: Value, ax: int, low: int, high: int, mode: str) -> Value:
    n = x.shape[ax]
    if low < 0 or high < 0:
        x = take(b, x, ax, max(-low, 0), n - max(-high, 0))
        low, high, n = max(low, 0), max(high, 0), x.shape[ax]
    parts = [x]
    if mode == "replicate":
        if low:
            parts.insert(0, _stretched(b, take(b, x, ax, 0, 1), ax, low))
        if high:
            parts.append(_stretched(b, take(b, x, ax, n - 1, n), ax, high))
    elif mode == "reflect":
        if low >= n or high >= n:
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input "
                "dimension, but got: padding "
                f"({low}, {high}) at dimension {ax} of input {shape_text(x.shape)}"
            )
        if low:
            parts.insert(0, flip_axis(b, take(b, x, ax, 1, low + 1), ax))
        if high:
            parts.append(flip_axis(b, take(b, x, ax, n - 1 - high, n - 1), ax))
    elif mode == "circular":
        if low > n or high > n:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if low:
            parts.insert(0, take(b, x, ax, n - low, n))
        if high:
            parts.append(take(b, x, ax, 0, high))
    else:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return concat(b, parts, ax)


def _stretched(b: Builder, x: Value, ax: int, n: int) -> Value:
    return b.broadcast_to(x, (*x.shape[:ax], n, *x.shape[ax + 1 :]))


@composite(samples=of("f1x8x2x3", upscale_factor=2))
def pixel_shuffle(b, x, *, upscale_factor):
    """Groups of r * r channels as blocks of r x r pixels."""
    r = upscale_factor
    if x.rank < 3:
        raise RuntimeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with "
            f"{x.rank} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = x.shape
    if not dims.same(c % (r * r), 0):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            "of upscale_factor, "
            f"but input.size(-3)={c} is not divisible by {r * r}"
        )
    k = len(lead)
    y = b.reshape(x, (*lead, c // (r * r), r, r, h, w))
    y = b.permute(y, [*range(k), k, k + 3, k + 1, k + 4, k + 2])
    return b.reshape(y, (*lead, c // (r * r), h * r, w * r))


@composite(samples=of("f1x2x4x6", downscale_factor=2))
def pixel_unshuffle(b, x, *, downscale_factor):
    """Blocks of r x r pixels as groups of r * r channels."""
    r = downscale_factor
    if x.rank < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{x.rank} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = x.shape
    for size, name, i in ((h, "height", -2), (w, "width", -1)):
        if not dims.same(size % r, 0):
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({i})={size} is "
                f"not divisible by {r}"
            )
    k = len(lead)
    y = b.reshape(x, (*lead, c, h // r, r, w // r, r))
    y = b.permute(y, [*range(k), k, k + 2, k + 4, k + 1, k + 3])
    return b.reshape(y, (*lead, c * r * r, h // r, w // r))


@composite(samples=of("f1x4x2x3", groups=2))
def channel_shuffle(b, x, *, groups):
    """The channels of the groups interleaved."""
    if x.rank < 3:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{shape_text(x.shape)}"
        )
    n, c, *rest = x.shape
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if not dims.same(c % groups, 0):
        raise RuntimeError("Number of channels must be divisible by groups. Got "
                           f"{c} channels and {groups} groups.")  # fmt: skip
    y = b.reshape(x, (n, groups, c // groups, *rest))
    return b.reshape(swap(b, y, 1, 2), x.shape)


@composite(samples=of("f1x4", size=(3, 4)))
def expand_copy(b, x, *, size):
    """x repeated to a shape, as a fresh tensor."""
    return b.broadcast_to(x, tuple(size))
