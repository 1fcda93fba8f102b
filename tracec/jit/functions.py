"""Python's own functions in a script, for values that are known only when the model runs."""

from __future__ import annotations

import ast
import builtins
import math
import operator
from collections.abc import Callable
from typing import Any

from tracec_ir import dims, dtypes
from tracec_ir.dims import Poly

from ..creation import full
from ..record import apply
from ..tensor import Tensor
from .values import Number, cast, is_dynamic, tensor_of


def _len(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    (x,) = args
    if isinstance(x, Tensor):
        if not x.shape:
            raise TypeError("len() of a 0-d tensor")
        return x.shape[0]
    return len(x)


def _int(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    x = args[0] if args else 0
    if isinstance(x, Poly):
        return x
    if is_dynamic(x):
        x = tensor_of(x).reshape(())
        return Number(cast(apply("trunc", (x,)) if x.dtype.kind == "f" else x, dtypes.i64))
    return int(*args, **kwargs)


def _float(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    if args and is_dynamic(args[0]):
        return Number(cast(tensor_of(args[0]).reshape(()), dtypes.f64))
    return float(*args)


def _bool(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    truth = ev.truth(args[0], node) if args else False
    return truth if isinstance(truth, bool) else Number(truth)


def _range(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    if any(isinstance(a, (Number, Poly, Tensor)) for a in args):
        return DynamicRange(*args)
    return range(*args)


def _extreme(name: str) -> Callable:
    fn = getattr(builtins, name)

    def extreme(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        items = list(args[0]) if len(args) == 1 and not isinstance(args[0], Tensor) else args
        if isinstance(args[0], Tensor) and len(args) == 1:
            raise ev.error(f"{name}() of a tensor: use x.{name}()", node)
        if not any(map(is_dynamic, items)):
            return fn(items, **kwargs)
        if kwargs:
            raise ev.error(f"{name}() of run-time values takes no key", node)
        if all(isinstance(i, (int, Poly)) for i in items):
            out = items[0]
            for i in items[1:]:
                out = (dims.minimum if name == "min" else dims.maximum)(out, i)
            return out
        out = tensor_of(items[0])
        for i in items[1:]:
            out = apply("minimum" if name == "min" else "maximum", (out, tensor_of(i)))
        return out if any(isinstance(i, Tensor) for i in items) else Number(out)

    return extreme


def _abs(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    (x,) = args
    if isinstance(x, (Number, Poly)):
        return Number(apply("abs", (tensor_of(x),)))
    return abs(x)


def _round(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    if isinstance(args[0], Number):
        if len(args) > 1:
            raise ev.error("round() of a run-time number to decimals", node)
        return Number(cast(apply("round", (args[0].tensor,)), dtypes.i64))
    return args[0] if isinstance(args[0], Poly) else round(*args)


def _sum(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    total = args[1] if len(args) > 1 else kwargs.get("start", 0)
    for item in ev.iterate(args[0], node):
        total = ev.binary("+", operator.add, total, item)
    return total


def _every(any_of: bool) -> Callable:
    def every(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        truths = [ev.truth(item, node) for item in ev.iterate(args[0], node)]
        if any(t is any_of for t in truths):
            return any_of
        dynamic = [t for t in truths if not isinstance(t, bool)]
        return ev._joined(dynamic, any_of) if dynamic else not any_of

    return every


def _isinstance(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    value, kinds = args
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if isinstance(value, Number):
        return any(issubclass(value.python, k) for k in kinds)
    if isinstance(value, Poly):
        return any(issubclass(int, k) for k in kinds)
    return isinstance(value, kinds)


def _unrolled(fn: Callable) -> Callable:
    def unrolled(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        if any(isinstance(a, DynamicRange) for a in args):
            raise ev.error(
                f"{fn.__name__}() of a range whose length is known only at run time", node
            )
        listed = [ev.iterate(a, node) if not isinstance(a, (int, Poly)) else a for a in args]
        return list(fn(*listed, **kwargs))

    return unrolled


def _sequence(kind: type) -> Callable:
    def sequence(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        return kind(ev.iterate(args[0], node)) if args else kind()

    return sequence


def _print(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    raise ev.error(
        "print is not supported in script: a saved model has no output but its results. "
        "Remove it, or guard it with `if not torch.jit.is_scripting():`",
        node,
    )


def _type(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    (x,) = args
    return x.python if isinstance(x, Number) else int if isinstance(x, Poly) else type(x)


def _getattr(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    return getattr(*args)


class DynamicRange:
    """range(...) with a bound that is known only at run time."""

    def __init__(self, *bounds: Any):
        self.start, self.step = 0, 1
        if len(bounds) == 1:
            (self.stop,) = bounds
        elif len(bounds) == 2:
            self.start, self.stop = bounds
        else:
            self.start, self.stop, self.step = bounds


FUNCTIONS: dict[Any, Callable] = {
    len: _len, int: _int, float: _float, bool: _bool, range: _range, min: _extreme("min"),
    max: _extreme("max"), abs: _abs, round: _round, sum: _sum, any: _every(True),
    all: _every(False),
    isinstance: _isinstance, enumerate: _unrolled(enumerate), zip: _unrolled(zip),
    reversed: _unrolled(reversed), list: _sequence(list), tuple: _sequence(tuple), print: _print,
    type: _type,
}  # fmt: skip


def _full(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
    """torch.full with a value that is known at run time."""
    given = dict(zip(("size", "fill_value"), args), **kwargs)
    value = given.get("fill_value")
    if not isinstance(value, (Number, Poly)):
        return full(*args, **kwargs)
    number = value if isinstance(value, Number) else Number(tensor_of(value))
    dtype = given.get("dtype") or number.operand(()).dtype
    return full(**{**given, "fill_value": 0, "dtype": dtype}) + cast(number.tensor, dtype)


FUNCTIONS[full] = _full


# -- the math module -------------------------------------------------------------------------------
_MATH = {
    math.sqrt: "sqrt", math.exp: "exp", math.log: "log", math.log2: "log2", math.log10: "log10",
    math.log1p: "log1p", math.sin: "sin", math.cos: "cos", math.tan: "tan", math.tanh: "tanh",
    math.atan: "atan", math.asin: "asin", math.acos: "acos", math.erf: "erf",
}  # fmt: skip


def _elementary(fn: Callable, name: str) -> Callable:
    def elementary(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        if len(args) != 1 or not is_dynamic(args[0]):
            return fn(*args, **kwargs)
        return Number(apply(name, (cast(tensor_of(args[0]), dtypes.f64),)))

    return elementary


def _whole(fn: Callable) -> Callable:
    def whole(ev: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        (x,) = args
        if not is_dynamic(x) or isinstance(x, Poly):
            return x if isinstance(x, Poly) else fn(x)
        rounded = apply(fn.__name__, (cast(tensor_of(x), dtypes.f64),))
        return Number(cast(rounded, dtypes.i64))

    return whole


FUNCTIONS.update({fn: _elementary(fn, name) for fn, name in _MATH.items()})
FUNCTIONS.update({fn: _whole(fn) for fn in (math.floor, math.ceil)})
