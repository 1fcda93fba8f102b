"""Facts about a loop's body that choose its vector shape: element widths, weight, inner loops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tracec_ir.dims import symbols
from tracec_ir.dtypes import DType

from ..kernel.core import ArgCarry, Carry, IndexValue, Load, Loop, Scalar, Store
from .vmath import BINARY, UNARY


def nested_kinds(body: list) -> set[str]:
    """The kinds of all loops inside."""
    out: set[str] = set()
    for s in body:
        if isinstance(s, Loop):
            out |= {s.kind} | nested_kinds(s.body)
    return out


def body_weight(body: list) -> int:
    """Roughly the number of vector instructions of one turn."""
    total = 0
    for s in body:
        if isinstance(s, Loop):
            total += 20 + 4 * body_weight(s.body)
        elif isinstance(s, Scalar):
            total += 14 if s.op in UNARY or s.op in BINARY else s.op != "bitcast"
        elif isinstance(s, (Load, Store)):
            total += 1
    return total


def used_names(body: list) -> set[str]:
    """Every name that statements read, in index expressions too."""
    out: set[str] = set()
    for s in body:
        for field in ("value", "mask", "ok"):
            name = getattr(s, field, "")
            if isinstance(name, str):
                out.add(name)
        for field in ("index", "position", "extent"):
            out |= {x.name for x in symbols(getattr(s, field, 0))}
        if isinstance(s, Scalar):
            out |= set(s.args)
        elif isinstance(s, Loop):
            out |= {c.init for c in s.carries if isinstance(c, Carry) and isinstance(c.init, str)}
            out |= used_names(s.body)
    return out


def _dependent(loop: Loop) -> list[tuple[Any, DType]]:
    """Statements of the body whose values differ from turn to turn, with their element types."""
    names = {loop.var}
    out: list[tuple[Any, DType]] = []

    def visit(body: list) -> None:
        for s in body:
            if isinstance(s, Loop):
                for c in s.carries:
                    names.add(c.name)
                    if isinstance(c, ArgCarry):
                        names.add(c.index_name)
                visit(s.body)
            elif isinstance(s, (Load, IndexValue)):
                used = {x.name for x in symbols(s.index)}
                if isinstance(s, Load) and s.mask:
                    used.add(s.mask)
                if used & names:
                    names.add(s.name)
                    out.append((s, s.dtype))
            elif isinstance(s, Scalar) and names & set(s.args):
                names.add(s.name)
                out.append((s, s.dtype))

    visit(loop.body)
    return out


def _stores(body: list) -> list[Store]:
    out: list[Store] = []
    for s in body:
        if isinstance(s, Loop):
            out += _stores(s.body)
        elif isinstance(s, Store):
            out.append(s)
    return out


def lane_bits(loop: Loop, buffers: Mapping[str, tuple[Any, DType]]) -> int:
    """The element width that decides how many lanes the loop has.

    Floats decide before integers, so that an index computation in i64 does not halve the lanes of
    float work; the half types count as float.
    """
    types = [d for s, d in _dependent(loop) if not isinstance(s, IndexValue)]
    types += [buffers[s.buf][1] for s in _stores(loop.body)]
    floats = [max(d.bits, 32) for d in types if d.is_floating_point]
    return max(floats) if floats else max((d.bits for d in types), default=32)


def narrow_memory(loop: Loop, buffers: Mapping[str, tuple[Any, DType]]) -> bool:
    """Whether elements of 8 or 16 bits are read or written per lane."""
    loads: list[Any] = [s for s, _ in _dependent(loop) if isinstance(s, Load)]
    return any(buffers[s.buf][1].bits < 32 for s in [*loads, *_stores(loop.body)])
