"""Loop nests being put together: merging, splitting and closing the frames of a body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tracec_ir import dims
from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType

from ..kernel.core import (
    ArgCarry,
    ArgUpdate,
    Carry,
    IndexValue,
    Load,
    Loop,
    Number,
    Store,
    Update,
)
from . import indexing
from .body import Frame


def every_dim(stmts: Sequence) -> Iterator[Dim]:
    """All index expressions and extents in statements, nested ones included."""
    for s in stmts:
        if isinstance(s, (Load, Store, IndexValue)):
            yield s.index
        elif isinstance(s, ArgUpdate):
            yield s.position
        elif isinstance(s, Loop):
            yield s.extent
            yield from every_dim(s.body)


def rewrite(stmts: Sequence, change: Callable[[Dim], Dim]) -> None:
    """Replaces every index expression and extent d by change(d), in place."""
    for s in stmts:
        if isinstance(s, (Load, Store, IndexValue)):
            s.index = change(s.index)
        elif isinstance(s, ArgUpdate):
            s.position = change(s.position)
        elif isinstance(s, Loop):
            s.extent = change(s.extent)
            rewrite(s.body, change)


def substitute(stmts: Sequence, env: dict[str, Dim]) -> None:
    """Replaces loop variables in place."""

    def change(d: Dim) -> Dim:
        if isinstance(d, int) or not any(s.name in env for s in d.symbols()):
            return d
        return dims.substitute(d, env)

    rewrite(stmts, change)


def merged(frames: list[Frame]) -> list[Frame]:
    """The same nest (outermost first) with neighbouring loops made one where every access allows:
    a over A and b over B become one loop over A*B if all positions step B times as far in a as
    in b."""
    if not frames:
        return []
    out = [frames[-1]]
    for outer in reversed(frames[:-1]):
        inner = out[0]
        if not outer.stmts and _mergeable(outer.var, inner, out):
            for frame in out:
                substitute(frame.stmts, {outer.var: 0})
            inner.extent = outer.extent * inner.extent
        else:
            out.insert(0, outer)
    return out


def _mergeable(var: str, inner: Frame, nest: list[Frame]) -> bool:
    for frame in nest:
        if frame is not inner and _has(frame.extent, var, inner.var):
            return False
        for d in every_dim(frame.stmts):
            if not _has(d, var, inner.var):
                continue
            a, b = indexing.coefficient(d, var), indexing.coefficient(d, inner.var)
            if a is None or b is None or a != b * inner.extent:
                return False
    return True


def _has(d: Dim, *names: str) -> bool:
    return not isinstance(d, int) and any(s.name in names for s in d.symbols())


def split(frames: list[Frame], at: int, block: int, var: str) -> Frame:
    """Cuts the loop `frames[at]` into blocks; returns the loop over blocks, to be put anywhere
    outside. The loop that stays runs over the elements of a block."""
    frame = frames[at]
    blocks = dims.floordiv(frame.extent + (block - 1), block)
    start = dims.symbol(var) * block
    old = dims.symbol(frame.var)
    for f in frames[at:]:
        substitute(f.stmts, {frame.var: start + old})
    for f in frames[at + 1 :]:
        f.extent = dims.substitute(f.extent, {frame.var: start + old})
    if isinstance(frame.extent, int) and frame.extent % block == 0:
        frame.extent = block
    else:
        frame.extent = dims.minimum(block, frame.extent - start)
    return Frame(var, blocks)


class Accumulator:
    """A reduction of one pass: how its carry combines, and the update of the innermost loop."""

    __slots__ = ("names", "combine", "init", "dtype", "value", "position", "fresh")

    def __init__(
        self,
        combine: str,
        init: Number,
        dtype: DType,
        value: str,
        fresh: Callable[[], str],
        position: Dim | None = None,
    ):
        self.combine, self.init, self.dtype = combine, init, dtype
        self.value, self.position, self.fresh = value, position, fresh
        self.names: tuple[str, ...] = ()  # of the finished carry


def reduce_nest(frames: list[Frame], kind: str, sums: list[Accumulator]) -> Loop:
    """The loops of a pass: the innermost of `kind`, the others serial, with the carries of `sums`.
    Each accumulator's `names` become those of its final value."""
    loop: Loop | None = None
    for frame in reversed(frames):
        inner = loop is None
        if loop is not None:
            frame.stmts.append(loop)
        carries: list = []
        for s in sums:
            name = s.fresh()
            if s.position is not None:
                index_name = s.fresh()
                carries.append(ArgCarry(name, index_name, s.combine, s.dtype))
                frame.stmts.append(ArgUpdate(name, s.value, s.position))
                s.names = (name, index_name)
            else:
                carries.append(Carry(name, s.init, s.combine, s.dtype))
                frame.stmts.append(Update(name, s.value if inner else s.names[0]))
                s.names = (name,)
        loop = Loop(frame.var, frame.extent, kind if inner else "serial", frame.stmts, carries)
    assert loop is not None
    return loop


def nest(frames: list[Frame], kinds: list[str], unroll: int = 0) -> Loop:
    """Plain loops around the innermost frame's statements."""
    loop: Loop | None = None
    for frame, kind in zip(reversed(frames), reversed(kinds), strict=True):
        if loop is not None:
            frame.stmts.append(loop)
        loop = Loop(frame.var, frame.extent, kind, frame.stmts)
        if unroll and kind == "vector":
            loop.unroll = unroll
    assert loop is not None
    return loop


def kind_for(extent: Dim, kind: str) -> str:
    """`kind`, or "serial" where the extent is too small for vectors."""
    return "serial" if isinstance(extent, int) and extent < 4 else kind
