"""Owns the functions on images: resizing, sampling on grids, patches."""

from __future__ import annotations

import math
import warnings
from typing import Any

import tracec
from tracec import ops
from tracec.record import apply

_MODES = ("nearest", "nearest-exact", "area", "linear", "bilinear", "trilinear", "bicubic")
_LINEAR_MODES = {"linear": 3, "bilinear": 4, "trilinear": 5, "bicubic": 4}


def _pairs(value: Any, n: int = 2) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resize the spatial dimensions.

    (N, C, *sizes); exactly one of `size` and `scale_factor` is given (ValueError). `mode` is
    nearest, nearest-exact, linear, bilinear, bicubic, trilinear or area, which must suit the rank
    (NotImplementedError). `align_corners` lets the corner points coincide.
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    if input.dim() not in (3, 4, 5) or mode not in _MODES:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | "
            f"trilinear | lanczos | area | nearest-exact (got {mode})"
        )
    dimensions = input.dim() - 2
    sizes, scales = _target(input, size, scale_factor, recompute_scale_factor, dimensions)
    if antialias:
        raise NotImplementedError("interpolate(antialias=True)")
    if mode == "area":
        from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

        pool = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dimensions - 1]
        return pool(input, sizes)
    wanted = _LINEAR_MODES.get(mode)
    if wanted is not None and wanted != input.dim():
        raise NotImplementedError(
            f"Got {input.dim()}D input, but {mode} mode needs {wanted}D input"
        )
    result = input
    for d in range(dimensions):
        taps = _taps(input.size(d + 2), sizes[d], scales[d], mode, bool(align_corners))
        result = _resampled(result, d + 2, taps)
    return result


def _target(
    input: Any, size: Any, scale_factor: Any, recompute: Any, dimensions: int
) -> tuple[list[int], list[float | None]]:
    """Output sizes, and the scales that coordinates are computed with (None: from the sizes)."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    if isinstance(given, (tuple, list)):
        if len(given) != dimensions:
            name = "output shape" if size is not None else "scale_factor"
            raise ValueError(
                f"Input and {name} must have the same number of spatial dimensions, but got "
                f"input with spatial dimensions of {list(input.shape[2:])} and {name} of {given}."
            )
        values = list(given)
    else:
        values = [given] * dimensions
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return [int(v) for v in values], [None] * dimensions
    sizes = [int(math.floor(float(input.size(d + 2)) * v)) for d, v in enumerate(values)]
    return sizes, [None] * dimensions if recompute else [float(v) for v in values]


def _taps(
    size: int, output: int, scale: float | None, mode: str, align_corners: bool
) -> list[tuple[list[int], list[float] | None]]:
    """For each tap the source position of every output element, and its weight."""
    ratio = 1.0 / scale if scale else size / output
    if mode == "nearest":
        return [([min(int(i * ratio), size - 1) for i in range(output)], None)]
    if mode == "nearest-exact":
        return [([min(int((i + 0.5) * ratio), size - 1) for i in range(output)], None)]
    if align_corners:
        step = (size - 1) / (output - 1) if output > 1 else 0.0
        places = [i * step for i in range(output)]
    else:
        places = [(i + 0.5) * ratio - 0.5 for i in range(output)]
    if mode == "bicubic":
        return _cubic_taps(places, size)
    places = [max(place, 0.0) for place in places]
    low = [min(int(place), size - 1) for place in places]
    high = [min(i + 1, size - 1) for i in low]
    part = [place - i for place, i in zip(places, low, strict=True)]
    return [(low, [1 - p for p in part]), (high, part)]


def _cubic_taps(places: list[float], size: int) -> list[tuple[list[int], list[float] | None]]:
    a = -0.75  # the sharpness of the kernel that PyTorch uses

    def kernel(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return ((a + 2) * x - (a + 3)) * x * x + 1
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a if x < 2 else 0.0

    taps: list[tuple[list[int], list[float] | None]] = []
    floors = [math.floor(place) for place in places]
    for offset in (-1, 0, 1, 2):
        index = [min(max(f + offset, 0), size - 1) for f in floors]
        weights = [kernel(p - f - offset) for p, f in zip(places, floors, strict=True)]
        taps.append((index, weights))
    return taps


def _resampled(x: Any, dim: int, taps: list[tuple[list[int], list[float] | None]]) -> Any:
    """The weighted sum of the taps along one dimension."""
    result = None
    for index, weights in taps:
        part = x.index_select(dim, tracec.tensor(index, device=x.device))
        if weights is not None:
            shape = [-1] + [1] * (x.dim() - 1 - dim)
            part = part * tracec.tensor(weights, dtype=x.dtype, device=x.device).view(shape)
        result = part if result is None else result + part
    return result


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """The old name of interpolate."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Resize by repeating pixels."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """Resize by bilinear interpolation with aligned corners."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The sampling grid of affine maps (N, d, d + 1) for outputs of that size.

    `size` is (N, C, H, W) or (N, C, D, H, W); the result (N, *sizes, d) goes to `grid_sample`.
    ValueError for other shapes.
    """
    if align_corners is None:
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    spatial = list(size[2:])
    if len(spatial) not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    axes = []
    for extent in spatial:
        line = tracec.linspace(-1, 1, extent, dtype=theta.dtype) if extent > 1 else None
        if line is None:
            line = tracec.zeros(1, dtype=theta.dtype)
        elif not align_corners:
            line = line * ((extent - 1) / extent)
        axes.append(line)
    count = len(spatial)
    columns = []
    for d in reversed(range(count)):
        shape = [1] * count
        shape[d] = spatial[d]
        columns.append(axes[d].reshape(shape).expand(spatial))
    columns.append(tracec.ones(spatial, dtype=theta.dtype))
    base = tracec.stack(columns, -1).reshape(1, -1, count + 1)
    return (base @ theta.transpose(1, 2)).reshape(size[0], *spatial, count)


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """The input read at the places of the grid (N, ..., d), which run from -1 to 1.

    `input` (N, C, *sizes) and `grid` (N, *out, d) give (N, C, *out). `mode` is bilinear, nearest or
    (d = 2) bicubic; `padding_mode` zeros, border or reflection. ValueError or RuntimeError for
    anything else.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or "
            f"'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    attrs = (("mode", mode), ("padding_mode", padding_mode), ("align_corners", bool(align_corners)))
    return apply("grid_sample", (input, grid), attrs)


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The patches of images as columns (N, C * kernel, patches).

    Columns are (N, C * kh * kw, L), where L is the number of patches at (size + 2 padding -
    dilation (kernel - 1) - 1) / stride + 1 places per dimension; images are (N, C, H, W). One is
    the adjoint of the other. RuntimeError for sizes that do not fit.
    """
    return ops.im2col(input, _pairs(kernel_size), _pairs(dilation), _pairs(padding), _pairs(stride))


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Images that sum up the patches in columns.

    Columns are (N, C * kh * kw, L), where L is the number of patches at (size + 2 padding -
    dilation (kernel - 1) - 1) / stride + 1 places per dimension; images are (N, C, H, W). One is
    the adjoint of the other. RuntimeError for sizes that do not fit.
    """
    return ops.col2im(
        input, _pairs(output_size), _pairs(kernel_size), _pairs(dilation), _pairs(padding),
        _pairs(stride),
    )  # fmt: skip
