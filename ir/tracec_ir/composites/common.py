"""What the bodies of composites share: dimension checks, accumulation types, small emitters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import dims, dtypes, promote
from ..builder import Builder, number_dtype
from ..core import Value
from ..dims import Dim
from ..dtypes import DType
from ..promote import broadcast_shapes
from ..types import ScalarType

INF = float("inf")


# -- dimensions -----------------------------------------------------------------------------------
def axis(x: Value, dim: int, extra: int = 0) -> int:
    """`dim` counted from the front; IndexError as PyTorch's. A 0-d tensor has the dimension 0."""
    rank = max(x.rank + extra, 1)
    if not -rank <= dim < rank:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got "
            f"{dim})"
        )
    return dim % rank


def axes(x: Value, dim: int | Sequence[int] | None) -> tuple[int, ...]:
    """The dimensions that `dim` (one, several, or None and () for all) names, sorted."""
    if dim is None or dim == ():
        return tuple(range(x.rank))
    out = [axis(x, d) for d in ((dim,) if isinstance(dim, int) else dim)]
    for d in out:
        if out.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return tuple(sorted(out)) if x.rank else ()


def shape_text(shape: Iterable[Dim]) -> str:
    """A shape as PyTorch's messages spell it: `[2, 3]`."""
    return "[" + ", ".join(map(str, shape)) + "]"


def same_shape(a: Sequence[Dim], c: Sequence[Dim]) -> bool:
    """Whether two shapes are equal (symbolic sizes ask their hints)."""
    return len(a) == len(c) and all(dims.same(m, n) for m, n in zip(a, c, strict=True))


def size(b: Builder, n: Dim, dtype: DType = dtypes.i64):
    """The dim n as an operand: an int as it is, a symbolic one as a 0-d tensor of `dtype`."""
    if isinstance(n, int):
        return n
    # the last of 0..n: an index expression once it is fused
    last = b.emit1("slice", iota(b, n + 1), starts=(n,), stops=(n + 1,), steps=(1,))
    return b.cast(b.reshape(last, ()), dtype)


def fixed(n: Dim) -> int:
    """The dim n as a number, for bodies that repeat something n times: other sizes are expanded
    again, as a guard says."""
    number = dims.hint(n)
    dims.same(n, number)
    return number


def count(b: Builder, x: Value, over: Iterable[int], dtype: DType):
    """The number of elements along the axes `over`, as an operand."""
    return size(b, dims.product(x.shape[a] for a in over), dtype)


def divisor(b: Builder, x: Value, over: Iterable[int], dtype: DType) -> Value:
    """`count` as an operation of its own: a constant would tell functions of different sizes
    apart."""
    return b.emit1("element_count", size=dims.product(x.shape[a] for a in over), dtype=dtype)


def numel(x: Value) -> Dim:
    """The number of elements of x."""
    return dims.product(x.shape)


# -- dtypes ---------------------------------------------------------------------------------------
def spelled(dtype: DType) -> str:
    """The C++ name PyTorch's messages use: `Float`, `Long`."""
    return promote._spelled(dtype)


def is_number(x: Value) -> bool:
    """Whether x is a run-time Python number."""
    return isinstance(x.type, ScalarType)


def as_float(b: Builder, x: Value) -> Value:
    """x as a tensor of floating (or complex) type: integers become the default float."""
    if x.dtype.kind in "biu" or is_number(x):
        dtype = promote.default_float if x.dtype.kind in "biuf" else x.dtype
        return b.cast(x, promote.scalar_dtype(x.dtype) if x.dtype.kind == "c" else dtype)
    return x


def wide(b: Builder, x: Value) -> Value:
    """x in the type of arithmetic: 16-bit floats as float32, integers as the default float."""
    x = as_float(b, x)
    return b.cast(x, dtypes.f32) if x.dtype.bits == 16 and x.dtype.kind == "f" else x


def double(b: Builder, x: Value) -> Value:
    """x in double precision, for results that pass through very many roundings; integers stay."""
    kinds = {"f": dtypes.f64, "c": dtypes.c128}
    return b.cast(x, kinds[x.dtype.kind]) if x.dtype.kind in kinds else x


def float_result(x: Value) -> DType:
    """The dtype of a floating-point function of x."""
    return promote.default_float if x.dtype.kind in "biu" else x.dtype


def index_type(x: Value, name: str = "index") -> Value:
    """x, if it can be an index; PyTorch's error otherwise."""
    if x.dtype.kind not in "iu":
        raise RuntimeError(f"{name}: Expected dtype int32/int64 for index")
    return x


# -- small emitters -------------------------------------------------------------------------------
def where(b: Builder, cond: Value, x, y) -> Value:
    """select with promotion and broadcasting; x and y may be Python numbers."""
    types = [v.type if isinstance(v, Value) else ScalarType(number_dtype(v)) for v in (x, y)]
    work = promote.result_type(types)
    x, y = (b.cast(v, work) if isinstance(v, Value) else b.const(v, work) for v in (x, y))
    cond = b.cast(cond, dtypes.b1)
    shape = broadcast_shapes(cond.shape, x.shape, y.shape)
    return b.emit1("select", *(b.broadcast_to(v, shape) for v in (cond, x, y)))


