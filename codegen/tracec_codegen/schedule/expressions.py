"""Scalar code of one element of a result: what makes an op fusible into its consumers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from tracec_ir import dims, dtypes
from tracec_ir.core import Op, Value
from tracec_ir.optable import lookup

from . import indexing
from .body import Body
from .indexing import Index

UNROLLED = 9  # terms up to which a reduction is written out
Expression = Callable[[Body, Op, Index, str], str]
_EXPRESSIONS: dict[str, Expression] = {}


def expression(body: Body, v: Value, index: Index, mask: str) -> str:
    """Element `index` of v, computed from the elements of its op's operands."""
    op = v.op
    assert op is not None, f"{v!r} has no source"
    fn = _EXPRESSIONS.get(op.name)
    if fn is not None:
        return fn(body, op, index, mask)
    return _pointwise(body, op, index, mask)


def inlinable(op: Op) -> bool:
    """Whether elements of the op's result can be computed one by one wherever they are needed."""
    if op.name in ("reduce", "argreduce", "dot"):
        return _is_trivial(op)
    if op.name in _EXPRESSIONS:
        if op.name == "bitcast":
            return op.operands[0].dtype.bits == op.result.dtype.bits
        return True
    return lookup(op.name).pointwise is not None


def _define(name: str) -> Callable[[Expression], Expression]:
    def register(fn: Expression) -> Expression:
        _EXPRESSIONS[name] = fn
        return fn

    return register


def _pointwise(body: Body, op: Op, index: Index, mask: str) -> str:
    args = tuple(body.value(x, index, mask) for x in op.operands)
    return body.scalar(op.name, args, op.result.dtype, op.attrs)


@_define("select")
def _select(body: Body, op: Op, index: Index, mask: str) -> str:
    return _pointwise(body, op, index, mask)


@_define("cast")
def _cast(body: Body, op: Op, index: Index, mask: str) -> str:
    (x,) = op.operands
    name = body.value(x, index, mask)
    if x.dtype is op.result.dtype:
        return name
    return body.scalar("cast", (name,), op.result.dtype)


@_define("bitcast")
def _bitcast(body: Body, op: Op, index: Index, mask: str) -> str:
    name = body.value(op.operands[0], index, mask)
    return body.scalar("bitcast", (name,), op.result.dtype)


@_define("const")
def _const(body: Body, op: Op, index: Index, mask: str) -> str:
    return body.const(op.attrs["value"], op.result.dtype)


@_define("iota")
def _iota(body: Body, op: Op, index: Index, mask: str) -> str:
    dtype = op.result.dtype
    if isinstance(index[0], int):
        number = float(index[0]) if dtype.kind == "f" else index[0]
        return body.const(number, dtype)
    name = body.index(index[0])
    return name if dtype is dtypes.i64 else body.scalar("cast", (name,), dtype)


@_define("broadcast")
def _broadcast(body: Body, op: Op, index: Index, mask: str) -> str:
    (x,) = op.operands
    return body.value(x, indexing.broadcast_index(index, x.shape), mask)


@_define("reshape")
def _reshape(body: Body, op: Op, index: Index, mask: str) -> str:
    (x,) = op.operands
    source = indexing.reshape_index(index, op.result.shape, x.shape, body.ranges)
    return body.value(x, source, mask)


@_define("permute")
def _permute(body: Body, op: Op, index: Index, mask: str) -> str:
    return body.value(op.operands[0], indexing.permute_index(index, op.attrs["perm"]), mask)


@_define("slice")
def _slice(body: Body, op: Op, index: Index, mask: str) -> str:
    source = indexing.slice_index(index, op.attrs["starts"], op.attrs["steps"])
    return body.value(op.operands[0], source, mask)


@_define("pad")
def _pad(body: Body, op: Op, index: Index, mask: str) -> str:
    x, fill = op.operands
    source, inside = [], ""
    for i, low, gap, size in zip(
        index, op.attrs["low"], op.attrs["interior"], x.shape, strict=True
    ):
        at = i - low
        inside = body.both(inside, body.at_least(at, 0))
        if gap:
            quotient, rest = indexing.divide(at, gap + 1, body.ranges)
            if rest != 0:
                zero = body.const(0, dtypes.i64)
                aligned = body.scalar("eq", (body.index(rest), zero), dtypes.b1)
                inside = body.both(inside, aligned)
            at = quotient
        inside = body.both(inside, body.below(at, size))
        source.append(at)
    value = body.value(x, tuple(source), body.both(mask, inside))
    if not inside:
        return value
    return body.scalar("select", (inside, value, body.value(fill, (), "")), op.result.dtype)


