"""Activation functions."""

from __future__ import annotations

import math

from ..builder import Builder
from ..core import Op, Value
from ..dims import same
from ..optable import composite
from .common import as_float, axis, back, masked, spelled, take, where, wide
from .samples import each, of, unary


def _out(b: Builder, y: Value, x: Value) -> Value:
    """y in the dtype a floating-point function of x has."""
    return b.cast(y, as_float(b, x).dtype)


# The derivative of relu at 0 is 0; that of maximum would be split between its operands. A NaN lets
# the gradient through, as in PyTorch.
def _relu_vjp(b: Builder, op: Op, g: Value):
    return [where(b, b.le(op.results[0], 0), b.const(0, g.dtype), g)]


@composite(vjp=_relu_vjp, samples=unary(-3, 3))
def relu(b, x):
    """max(x, 0), elementwise."""
    if x.dtype.kind == "b":
        raise RuntimeError("Boolean inputs not supported for relu")
    return b.maximum(x, 0)


def _clip_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    low, high = op.attrs.get("min_val", 0), op.attrs.get("max_val", 6)
    return [masked(b, b.logical_and(b.gt(x, low), b.lt(x, high)), g)]


@composite(vjp=_clip_vjp, samples=unary(-8, 8))
def relu6(b, x):
    """min(max(x, 0), 6), elementwise."""
    return b.minimum(b.maximum(x, 0), 6)


@composite(vjp=_clip_vjp, samples=unary(-3, 3))
def hardtanh(b, x, *, min_val=-1.0, max_val=1.0):
    """x limited to [min_val, max_val], elementwise."""
    if x.dtype.kind == "b":
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if x.dtype.kind in "iu":
        min_val, max_val = int(min_val), int(max_val)
    return b.minimum(b.maximum(x, min_val), max_val)


# From the result: no exponential is evaluated again.
def _sigmoid_vjp(b: Builder, op: Op, g: Value):
    y = op.results[0]
    return [b.mul(g, b.mul(y, b.sub(1, y)))]


@composite(vjp=_sigmoid_vjp, samples=unary(-8, 8))
def sigmoid(b, x):
    """1 / (1 + exp(-x)), elementwise."""
    z = wide(b, x)
    return _out(b, b.reciprocal(b.add(b.exp(b.neg(z)), 1)), x)


def _silu_vjp(b: Builder, op: Op, g: Value):
    x = wide(b, op.operands[0])
    s = b.sigmoid(x)
    slope = b.mul(s, b.add(b.mul(x, b.sub(1, s)), 1))
    return [b.cast(b.mul(g, slope), op.operands[0].dtype)]


@composite(vjp=_silu_vjp, samples=unary(-8, 8))
def silu(b, x):
    """x * sigmoid(x), elementwise."""
    z = wide(b, x)
    return _out(b, b.mul(z, b.sigmoid(z)), x)


@composite(samples=each(unary(-4, 4), of("f3x4", approximate="tanh")))
def gelu(b, x, *, approximate="none"):
    """x times the probability that a standard normal variable is below x."""
    if x.dtype.kind not in "f":
        raise NotImplementedError(f"\"GeluKernelImpl\" not implemented for '{spelled(x.dtype)}'")
    z = wide(b, x)
    if approximate == "none":
        y = b.mul(b.mul(z, 0.5), b.add(b.erf(b.mul(z, math.sqrt(0.5))), 1))
    elif approximate == "tanh":
        inner = b.mul(b.add(z, b.mul(b.mul(b.mul(z, z), z), 0.044715)), math.sqrt(2 / math.pi))
        y = b.mul(b.mul(z, 0.5), b.add(b.tanh(inner), 1))
    else:
        raise RuntimeError("approximate argument must be either none or tanh.")
    return _out(b, y, x)


# x == 0 takes the slope of the negative side, as PyTorch.
@composite(samples=unary(-3, 3))
def leaky_relu(b, x, *, negative_slope=0.01):
    """x where positive, negative_slope * x elsewhere."""
    return where(b, b.gt(x, 0), x, b.mul(x, negative_slope))


