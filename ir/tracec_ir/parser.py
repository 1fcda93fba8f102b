"""The text form of the IR, read: `parse(print_func(f))` gives `f` back, names and lines included.

The grammar is `grammar.lark`; lark is imported when the first text is parsed. The text is checked
for form, known ops and attributes, and defined values; types are taken as written (`verify` checks
them).
"""

from __future__ import annotations

import json
import re
import threading
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple

from . import dims
from .core import Func, Module, Op, Value
from .dims import Dim, Guards, Poly
from .dtypes import by_code
from .optable import OpDef, lookup
from .types import ScalarType, TensorType, Type

_LOCATION = re.compile(r".*\S:\d+$")
_MAX_TERMS = 1000  # of one symbolic size; products of sums grow exponentially
_MAX_DIGITS = 4000
_lock = threading.Lock()

# How the message "expected ..." calls the grammar's terminals.
_TERMINALS = {
    "GLOBAL": "a function name (@name)", "VALUE": "a value (%name)", "SYMBOL": "a symbol (?name)",
    "DTYPE": "an element type", "NAME": "a name", "FLOAT": "a number", "INT": "an integer",
    "STRING": "a string", "RELATION": "a relation (==, !=, <, <=)", "$END": "the end of the text",
}  # fmt: skip


class ParseError(ValueError):
    """Text that is not IR. `line` and `column` count from 1."""

    def __init__(self, message: str, text: str, line: int, column: int):
        self.line, self.column = line, column
        source = text.splitlines()[line - 1] if 0 < line <= text.count("\n") + 1 and text else ""
        place = f"line {line}, column {column}: {message}"
        if source.strip() and len(source) <= 500:
            place += f"\n  {source}\n  {' ' * (column - 1)}^"
        super().__init__(place)


class _Error(Exception):
    """A fault found while building, at a token of the text."""

    def __init__(self, message: str, token: Any):
        super().__init__(message)
        self.token = token


class _OpText(NamedTuple):
    """One operation as written, before its operands are looked up."""

    name: Any
    results: list
    operands: list
    attrs: list[tuple[Any, Any]]
    types: list[Type]
    regions: list[Func]


def parse(text: str) -> Module:
    """The module written in `text`; ParseError names line, column and what was expected."""
    module: Module = _run(text)
    return module


def parse_func(text: str) -> Func:
    """The only function in `text`."""
    funcs = list(parse(text))
    if len(funcs) != 1:
        raise ParseError(f"expected one function, found {len(funcs)}", text, 1, 1)
    return funcs[0]


def _run(text: str) -> Any:
    with _lock:  # there is one parser, and it keeps the symbols of the function at hand
        return _parse(text)


def _parse(text: str) -> Any:
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    parser, build = _machine()
    build.start()
    try:
        return parser.parse(text)
    except UnexpectedToken as error:
        found = "the end of the text" if error.token.type == "$END" else f"'{error.token}'"
        expected = error.accepts or error.expected
        # after the last token there is no position: point behind the text
        last = text.rstrip()
        at_end = error.token.type == "$END"
        line = last.count("\n") + 1 if at_end else error.line
        column = len(last) - (last.rfind("\n") + 1) + 1 if at_end else error.column
        message = f"found {found}, expected {_listing(expected)}"
        raise ParseError(message, text, line, column) from None
    except UnexpectedCharacters as error:
        found = repr(text[error.pos_in_stream or 0])
        message = f"found {found}, expected {_listing(error.allowed or ())}"
        raise ParseError(message, text, error.line, error.column) from None
    except UnexpectedInput as error:
        raise ParseError("unexpected input", text, error.line, error.column) from None
    except _Error as fault:
        token = build.last if fault.token is None else fault.token
        raise ParseError(str(fault), text, token.line, token.column) from None
    finally:
        build.start()  # lets go of what the text made


def _listing(terminals: Any) -> str:
    parser, _ = _machine()
    words = []
    for name in terminals:
        if name in _TERMINALS:
            words.append(_TERMINALS[name])
        else:
            words.append(f"'{parser.get_terminal(name).pattern.value}'")
    words.sort()
    if not words:
        return "something else"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


