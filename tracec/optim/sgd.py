"""Owns SGD: stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tracec

from . import recorded
from .optimizer import Optimizer, _to_scalar, check, check_fused, check_lr


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with (Nesterov) momentum.

    d = gradient + weight_decay * p; with momentum buf = momentum * buf + (1 - dampening) * d takes
    its place (Nesterov: d + momentum * buf); p -= lr * d. ValueError for negative numbers, or for
    Nesterov without momentum.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check("momentum value", momentum, momentum >= 0.0)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize, "foreach": foreach,
            "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters from their gradients."""
        loss = None
        if closure is not None:
            with tracec.enable_grad():
                loss = closure()
        with tracec.no_grad():
            for group in self.param_groups:
                self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        params, grads = [], []
        for param in group["params"]:
            grad = param.grad
            if grad is not None:
                params.append(param)
                grads.append(grad)
        if not params:
            return
        options = (
            _to_scalar(group["lr"]), momentum, group["dampening"], group["weight_decay"],
            group["nesterov"], group["maximize"],
        )  # fmt: skip
        if momentum == 0:
            recorded.sgd_step(params, grads, [], *options)
            return
        # Parameters seen for the first time begin their momentum with this gradient.
        fresh: list[tuple[Any, Any]] = []
        known: list[tuple[Any, Any, Any]] = []
        for param, grad in zip(params, grads, strict=True):
            buffer = self.state[param].get("momentum_buffer")
            if buffer is None:
                fresh.append((param, grad))
            else:
                known.append((param, grad, buffer))
        if known:
            recorded.sgd_step(*(list(column) for column in zip(*known, strict=True)), *options)
        if fresh:
            first_params, first_grads = (list(column) for column in zip(*fresh, strict=True))
            buffers = recorded.sgd_step(first_params, first_grads, [], *options)
            for param, buffer in zip(first_params, buffers, strict=True):
                self.state[param]["momentum_buffer"] = buffer
