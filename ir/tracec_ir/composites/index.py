"""Reading by index: gathers along a dimension, advanced indexing, selections, triangles."""

from __future__ import annotations

from collections.abc import Sequence

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from ..promote import broadcast_shapes, c_type
from .common import (
    axis,
    flat,
    iota_along,
    masked,
    move,
    numel,
    same_shape,
    shape_text,
    size,
    spelled,
    unsqueeze,
    where,
)
from .samples import each, of


def gather_positions(b: Builder, x: Value, index: Value, ax: int) -> Value:
    """x read along axis `ax` at `index`, which has x's rank and fits or broadcasts elsewhere."""
    index = b.cast(index, dtypes.i64)
    shape = tuple(
        n if i == ax else (index.shape[i] if index.shape[i] != 1 or x.shape[i] == 1 else x.shape[i])
        for i, n in enumerate(index.shape)
    )
    index = b.broadcast_to(index, shape)
    return b.emit1("gather", x, *position_indices(b, index, ax), axes=tuple(range(x.rank)))


def position_indices(b: Builder, index: Value, ax: int) -> list[Value]:
    """One i64 index per axis: `index` along `ax`, the own position elsewhere."""
    return [
        index if i == ax else b.broadcast_to(iota_along(b, index.rank, i, n), index.shape)
        for i, n in enumerate(index.shape)
    ]


def check_index(index: Value, name: str) -> None:
    """Raises unless `index` is of an integer type that indexes."""
    if index.dtype not in (dtypes.i64, dtypes.i32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


@composite(samples=of("f3x4", "i3x2<3", dim=1))
def gather_along(b, x, index, *, dim):
    """torch.gather: out[i][j] = x[index[i][j]][j] for dim 0."""
    ax = axis(x, dim)
    if numel(index) == 0:
        return b.full(0, x.dtype, index.shape)
    check_index(index, "gather")
    if not x.rank or not index.rank:
        if max(x.rank, index.rank) > 1:
            raise RuntimeError(
                "Index tensor must have the same number of dimensions as input tensor"
            )
        row = x if x.rank else b.reshape(x, (1,))
        at = index if index.rank else b.reshape(index, (1,))
        return b.reshape(gather_positions(b, row, at, 0), index.shape)
    if index.rank != x.rank:
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)):
        if i != ax and n != m and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {shape_text(index.shape)} "
                "to be no "
                f"larger than self {shape_text(x.shape)} apart from dimension {ax}"
            )
    index = b.cast(index, dtypes.i64)
    return b.emit1("gather", x, *position_indices(b, index, ax), axes=tuple(range(x.rank)))


@composite(samples=of("f3x4", "i3x2<3", dim=1))
def take_along_dim(b, x, index, *, dim=None):
    """gather_along with broadcasting; over the flat tensor without `dim`."""
    if dim is None:
        return b.gather_along(flat(b, x), flat(b, index), dim=0)
    ax = axis(x, dim)
    if x.rank != index.rank:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {x.rank} dimensions for input, and {index.rank} dimensions for indices"
        )
    if index.dtype is not dtypes.i64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{spelled(index.dtype)}"
        )
    common = broadcast_shapes(_without(x.shape, ax), _without(index.shape, ax))
    x = b.broadcast_to(x, (*common[:ax], x.shape[ax], *common[ax:]))
    index = b.broadcast_to(index, (*common[:ax], index.shape[ax], *common[ax:]))
    return b.gather_along(x, index, dim=ax)


def _without(shape: tuple, ax: int) -> tuple:
    return shape[:ax] + shape[ax + 1 :]


@composite(samples=of("f3x4", "i5<3", dim=0))
def index_select(b, x, index, *, dim):
    """The slices of x along `dim` that a 1-d index names."""
    ax = axis(x, dim)
    if index.rank > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.i64, dtypes.i32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    index = b.cast(index if index.rank else b.reshape(index, (1,)), dtypes.i64)
    if not x.rank:
        return b.reshape(b.emit1("gather", b.reshape(x, (1,)), index, axes=(0,)), ())
    return move(b, b.emit1("gather", x, index, axes=(ax,)), 0, ax)


