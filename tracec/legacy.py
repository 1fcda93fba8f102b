"""The old constructors `Tensor(2, 3)`, `FloatTensor([...])`, `x.new(...)`, and the type objects."""

from __future__ import annotations

from tracec_ir import dtypes, promote
from tracec_ir.dtypes import DType

from .inplace import _NAMES
from .spec import Size
from .tensor import Tensor


def construct(dtype: DType, args: tuple) -> Tensor:
    """An uninitialised tensor of the sizes given, or one of the data given, in `dtype`.

    A tensor of that dtype is shared; TypeError for one of another.
    """
    from .creation import empty, tensor
    from .storages import TypedStorage, UntypedStorage

    if not args:
        return empty(0, dtype=dtype)
    data = args[0]
    if len(args) > 1 or isinstance(data, (int, Size)) and not isinstance(data, bool):
        return empty(*args, dtype=dtype)
    if isinstance(data, Tensor):
        if data.dtype is not dtype:
            raise TypeError(
                f"expected TensorOptions(dtype={dtype.name}, device=cpu) "
                f"(got TensorOptions(dtype={data.dtype.name}, device={data.device}))"
            )
        return data.detach()
    if isinstance(data, (TypedStorage, UntypedStorage)):
        return empty(0, dtype=dtype).set_(data)
    if isinstance(data, (float, bool)):
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    found = tensor(data)
    return found if found.dtype is dtype else found.to(dtype)


def new_of_class(cls, args: tuple, device=None) -> Tensor:
    """`Tensor(...)`, or a subclass's instance over the same memory."""
    if device is not None and str(device).partition(":")[0] != "cpu":
        raise RuntimeError(f"legacy constructor expects device type: cpu but device type: {device} "
                           "was passed")  # fmt: skip
    dtype = promote.default_float
    if args and isinstance(args[0], Tensor):
        dtype = args[0].dtype
    out = construct(dtype, args)
    if cls is Tensor:
        return out
    t = object.__new__(cls)
    t._st, t._spec, t._rg = out._st, out._spec, 0
    return t


class TensorType:
    """`torch.FloatTensor` and its like: a constructor, and what `isinstance` and `type()` know."""

    def __init__(self, dtype: DType, module: str = "torch"):
        self.dtype, self.__module__ = dtype, module
        self.__name__ = self.__qualname__ = _NAMES[dtype.code] + "Tensor"
        self.is_cuda, self.is_sparse = module == "torch.cuda", False

    def __call__(self, *args, device=None) -> Tensor:
        if self.is_cuda:
            raise TypeError(
                f"type torch.cuda.{self.__name__} not available. Torch not compiled with CUDA "
                "enabled."
            )
        return construct(self.dtype, args)

    def __instancecheck__(self, x) -> bool:
        return isinstance(x, Tensor) and x.dtype is self.dtype and x.is_cuda == self.is_cuda

    def __repr__(self) -> str:
        return f"<class '{self.__module__}.{self.__name__}'>"

    def __reduce__(self):
        return tensor_type, (self.__name__, self.__module__)


_types: dict[tuple[str, str], TensorType] = {}


def tensor_type(name: str, module: str = "torch") -> TensorType | None:
    """The type object of that name, such as "FloatTensor"; None if there is none."""
    found = _types.get((name, module))
    if found is None:
        for code, prefix in _NAMES.items():
            if prefix + "Tensor" == name:
                return _types.setdefault((name, module), TensorType(dtypes.by_code(code), module))
    return found


def set_default_tensor_type(t) -> None:
    """The dtype of floating-point tensors made without one, given as a type (deprecated)."""
    from .creation import set_default_dtype

    if isinstance(t, str):
        t = tensor_type(t.rpartition(".")[2], t.rpartition(".")[0] or "torch")
    if not isinstance(t, TensorType):
        raise TypeError("invalid type object: only floating-point types are supported as the "
                        "default type")  # fmt: skip
    if t.is_cuda:
        raise TypeError(f"type {t.__module__}.{t.__name__} not available. Torch not compiled with "
                        "CUDA enabled.")  # fmt: skip
    set_default_dtype(t.dtype)
