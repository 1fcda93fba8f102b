"""PyTorch's ``torch.nn.utils``."""

from __future__ import annotations

from typing import Any

from . import rnn
from .clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from .convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_",
    "get_total_norm", "parameters_to_vector", "parametrizations", "parametrize",
    "remove_spectral_norm", "remove_weight_norm", "rnn", "skip_init", "spectral_norm", "stateless",
    "vector_to_parameters", "weight_norm",
]  # fmt: skip

_HOME = {
    "weight_norm": "weight_norm", "remove_weight_norm": "weight_norm",
    "spectral_norm": "spectral_norm", "remove_spectral_norm": "spectral_norm",
}  # fmt: skip


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """The module with its weights as they came from memory."""
    if not issubclass(module_cls, _module_class()):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    return module_cls(*args, **kwargs)


def _module_class() -> Any:
    from ..modules.module import Module

    return Module


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOME:
        # Set the function under the name: the file of the same name would hide it.
        value = getattr(import_module(f"{__name__}.{_HOME[name]}_hook"), name)
        globals()[name] = value
        return value
    if name in ("parametrize", "parametrizations", "stateless"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
