"""Owns the variants of Adam: NAdam and RAdam."""

from __future__ import annotations

from typing import Any

import tracec

from .optimizer import PerParameter, _to_scalar, check, check_lr, new_step


def _check_moments(lr: Any, betas: Any, eps: float, weight_decay: float) -> None:
    check_lr(lr)
    check("epsilon value", eps, 0.0 <= eps)
    for index, beta in enumerate(betas):
        check(f"beta parameter at index {index}", beta, 0.0 <= beta < 1.0)
    check("weight_decay value", weight_decay, 0.0 <= weight_decay)


def _decayed(param: Any, grad: Any, group: dict[str, Any]) -> Any:
    """The gradient with weight decay, or the parameter decayed in place if it is decoupled."""
    if group["weight_decay"] == 0:
        return grad
    if group["decoupled_weight_decay"]:
        param.mul_(1 - _to_scalar(group["lr"]) * group["weight_decay"])
        return grad
    return grad.add(param, alpha=group["weight_decay"])


class NAdam(PerParameter):
    """Adam with Nesterov momentum."""

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_moments(lr, betas, eps, weight_decay)
        check("momentum_decay value", momentum_decay, 0.0 <= momentum_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _begin(self, param: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        state["step"] = new_step()
        state["mu_product"] = tracec.ones((), dtype=tracec.float32)
        state["exp_avg"] = tracec.zeros_like(param)
        state["exp_avg_sq"] = tracec.zeros_like(param)

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"].add_(1).double()
        beta1, beta2 = group["betas"]
        rate, decay = _to_scalar(group["lr"]), group["momentum_decay"]
        grad = _decayed(param, grad, group)
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        product = state["mu_product"].mul_(mu).double()
        mean = state["exp_avg"].lerp_(grad, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        spread = (square / (1 - beta2**step)).sqrt() + group["eps"]
        param.sub_(grad * (rate * (1.0 - mu) / (1.0 - product)) / spread)
        param.sub_(mean * (rate * mu_next / (1.0 - product * mu_next)) / spread)


class RAdam(PerParameter):
    """Adam whose first steps do not trust the second moment."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_moments(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _begin(self, param: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        state["step"] = new_step()
        state["exp_avg"] = tracec.zeros_like(param)
        state["exp_avg_sq"] = tracec.zeros_like(param)

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"].add_(1).double()
        beta1, beta2 = group["betas"]
        grad = _decayed(param, grad, group)
        mean = state["exp_avg"].lerp_(grad, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        correction2 = 1 - beta2**step
        limit = 2 / (1 - beta2) - 1  # the length of the average that is approached
        length = limit - 2 * step * beta2**step / correction2
        trusted = length > 5.0
        safe = tracec.where(trusted, length, 6.0)
        variance = (safe - 4) * (safe - 2) * limit / ((limit - 4) * (limit - 2) * safe)
        adaptive = (variance * correction2).sqrt() / (square.sqrt() + group["eps"])
        factor = tracec.where(trusted, adaptive, 1.0).to(param.dtype)
        rate = _to_scalar(group["lr"]) / (1 - beta1**step)
        param.sub_(mean * rate * factor)
