"""Control flow: primitives whose regions are functions.

Their NumPy references get the regions as callables `(*arrays) -> list of arrays`.
"""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..core import Func, Value
from ..dims import same
from ..optable import prim
from ..types import ScalarType, TensorType, Type
from . import samples as s


def _fits(given: Type, wanted: Type) -> bool:
    if isinstance(given, ScalarType) or isinstance(wanted, ScalarType):
        return given == wanted
    return (
        given.dtype is wanted.dtype
        and given.rank == wanted.rank
        and all(map(same, given.shape, wanted.shape))
    )


def _check_types(what: str, given, wanted) -> None:
    given, wanted = list(given), list(wanted)
    if len(given) != len(wanted) or not all(map(_fits, given, wanted)):
        raise TypeError(f"{what}: the types {given} do not fit {wanted}")


def _types(values) -> list[Type]:
    return [v.type for v in values]


def _check_condition(op: str, t: Type) -> None:
    if t.dtype is not dtypes.b1 or (isinstance(t, TensorType) and t.shape):
        raise TypeError(f"{op}: the condition must be one b1, got {t}")


# -- if -------------------------------------------------------------------------------------------
def _if(cond, *captured, regions):
    return tuple(regions[0 if cond else 1](*captured))


def _differentiable(t: Type) -> bool:
    return isinstance(t, TensorType) and t.dtype.kind in "fc"


def _if_vjp(b, op, *grads):
    from ..autodiff import grad_func, transpose

    cond, *captured = op.operands
    wrt = [i for i, v in enumerate(captured) if _differentiable(v.type)]
    if not wrt:
        return [None] * len(op.operands)
    branches = tuple(grad_func(r, wrt, differentiate=transpose) for r in op.regions)
    seeds = [
        g if g is not None else b.zeros_like(r) if isinstance(r.type, TensorType) else r
        for g, r in zip(grads, op.results, strict=True)
    ]
    found = dict(zip(wrt, b.emit("if", (cond, *captured, *seeds), {}, branches), strict=True))
    return [None, *(found.get(i) for i in range(len(captured)))]


def _region(types, body) -> Func:
    from ..builder import Builder

    b = Builder()
    params = [Value(t) for t in types]
    out = body(b, *params)
    return b.func("region", params, out if isinstance(out, tuple) else (out,))


def _if_samples():
    x, y = s.uniform((3,)), s.uniform((3,), seed=1)
    t = TensorType(dtypes.f64, (3,))
    then = _region([t, t], lambda b, x, y: b.mul(x, y))
    other = _region([t, t], lambda b, x, y: b.sin(x))
    for cond in (True, False):
        yield (np.array(cond), x, y), {}, (then, other)
    wrong = _region([t, t], lambda b, x, y: b.reduce(x, "sum", (0,)))
    yield (TensorType(dtypes.b1), t, t), {}, TypeError, "do not fit", (then, wrong)
    yield (t, t, t), {}, TypeError, "condition", (then, other)


@prim("if", numpy=_if, vjp=_if_vjp, regions=2, kernel="control", samples=_if_samples)
def if_(cond, *captured):
    """What the first region returns on `captured` if cond is true, else what the second returns."""
    *operands, regions = captured
    _check_condition("if", cond)
    then, other = regions
    for name, region in (("then", then), ("else", other)):
        _check_types(f"if: {name} region's parameters", operands, _types(region.params))
    _check_types("if: else region's results", _types(other.results), _types(then.results))
    return tuple(_types(then.results))


# -- while ----------------------------------------------------------------------------------------
def _while(*operands, carried, regions):
    state, captured = operands[:carried], operands[carried:]
    condition, body = regions
    while condition(*state, *captured)[0]:
        state = tuple(body(*state, *captured))
    return tuple(state)


def _while_vjp(b, op, *grads):
    raise NotImplementedError("the derivative of 'while' is not implemented")


def _while_samples():
    i, t = TensorType(dtypes.i64), TensorType(dtypes.f64, (3,))
    below = _region([i, t, t], lambda b, i, x, w: b.lt(i, 4))
    step = _region([i, t, t], lambda b, i, x, w: (b.add(i, 1), b.mul(x, w)))
    yield (np.array(0), s.uniform((3,)), s.uniform((3,), seed=1)), {"carried": 2}, (below, step)
    yield (np.array(9), s.uniform((3,)), s.uniform((3,), seed=1)), {"carried": 2}, (below, step)
    yield (i, t, t), {"carried": 3}, TypeError, "do not fit", (below, step)
    yield (i, t, t), {"carried": 2}, TypeError, "condition", (step, step)


@prim("while", numpy=_while, vjp=_while_vjp, regions=2, kernel="control", samples=_while_samples)
def while_(*operands, carried):
    """The first `carried` operands, replaced by what the second region (body) returns as long as
    the first (condition) is true; both regions get the carried values and the other operands."""
    *types, regions = operands
    condition, body = regions
    for name, region in (("condition", condition), ("body", body)):
        _check_types(f"while: {name} region's parameters", types, _types(region.params))
    if len(condition.results) != 1:
        raise TypeError("while: the condition region must return one b1")
    _check_condition("while", condition.results[0].type)
    _check_types("while: the body's results", _types(body.results), types[:carried])
    return tuple(types[:carried])