@_define("concat")
def _concat(body: Body, op: Op, index: Index, mask: str) -> str:
    axis = op.attrs["axis"]
    start: dims.Dim = 0
    out = ""
    for x in op.operands:
        size = x.shape[axis]
        if size == 0:
            continue
        at = index[axis] - start
        here = body.both(body.at_least(at, 0), body.below(at, size))
        source = (*index[:axis], at, *index[axis + 1 :])
        value = body.value(x, source, body.both(mask, here))
        out = body.scalar("select", (here, value, out), x.dtype) if out and here else value
        start = start + size
    return out or body.const(0, op.result.dtype)


@_define("strided")
def _strided(body: Body, op: Op, index: Index, mask: str) -> str:
    (x,) = op.operands
    position = indexing.strided_position(index, op.attrs["strides"], op.attrs["offset"])
    return body.value(x, tuple(indexing.unflatten(position, x.shape, body.ranges)), mask)


@_define("gather")
def _gather(body: Body, op: Op, index: Index, mask: str) -> str:
    x, *indices = op.operands
    axes = op.attrs["axes"]
    rank = indices[0].rank
    at = {}
    for axis, ix in zip(axes, indices, strict=True):
        raw = body.value(ix, index[:rank], mask)
        at[axis] = body.checked(raw, x.shape[axis], mask, (op, axis))
    rest = iter(index[rank:])
    source = tuple(at[k] if k in at else next(rest) for k in range(x.rank))
    return body.value(x, source, mask)


def _is_trivial(op: Op) -> bool:
    """Whether a reduction or contraction is a short expression: few terms, of known number."""
    x = op.operands[0]
    if op.name == "dot":
        return x.shape[-1] == 1 and x.dtype.kind != "b"
    if op.name == "argreduce":
        return x.shape[op.attrs["axis"]] == 1
    sizes = [x.shape[a] for a in op.attrs["axes"]]
    terms = dims.product(sizes)
    if terms == 1:
        return True
    return isinstance(terms, int) and 1 < terms <= UNROLLED and dims.product(op.result.shape) != 1


_STEP = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum", "any": "bitwise_or",
         "all": "bitwise_and"}  # fmt: skip


@_define("reduce")
def _reduce(body: Body, op: Op, index: Index, mask: str) -> str:
    (x,) = op.operands
    axes = [a % x.rank for a in op.attrs["axes"]]
    kind, dtype = op.attrs["kind"], op.result.dtype
    wide = (
        dtypes.f32
        if x.dtype.code in ("f16", "bf16")
        else dtypes.b1
        if kind in ("any", "all")
        else x.dtype
    )
    total = ""
    for place in product(*(range(x.shape[a]) for a in axes)):
        at = dict(zip(axes, place, strict=True))
        rest = iter(index)
        name = body.value(x, tuple(at[k] if k in at else next(rest) for k in range(x.rank)), mask)
        if x.dtype is not wide:
            name = body.scalar("cast", (name,), wide)
        total = body.scalar(_STEP[kind], (total, name), wide) if total else name
    return total if wide is dtype else body.scalar("cast", (total,), dtype)


@_define("argreduce")
def _argreduce(body: Body, op: Op, index: Index, mask: str) -> str:
    return body.const(0, dtypes.i64)


@_define("dot")
def _dot(body: Body, op: Op, index: Index, mask: str) -> str:
    a, b = op.operands
    batch, (m, n) = index[:-2], index[-2:]
    args = (body.value(a, (*batch, m, 0), mask), body.value(b, (*batch, 0, n), mask))
    return body.scalar("mul", args, op.result.dtype)


@_define("philox")
def _philox(body: Body, op: Op, index: Index, mask: str) -> str:
    from .random import philox

    return philox(body, op, index, mask)
