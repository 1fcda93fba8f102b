"""Facts about types: `finfo`, `iinfo`, promotion and casting rules."""

from __future__ import annotations

import numpy as np

from tracec_ir import promote
from tracec_ir.dtypes import DType

from .tensor import Tensor

_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


class finfo:
    """Numerical limits of a floating-point dtype (the default dtype if none is given)."""

    def __init__(self, type: DType | None = None):
        dtype = (type or promote.default_float).to_real()
        if dtype.kind != "f":
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'{dtype}'"
            )
        if dtype.code == "bf16":
            import ml_dtypes

            info = ml_dtypes.finfo(ml_dtypes.bfloat16)
        else:
            info = np.finfo(dtype.numpy)
        self.bits, self.dtype = dtype.bits, dtype.name
        self.eps, self.max, self.min = float(info.eps), float(info.max), float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(info.resolution)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Numerical limits of an integer dtype."""

    def __init__(self, type: DType):
        if type.kind not in "iu":
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'"
            )
        info = np.iinfo(type.numpy)
        self.bits, self.dtype, self.min, self.max = (
            type.bits,
            type.name,
            int(info.min),
            int(info.max),
        )

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def is_tensor(obj) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype of `input` is a floating one (complex ones are not)."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype of `input` is a complex one."""
    return input.is_complex()


def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest dtype that holds both."""
    return promote.common(type1, type2)


def can_cast(from_: DType, to: DType) -> bool:
    """Whether PyTorch's rules allow an in-place result of `from_` in a tensor of dtype `to`."""
    if from_.kind in "i" and to.kind == "u" and from_ is not to:
        return True
    return _CATEGORY[from_.kind] <= _CATEGORY[to.kind]