@lru_cache(maxsize=1)
def _machine() -> tuple[Any, Any]:
    """(the lark parser, the object that builds functions while it parses)."""
    import lark

    grammar = files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")

    @lark.v_args(inline=True)
    class Build(lark.Transformer):
        """Turns each rule of the grammar into IR as soon as it is complete."""

        def start(self) -> None:
            self.comments: dict[int, str] = {}
            self.symbols: dict[str, Poly] = {}
            self.last: Any = None  # the token of a size read last, for the place of an error

        def comment(self, token: Any) -> Any:
            self.comments[token.line] = token[1:].strip()
            return token

        # -- structure
        def module(self, *funcs: Func) -> Module:
            return Module(funcs)

        def func(self, name: Any, params: list, *rest: Any) -> Func:
            func = self._func(name, params, rest[-1])
            guards = Guards()
            for clause in rest[0] if len(rest) == 2 else ():
                if len(clause) == 2:
                    self._set_hint(*clause)
                else:
                    guards.append(clause)
            func.guards = guards or None
            self.symbols = {}
            return func

        def region(self, name: Any, params: list, body: tuple) -> Func:
            return self._func(name, params, body)

        def _func(self, name: Any, params: list, body: tuple) -> Func:
            scope: dict[str, Value] = {}
            values = []
            for token, type_ in params:
                values.append(Value(type_, name=_value_name(token)))
                _define(scope, token, values[-1])
            ops, returned = body
            built: list[Op] = []
            for op in ops:
                operands = [_find(scope, t) for t in op.operands]
                loc = self.comments.get(op.name.line, "")
                made = Op(
                    str(op.name), operands, _attrs(op), op.types, tuple(op.regions),
                    loc if _LOCATION.match(loc) else "",
                )  # fmt: skip
                made.order = len(built)
                if len(op.results) != len(op.types):
                    raise _Error(f"{len(op.results)} results but {len(op.types)} types", op.name)
                for token, value in zip(op.results, made.results, strict=True):
                    value.name = _value_name(token)
                    _define(scope, token, value)
                built.append(made)
            text = str(name)[1:]
            text = _unquote(text, name) if text.startswith('"') else text
            return Func(text, values, built, [_find(scope, t) for t in returned])

        def _set_hint(self, token: Any, hint: int) -> None:
            known = self.symbols.get(str(token)[1:])
            if known is None:
                raise _Error(f"{token} does not occur in the function", token)
            for (unknown,) in known.terms:
                unknown.hint = hint

        def params(self, *items: tuple) -> list:
            return list(items)

        def param(self, token: Any, type_: Type) -> tuple:
            return token, type_

        def where(self, *clauses: tuple) -> list:
            return list(clauses)

        def hint(self, token: Any, number: Any) -> tuple:
            return token, _int(number)

        def guard(self, a: Dim, relation: Any, b: Dim) -> tuple:
            return str(relation), a, b

        def body(self, *items: Any) -> tuple:
            return items[:-1], items[-1]

        def op(self, *parts: Any) -> _OpText:
            fields: dict[str, Any] = {
                "results": [], "operands": [], "attrs": [], "types": [], "regions": []
            }  # fmt: skip
            name = None
            for part in parts:
                if isinstance(part, tuple):
                    fields[part[0]] = part[1]
                else:
                    name = part
            return _OpText(name, **fields)

        def returned(self, *tokens: Any) -> list:
            return list(tokens)

        def results(self, *tokens: Any) -> tuple:
            return "results", list(tokens)

        def operands(self, *tokens: Any) -> tuple:
            return "operands", list(tokens)

        def attrs(self, *items: tuple) -> tuple:
            return "attrs", list(items)

        def types(self, *items: Type) -> tuple:
            return "types", list(items)

        def regions(self, *items: Func) -> tuple:
            return "regions", list(items)

        def attr(self, name: Any, value: Any) -> tuple:
            return name, value

        # -- types and values
        def scalar_type(self, token: Any) -> ScalarType:
            return ScalarType(by_code(str(token)))

        def tensor_type(self, token: Any, *shape: Dim) -> TensorType:
            return TensorType(by_code(str(token)), shape)

        def dtype(self, token: Any) -> Any:
            return by_code(str(token))

        def tuple(self, *items: Any) -> tuple:
            return items

        head_tuple = tuple

        def same(self, value: Any) -> Any:
            return value

        def float(self, token: Any) -> float:
            return float(token)

        def complex(self, real: Any, imaginary: Any) -> complex:
            return complex(float(real), float(imaginary))

        def string(self, token: Any) -> str:
            return _unquote(token, token)

        def word(self, token: Any) -> Any:
            return {"true": True, "false": False, "none": None}.get(token, str(token))

        def word_min(self) -> str:
            return "min"

        def word_max(self) -> str:
            return "max"

        # -- sizes
        def integer(self, token: Any) -> int:
            self.last = token
            return _int(token)

        def symbol(self, token: Any) -> Poly:
            self.last = token
            name = str(token)[1:]
            found = self.symbols.get(name)
            if found is None:
                found = self.symbols[name] = dims.symbol(name)
            return found

        def add(self, a: Dim, b: Dim) -> Dim:
            return _bounded(a + b)

        def sub(self, a: Dim, b: Dim) -> Dim:
            return _bounded(a - b)

        def mul(self, a: Dim, b: Dim) -> Dim:
            if _size(a) * _size(b) > _MAX_TERMS:
                raise _Error("a symbolic size has too many terms", None)
            return _bounded(a * b)

        def neg(self, a: Dim) -> Dim:
            return -a

        def floordiv(self, a: Dim, b: Dim) -> Dim:
            return dims.floordiv(a, _nonzero(b))

        def mod(self, a: Dim, b: Dim) -> Dim:
            return dims.mod(a, _nonzero(b))

        def minimum(self, a: Dim, b: Dim) -> Dim:
            return dims.minimum(a, b)

        def maximum(self, a: Dim, b: Dim) -> Dim:
            return dims.maximum(a, b)

    build = Build()
    build.start()
    parser = lark.Lark(
        grammar, parser="lalr", start="module", transformer=build, maybe_placeholders=False,
        lexer_callbacks={"COMMENT": build.comment},
    )  # fmt: skip
    return parser, build


