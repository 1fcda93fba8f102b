"""Owns DataParallel, which on one device is the module itself."""

from __future__ import annotations

from typing import Any

import tracec

from ..modules.module import Module


class DataParallel(Module):
    """Splits batches over GPUs; without GPUs it calls the module, as PyTorch does."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        if tracec.cuda.is_available() and tracec.cuda.device_count() > 1 and device_ids != []:
            raise NotImplementedError("nn.DataParallel over several GPUs")
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
