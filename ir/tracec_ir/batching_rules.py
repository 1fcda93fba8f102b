"""How each family of primitives is batched: rules `(batching, op, operands, flags) -> results`.

`op` is the operation on one example (its operands tell the types there), `operands` are the values
in the batched function, `flags` which of them have the batch axis. At least one has, except for
random numbers. All results have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import dtypes
from .batching import Batching, batched
from .core import Op, Value
from .dims import product
from .optable import OpDef
from .types import ScalarType

Result = Value | tuple[Value, ...]
Rule = Callable[[Batching, Op, list[Value], list[bool]], Result]
_RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Declares the rule of primitives, or of a family of kernels."""

    def register(fn: Rule) -> Rule:
        _RULES.update(dict.fromkeys(names, fn))
        return fn

    return register


def rule_of(d: OpDef) -> Rule:
    """The rule of a primitive. NotImplementedError, naming it, if there is none."""
    found = _RULES.get(d.name)
    if found is None:
        found = _RULES.get("pointwise" if d.pointwise is not None else d.kernel)
    if found is None:
        raise NotImplementedError(f"vmap: batching over '{d.name}' is not implemented")
    return found


# -- pointwise ------------------------------------------------------------------------------------
@rule("pointwise")
def _pointwise(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    (out,) = op.results
    shape = (t.size, *out.shape)
    operands = []
    for x, f, one in zip(xs, on, op.operands, strict=True):
        if isinstance(x.type, ScalarType):
            operands.append(x)
            continue
        if f and one.rank < out.rank:
            x = t.b.reshape(x, (t.size, *(1,) * (out.rank - one.rank), *one.shape))
        operands.append(t.b.broadcast_to(x, shape))
    return t.b.emit(op.name, operands, op.attrs)


# -- movement -------------------------------------------------------------------------------------
@rule("broadcast")
def _broadcast(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    (one,), shape = op.operands, op.attrs["shape"]
    thin = (t.size, *(1,) * (len(shape) - one.rank), *one.shape)
    return t.b.broadcast_to(t.b.reshape(xs[0], thin), (t.size, *shape))


@rule("reshape")
def _reshape(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    return t.b.reshape(xs[0], (t.size, *op.attrs["shape"]))


@rule("permute")
def _permute(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    return t.b.permute(xs[0], (0, *(p + 1 for p in op.attrs["perm"])))


@rule("slice")
def _slice(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    a = op.attrs
    attrs = {
        "starts": (0, *a["starts"]),
        "stops": (t.size, *a["stops"]),
        "steps": (1, *a["steps"]),
    }
    return t.b.emit("slice", xs, attrs)


@rule("pad")
def _pad(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    b, (x, value) = t.b, xs
    attrs = {k: (0, *op.attrs[k]) for k in ("low", "high", "interior")}
    if not on[1]:
        return b.emit("pad", (x, value), attrs)
    zero = b.const(0, x.dtype)
    inner = b.emit1("pad", t.whole(x, on[0]), zero, **attrs)
    ones = b.full(True, dtypes.b1, op.operands[0].shape)
    inside = b.emit1("pad", ones, b.const(False, dtypes.b1), **op.attrs)
    around = b.reshape(value, (t.size, *(1,) * (inner.rank - 1)))
    around = b.broadcast_to(around, inner.shape)
    return b.emit("select", (b.broadcast_to(inside, inner.shape), inner, around))


@rule("concat")
def _concat(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    return t.b.emit("concat", t.every(xs, on), {"axis": op.attrs["axis"] + 1})


@rule("strided", "write")
def _strided(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    """Each example's memory is one row of the batch's."""
    a, memory = op.attrs, product(op.operands[0].shape)
    attrs = {
        "shape": (t.size, *a["shape"]),
        "strides": (memory, *a["strides"]),
        "offset": a["offset"],
    }
    return t.b.emit(op.name, t.every(xs, on), attrs)


# -- contractions ---------------------------------------------------------------------------------
@rule("dot")
def _dot(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    """A matrix that all examples share is multiplied with all of them at once."""
    b, (x, y), n = t.b, xs, t.size
    if all(on) or op.results[0].rank > 2:
        return b.emit("dot", t.every(xs, on))
    rows, inner = op.operands[0].shape
    columns = op.operands[1].shape[1]
    if on[0]:
        flat = b.reshape(x, (n * rows, inner))
        return b.reshape(b.emit1("dot", flat, y), (n, rows, columns))
    flat = b.reshape(b.permute(y, (1, 0, 2)), (inner, n * columns))
    return b.permute(b.reshape(b.emit1("dot", x, flat), (rows, n, columns)), (1, 0, 2))


def _into(t: Batching, x: Value, axis: int) -> Value:
    """x with the batch axis joined to axis `axis` of the example: one axis, examples outermost."""
    order = list(range(1, x.rank))
    order.insert(axis, 0)
    y = t.b.permute(x, order)
    shape = list(y.shape)
    return t.b.reshape(y, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


def _out_of(t: Batching, y: Value, axis: int) -> Value:
    """The inverse of `_into`."""
    shape = list(y.shape)
    from .dims import floordiv

    parts = (t.size, floordiv(shape[axis], t.size))
    y = t.b.reshape(y, (*shape[:axis], *parts, *shape[axis + 1 :]))
    return t.b.permute(y, (axis, *(i for i in range(y.rank) if i != axis)))


def _grouped(t: Batching, shape: Sequence, axis: int) -> tuple:
    """`shape` with axis `axis` as many times longer as there are examples."""
    return tuple(n * t.size if i == axis else n for i, n in enumerate(shape))


@rule("conv")
def _conv(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    """Examples are more inputs of one convolution, or groups of it where the weights differ."""
    if not on[1]:
        return _out_of(t, t.b.emit1("conv", _into(t, xs[0], 0), xs[1], **op.attrs), 0)
    if not on[0] and op.attrs["groups"] == 1:
        return _out_of(t, t.b.emit1("conv", xs[0], _into(t, xs[1], 0), **op.attrs), 1)
    x, w = t.every(xs, on)
    attrs = op.attrs | {"groups": op.attrs["groups"] * t.size}
    return _out_of(t, t.b.emit1("conv", _into(t, x, 1), _into(t, w, 0), **attrs), 1)


@rule("conv_input")
def _conv_input(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    shape = op.attrs["input_shape"]
    if not on[1]:
        attrs = op.attrs | {"input_shape": _grouped(t, shape, 0)}
        return _out_of(t, t.b.emit1("conv_input", _into(t, xs[0], 0), xs[1], **attrs), 0)
    g, w = t.every(xs, on)
    attrs = op.attrs | {
        "groups": op.attrs["groups"] * t.size,
        "input_shape": _grouped(t, shape, 1),
    }
    return _out_of(t, t.b.emit1("conv_input", _into(t, g, 1), _into(t, w, 0), **attrs), 1)


@rule("conv_weight")
def _conv_weight(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    shape = op.attrs["weight_shape"]
    if op.attrs["groups"] == 1 and not all(on):
        x, g = xs
        axis = 1 if on[0] else 0  # of the weight: its inputs or its outputs
        attrs = op.attrs | {"weight_shape": _grouped(t, shape, axis)}
        x, g = (_into(t, x, 1), g) if on[0] else (x, _into(t, g, 1))
        return _out_of(t, t.b.emit1("conv_weight", x, g, **attrs), axis)
    x, g = t.every(xs, on)
    attrs = op.attrs | {
        "groups": op.attrs["groups"] * t.size,
        "weight_shape": _grouped(t, shape, 0),
    }
    return _out_of(t, t.b.emit1("conv_weight", _into(t, x, 1), _into(t, g, 1), **attrs), 0)


# -- indexed --------------------------------------------------------------------------------------
def _numbers(t: Batching, shape: Sequence) -> Value:
    """The number of the example at every position of [examples, *shape]."""
    count = t.b.emit1("iota", size=t.size, dtype=dtypes.i64)
    count = t.b.reshape(count, (t.size, *(1,) * len(shape)))
    return t.b.broadcast_to(count, (t.size, *shape))


@rule("gather")
def _gather(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    (x, *indices), axes = xs, op.attrs["axes"]
    if not any(on[1:]):
        y = t.b.emit1("gather", x, *indices, axes=tuple(a + 1 for a in axes))
        n = op.operands[1].rank  # the examples come behind the axes of the indices
        return t.b.permute(y, (n, *(i for i in range(y.rank) if i != n)))
    indices = t.every(indices, on[1:])
    if not on[0]:
        return t.b.emit("gather", (x, *indices), op.attrs)
    places = (_numbers(t, op.operands[1].shape), *indices)
    return t.b.emit("gather", (x, *places), {"axes": (0, *(a + 1 for a in axes))})


@rule("scatter")
def _scatter(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    base, values = t.every(xs[:2], on[:2])
    indices, n = xs[2:], op.operands[2].rank
    kind, axes = op.attrs["kind"], tuple(a + 1 for a in op.attrs["axes"])
    if not any(on[2:]):
        order = (*range(1, n + 1), 0, *range(n + 1, values.rank))
        operands = (base, t.b.permute(values, order), *indices)
        return t.b.emit("scatter", operands, {"axes": axes, "kind": kind})
    places = (_numbers(t, op.operands[2].shape), *t.every(indices, on[2:]))
    return t.b.emit("scatter", (base, values, *places), {"axes": (0, *axes), "kind": kind})


# -- along axes -----------------------------------------------------------------------------------
@rule("reduce")
def _reduce(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    attrs = op.attrs | {"axes": tuple(a + 1 for a in op.attrs["axes"])}
    return t.b.emit("reduce", xs, attrs)


@rule("argreduce", "scan", "sort")
def _along(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    return t.b.emit(op.name, xs, op.attrs | {"axis": op.attrs["axis"] + 1})


# -- random numbers, host functions, control flow -------------------------------------------------
@rule("random")
def _random(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    """Example i reads the stream where i others have read before it."""
    if any(on):
        raise NotImplementedError("vmap: random numbers whose seed differs between examples")
    return t.b.emit(op.name, xs, op.attrs | {"shape": (t.size, *op.attrs["shape"])})


@rule("host")
def _host(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    from .prims.host import find

    fn, options = op.attrs["fn"], op.attrs["options"]
    shifted = find(fn).batch
    if shifted is not None:
        attrs = {"fn": fn, "options": shifted(*options)}
        return t.b.emit("host", t.every(xs, on), attrs)
    return t.b.emit("host", xs, {"fn": "each", "options": (fn, options, tuple(on), t.size)})


@rule("if")
def _if(t: Batching, op: Op, xs: list[Value], on: list[bool]) -> Result:
    if not on[0]:
        regions = tuple(batched(r, on[1:], t.size, t.different, force=True)[0] for r in op.regions)
        return t.b.emit("if", xs, op.attrs, regions)
    sides = []
    for region in op.regions:
        values, flags = t.inline(region, xs[1:], on[1:])
        sides.append(t.every(values, flags))
    out = []
    for then, other in zip(*sides, strict=True):
        cond = t.b.reshape(xs[0], (t.size, *(1,) * (then.rank - 1)))
        out.append(t.b.emit1("select", t.b.broadcast_to(cond, then.shape), then, other))
    return tuple(out)


def covered() -> set[str]:
    """The primitives that have a rule."""
    from .optable import all_ops

    found = set()
    for d in all_ops().values():
        family = "pointwise" if d.pointwise is not None else d.kernel
        if d.is_primitive and (d.name in _RULES or family in _RULES):
            found.add(d.name)
    return found
