"""Calls in a script: user functions are evaluated, functions of the framework run and record."""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Callable
from typing import Any

from tracec_ir.dims import Poly

from ..tensor import Tensor
from .errors import ScriptError
from .evaluate import Expressions, Frame
from .functions import FUNCTIONS
from .source import definition
from .values import Number, Pending, contains, size_tensor

MAX_DEPTH = 200
_NATIVE = (
    "tracec",
    "math",
    "operator",
    "builtins",
    "typing",
    "collections",
    "functools",
    "numpy",
    "itertools",
)


class Closure:
    """A function defined inside a script."""

    def __init__(self, node: ast.FunctionDef | ast.Lambda, frame: Frame, defaults: dict[str, Any]):
        self.node, self.frame, self.defaults = node, frame, defaults
        self.run: Callable[[Closure, list, dict], Any] | None = None
        self.name = getattr(node, "name", "<lambda>")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls from functions of the framework that got it as an argument."""
        assert self.run is not None
        return self.run(self, list(args), kwargs)


class Calls(Expressions):
    """Evaluates calls."""

    depth = 0
    modules: list[Any]  # the modules whose forward is being evaluated, outermost first

    def _Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            return self._super(node)
        fn = self.expr(node.func)
        args = list(self._items(node.args))
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            value = self.expr(keyword.value)
            kwargs.update(value if keyword.arg is None else {keyword.arg: value})
        return self.call(fn, args, kwargs, node)

    def _super(self, node: ast.Call) -> Any:
        return super(self.frame.find("__class__"), self.frame.first)

    def _Lambda(self, node: ast.Lambda) -> Closure:
        return self.closure(node)

    def closure(self, node: ast.FunctionDef | ast.Lambda) -> Closure:
        """The function that a `def` or `lambda` here makes."""
        made = Closure(node, self.frame, self._defaults(node.args))
        made.run = lambda fn, args, kwargs: self._call_closure(fn, args, kwargs, node)
        return made

    def _defaults(self, args: ast.arguments) -> dict[str, Any]:
        positional = [*args.posonlyargs, *args.args]
        out = {
            a.arg: self.expr(d)
            for a, d in zip(
                positional[len(positional) - len(args.defaults) :], args.defaults, strict=True
            )
        }
        for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if d is not None:
                out[a.arg] = self.expr(d)
        return out

    # -- dispatch ----------------------------------------------------------------------------------
    def call(self, fn: Any, args: list, kwargs: dict[str, Any], node: ast.AST) -> Any:
        """What `fn(*args, **kwargs)` gives."""
        from ..nn import Module
        from .module import ScriptFunction, ScriptModule

        special = self._special(fn, args, kwargs, node)
        if special is not NotImplemented:
            return special
        if isinstance(fn, Closure):
            return self._call_closure(fn, args, kwargs, node)
        if isinstance(fn, ScriptModule):
            fn = fn.original
        if isinstance(fn, ScriptFunction):
            fn = fn.original
        if isinstance(fn, Module):
            return self.call_module(fn, args, kwargs, node)
        if isinstance(fn, types.MethodType):
            if isinstance(fn.__func__, types.FunctionType) and not _is_native(fn.__func__):
                return self._inline(fn.__func__, [fn.__self__, *args], kwargs, node)
            return self.native(fn, args, kwargs, node)
        if isinstance(fn, types.FunctionType) and not _is_native(fn):
            wrapped = getattr(fn, "__wrapped__", None)
            if wrapped is not None and fn.__globals__.get("__name__", "").startswith("tracec"):
                fn = wrapped
            return self._inline(fn, args, kwargs, node)
        if isinstance(fn, type) and not _is_native(fn) and not _is_record_class(fn):
            raise self.error(
                f"making a {fn.__name__} is not supported in script; make it outside and "
                "pass it in",
                node,
            )
        if not callable(fn):
            raise self.error(f"a {type(fn).__name__} cannot be called", node)
        return self.native(fn, args, kwargs, node)

    def native(self, fn: Callable, args: list, kwargs: dict[str, Any], node: ast.AST) -> Any:
        """Runs a function of the framework (or of Python, on static values)."""
        if contains([args, kwargs], Pending):
            args = self.settle_all(args, fn)
            kwargs = {k: self.settle_all(v, fn) for k, v in kwargs.items()}
        everything = [args, kwargs]
        if contains(everything, Number):
            args = [self._operand(a, everything) for a in args]
            kwargs = {k: self._operand(v, everything) for k, v in kwargs.items()}
        try:
            return fn(*args, **kwargs)
        except TypeError as error:
            if "Poly" not in str(error) or not contains([args, kwargs], Poly):
                raise
        args = [size_tensor(a) if isinstance(a, Poly) else a for a in args]
        kwargs = {k: size_tensor(v) if isinstance(v, Poly) else v for k, v in kwargs.items()}
        return fn(*args, **kwargs)

    def settle_all(self, x: Any, fn: Any) -> Any:
        """x with the inputs in it as tensors."""
        if isinstance(x, Pending):
            return self.settled(x, fn)
        if isinstance(x, (tuple, list)):
            items = [self.settle_all(item, fn) for item in x]
            return items if isinstance(x, list) else tuple(items)
        if isinstance(x, dict):
            return {k: self.settle_all(v, fn) for k, v in x.items()}
        return x

    def _operand(self, x: Any, everything: Any) -> Any:
        if isinstance(x, Number):
            return x.operand(everything)
        if isinstance(x, (tuple, list)) and contains(x, Number):
            raise ScriptError(
                "sizes and other settings that are known only at run time must come from shapes "
                "(x.shape[0]), not from data"
            )
        return x

    # -- modules -----------------------------------------------------------------------------------
    def call_module(self, module: Any, args: list, kwargs: dict[str, Any], node: ast.AST) -> Any:
        """Calls a module: natively if it is the framework's own through and through."""
        if is_own(module):
            return self.native(module, args, kwargs, node)
        if module._hooked:
            raise self.error(
                f"{type(module).__name__} has hooks, which script does not keep; remove them first",
                node,
            )
        return self._inline(type(module).forward, [module, *args], kwargs, node)

    # -- functions of the user ---------------------------------------------------------------------
    def _inline(
        self, fn: types.FunctionType, args: list, kwargs: dict, node: ast.AST | None
    ) -> Any:
        """Evaluates a Python function's body on these arguments."""
        mode = getattr(fn, "_script_mode", None)
        if mode == "ignore":
            raise self.error(f"{fn.__name__} is marked as ignored: script cannot call it", node)
        if mode == "unused":
            raise self.error(f"{fn.__name__} is marked as unused, but it is called here", node)
        parsed, source = definition(fn)
        code = fn.__code__
        if code.co_flags & (
            inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
        ):
            raise ScriptError(f"{fn.__qualname__} is a generator or coroutine", source, parsed)
        closure = {}
        for name, cell in zip(code.co_freevars, fn.__closure__ or (), strict=True):
            try:
                closure[name] = cell.cell_contents
            except ValueError:  # not yet assigned
                continue
        frame = Frame(fn.__qualname__, source, fn.__globals__, closure)
        if any(code is c for c in self.active):
            raise ScriptError(
                f"{fn.__qualname__} calls itself: recursion is not supported in script",
                source,
                parsed,
            )
        try:
            bound = inspect.signature(fn).bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{fn.__qualname__}(): {error}") from None
        bound.apply_defaults()
        frame.locals.update(bound.arguments)
        frame.first = next(iter(bound.arguments.values()), None)
        self.active.append(code)
        try:
            return self._body(parsed, frame)
        finally:
            self.active.pop()

    def _call_closure(self, fn: Closure, args: list, kwargs: dict, node: ast.AST) -> Any:
        if any(fn.node is c for c in self.active):
            raise self.error(f"{fn.name} calls itself: recursion is not supported in script", node)
        frame = Frame(fn.name, fn.frame.source, fn.frame.globals, fn.frame)
        frame.locals.update(_bind(fn, args, kwargs))
        self.active.append(fn.node)
        try:
            return self._body(fn.node, frame)
        finally:
            self.active.pop()

    def _body(self, parsed: ast.FunctionDef | ast.Lambda, frame: Frame) -> Any:
        outer = self.frame
        self.frame = frame
        try:
            if isinstance(parsed, ast.Lambda):
                return self.expr(parsed.body)
            return self.run_function(parsed.body)
        finally:
            self.frame = outer

    def run_function(self, body: list[ast.stmt]) -> Any:
        raise NotImplementedError

    # -- builtins and special forms ----------------------------------------------------------------
    def _special(self, fn: Any, args: list, kwargs: dict, node: ast.AST) -> Any:
        """Functions that mean something else for values known only at run time."""
        if isinstance(fn, types.MethodType) and isinstance(fn.__self__, Tensor):
            if fn.__name__ == "item":
                return Number(fn.__self__.reshape(()))
            if fn.__name__ in ("tolist", "numpy", "data_ptr"):
                raise self.error(
                    f".{fn.__name__}() needs the tensor's values, which exist only at run time",
                    node,
                )
        try:
            handler = FUNCTIONS.get(fn)
        except TypeError:  # unhashable
            return NotImplemented
        if handler is not None:
            return handler(self, self.settle_all(args, None), kwargs, node)
        return NotImplemented


