"""How a tensor looks into its storage: dtype, shape, strides, offset and device, interned.

Equal specs are one object, so the recorder compares them with `is` and uses them as dictionary
keys.
Strides and offset count elements of `dtype`.
"""

from __future__ import annotations

from tracec_ir.dtypes import DType

from .device import CPU, Device


class Spec:
    """An interned view description; make it with `spec` or `dense`.

    `views` keeps the specs of views that were asked for before (see `views.remembered`).
    """

    __slots__ = (
        "dtype",
        "shape",
        "strides",
        "offset",
        "device",
        "numel",
        "contiguous",
        "canonical",
        "views",
        "_type",
    )

    def __repr__(self) -> str:
        return f"Spec({self.dtype.code}, {self.shape}, {self.strides}, {self.offset})"

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    @property
    def type(self):
        """The IR type of a value with this dtype and shape."""
        if self._type is None:
            from tracec_ir.types import TensorType

            self._type = TensorType(self.dtype, self.shape)
        return self._type

    def span(self) -> tuple[int, int]:
        """The lowest and one past the highest element offset that the spec addresses."""
        if self.numel == 0:
            return self.offset, self.offset
        low = high = self.offset
        for size, stride in zip(self.shape, self.strides):
            if stride > 0:
                high += (size - 1) * stride
            else:
                low += (size - 1) * stride
        return low, high + 1

    def overlaps(self) -> bool:
        """Whether two indices may address one element (by the sorted-strides test; may say yes
        for rare interleaved layouts that do not overlap)."""
        dims = sorted((st, sz) for sz, st in zip(self.shape, self.strides) if sz > 1)
        reach = 1
        for stride, size in dims:
            if stride < reach:
                return True
            reach = stride * (size - 1) + reach
        return False


_interned: dict[tuple, Spec] = {}
_dense: dict[tuple, Spec] = {}


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a contiguous tensor of this shape."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        # a symbolic size counts as more than 1: the stride of a dimension of size 1 says nothing
        step *= size if size.__class__ is not int or size > 1 else 1
    return tuple(reversed(strides))


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size != 1:
            if size == 0:
                return True
            if stride != step:
                return False
            step *= size
    return True


def spec(
    dtype: DType,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int = 0,
    device: Device = CPU,
) -> Spec:
    """The spec with these properties."""
    key = (dtype.code, shape, strides, offset, device)
    s = _interned.get(key)
    if s is None:
        if len(_interned) > 100_000:
            _interned.clear()
            _dense.clear()
        s = object.__new__(Spec)
        s.dtype, s.shape, s.strides, s.offset, s.device = (
            dtype,
            Size(shape),
            strides,
            offset,
            device,
        )
        s.numel = 1
        for size in shape:
            s.numel *= size
        s.contiguous = _is_contiguous(shape, strides)
        s._type, s.views = None, {}
        s.canonical = s
        _interned[key] = s
    return s


def private(s: Spec) -> Spec:
    """A copy of `s` that is not interned: no other tensor has it, `canonical` is the shared one."""
    copy = object.__new__(Spec)
    for name in Spec.__slots__:
        setattr(copy, name, getattr(s, name))
    return copy


def dense(dtype: DType, shape: tuple[int, ...], device: Device = CPU) -> Spec:
    """The spec of a whole contiguous storage."""
    key = (dtype.code, shape, device)
    s = _dense.get(key)
    if s is None:
        s = spec(dtype, shape, row_major(shape), 0, device)
        if fixed(shape):
            _dense[key] = s
    return s


def fixed(values: tuple) -> bool:
    """Whether sizes (or nested tuples of them) are plain ints or None, not symbols."""
    return all(
        v.__class__ is int or v is None or v.__class__ in (tuple, Size) and fixed(v) for v in values
    )


VIEWS_KEPT = 4096  # specs of views that one spec keeps


class Size(tuple):
    """A shape: a tuple of ints with `numel()`, printed as PyTorch prints it."""

    __slots__ = ()

    def numel(self) -> int:
        """The product of the sizes."""
        n = 1
        for size in self:
            n *= size
        return n

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index):
        out = tuple.__getitem__(self, index)
        return Size(out) if isinstance(index, slice) else out

    def __add__(self, other):
        return Size(tuple.__add__(self, tuple(other)))
