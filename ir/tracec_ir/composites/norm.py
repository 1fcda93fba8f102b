"""Normalisations: batch, layer, group, instance, root mean square, local response."""

from __future__ import annotations

from .. import dims, dtypes
from ..builder import Builder
from ..core import Op, Value
from ..dims import Dim
from ..optable import composite
from .common import count, mean_over, same_shape, shape_text, wide
from .samples import each, of


def _moments(b: Builder, x: Value, over, eps: float) -> tuple[Value, Value, Value]:
    """x minus its mean, the (biased) variance and 1 / sqrt(variance + eps) along `over`."""
    d = b.sub(x, mean_over(b, x, over, True))
    v = mean_over(b, b.mul(d, d), over, True)
    return d, v, b.rsqrt(b.add(v, eps))


def _input_grad(b: Builder, normal: Value, scale: Value, g: Value, over) -> Value:
    """The gradient through (x - mean) * scale, from its result `normal` and the cotangent g."""
    shift = mean_over(b, g, over, True)
    turn = mean_over(b, b.mul(g, normal), over, True)
    return b.mul(scale, b.sub(b.sub(g, shift), b.mul(normal, turn)))


def _affine(b: Builder, y: Value, weight: Value | None, bias: Value | None, shape) -> Value:
    if weight is not None:
        y = b.mul(y, b.reshape(wide(b, weight), shape))
    if bias is not None:
        y = b.add(y, b.reshape(wide(b, bias), shape))
    return y


def _affine_grads(b: Builder, op: Op, first: int, normal: Value, g: Value, kept_axes) -> list:
    """Gradients of weight and bias, as far as they are operands from number `first` on."""
    out = []
    over = [i for i in range(g.rank) if i not in kept_axes]
    for operand, term in zip(op.operands[first:], (b.mul(g, normal), g), strict=False):
        out.append(b.cast(b.reshape(b.reduce(term, "sum", over), operand.shape), operand.dtype))
    return out


# -- layer norm -----------------------------------------------------------------------------------
def _layer_axes(x: Value, normalized_shape) -> tuple[int, ...]:
    k = len(normalized_shape)
    if k == 0:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    if k > x.rank or any(
        not dims.same(s, n) for s, n in zip(x.shape[x.rank - k :], normalized_shape, strict=True)
    ):
        text = shape_text(normalized_shape)
        stars = ", ".join(["*", *map(str, normalized_shape)])
        raise RuntimeError(
            f"Given normalized_shape={text}, expected input with shape [{stars}], but got input "
            "of size"
            f"{shape_text(x.shape)}"
        )
    return tuple(range(x.rank - k, x.rank))


# In terms of the normalised rows: forward and backward are one row kernel each.
def _layer_norm_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    over = _layer_axes(x, op.attrs["normalized_shape"])
    z, g = wide(b, x), wide(b, g)
    d, _, scale = _moments(b, z, over, op.attrs["eps"])
    normal = b.mul(d, scale)
    gy = b.mul(g, wide(b, op.operands[1])) if len(op.operands) > 1 else g
    dx = b.cast(_input_grad(b, normal, scale, gy, over), x.dtype)
    return [dx, *_affine_grads(b, op, 1, normal, g, over)]


@composite(
    vjp=_layer_norm_vjp,
    samples=each(
        of("f3x4", "f4", "f4", normalized_shape=(4,)), of("f2x3x4", normalized_shape=(3, 4))
    ),
)
def layer_norm(b, x, weight=None, bias=None, *, normalized_shape, eps=1e-05):
    """x brought to mean 0 and variance 1 over its last dimensions, then scaled and shifted."""
    over = _layer_axes(x, normalized_shape)
    _check_param(weight, normalized_shape, "weight")
    _check_param(bias, normalized_shape, "bias")
    d, _, scale = _moments(b, wide(b, x), over, eps)
    y = _affine(b, b.mul(d, scale), weight, bias, normalized_shape)
    return b.cast(y, x.dtype)


def _check_param(param: Value | None, shape, name: str) -> None:
    if param is not None and not same_shape(param.shape, shape):
        raise RuntimeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
            f"{shape_text(param.shape)} and normalized_shape = {shape_text(shape)}"
        )


