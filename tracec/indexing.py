"""`x[...]` and `x[...] = y`: slices and integers are views, masks and index tensors gather.

An index is split, as in NumPy, into a basic part (a view) and an advanced part: index tensors that
address some dimensions of that view. Boolean masks become their nonzero positions.
"""

from __future__ import annotations

from tracec_ir.dims import Poly, decide

from . import record
from .record import apply
from .spec import VIEWS_KEPT, fixed, spec
from .tensor import Tensor, view_of


def getitem(self: Tensor, index) -> Tensor:
    s = self._spec
    key = _key(index)
    if key is not None:
        found = s.views.get(key)
        if found is not None:
            return view_of(self, found)
    if index.__class__ is int:
        if not s.shape:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in "
                "C++ to convert a 0-dim tensor to a number"
            )
        x, indices = _select(self, 0, index), None
    else:
        x, indices = _basic(self, index)
        if indices:
            return _gather(x, indices)
        if x is self:
            x = view_of(self, s.canonical)
    if key is not None and fixed(s.shape):
        if len(s.views) >= VIEWS_KEPT:
            s.views.clear()
        s.views[key] = x._spec
    return x


def _key(index):
    """What an index of ints, slices, None and ... is remembered by; None for others."""
    kind = index.__class__
    if kind is int:
        return index
    if kind is slice:
        start, stop, step = index.start, index.stop, index.step
        if (
            (start is None or start.__class__ is int)
            and (stop is None or stop.__class__ is int)
            and (step is None or step.__class__ is int)
        ):
            return slice, start, stop, step
        return None
    if kind is tuple:
        keys = []
        for item in index:
            if item is None or item is Ellipsis:
                keys.append(item)
                continue
            key = _key(item) if item.__class__ is int or item.__class__ is slice else None
            if key is None:
                return None
            keys.append(key)
        return tuple, *keys
    return None


def setitem(self: Tensor, index, value) -> None:
    from .inplace import check

    if isinstance(index, Tensor) and index.dtype.code == "b1" and record.current().symbolic:
        return _fill_masked(self, index, value)
    x, indices = _basic(self, index)
    check(self if indices else view_of(self, self._spec.canonical) if x is self else x)
    if not isinstance(value, (Tensor, int, float, bool, complex)):
        if not isinstance(value, (list, tuple)) and not _is_numpy(value):
            raise TypeError(f"can't assign a {type(value).__name__} to a torch.{_kind(self)}Tensor")
        from .creation import as_tensor

        value = as_tensor(value, dtype=self.dtype)
    if indices:
        _put(x, indices, value)
        return
    if isinstance(value, Tensor):
        have = tuple(value.shape)
        while len(have) > x.dim() and have[0] == 1:
            have = have[1:]
        value = value if have == tuple(value.shape) else value.reshape(have)
    record.assign(x, value)


def _fill_masked(x: Tensor, mask: Tensor, value) -> None:
    """x[mask] = value in a script, where positions are not known: all of x is chosen anew."""
    from .inplace import check

    check(x)
    if isinstance(value, Tensor) and value.dim():
        raise NotImplementedError(
            "assigning a tensor to the elements that a mask selects, in a script; use torch.where"
        )
    mask = mask.reshape(tuple(mask.shape) + (1,) * (x.dim() - mask.dim()))
    record.assign(x, apply("masked_fill", (x, mask, value)))


def _fit(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """`value` without leading dimensions of size 1 that the target does not have."""
    have = tuple(value.shape)
    while len(have) > len(shape) and have[0] == 1:
        have = have[1:]
    ok = len(have) <= len(shape) and all(
        a == b or a == 1 for a, b in zip(reversed(have), reversed(shape))
    )
    if not ok:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to "
            "indexing "
            f"result of shape {list(shape)}"
        )
    return value if have == tuple(value.shape) else value.reshape(have)


def _select(x: Tensor, dim: int, index: int) -> Tensor:
    s = x._spec
    n = s.shape[dim]
    if not -n <= index < n:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {n}")
    offset = s.offset + (index if index >= 0 else index + n) * s.strides[dim]
    shape = tuple(s.shape)
    shape, strides = shape[:dim] + shape[dim + 1 :], s.strides[:dim] + s.strides[dim + 1 :]
    return view_of(x, spec(s.dtype, shape, strides, offset, s.device))


def _items(index) -> list:
    if isinstance(index, tuple):
        return list(index)
    if (
        isinstance(index, list)
        and any(
            isinstance(i, (slice, Tensor, list, tuple)) or i is None or i is Ellipsis for i in index
        )
        and not _rectangular(index)
    ):
        return list(index)
    return [index]


