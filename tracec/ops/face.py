"""The register of PyTorch's spellings: where each function of `tracec.ops` appears, said once.

`@face("torch method")` lists a function for the namespace `torch` and as a method of Tensor;
`inplace=True` derives the forms whose names end in an underscore. `install` puts what is listed for
a place into a namespace or class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..parameter_names import numpy_names, parameters
from .descriptions import DESCRIPTIONS

PLACES = ("torch", "method", "functional", "special", "linalg", "fft")
_listed: dict[str, dict[str, Callable]] = {place: {} for place in PLACES}
_every: dict[str, Callable] = {}
_named: set[Callable] = set()


def face(
    on: str = "torch method",
    *,
    name: str | None = None,
    aliases: Iterable[str] = (),
    inplace: bool = False,
) -> Callable[[Callable], Callable]:
    """Lists the decorated function under its name (or `name`) and aliases for the places `on`."""

    def register(fn: Callable) -> Callable:
        add(fn, on, name or fn.__name__, aliases, inplace)
        return fn

    return register


def add(
    fn: Callable, on: str, name: str, aliases: Iterable[str] = (), inplace: bool = False
) -> None:
    """Lists `fn` as `name` and its aliases for the places named in `on`."""
    if name in DESCRIPTIONS and fn.__name__ == name:
        fn.__doc__ = DESCRIPTIONS[name]
    places = on.split()
    if fn not in _named:
        _named.add(fn)
        _name_for_errors(fn, name, places)
    changed = _inplace_form(fn, name) if inplace else None
    for spelled in (name, *aliases):
        _put(spelled, fn, places)
        if changed is not None:
            _put(spelled + "_", changed, places)


def _name_for_errors(fn: Callable, name: str, places: list[str]) -> None:
    """Makes a function that takes `out` known, to `arguments.given`, by the name of its code. Those
    of functions made by one factory are the same, so each gets its own."""
    if "out" in parameters(fn):
        if places[0] in ("linalg", "special", "fft"):
            name = f"{places[0]}_{name}"
        fn.__code__ = fn.__code__.replace(co_name=name)


def _put(name: str, fn: Callable, places: Iterable[str]) -> None:
    for place in places:
        if _listed[place].setdefault(name, fn) is not fn:
            raise ValueError(f"two functions are listed as {place} {name}")
    _every.setdefault(name, fn)


def _inplace_form(fn: Callable, name: str) -> Callable:
    """The form of `fn` that writes its result into its first argument and returns that."""
    from ..inplace import check, update

    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return update(self, fn(self, *args, **kwargs))

    form.__name__ = form.__qualname__ = name + "_"
    form.__doc__ = f"`{name}`, in place."
    return form


def install(target: Any, place: str) -> None:
    """Sets every function listed for `place` on a module namespace (a dict) or a class; what a
    class defines itself stays."""
    if isinstance(target, dict):
        for name, fn in _listed[place].items():
            target.setdefault(name, numpy_names(fn))
        return
    for name, fn in _listed[place].items():
        if name not in target.__dict__:
            setattr(target, name, numpy_names(fn))


def names(place: str) -> list[str]:
    """What is listed for a place."""
    return sorted(_listed[place])


def every() -> dict[str, Callable]:
    """Every listed function by name."""
    return _every
