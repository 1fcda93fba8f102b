"""The page of functions: which operations of the IR each of PyTorch's spellings records.

Found in the source: the names that a function gives to `apply` and its kin, itself or in functions
of the package that it calls.
"""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import tracec
from tracec import nn
from tracec_ir import optable

PLACES: tuple[tuple[str, Any], ...] = (
    ("tracec", tracec),
    ("Tensor", tracec.Tensor),
    ("nn.functional", nn.functional),
    ("linalg", tracec.linalg),
    ("fft", tracec.fft),
    ("special", tracec.special),
)
_RECORDERS = {"apply", "apply_multi", "unary", "binary"}
_WRITES = {"given", "all_given", "update"}  # into `out` or the first argument
_DEPTH = 4  # calls that are followed


@functools.cache
def _definitions(file: str) -> dict[int, ast.FunctionDef]:
    """The functions of a file by the line that their code begins in."""
    with open(file, encoding="utf8") as source:
        tree = ast.parse(source.read())
    found: dict[int, ast.FunctionDef] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[first] = node
    return found


def _scope(fn: FunctionType) -> dict[str, Any]:
    """What the names in the body of a function stand for: closure and defaults before globals."""
    code = fn.__code__
    scope = dict(fn.__globals__)
    for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
        try:
            scope[name] = cell.cell_contents
        except ValueError:
            continue  # not set yet
    names = code.co_varnames[: code.co_argcount]
    defaults = fn.__defaults__ or ()
    scope.update(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    return scope


@functools.cache
def recorded(fn: Callable, depth: int = _DEPTH) -> tuple[str, ...]:
    """The names of the operations that a function may record."""
    if not isinstance(fn, FunctionType) or "tracec" not in fn.__code__.co_filename:
        return ()
    node = _definitions(fn.__code__.co_filename).get(fn.__code__.co_firstlineno)
    if node is None:
        return ()
    scope, out = _scope(fn), {}
    for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
        callee = call.func
        name = callee.id if isinstance(callee, ast.Name) else getattr(callee, "attr", "")
        told = name in _RECORDERS or name.startswith("_")  # `_sampled("rand", ...)` records it, too
        if told and call.args:
            out.update(dict.fromkeys(n for n in _names(call.args[0], scope, node) if _is_op(n)))
        targets = [_target(callee, scope)]
        if name == "getattr" and _identifier(call.args[0]) == "ops":
            targets = [getattr(tracec.ops, n, None) for n in _names(call.args[1], scope, node)]
        if name in _RECORDERS or name in _WRITES or not depth:
            continue
        for target in targets:
            if target is not fn and isinstance(target, FunctionType):
                out.update(dict.fromkeys(recorded(target, depth - 1)))
    return tuple(out)


def _target(callee: ast.expr, scope: dict[str, Any]) -> Any:
    """What is called: a name, or an attribute of a module; methods of tensors by their names."""
    if isinstance(callee, ast.Name):
        return scope.get(callee.id)
    if isinstance(callee, ast.Attribute):
        owner = _target(callee.value, scope)
        if isinstance(owner, ModuleType):
            return getattr(owner, callee.attr, None)
        if owner is None and not callee.attr.startswith("_"):
            return vars(tracec.Tensor).get(callee.attr)
    return None


def _names(
    e: ast.expr, scope: dict[str, Any], body: ast.FunctionDef, seen: tuple[str, ...] = ()
) -> Iterator[str]:
    """The strings that an expression may be."""
    if isinstance(e, ast.Constant) and isinstance(e.value, str):
        yield e.value
    elif isinstance(e, ast.IfExp):
        yield from _names(e.body, scope, body, seen)
        yield from _names(e.orelse, scope, body, seen)
    elif isinstance(e, ast.BinOp) and isinstance(e.op, ast.Add):
        for left in _names(e.left, scope, body, seen):
            yield from (left + right for right in _names(e.right, scope, body, seen))
    elif isinstance(e, ast.JoinedStr):
        values = [p.value if isinstance(p, ast.FormattedValue) else p for p in e.values]
        parts = [_constant(v, scope) for v in values]
        if None not in parts:
            yield "".join(map(str, parts))
    elif isinstance(e, ast.Name) and e.id not in seen:
        if isinstance(scope.get(e.id), str):
            yield scope[e.id]
        for a in ast.walk(body):
            if isinstance(a, ast.Assign) and e.id in map(_identifier, a.targets):
                yield from _names(a.value, scope, body, (*seen, e.id))


def _identifier(e: ast.expr) -> str:
    return e.id if isinstance(e, ast.Name) else ""


def _constant(e: ast.expr, scope: dict[str, Any]) -> str | int | None:
    """The text or number that a constant or a name is, or None."""
    value = e.value if isinstance(e, ast.Constant) else scope.get(_identifier(e))
    return value if isinstance(value, (str, int)) else None


@functools.cache
def _is_op(name: str) -> bool:
    return name in optable.all_ops()


def _rows(owner: Any) -> Iterator[str]:
    for name in sorted(vars(owner) if inspect.isclass(owner) else dir(owner)):
        value = getattr(owner, name, None)
        if name.startswith("_") or not isinstance(value, FunctionType):
            continue
        if not value.__module__.startswith("tracec") or name.endswith("_"):
            continue
        ops = recorded(value)
        if ops:
            yield f"| `{name}` | {' '.join(ops)} |"


def page() -> str:
    """Every public function that records operations, by the place where it is found."""
    out = [
        "# Functions and the operations that they record",
        "",
        "Generated by `docs/generate.py` from the source. A function that is not listed records",
        "nothing of its own: views, conversions from and to Python, and what runs on the host at",
        "once. Forms that end in an underscore record the same and a write. Which of several",
        "operations it is depends on the arguments. The operations are explained in",
        "[operations.md](operations.md).",
    ]
    for title, owner in PLACES:
        rows = list(_rows(owner))
        out += [
            "",
            f"## {title} ({len(rows)})",
            "",
            "| function | records |",
            "| --- | --- |",
            *rows,
        ]
    return "\n".join([*out, ""])
