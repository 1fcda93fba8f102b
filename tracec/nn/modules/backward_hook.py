"""Owns the two identity functions around a module's forward that its backward hooks observe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tracec


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


_identity_class: Any = None


def _identity() -> Any:
    """The autograd Function (made once) that passes tensors on and reports their gradients."""
    global _identity_class
    if _identity_class is None:

        class HookPoint(tracec.autograd.Function):
            """Identity; its backward shows the gradients to ``report`` and passes on the reply."""

            @staticmethod
            def forward(ctx: Any, report: Callable[..., Any], *tensors: Any) -> tuple[Any, ...]:
                ctx.report = report
                return tuple(tensor.view_as(tensor) for tensor in tensors)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
                return (None, *ctx.report(grads))

        _identity_class = HookPoint
    return _identity_class


class BackwardHook:
    """Calls a module's backward hooks once the gradients of its outputs and inputs are known."""

    def __init__(self, module: Any, hooks: Iterable[Any], pre_hooks: Iterable[Any]) -> None:
        self.module = module
        self.hooks = list(hooks)
        self.pre_hooks = list(pre_hooks)
        self.grad_outputs: tuple[Any, ...] | None = None
        self.input_positions: list[int] | None = None
        self.input_count = 0

    def on_inputs(self, args: Any) -> Any:
        """The arguments, passed through the point where gradients of inputs are seen."""
        results, positions = self._observe(_as_tuple(args), self._inputs_ready)
        self.input_positions, self.input_count = positions, len(results)
        return results if isinstance(args, tuple) else results[0]

    def on_outputs(self, outputs: Any) -> Any:
        """The results, passed through the point where gradients of outputs are seen."""
        values = _as_tuple(outputs)
        results, positions = self._observe(
            values, lambda grads: self._outputs_ready(grads, positions, len(values))
        )
        return results if isinstance(outputs, tuple) else results[0]

    def _observe(
        self, values: tuple[Any, ...], report: Callable[..., Any]
    ) -> tuple[tuple[Any, ...], list[int]]:
        positions = [i for i, value in enumerate(values) if isinstance(value, tracec.Tensor)]
        watched = any(values[i].requires_grad for i in positions)
        if not (watched and tracec.is_grad_enabled()):
            return values, []
        replaced = _identity().apply(report, *(values[i] for i in positions))
        results = list(values)
        for position, tensor in zip(positions, _as_tuple(replaced), strict=True):
            results[position] = tensor
        return tuple(results), positions

    def _outputs_ready(
        self, grads: tuple[Any, ...], positions: list[int], count: int
    ) -> tuple[Any, ...]:
        spread: list[Any] = [None] * count
        for position, grad in zip(positions, grads, strict=True):
            spread[position] = grad
        self.grad_outputs = tuple(spread)
        for hook in self.pre_hooks:
            reply = hook(self.module, self.grad_outputs)
            if reply is not None:
                self.grad_outputs = self._checked(reply, count)
        if not self.input_positions:
            # No input requires grad: the hooks run here, with no gradients of inputs.
            for hook in self.hooks:
                reply = hook(self.module, (None,) * self.input_count, self.grad_outputs)
                if reply is not None and any(part is not None for part in _as_tuple(reply)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should "
                        "always return None or None for all gradients."
                    )
        return tuple(self.grad_outputs[position] for position in positions)

    def _inputs_ready(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:
            raise RuntimeError(
                "Module backward hook for grad_input is called before the grad_output one. This "
                "happens because the gradient in your nn.Module flows to the Module's input "
                "without passing through the Module's output. Make sure that the output depends "
                "on the input and that the loss is computed based on the output."
            )
        positions = self.input_positions or []
        spread: list[Any] = [None] * self.input_count
        for position, grad in zip(positions, grads, strict=True):
            spread[position] = grad
        current = tuple(spread)
        for hook in self.hooks:
            reply = hook(self.module, current, self.grad_outputs)
            if reply is not None:
                current = self._checked(reply, self.input_count)
        self.grad_outputs = None
        return tuple(current[position] for position in positions)

    @staticmethod
    def _checked(reply: Any, count: int) -> tuple[Any, ...]:
        values = _as_tuple(reply)
        if len(values) != count:
            raise RuntimeError(
                "Backward hook returned an invalid number of grad_input, "
                f"got {len(values)}, but expected {count}"
            )
        return values
