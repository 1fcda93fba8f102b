"""Owns multi_head_attention_forward, the function behind nn.MultiheadAttention."""

from __future__ import annotations

import math
from typing import Any

import tracec
from tracec import ops

from .dropout import dropout
from .padding import pad


def _canonical_mask(mask: Any, mask_name: str, target_type: Any, check_other: bool = False) -> Any:
    """A mask to add: booleans become 0 where attended and -inf where not."""
    if mask is None:
        return None
    if mask.dtype == tracec.bool:
        zeros = tracec.zeros(tuple(mask.shape), dtype=target_type, device=mask.device)
        return zeros.masked_fill(mask, float("-inf"))
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {mask_name} are supported")
    return mask


def _in_projection_packed(q: Any, k: Any, v: Any, w: Any, b: Any = None) -> list[Any]:
    """Queries, keys and values from one packed weight."""
    size = q.size(-1)
    if k is v and q is k:
        joint = ops.linear(q, w, b)
        return list(joint.chunk(3, -1))
    weights = w.chunk(3)
    biases = (None, None, None) if b is None else b.chunk(3)
    if k is v:
        both = ops.linear(k, w[size:], None if b is None else b[size:])
        return [ops.linear(q, weights[0], biases[0]), *both.chunk(2, -1)]
    return [ops.linear(x, u, c) for x, u, c in zip((q, k, v), weights, biases, strict=True)]


def _check_shapes(query: Any, key: Any, value: Any, key_padding_mask: Any, attn_mask: Any) -> bool:
    """Whether the query is batched."""
    dim = query.dim()
    if dim not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {dim}-D query tensor"
        )
    kind = "batched (3-D)" if dim == 3 else "unbatched (2-D)"
    if key.dim() != dim or value.dim() != dim:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {dim}-D"
            f" but found {key.dim()}-D and {value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != dim - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {dim - 1}-D"
            f" but found {key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.dim() not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D"
            f" but found {attn_mask.dim()}-D tensor instead"
        )
    return dim == 3


def multi_head_attention_forward(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool = True,
    key_padding_mask: Any = None,
    need_weights: bool = True,
    attn_mask: Any = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Any = None,
    k_proj_weight: Any = None,
    v_proj_weight: Any = None,
    static_k: Any = None,
    static_v: Any = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Any, Any]:
    """Attention of several heads over (L, N, E): the result and, if needed, the weights.

    Vaswani et al., 2017: heads of E / num_heads numbers attend to keys and values; the projections
    are one in_proj or three. Shapes (L, N, E), or (L, E) without a batch; masks as those of
    `nn.MultiheadAttention`.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask)
    if not batched:
        same_kv, same_qk = key is value, query is key
        query = query.unsqueeze(1)
        key = query if same_qk else key.unsqueeze(1)
        value = key if same_kv else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    target_len, batch, embed_dim = query.shape
    source_len = key.size(0)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint, otherwise is_causal will be ignored"
        )
    key_padding_mask = _canonical_mask(key_padding_mask, "key_padding_mask", query.dtype)
    attn_mask = _canonical_mask(attn_mask, "attn_mask", query.dtype)
    if embed_dim != embed_dim_to_check:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}"
        )
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")

    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match "
                f"value's {value.shape[:2]}"
            )
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        q, k, v = (
            ops.linear(x, w, b)
            for x, w, b in zip((query, key, value), weights, biases, strict=True)
        )
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        q, k, v = _in_projection_packed(query, key, value, in_proj_weight, in_proj_bias)

    if attn_mask is not None:
        if attn_mask.dim() == 2:
            expected: tuple[int, ...] = (target_len, source_len)
        else:
            expected = (batch * num_heads, target_len, source_len)
        if tuple(attn_mask.shape) != expected:
            raise RuntimeError(
                f"The shape of the {attn_mask.dim()}D attn_mask is {attn_mask.shape}, "
                f"but should be {expected}."
            )
        if attn_mask.dim() == 2:
            attn_mask = attn_mask.unsqueeze(0)

    if bias_k is not None and bias_v is not None:
        k = tracec.cat([k, bias_k.repeat(1, batch, 1)])
        v = tracec.cat([v, bias_v.repeat(1, batch, 1)])
        attn_mask = pad(attn_mask, (0, 1)) if attn_mask is not None else None
        key_padding_mask = pad(key_padding_mask, (0, 1)) if key_padding_mask is not None else None

    heads = batch * num_heads
    q = q.reshape(target_len, heads, head_dim).transpose(0, 1)
    k = k.reshape(k.shape[0], heads, head_dim).transpose(0, 1)
    v = v.reshape(v.shape[0], heads, head_dim).transpose(0, 1)
    k = k if static_k is None else static_k
    v = v if static_v is None else static_v
    if add_zero_attn:
        zero = tracec.zeros((heads, 1, head_dim), dtype=k.dtype, device=k.device)
        k, v = tracec.cat([k, zero], 1), tracec.cat([v, zero], 1)
        attn_mask = pad(attn_mask, (0, 1)) if attn_mask is not None else None
        key_padding_mask = pad(key_padding_mask, (0, 1)) if key_padding_mask is not None else None
    source_len = k.size(1)

    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (batch, source_len):
            raise AssertionError(
                f"expecting key_padding_mask shape of {(batch, source_len)}, "
                f"but got {key_padding_mask.shape}"
            )
        spread = key_padding_mask.view(batch, 1, 1, source_len)
        spread = spread.expand(-1, num_heads, -1, -1).reshape(heads, 1, source_len)
        attn_mask = spread if attn_mask is None else attn_mask + spread
    dropout_p = dropout_p if training else 0.0

    if not need_weights:
        shape = (batch, num_heads, -1, head_dim)
        mask = attn_mask
        if mask is not None:
            shared = mask.size(0) == 1
            mask = mask.unsqueeze(0) if shared else mask.view(batch, num_heads, -1, source_len)
        result = ops.scaled_dot_product_attention(
            q.view(shape), k.view(shape), v.view(shape), mask, dropout_p, False
        )
        result = result.permute(2, 0, 1, 3).reshape(target_len * batch, embed_dim)
        result = ops.linear(result, out_proj_weight, out_proj_bias)
        result = result.view(target_len, batch, -1)
        return (result if batched else result.squeeze(1)), None

    scores = (q * math.sqrt(1.0 / head_dim)) @ k.transpose(-2, -1)
    if attn_mask is not None:
        scores = scores + attn_mask
    weights = ops.softmax(scores, -1)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    result = (weights @ v).transpose(0, 1).reshape(target_len * batch, embed_dim)
    result = ops.linear(result, out_proj_weight, out_proj_bias).view(target_len, batch, -1)
    weights = weights.view(batch, num_heads, target_len, source_len)
    if average_attn_weights:
        weights = weights.mean(1)
    if not batched:
        return result.squeeze(1), weights.squeeze(0)
    return result, weights
