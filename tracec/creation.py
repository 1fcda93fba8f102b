"""Making tensors: from Python data, NumPy and other libraries, and the factory functions."""

from __future__ import annotations

import numpy as np

from tracec_ir import dtypes, promote
from tracec_ir.dims import Poly
from tracec_ir.dtypes import DType
from tracec_runtime.memory import allocate, from_array

from . import record
from .device import CPU, Device, resolve
from .record import apply
from .spec import dense
from .tensor import Tensor, wrap
from .views import sizes


class Layout:
    """A memory layout. Tensors are `strided`; the sparse ones can be named, not made."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return "torch." + self.name


class MemoryFormat(Layout):
    """How dimensions are laid out; results are contiguous whatever is asked for."""


strided = Layout("strided")
sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc = map(
    Layout, ("sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")
)
contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last")
channels_last_3d = MemoryFormat("channels_last_3d")

_devices: list[Device] = []


def push_device(device: Device) -> None:
    _devices.append(resolve(device))


def pop_device() -> None:
    _devices.pop()


def _device(device) -> Device:
    if device is None:
        return _devices[-1] if _devices else CPU
    return resolve(device)


def set_default_device(device) -> None:
    """The device that factory functions use from now on."""
    _devices[:] = [] if device is None else [resolve(device)]


def get_default_device() -> Device:
    """The device that factory functions use: the CPU, unless set_default_device says otherwise."""
    return _device(None)


def set_default_dtype(d: DType) -> None:
    """The dtype of floating-point tensors made without one (float32 at the start)."""
    if not isinstance(d, DType) or d.kind != "f":
        raise TypeError("only floating-point types are supported as the default type")
    promote.set_default_float(d)
    record.set_context((d.code,))


def get_default_dtype() -> DType:
    """The floating dtype of Python floats and factory functions: float32 unless set otherwise."""
    return promote.default_float


def _finish(t: Tensor, requires_grad: bool) -> Tensor:
    if not requires_grad:
        return t
    if t._spec.dtype.kind not in "fc":
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return t.requires_grad_(True)


def _of_array(array: np.ndarray, requires_grad: bool = False) -> Tensor:
    """A tensor owning `array` (which nobody else holds)."""
    if array.base is not None or not array.flags.c_contiguous:
        array = array.copy(order="C")
    t = wrap(from_array(array), dense(dtypes.by_numpy(array.dtype), array.shape))
    return _finish(t, requires_grad)


_BOOLS, _INTS, _FLOATS, _COMPLEX = range(4)


def _scan(data) -> int:
    """The kind of the widest number in nested sequences."""
    if isinstance(data, bool):
        return _BOOLS
    if isinstance(data, int):
        return _INTS
    if isinstance(data, float):
        return _FLOATS
    if isinstance(data, complex):
        return _COMPLEX
    if isinstance(data, Tensor):
        kind = data.dtype.kind
        return (
            _BOOLS
            if kind == "b"
            else _INTS
            if kind in "iu"
            else _FLOATS
            if kind == "f"
            else _COMPLEX
        )
    if isinstance(data, (np.generic, np.ndarray)):
        return {"b": _BOOLS, "i": _INTS, "u": _INTS, "f": _FLOATS, "c": _COMPLEX}[data.dtype.kind]
    if isinstance(data, (list, tuple, range)):
        return max(map(_scan, data), default=-1)
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")


def _shape_of(data) -> tuple[int, ...]:
    if isinstance(data, Tensor):
        return tuple(data.shape)
    if isinstance(data, np.ndarray):
        return data.shape
    if not isinstance(data, (list, tuple, range)):
        return ()
    if not data:
        return (0,)
    first = _shape_of(data[0])
    for at, item in enumerate(data):
        if isinstance(item, (list, tuple, range)) != isinstance(data[0], (list, tuple, range)):
            raise TypeError(f"not a sequence: expected nested sequences of one depth at index {at}")
        have = _shape_of(item)
        if have != first:
            raise ValueError(
                f"expected sequence of length {first[0] if first else 0} at dim 1 (got "
                f"{have[0] if have else 0})"
            )
    return (len(data), *first)


def _plain(data):
    """Nested Python numbers, with tensors and arrays inside turned into them."""
    if isinstance(data, Tensor):
        return data.detach().tolist()
    if isinstance(data, (np.ndarray, np.generic)):
        return data.tolist()
    if isinstance(data, (list, tuple, range)):
        return [_plain(d) for d in data]
    return data


def tensor(
    data,
    *,
    dtype: DType | None = None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor copying `data`: a number, nested sequences, a NumPy array or a tensor.

    Without `dtype`, Python floats become the default dtype, ints int64, bools bool.
    Raises ValueError for ragged sequences, RuntimeError for data that is not numeric.
    """
    device = _device(device)
    if isinstance(data, Tensor):
        out = data.detach().clone() if dtype is None else data.detach().to(dtype=dtype, copy=True)
        return _finish(out, requires_grad)
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
        if array.dtype.byteorder == ">":
            raise ValueError(
                "given numpy array has byte order different from the native byte order. Conversion "
                "between byte orders is currently not supported."
            )
        kind = dtypes.by_numpy(array.dtype)
        return _of_array(
            array if dtype in (None, kind) else array.astype(dtype.numpy), requires_grad
        )
    kind = _scan(data)
    if dtype is None:
        dtype = (promote.default_float, dtypes.b1, dtypes.i64, promote.default_float,
                 promote.default_float.to_complex())[kind + 1]  # fmt: skip
    shape = _shape_of(data)
    try:
        array = np.array(_plain(data), dtype=dtype.numpy)
    except (OverflowError, ValueError):
        raise RuntimeError(
            f"value cannot be converted to type {dtype.name} without overflow"
        ) from None
    return _of_array(array.reshape(shape), requires_grad)


