"""MaskedTensor: a tensor with a mask that says which of its elements count."""

from __future__ import annotations

import builtins
import warnings
from typing import Any

from .. import ops
from ..autograd import backward as _backward
from ..spec import Spec, spec
from ..tensor import Tensor, view_of
from ..trie import Wrapped
from .printing import masked_text

_new = object.__new__
_DTYPES = ("f16", "f32", "f64", "b1", "i8", "i16", "i32", "i64")


class MaskedTensor(Tensor):
    """A tensor with a mask of its shape; where the mask is False the element does not count.

    MaskedTensor(data, mask, requires_grad=False) copies both and is a leaf. `data` may be bool, a
    signed integer or floating (not bfloat16). TypeError for other dtypes and for what is no plain
    tensor, ValueError for a mask of another shape.

    It holds two tensors. The recorder finds no storage in it and hands the operation to `lift`.
    """

    _masked_data: Tensor
    _masked_mask: Tensor

    def __new__(cls, data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
        _check(data, mask)
        if data.requires_grad:
            warnings.warn(
                "It is not recommended to create a MaskedTensor with a tensor that requires_grad. "
                "To avoid this, you can use data.detach().clone()",
                UserWarning,
                stacklevel=2,
            )
        if requires_grad and data.dtype.kind != "f":
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        out = of(data.detach().clone(), mask.clone())
        if requires_grad:
            out._masked_data.requires_grad_()
        return out

    # -- what the recorder and the methods of Tensor read -----------------------------------------
    @property
    def _st(self) -> Any:  # type: ignore[override]
        raise Wrapped(self)

    @property
    def _spec(self) -> Spec:  # type: ignore[override]
        return self._masked_data._spec

    @property
    def _rg(self) -> int:  # type: ignore[override]
        return self._masked_data._rg

    @property
    def _leaf(self) -> Any:  # type: ignore[override]
        return self._masked_data._leaf

    def lift(self, name: str, operands: tuple, attrs: Any) -> Any:
        """What the recorder does with op `name` on operands of which this is one.

        Returns MaskedTensors. TypeError for ops that have no masked form.
        """
        from .lift import lifted

        return lifted(name, operands, attrs)

    def viewed(self, spec_: Spec) -> MaskedTensor:
        """The MaskedTensor of the views that a spec describes of the data and of the mask.

        Shape and strides are the spec's; TypeError if it has another dtype.
        """
        data, mask = self._masked_data, self._masked_mask
        if spec_.dtype is not data.dtype:
            raise TypeError("a MaskedTensor cannot be viewed as another dtype")
        below = spec(
            mask.dtype, tuple(spec_.shape), tuple(spec_.strides), spec_.offset, spec_.device
        )
        return of(view_of(data, spec_), view_of(mask, below))

    def write(self, target: Any, value: Any, computed: bool) -> Any:
        """`target` with the data of an in-place form's result; its mask stays.

        TypeError for writes into plain tensors and for those that PyTorch does not have.
        """
        if not isinstance(target, MaskedTensor):
            raise TypeError("a MaskedTensor cannot be written into a Tensor: it has no mask")
        if not computed:
            raise TypeError("assigning to elements of a MaskedTensor is not implemented")
        data = value._masked_data if isinstance(value, MaskedTensor) else value
        fresh = of(data, target._masked_mask)
        target._masked_data, target._masked_mask = fresh._masked_data, fresh._masked_mask
        return target

    # -- the two parts ----------------------------------------------------------------------------
    def get_data(self) -> Tensor:
        """The data, those elements included that the mask hides; a view, with gradients."""
        return view_of(self._masked_data, self._masked_data._spec.canonical)

    def get_mask(self) -> Tensor:
        """The mask, a bool tensor of the same shape."""
        return self._masked_mask

    def to_tensor(self, value: Any) -> Tensor:
        """A plain tensor of the same shape and dtype with `value` where the mask is False."""
        return ops.masked_fill(self._masked_data, ~self._masked_mask, value)

    def to_dense(self, *args: Any, **kwargs: Any) -> MaskedTensor:
        """The MaskedTensor itself: its data are strided."""
        return self

    def is_sparse_coo(self) -> builtins.bool:
        """Whether the layout is sparse_coo: never."""
        return False

    def is_sparse_csr(self) -> builtins.bool:
        """Whether the layout is sparse_csr: never."""
        return False

    # -- values -----------------------------------------------------------------------------------
    def item(self) -> Any:
        """The element as a Python number. ValueError if the mask hides it, RuntimeError if there
        are several."""
        if self.numel() == 1 and not self._masked_mask.item():
            raise ValueError("item(): the only element of this MaskedTensor is masked out")
        return self._masked_data.item()

    def tolist(self) -> Any:
        """RuntimeError: lists have no masks."""
        raise RuntimeError(".tolist() is not supported for tensor subclasses, got MaskedTensor")

    def numpy(self, *, force: builtins.bool = False) -> Any:
        """RuntimeError: a mask has no place in an array."""
        raise RuntimeError(".numpy() is not supported for tensor subclasses.")

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return masked_text(self._masked_data.detach(), self._masked_mask)

    __str__ = __repr__

    def __reduce_ex__(self, protocol: Any) -> Any:
        parts = (self._masked_data.detach(), self._masked_mask, self.requires_grad)
        return MaskedTensor, parts

    def __deepcopy__(self, memo: dict) -> MaskedTensor:
        parts = (self._masked_data.detach(), self._masked_mask)
        return memo.setdefault(id(self), MaskedTensor(*parts, self.requires_grad))

    def copy_(self, src: Any, non_blocking: builtins.bool = False) -> MaskedTensor:
        """The data of `src`, cast and broadcast to this; the mask stays."""
        other = src._masked_data if isinstance(src, MaskedTensor) else src
        data = other.to(self.dtype).expand(tuple(self.shape)).clone()
        return self.write(self, data, True)

    # -- autograd ---------------------------------------------------------------------------------
    def requires_grad_(self, requires_grad: builtins.bool = True) -> MaskedTensor:
        """Marks a leaf as wanting a gradient (or not). RuntimeError for what cannot have one."""
        self._masked_data.requires_grad_(requires_grad)
        return self

    @property
    def requires_grad(self) -> builtins.bool:
        """Whether gradients are computed for the data."""
        return self._masked_data.requires_grad

    @requires_grad.setter
    def requires_grad(self, on: builtins.bool) -> None:
        self.requires_grad_(on)

    @property
    def grad(self) -> MaskedTensor | None:
        """The gradient of the data under the same mask, or None."""
        g = self._masked_data.grad
        return None if g is None else of(g, self._masked_mask)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._masked_data.grad = value._masked_data if isinstance(value, MaskedTensor) else value

    @property
    def grad_fn(self) -> Any:
        """The node of the graph that made the data; None for leaves."""
        return self._masked_data.grad_fn

    def backward(
        self, gradient: Any = None, retain_graph: Any = None, create_graph: Any = False,
        inputs: Any = None,
    ) -> None:  # fmt: skip
        """Adds the gradient of the data to the `.grad` of the leaves that they depend on.

        RuntimeError without `gradient` unless there is one element.
        """
        if isinstance(gradient, MaskedTensor):
            gradient = gradient.to_tensor(0)
        _backward(self._masked_data, gradient, retain_graph, create_graph, inputs=inputs)

    def detach(self) -> MaskedTensor:
        """The same data and mask without gradient history."""
        return of(self._masked_data.detach(), self._masked_mask)

    @property
    def data(self) -> MaskedTensor:
        """`detach()`."""
        return self.detach()


def _check(data: Any, mask: Any) -> None:
    """What may become a MaskedTensor, with PyTorch's errors."""
    for name, x in (("data", data), ("mask", mask)):
        if isinstance(x, MaskedTensor) or not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a Tensor")
    if mask.dtype.code != "b1":
        raise TypeError("mask must have dtype bool.")
    if data.dtype.code not in _DTYPES:
        raise TypeError(f"{data.dtype} is not supported in MaskedTensor.")
    if data.dim() != mask.dim():
        raise ValueError("data.dim() must equal mask.dim()")
    if data.shape != mask.shape:
        raise ValueError("data.size() must equal mask.size()")


def of(data: Tensor, mask: Tensor) -> MaskedTensor:
    """The MaskedTensor of a pair, without copies where the two lie in memory alike (so that one
    spec describes the views of both)."""
    _check(data, mask)
    a, b = data._spec, mask._spec
    if a.strides != b.strides or a.offset != b.offset:
        data, mask = data.clone(), mask.clone()
    out = _new(MaskedTensor)
    out._masked_data, out._masked_mask = data, mask
    return out


def masked_tensor(data: Any, mask: Any, requires_grad: bool = False) -> MaskedTensor:
    """A leaf with copies of `data` and `mask`, a bool tensor of the same shape.

    Errors as for MaskedTensor.
    """
    return MaskedTensor(data, mask, requires_grad)


def as_masked_tensor(data: Any, mask: Any) -> MaskedTensor:
    """`data` under `mask`, a bool tensor of the same shape, with the history of `data`.

    Gradients reach `data`, with zeros where the mask is False. Errors as for MaskedTensor.
    """
    _check(data, mask)
    if data.requires_grad:
        return of(ops.where(mask, data, data.detach()), mask.clone())
    return of(data.clone(), mask.clone())


def is_masked_tensor(obj: Any, /) -> builtins.bool:
    """Whether `obj` is a MaskedTensor."""
    return isinstance(obj, MaskedTensor)
