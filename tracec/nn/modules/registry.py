"""Owns Registry, the dict behind ``_parameters``, ``_buffers`` and ``_modules`` of a Module.

Every entry is mirrored into the module's ``__dict__``, so that ``self.weight`` is an ordinary
attribute lookup (0.02 us) instead of a ``__getattr__`` fallback (0.4 us). Code that writes
``module._parameters["weight"] = p`` directly keeps working, because writing here writes there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

_MISSING = object()


class Registry(dict):
    """A dict of one module's parameters, buffers or submodules, mirrored in its attributes."""

    __slots__ = ("__weakref__", "_owner")

    def __init__(self, owner: Any, entries: Any = ()) -> None:
        super().__init__()
        # Weak, or a module and its registries would be freed by the cycle collector only.
        self._owner = weakref.ref(owner)
        self.update(entries)

    def _attributes(self) -> dict[str, Any]:
        owner = self._owner()
        return {} if owner is None else owner.__dict__

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self._attributes()[name] = value

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._attributes().pop(name, None)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Remove the entry and return it."""
        if name not in self:
            if default is _MISSING:
                raise KeyError(name)
            return default
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest entry and return it with its name."""
        name, value = super().popitem()
        self._attributes().pop(name, None)
        return name, value

    def clear(self) -> None:
        """Remove every entry."""
        for name in list(self):
            del self[name]

    def update(self, *others: Any, **entries: Any) -> None:
        """Set the entries of other mappings or pairs."""
        for name, value in dict(*others, **entries).items():
            self[name] = value

    def __ior__(self, other: Any) -> Registry:  # type: ignore[override, misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The entry of that name, set to the default first if there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def copy(self) -> dict[str, Any]:
        """A plain dict of the entries."""
        return dict(self)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # The owner is copied or pickled before its state, so this refers to the new one.
        entries: Iterator[tuple[str, Any]] = iter(list(self.items()))
        return Registry, (self._owner(),), None, None, entries
