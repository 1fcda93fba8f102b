"""Owns LBFGS: a quasi-Newton method with a limited history, and its line search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tracec

from .optimizer import Optimizer, check_lr


def _cubic_minimum(
    x1: float, f1: float, g1: float, x2: float, f2: float, g2: float,
    bounds: tuple[float, float] | None = None,
) -> float:  # fmt: skip
    """Where the cubic through two points with given slopes is least."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if square < 0:
        return (low + high) / 2.0
    d2 = square**0.5
    if x1 <= x2:
        place = x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
    else:
        place = x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    return min(max(place, low), high)


def _strong_wolfe(
    evaluate: Callable[[float], tuple[float, Any]],
    direction: Any,
    t: float,
    f: float,
    g: Any,
    slope: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance: float = 1e-9,
    max_trials: int = 25,
) -> tuple[float, Any, float, int]:
    """A step that lowers the function enough and flattens its slope: (f, g, t, evaluations)."""
    longest = direction.abs().max().item()
    f_new, g_new = evaluate(t)
    calls = 1
    slope_new = g_new.dot(direction).item()
    previous = (0.0, f, g, slope)
    bracket: list[tuple[float, float, Any, float]] = []
    done = False
    trials = 0
    while trials < max_trials:
        point = (t, f_new, g_new, slope_new)
        if f_new > f + c1 * t * slope or (trials > 1 and f_new >= previous[1]):
            bracket = [previous, point]
            break
        if abs(slope_new) <= -c2 * slope:
            bracket = [point]
            done = True
            break
        if slope_new >= 0:
            bracket = [previous, point]
            break
        low, high = t + 0.01 * (t - previous[0]), t * 10
        following = _cubic_minimum(
            previous[0], previous[1], previous[3], t, f_new, slope_new, bounds=(low, high)
        )
        previous, t = point, following
        f_new, g_new = evaluate(t)
        calls += 1
        slope_new = g_new.dot(direction).item()
        trials += 1
    if trials == max_trials:
        bracket = [(0.0, f, g, slope), (t, f_new, g_new, slope_new)]

    # Zoom: shrink the bracket around a point that meets both conditions.
    stalled = False
    best, worst = (0, -1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    while not done and trials < max_trials:
        if abs(bracket[1][0] - bracket[0][0]) * longest < tolerance:
            break
        (x1, f1, _, s1), (x2, f2, _, s2) = bracket
        t = _cubic_minimum(x1, f1, s1, x2, f2, s2)
        width = abs(x2 - x1)
        top, bottom = max(x1, x2), min(x1, x2)
        margin = 0.1 * width
        if min(top - t, t - bottom) < margin:
            if stalled or t >= top or t <= bottom:
                t = top - margin if abs(t - top) < abs(t - bottom) else bottom + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        f_new, g_new = evaluate(t)
        calls += 1
        slope_new = g_new.dot(direction).item()
        trials += 1
        point = (t, f_new, g_new, slope_new)
        if f_new > f + c1 * t * slope or f_new >= bracket[best][1]:
            bracket[worst] = point
            best, worst = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(slope_new) <= -c2 * slope:
                done = True
            elif slope_new * (bracket[worst][0] - bracket[best][0]) >= 0:
                bracket[worst] = bracket[best]
            bracket[best] = point
    chosen = bracket[best] if len(bracket) > 1 else bracket[0]
    return chosen[1], chosen[2], chosen[0], calls


class LBFGS(Optimizer):
    """Limited-memory BFGS; step() takes a closure that computes the loss and its gradients."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr, "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change,
            "history_size": history_size, "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _flat_grad(self) -> Any:
        parts = [
            tracec.zeros(p.numel(), dtype=p.dtype) if p.grad is None else p.grad.reshape(-1)
            for p in self._params
        ]
        return tracec.cat(parts, 0)

    def _move(self, amount: float, direction: Any) -> None:
        offset = 0
        for param in self._params:
            count = param.numel()
            param.add_(direction[offset : offset + count].view_as(param), alpha=amount)
            offset += count

    def _evaluate_at(
        self, closure: Callable[[], float], start: list[Any], t: float, direction: Any
    ) -> tuple[float, Any]:
        self._move(t, direction)
        loss = float(closure())
        gradient = self._flat_grad()
        for param, value in zip(self._params, start, strict=True):
            param.copy_(value)
        return loss, gradient

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise by up to max_iter iterations."""
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        with tracec.no_grad():
            return self._minimise(closure)

    def _minimise(self, user_closure: Callable[[], Any]) -> Any:
        def closure() -> Any:
            with tracec.enable_grad():
                return user_closure()

        group = self.param_groups[0]
        lr = group["lr"].item() if isinstance(group["lr"], tracec.Tensor) else group["lr"]
        search = group["line_search_fn"]
        if search not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        gradient = self._flat_grad()
        if gradient.abs().max().item() <= group["tolerance_grad"]:
            return first_loss

        direction, t = state.get("d"), state.get("t")
        old_dirs, old_steps, ro = state.get("old_dirs"), state.get("old_stps"), state.get("ro")
        scale, previous_gradient = state.get("H_diag"), state.get("prev_flat_grad")
        previous_loss = state.get("prev_loss")
        iterations = 0
        while iterations < group["max_iter"]:
            iterations += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = gradient.neg()
                old_dirs, old_steps, ro, scale = [], [], [], 1
            else:
                scale = self._remember(
                    gradient - previous_gradient, direction * t, old_dirs, old_steps, ro, scale,
                    group["history_size"],
                )  # fmt: skip
                alphas = state.setdefault("al", [None] * group["history_size"])
                direction = _two_loops(gradient, old_dirs, old_steps, ro, scale, alphas)
            previous_gradient = gradient.clone()
            previous_loss = loss
            t = min(1.0, 1.0 / gradient.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            slope = gradient.dot(direction).item()
            if slope > -group["tolerance_change"]:
                break
            calls = 0
            if search is not None:
                start = [param.clone() for param in self._params]
                loss, gradient, t, calls = _strong_wolfe(
                    lambda step, start=start, d=direction: self._evaluate_at(
                        closure, start, step, d
                    ),
                    direction, t, loss, gradient, slope,
                )  # fmt: skip
                self._move(t, direction)
            else:
                self._move(t, direction)
                if iterations != group["max_iter"]:
                    loss = float(closure())
                    gradient = self._flat_grad()
                    calls = 1
            evaluations += calls
            state["func_evals"] += calls
            if (
                iterations == group["max_iter"]
                or evaluations >= group["max_eval"]
                or gradient.abs().max().item() <= group["tolerance_grad"]
                or (direction * t).abs().max().item() <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break
        state.update(
            d=direction, t=t, old_dirs=old_dirs, old_stps=old_steps, ro=ro, H_diag=scale,
            prev_flat_grad=previous_gradient, prev_loss=previous_loss,
        )  # fmt: skip
        return first_loss

    @staticmethod
    def _remember(
        y: Any, s: Any, old_dirs: list[Any], old_steps: list[Any], ro: list[Any], scale: Any,
        size: int,
    ) -> Any:  # fmt: skip
        """Add a step and its change of gradient to the history; the new scale."""
        curvature = y.dot(s)
        if curvature.item() <= 1e-10:
            return scale
        if len(old_dirs) == size:
            for history in (old_dirs, old_steps, ro):
                history.pop(0)
        old_dirs.append(y)
        old_steps.append(s)
        ro.append(1.0 / curvature)
        return curvature / y.dot(y)


def _two_loops(
    gradient: Any, old_dirs: Any, old_steps: Any, ro: Any, scale: Any, alphas: list[Any]
) -> Any:
    """Minus the inverse Hessian, as the history estimates it, times the gradient."""
    q = gradient.neg()
    for i in reversed(range(len(old_dirs))):
        alphas[i] = old_steps[i].dot(q) * ro[i]
        q = q - old_dirs[i] * alphas[i]
    r = q * scale
    for i in range(len(old_dirs)):
        beta = old_dirs[i].dot(r) * ro[i]
        r = r + old_steps[i] * (alphas[i] - beta)
    return r
