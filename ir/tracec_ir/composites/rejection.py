"""Random variables that need rejection or a search: a block of four words each, see
`prims.sampling`; and categories, which need a race."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Op, Value
from ..optable import composite
from .common import where, wide
from .random import _no_information, uniform_01
from .samples import of


def _host(b: Builder, fn: str, *operands: Value, options: tuple = ()) -> Any:
    return b.emit1("host", *operands, fn=fn, options=options)


def _counter(b: Builder, *numbers: Value) -> list[Value]:
    return [b.cast(n, dtypes.i64) for n in numbers]


def _gamma_vjp(b: Builder, op: Op, g: Value) -> list:
    a, y = wide(b, op.operands[0]), wide(b, op.results[0])
    if op.attrs["log"]:
        slope = b.standard_gamma_slope(a, y)
    else:  # a variable that underflowed to 0 has a gradient of 0
        tiny = 2.0**-1022 if y.dtype is dtypes.f64 else 2.0**-126
        slope = b.mul(b.standard_gamma_slope(a, b.log(b.maximum(y, tiny))), y)
    return [b.cast(b.mul(wide(b, g), slope), g.dtype), None, None]


# Rejection has no derivative of its own: this one keeps the distribution function's value.
@composite(vjp=_gamma_vjp, samples=of("h5", 7, 0))
def standard_gamma(b, a, seed, offset, *, log=False):
    """Gamma variables of shape a (a tensor) and rate 1, or their logarithms; four words."""
    x = wide(b, a)
    return b.cast(_host(b, "gamma_draw", x, *_counter(b, seed, offset), options=(log,)), a.dtype)


def _no_slope(b: Builder, op: Op, g: Value):
    raise NotImplementedError("the derivative for '_standard_gamma_grad' is not implemented.")


@composite(vjp=_no_slope, refuses=True, samples=of("h5", "p5"))
def standard_gamma_slope(b, a, log_x):
    """How the logarithm of a gamma variable moves with its shape a at a fixed quantile."""
    return _host(b, "gamma_slope", a, log_x)


@composite(vjp=_no_information, samples=of("h5", 7, 0))
def poisson(b, rate, seed, offset):
    """Poisson counts of these rates; four words."""
    x = wide(b, rate)
    return b.cast(_host(b, "poisson_draw", x, *_counter(b, seed, offset)), rate.dtype)


@composite(vjp=_no_information, samples=of(lambda: np.full(4, 9.0, np.float32), "p4", 7, 0))
def binomial(b, count, p, seed, offset):
    """Successes among `count` trials of probability p (same shape and dtype); four words."""
    n, q = wide(b, count), wide(b, p)
    return b.cast(_host(b, "binomial_draw", n, q, *_counter(b, seed, offset)), count.dtype)


@composite(nondiff=True, samples=of("h5", 7, 0))
def von_mises(b, concentration, seed, offset):
    """Angles around 0; four words."""
    k = wide(b, concentration)
    y = _host(b, "von_mises_draw", k, *_counter(b, seed, offset))
    return b.cast(y, concentration.dtype)


@composite(nondiff=True, samples=of("p2x4", 7, 0, size=(3, 2)))
def categorical(b, weights, seed, offset, *, size, log=False):
    """i64 of shape `size`: categories with probabilities proportional to the weights (or to the
    exponential of them) along the last dimension; a word (float64: two) per weight.

    The first of exponential variables of these rates to arrive: -log(u) / weight.
    """
    w = wide(b, weights)
    u = uniform_01(b, seed, offset, (*size, w.shape[-1]), w.dtype)
    half = 2.0**-54 if w.dtype is dtypes.f64 else 2.0**-25
    late = b.neg(b.log(b.add(u, half)))
    arrival = b.mul(late, b.exp(b.neg(w))) if log else b.div(late, w)
    arrival = where(b, b.isnan(arrival), float("inf"), arrival)  # a weight of 0: never
    return b.emit1("argreduce", arrival, kind="min", axis=len(size))
