"""Second spellings: top-level functions that PyTorch also has elsewhere, loaded when first named.

Losses take the reduction as a number here (0 none, the default, 1 mean, 2 sum), as PyTorch's do.
Shapes, dtypes and errors are those of the function that each one calls.
"""

from __future__ import annotations

from typing import Any

import tracec

_REDUCTIONS = ("none", "mean", "sum")


def _reduction(number: int) -> str:
    if number not in (0, 1, 2):
        raise ValueError(f"reduction must be 0 (none), 1 (mean) or 2 (sum), got {number!r}")
    return _REDUCTIONS[number]


# -- losses ---------------------------------------------------------------------------------------
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 0
) -> Any:
    """`nn.functional.binary_cross_entropy_with_logits`."""
    return tracec.nn.functional.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 0
) -> Any:
    """`nn.functional.cosine_embedding_loss`."""
    return tracec.nn.functional.cosine_embedding_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: int = 0, zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """`nn.functional.ctc_loss`."""
    return tracec.nn.functional.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _reduction(reduction),
        zero_infinity,
    )  # fmt: skip


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: int = 0) -> Any:
    """`nn.functional.hinge_embedding_loss`."""
    return tracec.nn.functional.hinge_embedding_loss(
        input, target, margin, reduction=_reduction(reduction)
    )


def kl_div(input: Any, target: Any, reduction: int = 0, *, log_target: bool = False) -> Any:
    """`nn.functional.kl_div`."""
    how = _reduction(reduction)
    if how == "mean":  # that function warns of the mean over elements; PyTorch warns there alone
        return tracec.nn.functional.kl_div(
            input, target, reduction="none", log_target=log_target
        ).mean()
    return tracec.nn.functional.kl_div(input, target, reduction=how, log_target=log_target)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 0
) -> Any:
    """`nn.functional.margin_ranking_loss`."""
    return tracec.nn.functional.margin_ranking_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int
) -> Any:
    """`nn.functional.poisson_nll_loss`."""
    return tracec.nn.functional.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=_reduction(reduction)
    )


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: int = 0,
) -> Any:  # fmt: skip
    """`nn.functional.triplet_margin_loss`."""
    return tracec.nn.functional.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )


# -- layers ---------------------------------------------------------------------------------------
def alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """`nn.functional.alpha_dropout`."""
    return tracec.nn.functional.alpha_dropout(input, p, train)


def feature_alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """`nn.functional.feature_alpha_dropout`."""
    return tracec.nn.functional.feature_alpha_dropout(input, p, train)


def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """Zeroes whole channels of input[N, C, ...] with probability p; divides the others by 1 - p."""
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    if not train or p == 0:
        return input.clone()
    shape = tuple(input.shape[:2]) + (1,) * (input.dim() - 2)
    return input * tracec.nn.functional.dropout(input.new_ones(shape), p, True)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """`nn.functional.bilinear`."""
    return tracec.nn.functional.bilinear(input1, input2, weight, bias)


def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:  # fmt: skip
    """`nn.functional.embedding`, with the table first; a negative `padding_idx` means none."""
    return tracec.nn.functional.embedding(
        indices, weight, padding_idx if padding_idx >= 0 else None,
        scale_grad_by_freq=scale_grad_by_freq, sparse=sparse,
    )  # fmt: skip


def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Any:  # fmt: skip
    """`nn.functional.instance_norm`."""
    return tracec.nn.functional.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def rrelu(
    input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    generator: Any = None,
) -> Any:  # fmt: skip
    """`nn.functional.rrelu`."""
    if generator is not None:
        raise NotImplementedError("rrelu(generator=...)")
    return tracec.nn.functional.rrelu(input, lower, upper, training)


