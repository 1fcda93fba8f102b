"""Owns DataLoader: batches of a dataset, fetched here or by worker processes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from .collate import default_collate, default_convert
from .dataset import IterableDataset, TensorDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, new_seed


class _InfiniteConstantSampler(Sampler[None]):
    """What a stream of samples is visited with: nothing, for ever."""

    def __init__(self) -> None:
        pass

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


def get_worker_info() -> Any:
    """What a worker process knows about itself; None in the main process."""
    import sys

    worker = sys.modules.get(__package__ + ".worker")
    return None if worker is None else worker.info


class Fetcher:
    """Makes batches (or single samples) of a dataset from indices."""

    def __init__(self, dataset: Any, batched: bool, collate_fn: Any, drop_last: bool) -> None:
        self.dataset = dataset
        self.batched = batched
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.stream: Iterator[Any] | None = None
        if isinstance(dataset, IterableDataset):
            self.stream = iter(dataset)
        # The batch of a TensorDataset is one indexing of each tensor, not a stack of rows.
        self.by_rows = type(dataset) is TensorDataset and batched and collate_fn is default_collate

    def fetch(self, indices: Any) -> Any:
        """The batch at those indices; of a stream, the next batch of that length."""
        if self.stream is not None:
            return self._next_of_stream(indices)
        dataset = self.dataset
        if not self.batched:
            return self.collate_fn(dataset[indices])
        if self.by_rows:
            return list(_rows(dataset, indices))
        if callable(getattr(dataset, "__getitems__", None)):
            return self.collate_fn(dataset.__getitems__(indices))
        return self.collate_fn([dataset[index] for index in indices])

    def _next_of_stream(self, indices: Any) -> Any:
        if not self.batched:
            return self.collate_fn(next(self.stream))  # type: ignore[arg-type]
        samples = list(itertools.islice(self.stream, len(indices)))  # type: ignore[arg-type]
        if not samples or (self.drop_last and len(samples) < len(indices)):
            raise StopIteration
        return self.collate_fn(samples)


def _rows(dataset: TensorDataset, indices: list[int]) -> tuple[Any, ...]:
    """The rows of all tensors at those indices."""
    import tracec

    first, count = indices[0], len(indices)
    if indices == list(range(first, first + count)):
        # In order: a copy of one slice. (A copy, as a stack of rows is one.)
        return tuple(tensor[first : first + count].clone() for tensor in dataset.tensors)
    index = tracec.tensor(indices)
    return tuple(tensor[index] for tensor in dataset.tensors)


class DataLoader:
    """An iterable over the batches of a dataset."""

    __initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable "
                "multiprocessing."
            )
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to "
                "None."
            )
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.persistent_workers = persistent_workers
        self.generator = generator
        self._iterator: Any = None

        self._is_stream = isinstance(dataset, IterableDataset)
        if self._is_stream:
            _refuse_orders_of_streams(shuffle, sampler, batch_sampler)
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                    "sampler, and drop_last"
                )
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        if sampler is None:
            if self._is_stream:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.__initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        fixed = (
            "batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers",
        )  # fmt: skip
        if self.__initialized and name in fixed:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def _fetcher(self) -> Fetcher:
        return Fetcher(self.dataset, self._auto_collation, self.collate_fn, self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return _here(self)
        from .workers import WorkerIterator

        if not self.persistent_workers:
            return WorkerIterator(self)
        if self._iterator is None:
            self._iterator = WorkerIterator(self)
        else:
            self._iterator.restart()
        return self._iterator

    def __len__(self) -> int:
        if not self._is_stream:
            return len(self._index_sampler)
        length = len(self.dataset)
        if self.batch_size is None:
            return length
        if self.drop_last:
            return length // self.batch_size
        return (length + self.batch_size - 1) // self.batch_size


def _refuse_orders_of_streams(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    if shuffle not in (False, None):
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified shuffle option, but got "
            f"shuffle={shuffle}"
        )
    if sampler is not None:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified sampler option, but got "
            f"sampler={sampler}"
        )
    if batch_sampler is not None:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified batch_sampler option, but got "
            f"batch_sampler={batch_sampler}"
        )


def _here(loader: DataLoader) -> Iterator[Any]:
    """The batches, fetched in this process."""
    fetcher = loader._fetcher()
    new_seed(loader.generator)  # drawn in any case, so that workers do not change the randomness
    batches = iter(loader._index_sampler)
    return _batches(fetcher, batches)


def _batches(fetcher: Fetcher, batches: Iterator[Any]) -> Iterator[Any]:
    for indices in batches:
        try:
            batch = fetcher.fetch(indices)
        except StopIteration:  # the end of a stream
            if fetcher.stream is None:
                raise
            return
        yield batch
