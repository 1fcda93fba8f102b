"""PyTorch's ``torch.linalg``: products, norms and factorisations of matrices."""

from __future__ import annotations

from . import ops

ops.face.install(globals(), "linalg")
