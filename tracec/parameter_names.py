"""Other names of parameters: those of NumPy, which PyTorch takes too, and those of one function
among several that are made alike."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

_NUMPY = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input",
          "x2": "other"}  # fmt: skip
_forms: dict[Callable, Callable] = {}


def parameters(fn: Callable) -> tuple[str, ...]:
    """The names of a function's parameters, in order, those given by keyword only last."""
    code = fn.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def renamed(fn: Any, **names: str) -> Any:
    """A copy of `fn` whose parameters have other names: {old: new}."""
    code = fn.__code__
    code = code.replace(co_varnames=tuple(names.get(n, n) for n in code.co_varnames))
    out = FunctionType(code, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
    out.__qualname__, out.__doc__ = fn.__qualname__, fn.__doc__
    out.__kwdefaults__, out.__annotations__ = fn.__kwdefaults__, {
        names.get(n, n): t for n, t in fn.__annotations__.items()
    }  # fmt: skip
    return out


def other_names(fn: Callable) -> dict[str, str]:
    """{NumPy's name: ours} of the parameters of `fn`."""
    known = parameters(fn)
    return {new: old for new, old in _NUMPY.items() if new not in known and old in known}


def numpy_names(fn: Callable) -> Callable:
    """`fn`, if it has a parameter `dim`, in a form that also knows NumPy's names (`axis`, ...)."""
    if hasattr(fn, "__wrapped__") or "dim" not in parameters(fn):
        return fn
    form = _forms.get(fn)
    if form is None:
        form = _forms[fn] = _numpy_form(fn)
    return form


def _numpy_form(fn: Callable) -> Callable:
    other = other_names(fn)

    def form(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not kwargs.keys().isdisjoint(other):
            kwargs = {other.get(k, k): v for k, v in kwargs.items()}
        return fn(*args, **kwargs)

    form.__name__ = form.__qualname__ = fn.__name__
    form.__doc__, form.__module__ = fn.__doc__, fn.__module__
    form.__wrapped__ = fn  # type: ignore[attr-defined]
    return form
