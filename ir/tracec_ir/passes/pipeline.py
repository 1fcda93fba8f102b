"""The pipeline: which passes run, in which order, before scheduling."""

from __future__ import annotations

from collections.abc import Callable

from ..core import Func
from ..expand import expand
from ..verify import verify
from .layout import layout
from .simplify import simplify
from .structure import structure

Pass = Callable[[Func], Func]

PIPELINE: tuple[Pass, ...] = (
    expand,  # composites become primitives: everything after this sees one small vocabulary
    structure,  # before simplify, whose rules know permutations and slices, not addresses
    simplify,
    structure,  # what simplify made constant or dense shows more structure
    simplify,
    layout,  # after simplify has merged permutations
    simplify,  # the permutations that it moved onto the factors
)


def lower(func: Func, verified: bool = False) -> Func:
    """`func` as simplified primitives, ready to be scheduled; the verifier runs between the passes
    if `verified`."""
    if verified:
        verify(func)
    for run in PIPELINE:
        func = run(func)
        if verified:
            verify(func, "primitive")
    return func
