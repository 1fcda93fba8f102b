"""Owns checkpoint: run a part of a model again in backward instead of keeping its values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tracec

_function_class: Any = None


def _checkpoint_function() -> Any:
    """The autograd Function that keeps inputs only (made once)."""
    global _function_class
    if _function_class is None:

        class CheckpointFunction(tracec.autograd.Function):
            """Runs without a graph; its backward runs again with one."""

            @staticmethod
            def forward(ctx: Any, run: Callable[..., Any], keep_rng: bool, *args: Any) -> Any:
                ctx.run, ctx.args = run, args
                ctx.rng_state = tracec.get_rng_state() if keep_rng else None
                with tracec.no_grad():
                    return run(*args)

            @staticmethod
            def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
                args = [
                    arg.detach().requires_grad_(arg.requires_grad)
                    if isinstance(arg, tracec.Tensor) else arg
                    for arg in ctx.args
                ]  # fmt: skip
                now = None
                if ctx.rng_state is not None:
                    now = tracec.get_rng_state()
                    tracec.set_rng_state(ctx.rng_state)
                with tracec.enable_grad():
                    outputs = ctx.run(*args)
                if now is not None:
                    tracec.set_rng_state(now)
                outputs = outputs if isinstance(outputs, tuple) else (outputs,)
                pairs = [
                    (output, grad)
                    for output, grad in zip(outputs, grads, strict=True)
                    if isinstance(output, tracec.Tensor) and output.requires_grad
                ]
                if not pairs:
                    raise RuntimeError(
                        "none of output has requires_grad=True, this checkpoint() is not necessary"
                    )
                tracec.autograd.backward([o for o, _ in pairs], [g for _, g in pairs])
                found = [arg.grad if isinstance(arg, tracec.Tensor) else None for arg in args]
                return (None, None, *found)

        _function_class = CheckpointFunction
    return _function_class


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args)``, whose intermediate values backward computes again."""
    if context_fn is not None:
        raise NotImplementedError("checkpoint(context_fn=...)")
    if use_reentrant and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))

    def run(*inner: Any) -> Any:
        return function(*inner, **kwargs)

    watched = any(isinstance(arg, tracec.Tensor) and arg.requires_grad for arg in args)
    if not watched or not tracec.is_grad_enabled():
        # Nothing that autograd sees goes in: parameters alone get their gradients by the graph.
        return run(*args)
    return _checkpoint_function().apply(run, preserve_rng_state, *args)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    **kwargs: Any,
) -> Any:
    """A Sequential in segments, of which all but the last are checkpointed."""
    steps = list(functions.children() if hasattr(functions, "children") else functions)

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def segment(value: Any) -> Any:
            for step in steps[start : end + 1]:
                value = step(value)
            return value

        return segment

    size = len(steps) // segments
    end = -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, **kwargs)
    return run(end + 1, len(steps) - 1)(input)
