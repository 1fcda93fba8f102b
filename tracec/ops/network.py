"""The operations of neural networks: activations, convolutions, pooling, normalisation, losses."""

from __future__ import annotations

from typing import Any

from ..record import apply, apply_multi, unary
from ..tensor import Tensor
from .arguments import all_given, dims, given, need_tensor
from .face import add as list_as
from .face import face


# -- activations ----------------------------------------------------------------------------------
def _activation(name: str, on: str, inplace: bool = False):
    def fn(input: Tensor) -> Tensor:
        if not isinstance(input, Tensor):
            need_tensor(input, name)
        return unary(name, input)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The activation `{name}`."
    list_as(fn, on, name, (), inplace)
    return fn


relu = _activation("relu", "torch method", True)
selu = _activation("selu", "torch", True)
relu6 = _activation("relu6", "functional")
silu = _activation("silu", "functional", True)
mish = _activation("mish", "functional", True)
hardsigmoid = _activation("hardsigmoid", "functional", True)
hardswish = _activation("hardswish", "functional", True)
softsign = _activation("softsign", "functional")
tanhshrink = _activation("tanhshrink", "functional")


@face("functional")
def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """log(sigmoid(x))."""
    need_tensor(input, "log_sigmoid")
    return given(out, unary("logsigmoid", input))


@face("functional")
def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    """x times the probability that a standard normal variable is below x.

    x * Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016);
    approximate="tanh" replaces it by (1 + tanh(sqrt(2 / pi) (x + 0.044715 x ** 3))) / 2. Floating
    tensors; RuntimeError for another `approximate`.
    """
    if approximate == "none":
        r = unary("gelu", input)
    else:
        r = apply("gelu", (input,), (("approximate", approximate),))
    return r if out is None else given(out, r)


@face("functional", inplace=True)
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where positive, a fraction of it elsewhere."""
    return apply("leaky_relu", (input,), (("negative_slope", negative_slope),))


@face("functional", inplace=True)
def elu(input: Tensor, alpha: float = 1.0, scale: float = 1, input_scale: float = 1) -> Tensor:
    """x where positive, alpha * expm1(x) elsewhere."""
    return apply(
        "elu", (input,), (("alpha", alpha), ("scale", scale), ("input_scale", input_scale))
    )


@face("torch", inplace=True)
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, alpha * expm1(x / alpha) elsewhere."""
    return apply("celu", (input,), (("alpha", alpha),))


@face("functional", inplace=True)
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to a range."""
    return apply("hardtanh", (input,), (("min_val", min_val), ("max_val", max_val)))


@face("torch", inplace=True)
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """x where above the threshold, a value elsewhere."""
    return apply("threshold", (input,), (("threshold", threshold), ("value", value)))


@face("functional")
def softplus(
    input: Tensor, beta: float = 1.0, threshold: float = 20.0, *, out: Tensor | None = None
) -> Tensor:
    """log(1 + exp(beta * x)) / beta.

    Elementwise; where beta * x is above `threshold` the result is x itself. Floating tensors.
    """
    return given(out, apply("softplus", (input,), (("beta", beta), ("threshold", threshold))))


@face("functional method torch")
def hardshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """x outside [-lambd, lambd], 0 inside."""
    return given(out, apply("hardshrink", (input,), (("lambd", lambd),)))


@face("functional")
def softshrink(input: Tensor, lambd: float = 0.5, *, out: Tensor | None = None) -> Tensor:
    """x moved towards 0."""
    return given(out, apply("softshrink", (input,), (("lambd", lambd),)))


@face("functional method torch")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, a learned fraction of it elsewhere.

    `weight` has one element, or one for each channel (dimension 1) of `input`; both have one dtype.
    RuntimeError otherwise.
    """
    return apply("prelu", (input, weight))


