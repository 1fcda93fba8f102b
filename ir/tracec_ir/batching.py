"""Batching as an IR-to-IR transform: the function of one example becomes that of many.

A value that differs from example to example gets one axis more, in front; one that is the same for
all examples stays as it is. So every operation is emitted once, on whole batches, and a part of the
function that no batched operand reaches is not repeated at all.

    f(x: f32[4], w: f32[4]) = mul(x, w)          batched over x, 8 examples:
    g(x: f32[8 x 4], w: f32[4]) = mul(x, broadcast(w) [shape=(8, 4)])

The rules of the primitives stand in `batching_rules`, one per family; that of pointwise ones serves
pointwise composites too. Another composite is batched through its expansion; one with a derivative
of its own becomes a `mapped` op, which keeps that.
"""

from __future__ import annotations

from collections.abc import Sequence

from . import autodiff
from .builder import Builder, attr_key
from .core import Func, Op, Value
from .dims import Dim
from .expand import expansion
from .optable import OpDef, lookup
from .types import TensorType, Type


class Batching:
    """Emits batched operations into `b`. `size` is the number of examples; `different` says that
    every example draws random numbers of its own."""

    def __init__(self, b: Builder, size: Dim, different: bool = False):
        self.b, self.size, self.different = b, size, different

    def inline(
        self, func: Func, args: Sequence[Value], flags: Sequence[bool]
    ) -> tuple[list[Value], list[bool]]:
        """The body of `func` on `args`, of which those flagged are batched; its results, and which
        of them are batched."""
        env = dict(zip(func.params, zip(args, flags, strict=True), strict=True))
        loc = self.b.loc
        for op in func.ops:
            if op.loc:
                self.b.loc = op.loc
            found = [env[v] for v in op.operands]
            values, on = self.op(op, [v for v, _ in found], [f for _, f in found])
            env.update(zip(op.results, zip(values, on, strict=True), strict=True))
        self.b.loc = loc
        results = [env[v] for v in func.results]
        return [v for v, _ in results], [f for _, f in results]

    def op(self, op: Op, xs: list[Value], on: list[bool]) -> tuple[Sequence[Value], Sequence[bool]]:
        """The batched results of one operation on the operands xs (batched where `on`)."""
        from .batching_rules import rule_of

        d = lookup(op.name)
        if not any(on) and not (self.different and _draws(op)):
            return self.b.emit(op.name, xs, op.attrs, op.regions), [False] * len(op.results)
        if d.is_primitive or d.pointwise is not None:
            out = rule_of(d)(self, op, xs, on)
            values = out if isinstance(out, tuple) else (out,)
            return values, [True] * len(values)
        if d.vjp is not None and not d.nondiff:
            return self._mapped(op, xs, on), [True] * len(op.results)
        types = tuple(v.type for v in op.operands)
        values_list, flags = self.inline(expansion(d, types, op.attrs), xs, on)
        if d.nondiff:
            values_list = [
                self.b.emit("detach", (v,))[0] if _differentiable(v.type) else v
                for v in values_list
            ]
        return values_list, flags

    def _mapped(self, op: Op, xs: list[Value], on: list[bool]) -> tuple[Value, ...]:
        attrs = {
            "op": op.name,
            "options": tuple(op.attrs.items()),
            "batched": tuple(on),
            "size": self.size,
            "different": self.different,
        }
        return self.b.emit("mapped", xs, attrs)

    # -- for rules ----------------------------------------------------------------------------
    def whole(self, x: Value, on: bool) -> Value:
        """x with the batch axis, repeated if it had none."""
        return x if on else self.b.broadcast_to(x, (self.size, *x.shape))

    def every(self, xs: Sequence[Value], on: Sequence[bool]) -> list[Value]:
        """All of xs with the batch axis."""
        return [self.whole(x, f) for x, f in zip(xs, on, strict=True)]


