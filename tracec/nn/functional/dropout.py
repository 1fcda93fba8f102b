"""Owns the dropout functions."""

from __future__ import annotations

import math
import warnings
from typing import Any

import tracec
from tracec import ops


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero elements at random in training, and scale up the others.

    p is the probability of being dropped (ValueError outside of [0, 1]); what is kept is divided by
    1 - p. Without `training` the input itself. Random numbers come from the default generator, see
    `manual_seed`.
    """
    _check(p)
    if not training:
        return input
    result = ops.dropout(input, p, True)
    return input.copy_(result) if inplace else result


def _channel_mask(input: Any, p: float, channel_dim: int) -> Any:
    """Ones for kept channels and zeros for dropped ones, broadcastable to the input."""
    shape = [size if d <= channel_dim else 1 for d, size in enumerate(input.shape)]
    return tracec.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)


def _drop_channels(input: Any, p: float, training: bool, inplace: bool, channel_dim: int) -> Any:
    _check(p)
    if not training or p == 0.0:
        return input
    scale = 0.0 if p == 1.0 else 1.0 / (1.0 - p)
    factor = _channel_mask(input, p, channel_dim) * scale
    return input.mul_(factor) if inplace else input * factor


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of (N, C, L) or (C, L) at random in training.

    p is the probability of being dropped (ValueError outside of [0, 1]); what is kept is divided by
    1 - p. Without `training` the input itself. Random numbers come from the default generator, see
    `manual_seed`.
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. "
            "Note that dropout1d exists to provide channel-wise dropout on inputs with 1 "
            "spatial dimension, a channel dimension, and an optional batch dimension "
            "(i.e. 2D or 3D inputs)."
        )
    return _drop_channels(input, p, training, inplace, input.dim() - 2)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of (N, C, H, W) at random in training.

    p is the probability of being dropped (ValueError outside of [0, 1]); what is kept is divided by
    1 - p. Without `training` the input itself. Random numbers come from the default generator, see
    `manual_seed`.
    """
    if input.dim() not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated "
            "and will result in an error in a future release.",
            stacklevel=2,
        )
    # A 3-d input counts as (N, C, L): what PyTorch did before it had dropout1d.
    return _drop_channels(input, p, training, inplace, 1)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero whole channels of (N, C, D, H, W) at random in training.

    p is the probability of being dropped (ValueError outside of [0, 1]); what is kept is divided by
    1 - p. Without `training` the input itself. Random numbers come from the default generator, see
    `manual_seed`.
    """
    if input.dim() not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated "
            "and will result in an error in a future release.",
            stacklevel=2,
        )
    # Anything but 5 dimensions is one sample, as in PyTorch: its channels come first.
    return _drop_channels(input, p, training, inplace, 1 if input.dim() == 5 else 0)


# The value that SELU takes far below zero.
_ALPHA = 1.7580993408473766


def _alpha_dropout(input: Any, p: float, mask: Any, inplace: bool) -> Any:
    """Dropped values become SELU's lower limit; then mean and variance are restored."""
    if p == 1.0:
        return input.mul_(0.0) if inplace else input * 0.0
    scale = 1.0 / math.sqrt((_ALPHA * _ALPHA * p + 1) * (1 - p))
    factor = mask * scale
    offset = (mask - 1) * (_ALPHA * scale) + _ALPHA * scale * p
    return input.mul_(factor).add_(offset) if inplace else input * factor + offset


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of self-normalising activations.

    p is the probability of being dropped (ValueError outside of [0, 1]); what is kept is divided by
    1 - p. Without `training` the input itself. Random numbers come from the default generator, see
    `manual_seed`.
    """
    _check(p)
    if not training or p == 0.0:
        return input
    mask = tracec.empty_like(input, requires_grad=False).bernoulli_(1 - p)
    return _alpha_dropout(input, p, mask, inplace)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """alpha_dropout of whole channels.

    p is the probability of being dropped (ValueError outside of [0, 1]); what is kept is divided by
    1 - p. Without `training` the input itself. Random numbers come from the default generator, see
    `manual_seed`.
    """
    _check(p)
    if not training or p == 0.0:
        return input
    return _alpha_dropout(input, p, _channel_mask(input, p, 1), inplace)
