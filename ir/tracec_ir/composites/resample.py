"""Resampling of images: interpolation to another size, sampling at given places."""

from __future__ import annotations

from typing import Any

from .. import dims, dtypes
from ..builder import Builder
from ..core import Value
from ..dims import Dim
from ..optable import composite
from .common import iota, masked, move, size, spelled, unsqueeze, where, wide
from .samples import each, of


@composite(
    samples=each(
        of("f1x2x3x4", size=(5, 3), mode="nearest"),
        of("f1x2x3x4", size=(5, 3), mode="linear"),
        of("f1x1x3x4", size=(5, 3), mode="cubic"),
    )
)
def interpolate(b, x, *, size, mode, align_corners=False, scales=None):
    """x[N, C, ...] resampled to spatial sizes `size`. `scales` are the factors the user gave, if
    any; they, and not the ratio of the sizes, then decide where samples are taken."""
    n = len(size)
    if x.rank != n + 2:
        raise RuntimeError(f"Expected input with {n + 2} dimensions, got {x.rank}")
    y = wide(b, x) if x.dtype.kind == "f" else x
    for i, out in enumerate(size):
        ax = 2 + i
        factor = scales[i] if scales else None
        if mode in ("nearest", "nearest-exact"):
            y = _nearest(b, y, ax, out, factor, mode == "nearest-exact")
        elif mode == "cubic":
            y = _cubic(b, y, ax, out, factor, align_corners)
        else:
            y = _linear(b, y, ax, out, factor, align_corners)
    return b.cast(y, x.dtype)


def _nearest(b: Builder, x: Value, ax: int, out: Dim, factor, exact: bool) -> Value:
    n = x.shape[ax]
    if dims.same(n, out) and factor is None:
        return x
    i = b.cast(iota(b, out), dtypes.f32)
    if exact:
        i = b.add(i, 0.5)
    at = b.cast(b.floor(b.mul(i, _ratio(b, n, out, factor))), dtypes.i64)
    return _read(b, x, ax, b.minimum(at, _less_one(b, n)))


def _ratio(b: Builder, n: Dim, out: Dim, factor):
    """Input steps per output step; single precision, as PyTorch has it."""
    if factor is not None:
        return b.const(1.0 / factor, dtypes.f32)
    return b.div(_number(b, n), _number(b, out))


def _number(b: Builder, n: Dim) -> Value:
    v = size(b, n, dtypes.f32)
    return b.const(v, dtypes.f32) if isinstance(v, int) else v


def _less_one(b: Builder, n: Dim):
    return n - 1 if isinstance(n, int) else b.sub(size(b, n), 1)


def _read(b: Builder, x: Value, ax: int, at: Value) -> Value:
    return move(b, b.emit1("gather", x, at, axes=(ax,)), 0, ax)


def _centres(b: Builder, n: Dim, out: Dim, factor, align_corners: bool, dtype) -> Value:
    """The real position in the input of each output sample."""
    work = dtypes.f64 if dtype is dtypes.f64 else dtypes.f32
    i = b.cast(iota(b, out), work)
    if align_corners:
        if out == 1:
            return b.mul(i, 0.0)
        span = b.div(b.cast(b.sub(_number(b, n), 1), work), b.cast(b.sub(_number(b, out), 1), work))
        return b.mul(i, span)
    if factor is not None:
        ratio = b.const(1.0 / factor, work)
    else:
        ratio = b.div(b.cast(_number(b, n), work), b.cast(_number(b, out), work))
    return b.sub(b.mul(b.add(i, 0.5), ratio), 0.5)


def _along(b: Builder, v: Value, rank: int, ax: int) -> Value:
    return b.reshape(v, [v.shape[0] if i == ax else 1 for i in range(rank)])


