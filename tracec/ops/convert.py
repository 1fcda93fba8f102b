"""Conversions of dtype, copying and filling in place."""

from __future__ import annotations

from typing import Any

from tracec_ir import dtypes
from tracec_ir.dtypes import DType
from tracec_ir.promote import _spelled, broadcast_shapes

from ..device import Device, resolve
from ..record import apply, assign, unary
from ..tensor import Tensor
from .arguments import given, mixed, need_tensor
from .face import add as list_as
from .face import face

_METHODS = {
    "float": dtypes.f32, "double": dtypes.f64, "half": dtypes.f16, "bfloat16": dtypes.bf16,
    "int": dtypes.i32, "long": dtypes.i64, "short": dtypes.i16, "char": dtypes.i8,
    "byte": dtypes.u8,
    "bool": dtypes.b1, "cfloat": dtypes.c64, "cdouble": dtypes.c128,
}  # fmt: skip


def converted(x: Tensor, dtype: DType) -> Tensor:
    """x in a dtype; x itself if it has that already."""
    return x if x._spec.dtype is dtype else apply("cast", (x,), (("dtype", dtype),))


def _conversion(name: str, dtype: DType) -> None:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        if self._spec.dtype is not dtype:
            return apply("cast", (self,), (("dtype", dtype),))
        return self if memory_format is None else _laid_out(self, memory_format)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"The tensor as {dtype.name}."
    list_as(method, "method", name)


def _laid_out(x: Tensor, memory_format: Any) -> Tensor:
    """x itself, or a contiguous copy where another layout is asked for."""
    if str(memory_format) == "torch.preserve_format":
        return x
    return x.contiguous(memory_format=memory_format)


for _name, _dtype in _METHODS.items():
    _conversion(_name, _dtype)


@face("method")
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor in another dtype or on another device: to(dtype), to(device, dtype), to(other).

    Returns the tensor itself if nothing changes, unless `copy`. Floating to integer cuts towards
    zero; gradients pass between floating dtypes.
    """
    if len(args) == 1 and not kwargs and args[0].__class__ is DType:
        return converted(self, args[0])
    dtype, device = kwargs.pop("dtype", None), kwargs.pop("device", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    memory_format = kwargs.pop("memory_format", None)
    if "other" in kwargs:
        args = (kwargs.pop("other"), *args)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    for i, arg in enumerate(args):
        if isinstance(arg, DType):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg.device
        elif isinstance(arg, bool):
            copy = copy or (arg and i >= len(args) - 1 and i >= 2)
        elif isinstance(arg, (str, Device, int)):
            device = arg
        elif arg is not None:
            raise TypeError(
                f"to() received an invalid combination of arguments - got ({type(arg).__name__})"
            )
    result = self if dtype is None else converted(self, dtype)
    if device is not None:
        result = _on(result, resolve(device))
    if memory_format is not None:
        result = _laid_out(result, memory_format)
    return result.clone() if copy and result is self else result


def _on(x: Tensor, device: Device) -> Tensor:
    if device.type == x.device.type:
        return x
    if device.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    raise NotImplementedError(f"tensors on device '{device}'")


@face("method")
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU."""
    return _on(self, resolve("cpu"))


@face("method")
def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Tensor:
    """The tensor on the GPU."""
    return _on(self, resolve("cuda" if device is None else device))


@face("method")
def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, or the tensor in another dtype."""
    if dtype is None:
        return f"torch.{_LEGACY[self.dtype.code]}"
    if isinstance(dtype, str):
        code = next((c for c, n in _LEGACY.items() if dtype.endswith(n)), None)
        if code is None:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = dtypes.by_code(code)
    elif not isinstance(dtype, DType):
        if getattr(dtype, "is_cuda", False):
            raise TypeError(
                f"type torch.cuda.{dtype.__name__} not available. Torch not compiled with CUDA "
                "enabled."
            )
        dtype = getattr(dtype, "dtype", dtype)
        if not isinstance(dtype, DType):
            raise RuntimeError(f"invalid type object: {dtype!r}")
    return converted(self, dtype)


_LEGACY = {
    "f32": "FloatTensor", "f64": "DoubleTensor", "f16": "HalfTensor", "bf16": "BFloat16Tensor",
    "i64": "LongTensor", "i32": "IntTensor", "i16": "ShortTensor", "i8": "CharTensor",
    "u8": "ByteTensor", "b1": "BoolTensor", "c64": "ComplexFloatTensor",
    "c128": "ComplexDoubleTensor",
}  # fmt: skip


@face("method")
def chalf(self: Tensor, memory_format: Any = None) -> Tensor:
    """Complex numbers of two float16: a dtype that does not exist here. NotImplementedError."""
    raise NotImplementedError("the dtype complex32 (chalf)")


@face("method")
def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A tensor of this dtype: of the sizes, or with the data, given."""
    from ..legacy import construct

    return construct(self.dtype, args)


