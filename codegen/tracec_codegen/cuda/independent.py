"""Whether the turns of a serial loop touch different memory, so that blocks may share them."""

from __future__ import annotations

from collections.abc import Collection

from tracec_ir import dims
from tracec_ir.dims import Dim, Poly, Sym

from ..kernel.core import Load, Loop, Store
from .index import upper_bound
from .walk import loops, statements


def independent(loop: Loop, place: dict[str, str], sizes: Collection[str]) -> bool:
    """Whether every turn keeps, in each buffer that the loop stores into, to a stretch of its own.

    `place` names the memory behind a buffer (and has no scratch: that is each block's own);
    `sizes` are the symbols that no loop changes.
    """
    if loop.carries:
        return False
    extents = {inner.var: inner.extent for inner in loops(loop.body)}
    accesses = [s for s in statements(loop.body) if isinstance(s, (Load, Store))]
    stored = {place[s.buf] for s in accesses if isinstance(s, Store) and s.buf in place}
    lengths: dict[str, set[Dim | None]] = {}
    for s in accesses:
        name = place.get(s.buf, "")
        if name in stored:
            lengths.setdefault(name, set()).add(_stretch(s.index, loop.var, extents, sizes))
    return all(len(found) == 1 and None not in found for found in lengths.values())


def _stretch(
    index: Dim, var: str, extents: dict[str, Dim], sizes: Collection[str]
) -> Dim | None:
    """The number c such that the index is c * var + rest with 0 <= rest < c, if that is certain."""
    length: Dim = 0
    highest: Dim = 0  # of the rest
    terms = index.terms if isinstance(index, Poly) else {(): index}
    for mono, coef in terms.items():
        if coef < 0 or not all(isinstance(u, Sym) for u in mono):
            return None
        names = [u.name for u in mono if isinstance(u, Sym)]
        turning = [name for name in names if name not in sizes]
        factor = dims.product([coef, *(dims.symbol(name) for name in names if name in sizes)])
        if not turning:
            highest = highest + factor
        elif turning == [var]:
            length = length + factor
        elif len(turning) == 1 and turning[0] in extents:
            extent = _bound(extents[turning[0]], sizes)
            if extent is None:
                return None
            highest = highest + factor * (extent - 1)
        else:
            return None
    room = length - highest
    return length if isinstance(room, int) and room > 0 else None


def _bound(extent: Dim, sizes: Collection[str]) -> Dim | None:
    """A dim of sizes alone that the extent never exceeds."""
    if all(s.name in sizes for s in dims.symbols(extent)):
        return extent
    return upper_bound(extent)