def is_own(module: Any) -> bool:
    """Whether a module and all in it are the framework's own."""
    return all(_is_native(type(m)) for m in module.modules())


def _is_native(fn: Any) -> bool:
    module = getattr(fn, "__module__", None) or ""
    return module.partition(".")[0] in _NATIVE or module in ("torch", "torch.return_types")


def _is_record_class(cls: type) -> bool:
    return issubclass(cls, (tuple, BaseException)) or hasattr(cls, "__dataclass_fields__")


def _bind(fn: Closure, args: list, kwargs: dict) -> dict[str, Any]:
    a = fn.node.args
    names = [p.arg for p in (*a.posonlyargs, *a.args)]
    out = dict(zip(names, args, strict=False))
    if len(args) > len(names):
        if a.vararg is None:
            raise TypeError(
                f"{fn.name}() takes {len(names)} positional arguments but {len(args)} were given"
            )
        out[a.vararg.arg] = tuple(args[len(names) :])
    elif a.vararg is not None:
        out[a.vararg.arg] = ()
    allowed = {*names, *(p.arg for p in a.kwonlyargs)}
    extra = {}
    for name, value in kwargs.items():
        if name in out:
            raise TypeError(f"{fn.name}() got multiple values for argument '{name}'")
        (out if name in allowed else extra)[name] = value
    if extra and a.kwarg is None:
        raise TypeError(f"{fn.name}() got an unexpected keyword argument '{next(iter(extra))}'")
    if a.kwarg is not None:
        out[a.kwarg.arg] = extra
    for name in allowed:
        if name not in out:
            if name not in fn.defaults:
                raise TypeError(f"{fn.name}() missing a required argument: '{name}'")
            out[name] = fn.defaults[name]
    return out
