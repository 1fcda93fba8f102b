"""`torch.multiprocessing`: the standard library's module, and PyTorch's way to start processes.

Tensors travel through queues and pipes as copies of their values; memory that is to be written by
several processes is made with `share_memory_` before they are forked.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import traceback
from multiprocessing import *  # noqa: F403
from typing import Any

from .tensor import Tensor


def get_all_sharing_strategies() -> set[str]:
    """How tensors may be shared."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy() -> str:
    return "file_descriptor"


def set_sharing_strategy(new_strategy: str) -> None:
    """AssertionError unless the strategy is known; shared memory is anonymous with any."""
    assert new_strategy in get_all_sharing_strategies()


class ProcessException(Exception):
    """A process ended badly: its index and id."""

    def __init__(self, msg: str, error_index: int, pid: int | None):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid


class ProcessRaisedException(ProcessException):
    """A process raised an exception; its traceback is the message."""


class ProcessExitedException(ProcessException):
    """A process was ended by a signal or an exit code other than 0."""

    def __init__(self, msg: str, error_index: int, error_pid: int | None, exit_code: int,
                 signal_name: str | None = None):  # fmt: skip
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name


def _run(fn: Any, index: int, args: tuple, errors: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass
    except BaseException:
        errors.put(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """Processes that were started together."""

    def __init__(self, processes: list, queues: list):
        self.processes, self._queues = processes, queues
        self.sentinels = {p.sentinel: i for i, p in enumerate(processes)}

    def pids(self) -> list[int]:
        return [p.pid for p in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits for one of them to end; whether all have. If one failed, ends the others and raises
        ProcessRaisedException or ProcessExitedException."""
        if not self.sentinels:
            return True
        ready = multiprocessing.connection.wait(self.sentinels.keys(), timeout=timeout)
        failed = None
        for sentinel in ready:
            index = self.sentinels.pop(sentinel)  # type: ignore[call-overload]
            self.processes[index].join()
            if self.processes[index].exitcode:
                failed = index if failed is None else failed
        if failed is None:
            return not self.sentinels
        for p in self.processes:
            if p.is_alive():
                p.terminate()
            p.join()
        p, queue = self.processes[failed], self._queues[failed]
        if queue.empty():
            code = p.exitcode
            text = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
            raise ProcessExitedException(f"process {failed} terminated {text}", failed, p.pid, code)
        raise ProcessRaisedException(
            f"\n\n-- Process {failed} terminated with the following error:\n{queue.get()}",
            failed, p.pid,
        )  # fmt: skip


def start_processes(
    fn: Any, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:  # fmt: skip
    """Runs `fn(index, *args)` in processes 0 .. nprocs-1 and waits for them, or, without `join`,
    returns their ProcessContext."""
    context = multiprocessing.get_context(start_method)
    processes, queues = [], []
    for i in range(nprocs):
        queue = context.SimpleQueue()
        p = context.Process(target=_run, args=(fn, i, args, queue), daemon=daemon)  # type: ignore[attr-defined]
        p.start()
        processes.append(p)
        queues.append(queue)
    found = ProcessContext(processes, queues)
    if not join:
        return found
    while not found.join():
        pass
    return None


def spawn(
    fn: Any, args: tuple = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:  # fmt: skip
    """`start_processes` in fresh interpreters."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def _refuse_shared(x: Tensor) -> Any:
    if x.is_shared():
        raise NotImplementedError(
            "sending a tensor in shared memory to another process: share it before the fork"
        )
    return x.__reduce_ex__(2)


def _register() -> None:
    from multiprocessing.reduction import ForkingPickler

    ForkingPickler.register(Tensor, _refuse_shared)


_register()