@composite(samples=of("f3x4", "i2x2<12"))
def take(b, x, index):
    """The elements of the flat tensor at `index`."""
    if index.dtype is not dtypes.i64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {spelled(index.dtype)}"
        )
    return b.emit1("gather", flat(b, x), index, axes=(0,))


def _adjacent(over: Sequence[int]) -> bool:
    return list(over) == list(range(over[0], over[0] + len(over)))


@composite(
    samples=each(
        of("f2x3x4", "i5<3", "i5<4", axes=(1, 2)), of("f2x3x4", "i3<2", "i3<4", axes=(0, 2))
    )
)
def index(b, x, *indices, axes):
    """x[..., i, j, ...]: integer tensors address `axes`; their common shape replaces these axes
    where they are adjacent, and comes first where they are not."""
    shape = _index_shape(indices)
    given = [b.broadcast_to(b.cast(i, dtypes.i64), shape) for i in indices]
    y = b.emit1("gather", x, *given, axes=tuple(axes))
    return _place(b, y, len(shape), axes) if _adjacent(axes) else y


def _index_shape(indices: Sequence[Value]) -> tuple:
    try:
        return broadcast_shapes(*(i.shape for i in indices))
    except RuntimeError:
        shapes = ", ".join(shape_text(i.shape) for i in indices)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None


def _place(b: Builder, y: Value, k: int, over: Sequence[int]) -> Value:
    """y with its first k axes moved to where axis over[0] was."""
    first = over[0]
    perm = [*range(k, k + first), *range(k), *range(k + first, y.rank)]
    return b.permute(y, perm)


@composite(samples=each(of("f3x4", "f5", "i5<3", "i5<4", axes=(0, 1), accumulate=True)))
def index_put(b, x, values, *indices, axes, accumulate=False):
    """x with the elements `index` would read set to (or increased by) `values`."""
    shape = _index_shape(indices)
    given = [b.broadcast_to(b.cast(i, dtypes.i64), shape) for i in indices]
    rest = [n for i, n in enumerate(x.shape) if i not in axes]
    k = len(shape)
    if x.dtype is not values.dtype and values.rank:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, "
            f"got {spelled(x.dtype)} for the destination and {spelled(values.dtype)} for the "
            "source."
        )
    values = b.cast(values, x.dtype)
    first = axes[0] if _adjacent(axes) else 0
    out = (*rest[:first], *shape, *rest[first:])
    try:
        fits = tuple(broadcast_shapes(values.shape, out)) == tuple(out)
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {shape_text(values.shape)} cannot be "
            "broadcast to "
            f"indexing result of shape {shape_text(out)}"
        )
    values = b.broadcast_to(values, out)
    perm = [*range(first, first + k), *range(first), *range(first + k, len(out))]
    values = b.permute(values, perm)
    kind = "add" if accumulate else "set"
    return b.emit1("scatter", x, values, *given, axes=tuple(axes), kind=kind)


# -- selections by condition ----------------------------------------------------------------------
@composite("where", samples=each(of("b3x4", "f3x4", "f4"), of("b3", "i3<5", 2)))
def where_(b, condition, x, y):
    """x where the condition holds, y elsewhere."""
    if condition.dtype not in (dtypes.b1, dtypes.u8):
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{spelled(condition.dtype)}"
        )
    return where(b, condition, x, y)


@composite(samples=of("f3x4", "b3x4", 2.5))
def masked_fill(b, x, mask, value):
    """x with `value` where the mask holds."""
    if mask.dtype is not dtypes.b1:
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype "
                           f"{c_type(mask.dtype)}")  # fmt: skip
    _check_fill(x, value)
    return where(b, mask, b.cast(value, x.dtype), x)


def _check_fill(x: Value, value: Value) -> None:
    if value.type.__class__.__name__ == "TensorType" and value.rank:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.rank} dimension(s)."
        )
    order = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}
    if order[value.dtype.kind] > order[x.dtype.kind] and not (
        x.dtype.kind in "biu" and value.dtype.kind == "i"
    ):
        raise RuntimeError(f"value cannot be converted to type {x.dtype.name} without overflow")