def lstm_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Any, Any]:
    """The next (h, c) of `nn.LSTMCell`: input[N, I], hx = (h, c), w_ih[4H, I], w_hh[4H, H]."""
    from tracec.nn.modules.rnn_cell import lstm_step

    return lstm_step(tracec.nn.functional.linear(input, w_ih, b_ih), *hx, w_hh, b_hh)


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """The next state of `nn.GRUCell`: input[N, I], hx[N, H], w_ih[3H, I], w_hh[3H, H]."""
    from tracec.nn.modules.rnn_cell import gru_step

    return gru_step(tracec.nn.functional.linear(input, w_ih, b_ih), hx, w_hh, b_hh)


def _rnn_cell(relu: bool, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    from tracec.nn.modules.rnn_cell import rnn_step

    return rnn_step(tracec.nn.functional.linear(input, w_ih, b_ih), hx, w_hh, b_hh, relu)


def rnn_tanh_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """The next state of `nn.RNNCell`: input[N, I], hx[N, H], w_ih[H, I], w_hh[H, H]."""
    return _rnn_cell(False, input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_relu_cell(
    input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> Any:
    """The next state of `nn.RNNCell(nonlinearity="relu")`."""
    return _rnn_cell(True, input, hx, w_ih, w_hh, b_ih, b_hh)


# -- matrices and norms ---------------------------------------------------------------------------
def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """`linalg.multi_dot` of the matrices."""
    return tracec.linalg.multi_dot(matrices, out=out)


def nuclear_norm(input: Any, dim: Any = (-2, -1), keepdim: bool = False, *, out: Any = None) -> Any:
    """The sum of the singular values of the matrices in two dimensions of the input."""
    return tracec.linalg.matrix_norm(input, "nuc", dim, keepdim, out=out)


def frobenius_norm(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """The root of the sum of squared magnitudes over up to two dimensions (none given: all)."""
    over = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(over) > 2:
        text = f"Expected at most 2 dimensions, but got {len(over)} dimensions instead."
        raise RuntimeError(text)
    return tracec.linalg.vector_norm(input, 2, over or None, keepdim, out=out)


def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:
    """The norm of each slice of v along `dim`, in a shape that broadcasts against v."""
    over = [i for i in range(v.dim()) if i != dim % v.dim()]
    return v.norm(pow) if dim == -1 else v.norm(pow, over, keepdim=True)


# -- facts ----------------------------------------------------------------------------------------
def is_same_size(input: Any, other: Any) -> bool:
    """Whether the shapes are equal."""
    return tuple(input.shape) == tuple(other.shape)


def is_signed(input: Any) -> bool:
    """Whether the dtype has negative numbers."""
    return input.is_signed()


def typename(obj: Any) -> str:
    """The name of an object's type; of a tensor, that of its legacy class."""
    if isinstance(obj, tracec.Tensor):
        return obj.type()
    kind = obj if isinstance(obj, type) else type(obj)
    module = "" if kind.__module__ == "builtins" else kind.__module__ + "."
    return module + kind.__qualname__


def is_storage(obj: Any) -> bool:
    """Whether the object is a storage."""
    from .storages import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


def set_flush_denormal(mode: bool) -> bool:
    """False: denormal numbers are never flushed to zero here."""
    return False


def is_anomaly_enabled() -> bool:
    """Whether gradients are checked for NaN."""
    from .autograd.anomaly import _State

    return _State.on


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Switches anomaly detection, see `autograd.set_detect_anomaly`."""
    tracec.autograd.set_detect_anomaly(enabled, check_nan)


# -- methods as functions -------------------------------------------------------------------------
def detach_(input: Any) -> Any:
    """`input.detach_()`."""
    return input.detach_()


def fill_(input: Any, value: Any) -> Any:
    """`input.fill_(value)`."""
    return input.fill_(value)


def index_put_(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """`input.index_put_(indices, values, accumulate)`."""
    return input.index_put_(indices, values, accumulate)


def as_strided_(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """`input.as_strided_(size, stride, storage_offset)`."""
    return input.as_strided_(size, stride, storage_offset)


def get_device(input: Any) -> int:
    """The number of the input's CUDA device; -1 on the CPU."""
    return input.get_device()