@face("functional")
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along `dim` gated by the second."""
    return apply("glu", (input,), (("dim", dim),))


def _softmax_like(name: str, on: str):
    def fn(input: Tensor, dim: int, dtype: Any = None, *, out: Tensor | None = None) -> Tensor:
        r = apply(name, (input,), (("dim", dim), ("dtype", dtype)))
        return r if out is None else given(out, r)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The {name} along a dimension."
    list_as(fn, on, name)
    return fn


softmax = _softmax_like("softmax", "torch method special")
log_softmax = _softmax_like("log_softmax", "torch method special")


# -- normalisation --------------------------------------------------------------------------------
@face("torch")
def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Tensor:
    """input brought to mean 0 and variance 1 over its last dimensions, scaled and shifted."""
    c = normalized_shape.__class__
    shape = (
        normalized_shape
        if c is tuple
        else (normalized_shape,)
        if c is int
        else tuple(normalized_shape)
    )
    attrs = (("normalized_shape", shape), ("eps", eps))
    if weight is None:
        y = apply("layer_norm", (input,), attrs)
        return y if bias is None else y + bias
    return apply("layer_norm", (input, weight) if bias is None else (input, weight, bias), attrs)


@face("torch")
def native_layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, ...]:
    """layer_norm with the statistics it used."""
    attrs = (("normalized_shape", tuple(normalized_shape)), ("eps", eps))
    operands = (input, weight, bias) if weight is not None else (input,)
    y, mean, scale = apply_multi(
        "native_layer_norm", tuple(t for t in operands if t is not None), attrs
    )
    if weight is None and bias is not None:
        if tuple(bias.shape) != tuple(normalized_shape):
            raise RuntimeError(
                "Expected bias to be of same shape as normalized_shape, but got bias of shape "
                f"{list(bias.shape)} and normalized_shape = {list(normalized_shape)}"
            )
        y = y + bias
    return y, mean.detach(), scale.detach()


@face("torch functional")
def rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """input divided by its root mean square over its last dimensions, scaled."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    attrs = (("normalized_shape", shape), ("eps", eps))
    return apply("rms_norm", (input,) if weight is None else (input, weight), attrs)


@face("torch")
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Tensor:
    """input normalised within groups of channels, scaled and shifted."""
    attrs = (("num_groups", num_groups), ("eps", eps))
    if weight is None and bias is not None:
        y = apply("group_norm", (input,), attrs)
        return y + bias.view(-1, *[1] * (input.dim() - 2))
    return apply("group_norm", tuple(t for t in (input, weight, bias) if t is not None), attrs)


@face("torch")
def native_group_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Tensor, ...]:
    """group_norm with the statistics it used."""
    attrs = (("num_groups", group), ("eps", eps))
    if weight is None and bias is not None:
        y, *rest = apply_multi("native_group_norm", (input,), attrs)
        return (y + bias.view(-1, *[1] * (input.dim() - 2)), *rest)
    return apply_multi(
        "native_group_norm", tuple(t for t in (input, weight, bias) if t is not None), attrs
    )


@face("torch")
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Tensor:
    """input normalised per channel; in training its own statistics are used, and recorded."""
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]


@face("torch")
def native_batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None,
    running_var: Tensor | None, training: bool, momentum: float, eps: float, *, out: Any = None,
) -> tuple[Tensor, ...]:  # fmt: skip
    """batch_norm with the statistics it used."""
    y = _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)[0]
    if not training:
        from ..creation import empty

        nothing = empty((0,), dtype=input.dtype), empty((0,), dtype=input.dtype)
        return all_given(out, (y, *nothing))
    over = tuple(i for i in range(input.dim()) if i != 1)
    mean = input.detach().mean(over)
    scale = (input.detach().var(over, correction=0) + eps).rsqrt()
    return all_given(out, (y, mean, scale))


def _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps) -> tuple:
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when training=False"
            )
        operands = (input, running_mean, running_var)
        if weight is not None:
            operands += (weight,) if bias is None else (weight, bias)
        y = apply("batch_norm_eval", operands, (("eps", eps),))
        return (y if weight is not None or bias is None else y + _channels(bias, input),)
    affine = weight is not None and bias is not None
    operands = (input, weight, bias) if affine else (input,)
    tracked = running_mean is not None and running_var is not None
    if tracked:
        operands += (running_mean, running_var, 0.1 if momentum is None else float(momentum))
    out = apply_multi("batch_norm_train", operands, (("affine", affine), ("eps", eps)))
    y = out[0]
    if tracked:
        from ..autograd.mode import no_grad
        from ..record import assign

        with no_grad():
            assign(running_mean, out[1])
            assign(running_var, out[2])
    if not affine:
        if weight is not None:
            y = y * _channels(weight, input)
        if bias is not None:
            y = y + _channels(bias, input)
    return (y,)


def _channels(v: Tensor, input: Tensor) -> Tensor:
    return v.view(-1, *[1] * (input.dim() - 2))


@face("functional")
def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """input divided by its norm along `dim`."""
    return given(
        out, apply("normalize", (input,), (("p", float(p)), ("dim", dims(dim)), ("eps", eps)))
    )


@face("functional")
def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """input divided by a power of the mean square over neighbouring channels."""
    return apply(
        "local_response_norm",
        (input,),
        (("size", size), ("alpha", alpha), ("beta", beta), ("k", k)),
    )


