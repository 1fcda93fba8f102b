"""Grad modes: context managers that are also decorators."""

from __future__ import annotations

import functools

from .. import record


class State:
    """`dual`: whether a level of forward mode is open, which needs the graphs."""

    dual = False


class _Mode:
    """Switches the thread's grad mode inside a `with` block or a decorated function."""

    __slots__ = ("before",)
    on = False

    def __new__(cls, function=None):
        self = object.__new__(cls)
        return self(function) if callable(function) else self

    def __enter__(self) -> None:
        if State.dual and not self.on:
            raise NotImplementedError("no_grad inside forward_ad.dual_level()")
        tr = record._local.h.trace
        self.before = tr.grad
        tr.grad = self.on

    def __exit__(self, *exc) -> None:
        record._local.h.trace.grad = self.before

    def __call__(self, function):
        kind = type(self)

        @functools.wraps(function)
        def run(*args, **kwargs):
            with kind():
                return function(*args, **kwargs)

        return run


class no_grad(_Mode):
    """Results computed inside do not require grad."""

    __slots__ = ()


class enable_grad(_Mode):
    """Undoes `no_grad` inside."""

    __slots__ = ()
    on = True


class inference_mode(_Mode):
    """`no_grad` for code whose results never meet autograd; `inference_mode(False)` does
    nothing."""

    __slots__ = ("mode", "outer")

    def __new__(cls, mode=True):
        self = object.__new__(cls)
        self.mode = True
        if callable(mode):
            return self(mode)
        self.mode = bool(mode)
        return self

    def __enter__(self) -> None:
        h = record._local.h
        self.before, self.outer = h.trace.grad, h.inference
        if self.mode:
            h.trace.grad, h.inference = False, True

    def __exit__(self, *exc) -> None:
        h = record._local.h
        h.trace.grad, h.inference = self.before, self.outer


class set_grad_enabled(_Mode):
    """Sets the grad mode at once; as a context manager it is restored at the end."""

    __slots__ = ("mode",)

    def __new__(cls, mode: bool):
        self = object.__new__(cls)
        self.mode = bool(mode)
        tr = record._local.h.trace
        self.before, tr.grad = tr.grad, self.mode
        return self

    def __enter__(self) -> None:
        record._local.h.trace.grad = self.mode

    def __call__(self, function):
        record._local.h.trace.grad = self.before
        mode = self.mode

        @functools.wraps(function)
        def run(*args, **kwargs):
            with set_grad_enabled(mode):
                return function(*args, **kwargs)

        return run


def is_grad_enabled() -> bool:
    """Whether operations are recorded for gradients in this thread."""
    return record._local.h.trace.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return record._local.h.inference