@composite(samples=of("i3x2<4", num_classes=4))
def one_hot(b, index, *, num_classes):
    """Vectors of zeros with a one where `index` says."""
    if index.dtype is not dtypes.i64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    n = num_classes
    hit = b.eq(unsqueeze(b, index, index.rank), iota_along(b, index.rank + 1, index.rank, n))
    return b.cast(hit, dtypes.i64)


def _triangle(b: Builder, x: Value, diagonal: int, lower: bool, name: str) -> Value:
    if x.rank < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    row = iota_along(b, x.rank, x.rank - 2, x.shape[-2])
    column = iota_along(b, x.rank, x.rank - 1, x.shape[-1])
    edge = b.add(row, diagonal)
    return masked(b, b.le(column, edge) if lower else b.ge(column, edge), x)


@composite(samples=of("f3x4", diagonal=-1))
def tril(b, x, *, diagonal=0):
    """x with zeros above the diagonal."""
    return _triangle(b, x, diagonal, True, "tril")


@composite(samples=of("f3x4", diagonal=1))
def triu(b, x, *, diagonal=0):
    """x with zeros below the diagonal."""
    return _triangle(b, x, diagonal, False, "triu")


@composite(samples=of("f3x4", offset=-1, dim1=0, dim2=2))
def diag_embed(b, x, *, offset=0, dim1=-2, dim2=-1):
    """Matrices whose diagonal number `offset` is the last dimension of x."""
    rank = x.rank + 1
    for d in (dim1, dim2):
        if not -rank <= d < rank:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but "
                f"got {d})"
            )
    first, second = dim1 % rank, dim2 % rank
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = x.shape[-1] + abs(offset)
    low = [0] * x.rank
    low[-1] = max(offset, 0)
    high = [0] * x.rank
    high[-1] = max(-offset, 0)
    wide_row = b.emit1("pad", x, b.const(0, x.dtype), low=tuple(low), high=tuple(high),
                       interior=(0,) * x.rank) if offset else x  # fmt: skip
    # a row of n, repeated down the matrix, kept on the diagonal
    rows = unsqueeze(b, wide_row, x.rank - 1)
    i, j = iota_along(b, rank, rank - 2, n), iota_along(b, rank, rank - 1, n)
    if offset >= 0:
        y = masked(b, b.eq(b.add(i, offset), j), rows)
    else:
        low_row = unsqueeze(b, wide_row, x.rank)
        y = masked(b, b.eq(b.add(j, -offset), i), _shift(b, low_row, rank - 2, -offset))
    order = [i for i in range(rank) if i not in (first, second)]
    perm = [0] * rank
    for position, target in enumerate((*order, first, second)):
        perm[target] = position
    return b.permute(y, perm)


def _shift(b: Builder, x: Value, ax: int, by: int) -> Value:
    """x moved up along `ax` by `by` places, zeros shifted in."""
    low, high = [0] * x.rank, [0] * x.rank
    low[ax], high[ax] = by, -by
    return b.emit1(
        "pad", x, b.const(0, x.dtype), low=tuple(low), high=tuple(high), interior=(0,) * x.rank
    )


@composite(autocast="single", samples=of("f3x4"))
def trace(b, x):
    """The sum of a matrix's diagonal."""
    if x.rank != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.rank}")
    eye = b.eq(iota_along(b, 2, 0, x.shape[0]), iota_along(b, 2, 1, x.shape[1]))
    return b.sum(masked(b, eye, x), dim=None)


@composite(nondiff=True, samples=of(row=3, col=4, offset=1))
def tri_indices(b, *, row, col, offset=0, lower=True, dtype=None):
    """The row and column indices of a triangle of a row x col matrix, as a 2 x n tensor."""
    dtype = dtype or dtypes.i64
    pairs = [
        (i, j)
        for i in range(row)
        for j in range(col)
        if (j - i <= offset if lower else j - i >= offset)
    ]
    if not pairs:
        return b.full(0, dtype, (2, 0))
    parts = [b.reshape(b.const(v, dtype), (1,)) for pair in zip(*pairs, strict=True) for v in pair]
    return b.reshape(b.emit1("concat", *parts, axis=0), (2, len(pairs)))