# -- losses ---------------------------------------------------------------------------------------
def _pair_loss(name: str):
    def fn(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
        return apply(name, (input, target), (("reduction", reduction),))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The loss `{name}`."
    list_as(fn, "functional", name)
    return fn


mse_loss = _pair_loss("mse_loss")
l1_loss = _pair_loss("l1_loss")


@face("functional")
def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Squared near zero, absolute further out."""
    return apply("smooth_l1_loss", (input, target), (("reduction", reduction), ("beta", beta)))


@face("functional")
def huber_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """Squared near zero, linear with slope delta further out."""
    return apply("huber_loss", (input, target), (("reduction", reduction), ("delta", delta)))


@face("functional")
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of scores with class indices or probabilities."""
    operands = (input, target) if weight is None else (input, target, weight)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if target.dtype.kind == "f" and tuple(target.shape) == tuple(input.shape):
        attrs = (("reduction", reduction), ("label_smoothing", label_smoothing))
        return apply("cross_entropy_prob", operands, attrs)
    attrs = (("ignore_index", ignore_index), ("reduction", reduction))
    if label_smoothing:
        return apply(
            "cross_entropy_smooth", operands, (*attrs, ("label_smoothing", label_smoothing))
        )
    return apply("cross_entropy", operands, attrs)


@face("functional")
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability at the target class."""
    operands = (input, target) if weight is None else (input, target, weight)
    return apply("nll_loss", operands, (("ignore_index", ignore_index), ("reduction", reduction)))


@face("functional")
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of probabilities."""
    operands = (input, target) if weight is None else (input, target, weight)
    return apply("binary_cross_entropy", operands, (("reduction", reduction),))


@face("functional")
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of scores."""
    operands = tuple(t for t in (input, target, weight, pos_weight) if t is not None)
    attrs = (
        ("has_weight", weight is not None),
        ("has_pos_weight", pos_weight is not None),
        ("reduction", reduction),
    )
    return apply("bce_with_logits", operands, attrs)


@face("functional torch")
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-08) -> Tensor:
    """The cosine of the angle between vectors.

    x1 . x2 / max(|x1| |x2|, eps) along `dim`, which vanishes; shapes broadcast, floating dtypes
    promote.
    """
    return apply("cosine_similarity", (x1, x2), (("dim", dim), ("eps", eps)))


@face("functional torch")
def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 along the last dimension.

    (sum |x1 - x2 + eps| ** p) ** (1 / p) over the last dimension; shapes broadcast.
    """
    return apply(
        "pairwise_distance", (x1, x2), (("p", float(p)), ("eps", eps), ("keepdim", keepdim))
    )


@face("functional torch")
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances between all pairs of rows."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    from ..creation import tensor

    n = input.shape[0]
    first = tensor([i for i in range(n) for _ in range(i + 1, n)], dtype=_long())
    second = tensor([j for i in range(n) for j in range(i + 1, n)], dtype=_long())
    d = apply("index_select", (input, first), (("dim", 0),)) - apply(
        "index_select", (input, second), (("dim", 0),)
    )
    return apply("vector_norm", (d,), (("ord", float(p)), ("dim", 1)))


def _long() -> Any:
    from tracec_ir.dtypes import i64

    return i64


# -- tables and attention -------------------------------------------------------------------------
@face("functional")
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of weight that the integers of input name."""
    if padding_idx is not None and padding_idx < 0:
        padding_idx = None if padding_idx == -1 else padding_idx + weight.shape[0]
    attrs = (("padding_idx", padding_idx), ("scale_grad_by_freq", scale_grad_by_freq))
    return apply("embedding", (weight, input), attrs)


@face("functional")
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Vectors of zeros with a one where the integers say.

    int64 numbers of shape S give int64 of shape (*S, num_classes); by default as many classes as
    the largest number needs, which executes what is pending. RuntimeError for other dtypes and for
    numbers out of range.
    """
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(unary("max_all", tensor).item()) + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    return apply("one_hot", (tensor,), (("num_classes", num_classes),))


@face("functional")
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query @ key.T * scale + mask) @ value.

    query (..., L, E), key (..., S, E) and value (..., S, V) give (..., L, V) (Vaswani et al.,
    2017); `scale` defaults to 1 / sqrt(E). A bool mask (broadcast to (..., L, S)) says which keys
    take part, a floating one is added; `is_causal` lets query i see keys up to i and excludes a
    mask. Rows without any key are 0. `enable_gqa` repeats heads of key and value. RuntimeError for
    dtypes or shapes that do not fit.
    """
    if attn_mask is not None and is_causal:
        raise RuntimeError(
            "scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True"
        )
    attrs = (("is_causal", is_causal), ("scale", scale), ("enable_gqa", enable_gqa))
    mask = () if attn_mask is None else (attn_mask,)
    if dropout_p:
        from ..random import draw

        rows = query.shape[-2] * key.shape[-2]
        for n in query.shape[:-2]:
            rows *= n
        seed, offset = draw((rows + 3) // 4)
        keep = 0.0 if dropout_p == 1.0 else 1.0 / (1.0 - dropout_p)
        operands = (query, key, value, keep, float(dropout_p), seed, offset, *mask)
        return apply("attention_dropout", operands, attrs)
    return apply("scaled_dot_product_attention", (query, key, value, *mask), attrs)
