"""Tracing: a function recorded while Python runs it on placeholders of its example's kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..tensor import Tensor
from .errors import ScriptError
from .module import ScriptFunction, ScriptModule


class TracedFunction(ScriptFunction):
    """A function recorded from an example: whatever Python decided then is fixed."""

    traced = True


class TracedModule(ScriptModule):
    """A module recorded from an example: whatever Python decided then is fixed."""

    traced = True


def trace(
    func: Callable,
    example_inputs: Any = None,
    *,
    check_trace: bool = True,
    strict: bool = True,
    example_kwarg_inputs: Any = None,
    optimize: Any = None,
    check_tolerance: float = 1e-5,
    **unknown: Any,
) -> Any:
    """`func` recorded on placeholders like `example_inputs` (a tensor or a tuple of arguments).

    Sizes stay symbolic where the code allows it. Where Python's control flow needs the value of a
    tensor, tracing is refused, for it would fix one way silently; use `script` for such code.
    """
    if unknown:
        raise TypeError(f"trace() got an unexpected keyword argument '{next(iter(unknown))}'")
    if example_kwarg_inputs:
        raise NotImplementedError(
            "trace() with example_kwarg_inputs; give the arguments by position"
        )
    if example_inputs is None:
        raise RuntimeError("trace() needs example_inputs")
    if isinstance(example_inputs, Tensor):
        example_inputs = (example_inputs,)
    examples: Sequence[Any] = tuple(example_inputs)
    from ..nn import Module

    if isinstance(func, Module):
        out: Any = TracedModule(func, examples)
    elif callable(func):
        out = TracedFunction(func, examples)
    else:
        raise ScriptError(f"a {type(func).__name__} cannot be traced; give a function or a Module")
    out._default()  # errors appear here
    if check_trace:
        _check(out, func, examples, check_tolerance)
    return out


def _check(traced: Any, func: Callable, examples: Sequence[Any], tolerance: float) -> None:
    """Compares the trace with the function on the example."""
    from .. import allclose, no_grad
    from .values import tensors_in

    with no_grad():
        want = tensors_in(func(*examples))
        have = tensors_in(traced(*examples))
    for a, b in zip(want, have, strict=True):
        if a.shape != b.shape or not allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            import warnings

            warnings.warn(
                "the traced function gives other results than the function itself on the example "
                "(is it random?)",
                stacklevel=3,
            )
            return
