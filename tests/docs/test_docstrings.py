"""Every public function, class and method says what it does; `help` has more than a name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import tracec

MODULES = [
    "tracec", "tracec.nn", "tracec.nn.functional", "tracec.nn.init", "tracec.nn.utils",
    "tracec.nn.utils.rnn", "tracec.nn.utils.parametrize", "tracec.optim",
    "tracec.optim.lr_scheduler", "tracec.linalg", "tracec.fft", "tracec.special", "tracec.func",
    "tracec.autograd", "tracec.autograd.functional", "tracec.utils.data", "tracec.random",
    "tracec.amp", "tracec.jit", "tracec.cuda", "tracec.masked", "tracec.testing",
]  # fmt: skip


def members(owner: Any) -> Iterator[tuple[str, Any]]:
    """The public functions, classes and (of a class) methods and properties."""
    of_class = inspect.isclass(owner)
    for name in list(vars(owner)) if of_class else dir(owner):
        if not name.startswith("_"):
            value = vars(owner)[name] if of_class else getattr(owner, name)
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            where = value.fget if isinstance(value, property) else value
            if callable(where) and getattr(where, "__module__", "").startswith("tracec"):
                yield name, value


def said(owner: Any, name: str, value: Any) -> str:
    """What `help` prints; a method that says nothing may leave it to its base class, as `forward`
    does."""
    documented = getattr(owner, name, value) if inspect.isclass(owner) else value
    return (inspect.getdoc(documented) or inspect.getdoc(value) or "").strip()


@pytest.mark.parametrize("module", MODULES)
def test_nothing_public_is_without_a_docstring(module: str) -> None:
    owner = importlib.import_module(module)
    silent = []
    for name, value in members(owner):
        if not said(owner, name, value):
            silent.append(name)
        if inspect.isclass(value):
            silent += [f"{name}.{n}" for n, v in members(value) if not said(value, n, v)]
    assert not silent


@pytest.mark.parametrize(
    "name, words",
    [
        ("softmax", ["`dim`", "IndexError", "float32", "shape"]),
        ("matmul", ["Vectors", "RuntimeError", "broadcast"]),
        ("exp", ["power", "shape", "dtype", "TypeError"]),
        ("var", ["correction", "RuntimeError"]),
        ("gather", ["int64", "IndexError"]),
        ("nn.functional.cross_entropy", ["log_softmax", "[N, C, ...]", "ValueError"]),
        ("nn.functional.max_pool2d", ["stride", "RuntimeError"]),
        ("nn.Conv2d", ["stride", "ValueError"]),
        ("optim.Adam", ["Kingma", "amsgrad"]),
        ("Tensor.sum", ["`dim`", "int64"]),
    ],
)
def test_help_tells_shapes_dtypes_and_errors(name: str, words: list[str]) -> None:
    value: Any = tracec
    for part in name.split("."):
        value = getattr(value, part)
    text = inspect.getdoc(value) or ""
    assert not [w for w in words if w not in text], text


def test_descriptions_belong_to_functions() -> None:
    from tracec.ops import face
    from tracec.ops.descriptions import DESCRIPTIONS

    listed = {f.__name__: f for f in face.every().values()}
    assert not [n for n, text in DESCRIPTIONS.items() if listed[n].__doc__ != text]
