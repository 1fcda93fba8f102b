"""Owns the iterator of a DataLoader over worker processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import sys
from typing import Any

from . import worker as worker_process
from .sampler import new_seed

_CHECK_SECONDS = 5.0  # how often a silent worker is checked for being alive


def _default_method() -> str | None:
    """Fork where PyTorch forks: programs rely on it (no main guard, datasets not picklable)."""
    return "fork" if sys.platform == "linux" else None


class WorkerIterator:
    """Hands index lists to workers in turn and returns their batches in order."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        context = loader.multiprocessing_context
        if not hasattr(context, "Process"):
            context = multiprocessing.get_context(context or _default_method())
        self._results = context.Queue()
        self._tasks = []
        self._processes = []
        arguments = (
            loader.dataset, loader._auto_collation, loader.collate_fn, loader.drop_last,
        )  # fmt: skip
        seed = new_seed(loader.generator)
        for index in range(loader.num_workers):
            tasks = context.Queue()
            tasks.cancel_join_thread()
            process = context.Process(
                target=worker_process.run,
                args=(
                    index, loader.num_workers, seed, arguments, tasks, self._results,
                    loader.worker_init_fn,
                ),
                daemon=True,
            )  # fmt: skip
            process.start()
            self._tasks.append(tasks)
            self._processes.append(process)
        self._begin()

    def _begin(self) -> None:
        self._indices = iter(self._loader._index_sampler)
        self._sent = 0
        self._returned = 0
        self._ready: dict[int, Any] = {}
        self._open: dict[int, int] = {}  # task number -> worker
        self._streams = [True] * self._loader.num_workers  # workers that have samples left
        for _ in range(self._loader.prefetch_factor * self._loader.num_workers):
            self._send()

    def restart(self) -> None:
        """Begin a new epoch with the same workers."""
        while self._open:  # results of an epoch that was left early
            number, _, _ = self._receive()
            self._open.pop(number, None)
        for tasks in self._tasks:
            tasks.put((None, None))
        self._begin()

    def _send(self) -> None:
        """Ask the next worker in turn for the next batch."""
        try:
            indices = next(self._indices)
        except StopIteration:
            return
        count = self._loader.num_workers
        for step in range(count):
            index = (self._sent + step) % count
            if self._streams[index]:
                self._tasks[index].put((self._sent, indices))
                self._open[self._sent] = index
                self._sent += 1
                return

    def _receive(self) -> tuple[int, int, Any]:
        timeout = self._loader.timeout
        waited = 0.0
        while True:
            interval = min(timeout - waited, _CHECK_SECONDS) if timeout else _CHECK_SECONDS
            try:
                return self._results.get(timeout=interval)
            except queue.Empty:
                waited += interval
                dead = [process for process in self._processes if not process.is_alive()]
                if dead:
                    names = ", ".join(str(process.pid) for process in dead)
                    self.close()
                    raise RuntimeError(
                        f"DataLoader worker (pid(s) {names}) exited unexpectedly"
                    ) from None
                if timeout and waited >= timeout:
                    self.close()
                    raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None

    def __iter__(self) -> WorkerIterator:
        return self

    def __next__(self) -> Any:
        while True:
            if self._returned == self._sent:
                if not self._loader.persistent_workers:
                    self.close()
                raise StopIteration
            number = self._returned if self._loader.in_order else self._any_ready()
            while number not in self._ready:
                arrived, index, result = self._receive()
                self._open.pop(arrived, None)
                if isinstance(result, worker_process.StreamEnded):
                    self._streams[index] = False
                self._ready[arrived] = result
                if not self._loader.in_order:
                    number = arrived
            result = self._ready.pop(number)
            self._returned += 1
            if any(self._streams):
                self._send()
            if isinstance(result, worker_process.StreamEnded):
                continue
            if isinstance(result, worker_process.Failure):
                result.reraise()
            return worker_process.unpack(result)

    def _any_ready(self) -> int:
        return next(iter(self._ready), -1)

    def close(self) -> None:
        """Stop the workers."""
        for tasks in self._tasks:
            with contextlib.suppress(OSError, ValueError):
                tasks.put(None)
        for process in self._processes:
            process.join(timeout=1.0)
            if process.is_alive():
                process.terminate()
        for tasks in self._tasks:
            tasks.close()
        self._tasks = []
        self._processes = []

    def __len__(self) -> int:
        return len(self._loader)

    def __del__(self) -> None:
        # At interpreter exit the queues may be gone already.
        with contextlib.suppress(Exception):
            if self._processes:
                self.close()
