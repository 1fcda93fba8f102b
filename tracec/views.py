"""View methods: each computes a new spec over the same storage; nothing is recorded.

Where PyTorch would copy (`reshape` of a layout that cannot be viewed, `contiguous`), `clone` is.
"""

from __future__ import annotations

from functools import wraps

from tracec_ir.dims import Poly, same
from tracec_ir.promote import _spelled

from .layouts import infer_shape, view_strides
from .parameter_names import numpy_names, other_names, renamed
from .record import apply
from .spec import VIEWS_KEPT, Spec, fixed, row_major, spec
from .tensor import Tensor, view_of, wrap_dim


def remembered(fn):
    """Decorator for a method whose result, if it is a view, has a spec that follows from the
    tensor's spec and ints: the next call with equal ones finds that spec."""
    name, other = fn.__name__, other_names(fn)

    @wraps(fn)
    def method(input: Tensor, *args, **kwargs) -> Tensor:
        if kwargs:
            return fn(input, *args, **{other.get(k, k): v for k, v in kwargs.items()})
        s = input._spec
        key = (name, args)
        try:
            found = s.views.get(key)
        except TypeError:  # lists have no hash
            return fn(input, *args)
        if found is not None:
            return view_of(input, found)
        out = fn(input, *args)
        if out.__class__ is not Tensor or out is input:  # a wrapper of tensors, or the same one
            return out
        if out._st is input._st and fixed(args) and fixed(s.shape):
            if len(s.views) >= VIEWS_KEPT:
                s.views.clear()
            s.views[key] = out._spec
        return out

    return method


def _respec(x: Tensor, shape, strides, offset=None) -> Tensor:
    s = x._spec
    return view_of(
        x,
        spec(
            s.dtype, tuple(shape), tuple(strides), s.offset if offset is None else offset, s.device
        ),
    )


