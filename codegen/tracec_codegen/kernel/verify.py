"""Checks that a kernel is well formed: names defined before use, known symbols, legal stores."""

from __future__ import annotations

from typing import Any

from tracec_ir.dims import Dim, symbols

from .core import (
    ArgCarry,
    ArgUpdate,
    Check,
    Const,
    IndexValue,
    Kernel,
    Load,
    Loop,
    Scalar,
    Scratch,
    Store,
    Update,
)
from .printer import kernel_text

_KINDS = ("parallel", "serial", "vector", "reduce")
_CARRIES = ("sum", "prod", "max", "min", "any", "all", "last")
_STORES = ("", "add", "mul", "min", "max")


class KernelError(ValueError):
    """A kernel that breaks a rule of the dialect; the message holds its text."""


def verify(kernel: Kernel) -> None:
    """Raises KernelError naming the first rule broken."""
    _Verifier(kernel).run()


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.modes = {b.name: b.mode for b in kernel.bufs}
        self.defined: set[str] = set()  # every name ever given, for single assignment

    def fail(self, message: str) -> None:
        raise KernelError(f"kernel {self.kernel.name}: {message}\n{kernel_text(self.kernel)}")

    def need(self, condition: bool, message: str) -> None:
        if not condition:
            self.fail(message)

    def run(self) -> None:
        kernel = self.kernel
        names = [b.name for b in kernel.bufs] + [s.name for s in kernel.sizes]
        self.need(len(set(names)) == len(names), "two arguments share a name")
        for b in kernel.bufs:
            self.need(b.mode in ("in", "out", "inout"), f"buffer {b.name} has mode {b.mode!r}")
            self.need(not b.alias or b.alias in self.modes, f"{b.name} aliases unknown {b.alias}")
        self.defined.update(names)
        scope: dict[str, str] = {s.name: "i64" for s in kernel.sizes}
        self.body(kernel.body, scope, None, top=True)

    def define(self, name: str, code: str, scope: dict[str, str]) -> None:
        self.need(bool(name), "a statement defines an empty name")
        self.need(name not in self.defined, f"{name} is defined twice")
        self.defined.add(name)
        scope[name] = code

    def use(self, name: str, scope: dict[str, str], where: str) -> str:
        self.need(name in scope, f"{where} uses {name}, which is not defined there")
        return scope[name]

    def index(self, dim: Dim, scope: dict[str, str], where: str) -> None:
        for s in symbols(dim):
            code = self.use(s.name, scope, where)
            self.need(code[0] in "iu", f"{where} has {s.name} of type {code} in an index")

    def mask(self, name: str, scope: dict[str, str], where: str) -> None:
        if name:
            code = self.use(name, scope, where)
            self.need(code == "b1", f"{where}: mask {name} is {code}, not b1")

    def body(self, body: list, scope: dict[str, str], loop: Loop | None, top: bool) -> None:
        for s in body:
            if isinstance(s, Loop):
                self.loop(s, scope, top)
            elif isinstance(s, Scratch):
                self.need(top, f"scratch {s.name} is declared inside a loop")
                self.index(s.count, scope, f"scratch {s.name}")
                self.define(s.name, "", {})
                self.modes[s.name] = "inout"
            else:
                self.simple(s, scope, loop)

    def loop(self, s: Loop, scope: dict[str, str], top: bool) -> None:
        where = f"loop {s.var}"
        self.need(s.kind in _KINDS, f"{where} has kind {s.kind!r}")
        last = self.kernel.body and s is self.kernel.body[-1]
        self.need(
            s.kind != "parallel" or (top and bool(last)),
            f"{where} is parallel but not the last outermost statement",
        )
        self.need(s.kind != "parallel" or not s.carries, f"{where} is parallel and has carries")
        self.index(s.extent, scope, where)
        inner = dict(scope)
        self.define(s.var, "i64", inner)
        for c in s.carries:
            if isinstance(c, ArgCarry):
                self.need(c.combine in ("max", "min"), f"{where}: carry combines by {c.combine!r}")
                self.define(c.index_name, "i64", scope)
            else:
                self.need(c.combine in _CARRIES, f"{where}: carry combines by {c.combine!r}")
                if isinstance(c.init, str):
                    self.use(c.init, scope, f"carry {c.name}")
            self.define(c.name, c.dtype.code, scope)
            if s.kind == "serial":
                inner[c.name] = c.dtype.code
        before = {c.name: scope.pop(c.name) for c in s.carries}
        self.body(s.body, inner, s, top=False)
        scope.update(before)

    def simple(self, s: Any, scope: dict[str, str], loop: Loop | None) -> None:
        if isinstance(s, Const):
            self.define(s.name, s.dtype.code, scope)
        elif isinstance(s, Scalar):
            for a in s.args:
                self.use(a, scope, f"{s.name} = {s.op}")
            self.define(s.name, s.dtype.code, scope)
        elif isinstance(s, IndexValue):
            self.index(s.index, scope, s.name)
            self.define(s.name, s.dtype.code, scope)
        elif isinstance(s, Load):
            self.need(s.buf in self.modes, f"load {s.name} reads unknown buffer {s.buf}")
            self.index(s.index, scope, f"load {s.name}")
            self.mask(s.mask, scope, f"load {s.name}")
            self.define(s.name, s.dtype.code, scope)
        elif isinstance(s, Store):
            mode = self.modes.get(s.buf)
            self.need(mode is not None, f"store writes unknown buffer {s.buf}")
            self.need(mode in ("out", "inout"), f"store writes {s.buf}, which is an input")
            self.need(s.combine in _STORES, f"store into {s.buf} combines by {s.combine!r}")
            self.index(s.index, scope, f"store into {s.buf}")
            self.use(s.value, scope, f"store into {s.buf}")
            self.mask(s.mask, scope, f"store into {s.buf}")
        elif isinstance(s, (Update, ArgUpdate)):
            names = [c.name for c in loop.carries] if loop else []
            self.need(s.carry in names, f"update of {s.carry} outside its loop's body")
            self.use(s.value, scope, f"update of {s.carry}")
            if isinstance(s, ArgUpdate):
                self.index(s.position, scope, f"update of {s.carry}")
            else:
                self.mask(s.mask, scope, f"update of {s.carry}")
        elif isinstance(s, Check):
            self.need(self.kernel.uses_error, "check in a kernel without an error record")
            self.mask(s.ok, scope, "check")
            self.use(s.value, scope, "check")
        else:
            self.fail(f"unknown statement {s!r}")
