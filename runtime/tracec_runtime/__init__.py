"""Buffers, plans, caches, the executor and the .tcm archive; knows nothing of `tracec`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .archive import ArchiveError
    from .standalone import Model, load

__all__ = ["ArchiveError", "Model", "load"]

_HOMES = {"ArchiveError": "archive", "Model": "standalone", "load": "standalone"}


def __getattr__(name: str) -> Any:
    # imported on first use: the frontend needs neither archives nor the parser to start
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
