"""Owns the lazy layers: they take their input size from the first input."""

from __future__ import annotations

from typing import Any

import tracec

from .. import parameter as _parameter
from .batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, _NormBase
from .conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from .instancenorm import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from .linear import Linear


class LazyModuleMixin:
    """Materialises the parameters before the first forward, then becomes the plain class."""

    cls_to_become: Any = None

    def _become_lazy(self) -> None:
        """Have the first call find the sizes, and accept saved state before it."""
        self._initialize_hook = self.register_forward_pre_hook(
            LazyModuleMixin._infer_parameters, with_kwargs=True
        )

    def has_uninitialized_params(self) -> bool:
        """Whether some parameter or buffer still waits for its shape."""
        values = [*self._parameters.values(), *self._buffers.values()]
        return any(_parameter.is_lazy(value) for value in values)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, from the first input."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def _infer_parameters(self, args: Any, kwargs: Any = None) -> None:
        self.initialize_parameters(*args, **(kwargs or {}))
        if self.has_uninitialized_params():
            raise RuntimeError(f"module {type(self).__name__} has not been fully initialized")
        self._initialize_hook.remove()
        del self._initialize_hook
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become

    def reset_parameters(self) -> None:
        """Draw new weights, once there are any."""
        if not self.has_uninitialized_params() and self._known_size():
            super().reset_parameters()

    def _known_size(self) -> bool:
        raise NotImplementedError


class LazyLinear(LazyModuleMixin, Linear):
    """A Linear that takes in_features from its first input."""

    cls_to_become = Linear

    def __init__(
        self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(0, 0, False, device=device, dtype=dtype)
        self.weight = _parameter.UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = _parameter.UninitializedParameter(device=device, dtype=dtype)
        self._become_lazy()

    def _known_size(self) -> bool:
        return self.in_features != 0

    def initialize_parameters(self, input: Any) -> None:
        if self.has_uninitialized_params():
            with tracec.no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()


class _LazyConv(LazyModuleMixin):
    """A convolution that takes in_channels from its first input."""

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        options = {name: kwargs.get(name) for name in ("device", "dtype")}
        names = self._argument_names()
        given = dict(zip(names, args, strict=False)) | kwargs
        bias = given.pop("bias", True)
        super().__init__(0, 0, kernel_size, bias=False, **given)
        self.weight = _parameter.UninitializedParameter(**options)
        self.out_channels = out_channels
        if bias:
            self.bias = _parameter.UninitializedParameter(**options)
        self._become_lazy()

    def _argument_names(self) -> tuple[str, ...]:
        """The options after the kernel size, in order."""
        if "Transpose" in type(self).__name__:
            return (
                "stride", "padding", "output_padding", "groups", "bias", "dilation",
                "padding_mode", "device", "dtype",
            )  # fmt: skip
        return (
            "stride", "padding", "dilation", "groups", "bias", "padding_mode", "device", "dtype",
        )  # fmt: skip

    def _known_size(self) -> bool:
        return self.in_channels != 0

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        if not self.has_uninitialized_params():
            return
        n = self._dimensions
        if input.dim() not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input "
                f"to {type(self).__name__}, but got input of size: {input.shape}"
            )
        self.in_channels = input.shape[1 if input.dim() == n + 2 else 0]
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        self.weight.materialize((first, second // self.groups, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyNorm(LazyModuleMixin):
    """A normalisation that takes num_features from its first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        _NormBase.__init__(self, 0, eps, momentum, False, False, bias=False, **options)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = _parameter.UninitializedParameter(**options)
            if bias:
                self.bias = _parameter.UninitializedParameter(**options)
        if track_running_stats:
            self.running_mean = _parameter.UninitializedBuffer(**options)
            self.running_var = _parameter.UninitializedBuffer(**options)
            self.num_batches_tracked = tracec.tensor(0, dtype=tracec.long, device=device)
        self._become_lazy()

    def _known_size(self) -> bool:
        return self.num_features != 0

    def initialize_parameters(self, input: Any) -> None:
        if self.has_uninitialized_params():
            self.num_features = input.shape[1]
            for name in ("weight", "bias", "running_mean", "running_var"):
                value = getattr(self, name)
                if value is not None:
                    value.materialize((self.num_features,))
            self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):
    """A lazy Conv1d."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A lazy Conv2d."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A lazy Conv3d."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """A lazy ConvTranspose1d."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """A lazy ConvTranspose2d."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """A lazy ConvTranspose3d."""

    cls_to_become = ConvTranspose3d


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A lazy BatchNorm1d."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A lazy BatchNorm2d."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A lazy BatchNorm3d."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """A lazy InstanceNorm1d."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """A lazy InstanceNorm2d."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """A lazy InstanceNorm3d."""

    cls_to_become = InstanceNorm3d