def _linear(b: Builder, x: Value, ax: int, out: Dim, factor, align_corners: bool) -> Value:
    n = x.shape[ax]
    if dims.same(n, out) and (factor is None or align_corners):
        return x
    at = b.maximum(_centres(b, n, out, factor, align_corners, x.dtype), 0.0)
    low = b.minimum(b.cast(b.floor(at), dtypes.i64), _less_one(b, n))
    high = b.minimum(b.add(low, 1), _less_one(b, n))
    w = b.cast(_along(b, b.clamp(b.sub(at, b.cast(low, at.dtype)), 0.0, 1.0), x.rank, ax), x.dtype)
    return b.add(b.mul(_read(b, x, ax, low), b.sub(1.0, w)), b.mul(_read(b, x, ax, high), w))


def _cubic_weights(b: Builder, t: Value) -> list[Value]:
    """Keys' cubic convolution with a = -0.75 for the four neighbours of a fraction t."""
    a = -0.75

    def near(x):  # |x| <= 1
        return b.add(b.mul(b.mul(b.sub(b.mul(x, a + 2), a + 3), x), x), 1.0)

    def far(x):  # 1 < |x| < 2
        return b.sub(b.mul(b.add(b.mul(b.sub(b.mul(x, a), 5 * a), x), 8 * a), x), 4 * a)

    rest = b.sub(1.0, t)
    return [far(b.add(t, 1.0)), near(t), near(rest), far(b.add(rest, 1.0))]


def _cubic(b: Builder, x: Value, ax: int, out: Dim, factor, align_corners: bool) -> Value:
    n = x.shape[ax]
    at = _centres(b, n, out, factor, align_corners, x.dtype)
    base = b.floor(at)
    weights = _cubic_weights(b, b.sub(at, base))
    total: Any = None
    for k, w in enumerate(weights):
        place = b.minimum(b.maximum(b.add(b.cast(base, dtypes.i64), k - 1), 0), _less_one(b, n))
        part = b.mul(_read(b, x, ax, place), b.cast(_along(b, w, x.rank, ax), x.dtype))
        total = part if total is None else b.add(total, part)
    return total


# -- sampling at given places ---------------------------------------------------------------------
@composite(
    autocast="single",
    samples=each(
        of("f1x2x3x4", "f1x2x2x2"),
        of("f1x2x3x4", "f1x2x2x2", mode="bicubic", padding_mode="reflection"),
    ),
)
def grid_sample(b, x, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
    """x[N, C, *S] read at grid[N, *out, d]: coordinates in [-1, 1], x's last dimension first."""
    d = x.rank - 2
    if mode == "bicubic" and d != 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if not dims.same(x.shape[0], grid.shape[0]):
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            "sizes "
            f"{list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if not dims.same(grid.shape[-1], d):
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {d} in last dimension, but got grid with "
            f"sizes {list(grid.shape)}"
        )
    if grid.rank != x.rank or d not in (2, 3):
        raise RuntimeError(
            f"grid_sampler(): expected {4 if d < 3 else 5}D input and grid with same number of "
            f"dimensions, but got input with sizes {list(x.shape)} and grid with sizes "
            f"{list(grid.shape)}"
        )
    for i, n in enumerate(x.shape[2:], 2):
        if dims.same(n, 0):
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(x.shape)} with dimension {i} being empty"
            )
    if x.dtype is not grid.dtype:
        raise RuntimeError(
            f"expected scalar type {spelled(x.dtype)} but found {spelled(grid.dtype)}"
        )
    dtype = x.dtype
    x, grid = wide(b, x), wide(b, grid)
    places = []
    for i in range(d):  # axis i of the image is coordinate d - 1 - i
        k = d - 1 - i
        starts = (0,) * (grid.rank - 1) + (k,)
        c = b.emit1(
            "slice", grid, starts=starts, stops=(*grid.shape[:-1], k + 1), steps=(1,) * grid.rank
        )
        n = x.shape[2 + i]
        at = _pixel(b, b.reshape(c, grid.shape[:-1]), n, align_corners)
        places.append(at if mode == "bicubic" else _inside(b, at, n, padding_mode, align_corners))
    if mode == "nearest":
        return b.cast(_sampled(b, x, [b.round(p) for p in places]), dtype)
    if mode == "bicubic":
        return b.cast(_bicubic_sample(b, x, places, padding_mode, align_corners), dtype)
    if mode != "bilinear":
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
            f"'bicubic', but got: '{mode}'"
        )
    total: Any = None
    lows = [b.floor(p) for p in places]
    for corner in range(2**d):
        corner_at: list[Value] = []
        weight: Any = None
        for i in range(d):
            up = corner >> i & 1
            corner_at.append(b.add(lows[i], float(up)))
            part = b.sub(places[i], lows[i])
            part = part if up else b.sub(1.0, part)
            weight = part if weight is None else b.mul(weight, part)
        term = b.mul(_sampled(b, x, corner_at), unsqueeze(b, weight, 1))
        total = term if total is None else b.add(total, term)
    return b.cast(total, dtype)