@composite(autocast="half", samples=of("f2x3x2", "f3"))
def prelu(b, x, weight):
    """leaky_relu with one learned slope, or one per channel (dimension 1)."""
    if weight.rank > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.rank}"
        )
    if weight.rank == 1 and weight.shape[0] != 1:
        if x.rank == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.rank > 1 else 1
        if channels != weight.shape[0]:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.shape[0]} and channel size = {channels}."
            )
        weight = b.reshape(weight, (channels, *[1] * (x.rank - 2)))
    elif weight.rank == 1:
        weight = b.reshape(weight, ())
    return where(b, b.gt(x, 0), x, b.mul(x, weight))


@composite(samples=each(unary(-3, 3), of("f5", alpha=1.5)))
def elu(b, x, *, alpha=1.0, scale=1.0, input_scale=1.0):
    """scale * x where positive, scale * alpha * expm1(input_scale * x) elsewhere."""
    z = wide(b, x)
    positive = b.gt(z, 0)
    low = b.expm1(b.mul(where(b, positive, 0.0, z), input_scale))
    return _out(b, where(b, positive, b.mul(z, scale), b.mul(low, alpha * scale)), x)


@composite(samples=each(unary(-3, 3), of("f5", alpha=1.5)))
def celu(b, x, *, alpha=1.0):
    """x where positive, alpha * expm1(x / alpha) elsewhere."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return b.elu(x, alpha=alpha, scale=1.0, input_scale=1.0 / alpha)


@composite(samples=unary(-3, 3))
def selu(b, x):
    """elu with the constants that keep unit variance."""
    return b.elu(
        x, alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946
    )


@composite(samples=unary(-5, 5))
def hardsigmoid(b, x):
    """min(max(x + 3, 0), 6) / 6, elementwise."""
    return b.div(b.relu6(b.add(x, 3)), 6)


@composite(samples=unary(-5, 5))
def hardswish(b, x):
    """x * hardsigmoid(x), elementwise."""
    z = wide(b, x)
    middle = b.div(b.mul(z, b.add(z, 3)), 6)
    return _out(b, where(b, b.le(z, -3), 0.0, where(b, b.ge(z, 3), z, middle)), x)


@composite(samples=unary(-3, 3))
def hardshrink(b, x, *, lambd=0.5):
    """x outside [-lambd, lambd], 0 inside."""
    return masked(b, b.logical_not(b.logical_and(b.ge(x, -lambd), b.le(x, lambd))), x)


_LARGEST = {
    "f16": 65504.0, "bf16": 3.3895313892515355e38, "f32": 3.4028234663852886e38,
    "f64": 1.7976931348623157e308,
}  # fmt: skip


@composite(samples=unary(-3, 3))
def softshrink(b, x, *, lambd=0.5):
    """x moved towards 0 by lambd."""
    top = _LARGEST[x.dtype.code] if x.dtype.kind == "f" else math.inf
    if not 0 <= lambd <= top:
        raise RuntimeError(
            f"lambda must be in range [0, {top:g}] for input dtype "
            f"{spelled(x.dtype)}, but found {lambd:g}"
        )
    inside = b.mul(x, 0)  # keeps nan
    return where(
        b, b.gt(x, lambd), b.sub(x, lambd), where(b, b.lt(x, -lambd), b.add(x, lambd), inside)
    )


@composite(samples=of("f3x4", threshold=0.1, value=7.0))
def threshold(b, x, *, threshold, value):
    """x where above `threshold`, `value` elsewhere."""
    return where(b, b.le(x, threshold), b.const(value, x.dtype), x)


# exp is shared with the forward pass only where it did not saturate.
def _softplus_vjp(b: Builder, op: Op, g: Value):
    x, (beta, limit) = op.operands[0], (op.attrs["beta"], op.attrs["threshold"])
    z = b.mul(wide(b, x), beta)
    slope = where(b, b.gt(z, limit), 1.0, b.sigmoid(z))
    return [b.cast(b.mul(g, slope), x.dtype)]


@composite(vjp=_softplus_vjp, samples=each(unary(-5, 5), of("f3x4", beta=2.0, threshold=3.0)))
def softplus(b, x, *, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta, the identity where beta * x is above `threshold`."""
    z = b.mul(wide(b, x), beta)
    curve = b.div(b.log1p(b.exp(b.minimum(z, float(threshold)))), float(beta))
    return _out(b, where(b, b.gt(z, threshold), wide(b, x), curve), x)


