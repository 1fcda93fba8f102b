"""Strided specs back to structure: permute, slice, reshape and broadcast instead of addresses.

Before: `%1 = strided(%0) [shape=(3, 2), strides=(1, 3), offset=0] : f32[3 x 2]` with %0 f32[2 x 3].
After:  `%1 = permute(%0) [perm=(1, 0)] : f32[3 x 2]`.

A spec that is none of these (a diagonal, overlapping windows) stays. A `write` that covers its
whole base is the new value, one into a constant base is a padding; any other stays, for a kernel
that changes the base in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import dims
from ..builder import Builder
from ..core import Func, Value
from ..dims import Dim
from .rule import Operands, made_by, splat
from .simplify import rebuild


def structure(func: Func) -> Func:
    """`func` with specs recovered where they can be."""
    return rebuild(func, {"strided": [_strided], "write": [_write]})


class View(NamedTuple):
    """A spec as: reshape the base to `shape`; slice; permute the axes that are left by `perm` (the
    others have one element and go)."""

    shape: tuple[Dim, ...]
    starts: tuple[Dim, ...]
    counts: tuple[Dim, ...]
    steps: tuple[int, ...]
    perm: tuple[int, ...]


def _strided(b: Builder, operands: Operands, attrs: dict) -> Value | None:
    (x,) = operands
    shape, strides, offset = attrs["shape"], attrs["strides"], attrs["offset"]
    if any(n == 0 for n in shape):
        return b.full(0, x.dtype, shape) if x.dtype.kind != "c" else None
    value = splat(x)
    if value is not None:
        return b.broadcast_to(value, shape)
    forwarded = _written(b, x, attrs)
    if forwarded is not None:
        return forwarded
    active = [i for i, (n, s) in enumerate(zip(shape, strides, strict=True)) if n != 1 and s != 0]
    view = find_view(
        tuple(x.shape), [shape[i] for i in active], [strides[i] for i in active], offset
    )
    if view is None:
        return None
    y = b.reshape(x, view.shape)
    y = _slice(b, y, view)
    y = b.permute(y, (*view.perm, *(k for k in range(y.rank) if k not in view.perm)))
    thin = tuple(n if i in active else 1 for i, n in enumerate(shape))
    return b.broadcast_to(b.reshape(y, thin), tuple(shape))


def _slice(b: Builder, y: Value, view: View) -> Value:
    stops = tuple(
        start + (count - 1) * step + 1
        for start, count, step in zip(view.starts, view.counts, view.steps, strict=True)
    )
    if all(a == 0 for a in view.starts) and tuple(view.counts) == tuple(y.shape):
        return y
    return b.emit1("slice", y, starts=view.starts, stops=stops, steps=view.steps)


def _written(b: Builder, x: Any, attrs: dict) -> Value | None:
    """What a read finds that was just written with the same spec, or before a write elsewhere."""
    from ..prims.strided import is_injective

    if not made_by(x, "write"):
        return None
    base, new = x.op.operands
    spec = x.op.attrs
    known = [*spec["shape"], *spec["strides"], spec["offset"]]
    if spec == attrs and all(isinstance(d, int) for d in known):
        return new if is_injective(spec["shape"], spec["strides"]) else None
    if _apart(spec, attrs):
        return b.emit1("strided", base, **attrs)
    return None


def _apart(a: dict, c: dict) -> bool:
    """Whether two specs of known sizes certainly address different elements (by their ranges)."""
    spans = []
    for spec in (a, c):
        numbers = [*spec["shape"], *spec["strides"], spec["offset"]]
        if not all(isinstance(d, int) for d in numbers) or 0 in spec["shape"]:
            return False
        reach = sum((n - 1) * s for n, s in zip(spec["shape"], spec["strides"], strict=True))
        spans.append((spec["offset"], spec["offset"] + reach))
    (low_a, high_a), (low_c, high_c) = spans
    return high_a < low_c or high_c < low_a


# -- finding the structure ------------------------------------------------------------------------
def find_view(
    base: tuple[Dim, ...], sizes: list[Dim], strides: list[Dim], offset: Dim
) -> View | None:
    """The view of a dense `base` that has these sizes (none is 1) and strides (none is 0)."""
    return _on_axes(base, sizes, strides, offset) or _on_factors(base, sizes, strides, offset)


def dense_strides(shape: Sequence[Dim]) -> list[Dim]:
    """The row-major strides of a shape."""
    out: list[Dim] = []
    step: Dim = 1
    for n in reversed(shape):
        out.insert(0, step)
        step = step * n
    return out


def _on_axes(
    base: tuple[Dim, ...], sizes: list[Dim], strides: list[Dim], offset: Dim
) -> View | None:
    """Each dimension steps along one axis of the base."""
    dense = dense_strides(base)
    starts = _split_offset(base, dense, offset)
    if starts is None:
        return None
    counts: list[Dim] = [1] * len(base)
    steps = [1] * len(base)
    where: list[int] = []
    for n, s in zip(sizes, strides, strict=True):
        for k, d in enumerate(dense):
            step = dims.exact_div(s, d)
            if k in where or base[k] == 1 or not isinstance(step, int) or step < 1:
                continue
            if _fits(base[k] - 1 - starts[k] - (n - 1) * step):
                where.append(k)
                counts[k], steps[k] = n, step
                break
        else:
            return None
    return View(base, tuple(starts), tuple(counts), tuple(steps), tuple(where))


def _fits(room: Dim) -> bool:
    """Whether a dim is certainly not negative."""
    if isinstance(room, int):
        return room >= 0
    low = dims._lower_bound(room)
    return low is not None and low >= 0


def _split_offset(base: Sequence[Dim], dense: list[Dim], offset: Dim) -> list[Dim] | None:
    """The index whose row-major position is `offset`."""
    if isinstance(offset, int) and all(isinstance(d, int) for d in (*base, *dense)):
        if 0 in base:
            return None
        return [dims.mod(offset // d, n) for d, n in zip(dense, base, strict=True)]
    out: list[Dim] = []
    rest = offset
    for d in dense:
        whole: Dim = 0
        for mono, coef in dims._terms(rest):
            quotient = dims.exact_div(dims._make({mono: coef}), d)
            if quotient is not None:
                whole = whole + quotient
        if d == 1:
            whole = rest
        out.append(whole)
        rest = rest - whole * d
    fits = all(_fits(i) and (n == 1 or _fits(n - 1 - i)) for i, n in zip(out, base, strict=True))
    return out if rest == 0 and fits else None


def _on_factors(
    base: tuple[Dim, ...], sizes: list[Dim], strides: list[Dim], offset: Dim
) -> View | None:
    """The memory cut where the dimensions step: strides must divide one another."""
    order = sorted(range(len(sizes)), key=lambda i: _size_hint(strides[i]), reverse=True)
    whole = dims.product(base)
    shape: list[Dim] = []
    rest = whole
    for i in order:
        factor = dims.exact_div(rest, strides[i])
        if factor is None or factor == 0:
            return None
        shape.append(factor)
        rest = strides[i]
    shape.append(rest)
    starts = _split_offset(tuple(shape), dense_strides(shape), offset)
    if starts is None:
        return None
    for k, i in enumerate(order):
        if not _fits(shape[k] - starts[k] - sizes[i]):
            return None
    counts = (*(sizes[i] for i in order), 1)
    perm = [0] * len(order)
    for k, i in enumerate(order):
        perm[i] = k
    return View(tuple(shape), tuple(starts), counts, (1,) * len(shape), tuple(perm))


def _size_hint(d: Dim) -> int:
    try:
        return dims.hint(d)
    except ValueError:
        return len(repr(d))


# -- writes ---------------------------------------------------------------------------------------
def _write(b: Builder, operands: Operands, attrs: dict) -> Value | None:
    base, new = operands
    shape, strides, offset = attrs["shape"], attrs["strides"], attrs["offset"]
    if any(n == 0 for n in shape):
        return base
    fill = splat(base)
    active = [i for i, n in enumerate(shape) if n != 1]
    if any(strides[i] == 0 for i in active):
        return None
    view = find_view(
        tuple(base.shape), [shape[i] for i in active], [strides[i] for i in active], offset
    )
    if view is None:
        return None
    covers = all(a == 0 for a in view.starts) and view.counts == view.shape
    if not covers and fill is None:
        return None
    y = b.reshape(new, tuple(shape[i] for i in active))
    by_axis = sorted(range(len(view.perm)), key=lambda i: view.perm[i])
    y = b.reshape(b.permute(y, by_axis), view.counts)
    if not covers:
        assert fill is not None
        high = tuple(
            n - 1 - start - (count - 1) * step
            for n, start, count, step in zip(
                view.shape, view.starts, view.counts, view.steps, strict=True
            )
        )
        y = b.emit1(
            "pad", y, fill, low=view.starts, high=high, interior=tuple(s - 1 for s in view.steps)
        )
    return b.reshape(y, tuple(base.shape))