def _pixel(b: Builder, c: Value, n: Dim, align_corners: bool) -> Value:
    """The position in pixels of a coordinate in [-1, 1]."""
    length = b.cast(_number(b, n), c.dtype)
    if align_corners:
        return b.mul(b.div(b.add(c, 1.0), 2.0), b.sub(length, 1.0))
    return b.div(b.sub(b.mul(b.add(c, 1.0), length), 1.0), 2.0)


def _inside(b: Builder, at: Value, n: Dim, padding_mode: str, align_corners: bool) -> Value:
    if padding_mode == "zeros":
        return at
    length = b.cast(_number(b, n), at.dtype)
    if padding_mode == "reflection":
        if align_corners:
            at = _reflected(b, at, 0.0, b.sub(length, 1.0))
        else:
            at = _reflected(b, at, -0.5, length)
    elif padding_mode != "border":
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            "'reflection', but got: "
            f"'{padding_mode}'"
        )
    # places on the border do not move with their coordinate, unlike clamp's
    last = b.sub(length, 1.0)
    return where(b, b.le(at, 0.0), 0.0, where(b, b.ge(at, last), last, at))


def _reflected(b: Builder, at: Value, low: float, span: Value) -> Value:
    """at mirrored back and forth into [low, low + span]."""
    z = b.sub(at, low)
    z = where(b, b.lt(z, 0.0), b.neg(z), z)  # at `low` itself the derivative is 1
    safe = where(b, b.eq(span, 0.0), 1.0, span)
    turns = b.floor(b.div(z, safe))
    rest = b.sub(z, b.mul(b.detach(turns), span))
    even = b.eq(b.fmod(turns, 2.0), 0.0)
    out = where(b, even, b.add(rest, low), b.add(b.sub(span, rest), low))
    return where(b, b.eq(span, 0.0), 0.0, out)


def _sampled(b: Builder, x: Value, at: list[Value]) -> Value:
    """x[n, :, at] with the channels in dimension 1; zero outside."""
    inside: Any = None
    index: list[Value] = []
    for i, p in enumerate(at):
        n = _less_one(b, x.shape[2 + i])
        ok = b.logical_and(b.ge(p, 0.0), b.le(p, n))
        inside = ok if inside is None else b.logical_and(inside, ok)
        index.append(b.cast(b.clamp(p, 0.0, n), dtypes.i64))
    shape = at[0].shape
    rows = b.broadcast_to(b.reshape(iota(b, shape[0]), [shape[0]] + [1] * (len(shape) - 1)), shape)
    read = b.emit1("gather", x, rows, *index, axes=(0, *range(2, x.rank)))
    return masked(b, unsqueeze(b, inside, 1), move(b, read, read.rank - 1, 1))


def _bicubic_sample(b: Builder, x: Value, places, padding_mode: str, align_corners: bool) -> Value:
    lows = [b.floor(p) for p in places]
    weights = [_cubic_weights(b, b.sub(p, low)) for p, low in zip(places, lows, strict=True)]
    total: Any = None
    for i in range(4):
        for j in range(4):
            at = [b.add(lows[0], i - 1.0), b.add(lows[1], j - 1.0)]
            at = [
                _inside(b, p, x.shape[2 + k], padding_mode, align_corners) for k, p in enumerate(at)
            ]
            w = b.mul(weights[0][i], weights[1][j])
            term = b.mul(_sampled(b, x, at), unsqueeze(b, w, 1))
            total = term if total is None else b.add(total, term)
    return total
