"""PyTorch's ``torch.utils``: data loading, hooks, checkpointing and trees."""

from __future__ import annotations

from typing import Any

_SUBMODULES = ("checkpoint", "data", "hooks", "_pytree")

__all__ = ["data", "hooks"]


def __getattr__(name: str) -> Any:
    # Loaded on first use: most programs need one of these at most.
    if name in _SUBMODULES:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
