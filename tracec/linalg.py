"""PyTorch's ``torch.linalg``: products, norms and factorisations of matrices."""

from __future__ import annotations

from tracec_ir.errors import LinAlgError as LinAlgError

from . import ops

ops.face.install(globals(), "linalg")