@composite(samples=of("f3x4", "f4", "f4", normalized_shape=(4,), eps=1e-5))
def native_layer_norm(b, x, weight=None, bias=None, *, normalized_shape, eps):
    """layer_norm with the mean and the reciprocal deviation it used."""
    over = _layer_axes(x, normalized_shape)
    _check_param(weight, normalized_shape, "weight")
    _check_param(bias, normalized_shape, "bias")
    z = wide(b, x)
    mean = mean_over(b, z, over, True)
    d = b.sub(z, mean)
    scale = b.rsqrt(b.add(mean_over(b, b.mul(d, d), over, True), eps))
    y = _affine(b, b.mul(d, scale), weight, bias, normalized_shape)
    return b.cast(y, x.dtype), b.cast(mean, x.dtype), b.cast(scale, x.dtype)


def _rms_norm_vjp(b: Builder, op: Op, g: Value):
    x = op.operands[0]
    over = _layer_axes(x, op.attrs["normalized_shape"])
    z, g = wide(b, x), wide(b, g)
    scale = _rms_scale(b, z, over, op.attrs["eps"])
    normal = b.mul(z, scale)
    gy = b.mul(g, wide(b, op.operands[1])) if len(op.operands) > 1 else g
    turn = mean_over(b, b.mul(gy, normal), over, True)
    dx = b.cast(b.mul(scale, b.sub(gy, b.mul(normal, turn))), x.dtype)
    return [dx, *_affine_grads(b, op, 1, normal, g, over)]


def _rms_scale(b: Builder, z: Value, over, eps) -> Value:
    if eps is None:
        eps = {"f64": 2.220446049250313e-16}.get(z.dtype.code, 1.1920928955078125e-07)
    return b.rsqrt(b.add(mean_over(b, b.mul(z, z), over, True), eps))


@composite(vjp=_rms_norm_vjp, samples=of("f3x4", "f4", normalized_shape=(4,), eps=1e-6))
def rms_norm(b, x, weight=None, *, normalized_shape, eps=None):
    """x divided by the root mean square over its last dimensions, then scaled."""
    over = _layer_axes(x, normalized_shape)
    _check_param(weight, normalized_shape, "weight")
    z = wide(b, x)
    y = b.mul(z, _rms_scale(b, z, over, eps))
    return b.cast(_affine(b, y, weight, None, normalized_shape), x.dtype)


# -- batch norm -----------------------------------------------------------------------------------
def _channels(x: Value) -> Dim:
    """The number of channels; PyTorch counts none in a tensor of one dimension."""
    return x.shape[1] if x.rank > 1 else 0


def _channel_shape(x: Value) -> list:
    return [x.shape[1] if i == 1 else 1 for i in range(x.rank)]


def _batch_axes(x: Value) -> tuple[int, ...]:
    return tuple(i for i in range(x.rank) if i != 1)


def _check_channels(x: Value, param: Value, name: str) -> None:
    if not same_shape(param.shape, (_channels(x),)):
        raise RuntimeError(
            f"{name} should contain {_channels(x)} elements not {dims.product(param.shape)}"
        )


def _check_not_flat(x: Value) -> None:
    """IndexError for a tensor of one dimension that has elements: they have no channel."""
    if not dims.same(x.shape[0], 0):
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")


def _split(op_operands, affine: bool) -> tuple[list, list]:
    """(weight and bias, running statistics and momentum) of the operands after x."""
    rest = list(op_operands[1:])
    return (rest[:2], rest[2:]) if affine else ([], rest)


# As layer_norm's; the running statistics carry no gradient.
def _batch_norm_train_vjp(b: Builder, op: Op, g: Value | None, *_rest):
    x = op.operands[0]
    if g is None:
        return [None] * len(op.operands)
    if x.rank < 2:
        params, tracked = _split(op.operands, op.attrs["affine"])
        return [b.zeros_like(v) for v in (x, *params)] + [None] * len(tracked)
    over = _batch_axes(x)
    params, tracked = _split(op.operands, op.attrs["affine"])
    z, g = wide(b, x), wide(b, g)
    d, _, scale = _moments(b, z, over, op.attrs["eps"])
    normal = b.mul(d, scale)
    gy = b.mul(g, b.reshape(wide(b, params[0]), _channel_shape(x))) if params else g
    grads = [b.cast(_input_grad(b, normal, scale, gy, over), x.dtype)]
    if params:
        grads += _affine_grads(b, op, 1, normal, g, (1,))[:2]
    return grads + [None] * len(tracked)


