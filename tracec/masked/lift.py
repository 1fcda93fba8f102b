"""What an operation makes of MaskedTensors: it is applied to their data, and to their masks what
the kind of the operation asks for."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..record import apply
from ..tensor import Tensor
from . import reductions
from .tensor import MaskedTensor, of

# the operations that PyTorch lifts, by the names of the op table
ELEMENTWISE = frozenset(
    """abs acos acosh add add_scaled angle asin asinh atan atan2 atanh bitwise_and bitwise_not
    bitwise_or bitwise_xor cast ceil clamp clamp_max clamp_min clone conj cos cosh deg2rad
    digamma div div_trunc eq erf erfc erfinv exp exp2 expm1 floor floor_divide fmax fmin fmod
    frac ge gt i0 isfinite isinf isnan le lgamma log log10 log1p log2 logaddexp logaddexp2
    logit lt maximum minimum mul nan_to_num ne neg next_after pow rad2deg reciprocal remainder
    round round_decimals rsqrt sgn shl shr sigmoid sign signbit sin sinc sinh sqrt square sub
    sub_scaled tan tanh trunc""".split()
)
STRUCTURAL = frozenset("cat stack gather index broadcast im2col col2im".split())
REDUCTIONS = frozenset("sum mean prod amax amin argmax argmin all vector_norm var std".split())


def lifted(name: str, operands: tuple, attrs: Any) -> Any:
    """`apply(name, operands, attrs)` where operands are MaskedTensors.

    Elementwise operations need equal masks (ValueError); plain tensors among their operands are
    taken as they are. TypeError for operations that a mask gives no meaning to.
    """
    if name in ELEMENTWISE:
        return _elementwise(name, operands, attrs)
    if name in STRUCTURAL:
        if name in ("gather", "index") and any(isinstance(x, MaskedTensor) for x in operands[1:]):
            raise TypeError(f"{name}(): an index must not be a MaskedTensor")
        return of(
            apply(name, tuple([_data(x) for x in operands]), attrs),
            apply(name, tuple([_mask(x) for x in operands]), attrs),
        )
    if name in REDUCTIONS:
        return _reduced(name, operands[0], dict(attrs or ()))
    if name == "softmax":
        return _softmax(operands[0], **dict(attrs or ()))
    if name == "where" and not isinstance(operands[0], MaskedTensor):
        return _where(*operands)
    raise TypeError(f"{name}() is not implemented for a MaskedTensor")


def _data(x: Any) -> Any:
    return x._masked_data if isinstance(x, MaskedTensor) else x


def _mask(x: Any) -> Any:
    return x._masked_mask if isinstance(x, MaskedTensor) else x


def _elementwise(name: str, operands: tuple, attrs: Any) -> Any:
    masks = [x._masked_mask for x in operands if isinstance(x, MaskedTensor)]
    mask = masks[0]
    for other in masks[1:]:
        if not _match(mask, other):
            raise ValueError(
                "Input masks must match. If you need support for this, please open an issue on "
                "Github."
            )
    data = apply(name, tuple([_data(x) for x in operands]), attrs)
    return _over(data, mask)


def _over(data: Tensor, mask: Tensor) -> MaskedTensor:
    """The pair, with the mask broadcast to the data."""
    return of(data, mask if mask.shape == data.shape else mask.expand(tuple(data.shape)))


def _match(a: Tensor, b: Tensor) -> bool:
    """Whether two masks of one rank hold the same after broadcasting."""
    if a._st is b._st and a._spec is b._spec:
        return True
    return a.dim() == b.dim() and (a == b).all().item()


def _reduced(name: str, x: MaskedTensor, attrs: dict) -> MaskedTensor:
    data, mask = x._masked_data, x._masked_mask
    dim, keepdim = attrs.pop("dim", None), attrs.pop("keepdim", False)
    over = None if dim == () else dim
    if name == "all":
        result = ops.all(data | ~mask if data.dtype.kind == "b" else ops.where(mask, data, 1), over,
                         keepdim)  # fmt: skip
    else:
        fn = getattr(reductions, "norm" if name == "vector_norm" else name)
        result = fn(data, dim=over, keepdim=keepdim, mask=mask, **attrs)
    return of(result, ops.any(mask, over, keepdim))


def _softmax(x: MaskedTensor, dim: int, dtype: Any = None) -> MaskedTensor:
    mask = x._masked_mask
    return of(reductions.softmax(x._masked_data, dim, dtype=dtype, mask=mask), mask)


def _where(condition: Tensor, x: Any, y: Any) -> MaskedTensor:
    """Data and masks chosen alike; what has no mask is kept everywhere."""
    masks = tuple([_mask(v) if isinstance(v, MaskedTensor) else True for v in (x, y)])
    data = apply("where", (condition, _data(x), _data(y)))
    return _over(data, apply("where", (condition, *masks)))
