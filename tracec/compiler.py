"""`torch.compiler`: what marks code for PyTorch's compiler. Every program is compiled as it runs,
so the marks return what they are given."""

from __future__ import annotations

from typing import Any

from .compiling import compile

__all__ = [
    "allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable",
    "is_compiling", "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_stance",
]  # fmt: skip


def is_compiling() -> bool:
    """Whether PyTorch's compiler is tracing this code: never."""
    return False


def is_dynamo_compiling() -> bool:
    return False


def is_exporting() -> bool:
    return False


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """`fn` as it is, or a decorator that returns what it decorates."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn: Any) -> Any:
    """`fn` (or each of a list), as it is."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """`fn`, as it is."""
    return fn


def cudagraph_mark_step_begin() -> None:
    """Says that a new iteration begins, which nothing needs to know."""


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """The names of PyTorch's compilers that `compile` accepts and does without."""
    return ["inductor"]


def reset() -> None:
    """Forgets the recorded traces and their plans."""
    from .record import Flush, flush, forget_traces

    flush(Flush.SYNC)
    forget_traces()


class set_stance:
    """What the compiler should do from now on, or in a `with` block; as nothing is compiled ahead,
    nothing changes."""

    def __init__(self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False,
                 force_backend: Any = None):  # fmt: skip
        self.stance = stance

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass

    def __call__(self, fn: Any) -> Any:
        return fn
