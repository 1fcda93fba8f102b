"""Cache lines asked for early: rows that a kernel goes over several times.

The passes over a row find it in the first-level cache, except the first one, which waits for
memory while the adders idle. So a pass that computes a lot asks for what another one will touch
first: the next row, or the results of this one.
"""

from __future__ import annotations

from dataclasses import dataclass

from tracec_ir.dims import Dim, Poly, substitute, symbol, symbols

from ..kernel.core import Load, Loop, Store
from .analysis import body_weight, nested_kinds
from .stream import StreamEmitter, steps_by_one

LARGEST_ROW = 32 << 10  # bytes; a longer row would push out what the passes still need
_NEAR = 8 << 10  # rows up to this size are fetched to the first level, longer ones to the second
_AHEAD = 1 << 10  # bytes that lie at least between a line asked for and the line in use


@dataclass(frozen=True, slots=True)
class Prefetch:
    """Element `index` of a buffer, wanted soon; `near`: in the first-level cache."""

    buf: str
    index: Dim
    write: bool
    near: bool


def plan(rows: Loop, stream: StreamEmitter, sizes: dict[str, int]) -> dict[str, list[Prefetch]]:
    """By variable of a pass, what it asks for; `rows` is the loop around the passes and `sizes`
    the bytes of an element of each buffer."""
    passes = [x for x in rows.body if isinstance(x, Loop)]
    if len(passes) < 2 or any(
        nested_kinds(p.body) or p.kind not in ("vector", "reduce") for p in passes
    ):
        return {}
    extent = passes[0].extent
    if not isinstance(extent, int) or any(p.extent != extent for p in passes):
        return {}
    weights = [body_weight(p.body) for p in passes]
    out: dict[str, list[Prefetch]] = {}
    seen: set[tuple[str, Dim]] = set()
    for number, current in enumerate(passes):
        for x in current.body:
            if not isinstance(x, (Load, Store)) or x.buf not in sizes:
                continue
            lane = substitute(x.index, {current.var: symbol("lane")})
            size = extent * sizes[x.buf]
            if (x.buf, lane) in seen or size > LARGEST_ROW or not _walks(x, current, rows):
                continue
            seen.add((x.buf, lane))
            write = isinstance(x, Store)
            if write and stream.may_stream(current):
                continue
            others = [k for k in range(len(passes)) if k != number]
            at = max(others, key=lambda k: (weights[k], k))
            skipped = max(1, -(-_AHEAD // size)) if at > number else 0
            index = substitute(
                x.index, {current.var: symbol(passes[at].var), rows.var: symbol(rows.var) + skipped}
            )
            out.setdefault(passes[at].var, []).append(Prefetch(x.buf, index, write, size <= _NEAR))
    return out


def _walks(x: Load | Store, lane: Loop, rows: Loop) -> bool:
    """Whether an access goes along memory in the pass, to another place for every row, by loop
    variables alone."""
    names = {s.name for s in symbols(x.index)}
    return (
        isinstance(x.index, Poly)
        and rows.var in names
        and not any(n.startswith("%") for n in names)
        and steps_by_one(x.index, lane.var)
    )
