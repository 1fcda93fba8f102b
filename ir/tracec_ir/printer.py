"""The text form of the IR, written: one operation per line, types on results only.

func @f(%x: f32[?n x 4]) where ?n = 8 {
  %0 = exp(%x) : f32[?n x 4]  # demo.py:3
  %1 = reduce(%0) [kind=sum, axes=(1)] : f32[?n]
  return %1
}
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from .core import Func, Module, Op, Value
from .dims import Poly, Sym, symbols_in
from .dtypes import ALL, DType
from .types import ScalarType, TensorType

_WORD = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_GLOBAL = re.compile(r"[A-Za-z_][\w.$]*", re.ASCII)
_RESERVED = {d.code for d in ALL} | {"true", "false", "none", "inf", "nan", "scalar", "complex"}


def print_func(func: Func) -> str:
    """`func` as text, ending in a newline."""
    lines: list[str] = []
    _func(func, "func ", _where(func), "", lines)
    return "\n".join(lines) + "\n"


def print_module(module: Module) -> str:
    """Every function of `module`, the entry first."""
    return "\n".join(map(print_func, module))


def attr_text(value: object) -> str:
    """An attribute's value as text; TypeError if the text form has no way to write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if type(value) is int or isinstance(value, Poly):
        return str(value)
    if type(value) is float:
        return repr(value)
    if type(value) is complex:
        # written out, because complex(repr) loses the sign of a zero part
        return f"complex({value.real!r}, {value.imag!r})"
    if type(value) is str:
        bare = _WORD.fullmatch(value) and value not in _RESERVED
        return value if bare else json.dumps(value)
    if isinstance(value, tuple):
        inner = ", ".join(map(attr_text, value))
        return f"({inner},)" if len(value) == 1 and isinstance(value[0], tuple) else f"({inner})"
    if isinstance(value, DType):
        return value.code
    if isinstance(value, TensorType):
        return repr(value)
    if isinstance(value, ScalarType):
        return f"scalar({value!r})"
    raise TypeError(f"a {type(value).__name__} cannot be an attribute: {value!r}")


class _Names:
    """Unique names of the values of one function: their own where possible, else numbers."""

    def __init__(self) -> None:
        self.of: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.next = 0

    def define(self, value: Value) -> str:
        name = value.name
        if not _WORD.fullmatch(name) or name in self.taken:
            name, self.next = str(self.next), self.next + 1
        self.taken.add(name)
        self.of[value] = "%" + name
        return "%" + name

    def use(self, value: Value) -> str:
        # an operand that nothing defines is an error of the verifier; the text must still show it
        return self.of.get(value) or f"%undefined.{value.op.name if value.op else value.name}"


def _func(func: Func, keyword: str, where: str, indent: str, lines: list[str]) -> None:
    names = _Names()
    params = ", ".join(f"{names.define(p)}: {p.type!r}" for p in func.params)
    name = func.name if _GLOBAL.fullmatch(func.name) else json.dumps(func.name)
    lines.append(f"{indent}{keyword}@{name}({params}){where} {{")
    for op in func.ops:
        _op(op, names, indent + "  ", lines)
    results = ", ".join(map(names.use, func.results))
    lines.append(f"{indent}  return {results}".rstrip())
    lines.append(indent + "}")


def _op(op: Op, names: _Names, indent: str, lines: list[str]) -> None:
    operands = ", ".join(map(names.use, op.operands))
    text = f"{op.name}({operands})"
    if op.attrs:
        try:
            attrs = ", ".join(f"{name}={attr_text(v)}" for name, v in op.attrs.items())
        except TypeError as error:
            raise TypeError(f"op {op.name}: {error}") from None
        text += f" [{attrs}]"
    if op.results:
        text = f"{', '.join(map(names.define, op.results))} = {text}"
        text += f" : {', '.join(repr(r.type) for r in op.results)}"
    if op.regions:
        text += " {"
    comment = f"  # {_one_line(op.loc)}" if op.loc else ""
    lines.append(indent + text + comment)
    if op.regions:
        for region in op.regions:
            _func(region, "", "", indent + "  ", lines)
        lines.append(indent + "}")


def _one_line(loc: str) -> str:
    return " ".join(loc.split())


def _where(func: Func) -> str:
    """The hints of symbols, and the relations that the function relies on."""
    hints: dict[str, int] = {}
    for s in symbols_of(func):
        if s.hint is not None:
            hints.setdefault(s.name, s.hint)
    clauses = [f"?{name} = {hint}" for name, hint in sorted(hints.items())]
    clauses += [f"{a} {relation} {b}" for relation, a, b in func.guards or ()]
    return f" where {', '.join(clauses)}" if clauses else ""


def symbols_of(func: Func) -> Iterator[Sym]:
    """Every symbol in types and attributes, those of regions included; with repetitions."""
    for p in func.params:
        yield from symbols_in(p.type)
    for op in func.ops:
        yield from symbols_in(tuple(op.attrs.values()))
        for r in op.results:
            yield from symbols_in(r.type)
        for region in op.regions:
            yield from symbols_of(region)