def as_tensor(data, dtype: DType | None = None, device=None) -> Tensor:
    """`data` as a tensor, sharing memory where dtype and device allow."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype or data.dtype, device=_device(device) if device else data.device)
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t if dtype is None or t.dtype is dtype else t.to(dtype)
    return tensor(data, dtype=dtype, device=device)


def asarray(
    obj,
    *,
    dtype: DType | None = None,
    device=None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`as_tensor`, copying if `copy` says so."""
    t = tensor(obj, dtype=dtype, device=device) if copy else as_tensor(obj, dtype, device)
    return _finish(t, requires_grad)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor sharing the memory of a NumPy array. TypeError for unsupported element types."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtype = dtypes.by_numpy(ndarray.dtype)
    if ndarray.flags.c_contiguous:
        return wrap(from_array(ndarray), dense(dtype, ndarray.shape))
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides "
            "are not currently supported. (You can probably work around this by making a copy of "
            "your "
            "array  with array.copy().) "
        )
    if any(s % ndarray.itemsize for s in ndarray.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy "
            "array to "
            "reallocate the memory."
        )
    from .spec import spec
    from .tensor import view_of

    buf = from_array(ndarray)
    flat = wrap(buf, dense(dtype, (buf.nbytes // ndarray.itemsize,)))
    strides = tuple(s // ndarray.itemsize for s in ndarray.strides)
    return view_of(flat, spec(dtype, ndarray.shape, strides, 0))


def from_dlpack(ext_tensor, *, device=None, copy: bool | None = None) -> Tensor:
    """A tensor on the memory of a DLPack exporter on the CPU, or, with `copy`, on its own."""
    _device(device)
    shared = from_numpy(np.from_dlpack(ext_tensor))
    return shared.clone() if copy else shared


def frombuffer(
    buffer, *, dtype: DType, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor on the memory of a Python buffer."""
    return _finish(from_numpy(np.frombuffer(buffer, dtype.numpy, count, offset)), requires_grad)


# -- factories ------------------------------------------------------------------------------------
def full(
    size,
    fill_value,
    *,
    out=None,
    dtype: DType | None = None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A tensor of shape `size` filled with one value."""
    if isinstance(fill_value, Tensor):
        dtype = dtype or fill_value.dtype
        fill_value = fill_value.item()
    dtype = _dtype_into(out, dtype, promote.scalar_dtype(_number_dtype(fill_value)))
    _device(device)
    t = apply(
        "full",
        (fill_value,),
        {
            "shape": _checked(sizes((size,) if isinstance(size, int) else (tuple(size),))),
            "dtype": dtype,
        },
    )
    return _give(t, out, requires_grad)


def _number_dtype(v) -> DType:
    from tracec_ir.builder import number_dtype

    return number_dtype(v)


def _checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


def _give(t: Tensor, out: Tensor | None, requires_grad: bool) -> Tensor:
    if out is not None:
        from .ops.arguments import given

        return given(out, t, quiet=True)
    return _finish(t, requires_grad)


def _dtype_into(out: Tensor | None, dtype: DType | None, default: DType) -> DType:
    if out is None:
        return dtype or default
    from .ops.arguments import dtype_into

    return dtype_into(out, dtype, default)


def _is_size(n) -> bool:
    return hasattr(n, "__index__") or isinstance(n, Poly)


def _check_size(name: str, size: tuple) -> None:
    """TypeError unless `size` is what f(2, 3) or f((2, 3)) may be given."""
    if len(size) == 1 and not isinstance(size[0], (tuple, list)):
        if not _is_size(size[0]):
            raise TypeError(
                f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
                f"{type(size[0]).__name__}"
            )
        return
    for i, n in enumerate(size[0] if len(size) == 1 else size, 1):
        if not _is_size(n):
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {i} with error "
                f'"type must be tuple of ints,but got {type(n).__name__}"'
            )


def _filled(value, size: tuple, dtype, device, requires_grad: bool, out) -> Tensor:
    _device(device)
    name = "ones" if value else "zeros"
    if dtype is not None and not isinstance(dtype, DType):
        raise TypeError(
            f"{name}(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}"
        )
    try:
        shape = sizes(size)
    except TypeError:
        _check_size(name, size)
        raise
    if not value and any(n < 0 for n in shape):
        raise RuntimeError("zeros: Dimension size must be non-negative.")
    dtype = _dtype_into(out, dtype, promote.default_float)
    t = apply("full", (value,), {"shape": _checked(shape), "dtype": dtype})
    return _give(t, out, requires_grad)


def zeros(
    *args,
    size=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names=None,
) -> Tensor:
    """Zeros of shape `size`."""
    return _filled(0, args if size is None else (size,), dtype, device, requires_grad, out)


def ones(
    *args,
    size=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names=None,
) -> Tensor:
    """Ones of shape `size`."""
    return _filled(1, args if size is None else (size,), dtype, device, requires_grad, out)


def empty(
    *args,
    size=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format=None,
    names=None,
) -> Tensor:
    """Uninitialised memory of shape `size`."""
    _device(device)
    shape = _checked(sizes(args if size is None else (size,), "size"))
    if out is not None:
        _dtype_into(out, dtype, out.dtype)
        return out.resize_(shape)
    s = dense(dtype or promote.default_float, shape)
    return _finish(wrap(allocate(s.nbytes), s), requires_grad)


def empty_strided(
    size,
    stride,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory with given strides."""
    from .spec import spec

    s = spec(dtype or promote.default_float, tuple(size), tuple(stride))
    flat = empty(s.span()[1], dtype=s.dtype)
    return _finish(flat.as_strided(size, stride, 0), requires_grad)


def empty_permuted(
    size,
    physical_layout,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uninitialised memory whose dimensions lie in the order `physical_layout`, outermost first."""
    shape, order = _checked(sizes((size,), "size")), tuple(physical_layout)
    rank = len(shape)
    if len(order) != rank:
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {rank} is not equal to len(physical_layout) = {len(order)}"
        )
    for i, d in enumerate(order):
        if not 0 <= d < rank:
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {rank - 1}, but got {d} at "
                f"index {i}).  NB: negative dims not currently supported; file an issue if you "
                "want it."
            )
    if len(set(order)) != rank:
        raise RuntimeError("Duplicate dim not allowed")
    laid = empty([shape[d] for d in order], dtype=dtype, device=device)
    return _finish(laid.permute([order.index(d) for d in range(rank)]), requires_grad)


def _like(x: Tensor, dtype) -> DType:
    return dtype or x.dtype


def zeros_like(
    input: Tensor,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    memory_format=None,
) -> Tensor:
    """Zeros in the shape of `input`, and in its dtype and on its device unless given."""
    return _filled(0, (tuple(input.shape),), _like(input, dtype), device, requires_grad, None)


def ones_like(
    input: Tensor,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    memory_format=None,
) -> Tensor:
    """Ones in the shape of `input`, and in its dtype and on its device unless given."""
    return _filled(1, (tuple(input.shape),), _like(input, dtype), device, requires_grad, None)


def full_like(
    input: Tensor,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    memory_format=None,
) -> Tensor:
    """A tensor of `fill_value` in the shape of `input`, and in its dtype unless given."""
    return full(
        tuple(input.shape),
        fill_value,
        dtype=_like(input, dtype),
        device=device,
        requires_grad=requires_grad,
    )


def empty_like(
    input: Tensor,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    memory_format=None,
) -> Tensor:
    """A tensor of unspecified values in the shape of `input`, and in its dtype unless given."""
    return empty(
        tuple(input.shape), dtype=_like(input, dtype), device=device, requires_grad=requires_grad
    )


def scalar_tensor(s, *, dtype=None, device=None, requires_grad: bool = False) -> Tensor:
    """The number s as a tensor without dimensions, in the default floating dtype unless given."""
    return full(
        (), s, dtype=dtype or promote.default_float, device=device, requires_grad=requires_grad
    )


def _host(array: np.ndarray, dtype: DType, out, requires_grad: bool) -> Tensor:
    return _give(_of_array(array.astype(dtype.numpy)), out, requires_grad)


def new_tensor(
    self: Tensor,
    data,
    *,
    dtype=None,
    device=None,
    requires_grad: bool = False,
    layout=None,
    pin_memory: bool = False,
) -> Tensor:
    """A copy of `data` in this tensor's dtype unless given."""
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_full(
    self: Tensor,
    size,
    fill_value,
    *,
    dtype=None,
    device=None,
    requires_grad: bool = False,
    layout=None,
    pin_memory=False,
) -> Tensor:
    """A tensor of `fill_value` in this tensor's dtype unless given."""
    return full(
        size, fill_value, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad
    )


def new_zeros(
    self: Tensor,
    *size,
    dtype=None,
    device=None,
    requires_grad: bool = False,
    layout=None,
    pin_memory=False,
) -> Tensor:
    """Zeros in this tensor's dtype unless given."""
    return zeros(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_ones(
    self: Tensor,
    *size,
    dtype=None,
    device=None,
    requires_grad: bool = False,
    layout=None,
    pin_memory=False,
) -> Tensor:
    """Ones in this tensor's dtype unless given."""
    return ones(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_empty(
    self: Tensor,
    *size,
    dtype=None,
    device=None,
    requires_grad: bool = False,
    layout=None,
    pin_memory=False,
) -> Tensor:
    """Unspecified values in this tensor's dtype unless given."""
    return empty(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_empty_strided(
    self: Tensor,
    size,
    stride,
    *,
    dtype=None,
    device=None,
    requires_grad: bool = False,
    layout=None,
    pin_memory=False,
) -> Tensor:
    """Unspecified values with these sizes and strides, in this tensor's dtype unless given."""
    return empty_strided(
        size, stride, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad
    )


for _f in (new_tensor, new_full, new_zeros, new_ones, new_empty, new_empty_strided):
    setattr(Tensor, _f.__name__, _f)
FUNCTIONS = (
    tensor, as_tensor, asarray, from_numpy, from_dlpack, frombuffer, full, zeros, ones, empty,
    empty_strided, empty_permuted, zeros_like, ones_like, full_like, empty_like, scalar_tensor,
    set_default_dtype, get_default_dtype, set_default_device, get_default_device,
)  # fmt: skip
