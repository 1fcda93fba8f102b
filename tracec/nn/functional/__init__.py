"""PyTorch's ``torch.nn.functional``.

Functions that are one recorded operation and need no argument handling of their own are
taken from ``tracec.ops`` on first use (see ``_RECORDED``); the others are defined in this package.
"""

# ruff: noqa: F401  (what is imported here is what the package offers)

from __future__ import annotations

from typing import Any

from tracec import ops

from .activation import *  # noqa: F403
from .activation import hardtanh, relu
from .attention import *  # noqa: F403
from .dropout import *  # noqa: F403
from .embedding import embedding, embedding_bag
from .linear_loss import linear_cross_entropy
from .loss import *  # noqa: F403
from .normalization import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    normalize,
    rms_norm,
)
from .padding import pad
from .pooling import *  # noqa: F403
from .vision import *  # noqa: F403

# Names that mean the same recorded operation here and in tracec.ops.
_RECORDED = {
    "linear", "bilinear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "conv_tbc", "avg_pool1d", "avg_pool2d", "avg_pool3d", "gelu", "logsigmoid",
    "hardshrink", "softshrink", "softplus", "prelu", "one_hot", "pairwise_distance", "pdist",
    "cosine_similarity", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "native_channel_shuffle", "scaled_dot_product_attention",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    function = ops.face.every().get(name) if name in _RECORDED else None
    if function is not None:
        globals()[name] = function  # from now on an ordinary attribute
        return function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_RECORDED})
