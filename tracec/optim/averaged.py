"""Owns ASGD (averaged SGD) and Rprop (steps by signs)."""

from __future__ import annotations

from typing import Any

import tracec

from .optimizer import PerParameter, _to_scalar, check_lr, new_step


class ASGD(PerParameter):
    """SGD that keeps the average of its iterates."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
            "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _begin(self, param: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        state["step"] = new_step()
        state["eta"] = tracec.zeros((), dtype=tracec.float32).add_(_to_scalar(group["lr"]))
        state["mu"] = tracec.ones((), dtype=tracec.float32)
        state["ax"] = tracec.zeros_like(param)

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = state["step"].add_(1).double()
        rate, lambd = _to_scalar(group["lr"]), group["lambd"]
        eta, mu, average = state["eta"], state["mu"], state["ax"]
        if group["weight_decay"] != 0:
            grad = grad.add(param, alpha=group["weight_decay"])
        exact = eta.double()  # as a Python number, which the state's float32 is for PyTorch
        param.mul_(1 - lambd * exact)
        param.sub_(grad * exact)
        moved = average + (param - average) * mu
        average.copy_(tracec.where(mu == 1, param, moved))
        eta.copy_(rate / (1 + lambd * rate * step) ** group["alpha"])
        mu.copy_(1 / (step - group["t0"]).clamp(min=1))


class Rprop(PerParameter):
    """Steps of their own size for each element, grown or shrunk by the sign of the gradient."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach,
            "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _begin(self, param: Any, group: dict[str, Any], state: dict[str, Any]) -> None:
        state["step"] = new_step()
        state["prev"] = tracec.zeros_like(param)
        state["step_size"] = tracec.zeros_like(param).add_(_to_scalar(group["lr"]))

    def _update(self, param: Any, grad: Any, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"].add_(1)
        shrink, grow = group["etas"]
        agreement = grad * state["prev"]
        factor = tracec.where(agreement > 0, grow, tracec.where(agreement < 0, shrink, 1.0))
        size = state["step_size"]
        size.mul_(factor.to(param.dtype)).clamp_(*group["step_sizes"])
        # After a change of sign the element stays where it is for a step.
        grad = tracec.where(agreement < 0, 0.0, grad)
        param.sub_(grad.sign() * size)
        state["prev"].copy_(grad)
