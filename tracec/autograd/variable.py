"""`Variable`, the old name of tensors that take part in differentiation."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


class _Kind(type):
    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, Tensor)


class Variable(metaclass=_Kind):
    """`Variable(x, requires_grad)` is a tensor on the memory of x; every tensor is an instance."""

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: Any = None) -> Any:
        if data is None:
            from ..creation import empty

            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        out = data.detach()
        return out.requires_grad_() if requires_grad else out