def sizes(args: tuple, what: str = "shape") -> tuple[int, ...]:
    """The ints of `f(2, 3)` or `f((2, 3))`; TypeError for anything else."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    out = []
    for a in args:
        if a.__class__ is int:
            out.append(a)
        elif hasattr(a, "__index__"):
            out.append(a.__index__())
        elif isinstance(a, Poly):
            out.append(a)
        else:
            raise TypeError(
                f"{what} must be a tuple of ints, but found element of type {type(a).__name__}"
            )
    return tuple(out)


@remembered
def view(input: Tensor, *shape, size=None, dtype=None) -> Tensor:
    """The same elements under another shape (or dtype), without copying.

    RuntimeError if the layout does not allow it; use `reshape` then.
    """
    if not shape:
        shape = (dtype,) if dtype is not None else (size,) if size is not None else ()
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)):
        if hasattr(shape[0], "code"):
            return _view_dtype(input, shape[0])
    new = infer_shape(sizes(shape), input._spec.numel)
    s = input._spec
    if new == s.shape:
        return _respec(input, new, s.strides)
    strides = row_major(new) if s.contiguous else view_strides(s.shape, s.strides, new)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension "
            "spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return _respec(input, new, strides)


def _view_dtype(input: Tensor, dtype) -> Tensor:
    s = input._spec
    if dtype is s.dtype:
        return _respec(input, s.shape, s.strides)
    old, new = s.dtype.itemsize, dtype.itemsize
    shape, strides, offset = list(s.shape), list(s.strides), s.offset
    if old != new:
        shape, strides, offset = _resized(input, dtype)
    out = view_of(input, spec(dtype, tuple(shape), tuple(strides), offset, s.device))
    out._rg = 0  # bits have no derivative
    return out


def _resized(x: Tensor, dtype) -> tuple[list, list, int]:
    """Shape, strides and offset of x's memory as elements of another size."""
    s = x._spec
    old, new = s.dtype.itemsize, dtype.itemsize
    if not s.shape:
        raise RuntimeError(
            f"input.dim() cannot be 0 to view {s.dtype} as {dtype} (different element sizes)"
        )
    shape, strides = list(s.shape), list(s.strides)
    if strides[-1] != 1 and shape[-1] != 1:
        raise RuntimeError(
            f"input.stride(-1) must be 1 to view {s.dtype} as {dtype} (different element sizes), "
            f"but got {strides[-1]}"
        )
    if old > new:
        ratio = old // new
        return (
            [*shape[:-1], shape[-1] * ratio],
            [*(n * ratio for n in strides[:-1]), 1],
            (s.offset * ratio),
        )
    ratio = new // old
    if shape[-1] % ratio:
        raise RuntimeError(
            f"input.size(-1) must be divisible by {ratio} to view {s.dtype} as {dtype} (different "
            f"element sizes), but got {shape[-1]}"
        )
    if s.offset % ratio:
        raise RuntimeError(
            f"input.storage_offset() must be divisible by {ratio} to view {s.dtype} as {dtype} "
            f"(different element sizes), but got {s.offset}"
        )
    for i, stride in enumerate(strides[:-1]):
        if stride % ratio:
            raise RuntimeError(
                f"input.stride({i}) must be divisible by {ratio} to view {s.dtype} as {dtype} "
                f"(different element sizes), but got {stride}"
            )
    return (
        [*shape[:-1], shape[-1] // ratio], [*(n // ratio for n in strides[:-1]), 1],
        s.offset // ratio,
    )  # fmt: skip


def view_as_real(input: Tensor) -> Tensor:
    """Complex numbers as a last dimension of two: real and imaginary parts, in the same memory."""
    s = input._spec
    if s.dtype.kind != "c":
        raise RuntimeError("view_as_real is only supported for complex tensors")
    strides = (*(2 * n for n in s.strides), 1)
    part = s.dtype.to_real()
    return view_of(input, spec(part, (*s.shape, 2), strides, 2 * s.offset, s.device))


def view_as_complex(input: Tensor) -> Tensor:
    """The complex numbers whose parts a last dimension of two holds, in the same memory."""
    s = input._spec
    if s.dtype.code == "f16":
        raise NotImplementedError("view_as_complex(): the dtype complex32 (chalf) of float16 parts")
    if s.dtype.code not in ("f32", "f64"):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {_spelled(s.dtype)}"
        )
    if not s.shape:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if s.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if s.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(n % 2 for n in s.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if s.offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    strides = tuple(n // 2 for n in s.strides[:-1])
    whole = s.dtype.to_complex()
    return view_of(input, spec(whole, tuple(s.shape[:-1]), strides, s.offset // 2, s.device))


def real(input: Tensor) -> Tensor:
    """The real parts, in the same memory; a real tensor is its own."""
    return select(view_as_real(input), -1, 0) if input._spec.dtype.kind == "c" else input


def imag(input: Tensor) -> Tensor:
    """The imaginary parts, in the same memory. RuntimeError for real tensors."""
    if input._spec.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return select(view_as_real(input), -1, 1)


@remembered
def reshape(input: Tensor, *args, shape=None) -> Tensor:
    """The same elements in row-major order under another shape; a view where possible."""
    new = infer_shape(sizes(args if shape is None else (shape,)), input._spec.numel)
    s = input._spec
    strides = row_major(new) if s.contiguous else view_strides(s.shape, s.strides, new)
    if strides is None:
        return view(clone(input), new)
    return _respec(input, new, strides)


def clone(input: Tensor, *, memory_format=None) -> Tensor:
    """A copy in memory of its own, contiguous; gradients flow through."""
    return apply("clone", (input,))


_CHANNELS_LAST = {"torch.channels_last": 4, "torch.channels_last_3d": 5}


def _channels_last(s: Spec, rank: int, name: str) -> bool:
    """Whether the channels of a layout are innermost. RuntimeError for another rank."""
    if len(s.shape) != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {name} format")
    moved = (0, *range(2, rank), 1)
    strides = [s.strides[d] for d in moved if s.shape[d] != 1]
    return strides == [
        n for n, d in zip(row_major(tuple(s.shape[d] for d in moved)), moved) if s.shape[d] != 1
    ]


def contiguous(input: Tensor, memory_format=None) -> Tensor:
    """The tensor itself if its elements follow each other, else a contiguous copy; a copy too
    where another order is asked for, which results do not keep."""
    name = str(memory_format)
    if name in _CHANNELS_LAST:
        last = _channels_last(input._spec, _CHANNELS_LAST[name], name.removeprefix("torch."))
        return input if last else clone(input)
    return input if input._spec.contiguous else clone(input)


def view_as(input: Tensor, other: Tensor) -> Tensor:
    """`self.view(other.size())`; RuntimeError if that needs a copy."""
    return view(input, other.shape)


def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """`self.reshape(other.size())`: a view if possible, else a copy."""
    return reshape(input, other.shape)


@remembered
def permute(input: Tensor, *args, dims=None) -> Tensor:
    """Dimensions in another order."""
    rank = input.dim()
    order = sizes(args if dims is None else (dims,), "dims")
    if len(order) != rank:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length "
            f"of the desired ordering of dimensions i.e. input.dim() = {rank} is not equal to "
            f"len(dims) = {len(order)}"
        )
    order = tuple(wrap_dim(d, rank) for d in order)
    if len(set(order)) != rank:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    s = input._spec
    return _respec(input, [s.shape[d] for d in order], [s.strides[d] for d in order])


@remembered
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Dimensions dim0 and dim1 exchanged."""
    rank = input.dim()
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    if not rank:
        return _respec(input, (), ())
    order = list(range(rank))
    order[a], order[b] = b, a
    return permute(input, order)


@remembered
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors and scalars stay."""
    if input.dim() > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.dim()}D")
    return (
        transpose(input, 0, 1)
        if input.dim() == 2
        else _respec(input, input._spec.shape, input._spec.strides)
    )


@remembered
def movedim(input: Tensor, source, destination) -> Tensor:
    """Dimensions `source` moved to places `destination`, the others in their order."""
    rank = input.dim()
    given = {
        "source": [source] if isinstance(source, int) else list(source),
        "destination": [destination] if isinstance(destination, int) else list(destination),
    }
    if len(given["source"]) != len(given["destination"]):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({given['source']} dims) should "
            f"contain the same number of dims as destination ({given['destination']} dims)"
        )
    places = []
    for name, dims in given.items():
        places.append([wrap_dim(d, rank) for d in dims])
        if len(set(places[-1])) < len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    src, dst = places
    order = [-1] * rank
    for a, b in zip(src, dst):
        order[b] = a
    rest = iter(d for d in range(rank) if d not in src)
    return permute(input, [d if d >= 0 else next(rest) for d in order])


@remembered
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dimension of size 1 inserted at `dim`."""
    s = input._spec
    d = wrap_dim(dim, len(s.shape) + 1)
    step = s.shape[d] * s.strides[d] if d < len(s.shape) else 1
    return _respec(input, s.shape[:d] + (1,) + s.shape[d:], s.strides[:d] + (step,) + s.strides[d:])


@remembered
def squeeze(input: Tensor, dim=None) -> Tensor:
    """Dimensions of size 1 removed: all, or those named."""
    s = input._spec
    rank = len(s.shape)
    if dim is None:
        drop = {i for i, n in enumerate(s.shape) if n == 1}
    else:
        named = [dim] if isinstance(dim, int) else dim
        drop = {d for d in (wrap_dim(d, rank) for d in named) if rank and s.shape[d] == 1}
    keep = [i for i in range(rank) if i not in drop]
    return _respec(input, [s.shape[i] for i in keep], [s.strides[i] for i in keep])


@remembered
def expand(input: Tensor, *size) -> Tensor:
    """Dimensions of size 1 repeated without copying; -1 keeps a size."""
    new = list(sizes(size))
    s = input._spec
    lead = len(new) - len(s.shape)
    if lead < 0:
        raise RuntimeError(
            f"expand({_kind(input)}{{{list(s.shape)}}}, size={new}): the number of sizes provided "
            f"({len(new)}) "
            f"must be greater or equal to the number of dimensions in the tensor ({len(s.shape)})"
        )
    strides = []
    for i, n in enumerate(new):
        if i < lead:
            if n == -1:
                raise RuntimeError(
                    f"The expanded size of the tensor ({n}) isn't allowed in a leading, "
                    "non-existing "
                    f"dimension {i}"
                )
            strides.append(0)  # set below
            continue
        have = s.shape[i - lead]
        if n == -1:
            n = new[i] = have
        if have == n:
            strides.append(s.strides[i - lead])
        elif have == 1:
            strides.append(0)
        else:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({have}) at "
                f"non-singleton dimension {i}.  Target sizes: {new}.  Tensor sizes: {list(s.shape)}"
            )
    for i in range(lead - 1, -1, -1):
        if new[i] == 1:
            strides[i] = new[i + 1] * strides[i + 1] if i + 1 < len(new) else 1
    return _respec(input, new, strides)


def _kind(x: Tensor) -> str:
    from .inplace import _NAMES

    return f"torch.{_NAMES[x.dtype.code]}Tensor"


def expand_as(input: Tensor, other: Tensor) -> Tensor:
    """`self.expand(other.size())`: a view in the shape of `other`."""
    return expand(input, other.shape)


def broadcast_to(input: Tensor, size) -> Tensor:
    """A view of shape `size`, dimensions of size 1 and missing ones repeated, others kept."""
    return expand(input, size)


@remembered
def narrow(input: Tensor, dim: int, start, length: int) -> Tensor:
    """`length` entries of dimension `dim` from `start`."""
    s = input._spec
    d = wrap_dim(dim, len(s.shape))
    if not s.shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (start.dim() or start.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    start = int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -s.shape[d] <= start <= s.shape[d]:
        raise IndexError(
            f"start out of range (expected to be in range of [{-s.shape[d]}, {s.shape[d]}], "
            f"but got {start})"
        )
    if start < 0:
        start += s.shape[d]
    if start + length > s.shape[d]:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({s.shape[d]})."
        )
    return _slice(input, d, start, length, 1)


def _slice(x: Tensor, d: int, start: int, length: int, step: int) -> Tensor:
    s = x._spec
    shape = s.shape[:d] + (length,) + s.shape[d + 1 :]
    strides = s.strides[:d] + (s.strides[d] * step,) + s.strides[d + 1 :]
    return _respec(x, shape, strides, s.offset + start * s.strides[d])


@remembered
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Entry `index` of dimension `dim`, which disappears."""
    s = input._spec
    if not s.shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, len(s.shape))
    n = s.shape[d]
    index = int(index)
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(s.shape)} at "
            f"dimension {d}"
        )
    index = index if index >= 0 else index + n
    return _respec(
        input,
        s.shape[:d] + s.shape[d + 1 :],
        s.strides[:d] + s.strides[d + 1 :],
        s.offset + index * s.strides[d],
    )


