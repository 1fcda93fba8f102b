"""The op table: one definition per operation, and the decorators that make it.

A *primitive* has a type rule, a NumPy reference and, if it is differentiable, a `vjp`; codegen
knows it through the data here (`pointwise`, `kernel`). A *composite* is a plain function over a
`Builder`; its types follow from running the body, its derivative too unless it states a better one.
A composite with a NumPy reference of its own is one step wherever NumPy executes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from threading import RLock
from typing import Any

from .types import Type

_TABLE: dict[str, OpDef] = {}
_FAMILIES = ("prims", "composites")
_loading = RLock()
_loaded = False


class Pointwise:
    """What makes a primitive pointwise: how operand types promote, and its scalar spellings.

    `promote`: "same" (PyTorch's common type), "float" (integers become the default float),
    "compare" (common type in, bool out), "bool" (operands to bool), "int" (refuses floats),
    "none" (operands are taken as they are).
    `llvm` / `cuda` are data for the emitters: an intrinsic, instruction or function name.
    `refuse(*types)` raises for operand types, before promotion, that PyTorch does not accept.
    """

    __slots__ = ("promote", "llvm", "cuda", "cost", "refuse")

    def __init__(
        self,
        promote: str = "same",
        llvm: str = "",
        cuda: str = "",
        cost: float = 1.0,
        refuse: Callable | None = None,
    ):
        self.promote, self.llvm, self.cuda, self.cost = promote, llvm, cuda, cost
        self.refuse = refuse


class OpDef:
    """Everything about one op. `operands` and `attrs` are the names of its signature, in order."""

    __slots__ = (
        "name", "doc", "operands", "variadic", "attrs", "defaults", "infer_rule", "body", "numpy",
        "vjp", "nondiff", "pointwise", "kernel", "effects", "samples", "regions", "inline",
        "autocast", "refuses",
    )  # fmt: skip

    def __init__(self, name: str, fn: Callable, skip: int, **facts: Any):
        code = fn.__code__
        n = code.co_argcount
        self.name, self.doc = name, (fn.__doc__ or "").strip()
        self.operands = code.co_varnames[skip:n]
        self.attrs = code.co_varnames[n : n + code.co_kwonlyargcount]
        self.variadic = bool(code.co_flags & 0x04)
        self.defaults: dict = dict(fn.__kwdefaults__ or {})
        self.infer_rule: Callable | None = None
        self.body: Callable | None = None
        self.numpy: Callable | None = facts.pop("numpy", None)
        self.vjp: Callable | None = facts.pop("vjp", None)
        self.nondiff: bool = facts.pop("nondiff", False)
        self.pointwise: Pointwise | None = facts.pop("pointwise", None)
        self.kernel: str = facts.pop("kernel", "")
        self.effects: bool = facts.pop("effects", False)
        self.samples: Callable | None = facts.pop("samples", None)
        self.regions: int = facts.pop("regions", 0)
        self.inline: bool = facts.pop("inline", False)
        self.autocast: str = facts.pop("autocast", "")
        self.refuses: bool = facts.pop("refuses", False)
        if facts:
            raise TypeError(f"op {name}: unknown facts {sorted(facts)}")

    def __repr__(self) -> str:
        return f"<{'primitive' if self.is_primitive else 'composite'} {self.name}>"

    @property
    def is_primitive(self) -> bool:
        return self.body is None

    def complete_attrs(self, given: dict) -> dict:
        """`given` in declared order with defaults; TypeError names a wrong or missing one."""
        out = {}
        for name in self.attrs:
            if name in given:
                out[name] = given[name]
            elif name in self.defaults:
                out[name] = self.defaults[name]
            else:
                raise TypeError(f"op {self.name}: attribute '{name}' is missing")
        if len(given) > len(out) or any(name not in out for name in given):
            extra = [n for n in given if n not in out]
            if extra:
                raise TypeError(f"op {self.name}: unknown attribute '{extra[0]}'")
        return out

    def infer(self, types: Iterable[Type], attrs: dict, regions: tuple = ()) -> tuple[Type, ...]:
        """The result types; raises what PyTorch raises for wrong operands."""
        if self.infer_rule is None:
            from .expand import expansion

            return tuple(v.type for v in expansion(self, tuple(types), attrs).results)
        operands = (*types, regions) if self.regions else tuple(types)
        out = self.infer_rule(*operands, **attrs)
        return out if isinstance(out, tuple) else (out,)


def prim(name: str | None = None, **facts: Any) -> Callable:
    """Declares a primitive; the decorated function is its type rule `types, *, attrs -> type(s)`.

    Facts: `numpy(*arrays, **attrs)`, the reference (a tuple for several results);
    `vjp(b, op, *grads) -> operand gradients` (None entries for none), or `nondiff=True`;
    `pointwise=Pointwise(...)`; `kernel=` family name for codegen; `samples()` yields test inputs.
    """

    def register(fn: Callable) -> OpDef:
        d = OpDef(name or fn.__name__, fn, 0, **facts)
        d.infer_rule = fn
        return _add(d)

    return register


def composite(name: str | None = None, **facts: Any) -> Callable:
    """Declares a composite; the decorated function is its body `b, *values, *, attrs -> value(s)`.

    The body may look at types and attrs only, never at data. `inline=True` expands it as soon as
    it is recorded into IR (for thin spellings that no pass needs to recognise). `autocast` says
    what automatic mixed precision makes of floating operands: "half" or "single".
    `refuses=True` tells that the derivative may raise NotImplementedError.
    """

    def register(fn: Callable) -> OpDef:
        d = OpDef(name or fn.__name__, fn, 1, **facts)
        d.body = fn
        return _add(d)

    return register


def _add(d: OpDef) -> OpDef:
    if d.name in _TABLE:
        raise ValueError(f"op {d.name} is defined twice")
    _TABLE[d.name] = d
    return d


def load() -> None:
    """Imports every definition (on first use, never at import)."""
    global _loaded
    with _loading:  # a second thread must wait until the table is whole
        if not _loaded:
            _loaded = True
            for family in _FAMILIES:
                import_module(f"{__package__}.{family}")


def lookup(name: str) -> OpDef:
    """The definition of op `name`; KeyError with the name if there is none."""
    d = _TABLE.get(name)
    if d is None:
        load()
        d = _TABLE.get(name)
        if d is None:
            raise KeyError(f"there is no op named '{name}'")
    return d


def all_ops() -> dict[str, OpDef]:
    """Every op by name."""
    load()
    return _TABLE
