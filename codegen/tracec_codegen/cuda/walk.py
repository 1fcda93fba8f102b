"""Walks over the statements of a kernel: all of them, loops, what is read and written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..kernel.core import Kernel, Load, Loop, Scratch, Store


def statements(body: list) -> Iterator[Any]:
    """All statements, those inside of loops included."""
    for s in body:
        yield s
        if isinstance(s, Loop):
            yield from statements(s.body)


def loops(body: list) -> Iterator[Loop]:
    """All loops inside."""
    return (s for s in statements(body) if isinstance(s, Loop))


def shared_by_threads(loop: Loop) -> bool:
    """Whether the threads of a block take turns of this loop (outside another such loop)."""
    return loop.kind in ("vector", "reduce") and not any(
        getattr(c, "combine", "") == "last" for c in loop.carries
    )


def distributed(body: list) -> list[Loop]:
    """The outermost loops that threads share."""
    out: list[Loop] = []
    for s in body:
        if isinstance(s, Loop):
            out += [s] if shared_by_threads(s) else distributed(s.body)
    return out


def storage(kernel: Kernel) -> dict[str, str]:
    """Names that share memory mapped to one name: outputs that take over an input's memory."""
    place = {b.name: b.name for b in kernel.bufs}
    for b in kernel.bufs:
        if b.alias:
            place[b.name] = place[b.alias]
    for s in kernel.body:
        if isinstance(s, Scratch):
            place[s.name] = s.name
    return place


def writes(body: list, place: dict[str, str]) -> set[str]:
    """The memory that statements write."""
    return {place[s.buf] for s in statements(body) if isinstance(s, Store)}


def reads(body: list, place: dict[str, str]) -> set[str]:
    """The memory that statements read."""
    return {place[s.buf] for s in statements(body)
            if isinstance(s, Load) or (isinstance(s, Store) and s.combine)}  # fmt: skip
