"""Pooling: maxima and means over windows, strided or to given output sizes; unpooling."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..dims import Dim
from ..optable import composite
from .common import INF, iota, iota_along, masked, same_shape, shape_text, where, wide
from .common import size as operand
from .index import gather_positions
from .pool_checks import check_adaptive, check_input, check_windows, out_sizes
from .samples import each, of


def _tiles(x: Value, kernel, stride, padding, dilation, out) -> bool:
    """Whether the windows are disjoint and inside x: a reshape, then a reduction."""
    n = len(kernel)
    return (
        tuple(kernel) == tuple(stride)
        and not any(padding)
        and all(d == 1 or k == 1 for d, k in zip(dilation, kernel, strict=True))
        and all(o * k <= s for o, k, s in zip(out, kernel, x.shape[-n:], strict=True))
    )


def _blocked(b: Builder, x: Value, kernel, out) -> tuple[Value, tuple[int, ...]]:
    """x cropped to whole windows as [.., o1, k1, o2, k2, ..], and the window axes."""
    n = len(kernel)
    lead = x.shape[: x.rank - n]
    stops = (*lead, *(o * k for o, k in zip(out, kernel, strict=True)))
    if tuple(stops) != tuple(x.shape):
        x = b.emit1("slice", x, starts=(0,) * x.rank, stops=stops, steps=(1,) * x.rank)
    shape = [*lead, *(d for o, k in zip(out, kernel, strict=True) for d in (o, k))]
    return b.reshape(x, shape), tuple(len(lead) + 1 + 2 * i for i in range(n))


def _windows(
    b: Builder, x: Value, kernel, stride, padding, dilation, out, fill
) -> Iterator[tuple[tuple, Value]]:
    """For each place in the window, in row-major order: its offsets and the slice of x it reads."""
    n = len(kernel)
    lead = x.rank - n
    sizes = x.shape[lead:]
    reach = [
        (o - 1) * s + (k - 1) * d + 1
        for o, s, k, d in zip(out, stride, kernel, dilation, strict=True)
    ]
    low = [0] * lead + list(padding)
    high = [0] * lead + [r - p - s for r, p, s in zip(reach, padding, sizes, strict=True)]
    if any(v != 0 for v in (*low, *high)):
        x = b.emit1(
            "pad",
            x,
            b.const(fill, x.dtype),
            low=tuple(low),
            high=tuple(high),
            interior=(0,) * x.rank,
        )
    for place in _places(kernel):
        start = [i * d for i, d in zip(place, dilation, strict=True)]
        stop = [a + (o - 1) * s + 1 for a, o, s in zip(start, out, stride, strict=True)]
        yield place, b.emit1(
            "slice", x, starts=(0,) * lead + tuple(start), stops=(*x.shape[:lead], *stop),
            steps=(1,) * lead + tuple(stride),
        )  # fmt: skip


def _places(kernel):
    places: list[tuple] = [()]
    for k in kernel:
        places = [(*p, i) for p in places for i in range(k)]
    return places


def _lowest(dtype) -> float:
    return -INF if dtype.kind == "f" else (0 if dtype.kind == "u" else -(2 ** (dtype.bits - 1)))


def _is_best(b: Builder, part: Value, best: Value) -> Value:
    hit = b.eq(part, best)
    return b.logical_or(hit, b.isnan(part)) if part.dtype.kind == "f" else hit


def _first_places(b: Builder, x: Value, y: Value, attrs: dict, out) -> Value:
    """The number (row-major) of the first place in each window that holds the maximum y."""
    kernel = attrs["kernel_size"]
    settings = kernel, attrs["stride"], attrs["padding"], attrs["dilation"]
    total = dims.product(kernel)
    if _tiles(x, *settings, out):
        blocks, over = _blocked(b, x, kernel, out)
        hit = _is_best(
            b, blocks, b.reshape(y, [1 if i in over else s for i, s in enumerate(blocks.shape)])
        )
        number = _place_numbers(b, blocks.rank, kernel, over)
        return b.reduce(where(b, hit, number, b.const(total, dtypes.i32)), "min", over)
    first = b.full(total, dtypes.i32, y.shape)
    parts = list(_windows(b, x, *settings, out, _lowest(x.dtype)))
    for k in range(len(parts) - 1, -1, -1):
        first = where(b, _is_best(b, parts[k][1], y), b.const(k, dtypes.i32), first)
    return first


def _place_numbers(b: Builder, rank: int, kernel, over) -> Value:
    """Row-major numbers of the places in a window, along the window axes."""
    number: Any = None
    weight = 1
    for a, k in reversed(list(zip(over, kernel, strict=True))):
        part = b.mul(iota_along(b, rank, a, k, dtypes.i32), b.const(weight, dtypes.i32))
        number = part if number is None else b.add(part, number)
        weight *= k
    return number


# The gradient goes to the first maximum of each window; ties (common after relu) are not shared.
def _max_pool_vjp(b: Builder, op: Op, g: Value | None, *_):
    if g is None:
        return [None]
    x, y = op.operands[0], op.results[0]
    attrs = op.attrs
    kernel = attrs["kernel_size"]
    n = len(kernel)
    out = y.shape[-n:]
    settings = kernel, attrs["stride"], attrs["padding"], attrs["dilation"]
    first = _first_places(b, x, y, attrs, out)
    if _tiles(x, *settings, out):
        return [_spread(b, x, first, g, kernel, out)]
    total: Any = None
    for number, place in enumerate(_places(kernel)):
        part = masked(b, b.eq(first, b.const(number, dtypes.i32)), g)
        part = _place_back(b, part, x, place, *settings[1:])
        total = part if total is None else b.add(total, part)
    return [total]


def _spread(b: Builder, x: Value, first: Value, g: Value, kernel, out) -> Value:
    """g at the first maximum of each disjoint window, zero elsewhere."""
    n = len(kernel)
    lead = x.shape[: x.rank - n]
    over = tuple(len(lead) + 1 + 2 * i for i in range(n))
    thin = [*lead, *(d for o in out for d in (o, 1))]
    number = _place_numbers(b, len(thin), kernel, over)
    y = masked(b, b.eq(number, b.reshape(first, thin)), b.reshape(g, thin))
    used = [o * k for o, k in zip(out, kernel, strict=True)]
    y = b.reshape(y, (*lead, *used))
    high = [0] * len(lead) + [s - u for s, u in zip(x.shape[len(lead) :], used, strict=True)]
    if any(h != 0 for h in high):
        y = b.emit1(
            "pad",
            y,
            b.const(0, y.dtype),
            low=(0,) * x.rank,
            high=tuple(high),
            interior=(0,) * x.rank,
        )
    return y


def _place_back(b: Builder, part: Value, x: Value, place, stride, padding, dilation) -> Value:
    """A window place's gradient back where its slice was read."""
    n = len(place)
    lead = x.rank - n
    low, high, gaps = [0] * lead, [0] * lead, [0] * lead
    for i in range(n):
        o, s, size = part.shape[lead + i], stride[i], x.shape[lead + i]
        start = place[i] * dilation[i] - padding[i]
        low.append(start)
        high.append(size - start - (o - 1) * s - 1)
        gaps.append(s - 1)
    return b.emit1(
        "pad", part, b.const(0, part.dtype), low=tuple(low), high=tuple(high), interior=tuple(gaps)
    )


