"""Owns batch normalisation, and the base that instance normalisation shares with it."""

from __future__ import annotations

from typing import Any

import tracec

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module


class _NormBase(Module):
    """Per-channel weight and bias, and running statistics."""

    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        options = {"device": device, "dtype": dtype}
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(tracec.empty(num_features, **options)) if wanted else None
            self.register_parameter(name, value)
        if track_running_stats:
            self.register_buffer("running_mean", tracec.zeros(num_features, **options))
            self.register_buffer("running_var", tracec.ones(num_features, **options))
            count = tracec.tensor(0, dtype=tracec.long, device=device)
            self.register_buffer("num_batches_tracked", count)
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget what was seen so far."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Start again from the identity."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Any) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any
    ) -> None:
        version = local_metadata.get("version", None)
        if (version is None or version < 2) and self.track_running_stats:
            # Version 1 did not count batches.
            key = prefix + "num_batches_tracked"
            if key not in state_dict:
                count = self.num_batches_tracked
                state_dict[key] = tracec.tensor(0, dtype=tracec.long) if count is None else count
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    """Normalisation over all dimensions but the channels'."""

    def forward(self, input: Any) -> Any:
        self._check_input_dim(input)
        factor = 0.0 if self.momentum is None else self.momentum
        tracked = self.track_running_stats
        if self.training and tracked and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average of all batches
                factor = 1.0 / float(self.num_batches_tracked)
        statistics = (None, None)
        if not self.training or tracked:
            statistics = (self.running_mean, self.running_var)
        of_batch = self.training or (self.running_mean is None and self.running_var is None)
        return F.batch_norm(input, *statistics, self.weight, self.bias, of_batch, factor, self.eps)


def _expect_dim(input: Any, *allowed: int) -> None:
    if input.dim() not in allowed:
        names = " or ".join(f"{d}D" for d in allowed)
        raise ValueError(f"expected {names} input (got {input.dim()}D input)")


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L).

    (x - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe and Szegedy, 2015). In
    training with the statistics of the batch, towards which running_mean and running_var move by
    `momentum` (None: the average of all); in evaluation with those. ValueError for another rank or
    for one value per channel in training.
    """

    def _check_input_dim(self, input: Any) -> None:
        _expect_dim(input, 2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W).

    (x - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe and Szegedy, 2015). In
    training with the statistics of the batch, towards which running_mean and running_var move by
    `momentum` (None: the average of all); in evaluation with those. ValueError for another rank or
    for one value per channel in training.
    """

    def _check_input_dim(self, input: Any) -> None:
        _expect_dim(input, 4)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W).

    (x - mean) / sqrt(var + eps) * weight + bias for each channel (Ioffe and Szegedy, 2015). In
    training with the statistics of the batch, towards which running_mean and running_var move by
    `momentum` (None: the average of all); in evaluation with those. ValueError for another rank or
    for one value per channel in training.
    """

    def _check_input_dim(self, input: Any) -> None:
        _expect_dim(input, 5)
