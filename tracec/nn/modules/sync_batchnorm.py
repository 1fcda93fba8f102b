"""Owns SyncBatchNorm: batch normalisation whose statistics are those of all processes."""

from __future__ import annotations

from typing import Any

import tracec
from tracec import distributed as dist
from tracec.autograd import Function

from .batchnorm import _BatchNorm
from .module import Module


def _rows(x: Any) -> list[int]:
    """All dimensions but the channels'."""
    return [0, *range(2, x.dim())]


def _per_channel(x: Any, like: Any) -> Any:
    return x.view(1, -1, *[1] * (like.dim() - 2))


def _combined(means: Any, squares: Any, counts: Any) -> tuple:
    """Mean, sum of squared distances from it, and count of a whole, from those of its parts (one a
    row): the pairwise update of Chan, Golub and LeVeque (1979)."""
    total = counts.sum()
    mean = (means * counts).sum(0) / total
    return mean, (squares + counts * (means - mean) ** 2).sum(0), total


class _SyncNorm(Function):
    """(x, weight, bias, eps, group) -> normalised x, mean, sum of squared distances, count."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, eps: float, group: Any) -> tuple:
        wide = x.float() if x.itemsize == 2 else x
        count = x.numel() // x.shape[1]
        mean = wide.mean(_rows(x)) if count else wide.new_zeros(x.shape[1])
        squares = ((wide - _per_channel(mean, x)) ** 2).sum(_rows(x))
        mine = tracec.cat([mean, squares, mean.new_full((1,), count)])
        every = mine.new_empty(group.size(), mine.numel())
        dist.all_gather_into_tensor(every, mine, group)
        means, squares, counts = every.split([x.shape[1], x.shape[1], 1], 1)
        mean, squares, total = _combined(means, squares, counts)
        scale = tracec.rsqrt(squares / total + eps)
        out = (wide - _per_channel(mean, x)) * _per_channel(scale, x)
        if weight is not None:
            out = out * _per_channel(weight, x)
        if bias is not None:
            out = out + _per_channel(bias, x)
        ctx.save_for_backward(x, weight, mean, scale, total)
        ctx.group = group
        ctx.mark_non_differentiable(mean, squares, total)
        return out.to(x.dtype), mean, squares, total

    @staticmethod
    def backward(ctx: Any, grad: Any, *unused: Any) -> tuple:
        x, weight, mean, scale, total = ctx.saved_tensors
        wide, g = (t.float() if t.itemsize == 2 else t for t in (x, grad))
        normalised = (wide - _per_channel(mean, x)) * _per_channel(scale, x)
        of_bias, of_weight = g.sum(_rows(x)), (g * normalised).sum(_rows(x))
        into_weight = None if weight is None else of_weight.to(weight.dtype)
        into_bias = of_bias if weight is None else of_bias.to(weight.dtype)
        into_x = None
        if ctx.needs_input_grad[0]:
            sums = tracec.cat([of_bias, of_weight])
            dist.all_reduce(sums, group=ctx.group)
            mean_g, mean_gn = (sums / total).split(x.shape[1])
            into_x = g - _per_channel(mean_g, x) - normalised * _per_channel(mean_gn, x)
            factor = scale if weight is None else scale * weight
            into_x = (into_x * _per_channel(factor, x)).to(x.dtype)
        return into_x, into_weight, into_bias if ctx.needs_input_grad[2] else None, None, None


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation of (N, C, ...) by the statistics of all processes of a group.

    Without a process group, with one process, or in evaluation it is plain batch normalisation.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Any) -> Any:
        group = None
        if self.training and dist.is_initialized():
            group = dist.groups.resolve(self.process_group)
        if group is None or group.size() == 1:
            return super().forward(input)
        self._check_input_dim(input)
        if input.shape[1] != self.num_features:
            raise ValueError(
                f"expected input with {self.num_features} channels (got {input.shape[1]})"
            )
        out, mean, squares, total = _SyncNorm.apply(input, self.weight, self.bias, self.eps, group)
        if self.track_running_stats:
            with tracec.no_grad():
                self._track(mean, squares, total)
        return out

    def _track(self, mean: Any, squares: Any, total: Any) -> None:
        """Moves the running statistics towards those of this batch."""
        self.num_batches_tracked.add_(1)
        step = self.momentum
        if step is None:  # the plain average of all batches
            step = 1.0 / float(self.num_batches_tracked)
        for running, seen in (
            (self.running_mean, mean),
            (self.running_var, squares / (total - 1)),
        ):
            running.mul_(1 - step).add_(seen.to(running.dtype), alpha=step)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """`module` with every batch normalisation in it replaced by one over all processes, which
        keeps its parameters and statistics."""
        out = module
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            out = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            out.training = module.training
            for name in ("weight", "bias"):
                setattr(out, name, getattr(module, name))
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                setattr(out, name, getattr(module, name))
        for name, child in module.named_children():
            out.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return out
