"""Random variables whose parameters are tensors: gamma, Poisson, binomial, categories, angles."""

from __future__ import annotations

import math
from typing import Any

from tracec_ir import promote

from ..random import draw
from ..record import apply
from ..tensor import Tensor
from .face import face


def _blocks(shape: Any, words: int) -> int:
    return (math.prod(shape) * words + 3) // 4


def _sampled(op: str, generator: Any, *operands: Tensor, attrs: Any = None) -> Tensor:
    """The op on its operands of one shape; every element consumes one block of four words."""
    seed, offset = draw(operands[0]._spec.numel, generator)
    return apply(op, (*operands, seed, offset), attrs)


def _floating(x: Tensor, name: str) -> None:
    if x.dtype.kind != "f":
        raise RuntimeError(f"\"{name}\" not implemented for '{promote._spelled(x.dtype)}'")


@face("torch")
def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson counts of these rates, in the dtype of input. RuntimeError for negative rates."""
    _floating(input, "poisson_cpu")
    return _sampled("poisson", generator, input)


@face("torch")
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """How many of `count` trials succeed with these probabilities; both of one floating dtype."""
    _floating(count, "binomial_cpu")
    if count.dtype is not prob.dtype:
        raise RuntimeError(
            f"Found dtype {promote._spelled(prob.dtype)} but expected "
            f"{promote._spelled(count.dtype)}"
        )
    shape = promote.broadcast_shapes(tuple(count.shape), tuple(prob.shape))
    return _sampled("binomial", generator, count.expand(shape), prob.expand(shape))


@face("torch", name="_standard_gamma")
def standard_gamma(self: Tensor, generator: Any = None, log: bool = False) -> Tensor:
    """Gamma variables of these shapes and rate 1, or their logarithms, which do not underflow."""
    _floating(self, "gamma_cpu")
    return _sampled("standard_gamma", generator, self, attrs=(("log", log),))


@face("torch", name="_standard_gamma_grad")
def standard_gamma_grad(self: Tensor, output: Tensor) -> Tensor:
    """How gamma variables `output` move with their shapes `self` at fixed quantiles."""
    return output * apply("standard_gamma_slope", (self, output.log()))


@face("torch", name="_sample_dirichlet")
def sample_dirichlet(self: Tensor, generator: Any = None) -> Tensor:
    """Points of the simplex, Dirichlet distributed with concentrations along the last dimension."""
    return standard_gamma(self, generator, True).softmax(-1)


@face("method", name="_von_mises")
def von_mises(self: Tensor, generator: Any = None) -> Tensor:
    """Angles in [-pi, pi] around 0 of the concentrations self."""
    return _sampled("von_mises", generator, self)


@face("torch", name="_categorical")
def categorical(
    weights: Tensor, size: tuple[int, ...], log: bool = False, generator: Any = None
) -> Tensor:
    """i64 of shape `size`, to which the leading dimensions of `weights` broadcast: categories drawn
    with probabilities proportional to the weights, or to their exponentials if `log`."""
    words = weights.shape[-1] * (2 if weights.dtype.code == "f64" else 1)
    seed, offset = draw(_blocks(size, words), generator)
    return apply("categorical", (weights.detach(), seed, offset), (("size", size), ("log", log)))