@face("method")
def apply_(self: Tensor, callable: Any) -> Tensor:
    """callable(element) written over every element, one Python call each."""
    _no_grad_needed(self, "apply_")
    return _rewritten(self, [callable(v) for v in self.detach().reshape(-1).tolist()])


@face("method")
def map_(self: Tensor, tensor: Tensor, callable: Any) -> Tensor:
    """callable(element, element of tensor) written over every element; tensor is broadcast."""
    _no_grad_needed(self, "map_")
    _no_grad_needed(tensor, "map_")
    others = tensor.expand(tuple(self.shape)).reshape(-1).tolist()
    pairs = zip(self.detach().reshape(-1).tolist(), others, strict=True)
    return _rewritten(self, [callable(a, b) for a, b in pairs])


def _no_grad_needed(x: Tensor, name: str) -> None:
    if x.requires_grad:
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )


def _rewritten(x: Tensor, values: list) -> Tensor:
    from ..creation import tensor

    return assign(x, tensor(values, dtype=x.dtype).reshape(tuple(x.shape)))


@face("method")
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of another."""
    return converted(self, other.dtype)


@face("method")
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """The elements of src, broadcast, written into the tensor."""
    shape = self._spec.shape
    if isinstance(src, Tensor) and src._spec.shape != shape:
        made = broadcast_shapes(shape, src._spec.shape)
        if len(made) != len(shape):
            raise RuntimeError(
                f"output with shape {list(shape)} doesn't match the broadcast shape {list(made)}"
            )
    return assign(self, src)


@face("method")
def fill_(self: Tensor, value: Any) -> Tensor:
    """One value written everywhere."""
    if isinstance(value, Tensor) and value.dim():
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.dim()} "
            "dimensions."
        )
    if value is None or isinstance(value, (str, list, tuple)):
        mixed("fill_", value)
    return assign(self, value)


@face("method torch")
def zero_(self: Tensor) -> Tensor:
    """Zeros written everywhere."""
    return assign(self, 0)


@face("torch method")
def conj(input: Tensor) -> Tensor:
    """The complex conjugate; real tensors are their own."""
    return unary("conj", input) if input.dtype.kind == "c" else input


@face("torch method", inplace=True)
def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex conjugate; real tensors are their own."""
    return given(out, conj(input))


@face("torch method")
def resolve_conj(input: Tensor) -> Tensor:
    """input itself: conjugation is never pending."""
    return input


@face("torch method")
def resolve_neg(input: Tensor) -> Tensor:
    """input itself: negation is never pending."""
    return input


@face("torch method")
def is_conj(input: Tensor) -> bool:
    """Whether conjugation is pending: never, conjugates are computed."""
    return False


@face("torch method")
def is_neg(input: Tensor) -> bool:
    """Whether negation is pending: never, negatives are computed."""
    return False


@face("torch")
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """real + i * imag, broadcast; both float32 or both float64.

    RuntimeError where their dtypes differ or are others.
    """
    need_tensor(real, "complex", "real")
    need_tensor(imag, "complex", "imag", 2)
    floats = ("f32", "f64", "f16")
    if real.dtype.code not in floats or imag.dtype.code not in floats:
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{_scalar_type(real)} and {_scalar_type(imag)}"
        )
    if real.dtype is not imag.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {_scalar_type(real)} but got scalar type "
            f"{_scalar_type(imag)} for second argument"
        )
    if real.dtype.code == "f16":
        raise NotImplementedError("complex(): the dtype complex32 (chalf) of float16 parts")
    result = apply("complex", (real, imag))
    if out is not None and out.dtype is not result.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {_scalar_type(result)} but got scalar type "
            f"{_scalar_type(out)} for argument 'out'"
        )
    return given(out, result)


def _scalar_type(x: Tensor) -> str:
    return _spelled(x.dtype)


@face("torch")
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """abs * (cos(angle) + i * sin(angle)), for lengths and angles (in radians) of one dtype."""
    need_tensor(abs, "polar", "abs")
    need_tensor(angle, "polar", "angle", 2)
    return given(out, apply("polar", (abs, angle)))


@face("torch method")
def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero."""
    return bool(input)


@face("torch")
def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The dtype that arithmetic of the two has."""
    from tracec_ir import promote

    from ..infer import scalar_type

    types = [t._spec.type if isinstance(t, Tensor) else scalar_type(t) for t in (tensor1, tensor2)]
    return promote.result_type(types)
