"""PyTorch's ``torch.fft``."""

from __future__ import annotations

from . import ops

ops.face.install(globals(), "fft")
