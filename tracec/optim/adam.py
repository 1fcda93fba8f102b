"""Owns Adam and AdamW."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tracec

from . import recorded
from .optimizer import Optimizer, _to_scalar, check, check_fused, check_lr, new_step


class Adam(Optimizer):
    """Steps by first and second moments of the gradient.

    m and v are running means of the gradient and its square, corrected for their start at zero; p
    -= lr * m / (sqrt(v) + eps) (Kingma and Ba, 2014). `amsgrad` uses the largest v so far (Reddi et
    al., 2018), `maximize` ascends. ValueError for rates or betas out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, tracec.Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_lr(lr)
        check("epsilon value", eps, 0.0 <= eps)
        for index, beta in enumerate(betas):
            check(f"beta parameter at index {index}", beta, 0.0 <= beta < 1.0)
        check("weight_decay value", weight_decay, 0.0 <= weight_decay)
        kinds = [isinstance(beta, tracec.Tensor) for beta in betas]
        floats = all(isinstance(beta, float) for beta in betas)
        if not (floats or all(kinds)):
            raise ValueError("betas must be either both floats or both Tensors")
        for index, beta in enumerate(betas):
            if kinds[index]:
                if not capturable and foreach:
                    raise ValueError(
                        f"betas[{index}] as a Tensor is not supported for capturable=False and "
                        "foreach=True"
                    )
                if beta.numel() != 1:
                    raise ValueError(f"Tensor betas[{index}] must be 1-element")
        defaults = {
            "lr": lr, "betas": tuple(_to_scalar(beta) for beta in betas), "eps": eps,
            "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)
        check_fused(fused, foreach, differentiable)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name in ("amsgrad", "maximize", "capturable", "differentiable"):
                group.setdefault(name, False)
            group.setdefault("foreach", None)
            group.setdefault("decoupled_weight_decay", False)
            group.setdefault("fused", None)
            for param in group["params"]:
                values = self.state.get(param)
                # The step was a number before PyTorch 1.12.
                if values and not isinstance(values["step"], tracec.Tensor):
                    values["step"] = tracec.tensor(float(values["step"]), dtype=tracec.float32)

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

    def _state_of(self, param: Any, amsgrad: bool) -> dict[str, Any]:
        """The state of a parameter; it begins at zero."""
        state = self.state[param]
        if not state:
            if param.is_complex():
                raise NotImplementedError(f"optim.{type(self).__name__} of complex parameters")
            state["step"] = new_step()
            state["exp_avg"] = tracec.zeros_like(param)
            state["exp_avg_sq"] = tracec.zeros_like(param)
            if amsgrad:
                state["max_exp_avg_sq"] = tracec.zeros_like(param)
        return state

    def _step_group(self, group: dict[str, Any]) -> None:
        amsgrad = group["amsgrad"]
        params, grads, averages, squares, maxima, steps = [], [], [], [], [], []
        for param in group["params"]:
            grad = param.grad
            if grad is None:
                continue
            state = self._state_of(param, amsgrad)
            params.append(param)
            grads.append(grad)
            averages.append(state["exp_avg"])
            squares.append(state["exp_avg_sq"])
            if amsgrad:
                maxima.append(state["max_exp_avg_sq"])
            steps.append(state["step"])
        if not params:
            return
        columns = [params, grads, averages, squares, *([maxima] if amsgrad else []), steps]
        beta1, beta2 = group["betas"]
        recorded.adam_step(
            columns, _to_scalar(group["lr"]), beta1, beta2, group["eps"], group["weight_decay"],
            amsgrad=amsgrad, decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay that does not pass through the moments.

    p *= 1 - lr * weight_decay before the step of Adam (Loshchilov and Hutter, 2017). ValueError for
    rates or betas out of range.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
            capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
