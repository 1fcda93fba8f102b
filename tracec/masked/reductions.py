"""PyTorch's ``torch.masked``: reductions and normalisations over the elements that a mask keeps."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tracec_ir import dtypes
from tracec_ir.dtypes import DType

from .. import ops
from ..record import apply
from ..tensor import Tensor

_INF = float("inf")


def _kept(input: Tensor, mask: Tensor | None, neutral: Any) -> Tensor:
    """input with `neutral` where the mask does not hold."""
    if mask is None:
        return input
    y = apply("where", (mask, input, neutral))
    return y if y.dtype is input.dtype else y.to(input.dtype)


def _count(input: Tensor, mask: Tensor | None, dim: Any, keepdim: bool) -> Tensor:
    ones = ops.where(mask, 1, 0) if mask is not None else ops.fill(input, 1).long()
    return ops.sum(ones.expand(tuple(input.shape)), dim, keepdim)


def _converted(input: Tensor, dtype: DType | None) -> Tensor:
    return input if dtype is None else input.to(dtype)


def _limits(dtype: DType) -> tuple[Any, Any]:
    """The smallest and the largest number of a dtype."""
    if dtype.kind == "f":
        return -_INF, _INF
    if dtype.kind == "b":
        return False, True
    signed = dtype.kind == "i"
    return (-(2 ** (dtype.bits - 1)) if signed else 0), 2 ** (dtype.bits - signed) - 1


def _wide(input: Tensor, dtype: DType | None) -> Tensor:
    """input in the dtype that sums and products have."""
    if dtype is None and input.dtype.kind in "biu":
        dtype = dtypes.i64
    return _converted(input, dtype)


def _over(input: Tensor, dim: Any) -> Any:
    if dim is None or dim == ():
        return tuple(range(input.dim()))
    return dim


def _of_masked(fn: Callable) -> Callable:
    """Decorator: `fn` also takes a MaskedTensor, whose mask counts as `mask` (with another one:
    what both keep); the result is a plain tensor."""

    @wraps(fn)
    def form(input: Any, *args: Any, **kwargs: Any) -> Tensor:
        if input.__class__ is not Tensor:
            from .tensor import MaskedTensor

            if isinstance(input, MaskedTensor):
                own, mask = input.get_mask(), kwargs.get("mask")
                kwargs["mask"] = own if mask is None else own & mask
                input = input.get_data()
        return fn(input, *args, **kwargs)

    return form


@_of_masked
def sum(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The sum of what the mask keeps."""
    return ops.sum(_kept(_wide(input, dtype), mask, 0), _over(input, dim), keepdim)


