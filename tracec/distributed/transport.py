"""What a process group needs of a transport, and the transport of a group of one process.

Arrays are contiguous NumPy arrays. Every call starts a communication and returns it as a `Pending`;
what is sent must not change, and what is received is undefined, before that is over. Data that only
moves (everything but the reductions) has any dtype; sizes are the caller's business.
"""

from __future__ import annotations

import pickle
from typing import Any, Protocol

from numpy import ndarray as Array

from .reduce_op import ReduceOp


class Pending(Protocol):
    """A communication in progress; it holds its arrays until `release`."""

    source: int  # who sent, after a receive

    def wait(self) -> None: ...

    def test(self) -> bool: ...

    def release(self) -> None: ...


class Transport(Protocol):
    """`rank` of this process among `size` ones."""

    rank: int
    size: int

    def barrier(self) -> Pending: ...

    def broadcast(self, data: Array, root: int) -> Pending: ...

    def all_reduce(self, data: Array, into: Array, op: ReduceOp) -> Pending: ...

    def reduce(self, data: Array, into: Array | None, op: ReduceOp, root: int) -> Pending: ...

    def reduce_scatter(self, data: Array, into: Array, op: ReduceOp) -> Pending: ...

    def all_gather(self, data: Array, into: Array) -> Pending: ...

    def gather(self, data: Array, into: Array | None, root: int) -> Pending: ...

    def scatter(self, data: Array | None, into: Array, root: int) -> Pending: ...

    def exchange(
        self, data: Array, parts: list[int], into: Array, into_parts: list[int]
    ) -> Pending:
        """Part i of `data` goes to process i; `into` gets a part from each (sizes in elements)."""
        ...

    def send(self, data: Array, to: int, tag: int) -> Pending: ...

    def receive(self, into: Array, source: int | None, tag: int) -> Pending: ...

    def broadcast_object(self, value: Any, root: int) -> Any: ...

    def gather_objects(self, value: Any, root: int | None) -> list | None:
        """Everybody's values, on process `root` (None: on all)."""
        ...

    def scatter_object(self, values: list | None, root: int) -> Any: ...

    def send_object(self, value: Any, to: int) -> None: ...

    def receive_object(self, source: int | None) -> tuple[Any, int]:
        """What was sent, and by whom."""
        ...

    def part(self, ranks: list[int], tag: int) -> Transport:
        """The transport among these processes; only they call it."""
        ...

    def close(self) -> None: ...


class Done:
    """A communication that is over."""

    source = 0

    def wait(self) -> None: ...

    def test(self) -> bool:
        return True

    def release(self) -> None: ...


_DONE = Done()


class Alone:
    """The transport of one process: what is sent is what is received."""

    rank = 0
    size = 1

    def barrier(self) -> Pending:
        return _DONE

    def broadcast(self, data: Array, root: int) -> Pending:
        return _DONE

    def all_gather(self, data: Array, into: Array) -> Pending:
        into.reshape(-1)[...] = data.reshape(-1)
        return _DONE

    def all_reduce(self, data: Array, into: Array, op: ReduceOp) -> Pending:
        return self.all_gather(data, into)

    reduce_scatter = all_reduce

    def reduce(self, data: Array, into: Array | None, op: ReduceOp, root: int) -> Pending:
        assert into is not None
        return self.all_gather(data, into)

    def gather(self, data: Array, into: Array | None, root: int) -> Pending:
        assert into is not None
        return self.all_gather(data, into)

    def scatter(self, data: Array | None, into: Array, root: int) -> Pending:
        assert data is not None
        return self.all_gather(data, into)

    def exchange(
        self, data: Array, parts: list[int], into: Array, into_parts: list[int]
    ) -> Pending:
        return self.all_gather(data, into)

    def send(self, data: Array, to: int, tag: int) -> Pending:
        raise RuntimeError("there is no other process in this group to send to")

    def receive(self, into: Array, source: int | None, tag: int) -> Pending:
        raise RuntimeError("there is no other process in this group to receive from")

    def broadcast_object(self, value: Any, root: int) -> Any:
        return pickle.loads(pickle.dumps(value))

    def gather_objects(self, value: Any, root: int | None) -> list | None:
        return [self.broadcast_object(value, 0)]

    def scatter_object(self, values: list | None, root: int) -> Any:
        assert values is not None
        return self.broadcast_object(values[0], 0)

    def send_object(self, value: Any, to: int) -> None:
        raise RuntimeError("there is no other process in this group to send to")

    def receive_object(self, source: int | None) -> tuple[Any, int]:
        raise RuntimeError("there is no other process in this group to receive from")

    def part(self, ranks: list[int], tag: int) -> Transport:
        return self

    def close(self) -> None: ...