def _max_pool(
    b: Builder, x: Value, kernel, stride, padding, dilation, ceil_mode, row: bool = False
) -> Value:
    out = out_sizes(x, kernel, stride, padding, dilation, ceil_mode, row)
    if _tiles(x, kernel, stride, padding, dilation, out):
        blocks, over = _blocked(b, x, kernel, out)
        return b.reduce(blocks, "max", over)
    best: Any = None
    for _, part in _windows(b, x, kernel, stride, padding, dilation, out, _lowest(x.dtype)):
        best = part if best is None else b.maximum(best, part)
    return best


def _flat_positions(b: Builder, first: Value, x: Value, attrs: dict) -> Value:
    """Window places as positions in the flattened spatial dimensions of x."""
    kernel, n = attrs["kernel_size"], len(attrs["kernel_size"])
    rest = b.cast(first, dtypes.i64)
    position: Any = None
    scale: Dim = 1
    lead = x.rank - n
    for i in range(n - 1, -1, -1):
        k = b.full(kernel[i], dtypes.i64, first.shape)
        inside = b.fmod(rest, k)
        rest = b.idiv(rest, k)
        start = b.mul(
            iota_along(b, first.rank, lead + i, first.shape[lead + i]), attrs["stride"][i]
        )
        at = b.add(b.sub(start, attrs["padding"][i]), b.mul(inside, attrs["dilation"][i]))
        if position is None:
            position, scale = at, x.shape[lead + i]
        else:
            position = b.add(position, b.mul(at, operand(b, scale)))
            scale = scale * x.shape[lead + i]
    return position