def _define(scope: dict[str, Value], token: Any, value: Value) -> None:
    if token in scope:
        raise _Error(f"{token} is defined twice", token)
    scope[str(token)] = value


def _find(scope: dict[str, Value], token: Any) -> Value:
    try:
        return scope[token]
    except KeyError:
        raise _Error(f"{token} is not defined", token) from None


def _value_name(token: Any) -> str:
    return "" if token[1].isdigit() else str(token)[1:]


def _attrs(op: _OpText) -> dict:
    given = {}
    for name, value in op.attrs:
        if name in given:
            raise _Error(f"op {op.name}: attribute '{name}' is given twice", name)
        given[str(name)] = value
    try:
        definition: OpDef = lookup(str(op.name))
        return definition.complete_attrs(given)
    except KeyError:
        raise _Error(f"there is no op named '{op.name}'", op.name) from None
    except TypeError as error:
        raise _Error(str(error), op.name) from None


def _int(token: Any) -> int:
    if len(token) > _MAX_DIGITS:
        raise _Error(f"an integer of {len(token)} digits", token)
    return int(token)


def _unquote(text: str, token: Any) -> str:
    try:
        value: str = json.loads(text)
        return value
    except ValueError:
        raise _Error(f"{text} is not a well-formed string", token) from None


def _size(dim: Dim) -> int:
    return len(dim.terms) if isinstance(dim, Poly) else 1


def _bounded(dim: Dim) -> Dim:
    if _size(dim) > _MAX_TERMS:
        raise _Error("a symbolic size has too many terms", None)
    return dim


def _nonzero(dim: Dim) -> Dim:
    if dim == 0:
        raise _Error("division by zero in a symbolic size", None)
    return dim
