"""PyTorch's ``torch.special``: special functions, all elementwise ops of the table."""

from __future__ import annotations

from . import ops

ops.face.install(globals(), "special")