def masked(b: Builder, cond: Value, x: Value) -> Value:
    """x where cond holds, else zero."""
    return where(b, cond, x, b.const(0, x.dtype))


def shared(b: Builder, values: Sequence, dtype: DType | None = None) -> list[Value]:
    """Values and numbers as tensors of one dtype and shape."""
    types = [v.type if isinstance(v, Value) else ScalarType(number_dtype(v)) for v in values]
    work = dtype or promote.result_type(types)
    out = [b.cast(v, work) if isinstance(v, Value) else b.const(v, work) for v in values]
    shape = broadcast_shapes(*(v.shape for v in out))
    return [b.broadcast_to(v, shape) for v in out]


def back(b: Builder, g: Value, operand: Value) -> Value | None:
    """A cotangent brought to an operand's dtype and shape (None for a number or an integer)."""
    if is_number(operand) or operand.dtype.kind not in "fc":
        return None
    return b.cast(b.sum_to(g, operand.shape), operand.dtype)


def iota(b: Builder, n: Dim, dtype: DType = dtypes.i64) -> Value:
    return b.emit1("iota", size=n, dtype=dtype)


def iota_along(b: Builder, rank: int, ax: int, n: Dim, dtype: DType = dtypes.i64) -> Value:
    """0..n-1 along axis `ax` of a tensor of that rank, size 1 elsewhere."""
    return b.reshape(iota(b, n, dtype), [n if i == ax else 1 for i in range(rank)])


def unsqueeze(b: Builder, x: Value, ax: int) -> Value:
    return b.reshape(x, (*x.shape[:ax], 1, *x.shape[ax:]))


def squeeze(b: Builder, x: Value, ax: int) -> Value:
    return b.reshape(x, x.shape[:ax] + x.shape[ax + 1 :])


def swap(b: Builder, x: Value, i: int, j: int) -> Value:
    """x with axes i and j exchanged."""
    perm = list(range(x.rank))
    perm[i], perm[j] = perm[j], perm[i]
    return b.permute(x, perm)


def move(b: Builder, x: Value, source: int, target: int) -> Value:
    """x with axis `source` moved to position `target`, the others in order."""
    perm = [i for i in range(x.rank) if i != source]
    perm.insert(target, source)
    return b.permute(x, perm)


def take(b: Builder, x: Value, ax: int, start: Dim, stop: Dim, step: int = 1) -> Value:
    """x[..., start:stop:step, ...] along one axis; start and stop are resolved already."""
    starts: list[Dim] = [0] * x.rank
    stops, steps = list(x.shape), [1] * x.rank
    starts[ax], stops[ax], steps[ax] = start, stop, step
    if start == 0 and step == 1 and stop == x.shape[ax]:
        return x
    return b.emit1("slice", x, starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


def flip_axis(b: Builder, x: Value, ax: int) -> Value:
    """x reversed along one axis."""
    if x.shape[ax] in (0, 1):
        return x
    return take(b, x, ax, x.shape[ax] - 1, -1, -1)


def pad(b: Builder, x: Value, low: Sequence[Dim], high: Sequence[Dim], value=0) -> Value:
    """x padded with a constant; negative amounts crop."""
    if not any(v != 0 for v in (*low, *high)):
        return x
    fill = value if isinstance(value, Value) else b.const(value, x.dtype)
    return b.emit1("pad", x, fill, low=tuple(low), high=tuple(high), interior=(0,) * x.rank)


def pad_axis(b: Builder, x: Value, ax: int, low: Dim, high: Dim, value=0) -> Value:
    lows: list[Dim] = [0] * x.rank
    highs: list[Dim] = [0] * x.rank
    lows[ax], highs[ax] = low, high
    return pad(b, x, lows, highs, value)


def concat(b: Builder, parts: Sequence[Value], ax: int) -> Value:
    return parts[0] if len(parts) == 1 else b.emit1("concat", *parts, axis=ax)


def flat(b: Builder, x: Value) -> Value:
    return b.reshape(x, (numel(x),))


def reduced(b: Builder, x: Value, reduction: str) -> Value:
    """The `reduction` ("none", "mean", "sum") that losses end with."""
    if reduction == "none":
        return x
    if reduction == "sum":
        return b.reduce(x, "sum", range(x.rank))
    if reduction != "mean":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return mean_over(b, x, tuple(range(x.rank)))


def mean_over(b: Builder, x: Value, over: Sequence[int], keepdim: bool = False) -> Value:
    """The mean along axes of a float tensor, in the tensor's own dtype."""
    total = b.reduce(x, "sum", over, keepdim)
    return b.div(total, divisor(b, x, over, x.dtype))


def one_hot_mask(b: Builder, index: Value, rank: int, ax: int, n: Dim) -> Value:
    """index (size 1 along `ax`) == position along `ax`: true at one place of n."""
    return b.eq(iota_along(b, rank, ax, n), b.cast(index, dtypes.i64))
