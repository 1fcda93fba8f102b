"""Owns the optimizers that look at whole matrices: Adafactor and Muon."""

from __future__ import annotations

import math
from typing import Any

import tracec

from .optimizer import PerParameter, _to_scalar, check_lr, new_step


class Adafactor(PerParameter):
    """Adam whose second moment of a matrix is kept as a row and a column."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d,
            "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _begin(self, param: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        state["step"] = new_step()
        if param.dim() > 1:
            shape = list(param.shape)
            state["row_var"] = param.new_zeros([*shape[:-1], 1])
            state["col_var"] = param.new_zeros([*shape[:-2], 1, shape[-1]])
        else:
            state["variance"] = tracec.zeros_like(param)

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"].add_(1).double()
        rate = _to_scalar(group["lr"])
        eps1, eps2 = group["eps"]
        if eps1 is None:
            eps1 = tracec.finfo(param.dtype).eps
        fresh = (step ** group["beta2_decay"]).to(param.dtype)
        relative = (1 / step.sqrt()).clamp(max=rate)
        size = param.square().sum().sqrt() / param.numel() ** 0.5
        alpha = size.clamp(min=eps2) * relative
        if group["weight_decay"] != 0:
            param.mul_(1 - rate * group["weight_decay"])
        squared = grad * grad
        if param.dim() > 1:
            row, column = state["row_var"], state["col_var"]
            row.add_((squared.mean(-1, keepdim=True) - row) * fresh)
            column.add_((squared.mean(-2, keepdim=True) - column) * fresh)
            estimate = row @ column / row.mean(-2, keepdim=True).clamp(min=eps1)
        else:
            estimate = state["variance"].add_((squared - state["variance"]) * fresh)
        update = estimate.clamp(min=eps1 * eps1).rsqrt() * grad
        norm = update.square().sum().sqrt() / (update.numel() ** 0.5 * group["d"])
        param.sub_(update * (alpha / norm.clamp(min=1.0)).to(param.dtype))


def _orthogonalised(
    grad: Any, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Any:
    """The nearest orthogonal matrix, roughly, by Newton-Schulz iteration in bfloat16."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if grad.dim() != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = grad.size(0) > grad.size(1)
    x = grad.bfloat16()
    x = x.T if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        # Each product is rounded once, after its sum: in bfloat16 the place of rounding shows.
        wide = x.float()
        gram = (wide @ wide.T).bfloat16().float()
        mixed = tracec.addmm(gram, gram, gram, beta=b, alpha=c).bfloat16().float()
        x = tracec.addmm(wide, mixed, wide, beta=a).bfloat16()
    return x.T if tall else x


class Muon(PerParameter):
    """Momentum orthogonalised before each step; for matrices only."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.dim() != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {param.size()}"
                    )

    def _begin(self, param: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        state["momentum_buffer"] = tracec.zeros_like(param)

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum, rate = group["momentum"], _to_scalar(group["lr"])
        buffer = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = _orthogonalised(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = param.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1, rows / columns))
        param.mul_(1 - rate * group["weight_decay"])
        param.sub_(update.to(param.dtype) * (rate * ratio))
