"""Owns what runs in a worker process of a DataLoader."""

from __future__ import annotations

import random
import traceback
from dataclasses import dataclass
from typing import Any

import numpy as np

import tracec


@dataclass
class WorkerInfo:
    """What get_worker_info() returns in a worker."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


info: WorkerInfo | None = None


class Packed:
    """A tensor on its way between processes: an array, and its dtype where NumPy has none."""

    __slots__ = ("array", "dtype")

    def __init__(self, tensor: Any) -> None:
        self.dtype = None
        if tensor.dtype is tracec.bfloat16:
            self.dtype = "bfloat16"
            tensor = tensor.view(tracec.int16)
        self.array = tensor.detach().numpy()

    def unpack(self) -> Any:
        """The tensor."""
        tensor = tracec.from_numpy(self.array)
        return tensor if self.dtype is None else tensor.view(tracec.bfloat16)


def pack(value: Any) -> Any:
    """The value with its tensors packed."""
    return _mapped(value, lambda v: isinstance(v, tracec.Tensor), Packed)


def unpack(value: Any) -> Any:
    """The value with its tensors unpacked."""
    return _mapped(value, lambda v: isinstance(v, Packed), Packed.unpack)


def _mapped(value: Any, chosen: Any, change: Any) -> Any:
    if chosen(value):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(v, chosen, change) for v in value))
    if type(value) in (list, tuple):
        return type(value)(_mapped(v, chosen, change) for v in value)
    if type(value) is dict:
        return {k: _mapped(v, chosen, change) for k, v in value.items()}
    return value


class Failure:
    """An exception on its way to the main process."""

    def __init__(self, error: BaseException, worker: int) -> None:
        self.kind = type(error)
        self.text = (
            f"Caught {type(error).__name__} in DataLoader worker process {worker}.\n"
            f"Original {''.join(traceback.format_exception(error))}"
        )

    def reraise(self) -> None:
        """Raise it here, with the worker's traceback in its text."""
        try:
            error = self.kind(self.text)
        except Exception:
            error = RuntimeError(self.text)
        raise error


class StreamEnded:
    """Says that a worker's stream has no more samples."""


def run(
    worker: int, workers: int, seed: int, fetcher_arguments: tuple[Any, ...], tasks: Any,
    results: Any, init_fn: Any,
) -> None:  # fmt: skip
    """Fetch the batches asked for until None comes."""
    global info
    from .dataloader import Fetcher

    try:
        seed = seed + worker
        random.seed(seed)
        tracec.manual_seed(seed)
        np.random.seed(seed % 2**32)
        info = WorkerInfo(worker, workers, seed, fetcher_arguments[0])
        fetcher = None
        problem: Failure | None = None
        try:
            if init_fn is not None:
                init_fn(worker)
            fetcher = Fetcher(*fetcher_arguments)
        except Exception as error:
            problem = Failure(error, worker)
        while (task := tasks.get()) is not None:
            number, indices = task
            if number is None:  # a new epoch of persistent workers
                fetcher = Fetcher(*fetcher_arguments)
                continue
            result: Any
            if problem is not None or fetcher is None:
                result = problem
            else:
                try:
                    result = pack(fetcher.fetch(indices))
                except StopIteration as error:
                    ended = fetcher.stream is not None
                    result = StreamEnded() if ended else Failure(error, worker)
                except Exception as error:
                    result = Failure(error, worker)
            results.put((number, worker, result))
    except KeyboardInterrupt:
        pass  # the main process reports it
