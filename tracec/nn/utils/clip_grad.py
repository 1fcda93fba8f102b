"""Owns the clipping of gradients by norm and by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import tracec


def _with_grad(parameters: Any) -> list[Any]:
    if isinstance(parameters, tracec.Tensor):
        parameters = [parameters]
    return [p for p in parameters if p.grad is not None]


def get_total_norm(
    tensors: Any,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The norm of all tensors together."""
    tensors = [tensors] if isinstance(tensors, tracec.Tensor) else list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return tracec.tensor(0.0)
    with tracec.no_grad():
        norms = [t.detach().norm(norm_type) for t in tensors]
        total = tracec.stack(norms).norm(norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None
) -> None:
    """Scale the gradients so that their norm, which is given, becomes at most max_norm."""
    grads = [p.grad for p in _with_grad(parameters)]
    with tracec.no_grad():
        # The factor is limited by arithmetic, not by a branch: the norm is not looked at here.
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factor)


def clip_grad_norm_(
    parameters: Iterable[Any] | Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale the gradients so that their norm is at most max_norm; returns the norm they had."""
    chosen = _with_grad(parameters)
    total = get_total_norm([p.grad for p in chosen], norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(chosen, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The old name of clip_grad_norm_."""
    import warnings

    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated "
        "in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value]."""
    limit = float(clip_value)
    with tracec.no_grad():
        for param in _with_grad(parameters):
            param.grad.clamp_(min=-limit, max=limit)