def split(input: Tensor, split_size, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts: of `split_size` each, or of the sizes listed."""
    s = input._spec
    d = wrap_dim(dim, len(s.shape))
    if not s.shape:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    n = s.shape[d]
    if isinstance(split_size, int):
        if split_size < 0 or (split_size == 0 and n):
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={split_size}"
                if split_size < 0
                else "split_size can only be 0 if dimension size is 0, but got dimension size "
                f"of {n}"
            )
        parts = _parts(n, split_size)
    else:
        parts = list(split_size)
        if not same(sum(parts), n):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size "
                "at "
                f"dimension {d}), but got split_sizes={parts}"
            )
    out, start = [], 0
    for length in parts:
        out.append(_slice(input, d, start, length, 1))
        start += length
    return tuple(out)


def _parts(n, size: int) -> list:
    """n cut into parts of `size`, the last one maybe smaller."""
    if n.__class__ is int:
        return [min(size, n - i) for i in range(0, n, size)] if n else [0]
    parts: list = []
    while size * (len(parts) + 1) < n:  # how many parts a symbolic size has becomes a guard
        parts.append(size)
    return [*parts, n - size * len(parts)]


_split_function = renamed(split, input="tensor", split_size="split_size_or_sections")


def split_with_sizes(input: Tensor, split_sizes, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of these sizes along `dim`; RuntimeError unless they add up to its size."""
    return split(input, list(split_sizes), dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` views of equal size (the last may be smaller)."""
    if not input._spec.shape:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input._spec.shape[wrap_dim(dim, input.dim())]
    if n == 0:
        return split(input, [0] * chunks, dim)
    if n.__class__ is not int:  # as many parts as asked for: that the last has a size is a guard
        size = -(-n // chunks)
        last = n - size * (chunks - 1)
        if 0 < last:
            return split(input, [size] * (chunks - 1) + [last], dim)
    return split(input, -(-n // chunks), dim)


def tensor_split(input: Tensor, indices_or_sections, dim: int = 0) -> tuple[Tensor, ...]:
    """Views split into sections of nearly equal size, or at the given indices."""
    d = wrap_dim(dim, input.dim())
    if not input._spec.shape:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    n = input._spec.shape[d]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        if k <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {k}")
        bounds = [i * (n // k) + min(i, n % k) for i in range(k + 1)]
        return tuple(_slice(input, d, a, b - a, 1) for a, b in zip(bounds, bounds[1:]))
    bounds = [0, *(slice(None, int(i)).indices(n)[1] for i in indices_or_sections), n]
    return tuple(_slice(input, d, min(a, n), max(0, b - a), 1) for a, b in zip(bounds, bounds[1:]))


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of every entry of dimension `dim`."""
    if not input._spec.shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, input.dim())
    return tuple(select(input, d, i) for i in range(input._spec.shape[d]))


@remembered
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions as a new last one."""
    s = input._spec
    a, b = wrap_dim(dim1, len(s.shape)), wrap_dim(dim2, len(s.shape))
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, cols = s.shape[a], s.shape[b]
    n = max(0, min(rows, cols - offset) if offset >= 0 else min(rows + offset, cols))
    start = s.offset
    if n:
        start += offset * s.strides[b] if offset >= 0 else -offset * s.strides[a]
    keep = [i for i in range(len(s.shape)) if i not in (a, b)]
    return _respec(
        input,
        [s.shape[i] for i in keep] + [n],
        [s.strides[i] for i in keep] + [s.strides[a] + s.strides[b]],
        start,
    )


@remembered
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Overlapping windows of `size` along a dimension, `step` apart, as a new last dimension."""
    s = input._spec
    d = wrap_dim(dimension, len(s.shape))
    n = s.shape[d] if s.shape else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if not s.shape:
        return _respec(input, (size,), (1,))
    stride = s.strides[d]
    shape = s.shape[:d] + ((n - size) // step + 1,) + s.shape[d + 1 :] + (size,)
    return _respec(input, shape, s.strides[:d] + (stride * step,) + s.strides[d + 1 :] + (stride,))


@remembered
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions start_dim to end_dim joined into one."""
    s = input._spec
    a, b = wrap_dim(start_dim, len(s.shape)), wrap_dim(end_dim, len(s.shape))
    if not s.shape:
        return reshape(input, (1,))
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if a == b:
        return input
    n = 1
    for size in s.shape[a : b + 1]:
        n *= size
    return reshape(input, tuple(s.shape[:a]) + (n,) + tuple(s.shape[b + 1 :]))


@remembered
def ravel(input: Tensor) -> Tensor:
    """One dimension: a view if the elements lie in order, else a copy."""
    return view(contiguous(input), (-1,))


@remembered
def unflatten(input: Tensor, dim: int, sizes) -> Tensor:
    """Dimension `dim` split into `sizes` (one of them may be -1)."""
    s = input._spec
    d = wrap_dim(dim, len(s.shape))
    try:
        parts = infer_shape(tuple(sizes), s.shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} "
            f"({s.shape[d]}) in the input tensor"
        ) from None
    return reshape(input, tuple(s.shape[:d]) + parts + tuple(s.shape[d + 1 :]))


def as_strided(input: Tensor, size, stride, storage_offset=None) -> Tensor:
    """A view with any sizes and strides over the same storage; RuntimeError if it leaves it."""
    s = input._spec
    offset = s.offset if storage_offset is None else storage_offset
    out = spec(s.dtype, tuple(size), tuple(stride), offset, s.device)
    low, high = out.span()
    if low < 0 or high * s.dtype.itemsize > input._st.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, "
            "and itemsize "
            f"{s.dtype.itemsize} requiring a storage size of {high * s.dtype.itemsize} are out of "
            "bounds "
            f"for storage of size {input._st.nbytes}"
        )
    return view_of(input, out)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """A view with two dimensions exchanged: `transpose`."""
    return transpose(input, axis0, axis1)


def _hermitian(input: Tensor) -> Tensor:
    if input.dim() not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {input.dim()}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if input.dim() > 2 else "")
        )
    return transpose(input, 0, 1).conj() if input.dim() else input.conj()


METHODS = (
    view, reshape, clone, contiguous, view_as, reshape_as, permute, transpose, t, movedim,
    unsqueeze,
    squeeze, expand, expand_as, broadcast_to, narrow, select, split, split_with_sizes, chunk,
    tensor_split, unbind, diagonal, unfold, flatten, ravel, unflatten, as_strided, swapaxes,
)  # fmt: skip
for _f in METHODS:
    setattr(Tensor, _f.__name__, numpy_names(_f))
Tensor.swapdims = renamed(swapaxes, axis0="dim0", axis1="dim1")
Tensor.moveaxis = movedim
Tensor.T = property(
    lambda self: permute(self, tuple(range(self.dim() - 1, -1, -1))),
    doc="A view with all dimensions in reverse order.",
)
Tensor.mT = property(
    lambda self: transpose(self, -2, -1), doc="A view with the last two dimensions exchanged."
)
Tensor.mH = property(
    lambda self: transpose(self, -2, -1).conj(), doc="`mT`, conjugated: the adjoint matrices."
)
Tensor.H = property(
    lambda self: _hermitian(self), doc="The adjoint of a matrix; RuntimeError for another rank."
)
Tensor.real = property(real, lambda self, value: real(self).copy_(value))
Tensor.imag = property(imag, lambda self, value: imag(self).copy_(value))
FUNCTIONS = (
    reshape, clone, permute, transpose, t, movedim, unsqueeze, squeeze, broadcast_to, narrow,
    select,
    _split_function, chunk, tensor_split, unbind, diagonal, flatten, ravel, unflatten, as_strided,
    swapaxes, real, imag, view_as_real, view_as_complex,
)  # fmt: skip
