"""PyTorch's ``torch.nn``: modules, parameters and the functions they call."""

# ruff: noqa: F401  (what is imported here is what the package offers)

from __future__ import annotations

from typing import Any

from . import functional, init, modules
from .modules import *  # noqa: F403
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

_SUBMODULES = ("utils", "attention", "parallel")

__all__ = sorted(
    {*modules.__all__, "Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"}
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name == "DataParallel":
        from .parallel import DataParallel

        return DataParallel
    if name in modules._HOME:
        value = getattr(modules, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
