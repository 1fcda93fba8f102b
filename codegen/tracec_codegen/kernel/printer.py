"""Text form of kernels for dumps and errors, and the structural key that names compiled code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from tracec_ir.dims import Dim, Sym, substitute, symbol, symbols

from .core import (
    ArgCarry,
    ArgUpdate,
    Carry,
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


def kernel_text(kernel: Kernel) -> str:
    """The kernel on one line per statement, for people."""
    return "\n".join(_Printer(lambda name: name).kernel(kernel, kernel.name)) + "\n"


def structural_key(kernel: Kernel) -> str:
    """A hash that is equal for kernels that differ in names only."""
    return hashlib.sha256(canonical_text(kernel).encode()).hexdigest()[:32]


def canonical_text(kernel: Kernel) -> str:
    """The kernel's text under names given in order of first appearance; without cost and origin."""
    names: dict[str, str] = {}

    def rename(name: str) -> str:
        return names.setdefault(name, f"x{len(names)}")

    for name in [b.name for b in kernel.bufs] + [s.name for s in kernel.sizes]:
        rename(name)
    return "\n".join(_Printer(rename).kernel(kernel, "kernel"))


class _Printer:
    def __init__(self, rename: Callable[[str], str]) -> None:
        self.rename = rename

    def name(self, name: str) -> str:
        return self.rename(name) if name else ""

    def index(self, dim: Dim) -> str:
        # first appearance must not depend on the names themselves, so definitions come before uses
        found: list[Sym] = sorted(symbols(dim), key=_number)
        named: dict[str, Dim] = {s.name: symbol(self.name(s.name)) for s in found}
        return repr(substitute(dim, named)).replace("?", "")

    def kernel(self, kernel: Kernel, name: str) -> list[str]:
        bufs = []
        for b in kernel.bufs:
            alias = f" = {self.name(b.alias)}" if b.alias else ""
            bufs.append(f"{b.mode} {self.name(b.name)}: {b.dtype.code}{alias}")
        sizes = [f"size {self.name(s.name)}" for s in kernel.sizes]
        error = " errors" if kernel.uses_error else ""
        lines = [f"kernel {name}({', '.join(bufs + sizes)}){error} {{"]
        self.body(kernel.body, 1, lines)
        return [*lines, "}"]

    def body(self, body: list, depth: int, lines: list[str]) -> None:
        for statement in body:
            self.statement(statement, depth, lines)

    def statement(self, s: Any, depth: int, lines: list[str]) -> None:
        pad = "  " * depth
        if isinstance(s, Loop):
            carries = [self.carry(c) for c in s.carries]
            hint = f" unroll {s.unroll}" if s.unroll else ""
            extent = self.index(s.extent)
            head = f"{pad}{s.kind} {self.name(s.var)} < {extent}{hint}"
            lines.append(head + (f" carry {', '.join(carries)}" if carries else "") + " {")
            self.body(s.body, depth + 1, lines)
            lines.append(pad + "}")
        else:
            lines.append(pad + self.simple(s))

    def carry(self, c: Carry | ArgCarry) -> str:
        if isinstance(c, ArgCarry):
            names = f"{self.name(c.name)}, {self.name(c.index_name)}"
            return f"{names} = arg{c.combine} : {c.dtype.code}"
        init = self.name(c.init) if isinstance(c.init, str) else repr(c.init)
        return f"{self.name(c.name)} = {c.combine}({init}) : {c.dtype.code}"

    def simple(self, s: Any) -> str:
        if isinstance(s, Const):
            return f"{self.name(s.name)} = {s.value!r} : {s.dtype.code}"
        if isinstance(s, Scalar):
            attrs = ", ".join(f"{k}={_attr(v)}" for k, v in sorted(s.attrs.items()))
            args = ", ".join([self.name(a) for a in s.args])
            return (
                f"{self.name(s.name)} = {s.op}({args})"
                + (f" [{attrs}]" if attrs else "")
                + f" : {s.dtype.code}"
            )
        if isinstance(s, IndexValue):
            index = self.index(s.index)
            return f"{self.name(s.name)} = index({index}) : {s.dtype.code}"
        if isinstance(s, Load):
            place = f"{self.name(s.buf)}[{self.index(s.index)}]"
            mask = f" if {self.name(s.mask)} else {s.other!r}" if s.mask else ""
            return f"{self.name(s.name)} = load {place}{mask} : {s.dtype.code}"
        if isinstance(s, Store):
            place = f"{self.name(s.buf)}[{self.index(s.index)}]"
            mask = f" if {self.name(s.mask)}" if s.mask else ""
            return f"store {place} {s.combine}= {self.name(s.value)}{mask}"
        if isinstance(s, Update):
            mask = f" if {self.name(s.mask)}" if s.mask else ""
            return f"update {self.name(s.carry)} <- {self.name(s.value)}{mask}"
        if isinstance(s, ArgUpdate):
            place = self.index(s.position)
            return f"update {self.name(s.carry)} <- {self.name(s.value)} at {place}"
        if isinstance(s, Scratch):
            return f"scratch {self.name(s.name)}: {s.dtype.code}[{self.index(s.count)}]"
        if isinstance(s, Check):
            return f"check {self.name(s.ok)} else error {s.code} ({self.name(s.value)})"
        raise TypeError(f"not a kernel statement: {s!r}")


def _number(s: Sym) -> tuple:
    """Order of symbols inside one index: by trailing number, then name."""
    digits = re.search(r"\d+$", s.name)
    return (int(digits[0]) if digits else -1, s.name)


def _attr(value: Any) -> str:
    return getattr(value, "code", None) or repr(value)