@composite(
    vjp=_batch_norm_train_vjp,
    samples=each(
        of("f3x2x2", "f2", "f2", affine=True, eps=1e-5),
        of("n3x2", "n2", "n2", 0.1, affine=False, eps=1e-5),
    ),
)
def batch_norm_train(b, x, *rest, affine, eps):
    """Batch norm with the statistics of x. Operands after x: weight and bias if `affine`, then, if
    they are tracked, running mean, running variance and momentum; their new values are results."""
    if x.rank == 0:
        raise IndexError("tuple index out of range")
    params, tracked = _split((x, *rest), affine)
    for name, value in zip(("running_mean", "running_var"), tracked, strict=False):
        _check_channels(x, value, name)
    for name, value in zip(("weight", "bias"), params, strict=False):
        _check_channels(x, value, name)
    if x.rank == 1:
        _check_not_flat(x)
        return (x, *tracked[:2]) if tracked else x
    over = _batch_axes(x)
    n = count(b, x, over, wide(b, x).dtype)
    if n == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"torch.Size({shape_text(x.shape)})"
        )
    z = wide(b, x)
    mean = mean_over(b, z, over, True)
    d = b.sub(z, mean)
    v = mean_over(b, b.mul(d, d), over, True)
    y = b.mul(d, b.rsqrt(b.add(v, eps)))
    weight, bias = params or (None, None)
    y = b.cast(_affine(b, y, weight, bias, _channel_shape(x)), x.dtype)
    if not tracked:
        return y
    running_mean, running_var, momentum = tracked
    unbiased = b.mul(v, b.div(n, b.sub(n, 1)) if not isinstance(n, int) else n / (n - 1))
    return y, *(
        _moving(b, old, b.reshape(b.detach(new), old.shape), momentum)
        for old, new in ((running_mean, mean), (running_var, unbiased))
    )


def _moving(b: Builder, old: Value, new: Value, momentum: Value) -> Value:
    rest = b.cast(b.sub(1.0, b.cast(momentum, dtypes.f64)), wide(b, old).dtype)
    kept = b.mul(wide(b, old), rest)
    return b.cast(b.add(kept, b.mul(new, momentum)), old.dtype)


@composite(samples=of("f3x2x2", "f2", "p2", "f2", "f2", eps=1e-5))
def batch_norm_eval(b, x, running_mean, running_var, weight=None, bias=None, *, eps):
    """Batch norm with given statistics."""
    if x.rank == 0:
        raise IndexError("tuple index out of range")
    for name, value in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if value is not None:
            _check_channels(x, value, name)
    if x.rank == 1:
        _check_not_flat(x)
        return x
    shape = _channel_shape(x)
    scale = b.rsqrt(b.add(wide(b, running_var), eps))
    d = b.sub(wide(b, x), b.reshape(wide(b, running_mean), shape))
    y = b.mul(d, b.reshape(scale, shape))
    return b.cast(_affine(b, y, weight, bias, shape), x.dtype)


@composite(samples=of("f3x2x2", "f2", "f2", affine=True, training=True, eps=1e-5))
def native_batch_norm(b, x, *rest, affine, training, eps):
    """batch norm with the mean and the reciprocal deviation it used (empty outside training)."""
    if training:
        out = b.apply("batch_norm_train", (x, *rest), {"affine": affine, "eps": eps})
        d, _, scale = _moments(b, wide(b, x), _batch_axes(x), eps)
        mean = mean_over(b, wide(b, x), _batch_axes(x))
        return out[0], b.cast(mean, x.dtype), b.reshape(b.cast(scale, x.dtype), (x.shape[1],))
    params, (mean, var, *_) = _split((x, *rest), affine)
    y = b.batch_norm_eval(x, mean, var, *params, eps=eps)
    return y, b.full(0, x.dtype, (0,)), b.full(0, x.dtype, (0,))