@_of_masked
def prod(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The product of what the mask keeps; a tensor without dimensions is its own."""
    over = _over(input, dim)
    kept = _kept(_wide(input, dtype), mask, 1)
    return kept if over == () else ops.prod(kept, over, keepdim)


@_of_masked
def cumsum(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The running sum of what the mask keeps."""
    return ops.cumsum(_kept(_wide(input, dtype), mask, 0), dim)


@_of_masked
def cumprod(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The running product of what the mask keeps."""
    return ops.cumprod(_kept(_wide(input, dtype), mask, 1), dim)


@_of_masked
def amax(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The largest element that the mask keeps."""
    x = _converted(input, dtype)
    return ops.amax(_kept(x, mask, _limits(x.dtype)[0]), _over(x, dim), keepdim)


@_of_masked
def amin(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The smallest element that the mask keeps."""
    x = _converted(input, dtype)
    return ops.amin(_kept(x, mask, _limits(x.dtype)[1]), _over(x, dim), keepdim)


@_of_masked
def argmax(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Where the largest element is that the mask keeps."""
    x = _converted(input, dtype)
    return ops.argmax(_kept(x, mask, _limits(x.dtype)[0]), dim, keepdim).to(x.dtype)


@_of_masked
def argmin(
    input: Tensor,
    dim: int | None = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """Where the smallest element is that the mask keeps."""
    x = _converted(input, dtype)
    return ops.argmin(_kept(x, mask, _limits(x.dtype)[1]), dim, keepdim).to(x.dtype)


@_of_masked
def mean(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The mean of what the mask keeps."""
    x = _converted(input, dtype)
    if x.dtype.kind not in "fc":
        raise ValueError(f"input type must be a floating point or complex type, got {x.dtype}")
    if mask is None:
        return ops.mean(x, _over(x, dim), keepdim)
    total = ops.sum(_kept(x, mask, 0), _over(x, dim), keepdim)
    return total / _count(x, mask, _over(x, dim), keepdim)


@_of_masked
def median(
    input: Tensor, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The lower median of what the mask keeps."""
    x = _converted(input, dtype)
    if mask is None:
        return ops.median(x, dim, keepdim)[0]
    return ops.nanmedian(_kept(x, mask, float("nan")), dim, keepdim)[0]


@_of_masked
def logsumexp(
    input: Tensor, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """log(sum(exp(x))) of what the mask keeps."""
    x = _converted(input, dtype)
    kept = _kept(x.float() if x.dtype.kind in "biu" else x, mask, -_INF)
    return ops.logsumexp(kept, _over(x, dim), keepdim).to(x.dtype)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Any = None,
    other_mask: Any = None,
) -> Tensor:
    """log(exp(x) + exp(y)) of what the masks keep."""
    x, y = _converted(input, dtype), _converted(other, dtype)
    return ops.logaddexp(_kept(x, input_mask, -_INF), _kept(y, other_mask, -_INF))


@_of_masked
def norm(
    input: Tensor,
    ord: Any = None,
    dim: Any = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The norm of the vector of what the mask keeps."""
    order = 2.0 if ord is None else float(ord)
    x = _kept(_converted(input, dtype), mask, _INF if order < 0 else 0)
    return ops.vector_norm(x, order, _over(x, dim), keepdim)


def _squares(
    input: Tensor, dim: Any, unbiased: Any, correction: Any, keepdim: bool, dtype: Any, mask: Any
) -> Tensor:
    x = _converted(input, dtype)
    if x.dtype.kind in "biu":
        x = x.float()
    if correction is None:
        correction = 0 if unbiased is False else 1
    over = _over(x, dim)
    n = _count(x, mask, over, True)
    mean_ = ops.sum(_kept(x, mask, 0), over, True) / n
    d = _kept(x - mean_, mask, 0)
    total = ops.sum(d * d.conj(), over, keepdim)
    left = _count(x, mask, over, keepdim) - correction
    return (total / ops.clamp_min(left, 0).to(x.dtype.to_real())).to(x.dtype)


@_of_masked
def var(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The variance of what the mask keeps."""
    return _squares(input, dim, unbiased, correction, keepdim, dtype, mask)


@_of_masked
def std(
    input: Tensor,
    dim: Any = None,
    unbiased: Any = None,
    *,
    correction: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The standard deviation of what the mask keeps."""
    return ops.sqrt(_squares(input, dim, unbiased, correction, keepdim, dtype, mask))


@_of_masked
def softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The softmax over what the mask keeps."""
    return ops.softmax(_kept(_converted(input, dtype), mask, -_INF), dim)


@_of_masked
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The logarithm of the softmax over what the mask keeps."""
    return ops.log_softmax(_kept(_converted(input, dtype), mask, -_INF), dim)


@_of_masked
def softmin(input: Tensor, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The softmax of -x over what the mask keeps."""
    return ops.softmax(-_kept(_converted(input, dtype), mask, _INF), dim)


@_of_masked
def normalize(
    input: Tensor, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Tensor:
    """What the mask keeps divided by its norm along `dim`."""
    x = _converted(input, dtype)
    size = ops.clamp_min(norm(x, ord, dim, keepdim=True, mask=mask), eps)
    return _kept(x, mask, 0) / size