def _rectangular(index: list) -> bool:
    """Whether nested lists hold numbers only: such a list is one index tensor."""
    return all(
        _rectangular(i) if isinstance(i, (list, tuple)) else isinstance(i, (int, bool))
        for i in index
    )


def _dims_taken(item) -> int:
    if item is None or item is Ellipsis or item is True or item is False:
        return 0
    if isinstance(item, Tensor) and item.dtype.code in ("b1", "u8"):
        return item.dim()
    if _is_numpy(item) and item.dtype.kind == "b":
        return item.ndim
    return 1


def _is_numpy(item) -> bool:
    return type(item).__module__ == "numpy" and hasattr(item, "dtype")


def _basic(x: Tensor, index) -> tuple[Tensor, dict[int, Tensor]]:
    """The view that the basic items make, and the index tensors by dimension of that view."""
    items = _items(index)
    if sum(i is Ellipsis for i in items) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    items = [_normal(i) for i in items]
    taken = sum(map(_dims_taken, items))
    rank = x.dim()
    if taken > rank:
        raise IndexError(f"too many indices for tensor of dimension {rank}")
    if not any(i is Ellipsis for i in items):
        items.append(Ellipsis)
    s = x._spec
    shape: list[int] = []
    strides: list[int] = []
    offset = s.offset
    indices: dict[int, Tensor] = {}
    d = 0
    for item in items:
        if item is Ellipsis:
            for _ in range(rank - taken):
                shape.append(s.shape[d])
                strides.append(s.strides[d])
                d += 1
        elif item is None:
            shape.append(1)
            strides.append(s.strides[d] * s.shape[d] if d < rank else 1)
        elif item is True or item is False:
            shape.append(1)
            strides.append(0)
            indices[len(shape) - 1] = _long([0] if item else [])
        elif item.__class__ is int:
            n = s.shape[d]
            if not -n <= item < n:
                raise IndexError(f"index {item} is out of bounds for dimension {d} with size {n}")
            offset += (item if item >= 0 else item + n) * s.strides[d]
            d += 1
        elif isinstance(item, slice):
            start, stop, step = _slice_bounds(item, s.shape[d])
            shape.append(max(0, -(-(stop - start) // step)))
            strides.append(s.strides[d] * step)
            offset += start * s.strides[d]
            d += 1
        elif item.dtype.code in ("b1", "u8"):
            mask = item
            have, want = tuple(s.shape[d : d + mask.dim()]), tuple(mask.shape)
            if have != want:
                at = next(i for i, (a, b) in enumerate(zip(have, want)) if a != b)
                raise IndexError(
                    f"The shape of the mask {list(want)} at index {at} does not match the shape "
                    "of the "
                    f"indexed tensor {list(s.shape)} at index {d + at}"
                )
            for position in mask.nonzero(as_tuple=True) if mask.dim() else _zero_dim_mask(mask):
                shape.append(s.shape[d] if d < rank else 1)
                strides.append(s.strides[d] if d < rank else 0)
                indices[len(shape) - 1] = position
                d += 1
        else:
            shape.append(s.shape[d])
            strides.append(s.strides[d])
            indices[len(shape) - 1] = item
            d += 1
    if offset == s.offset and tuple(shape) == tuple(s.shape) and tuple(strides) == s.strides:
        return x, indices
    return view_of(x, spec(s.dtype, tuple(shape), tuple(strides), offset, s.device)), indices


def _zero_dim_mask(mask: Tensor):
    return ()


def _slice_bounds(item: slice, n: int) -> tuple[int, int, int]:
    if n.__class__ is not int or Poly in (item.start.__class__, item.stop.__class__):
        return _symbolic_bounds(item, n)
    step = 1 if item.step is None else _int(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step < 0:
        raise ValueError("step must be greater than zero")
    start = None if item.start is None else _int(item.start)
    stop = None if item.stop is None else _int(item.stop)
    return slice(start, stop, step).indices(n)


def _symbolic_bounds(item: slice, n) -> tuple:
    """`_slice_bounds` where sizes are symbols; relations that decide become guards."""
    step = 1 if item.step is None else _int(item.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    if step < 0:
        raise ValueError("step must be greater than zero")

    def bound(i, default):
        if i is None:
            return default
        i = i if isinstance(i, Poly) else _int(i)
        if i.__class__ is int and i < 0 or i.__class__ is not int and decide("<", i, 0):
            i = i + n
            return 0 if decide("<", i, 0) else i
        return n if decide("<", n, i) else i

    start = bound(item.start, 0)
    stop = bound(item.stop, n)
    return start, start if decide("<", stop, start) else stop, step


def _int(i) -> int:
    try:
        return i.__index__()
    except AttributeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method, not "
            f"{type(i).__name__}"
        ) from None


def _normal(item):
    """An index item as None, Ellipsis, bool, int, slice or index tensor."""
    if item is None or item is Ellipsis or item.__class__ in (int, bool, slice):
        return item
    if isinstance(item, Tensor):
        code = item.dtype.code
        if item.dim() == 0 and item.dtype.kind in "iu" and code != "u8":
            if record.current().symbolic:  # a script keeps it an index tensor
                return item if code == "i64" else apply("cast", (item,), {"dtype": _i64()})
            return item.item()
        if item.dim() == 0 and code == "b1":
            return bool(item.item())
        if item.dtype.kind not in "iub":
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return item if code in ("b1", "u8", "i64") else apply("cast", (item,), {"dtype": _i64()})
    if _is_numpy(item):
        if item.ndim == 0:
            return item.item()
        from .creation import from_numpy

        return _normal(from_numpy(item))
    if isinstance(item, (list, tuple, range)):
        from .creation import tensor

        made = tensor(list(item))
        return _long([]) if made.numel() == 0 else _normal(made if made.dim() else made.reshape(1))
    if hasattr(item, "__index__"):
        return item.__index__()
    if isinstance(item, str):
        raise TypeError("new(): invalid data type 'str'")
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _i64():
    from tracec_ir.dtypes import i64

    return i64


def _long(values: list) -> Tensor:
    from .creation import tensor

    return tensor(values, dtype=_i64())


def _advanced(
    x: Tensor, indices: dict[int, Tensor]
) -> tuple[tuple[int, ...], tuple[Tensor, ...], int]:
    """(dimensions indexed, index tensors of one shape, where their dimensions go in the result)."""
    from tracec_ir.promote import broadcast_shapes

    dims = tuple(sorted(indices))
    try:
        shape = broadcast_shapes(*(tuple(indices[d].shape) for d in dims))
    except RuntimeError:
        shapes = ", ".join(str(list(indices[d].shape)) for d in dims)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None
    tensors = tuple(
        indices[d].expand(shape) if tuple(indices[d].shape) != shape else indices[d] for d in dims
    )
    together = all(b == a + 1 for a, b in zip(dims, dims[1:]))
    return dims, tensors, dims[0] if together else 0


def _gather(x: Tensor, indices: dict[int, Tensor]) -> Tensor:
    dims, tensors, place = _advanced(x, indices)
    out = apply("gather", (x, *tensors), {"axes": dims})
    n = tensors[0].dim()
    if place == 0 or n == 0:
        return out
    order = list(range(n, n + place)) + list(range(n)) + list(range(n + place, out.dim()))
    return out.permute(order)


def _put(x: Tensor, indices: dict[int, Tensor], value, accumulate: bool = False) -> None:
    dims, tensors, place = _advanced(x, indices)
    n = tensors[0].dim()
    rest = [s for d, s in enumerate(x.shape) if d not in dims]
    shape = tuple(rest[:place]) + tuple(tensors[0].shape) + tuple(rest[place:])
    if isinstance(value, Tensor):
        value = _fit(value, shape)
        if value.dtype is not x.dtype:
            if value.dim():
                raise RuntimeError(
                    f"Index put requires the source and destination dtypes match, got {_kind(x)} "
                    "for the "
                    f"destination and {_kind(value)} for the source."
                )
            value = apply("cast", (value,), {"dtype": x.dtype})
    else:
        value = apply("full", (value,), {"shape": (), "dtype": x.dtype})
    value = value.expand(shape)
    if place and n:
        value = value.permute(
            list(range(place, place + n)) + list(range(place)) + list(range(place + n, len(shape)))
        )
    new = apply(
        "scatter", (x, value, *tensors), {"axes": dims, "kind": "add" if accumulate else "set"}
    )
    record.assign(x, new)


def _kind(x: Tensor) -> str:
    from .inplace import _NAMES

    return _NAMES[x.dtype.code]


def index_put(self: Tensor, indices, values: Tensor, accumulate: bool = False) -> Tensor:
    """`index_put_` on a copy."""
    return index_put_(self.clone(), indices, values, accumulate)


def index_put_(self: Tensor, indices, values: Tensor, accumulate: bool = False) -> Tensor:
    """Writes `values` where the tuple of index tensors points (None: a whole dimension); adds them
    up with `accumulate`."""
    from .inplace import check

    check(self)
    x, found = _basic(self, tuple(slice(None) if i is None else i for i in indices))
    _put(x, found, values, accumulate)
    return self


Tensor.__getitem__ = getitem
Tensor.__setitem__ = setitem
Tensor.index_put = index_put
Tensor.index_put_ = index_put_
