"""Kernels as readable text, for `explain()` and tests."""

from __future__ import annotations

from . import core
from .core import Kernel


def format_kernel(kernel: Kernel) -> str:
    """The kernel's arguments and loops, one statement a line."""
    bufs = ", ".join(
        f"{b.mode} {b.name}: {b.dtype.code}" + (f" (over {b.alias})" if b.alias else "")
        for b in kernel.bufs
    )
    sizes = "".join(f", size {s.name}" for s in kernel.sizes)
    lines = [f"kernel {kernel.name}({bufs}{sizes})"]
    _format_body(kernel.body, lines, 1)
    return "\n".join(lines)


def _format_body(body: list, lines: list[str], depth: int) -> None:
    pad = "  " * depth
    for s in body:
        if isinstance(s, core.Loop):
            carries = "".join(f" {_carry_text(c)}" for c in s.carries)
            lines.append(f"{pad}{s.kind} {s.var} < {s.extent}:{carries}")
            _format_body(s.body, lines, depth + 1)
        else:
            lines.append(pad + _statement_text(s))


def _carry_text(c: core.Carry | core.ArgCarry) -> str:
    if isinstance(c, core.ArgCarry):
        return f"({c.name}, {c.index_name}: {c.dtype.code} = arg{c.combine})"
    return f"({c.name}: {c.dtype.code} = {c.combine} from {c.init})"


def _statement_text(s: core.Stmt) -> str:
    if isinstance(s, core.Const):
        return f"{s.name} = {s.value} : {s.dtype.code}"
    if isinstance(s, core.Scalar):
        attrs = "".join(f" {k}={v}" for k, v in s.attrs.items())
        return f"{s.name} = {s.op}({', '.join(s.args)}){attrs} : {s.dtype.code}"
    if isinstance(s, core.IndexValue):
        return f"{s.name} = index {s.index} : {s.dtype.code}"
    if isinstance(s, core.Load):
        mask = f" if {s.mask} else {s.other}" if s.mask else ""
        return f"{s.name} = {s.buf}[{s.index}]{mask} : {s.dtype.code}"
    if isinstance(s, core.Store):
        mask = f" if {s.mask}" if s.mask else ""
        return f"{s.buf}[{s.index}] {s.combine}= {s.value}{mask}"
    if isinstance(s, core.Update):
        return f"{s.carry} <- {s.value}" + (f" if {s.mask}" if s.mask else "")
    if isinstance(s, core.ArgUpdate):
        return f"{s.carry} <- {s.value} at {s.position}"
    if isinstance(s, core.Scratch):
        return f"scratch {s.name}: {s.dtype.code}[{s.count}]"
    return f"check {s.ok} code {s.code} value {s.value}"
