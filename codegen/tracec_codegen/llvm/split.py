"""Cutting a lane loop where comparisons of its variable change their outcome.

A concatenation or a padded read compares the position with bounds in every turn; on each side of
the bound the outcome is known, so masks and selects disappear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tracec_ir.dims import Dim, Poly, Sym, symbols

from ..kernel.core import Const, IndexValue, Loop, Scalar
from .analysis import body_weight

_MOST_CUTS = 3
_HEAVIEST = 80  # instructions of all copies of the body together


@dataclass(slots=True)
class Cut:
    """A place where comparisons change: `below` has their outcomes for smaller positions."""

    at: Dim
    below: dict[str, bool] = field(default_factory=dict)


def index_definitions(body: list) -> dict[str, Dim]:
    """The dims that integer constants and index values of a kernel stand for, by name."""
    out: dict[str, Dim] = {}
    for s in body:
        if isinstance(s, Loop):
            out |= index_definitions(s.body)
        elif isinstance(s, IndexValue):
            out[s.name] = s.index
        elif isinstance(s, Const) and s.dtype.is_integral:
            out[s.name] = int(s.value)
    return out


def find_cuts(loop: Loop, values: dict[str, Dim], known: Callable[[str], bool]) -> list[Cut]:
    """Cuts in ascending order; `known` tells which symbols have a value outside the loop."""
    if loop.carries:
        return []
    cuts: list[Cut] = []
    for s in loop.body:
        if not (isinstance(s, Scalar) and s.op in ("lt", "le")):
            continue
        a, b = (values.get(name) for name in s.args)
        if a is None or b is None:
            continue
        found = _threshold(s.op, a - b, loop.var, known)
        if found is not None:
            _insert(cuts, found[0], s.name, found[1])
    if (len(cuts) + 1) * body_weight(loop.body) > _HEAVIEST or len(cuts) > _MOST_CUTS:
        return []
    return cuts


def _threshold(op: str, difference: Dim, var: str,
               known: Callable[[str], bool]) -> tuple[Dim, bool] | None:
    """(t, outcome below t) of `difference op 0` as a function of the loop variable."""
    if not isinstance(difference, Poly):
        return None
    sign, rest = 0, 0 * difference
    for mono, coefficient in difference.terms.items():
        if any(s.name == var for s in symbols(Poly({mono: 1}))):
            if len(mono) > 1 or not isinstance(mono[0], Sym) or abs(coefficient) != 1:
                return None
            sign = coefficient
        else:
            rest = rest + Poly({mono: coefficient})
    if not sign or not all(known(s.name) for s in symbols(rest)):
        return None
    if sign > 0:
        return (1 if op == "le" else 0) - rest, True
    return rest + (1 if op == "lt" else 0), False


def _insert(cuts: list[Cut], at: Dim, name: str, below: bool) -> None:
    """Add a comparison if its place among the cuts is certain."""
    for k, cut in enumerate(cuts):
        distance = at - cut.at
        if not isinstance(distance, int):
            return
        if distance == 0:
            cut.below[name] = below
            return
        if distance < 0:
            cuts.insert(k, Cut(at, {name: below}))
            return
    cuts.append(Cut(at, {name: below}))


def outcomes(cuts: list[Cut], piece: int) -> dict[str, bool]:
    """What the comparisons yield in piece number `piece`: pieces 0..k lie below cut k."""
    out: dict[str, bool] = {}
    for k, cut in enumerate(cuts):
        for name, below in cut.below.items():
            out[name] = below if piece <= k else not below
    return out
