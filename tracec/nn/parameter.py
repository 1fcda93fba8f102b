"""Owns Parameter and Buffer: the tensors that a Module registers when they are assigned."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import tracec


class Parameter(tracec.Tensor):
    """A tensor that a Module lists among its parameters when assigned as an attribute."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if data is None:
            data = tracec.empty(0)
        return tracec.Tensor._make_subclass(cls, data.detach(), requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copy = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = copy
        if self.grad is not None:
            copy.grad = self.grad.detach().clone()
        return copy

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        return _rebuild_parameter, (type(self), self.data, self.requires_grad, OrderedDict())


def _rebuild_parameter(
    cls: type[Parameter], data: tracec.Tensor, requires_grad: bool, hooks: Any
) -> Parameter:
    return cls(data, requires_grad)


class Buffer(tracec.Tensor):
    """A tensor that a Module lists among its buffers when assigned as an attribute."""

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        if data is None:
            data = tracec.empty(0)
        buffer = tracec.Tensor._make_subclass(cls, data.detach(), data.requires_grad)
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
        return tracec.Tensor._make_subclass(cls, data, requires_grad)

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
        buffer = tracec.Tensor._make_subclass(cls, data, requires_grad)
        buffer.persistent = persistent
        return buffer
