"""Backward functions of executed traces: what to save at a flush, and how to go back later."""

from __future__ import annotations

from collections.abc import Callable

from tracec_ir import autodiff
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value
from tracec_ir.optable import lookup
from tracec_ir.types import TensorType

_CHEAP = {
    "const",
    "iota",
    "broadcast",
    "detach",
    "element_count",
}  # recomputed rather than saved, if made of constants


class Backward:
    """The gradient of some results of a segment with respect to its sources.

    `func` takes the saved values listed in `needs` (numbers of `SegmentProgram.saved`), then one
    cotangent per chosen result; it returns the gradients of `targets`: numbers of sources, and
    `~k` for result k of the segment, which is asked for on the way.
    """

    __slots__ = ("func", "needs", "targets", "types")

    def __init__(self, func: Func, needs: list[int], targets: list[int]):
        self.func, self.needs, self.targets = func, needs, targets
        self.types = [v.type for v in func.results]

    def emit(self, b: Builder, args: list[Value]) -> tuple[Value, ...]:
        return b.inline(self.func, args)


class Values:
    """Values of an executed trace as a function of its inputs number `needs`."""

    __slots__ = ("func", "needs", "types")

    def __init__(self, program: SegmentProgram, wanted: list[Value]):
        read = _reads(program.ops, wanted)
        self.needs = [n for n, p in enumerate(program.params) if p in read]
        params = [program.params[n] for n in self.needs]
        b = Builder()
        b.ops = list(program.ops)
        self.func = b.func("values", params, wanted)
        self.types = [v.type for v in wanted]

    def emit(self, b: Builder, args: list[Value]) -> tuple[Value, ...]:
        return b.inline(self.func, args)


class Replay:
    """The same gradient computed from the segment's inputs again, so that it can itself be
    differentiated with respect to them (`create_graph=True`).

    `func` takes the inputs listed in `needs`, then the values of the sources listed in `given`
    (those inside the trace, which `values` computes), then one cotangent per chosen result.
    """

    __slots__ = ("func", "needs", "given", "values", "targets", "types")

    def __init__(self, program: SegmentProgram, outs: tuple[int, ...], targets: list[int]):
        self.targets = targets
        inputs = set(program.params)
        self.given = [t for t in targets if t >= 0 and program.target_values[t] not in inputs]
        inner = [program.target_values[t] for t in self.given]
        self.values = Values(program, inner)
        b = Builder()
        env = {v: Value(v.type, name=v.name) for v in [*program.params, *inner]}
        for op in program.ops:
            out = b.emit(op.name, [env[v] for v in op.operands], op.attrs, op.regions)
            env.update((r, o) for r, o in zip(op.results, out, strict=True) if r not in env)
        roots = [env[program.outs[i]] for i in outs]
        seeds = [Value(r.type, name=f"g{i}") for i, r in enumerate(roots)]
        wanted = [env[program.value_of(t)] for t in targets]
        stops = [env[program.target_values[t]] for t in targets if t >= 0]
        found = autodiff.grad(b, roots, seeds, wanted, stops)
        grads = [b.zeros_like(v) if g is None else g for v, g in zip(wanted, found, strict=True)]
        self.types = [g.type for g in grads]
        read = _reads(b.ops, grads)
        self.needs = [n for n, p in enumerate(program.params) if env[p] in read]
        params = [env[program.params[n]] for n in self.needs]
        self.func = b.func("replay", [*params, *(env[v] for v in inner), *seeds], grads)

    def emit(self, b: Builder, args: list[Value]) -> tuple[Value, ...]:
        return b.inline(self.func, args)


def _reads(ops: list, wanted: list[Value]) -> set[Value]:
    """The values that the computation of the wanted ones reads, these included."""
    read = set(wanted)
    for op in reversed(ops):
        if not read.isdisjoint(op.results):
            read.update(op.operands)
    return read


