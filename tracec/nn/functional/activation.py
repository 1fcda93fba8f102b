"""Owns the activation functions: single recorded operations, and their in-place forms."""

from __future__ import annotations

import warnings
from typing import Any

import tracec
from tracec import ops


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0).

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return ops.relu_(input) if inplace else ops.relu(input)


def relu6(input: Any, inplace: bool = False) -> Any:
    """x limited to [0, 6].

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x limited to a range.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    function = ops.hardtanh_ if inplace else ops.hardtanh
    return function(input, min_val, max_val)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x is above the threshold, else the value.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    function = ops.threshold_ if inplace else ops.threshold
    return function(input, threshold, value)


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return input.tanh()


def _copied_into(input: Any, result: Any, inplace: bool) -> Any:
    """The result, or the input that now holds it."""
    return input.copy_(result) if inplace else result


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """A sigmoid of three straight pieces.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return _copied_into(input, ops.hardsigmoid(input), inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """A swish of polynomial pieces.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return _copied_into(input, ops.hardswish(input), inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x times its sigmoid.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    result = ops.silu(input)
    return _copied_into(input, result, True) if inplace else result


def mish(input: Any, inplace: bool = False) -> Any:
    """x times tanh of its softplus.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return _copied_into(input, ops.mish(input), inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x, or alpha (exp(x) - 1) below zero.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return _copied_into(input, ops.elu(input, alpha), inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x, or alpha (exp(x / alpha) - 1) below zero.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return _copied_into(input, ops.celu(input, alpha), inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """The ELU that keeps mean and variance.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return _copied_into(input, ops.selu(input), inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x, or a fraction of it below zero.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    result = ops.leaky_relu(input, negative_slope)
    return _copied_into(input, result, True) if inplace else result


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """A leaky ReLU whose slope is drawn at random in training.

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if training:
        slope = tracec.empty_like(input, requires_grad=False).uniform_(lower, upper)
        factor = tracec.where(input.detach() <= 0, slope, 1.0)
        return input.mul_(factor) if inplace else input * factor
    return leaky_relu(input, (lower + upper) / 2, inplace)


def relu_(input: Any) -> Any:
    """relu, in place."""
    return relu(input, True)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """hardtanh, in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """threshold, in place."""
    return ops.threshold_(input, threshold, value)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """elu, in place."""
    return elu(input, alpha, True)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """celu, in place."""
    return celu(input, alpha, True)


def selu_(input: Any) -> Any:
    """selu, in place."""
    return selu(input, True)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """leaky_relu, in place."""
    return leaky_relu(input, negative_slope, True)


def rrelu_(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    """rrelu, in place."""
    return rrelu(input, lower, upper, training, True)


def glu(input: Any, dim: int = -1) -> Any:
    """One half of the input gated by the other.

    With halves a and b of `input` along `dim`, a * sigmoid(b) (Dauphin et al., 2016): `dim` is
    halved. RuntimeError for an odd size, IndexError if there is no such dimension.
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    return ops.glu(input, dim)


def softsign(input: Any) -> Any:
    """x / (1 + |x|).

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return ops.softsign(input)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x).

    Elementwise, in the shape and dtype of `input`; with `inplace` the result is written into
    `input`. 16-bit floats are computed in float32 and rounded once. RuntimeError for bool and
    complex tensors.
    """
    return ops.tanhshrink(input)


def _implicit_dim(name: str, dimensions: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if dimensions in (0, 1, 3) else 1


def softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) divided by its sum.

    `input` has any shape, the result the same; the slices along `dim` are positive and sum to 1: y
    = exp(x - m) / sum(exp(x - m)) with their maximum m, so that nothing overflows. Floating tensors
    only (RuntimeError otherwise) unless `dtype` casts first; 16-bit floats are computed in float32.
    IndexError if there is no such dimension; without `dim` a warning, and dimension 0 of 0-, 1- and
    3-d inputs, else 1.
    """
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel)
    return ops.softmax(input, dim, dtype=dtype)


def log_softmax(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """The logarithm of the softmax.

    x - m - log(sum(exp(x - m))) along `dim` with the maximum m: finite where `log(softmax(x))` is
    not. Shape of `input`; floating tensors (RuntimeError otherwise) unless `dtype` casts first.
    IndexError if there is no such dimension.
    """
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel)
    return ops.log_softmax(input, dim, dtype=dtype)


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """The softmax of -x.

    See `softmax` for `dim`, `dtype` and the errors.
    """
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel)
    return ops.softmax(-input, dim, dtype=dtype)


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A differentiable sample of one-hot vectors.

    softmax((logits + g) / tau) with independent Gumbel numbers g (Jang et al., 2016; Maddison et
    al., 2016), in the shape of `logits`. With `hard` the result is one-hot and the gradient that of
    the soft sample.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = -tracec.empty_like(logits, requires_grad=False).exponential_().log()
    soft = ops.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    chosen = tracec.zeros_like(logits, requires_grad=False).scatter_(dim, index, 1.0)
    # The value of the choice with the gradient of the soft sample.
    return chosen - soft.detach() + soft
