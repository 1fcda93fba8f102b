"""Transposed reads: a nest whose loads step through memory along another loop than its stores.

Both loops are cut into blocks, so that the cache lines of a small square are used up while they
are near. The loop along which those loads are contiguous stands directly around the lanes, which
lets an emitter transpose in registers.
"""

from __future__ import annotations

from ..kernel.core import Load, Loop
from . import cost, indexing, loops
from .body import Body, Frame

TILE = 64  # elements of each side of a block
_LEAST = 8  # shorter loops are not worth a block


def turned(body: Body, frames: list[Frame]) -> list[Frame] | None:
    """The nest (outermost first) in blocks: other loops, blocks, blocks, a loop, lanes; None if no
    load is contiguous along another loop than the innermost, over which the stores are."""
    lane = len(frames) - 1
    if any(isinstance(s, Loop) for f in frames for s in f.stmts):
        return None
    if cost.known(frames[lane].extent) < _LEAST:
        return None
    at = _across(frames)
    if at is None:
        return None
    across = frames[at]
    # statements of the loops that move outside stay where all they depend on is known
    for frame in frames[at + 1 : lane]:
        across.stmts += frame.stmts
        frame.stmts = []
    others = frames[:at] + frames[at + 1 : lane]
    inner = [across, frames[lane]]
    blocks = []
    for k, frame in enumerate(inner):
        if isinstance(frame.extent, int) and frame.extent <= TILE:
            continue
        var = body.fresh("_i")
        body.level[var] = 0
        blocks.append(loops.split(inner, k, TILE, var))
    return [*others, *reversed(blocks), *inner]


def _across(frames: list[Frame]) -> int | None:
    """The outer loop along which some load is contiguous that steps through memory in the lanes."""
    lane = frames[-1]
    for s in lane.stmts:
        if not isinstance(s, Load) or s.mask:
            continue
        step = indexing.coefficient(s.index, lane.var)
        if step is None or (isinstance(step, int) and abs(step) < _LEAST):
            continue
        for k, frame in enumerate(frames[:-1]):
            if indexing.coefficient(s.index, frame.var) == 1 and (
                cost.known(frame.extent) >= _LEAST
            ):
                return k
    return None
