"""Philox4x32-10 as scalar code, so that random numbers are computed where they are used."""

from __future__ import annotations

from tracec_ir import dtypes
from tracec_ir.core import Op, Value
from tracec_ir.prims.random import MULTIPLIERS, ROUNDS, WEYL

from . import indexing
from .body import Body
from .indexing import Index

_MASK = 0xFFFFFFFF


class _Words:
    """Arithmetic on u64 scalars of a body."""

    def __init__(self, body: Body):
        self.body = body

    def op(self, name: str, a: str, b: str | int) -> str:
        other = b if isinstance(b, str) else self.body.const(b, dtypes.u64)
        return self.body.scalar(name, (a, other), dtypes.u64)

    def low(self, a: str) -> str:
        return self.op("bitwise_and", a, _MASK)

    def high(self, a: str) -> str:
        return self.op("shr", a, 32)


def philox(body: Body, op: Op, index: Index, mask: str) -> str:
    """Element `index` of a draw, as the primitive `philox` defines it."""
    seed, offset = (_unsigned(body, x) for x in op.operands)
    dtype = op.result.dtype
    per_block = 2 if dtype is dtypes.f64 else 4
    flat = indexing.flatten(index, op.result.shape)
    block, word = indexing.divide(flat, per_block, body.ranges)
    number = body.scalar("cast", (body.index(block),), dtypes.u64)
    words = _block(body, seed, body.scalar("add", (offset, number), dtypes.u64))
    place = body.index(word)
    if dtype is dtypes.f64:
        first = _pick(body, place, (words[0], words[2]))
        second = _pick(body, place, (words[1], words[3]))
        return _to_f64(body, first, second)
    chosen = _pick(body, place, words)
    if dtype is dtypes.u32:
        return body.scalar("cast", (chosen,), dtypes.u32)
    top = _Words(body).op("shr", chosen, 8)
    real = _real(body, top, dtypes.f32)
    return body.scalar("mul", (real, body.const(2.0**-24, dtypes.f32)), dtypes.f32)


def _unsigned(body: Body, x: Value) -> str:
    name = body.value(x, ())
    if x.dtype is not dtypes.i64:
        name = body.scalar("cast", (name,), dtypes.i64)
    return body.scalar("cast", (name,), dtypes.u64)


def _block(body: Body, seed: str, counter: str) -> tuple[str, ...]:
    w = _Words(body)
    zero = body.const(0, dtypes.u64)
    c0, c1, c2, c3 = w.low(counter), w.high(counter), zero, zero
    k0, k1 = w.low(seed), w.high(seed)
    for _ in range(ROUNDS):
        p0, p1 = w.op("mul", c0, MULTIPLIERS[0]), w.op("mul", c2, MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            w.op("bitwise_xor", w.op("bitwise_xor", w.high(p1), c1), k0), w.low(p1),
            w.op("bitwise_xor", w.op("bitwise_xor", w.high(p0), c3), k1), w.low(p0),
        )  # fmt: skip
        k0, k1 = w.low(w.op("add", k0, WEYL[0])), w.low(w.op("add", k1, WEYL[1]))
    return c0, c1, c2, c3


def _pick(body: Body, place: str, words: tuple[str, ...]) -> str:
    out = words[-1]
    for i in range(len(words) - 2, -1, -1):
        here = body.scalar("eq", (place, body.const(i, dtypes.i64)), dtypes.b1)
        out = body.scalar("select", (here, words[i], out), dtypes.u64)
    return out


def _real(body: Body, word: str, dtype: dtypes.DType) -> str:
    narrow = body.scalar("cast", (word,), dtypes.i32)  # signed 32-bit conversions are vectors
    return body.scalar("cast", (narrow,), dtype)


def _to_f64(body: Body, first: str, second: str) -> str:
    w, d = _Words(body), dtypes.f64
    high, low = _real(body, w.op("shr", first, 5), d), _real(body, w.op("shr", second, 6), d)
    wide = body.scalar("mul", (high, body.const(2.0**26, d)), d)
    total = body.scalar("add", (wide, low), d)
    return body.scalar("mul", (total, body.const(2.0**-53, d)), d)