def _declare(n: int) -> None:
    one, zero = (1,) * n, (0,) * n
    single = "single" if n == 3 else ""
    image = "x".join(("f1", "2" if n < 3 else "1", *"444"[:n]))
    two: dict = {"kernel_size": (2,) * n, "stride": (2,) * n}
    wide_windows = {"kernel_size": (3,) * n, "stride": (2,) * n, "padding": one}
    overlapping = two | {"padding": one} if n == 3 else wide_windows
    parts = of(image, output_size=(3,) * n if n < 3 else (2, 3, 2))

    @composite(
        f"max_pool{n}d",
        vjp=_max_pool_vjp,
        autocast=single,
        samples=each(of(image, **two), of(image, **overlapping)),
    )
    def max_pool(b, x, *, kernel_size, stride, padding=zero, dilation=one, ceil_mode=False):
        """The maxima of the windows over the trailing spatial dimensions."""
        if n > 1:
            check_windows(kernel_size, stride, padding, dilation)
        check_input(x, n, f"max_pool{n}d")
        if n == 1:
            check_windows(kernel_size, stride, padding, dilation, row=True)
        return _max_pool(b, x, kernel_size, stride, padding, dilation, ceil_mode, n == 1)

    @composite(
        f"max_pool{n}d_with_indices", vjp=_max_pool_vjp, autocast=single, samples=of(image, **two)
    )
    def max_pool_with_indices(
        b, x, *, kernel_size, stride, padding=zero, dilation=one, ceil_mode=False
    ):
        """The maxima of the windows and where they are in the flattened spatial dimensions."""
        check_windows(kernel_size, stride, padding, dilation)
        check_input(x, n, f"max_pool{n}d")
        y = _max_pool(b, x, kernel_size, stride, padding, dilation, ceil_mode)
        attrs = {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
        }
        return y, _flat_positions(b, _first_places(b, x, y, attrs, y.shape[-n:]), x, attrs)

    @composite(
        f"avg_pool{n}d",
        autocast=single,
        samples=each(of(image, **two), of(image, **overlapping, count_include_pad=False)),
    )
    def avg_pool(
        b, x, *, kernel_size, stride, padding=zero, ceil_mode=False, count_include_pad=True,
        divisor_override=None,
    ):  # fmt: skip
        """The means of the windows over the trailing spatial dimensions."""
        check_windows(kernel_size, stride, padding, one)
        check_input(x, n, f"avg_pool{n}d")
        return _avg_pool(
            b, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )

    @composite(f"adaptive_avg_pool{n}d", autocast=single, samples=parts)
    def adaptive_avg_pool(b, x, *, output_size):
        """Means over windows that divide the input into `output_size` parts (None: all)."""
        check_adaptive(x, output_size, n, f"adaptive_avg_pool{n}d")
        y = x
        for i, o in enumerate(_resolved(x, output_size, n)):
            y = _adaptive_mean(b, y, x.rank - n + i, o)
        return y

    @composite(f"adaptive_max_pool{n}d", autocast=single, samples=parts)
    def adaptive_max_pool(b, x, *, output_size):
        """Maxima over windows that divide the input into `output_size` parts, and positions."""
        check_adaptive(x, output_size, n, f"adaptive_max_pool{n}d")
        return _adaptive_max(b, x, _resolved(x, output_size, n))

    def places() -> np.ndarray:
        return np.arange(2 * 2**n).reshape(1, 2, *(2,) * n) % 2**n

    pooled = "x".join(("f1", "2", *"222"[:n]))

    @composite(
        f"max_unpool{n}d",
        autocast="single" if n > 1 else "",
        samples=of(pooled, places, output_size=(4,) * n),
    )
    def max_unpool(b, x, indices, *, output_size):
        """Zeros of `output_size` with the elements of x at the positions that max_pool gave."""
        return _unpool(b, x, indices, output_size)


