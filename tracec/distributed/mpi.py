"""The MPI transport: groups are communicators, arrays are sent from where they lie.

Only non-blocking calls are used, also where the caller waits at once: blocking and non-blocking
collectives of MPI do not match each other, those of a process group do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy import ndarray as Array

from .errors import DistBackendError
from .reduce_op import ReduceOp

_OPS = {
    ReduceOp.SUM: MPI.SUM,
    ReduceOp.PRODUCT: MPI.PROD,
    ReduceOp.MIN: MPI.MIN,
    ReduceOp.MAX: MPI.MAX,
    ReduceOp.BAND: MPI.BAND,
    ReduceOp.BOR: MPI.BOR,
    ReduceOp.BXOR: MPI.BXOR,
}
# on truth values
_LOGICAL = {
    ReduceOp.SUM: MPI.LOR,
    ReduceOp.MAX: MPI.LOR,
    ReduceOp.BOR: MPI.LOR,
    ReduceOp.PRODUCT: MPI.LAND,
    ReduceOp.MIN: MPI.LAND,
    ReduceOp.BAND: MPI.LAND,
    ReduceOp.BXOR: MPI.LXOR,
}
_OBJECT_TAG = 0x5FF1


class Request:
    """An MPI request and the arrays that it reads and writes; a receive expects `nbytes` bytes."""

    def __init__(
        self, request: MPI.Request, running: set[Request], arrays: tuple, nbytes: int = -1
    ):
        self.request, self.arrays, self.nbytes = request, arrays, nbytes
        self.status = MPI.Status()
        self.running = running
        running.add(self)

    @property
    def source(self) -> int:
        return self.status.Get_source()

    def wait(self) -> None:
        self._ask(self.request.Wait)

    def test(self) -> bool:
        return self._ask(self.request.Test)

    def _ask(self, question: Callable[[MPI.Status], bool]) -> bool:
        try:
            over = question(self.status)
        except MPI.Exception as error:
            self.release()
            raise DistBackendError(str(error)) from None
        if over and self.nbytes >= 0 and self.status.Get_count(MPI.BYTE) != self.nbytes:
            self.release()
            raise DistBackendError(
                f"received {self.status.Get_count(MPI.BYTE)} bytes into a tensor of {self.nbytes}"
            )
        return over

    def release(self) -> None:
        self.arrays = ()
        self.running.discard(self)


def _bytes(data: Array | None) -> Array | None:
    return None if data is None else data.reshape(-1).view(np.uint8)


def _parts(data: Array, parts: list[int]) -> list:
    """`data` as a message of so many elements for (or from) each process."""
    counts = [n * data.itemsize for n in parts]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    return [_bytes(data), (counts, starts), MPI.BYTE]


def _op(op: ReduceOp, data: Array) -> MPI.Op:
    return (_LOGICAL if data.dtype == np.bool_ else _OPS)[op]


class Mpi:
    """The processes of a communicator, which belongs to this object."""

    def __init__(self, comm: MPI.Comm):
        self.comm = comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()
        self.running: set[Request] = set()  # their arrays live on, whoever forgets to wait

    def _started(self, request: MPI.Request, *arrays: Any, nbytes: int = -1) -> Request:
        for old in [r for r in self.running if r.nbytes < 0 and r.request.Test()]:
            self.running.discard(old)
        return Request(request, self.running, arrays, nbytes)

    def barrier(self) -> Request:
        return self._started(self.comm.Ibarrier())

    def broadcast(self, data: Array, root: int) -> Request:
        return self._started(self.comm.Ibcast(_bytes(data), root), data)

    def all_reduce(self, data: Array, into: Array, op: ReduceOp) -> Request:
        return self._started(self.comm.Iallreduce(data, into, _op(op, data)), data, into)

    def reduce(self, data: Array, into: Array | None, op: ReduceOp, root: int) -> Request:
        return self._started(self.comm.Ireduce(data, into, _op(op, data), root), data, into)

    def reduce_scatter(self, data: Array, into: Array, op: ReduceOp) -> Request:
        request = self.comm.Ireduce_scatter_block(data, into, _op(op, data))
        return self._started(request, data, into)

    def all_gather(self, data: Array, into: Array) -> Request:
        return self._started(self.comm.Iallgather(_bytes(data), _bytes(into)), data, into)

    def gather(self, data: Array, into: Array | None, root: int) -> Request:
        return self._started(self.comm.Igather(_bytes(data), _bytes(into), root), data, into)

    def scatter(self, data: Array | None, into: Array, root: int) -> Request:
        return self._started(self.comm.Iscatter(_bytes(data), _bytes(into), root), data, into)

    def exchange(
        self, data: Array, parts: list[int], into: Array, into_parts: list[int]
    ) -> Request:
        request = self.comm.Ialltoallv(_parts(data, parts), _parts(into, into_parts))
        return self._started(request, data, into)

    def send(self, data: Array, to: int, tag: int) -> Request:
        return self._started(self.comm.Isend(_bytes(data), to, tag), data)

    def receive(self, into: Array, source: int | None, tag: int) -> Request:
        request = self.comm.Irecv(_bytes(into), MPI.ANY_SOURCE if source is None else source, tag)
        return self._started(request, into, nbytes=into.nbytes)

    def broadcast_object(self, value: Any, root: int) -> Any:
        return self.comm.bcast(value, root)

    def gather_objects(self, value: Any, root: int | None) -> list | None:
        return self.comm.allgather(value) if root is None else self.comm.gather(value, root)

    def scatter_object(self, values: list | None, root: int) -> Any:
        return self.comm.scatter(values, root)

    def send_object(self, value: Any, to: int) -> None:
        self.comm.send(value, to, _OBJECT_TAG)

    def receive_object(self, source: int | None) -> tuple[Any, int]:
        status = MPI.Status()
        origin = MPI.ANY_SOURCE if source is None else source
        value = self.comm.recv(source=origin, tag=_OBJECT_TAG, status=status)
        return value, status.Get_source()

    def part(self, ranks: list[int], tag: int) -> Mpi:
        group = self.comm.Get_group().Incl(ranks)
        try:
            return Mpi(self.comm.Create_group(group, tag))
        finally:
            group.Free()

    def close(self) -> None:
        for request in list(self.running):
            if request.nbytes >= 0 and not request.request.Test():
                request.request.Cancel()
            request.request.Wait()
            request.release()
        self.comm.Free()


def world(rank: int) -> Mpi:
    """All processes of this MPI job; `rank` orders them (-1: as MPI numbers them)."""
    comm = MPI.COMM_WORLD
    return Mpi(comm.Split(0, comm.Get_rank() if rank < 0 else rank))


def abort() -> None:
    """Ends every process of the job."""
    MPI.COMM_WORLD.Abort(1)
