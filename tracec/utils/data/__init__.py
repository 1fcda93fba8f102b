"""PyTorch's ``torch.utils.data``: datasets, samplers and the loader."""

from __future__ import annotations

from typing import Any

from .collate import default_collate, default_convert
from .dataloader import DataLoader, get_worker_info
from .dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from .sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "DistributedSampler",
    "IterableDataset",
    "RandomSampler", "Sampler", "SequentialSampler", "StackDataset", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "default_collate",
    "default_convert", "get_worker_info", "random_split",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("DistributedSampler", "distributed"):  # they load tracec.distributed
        from importlib import import_module

        module = import_module(f"{__name__}.distributed")
        return module if name == "distributed" else module.DistributedSampler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
