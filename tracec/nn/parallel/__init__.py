"""PyTorch's ``torch.nn.parallel``: modules trained on several devices or by several processes."""

from __future__ import annotations

from .data_parallel import DataParallel
from .distributed import DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel"]
