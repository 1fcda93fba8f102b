"""The Python source of functions: found, parsed, remembered."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from .errors import ScriptError, Source

_known: dict[Any, tuple[ast.FunctionDef | ast.Lambda, Source]] = {}


def definition(fn: Callable) -> tuple[ast.FunctionDef | ast.Lambda, Source]:
    """The parsed definition of a Python function and where it stands; ScriptError without."""
    code = fn.__code__
    found = _known.get(code)
    if found is None:
        found = _known[code] = _parse(fn)
    return found


def _parse(fn: Callable) -> tuple[ast.FunctionDef | ast.Lambda, Source]:
    code = fn.__code__
    try:
        lines, first = inspect.getsourcelines(fn)
    except (OSError, TypeError):
        raise ScriptError(
            f"the source of {fn.__qualname__} ({code.co_filename}:{code.co_firstlineno}) is not "
            "available: script reads Python source, so the function must be defined in a file"
        ) from None
    indent = len(lines[0]) - len(lines[0].lstrip())
    text = textwrap.dedent("".join(lines))
    source = Source(code.co_filename, tuple(line.rstrip("\n") for line in lines), first, indent)
    wanted = ast.Lambda if fn.__name__ == "<lambda>" else ast.FunctionDef
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a lambda in the middle of an expression
        raise ScriptError(
            f"the source of {fn.__qualname__} ({code.co_filename}:{code.co_firstlineno}) cannot be "
            "read on its own; define the function with `def`"
        ) from None
    nodes = [n for n in ast.walk(tree) if isinstance(n, wanted)]
    if wanted is ast.Lambda and len(nodes) > 1:
        names = code.co_varnames[: code.co_argcount]
        nodes = [n for n in nodes if tuple(a.arg for a in n.args.args) == names]
    if not nodes or (wanted is ast.Lambda and len(nodes) > 1):
        raise ScriptError(
            f"the source of {fn.__qualname__} ({code.co_filename}:{code.co_firstlineno}) is not a "
            "plain function; define it with `def`"
        )
    return nodes[0], source