def _avg_pool(b, x, kernel, stride, padding, ceil_mode, count_include_pad, divisor) -> Value:
    n = len(kernel)
    ones = (1,) * n
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    out = out_sizes(x, kernel, stride, padding, ones, ceil_mode)
    area = dims.product(kernel)
    if x.dtype.kind in "biu":
        z = x
    else:
        z = wide(b, x)
    if _tiles(z, kernel, stride, padding, ones, out):
        blocks, over = _blocked(b, z, kernel, out)
        total: Any = b.reduce(blocks, "sum", over)
    else:
        total = None
        for _, part in _windows(b, z, kernel, stride, padding, ones, out, 0):
            total = part if total is None else b.add(total, part)
    if divisor is not None:
        n_in = divisor
    else:
        n_in = _window_counts(
            b, x, out, kernel, stride, padding, ceil_mode, count_include_pad, z.dtype
        )
        n_in = area if n_in is None else n_in
    y = b.div(total, n_in) if z.dtype.kind in "fc" else b.div_trunc(total, n_in)
    return b.cast(y, x.dtype)


def _window_counts(b, x, out, kernel, stride, padding, ceil_mode, count_include_pad, dtype):
    """How many elements each window counts; None where that is all of them everywhere."""
    n = len(kernel)
    if not (ceil_mode or any(padding) and not count_include_pad):
        return None
    total: Any = None
    for i, (k, s, p) in enumerate(zip(kernel, stride, padding, strict=True)):
        length = x.shape[x.rank - n + i]
        start = b.sub(b.mul(iota_along(b, n, i, out[i]), s), p)
        # a window never reaches beyond the padding on the right
        end = b.minimum(b.add(start, k), operand(b, length + p))
        if not count_include_pad:
            start, end = b.maximum(start, 0), b.minimum(end, operand(b, length))
        count = b.cast(b.sub(end, start), dtype)
        total = count if total is None else b.mul(total, count)
    return total


# -- adaptive -------------------------------------------------------------------------------------
def _resolved(x: Value, output_size, n: int) -> list[Dim]:
    sizes = x.shape[x.rank - n :]
    return [s if o is None else o for o, s in zip(output_size, sizes, strict=True)]


def _bounds(b: Builder, size: Dim, out: Dim) -> tuple[Value, Value]:
    """Where the windows start and end: floor(i * size / out), ceil((i + 1) * size / out)."""
    i = iota(b, out)
    n = operand(b, out)
    length = operand(b, size)
    start = b.floor_divide(b.mul(i, length), n)
    return start, b.floor_divide(b.add(b.mul(b.add(i, 1), length), b.sub(n, 1)), n)


def _adaptive_mean(b: Builder, x: Value, ax: int, out: Dim) -> Value:
    """The means of `out` windows along one axis (the pooling of several axes is separable)."""
    size = x.shape[ax]
    if dims.same(size, out):
        return x
    z = wide(b, x)
    if isinstance(out, int) and out and dims.same(size % out, 0):
        k = size // out
        blocks = b.reshape(z, (*x.shape[:ax], out, k, *x.shape[ax + 1 :]))
        return b.cast(b.mean(blocks, dim=(ax + 1,)), x.dtype)
    windows, inside, length = _adaptive_windows(b, z, ax, out)
    total = b.reduce(masked(b, inside, windows), "sum", (ax + 1,))
    shape: list[Dim] = [1] * x.rank
    shape[ax] = out
    return b.cast(b.div(total, b.reshape(b.cast(length, z.dtype), shape)), x.dtype)


