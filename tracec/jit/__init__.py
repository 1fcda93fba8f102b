"""Script: functions and modules with their control flow become IR, which is saved and deployed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from .errors import ScriptError

__all__ = [
    "Final", "ScriptError", "ScriptFunction", "ScriptModule", "annotate", "export", "freeze",
    "ignore", "is_scripting", "is_tracing", "isinstance", "load", "save", "script",
    "script_if_tracing", "trace", "unused",
]  # fmt: skip


def script(obj: Any, *, example_inputs: Sequence[Any] | None = None) -> Any:
    """A function or module translated from its Python source, control flow included.

    The result is callable, and `.save(path)` writes it as a `.tcm` file. Translation happens when
    the kinds of its inputs are known: at the first call, or when it is saved.
    """
    from ..nn import Module
    from .module import ScriptFunction, ScriptModule

    if type(obj) in (ScriptFunction, ScriptModule):
        return obj
    if _isinstance(obj, Module):
        return ScriptModule(obj, example_inputs)
    if _isinstance(obj, type):
        raise ScriptError(f"classes cannot be scripted; script an instance of {obj.__name__}")
    if not callable(obj) or not hasattr(obj, "__code__"):
        raise ScriptError(f"a {type(obj).__name__} cannot be scripted; give a function or a Module")
    return ScriptFunction(obj, example_inputs)


_isinstance = __builtins__["isinstance"] if type(__builtins__) is dict else __builtins__.isinstance


def save(m: Any, f: str | os.PathLike[str]) -> None:
    """Saves a scripted function or module."""
    m.save(f)


def is_scripting() -> bool:
    """Whether the code is being scripted (False in eager execution)."""
    from .. import record

    tr = record.current()
    return tr.symbolic and not tr.traced


def is_tracing() -> bool:
    """Whether the code is being traced."""
    from .. import record

    tr = record.current()
    return tr.symbolic and tr.traced


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value; the type is for readers."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's isinstance."""
    return _isinstance(obj, target_type)


def export(fn: Callable) -> Callable:
    """Marks a method as part of a scripted module."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Marks a function that script must not call."""
    return _marked("ignore", drop)


def unused(fn: Callable) -> Callable:
    """Marks a function that script leaves out; calling it from a script is an error."""
    return _marked("unused", fn)


def _marked(mode: str, fn: Any) -> Any:
    def mark(fn: Callable) -> Callable:
        fn._script_mode = mode  # type: ignore[attr-defined]
        return fn

    return mark(fn) if callable(fn) else mark


def freeze(mod: Any, preserved_attrs: Any = None, optimize_numerics: bool = True) -> Any:
    """The scripted module itself: saved parameters are constants anyway."""
    return mod


def script_if_tracing(fn: Callable) -> Callable:
    """The function itself."""
    return fn


def __getattr__(name: str) -> Any:
    homes = {
        "ScriptFunction": "module", "ScriptModule": "module", "load": "running", "trace": "tracing",
    }  # fmt: skip
    if name in homes:
        from importlib import import_module

        value = getattr(import_module(f".{homes[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
