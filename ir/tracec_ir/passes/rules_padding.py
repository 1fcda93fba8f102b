"""Rules for sums of padded parts: the gradient of a tensor that was read in slices.

Adding n parts, each padded to the whole, would cost n times the whole; parts that lie side by side
are one concatenation. (A part's -0.0 stays what it is where the sum would have made it 0.0.)
"""

from __future__ import annotations

from ..builder import Builder
from ..core import Value
from .rule import Found, Operands, rule


@rule(
    "add",
    "%1 = const() [value=0.0, type=f32[]] : f32[]\n"
    "%2 = pad(%x, %1) [low=(0, 0), high=(2, 0), interior=(0, 0)] : f32[4 x 3]\n"
    "%3 = pad(%x, %1) [low=(2, 0), high=(0, 0), interior=(0, 0)] : f32[4 x 3]\n"
    "%4 = add(%2, %3) : f32[4 x 3]\n"
    "return %4",
)
def neighbours(b: Builder, operands: Operands, attrs: dict) -> Found:
    """The sum of two parts padded with zeros that are neighbours along one axis: their
    concatenation, padded."""
    first, second = operands
    axis = _side_by_side(first, second)
    if axis is None:
        axis = _side_by_side(second, first)
        first, second = second, first
    if axis is None or first.op is None or second.op is None:
        return None
    x, y = first.op.operands[0], second.op.operands[0]
    joined = b.emit("concat", (*_parts(x, axis), *_parts(y, axis)), {"axis": axis})[0]
    low, high = list(first.op.attrs["low"]), list(first.op.attrs["high"])
    high[axis] = second.op.attrs["high"][axis]
    return b.emit(
        "pad",
        (joined, first.op.operands[1]),
        {"low": tuple(low), "high": tuple(high), "interior": first.op.attrs["interior"]},
    )[0]


def _zero_padded(v: Value) -> bool:
    if v.op is None or v.op.name != "pad" or any(v.op.attrs["interior"]):
        return False
    value = v.op.operands[1].op
    return value is not None and value.name == "const" and value.attrs["value"] == 0


def _side_by_side(first: Value, second: Value) -> int | None:
    """The axis along which `second` begins where `first` ends, all else being equal."""
    if not (_zero_padded(first) and _zero_padded(second)):
        return None
    assert first.op is not None and second.op is not None
    a, c = first.op.attrs, second.op.attrs
    differing = [
        i for i in range(first.rank) if (a["low"][i], a["high"][i]) != (c["low"][i], c["high"][i])
    ]
    if len(differing) != 1:
        return None
    (i,) = differing
    return i if c["low"][i] == a["low"][i] + first.op.operands[0].shape[i] else None


def _parts(v: Value, axis: int) -> tuple[Value, ...]:
    """What v concatenates along `axis`, or v itself."""
    if v.op is not None and v.op.name == "concat" and v.op.attrs["axis"] == axis:
        return v.op.operands
    return (v,)