def _adaptive_windows(b: Builder, x: Value, ax: int, out: Dim) -> tuple[Value, Value, Value]:
    """x with axis `ax` read as [out, widest window], what of that counts, and window lengths."""
    size = x.shape[ax]
    start, end = _bounds(b, size, out)
    widest = (size + out - 1) // out + (0 if dims.same(size % out, 0) else 1)
    at = b.add(b.reshape(start, (out, 1)), b.reshape(iota(b, widest), (1, widest)))
    inside = b.lt(at, b.reshape(end, (out, 1)))
    at = b.minimum(at, b.sub(operand(b, size), 1))
    y = b.emit1("gather", x, b.broadcast_to(at, (out, widest)), axes=(ax,))
    perm = [*range(2, 2 + ax), 0, 1, *range(2 + ax, y.rank)]
    shape: list[Dim] = [1] * y.rank
    shape[ax], shape[ax + 1] = out, widest
    return b.permute(y, perm), b.reshape(inside, shape), b.sub(end, start)


def _adaptive_max(b: Builder, x: Value, out) -> tuple[Value, Value]:
    """Maxima and positions, one axis after the other; the first maximum in row-major order wins."""
    n = len(out)
    lead = x.rank - n
    value = x
    position: Any = None
    for i in range(n - 1, -1, -1):
        ax = lead + i
        if n > 1 and any(o == 0 for o in out):
            break
        windows, inside, _ = _adaptive_windows(b, value, ax, out[i])
        windows = where(b, inside, windows, b.const(_lowest(x.dtype), x.dtype))
        best = b.emit1("argreduce", windows, kind="max", axis=ax + 1)
        best = b.reshape(best, (*best.shape[: ax + 1], 1, *best.shape[ax + 1 :]))
        value = gather_positions(b, windows, best, ax + 1)
        value = b.reshape(value, (*value.shape[: ax + 1], *value.shape[ax + 2 :]))
        start, _ = _bounds(b, x.shape[ax], out[i])
        shape: list[Dim] = [1] * x.rank
        shape[ax] = out[i]
        own = b.add(b.reshape(start, shape), b.reshape(best, value.shape))
        if position is None:
            position = own
        else:
            kept, _, _ = _adaptive_windows(b, position, ax, out[i])
            kept = b.reshape(gather_positions(b, kept, best, ax + 1), value.shape)
            row = dims.product(x.shape[ax + 1 :])
            position = b.add(b.mul(own, operand(b, row)), kept)
    if position is None:
        empty = (*x.shape[:lead], *out)
        return b.full(0, x.dtype, empty), b.full(0, dtypes.i64, empty)
    return value, position


def _unpool(b: Builder, x: Value, indices: Value, output_size) -> Value:
    n = len(output_size)
    if indices.dtype is not dtypes.i64:
        raise RuntimeError(
            "elements in indices should be type int64 but got: " + indices.dtype.name
        )
    if not same_shape(x.shape, indices.shape):
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({shape_text(x.shape)}) but got "
            f"indices tensor with shape: {shape_text(indices.shape)}"
        )
    lead = x.shape[: x.rank - n]
    planes, inner = dims.product(lead), dims.product(x.shape[x.rank - n :])
    area = dims.product(output_size)
    rows = b.broadcast_to(iota_along(b, 2, 0, planes), (planes, inner))
    at = b.reshape(indices, (planes, inner))
    base = b.full(0, x.dtype, (planes, area))
    y = b.emit1("scatter", base, b.reshape(x, (planes, inner)), rows, at, axes=(0, 1), kind="set")
    return b.reshape(y, (*lead, *output_size))


for _n in (1, 2, 3):
    _declare(_n)


@composite(samples=of("p1x2x4x4", norm_type=2, kernel_size=(2, 2), stride=(2, 2)))
def lp_pool(b, x, *, norm_type, kernel_size, stride, ceil_mode=False):
    """The p-norms of the windows over the trailing spatial dimensions."""
    n = len(kernel_size)
    p = float(norm_type)
    mean = b.apply(
        f"avg_pool{n}d",
        (b.pow(x, p),),
        {"kernel_size": kernel_size, "stride": stride, "ceil_mode": ceil_mode},
    )[0]
    area = math.prod(kernel_size)
    total = b.mul(b.mul(b.sign(mean), b.relu(b.abs(mean))), float(area))
    return b.pow(total, 1.0 / p)