@composite(samples=unary(-3, 3))
def softsign(b, x):
    """x / (1 + |x|), elementwise."""
    return b.div(x, b.add(b.abs(x), 1))


@composite(samples=unary(-3, 3))
def tanhshrink(b, x):
    """x - tanh(x), elementwise."""
    return b.sub(x, b.tanh(x))


@composite(samples=unary(-5, 5))
def mish(b, x):
    """x * tanh(softplus(x)), elementwise."""
    z = wide(b, x)
    return _out(b, b.mul(z, b.tanh(b.softplus(z))), x)


def _logsigmoid_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    return [b.cast(b.mul(g, b.sigmoid(b.neg(wide(b, x)))), x.dtype)]


@composite(vjp=_logsigmoid_vjp, samples=unary(-8, 8))
def logsigmoid(b, x):
    """log(sigmoid(x)) without overflow, elementwise."""
    z = wide(b, x)
    return _out(b, b.sub(b.minimum(z, 0.0), b.log1p(b.exp(b.neg(b.abs(z))))), x)


@composite(samples=of("f3x4", dim=1))
def glu(b, x, *, dim=-1):
    """The first half along `dim` times the sigmoid of the second."""
    if x.rank == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    ax = axis(x, dim)
    n = x.shape[ax]
    if not same(n % 2, 0):
        raise RuntimeError(f"Halving dimension must be even, but dimension {ax} is size {n}")
    return b.mul(take(b, x, ax, 0, n // 2), b.sigmoid(take(b, x, ax, n // 2, n)))


@composite(samples=of("f3x4", 7, 0, lower=0.1, upper=0.3))
def rrelu_train(b, x, seed, offset, *, lower, upper):
    """leaky_relu with slopes drawn uniformly from [lower, upper)."""
    u = b.cast(b.emit1("philox", seed, offset, shape=x.shape, dtype=wide(b, x).dtype), x.dtype)
    slope = b.add(b.mul(u, upper - lower), lower)
    return where(b, b.gt(x, 0), x, b.mul(x, slope))


def _clamp_vjp(b: Builder, op: Op, g: Value):
    x, low, high = op.operands
    inside = b.logical_and(b.ge(x, low), b.le(x, high))
    to_low = b.logical_and(b.lt(low, high), b.lt(x, low))
    to_high = b.logical_or(b.lt(high, low), b.gt(x, high))
    return [back(b, masked(b, m, g), v) for m, v in ((inside, x), (to_low, low), (to_high, high))]


@composite(
    vjp=_clamp_vjp, samples=each(of("f3x4", -1.0, 1.0), of("f3x4", "f4", "h3x1"), of("i5<9", 2, 5))
)
def clamp(b, x, min, max):
    """x limited to [min, max]; max wins where they cross."""
    return b.minimum(b.maximum(x, min), max)


def _clamp_one_vjp(compare: str):
    def vjp(b: Builder, op: Op, g: Value):
        x, bound = op.operands
        keep = b.apply(compare, (x, bound))[0]
        return [back(b, masked(b, keep, g), x), back(b, masked(b, b.logical_not(keep), g), bound)]

    return vjp


@composite(vjp=_clamp_one_vjp("ge"), samples=each(of("f3x4", 0.5), of("f3x4", "f4")))
def clamp_min(b, x, min):
    """x, but at least min."""
    return b.maximum(x, min)


@composite(vjp=_clamp_one_vjp("le"), samples=each(of("f3x4", 0.5), of("f3x4", "f4")))
def clamp_max(b, x, max):
    """x, but at most max."""
    return b.minimum(x, max)
