"""Work: a communication that was started, what `async_op=True` returns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .transport import Pending


class Work:
    """A communication in progress. Results are in their tensors once `wait()` has returned."""

    def __init__(
        self,
        pending: Pending,
        finish: Callable[[], None] | None = None,
        results: tuple = (),
        source: Callable[[int], int] | None = None,
    ):
        self._pending: Pending | None = pending
        self._finish = finish
        self._results = results
        self._source = source
        self._from: int | None = None

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Returns True once the communication is over and its results are in their tensors.

        DistBackendError if the transport failed. MPI has no time limits: `timeout` is not used.
        """
        if self._pending is not None:
            self._pending.wait()
            self._over()
        return True

    synchronize = wait

    def is_completed(self) -> bool:
        """Whether the communication is over; if so its results are in their tensors."""
        if self._pending is None:
            return True
        if not self._pending.test():
            return False
        self._over()
        return True

    def is_success(self) -> bool:
        """Whether it ended without an error."""
        return self.is_completed()

    def exception(self) -> None:
        """None: errors are raised by `wait`."""
        return None

    def result(self) -> list:
        """The tensors that were written."""
        return list(self._results)

    def source_rank(self) -> int:
        """The sender's rank, of a receive. RuntimeError for anything else."""
        if self._source is None:
            raise RuntimeError(
                "sourceRank() may only be called on work objects that correspond to a recv or "
                "recv-from-any call."
            )
        self.wait()
        assert self._from is not None
        return self._from

    def get_future(self) -> Any:
        raise NotImplementedError("Work.get_future")

    def _over(self) -> None:
        pending, finish = self._pending, self._finish
        self._pending = self._finish = None
        assert pending is not None
        if self._source is not None:
            self._from = self._source(pending.source)
        pending.release()
        if finish is not None:
            finish()
