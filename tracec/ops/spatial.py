"""Operations over spatial dimensions: convolutions, pooling, patches, pixel shuffles, padding."""

from __future__ import annotations

from typing import Any

from ..record import apply
from ..tensor import Tensor
from .arguments import given, several
from .face import add as list_as
from .face import face


# -- convolutions ---------------------------------------------------------------------------------
def _convolution(n: int):
    name = f"conv{n}d"

    def fn(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        attrs = (
            ("stride", several(stride, n)),
            ("padding", padding if padding.__class__ is str else several(padding, n)),
            ("dilation", several(dilation, n)),
            ("groups", groups),
        )
        return apply(name, (input, weight) if bias is None else (input, weight, bias), attrs)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"A convolution over {n} spatial dimensions."
    list_as(fn, "torch functional", name)
    return fn


@face("torch functional")
def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """`conv1d` over the first dimension, the batch second, channels last.

    input (T, B, C), weight (k, C, O) and bias (O) give (T + 2 pad - k + 1, B, O). RuntimeError for
    other ranks and for sizes or dtypes that do not fit.
    """
    if input.dim() != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.dim() != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.dim() != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if bias.shape[0] != weight.shape[2]:
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    y = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return y.permute(2, 0, 1)


def _transposed_convolution(n: int):
    name = f"conv_transpose{n}d"

    def fn(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        attrs = (
            ("stride", several(stride, n)),
            ("padding", several(padding, n)),
            ("output_padding", several(output_padding, n)),
            ("groups", groups),
            ("dilation", several(dilation, n)),
        )
        return apply(name, (input, weight) if bias is None else (input, weight, bias), attrs)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"A transposed convolution over {n} spatial dimensions."
    list_as(fn, "torch functional", name)
    return fn


conv1d, conv2d, conv3d = map(_convolution, (1, 2, 3))
conv_transpose1d, conv_transpose2d, conv_transpose3d = map(_transposed_convolution, (1, 2, 3))


@face("functional")
def im2col(input: Tensor, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Tensor:
    """The sliding patches of images as columns."""
    attrs = tuple(
        (k, several(v, 2))
        for k, v in (
            ("kernel_size", kernel_size),
            ("dilation", dilation),
            ("padding", padding),
            ("stride", stride),
        )
    )
    return apply("im2col", (input,), attrs)


@face("functional")
def col2im(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Tensor:
    """Images that sum up columns of patches."""
    given_sizes = (
        ("output_size", output_size),
        ("kernel_size", kernel_size),
        ("dilation", dilation),
        ("padding", padding),
        ("stride", stride),
    )
    return apply("col2im", (input,), tuple((k, several(v, 2)) for k, v in given_sizes))


# -- pooling --------------------------------------------------------------------------------------
_COUNTS = {2: "two ints", 3: "three ints"}


def _window(value: Any, n: int, name: str, argument: str) -> tuple[int, ...]:
    """The size or step of a window in n dimensions; RuntimeError for another number of them."""
    count = len(value) if isinstance(value, (tuple, list)) else 1
    if count in (1, n):
        return several(value, n)
    omitted = "omitted, " if argument == "stride" else ""
    if name.startswith("max_pool1d"):
        none = "None, " if argument == "stride" else ""
        raise RuntimeError(
            f"max_pool1d() {argument} must be {none}an int, list of ints{',' if none else ''} or "
            f"tuple of ints of size 1 but got size {count}"
        )
    if n == 1:
        raise RuntimeError(f"{name}() argument '{argument}' should contain one int (got {count})")
    single = "" if name == "avg_pool3d" else "either "
    raise RuntimeError(
        f"{name.removesuffix('_with_indices')}: {argument} must {single}be {omitted}a single int, "
        f"or a tuple of {_COUNTS[n]}"
    )


def _max_pool(n: int, with_indices: bool):
    name = f"max_pool{n}d" + ("_with_indices" if with_indices else "")

    def fn(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        kernel = _window(kernel_size, n, name, "kernel_size")
        own = stride is None or stride == [] or stride == ()
        attrs = (
            ("kernel_size", kernel),
            ("stride", kernel if own else _window(stride, n, name, "stride")),
            ("padding", several(padding, n)),
            ("dilation", several(dilation, n)),
            ("ceil_mode", ceil_mode),
        )
        return apply(name, (input,), attrs)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Maxima of windows over {n} spatial dimensions."
    list_as(fn, "torch", name)
    return fn


def _avg_pool(n: int):
    name = f"avg_pool{n}d"

    def fn(
        input: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        kernel = _window(kernel_size, n, name, "kernel_size")
        own = stride is None or stride == [] or stride == ()
        attrs = (
            ("kernel_size", kernel),
            ("stride", kernel if own else _window(stride, n, name, "stride")),
            ("padding", several(padding, n)),
            ("ceil_mode", ceil_mode),
            ("count_include_pad", count_include_pad),
            ("divisor_override", divisor_override),
        )
        return given(out, apply(name, (input,), attrs))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Means of windows over {n} spatial dimensions."
    list_as(fn, "functional torch" if n == 1 else "functional", name)
    return fn


def _adaptive(name: str, n: int):
    def fn(input: Tensor, output_size: Any) -> Any:
        size = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
        return apply(name, (input,), (("output_size", size),))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Pooling of {n} spatial dimensions to a given size."
    list_as(fn, "torch", name)
    return fn


max_pool1d, max_pool2d, max_pool3d = (_max_pool(n, False) for n in (1, 2, 3))
max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices = (
    _max_pool(n, True) for n in (1, 2, 3)
)
avg_pool1d, avg_pool2d, avg_pool3d = map(_avg_pool, (1, 2, 3))
adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d = (
    _adaptive(f"adaptive_avg_pool{n}d", n) for n in (1, 2, 3)
)
adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d = (
    _adaptive(f"adaptive_max_pool{n}d", n) for n in (1, 2, 3)
)


# -- rearrangements -------------------------------------------------------------------------------
@face("functional torch")
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Groups of channels as blocks of pixels."""
    return apply("pixel_shuffle", (input,), (("upscale_factor", upscale_factor),))


@face("functional torch")
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Blocks of pixels as groups of channels."""
    return apply("pixel_unshuffle", (input,), (("downscale_factor", downscale_factor),))


@face("functional torch", aliases=("native_channel_shuffle",))
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of the groups interleaved."""
    return apply("channel_shuffle", (input,), (("groups", groups),))


native_channel_shuffle = channel_shuffle


@face("functional torch")
def constant_pad_nd(input: Tensor, pad: Any, value: Any = 0) -> Tensor:
    """input with a constant around it."""
    return apply("constant_pad_nd", (input,), (("pad", tuple(pad)), ("value", value)))


@face("functional")
def pad_mode(input: Tensor, pad: Any, mode: str) -> Tensor:
    """input continued beyond its borders: "reflect", "replicate" or "circular"."""
    return apply("pad_mode", (input,), (("pad", tuple(pad)), ("mode", mode)))


_MODES = ("bilinear", "nearest", "bicubic")
_BORDERS = ("zeros", "border", "reflection")


def _grid_sampler(name: str) -> None:
    def fn(
        input: Tensor,
        grid: Tensor,
        interpolation_mode: int,
        padding_mode: int,
        align_corners: bool,
    ) -> Tensor:
        attrs = (
            ("mode", _MODES[interpolation_mode]),
            ("padding_mode", _BORDERS[padding_mode]),
            ("align_corners", bool(align_corners)),
        )
        return apply("grid_sample", (input, grid), attrs)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "input read at the places of a grid; modes are numbers."
    list_as(fn, "torch", name)


for _name in ("grid_sampler", "grid_sampler_2d", "grid_sampler_3d"):
    _grid_sampler(_name)