@composite(nondiff=True, samples=of("a8", "w3x4"))
def searchsorted(b, boundaries, x, *, right=False, out_int32=False):
    """How many entries of a sorted row are below (`right`: not above) each x; rows are the last
    dimension and correspond, or there is one row for all."""
    n = boundaries.shape[-1]
    if boundaries.rank > 1:
        if boundaries.rank != x.rank or not same_shape(boundaries.shape[:-1], x.shape[:-1]):
            raise RuntimeError(
                "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
                "dimensions "
                "of boundaries tensor and input value tensor must match, but we got boundaries "
                "tensor "
                f"{shape_text(boundaries.shape)} and input value tensor {shape_text(x.shape)}"
            )
    from ..promote import result_type

    work = result_type([boundaries.type, x.type])
    bounds, key = b.cast(boundaries, work), b.cast(x, work)
    low = b.full(0, dtypes.i64, key.shape)
    if n != 0:
        high = b.broadcast_to(b.cast(_as_value(b, n), dtypes.i64), key.shape)
        for _ in range(max(dims.hint(n), 1).bit_length()):
            low, high = _halve(b, bounds, key, low, high, right, n)
    return b.cast(low, dtypes.i32 if out_int32 else dtypes.i64)


def _as_value(b: Builder, n) -> Value:
    n = size(b, n)
    return b.const(n, dtypes.i64) if isinstance(n, int) else n


def _halve(b: Builder, bounds: Value, key: Value, low: Value, high: Value, right: bool, n):
    """One step of binary search in every row."""
    middle = b.emit1("shr", b.add(low, high), b.full(1, dtypes.i64, low.shape))
    safe = b.minimum(middle, b.sub(_as_value(b, n), 1))
    if bounds.rank == 1:
        found = b.emit1("gather", bounds, safe, axes=(0,))
    else:
        found = gather_positions(b, bounds, safe, bounds.rank - 1)
    # "not beyond": the answer is to the right of `middle`; NaN sorts last
    if right:
        go = (
            b.logical_not(b.gt(found, key))
            if found.dtype.kind != "f"
            else _not_after(b, found, key)
        )
    else:
        go = b.lt(found, key) if found.dtype.kind != "f" else _before(b, found, key)
    open_ = b.lt(low, high)
    go = b.logical_and(go, open_)
    stay = b.logical_and(b.logical_not(go), open_)
    return where(b, go, b.add(middle, 1), low), where(b, stay, middle, high)


def _before(b: Builder, x: Value, y: Value) -> Value:
    return b.logical_or(b.lt(x, y), b.logical_and(b.isnan(y), b.logical_not(b.isnan(x))))


def _not_after(b: Builder, x: Value, y: Value) -> Value:
    return b.logical_or(b.le(x, y), b.isnan(y))


@composite(nondiff=True, samples=of("i3x4<9", "i5<9"))
def isin(b, elements, test_elements, *, invert=False):
    """Whether each element occurs among the test elements."""
    tests = flat(b, b.cast(test_elements, test_elements.dtype))
    y = b.reduce(b.eq(unsqueeze(b, elements, elements.rank), tests), "any", (elements.rank,))
    return b.logical_not(y) if invert else y


def _repeat_index_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    ax = axis(x, op.attrs["dim"])
    n = op.attrs["repeats"]
    split = (*x.shape[: ax + 1], n, *x.shape[ax + 1 :])
    return [b.reduce(b.reshape(g, split), "sum", (ax + 1,))]


@composite(vjp=_repeat_index_vjp, samples=of("f3x4", repeats=3, dim=0))
def repeat_each(b, x, *, repeats, dim):
    """Every slice along `dim` repeated `repeats` times in a row."""
    ax = axis(x, dim)
    wide_shape = (*x.shape[: ax + 1], repeats, *x.shape[ax + 1 :])
    y = b.broadcast_to(unsqueeze(b, x, ax + 1), wide_shape)
    return b.reshape(y, (*x.shape[:ax], x.shape[ax] * repeats, *x.shape[ax + 1 :]))