class SegmentProgram:
    """What all runs of one plan share for going backward.

    `outs` are the differentiable results, `target_values` the gradient sources, both values of the
    lifted trace; `saved` are the values that backward functions need: parameters and intermediates.
    """

    def __init__(self, b: Builder, params: list[Value], outs: list[Value], targets: list[Value]):
        self.params, self.ops = list(params), list(b.ops)
        self.outs, self.target_values = outs, targets
        self._backward: dict = {}
        self._replay: dict = {}
        self._shares: dict = {}
        self.paths: list[frozenset] = []  # by result: the instructions on the ways back from it
        self.saving: Callable = bool  # whether the derivative of one of them reads values
        self.saved: list[Value] = []
        self.names: list[str] = []  # of the operations that made the results
        every = tuple(range(len(outs)))
        try:
            self._make(every, every, first=True)  # finds out what may ever be needed
        except NotImplementedError:  # of one result; it is raised again once that is asked for
            every = tuple(i for i in every if self._derivable(i))
            self._make(every, every, first=True)

    def _derivable(self, out: int) -> bool:
        try:
            self._make((out,), (), first=True)
        except NotImplementedError:
            return False
        return True

    @property
    def saves(self) -> bool:
        """Whether going backward needs values of the forward pass."""
        return bool(self.saved)

    def shares(self, outs: frozenset[int], others: frozenset[int]) -> bool:
        """Whether the ways back from two sets of results meet where values are saved."""
        found = self._shares.get((outs, others))
        if found is None:
            here = frozenset().union(*(self.paths[k] for k in outs))
            there = frozenset().union(*(self.paths[k] for k in others))
            found = self._shares[outs, others] = any(map(self.saving, here & there))
        return found

    def all_used(self, outs: frozenset[int]) -> bool:
        """Whether no result can be differentiated after these have been."""
        left = frozenset(range(len(self.outs))) - outs
        return all(self.shares(frozenset((k,)), outs) for k in left)

    def uses(self, out: int) -> bool:
        """Whether other results depend on result `out`."""
        value = self.outs[out]
        return any(value in op.operands for op in self.ops)

    def value_of(self, target: int) -> Value:
        """The value that a number in `Backward.targets` means."""
        return self.target_values[target] if target >= 0 else self.outs[~target]

    def backward(self, outs: tuple[int, ...], through: tuple[int, ...] = ()) -> Backward:
        """The backward function for cotangents of these results, which also tells the gradients
        that pass the results `through`."""
        found = self._backward.get((outs, through))
        if found is None:
            found = self._backward[outs, through] = self._make(outs, through)
        return found

    def replay(self, outs: tuple[int, ...], through: tuple[int, ...] = ()) -> Replay:
        """`backward` as a function of the inputs, to be differentiated again."""
        found = self._replay.get((outs, through))
        if found is None:
            targets = self.backward(outs, through).targets
            found = self._replay[outs, through] = Replay(self, outs, targets)
        return found

    def _make(
        self, outs: tuple[int, ...], through: tuple[int, ...], first: bool = False
    ) -> Backward:
        b = Builder()
        b.ops = list(self.ops)
        forward = {r for op in self.ops for r in op.results} | set(self.params)
        roots = [self.outs[i] for i in outs]
        seeds = [Value(r.type, name=f"g{i}") for i, r in enumerate(roots)]
        wanted = [*range(len(self.target_values)), *(~k for k in through)]
        values = [self.value_of(t) for t in wanted]
        grads = autodiff.grad(b, roots, seeds, values, self.target_values)
        targets = [t for t, g in zip(wanted, grads, strict=True) if g is not None]
        results = [g for g in grads if g is not None]
        back = Builder()
        env: dict[Value, Value] = {s: s for s in seeds}
        saved_params: dict[Value, Value] = {}

        def get(v: Value) -> Value:
            have = env.get(v)
            if have is None:
                if v in forward and not _is_constant(v):
                    have = saved_params.setdefault(
                        v, Value(v.type, name=f"saved{len(saved_params)}")
                    )
                    env[v] = have
                else:  # a constant of the forward pass: made again
                    out = back.emit(
                        v.op.name, [get(x) for x in v.op.operands], v.op.attrs, v.op.regions
                    )
                    env.update(zip(v.op.results, out, strict=True))
                    have = env[v]
            return have

        needed: set[Value] = set(results)
        kept = []
        for op in reversed(b.ops[len(self.ops) :]):
            if not needed.isdisjoint(op.results):
                needed.update(op.operands)
                kept.append(op)
        for op in reversed(kept):
            back.loc = op.loc
            out = back.emit(op.name, [get(v) for v in op.operands], op.attrs, op.regions)
            env.update(zip(op.results, out, strict=True))
        out_values = [get(r) for r in results]
        if first:
            self.saved = list(saved_params)
        needs = [self.saved.index(v) for v in saved_params]
        func = back.func("backward", [*saved_params.values(), *seeds], out_values)
        return Backward(func, needs, targets)


def _is_constant(v: Value) -> bool:
    """Whether v is made of constants by cheap operations only."""
    if v.op is None:
        return False
    return v.op.name in _CHEAP and all(map(_is_constant, v.op.operands))


_saves_memo: dict = {}


def saves(
    name: str, types: tuple, attrs: tuple, wanted: tuple[bool, ...]
) -> tuple[frozenset[int], frozenset[int]]:
    """(operand numbers, result numbers) whose values the derivative of an op with respect to the
    `wanted` operands reads."""
    key = (name, types, attrs, wanted)
    found = _saves_memo.get(key)
    if found is None:
        if len(_saves_memo) >= 20_000:
            _saves_memo.clear()
        found = _saves_memo[key] = _find_saves(name, types, dict(attrs), wanted)
    return found


def _find_saves(
    name: str, types: tuple, attrs: dict, wanted: tuple[bool, ...]
) -> tuple[frozenset[int], frozenset[int]]:
    try:
        b, params, results, n, grads = derived(name, types, attrs, wanted)
    except NotImplementedError:
        return frozenset(range(len(types))), frozenset()
    needed: set[Value] = {g for g in grads if g is not None}
    for op in reversed(b.ops[n:]):
        if not needed.isdisjoint(op.results):
            needed.update(op.operands)
    inner = {r for op in b.ops[:n] for r in op.results if not lookup(op.name).nondiff}
    read = {v for v in needed if v in inner or v in set(params)}
    # a converted or repeated operand counts as the operand
    operands = {i for i, p in enumerate(params) if p in read or any(_derived(v, p) for v in read)}
    return frozenset(operands), frozenset(i for i, r in enumerate(results) if r in read)


def derived(name: str, types: tuple, attrs: dict, wanted: tuple[bool, ...]) -> tuple:
    """A builder with an op and its derivative for the `wanted` operands, the operands, the results,
    the number of operations of the op, and the gradients. NotImplementedError if there is none."""
    b = Builder()
    params = [Value(t) for t in types]
    results = b.apply(name, params, attrs)
    n = len(b.ops)
    outs = [r for r in results if isinstance(r.type, TensorType) and r.dtype.kind in "fc"]
    tensors = [
        p
        for p, w in zip(params, wanted)
        if w and isinstance(p.type, TensorType) and p.dtype.kind in "fc"
    ]
    seeds = [Value(r.type) for r in outs]
    return b, params, results, n, autodiff.grad(b, outs, seeds, tensors, tensors)


def _derived(v: Value, p: Value) -> bool:
    while v.op is not None and v.op.name in ("cast", "broadcast", "reshape", "permute"):
        v = v.op.operands[0]
        if v is p:
            return True
    return False
