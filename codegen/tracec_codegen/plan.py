"""The memory plan: places of temporaries in one arena, by liveness over the steps."""

from __future__ import annotations

from dataclasses import dataclass

from tracec_ir import dims
from tracec_ir.dims import Dim

from .program import Program

ALIGN = 64


@dataclass(slots=True)
class MemoryPlan:
    """`offsets` of temporaries by buffer id and the `size` of the arena, in bytes."""

    offsets: dict[int, Dim]
    size: Dim


def lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """Per temporary that is used: the first and the last step that touch it."""
    out: dict[int, tuple[int, int]] = {}
    for n, step in enumerate(program.steps):
        for i in step.reads | step.writes:
            if program.buffers[i].role == "temp":
                out[i] = (out[i][0] if i in out else n, n)
    return out


def plan_memory(program: Program) -> MemoryPlan:
    """Places every temporary: those of known size by best fit, those of symbolic size in slots
    that temporaries of equal size share one after another."""
    spans = lifetimes(program)
    static = {i: s for i, s in spans.items() if isinstance(program.buffers[i].nbytes, int)}
    offsets: dict[int, Dim] = {}
    top = _place_static(program, static, offsets)
    size: Dim = top
    slots: list[tuple[Dim, Dim, int]] = []  # (size, offset, last step that uses it)
    for i, (first, last) in sorted(spans.items(), key=lambda t: t[1]):
        if i in static:
            continue
        nbytes = program.buffers[i].nbytes
        for k, (have, offset, until) in enumerate(slots):
            if have == nbytes and until < first:
                slots[k] = (have, offset, last)
                offsets[i] = offset
                break
        else:
            offsets[i] = size
            slots.append((nbytes, size, last))
            size = size + dims.floordiv(nbytes + (ALIGN - 1), ALIGN) * ALIGN
    return MemoryPlan(offsets, size)


def _place_static(program: Program, spans: dict[int, tuple[int, int]], offsets: dict) -> int:
    """Best fit: the largest first, each in the smallest gap between those alive with it."""
    placed: list[tuple[int, int, int, int]] = []  # (offset, end, first step, last step)
    top = 0

    def order(i: int) -> tuple:
        return (-_bytes(program, i), spans[i])

    for i in sorted(spans, key=order):
        first, last = spans[i]
        need = _bytes(program, i)
        taken = sorted((a, b) for a, b, f, z in placed if f <= last and first <= z)
        best, best_gap, at = None, None, 0
        for a, b in taken:
            gap = a - at
            if gap >= need and (best_gap is None or gap < best_gap):
                best, best_gap = at, gap
            at = max(at, b)
        offset = at if best is None else best
        offsets[i] = offset
        placed.append((offset, offset + need, first, last))
        top = max(top, offset + need)
    return top


def _bytes(program: Program, i: int) -> int:
    nbytes = program.buffers[i].nbytes
    assert isinstance(nbytes, int)
    return -(-max(nbytes, 1) // ALIGN) * ALIGN
