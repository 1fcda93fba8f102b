"""Owns the normalisation functions."""

from __future__ import annotations

from typing import Any

import tracec
from tracec import ops


def _verify_batch_size(size: Any) -> None:
    per_channel = size[0]
    for extent in size[2:]:
        per_channel *= extent
    if per_channel == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel over the batch; running statistics are updated in training.

    y = (x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C, ...) (Ioffe and
    Szegedy, 2015). In training mean and (biased) variance are those of the batch, and running
    values move towards them by `momentum` (the variance unbiased); else the running ones are used.
    ValueError for one value per channel in training, RuntimeError for sizes that do not fit.
    """
    if training:
        _verify_batch_size(input.size())
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    if training and input.numel() == 0:
        running_mean = running_var = None  # nothing was seen
    return ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each sample.

    Like `batch_norm` with the statistics of each (n, c) alone (Ulyanov et al., 2016), or with
    running ones. ValueError for one element per channel.
    """
    if use_input_stats:
        size = input.size()
        spatial = 1
        for extent in size[2:]:
            spatial *= extent
        if spatial == 1:
            raise ValueError(
                f"Expected more than 1 spatial element when training, got input size {size}"
            )
    if not use_input_stats:
        return ops.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = list(range(2, input.dim()))
    shape = [1, -1] + [1] * len(axes)
    mean = input.mean(axes, keepdim=True)
    centred = input - mean
    variance = (centred * centred).mean(axes, keepdim=True)
    if running_mean is not None:
        with tracec.no_grad():
            count = spatial
            unbiased = variance * (count / (count - 1))
            running_mean.lerp_(mean.flatten(1).mean(0).to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.flatten(1).mean(0).to(running_var.dtype), momentum)
    result = centred * tracec.rsqrt(variance + eps)
    if weight is not None:
        result = result * weight.view(shape)
    if bias is not None:
        result = result + bias.view(shape)
    return result


def layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """Normalise over the last dimensions.

    (x - mean) / sqrt(var + eps) * weight + bias over the last len(normalized_shape) dimensions (Ba
    et al., 2016), in the shape and dtype of `input`; 16-bit floats are computed in float32.
    RuntimeError if input does not end in `normalized_shape`.
    """
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Divide by the root mean square over the last dimensions.

    x / sqrt(mean(x * x) + eps) * weight over the last len(normalized_shape) dimensions (Zhang and
    Sennrich, 2019); eps defaults to the dtype's. RuntimeError if input does not end in
    `normalized_shape`.
    """
    return ops.rms_norm(input, normalized_shape, weight, eps)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise groups of channels of each sample.

    Mean and variance are those of C / num_groups channels and all positions of (N, C, ...) (Wu and
    He, 2018); weight and bias are per channel. RuntimeError unless num_groups divides C.
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    size = input.size()
    _verify_batch_size([size[0] * size[1] // num_groups, num_groups, *size[2:]])
    return ops.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by the local energy over neighbouring channels.

    x / (k + alpha * mean of x * x over `size` channels around) ** beta for (N, C, ...) (Krizhevsky
    et al., 2012).
    """
    return ops.local_response_norm(input, size, alpha, beta, k)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Divide by the p-norm.

    x / max(|x|_p, eps) along `dim`, in the shape of `input`; the norm of 0 gets a gradient of 0.
    """
    return ops.normalize(input, p, dim, eps, out)