# -- groups and instances -------------------------------------------------------------------------
def _grouped(b: Builder, x: Value, groups: int) -> Value:
    n, c = x.shape[:2]
    return b.reshape(x, (n, groups, (c // groups) * dims.product(x.shape[2:])))


def _group_norm_vjp(b: Builder, op: Op, g: Value):
    x, groups = op.operands[0], op.attrs["num_groups"]
    z, g = wide(b, x), wide(b, g)
    d, _, scale = _moments(b, _grouped(b, z, groups), (2,), op.attrs["eps"])
    normal = b.mul(d, scale)
    gy = (
        b.mul(g, b.reshape(wide(b, op.operands[1]), _channel_shape(x)))
        if len(op.operands) > 1
        else g
    )
    dx = _input_grad(b, normal, scale, _grouped(b, gy, groups), (2,))
    grads = _affine_grads(b, op, 1, b.reshape(normal, x.shape), g, (1,))
    return [b.cast(b.reshape(dx, x.shape), x.dtype), *grads]


@composite(vjp=_group_norm_vjp, samples=of("f2x4x3", "f4", "f4", num_groups=2))
def group_norm(b, x, weight=None, bias=None, *, num_groups, eps=1e-05):
    """x brought to mean 0 and variance 1 within groups of channels, then scaled and shifted."""
    if x.rank < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.rank}")
    if not dims.same(x.shape[1] % num_groups, 0):
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input "
            "of shape "
            f"{shape_text(x.shape)} and num_groups={num_groups}"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and not same_shape(value.shape, (x.shape[1],)):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in "
                "input, but got "
                f"{name} of shape {shape_text(value.shape)} and input of shape "
                f"{shape_text(x.shape)}"
            )
    d, _, scale = _moments(b, _grouped(b, wide(b, x), num_groups), (2,), eps)
    y = b.reshape(b.mul(d, scale), x.shape)
    return b.cast(_affine(b, y, weight, bias, _channel_shape(x)), x.dtype)


@composite(samples=of("f2x4x3", "f4", "f4", num_groups=2, eps=1e-5))
def native_group_norm(b, x, weight=None, bias=None, *, num_groups, eps):
    """group_norm with the means and reciprocal deviations it used."""
    z = _grouped(b, wide(b, x), num_groups)
    mean = mean_over(b, z, (2,))
    _, _, scale = _moments(b, z, (2,), eps)
    y = b.apply(
        "group_norm",
        [v for v in (x, weight, bias) if v is not None],
        {"num_groups": num_groups, "eps": eps},
    )[0]
    return y, b.cast(mean, x.dtype), b.cast(b.reshape(scale, mean.shape), x.dtype)


@composite(samples=of("f2x3x4", "f3", "f3", eps=1e-5))
def instance_norm(b, x, weight=None, bias=None, *, eps):
    """x brought to mean 0 and variance 1 within each channel of each sample."""
    if x.rank < 3:
        raise RuntimeError(
            "Expected more than 1 spatial element when training, got input size "
            f"{shape_text(x.shape)}"
        )
    args = [v for v in (x, weight, bias) if v is not None]
    return b.apply("group_norm", args, {"num_groups": x.shape[1], "eps": eps})[0]


@composite(samples=of("f2x5x3", size=3))
def local_response_norm(b, x, *, size, alpha=1e-4, beta=0.75, k=1.0):
    """x divided by a power of the mean square over neighbouring channels."""
    if x.rank < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input (got {x.rank} "
            "dimensions)"
        )
    if dims.same(dims.product(x.shape), 0):
        return x
    squares = b.mul(x, x)
    low, high = [0] * x.rank, [0] * x.rank
    low[1], high[1] = size // 2, (size - 1) // 2
    padded = b.emit1(
        "pad",
        squares,
        b.const(0, x.dtype),
        low=tuple(low),
        high=tuple(high),
        interior=(0,) * x.rank,
    )
    total = None
    for i in range(size):
        starts, stops = [0] * x.rank, list(x.shape)
        starts[1], stops[1] = i, i + x.shape[1]
        part = b.emit1(
            "slice", padded, starts=tuple(starts), stops=tuple(stops), steps=(1,) * x.rank
        )
        total = part if total is None else b.add(total, part)
    # the mean of integers is an integer
    mean = b.idiv(total, size) if x.dtype.kind in "iu" else b.div(total, size)
    return b.div(x, b.pow(b.add(b.mul(mean, alpha), k), beta))
