"""Owns averaging of weights over training: AveragedModel, update_bn and SWALR."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import tracec
from tracec.nn import Module
from tracec.nn.modules.batchnorm import _BatchNorm

from .lr_scheduler import LRScheduler

Average = Callable[[Any, Any, Any], Any]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The rule of an exponential moving average, for one parameter."""
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )

    def average(old: Any, new: Any, count: Any) -> Any:
        return decay * old + (1 - decay) * new

    return average


def get_swa_avg_fn() -> Average:
    """The rule of a plain average, for one parameter."""

    def average(old: Any, new: Any, count: Any) -> Any:
        return old + (new - old) / (count + 1)

    return average


def _multi(rule: Average) -> Callable[[list[Any], list[Any], Any], None]:
    def update(olds: list[Any], news: list[Any], count: Any) -> None:
        with tracec.no_grad():
            for old, new in zip(olds, news, strict=True):
                old.copy_(rule(old, new, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list[Any], list[Any], Any], None]:
    """The rule of an exponential moving average, for lists of parameters, in place."""
    return _multi(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Callable[[list[Any], list[Any], Any], None]:
    """The rule of a plain average, for lists of parameters, in place."""
    return _multi(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's."""

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Callable[..., None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        count = tracec.tensor(0, dtype=tracec.long, device=device)
        self.register_buffer("n_averaged", count)
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def _averaged(self, model: Module) -> list[Any]:
        values = list(model.parameters())
        if self.use_buffers:
            values += list(model.buffers())
        return values

    def update_parameters(self, model: Module) -> None:
        """Take the model's present parameters into the average."""
        ours, theirs = self._averaged(self.module), self._averaged(model)
        theirs = [value.detach().to(own.device) for value, own in zip(theirs, ours, strict=True)]
        with tracec.no_grad():
            if self.n_averaged == 0:
                for own, value in zip(ours, theirs, strict=True):
                    own.copy_(value)
            elif self.multi_avg_fn is not None:
                self.multi_avg_fn([own.detach() for own in ours], theirs, self.n_averaged)
            else:
                rule = self.avg_fn or get_swa_avg_fn()
                for own, value in zip(ours, theirs, strict=True):
                    own.copy_(rule(own.detach(), value, self.n_averaged))
            if not self.use_buffers:
                # Buffers are not averaged: they are the newest ones.
                pairs = zip(self.module.buffers(), model.buffers(), strict=True)
                for own, value in pairs:
                    own.copy_(value.detach())
            self.n_averaged.add_(1)


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of batch normalisation anew, from one pass over the data."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not layers:
        return
    with tracec.no_grad():
        momenta = [layer.momentum for layer in layers]
        was_training = model.training
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for batch in loader:
            input = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(input if device is None else input.to(device))
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Moves the rate to a constant one and keeps it there."""

    def __init__(
        self,
        optimizer: Any,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = (
            swa_lr if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(optimizer.param_groups)
        )
        if len(rates) != len(optimizer.param_groups):
            raise ValueError(
                f"swa_lr must have the same length as optimizer.param_groups: swa_lr has "
                f"{len(rates)}, optimizer.param_groups has {len(optimizer.param_groups)}"
            )
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _part(self, t: float) -> float:
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self._part(max(0, min(1, (step - 1) / max(1, self.anneal_epochs))))
        now = self._part(max(0, min(1, step / max(1, self.anneal_epochs))))
        rates = []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            # The rate that the schedule began with, from what is left of it.
            start = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates
