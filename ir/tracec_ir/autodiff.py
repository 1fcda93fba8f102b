"""Reverse-mode differentiation as an IR-to-IR transform.

For y = f(x) and a cotangent g of y, reverse mode computes g * df/dx by walking the operations
backwards and adding up, per value, what each use contributes. Every contribution is emitted with
the same builder, so the gradient is ordinary IR: it is simplified, fused and can be differentiated
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .builder import Builder
from .core import Func, Op, Value
from .expand import expansion
from .optable import lookup
from .types import TensorType


def grad(
    b: Builder,
    outputs: Sequence[Value],
    seeds: Sequence[Value],
    targets: Sequence[Value],
    stop: Iterable[Value] = (),
) -> list[Value | None]:
    """The cotangents of `targets` given those (`seeds`) of `outputs`, emitted into `b`.

    A target that the outputs do not depend on gets None. Gradients do not flow past the targets
    that are also in `stop` (they are treated as inputs). Raises NotImplementedError, naming the
    op, where a derivative is missing.

    Gradients of complex values are PyTorch's: for a real loss L and x = u + i*v, dL/du + i*dL/dv.
    """
    found = transpose(b, outputs, [conjugate(b, s) for s in seeds], targets, stop)
    return [None if g is None else conjugate(b, g) for g in found]


def conjugate(b: Builder, g: Value) -> Value:
    """g, conjugated if it is complex: between gradients and what `transpose` carries."""
    return b.emit("conj", (g,))[0] if g.dtype.kind == "c" else g


def transpose(
    b: Builder,
    outputs: Sequence[Value],
    seeds: Sequence[Value],
    targets: Sequence[Value],
    stop: Iterable[Value] = (),
) -> list[Value | None]:
    """`grad` for cotangents of the complex-linear transpose, which the rules of the ops are written
    for: that of x in y = f(x) with a holomorphic f is g * f'(x)."""
    stopped = set(stop)
    relevant = _dependents(outputs, targets, stopped)
    cotangents: dict[Value, Value] = {}
    for out, seed in zip(outputs, seeds, strict=True):
        if out in relevant:
            _accumulate(b, cotangents, out, seed)
    loc = b.loc
    for op in _backward_order(outputs, relevant, stopped):
        grads = [cotangents.get(r) for r in op.results]
        if all(g is None for g in grads):
            continue
        for operand, g in zip(op.operands, vjp(b, op, grads, relevant), strict=True):
            if g is not None and operand in relevant:
                _accumulate(b, cotangents, operand, g)
    b.loc = loc
    return [cotangents.get(t) for t in targets]


def vjp(b: Builder, op: Op, grads: list[Value | None], relevant: set[Value]) -> list[Value | None]:
    """Per operand, the contribution of one op: its own rule, or that of its expansion."""
    d = lookup(op.name)
    if op.loc:
        b.loc = op.loc
    if d.vjp is not None:
        out = d.vjp(b, op, *grads)
        return list(out) if isinstance(out, (tuple, list)) else [out]
    if d.nondiff:
        return [None] * len(op.operands)
    if d.is_primitive:
        raise NotImplementedError(f"the derivative of '{op.name}' is not implemented ({op.loc})")
    inner = expansion(d, tuple(v.type for v in op.operands), op.attrs)
    results = b.inline(inner, op.operands)
    pairs = [(r, g) for r, g in zip(results, grads, strict=True) if g is not None]
    wanted = [v for v in dict.fromkeys(op.operands) if v in relevant]
    found = transpose(b, [r for r, _ in pairs], [g for _, g in pairs], wanted, stop=op.operands)
    by_value = dict(zip(wanted, found, strict=True))
    # an operand used twice receives its whole cotangent once
    return [by_value.pop(v, None) for v in op.operands]


def _accumulate(b: Builder, cotangents: dict[Value, Value], value: Value, g: Value) -> None:
    have = cotangents.get(value)
    cotangents[value] = g if have is None else b.emit("add", (have, g))[0]


def _reachable(outputs: Sequence[Value], stopped: set[Value]) -> list[Op]:
    seen: set[Op] = set()
    work = [v.op for v in outputs if v.op is not None and v not in stopped]
    while work:
        op = work.pop()
        if op in seen:
            continue
        seen.add(op)
        work += [v.op for v in op.operands if v.op is not None and v not in stopped]
    return sorted(seen, key=lambda op: op.order)


def _dependents(
    outputs: Sequence[Value], targets: Sequence[Value], stopped: set[Value]
) -> set[Value]:
    """Values on a differentiable path from a target (the targets included)."""
    out = set(targets)
    for op in _reachable(outputs, stopped):
        d = lookup(op.name)
        if d.nondiff or not any(v in out for v in op.operands):
            continue
        out.update(
            r for r in op.results
            if isinstance(r.type, TensorType) and r.dtype.kind in "fc" and r not in stopped
        )  # fmt: skip
    return out


def _backward_order(
    outputs: Sequence[Value], relevant: set[Value], stopped: set[Value]
) -> list[Op]:
    live = [op for op in _reachable(outputs, stopped) if any(v in relevant for v in op.operands)]
    return live[::-1]


def grad_func(
    func: Func, wrt: Sequence[int], name: str = "", differentiate: Callable = grad
) -> Func:
    """The function (params..., one seed per result) -> (gradients of params `wrt`), by `grad` or
    `transpose`."""
    b = Builder()
    env = b.inline(func, func.params)
    seeds = [Value(r.type, name=f"g{i}") for i, r in enumerate(func.results)]
    targets = [func.params[i] for i in wrt]
    grads = differentiate(b, env, seeds, targets, stop=targets)
    full = [b.zeros_like(t) if g is None else g for t, g in zip(targets, grads, strict=True)]
    return b.func(name or func.name + "_grad", (*func.params, *seeds), full)
