"""Owns Parameter and Buffer: the tensors that a Module registers when they are assigned."""

from __future__ import annotations

from typing import Any

import tracec


def _adopt(cls: type, data: tracec.Tensor, requires_grad: bool) -> Any:
    """A leaf of class ``cls`` on the memory of ``data``."""
    source = data.detach()
    tensor = object.__new__(cls)
    tensor._st, tensor._spec, tensor._rg = source._st, source._spec, 0
    return tensor.requires_grad_(True) if requires_grad else tensor


class Parameter(tracec.Tensor):
    """A tensor that a Module lists among its parameters when assigned as an attribute."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        return _adopt(cls, tracec.empty(0) if data is None else data, requires_grad)

    def __repr__(self, **options: Any) -> str:
        return "Parameter containing:\n" + super().__repr__(**options)


class Buffer(tracec.Tensor):
    """A tensor that a Module lists among its buffers when assigned as an attribute."""

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            data = tracec.empty(0)
        buffer = _adopt(cls, data, data.requires_grad)
        buffer.persistent = persistent
        return buffer


def is_lazy(parameter: Any) -> bool:
    """Whether the parameter waits for its shape (see nn.LazyLinear)."""
    return isinstance(parameter, UninitializedTensorMixin)


class UninitializedTensorMixin:
    """What lazy parameters and buffers share: no shape until ``materialize``."""

    cls_to_become: type

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Give the tensor its shape, in place; its values stay uninitialised."""
        self.data = tracec.empty(
            shape,
            device=self.data.device if device is None else device,
            dtype=self.data.dtype if dtype is None else dtype,
        )
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape the first forward decides."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        data = tracec.empty(0, device=device, dtype=dtype)
        return _adopt(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, tracec.Tensor):
    """A buffer whose shape the first forward decides."""

    cls_to_become = tracec.Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = tracec.empty(0, device=device, dtype=dtype)
        buffer = _adopt(cls, data, requires_grad)
        buffer.persistent = persistent
        return buffer
