"""The pipeline: which passes run, in which order, before scheduling."""

from __future__ import annotations

from collections.abc import Callable

from ..core import Func
from ..expand import expand

Pass = Callable[[Func], Func]

PIPELINE: tuple[Pass, ...] = (
    expand,  # composites become primitives: everything after this sees one small vocabulary
)


def lower(func: Func) -> Func:
    """`func` as simplified primitives, ready to be scheduled."""
    for run in PIPELINE:
        func = run(func)
    return func
