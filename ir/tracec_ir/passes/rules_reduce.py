"""Rules for reductions, contractions and indexed access."""

from __future__ import annotations

from ..builder import Builder
from ..dims import product
from .rule import Found, Operands, is_number, made_by, rule, splat


@rule(
    "reduce",
    "%1 = reshape(%x) [shape=(2, 1, 3)] : f32[2 x 1 x 3]\n"
    "%2 = reduce(%1) [kind=sum, axes=(1)] : f32[2 x 3]\n"
    "%3 = neg(%2) : f32[2 x 3]\n"
    "return %3",
)
def reduce_of_ones(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Axes of size 1 need no reduction."""
    (x,) = operands
    axes = attrs["axes"]
    ones = [a for a in axes if x.shape[a] == 1]
    if not ones or (attrs["kind"] in ("any", "all") and x.dtype.kind != "b"):
        return None
    rest = tuple(a - sum(o < a for o in ones) for a in axes if a not in ones)
    y = b.reshape(x, tuple(s for k, s in enumerate(x.shape) if k not in ones))
    return b.emit1("reduce", y, kind=attrs["kind"], axes=rest) if rest else y


@rule(
    "reduce",
    "%1 = broadcast(%k) [shape=(2, 3)] : f32[2 x 3]\n"
    "%2 = reduce(%1) [kind=sum, axes=(1)] : f32[2]\n"
    "return %2",
)
def reduce_repeated(b: Builder, operands: Operands, attrs: dict) -> Found:
    """n equal values add up to n times the value; their extreme is the value."""
    (x,) = operands
    value = splat(x) if made_by(x, "broadcast") else None
    if value is None or any(n == 0 for n in x.shape):
        return None
    count = product(x.shape[a] for a in attrs["axes"])
    shape = tuple(s for k, s in enumerate(x.shape) if k not in attrs["axes"])
    if attrs["kind"] == "sum":
        if not isinstance(count, int) or x.dtype.kind not in "iuf" or x.dtype.bits < 32:
            return None
        value = b.emit1("mul", value, b.const(count, x.dtype))
    elif attrs["kind"] == "prod" or (attrs["kind"] in ("any", "all") and x.dtype.kind != "b"):
        return None
    return b.broadcast_to(value, shape)


@rule(
    "reduce",
    "%1 = reduce(%x) [kind=max, axes=(1)] : f32[2]\n"
    "%2 = reduce(%1) [kind=max, axes=(0)] : f32[]\n"
    "return %2",
)
def reduce_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """An extreme of extremes is one reduction (sums keep the order they were asked for in)."""
    (x,) = operands
    kind = attrs["kind"]
    if kind not in ("max", "min", "any", "all") or not made_by(x, "reduce"):
        return None
    inner = x.op
    source = inner.operands[0]
    if inner.attrs["kind"] != kind or source.dtype is not x.dtype:
        return None
    left = [k for k in range(source.rank) if k not in inner.attrs["axes"]]
    axes = sorted({*inner.attrs["axes"], *(left[a] for a in attrs["axes"])})
    return b.emit1("reduce", source, kind=kind, axes=tuple(axes))


@rule(
    "scatter",
    "%1 = const() [value=0.0, type=f32[]] : f32[]\n%2 = broadcast(%1) [shape=(2, 3)] : f32[2 x 3]\n"
    "%3 = iota() [size=2, dtype=i64] : i64[2]\n"
    "%4 = gather(%x, %3, %j) [axes=(0, 1)] : f32[2]\n"
    "%5 = scatter(%2, %4, %3, %j) [axes=(0, 1), kind=add] : f32[2 x 3]\nreturn %5",
)
def scatter_one_per_row(b: Builder, operands: Operands, attrs: dict) -> Found:
    """One element in each row of zeros is a comparison with the column's number: it fuses.

    Only where a gather with the same indices has checked them."""
    base, values, *indices = operands
    if attrs["kind"] not in ("add", "set") or len(indices) != 2 or base.rank != 2:
        return None
    if tuple(attrs["axes"]) != (0, 1) or not is_number(base, 0) or values.rank != 1:
        return None
    rows, columns = indices
    n, m = base.shape
    if not made_by(rows, "iota") or rows.shape[0] != n:
        return None
    checked = any(
        op.name == "gather"
        and tuple(op.attrs["axes"]) == (0, 1)
        and op.operands[0].shape == base.shape
        and op.operands[1] is rows and op.operands[2] is columns
        for op in b.ops
    )  # fmt: skip
    if not checked:
        return None
    negative = b.lt(columns, b.const(0, columns.dtype))
    place = (
        b.select(negative, b.add(columns, b.const(m, columns.dtype)), columns)
        if isinstance(m, int)
        else None
    )
    if place is None:
        return None
    numbers = b.broadcast_to(b.emit1("iota", size=m, dtype=columns.dtype), (n, m))
    here = b.emit1("eq", numbers, b.broadcast_to(b.reshape(place, (n, 1)), (n, m)))
    spread = b.broadcast_to(b.reshape(values, (n, 1)), (n, m))
    return b.emit1("select", here, spread, base)
