"""The pipeline: which passes run, in which order, before scheduling."""

from __future__ import annotations

from collections.abc import Callable

from ..core import Func
from ..expand import expand
from .simplify import simplify
from .structure import structure

Pass = Callable[[Func], Func]

PIPELINE: tuple[Pass, ...] = (
    expand,  # composites become primitives: everything after this sees one small vocabulary
    structure,  # before simplify, whose rules know permutations and slices, not addresses
    simplify,
    structure,  # what simplify made constant or dense shows more structure
    simplify,
)


def lower(func: Func) -> Func:
    """`func` as simplified primitives, ready to be scheduled."""
    for run in PIPELINE:
        func = run(func)
    return func
