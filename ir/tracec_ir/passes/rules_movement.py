"""Rules for shapes: chains of reshapes, permutations, slices, broadcasts and paddings."""

from __future__ import annotations

from ..builder import Builder
from ..types import TensorType
from .rule import Found, Operands, made_by, rule, splat


# -- identities -----------------------------------------------------------------------------------
@rule(
    ("reshape", "broadcast"),
    "%1 = reshape(%x) [shape=(2, 3)] : f32[2 x 3]\n%2 = neg(%1) : f32[2 x 3]\nreturn %2",
)
def same_shape(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A reshape or broadcast to the shape that is there already."""
    (x,) = operands
    return x if tuple(x.shape) == tuple(attrs["shape"]) else None


@rule(
    "permute", "%1 = permute(%x) [perm=(0, 1)] : f32[2 x 3]\n%2 = neg(%1) : f32[2 x 3]\nreturn %2"
)
def identity_permute(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A permutation that moves nothing."""
    (x,) = operands
    return x if tuple(attrs["perm"]) == tuple(range(x.rank)) else None


@rule(
    "slice",
    "%1 = slice(%x) [starts=(0, 0), stops=(2, 3), steps=(1, 1)] : f32[2 x 3]\n"
    "%2 = neg(%1) : f32[2 x 3]\n"
    "return %2",
)
def whole_slice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A slice that takes everything."""
    (x,) = operands
    whole = all(
        a == 0 and z == n and step == 1
        for a, z, step, n in zip(
            attrs["starts"], attrs["stops"], attrs["steps"], x.shape, strict=True
        )
    )
    return x if whole else None


@rule(
    "pad",
    "%1 = const() [value=0.0, type=f32[]] : f32[]\n"
    "%2 = pad(%x, %1) [low=(0, 0), high=(0, 0), interior=(0, 0)] : f32[2 x 3]\n"
    "%3 = neg(%2) : f32[2 x 3]\n"
    "return %3",
)
def empty_pad(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A padding that adds nothing."""
    amounts = (*attrs["low"], *attrs["high"], *attrs["interior"])
    return operands[0] if all(a == 0 for a in amounts) else None


@rule("concat", "%1 = concat(%x) [axis=0] : f32[2 x 3]\n%2 = neg(%1) : f32[2 x 3]\nreturn %2")
def concat_parts(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Concatenation leaves out empty parts; of one part it is that part."""
    axis = attrs["axis"]
    parts = [x for x in operands if x.shape[axis] != 0] or [operands[0]]
    if len(parts) == 1:
        return parts[0]
    return b.emit("concat", parts, attrs)[0] if len(parts) < len(operands) else None


# -- chains ---------------------------------------------------------------------------------------
@rule(
    "reshape",
    "%1 = reshape(%x) [shape=(6)] : f32[6]\n"
    "%2 = reshape(%1) [shape=(3, 2)] : f32[3 x 2]\n"
    "return %2",
)
def reshape_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Of two reshapes the second counts."""
    (x,) = operands
    return b.reshape(x.op.operands[0], attrs["shape"]) if made_by(x, "reshape") else None


@rule(
    "permute",
    "%1 = permute(%x) [perm=(1, 0)] : f32[3 x 2]\n"
    "%2 = permute(%1) [perm=(1, 0)] : f32[2 x 3]\n"
    "%3 = neg(%2) : f32[2 x 3]\n"
    "return %3",
)
def permute_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Two permutations are one."""
    (x,) = operands
    if not made_by(x, "permute"):
        return None
    first = x.op.attrs["perm"]
    return b.permute(x.op.operands[0], tuple(first[p] for p in attrs["perm"]))


@rule(
    "permute",
    "%1 = reshape(%x) [shape=(2, 1, 3)] : f32[2 x 1 x 3]\n"
    "%2 = permute(%1) [perm=(1, 0, 2)] : f32[1 x 2 x 3]\n"
    "return %2",
)
def permute_of_ones(b: Builder, operands: Operands, attrs: dict) -> Found:
    """Moving axes of size 1 about is a reshape."""
    (x,) = operands
    moved = [p for p in attrs["perm"] if x.shape[p] != 1]
    if moved != sorted(moved) or tuple(attrs["perm"]) == tuple(range(x.rank)):
        return None
    return b.reshape(x, tuple(x.shape[p] for p in attrs["perm"]))


@rule(
    "slice",
    "%1 = slice(%x) [starts=(0, 2), stops=(2, -1), steps=(1, -1)] : f32[2 x 3]\n"
    "%2 = slice(%1) [starts=(0, 1), stops=(2, 3), steps=(1, 1)] : f32[2 x 2]\nreturn %2",
)
def slice_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A slice of a slice is a slice."""
    (x,) = operands
    if not made_by(x, "slice"):
        return None
    starts, stops, steps = [], [], []
    inner = x.op.attrs
    shape = b_shape(attrs)
    for k, n in enumerate(shape):
        if not isinstance(n, int) or n == 0:
            return None
        step = inner["steps"][k] * attrs["steps"][k]
        start = inner["starts"][k] + attrs["starts"][k] * inner["steps"][k]
        starts.append(start)
        steps.append(step)
        last = start + (n - 1) * step
        stops.append(last + (1 if step > 0 else -1))
    return b.emit1(
        "slice", x.op.operands[0], starts=tuple(starts), stops=tuple(stops), steps=tuple(steps)
    )


def b_shape(attrs: dict) -> list:
    """The sizes of a slice's result."""
    from ..prims.movement import slice_size

    return [
        slice_size(a, z, n)
        for a, z, n in zip(attrs["starts"], attrs["stops"], attrs["steps"], strict=True)
    ]


@rule(
    "broadcast",
    "%1 = broadcast(%r) [shape=(2, 3)] : f32[2 x 3]\n"
    "%2 = broadcast(%1) [shape=(4, 2, 3)] : f32[4 x 2 x 3]\n"
    "return %2",
)
def broadcast_twice(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A broadcast of a broadcast is one."""
    (x,) = operands
    return b.broadcast_to(x.op.operands[0], attrs["shape"]) if made_by(x, "broadcast") else None


@rule(
    "broadcast",
    "%1 = reshape(%r) [shape=(1, 3)] : f32[1 x 3]\n"
    "%2 = broadcast(%1) [shape=(2, 3)] : f32[2 x 3]\n"
    "return %2",
)
def broadcast_adds_leading_ones(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A broadcast adds leading axes by itself."""
    (x,) = operands
    if not made_by(x, "reshape"):
        return None
    source = x.op.operands[0]
    lead = x.rank - source.rank
    if lead > 0 and tuple(x.shape) == (1,) * lead + tuple(source.shape):
        return b.broadcast_to(source, attrs["shape"])
    return None


# -- repeated single values -----------------------------------------------------------------------
@rule(
    ("reshape", "permute", "slice"),
    "%1 = broadcast(%k) [shape=(2, 3)] : f32[2 x 3]\n"
    "%2 = reshape(%1) [shape=(6)] : f32[6]\n"
    "return %2",
)
def move_splat(b: Builder, operands: Operands, attrs: dict, name: str) -> Found:
    """Moving the elements of a repeated 0-d value only changes the shape."""
    from ..optable import lookup

    (x,) = operands
    value = splat(x)
    if value is None or not made_by(x, "broadcast"):
        return None
    (t,) = lookup(name).infer([x.type], attrs)
    assert isinstance(t, TensorType)
    return b.broadcast_to(value, tuple(t.shape)) if t.shape else value


@rule("const", "%1 = const() [value=2.0, type=f32[2 x 3]] : f32[2 x 3]\nreturn %1")
def const_is_splat(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A constant tensor is a repeated 0-d constant."""
    t = attrs["type"]
    return b.full(attrs["value"], t.dtype, t.shape) if getattr(t, "shape", ()) else None


@rule(
    "pad",
    "%1 = const() [value=0.0, type=f32[]] : f32[]\n%2 = broadcast(%1) [shape=(2, 3)] : f32[2 x 3]\n"
    "%3 = pad(%2, %1) [low=(1, 0), high=(0, 0), interior=(0, 0)] : f32[3 x 3]\nreturn %3",
)
def pad_with_itself(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A repeated value padded with that value."""
    from ..optable import lookup

    x, fill = operands
    if splat(x) is not fill:
        return None
    (t,) = lookup("pad").infer([x.type, fill.type], attrs)
    assert isinstance(t, TensorType)
    return b.broadcast_to(fill, tuple(t.shape))


@rule(
    "slice",
    "%1 = concat(%x, %y) [axis=0] : f32[4 x 3]\n"
    "%2 = slice(%1) [starts=(2, 0), stops=(4, 3), steps=(1, 1)] : f32[2 x 3]\n"
    "%3 = neg(%2) : f32[2 x 3]\n"
    "return %3",
)
def slice_of_concat(b: Builder, operands: Operands, attrs: dict) -> Found:
    """A slice inside one part of a concatenation is a slice of that part."""
    (x,) = operands
    if not made_by(x, "concat"):
        return None
    axis = x.op.attrs["axis"]
    a, z, step = attrs["starts"][axis], attrs["stops"][axis], attrs["steps"][axis]
    at = 0
    for part in x.op.operands:
        n = part.shape[axis]
        if not all(isinstance(d, int) for d in (a, z, at, n)) or step < 0:
            return None
        if at <= a and z <= at + n:
            starts = tuple(s - at if k == axis else s for k, s in enumerate(attrs["starts"]))
            stops = tuple(s - at if k == axis else s for k, s in enumerate(attrs["stops"]))
            return b.emit1("slice", part, starts=starts, stops=stops, steps=attrs["steps"])
        at = at + n
    return None
