"""Owns the convolution layers, plain and transposed, in one to three dimensions."""

from __future__ import annotations

import math
from typing import Any

import tracec

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module
from .utils import _ntuple, _reverse_repeat_tuple

_PADDING_MODES = {"zeros", "reflect", "replicate", "circular"}


class _ConvNd(Module):
    """What all convolutions share: arguments, weights and repr."""

    __constants__ = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding",
        "in_channels", "out_channels", "kernel_size",
    ]  # fmt: skip
    _dimensions = 0

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        stride: tuple[int, ...],
        padding: Any,
        dilation: tuple[int, ...],
        transposed: bool,
        output_padding: tuple[int, ...],
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        valid_strings = {"same", "valid"}
        if isinstance(padding, str):
            if padding not in valid_strings:
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of {valid_strings}"
                )
            if padding == "same" and any(step != 1 for step in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got "
                f"padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = self._padding_for_pad()
        options = {"device": device, "dtype": dtype}
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = Parameter(tracec.empty((first, second // groups, *kernel_size), **options))
        if bias:
            self.bias = Parameter(tracec.empty(out_channels, **options))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _padding_for_pad(self) -> list[int] | tuple[int, ...]:
        """The padding as F.pad takes it: last dimension first, low and high."""
        if not isinstance(self.padding, str):
            return _reverse_repeat_tuple(self.padding, 2)
        sides = [0, 0] * len(self.kernel_size)
        if self.padding == "same":
            for i, (d, k) in enumerate(zip(self.dilation, self.kernel_size, strict=True)):
                total = d * (k - 1)
                position = 2 * (len(self.kernel_size) - 1 - i)
                sides[position] = total // 2
                sides[position + 1] = total - total // 2
        return sides

    def reset_parameters(self) -> None:
        """Draw new weights."""
        # A slope of sqrt(5) makes this uniform in +-1/sqrt(fan_in).
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}"]
        parts.append(f"kernel_size={self.kernel_size}, stride={self.stride}")
        if self.padding != (0,) * len(self.padding):
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * len(self.dilation):
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != (0,) * len(self.output_padding):
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_ConvNd):
    """A plain convolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        n = self._dimensions
        as_tuple = _ntuple(n)
        super().__init__(
            in_channels, out_channels, as_tuple(kernel_size), as_tuple(stride),
            padding if isinstance(padding, str) else as_tuple(padding), as_tuple(dilation),
            False, (0,) * n, groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _padded(self, input: Any) -> tuple[Any, Any]:
        """The input and the padding left to the convolution, for modes other than zeros."""
        mode = self.padding_mode
        if mode == "zeros":
            return input, self.padding
        padded = F.pad(input, self._reversed_padding_repeated_twice, mode=mode)
        return padded, (0,) * self._dimensions


class Conv1d(_Conv):
    """A convolution over sequences (N, C, L).

    Each size becomes (size + 2 padding - dilation (kernel - 1) - 1) // stride + 1. `weight` is
    (out, in / groups, *kernel); it and `bias` begin uniform in +-1 / sqrt(in / groups * kernel
    elements). padding may be "same" or "valid", `padding_mode` "zeros", "reflect", "replicate" or
    "circular". ValueError for groups that do not divide the channels.
    """

    _dimensions = 1

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        x, padding = self._padded(input)
        return F.conv1d(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)


class Conv2d(_Conv):
    """A convolution over images (N, C, H, W).

    Each size becomes (size + 2 padding - dilation (kernel - 1) - 1) // stride + 1. `weight` is
    (out, in / groups, *kernel); it and `bias` begin uniform in +-1 / sqrt(in / groups * kernel
    elements). padding may be "same" or "valid", `padding_mode` "zeros", "reflect", "replicate" or
    "circular". ValueError for groups that do not divide the channels.
    """

    _dimensions = 2

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        x, padding = self._padded(input)
        return F.conv2d(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)


class Conv3d(_Conv):
    """A convolution over volumes (N, C, D, H, W).

    Each size becomes (size + 2 padding - dilation (kernel - 1) - 1) // stride + 1. `weight` is
    (out, in / groups, *kernel); it and `bias` begin uniform in +-1 / sqrt(in / groups * kernel
    elements). padding may be "same" or "valid", `padding_mode` "zeros", "reflect", "replicate" or
    "circular". ValueError for groups that do not divide the channels.
    """

    _dimensions = 3

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        x, padding = self._padded(input)
        return F.conv3d(x, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)


class _ConvTransposeNd(_ConvNd):
    """The gradient of a convolution with respect to its input, as a layer."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        as_tuple = _ntuple(self._dimensions)
        super().__init__(
            in_channels, out_channels, as_tuple(kernel_size), as_tuple(stride),
            as_tuple(padding), as_tuple(dilation), True, as_tuple(output_padding), groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(
        self,
        input: Any,
        output_size: Any,
        stride: Any,
        padding: Any,
        kernel_size: Any,
        num_spatial_dims: int,
        dilation: Any = None,
    ) -> Any:
        """The output padding that leads to the size asked for."""
        if output_size is None:
            return self.output_padding
        has_batch = input.dim() == num_spatial_dims + 2
        leading = 2 if has_batch else 1
        sizes = list(output_size)
        if len(sizes) == leading + num_spatial_dims:
            sizes = sizes[leading:]
        if len(sizes) != num_spatial_dims:
            raise ValueError(
                f"ConvTranspose{num_spatial_dims}D: for {input.dim()}D input, output_size must "
                f"have {num_spatial_dims} or {leading + num_spatial_dims} elements "
                f"(got {len(output_size)})"
            )
        lows, highs = [], []
        for d in range(num_spatial_dims):
            spread = dilation[d] if dilation is not None else 1
            low = (
                (input.size(d + leading) - 1) * stride[d]
                - 2 * padding[d]
                + spread * (kernel_size[d] - 1)
                + 1
            )
            lows.append(low)
            highs.append(low + stride[d] - 1)
        for size, low, high in zip(sizes, lows, highs, strict=True):
            if not low <= size <= high:
                raise ValueError(
                    f"requested an output size of {sizes}, but valid sizes range from {lows} "
                    f"to {highs} (for an input of {input.size()[2:]})"
                )
        return tuple(size - low for size, low in zip(sizes, lows, strict=True))

    def _forward(self, function: Any, input: Any, output_size: Any) -> Any:
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, self._dimensions,
            self.dilation,
        )  # fmt: skip
        return function(
            input, self.weight, self.bias, self.stride, self.padding, output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTransposeNd):
    """A transposed convolution over sequences.

    The adjoint of a convolution: each size becomes (size - 1) stride - 2 padding + dilation (kernel
    - 1) + output_padding + 1. `weight` is (in, out / groups, *kernel); `output_size` at the call
    chooses the output padding.
    """

    _dimensions = 1

    def forward(self, input: Any, output_size: Any = None) -> Any:
        return self._forward(F.conv_transpose1d, input, output_size)


class ConvTranspose2d(_ConvTransposeNd):
    """A transposed convolution over images.

    The adjoint of a convolution: each size becomes (size - 1) stride - 2 padding + dilation (kernel
    - 1) + output_padding + 1. `weight` is (in, out / groups, *kernel); `output_size` at the call
    chooses the output padding.
    """

    _dimensions = 2

    def forward(self, input: Any, output_size: Any = None) -> Any:
        return self._forward(F.conv_transpose2d, input, output_size)


class ConvTranspose3d(_ConvTransposeNd):
    """A transposed convolution over volumes.

    The adjoint of a convolution: each size becomes (size - 1) stride - 2 padding + dilation (kernel
    - 1) + output_padding + 1. `weight` is (in, out / groups, *kernel); `output_size` at the call
    chooses the output padding.
    """

    _dimensions = 3

    def forward(self, input: Any, output_size: Any = None) -> Any:
        return self._forward(F.conv_transpose3d, input, output_size)
