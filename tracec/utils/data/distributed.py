"""Owns DistributedSampler: each process's share of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tracec
from tracec import distributed as dist

from .sampler import Sampler


class DistributedSampler(Sampler[int]):
    """Every `num_replicas`-th index, starting with number `rank`.

    Every process gets equally many: the last indices are left out (`drop_last`), or the first ones
    are repeated. With `shuffle` the order depends on `seed` and on the epoch (`set_epoch`) only.
    ValueError for a rank that does not exist, or without a process group to ask.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        num_replicas = dist.get_world_size() if num_replicas is None else num_replicas
        rank = dist.get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        size = len(dataset)
        self.num_samples = (size if drop_last else size + num_replicas - 1) // num_replicas
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        if self.shuffle:
            generator = tracec.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = tracec.randperm(size, generator=generator).tolist()
        else:
            order = range(size)
        return iter([order[i % size] for i in range(self.rank, self.total_size, self.num_replicas)])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order the next iteration has."""
        self.epoch = epoch