def batched(
    func: Func, flags: Sequence[bool], size: Dim, different: bool = False, force: bool = False
) -> tuple[Func, list[bool]]:
    """`func` over `size` examples, its flagged parameters having an axis more in front; and which
    results have it (all of them with `force`)."""
    b = Builder()
    params = [
        Value(batch_type(p.type, size) if f else p.type, name=p.name)
        for p, f in zip(func.params, flags, strict=True)
    ]
    t = Batching(b, size, different)
    values, on = t.inline(func, params, flags)
    if force:
        values, on = t.every(values, on), [True] * len(values)
    return b.func(func.name, params, values), on


def batch_type(t: Type, size: Dim) -> Type:
    """The type of `size` values of type t."""
    if not isinstance(t, TensorType):
        raise NotImplementedError("batching over Python numbers")
    return TensorType(t.dtype, (size, *t.shape))


def example_type(t: Type) -> Type:
    """The type of one example of a batched value."""
    assert isinstance(t, TensorType)
    return TensorType(t.dtype, tuple(t.shape)[1:])


def vjp_of_batch(
    b: Builder,
    name: str,
    attrs: dict,
    operands: Sequence[Value],
    flags: Sequence[bool],
    grads: Sequence[Value | None],
    size: Dim,
    different: bool,
) -> list[Value | None]:
    """The operands' cotangents of op `name` over a batch: its own derivative, batched. What all
    examples share receives the sum of theirs."""
    types = [example_type(v.type) if f else v.type for v, f in zip(operands, flags, strict=True)]
    func, wanted = _vjp_function(name, attrs, tuple(types), tuple(g is not None for g in grads))
    seeds = [g for g in grads if g is not None]
    t = Batching(b, size, different)
    values, on = t.inline(func, [*operands, *seeds], [*flags, *(True for _ in seeds)])
    out: list[Value | None] = [None] * len(operands)
    for i, v in zip(wanted, t.every(values, on), strict=True):
        out[i] = v if flags[i] else b.reduce(v, "sum", (0,))
    return out


_vjp_memo: dict = {}
_LIMIT = 4096


def _vjp_function(
    name: str, attrs: dict, types: tuple[Type, ...], given: tuple[bool, ...]
) -> tuple[Func, list[int]]:
    """(operands, cotangents of the `given` results) -> cotangents of the operands in the list."""
    from . import promote

    key = (name, types, tuple(map(attr_key, attrs.values())), given, promote.default_float)
    found = _vjp_memo.get(key)
    if found is None:
        b = Builder()
        params = [Value(t) for t in types]
        op = b.emit(name, params, attrs)[0].op
        assert op is not None
        seeds = [Value(r.type) if g else None for r, g in zip(op.results, given, strict=True)]
        grads = autodiff.vjp(b, op, list(seeds), set(params))
        wanted = [i for i, g in enumerate(grads) if g is not None]
        results = [g for g in grads if g is not None]
        given_seeds = [s for s in seeds if s is not None]
        found = b.func(name + "_vjp", [*params, *given_seeds], results), wanted
        if len(_vjp_memo) >= _LIMIT:
            _vjp_memo.clear()
        _vjp_memo[key] = found
    return found


_draws_memo: dict = {}


def _draws(op: Op) -> bool:
    """Whether an operation draws random numbers."""
    if op.name == "philox":
        return True
    if op.regions:
        return any(_draws(inner) for r in op.regions for inner in r.ops)
    d: OpDef = lookup(op.name)
    if d.is_primitive:
        return False
    if op.name == "mapped":
        return lookup(op.attrs["op"]) is not None and _mapped_draws(op)
    found = _draws_memo.get(op.name)
    if found is None:
        func = expansion(d, tuple(v.type for v in op.operands), op.attrs)
        found = _draws_memo[op.name] = any(map(_draws, func.ops))
    return found


def _mapped_draws(op: Op) -> bool:
    types = tuple(v.type for v in op.operands)
    return any(map(_draws, expansion(lookup("mapped"), types, op.attrs).ops))


def _differentiable(t: Type) -> bool:
    return isinstance(t, TensorType) and t.dtype.kind in "fc"
