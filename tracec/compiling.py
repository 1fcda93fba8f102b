"""`torch.compile`: accepted for compatibility; eager code is compiled anyway."""

from __future__ import annotations


def compile(
    model=None,
    *,
    fullgraph: bool = False,
    dynamic=None,
    backend="inductor",
    mode=None,
    options=None,
    disable: bool = False,
):
    """Returns `model` (a function or Module) as it is: every recorded trace is fused and compiled
    without a decorator. The options of PyTorch's compiler are accepted and have nothing to set."""
    if model is None:
        return lambda f: f
    if not callable(model):
        raise TypeError(f"compile() expects a callable, got {type(model).__name__}")
    return model
