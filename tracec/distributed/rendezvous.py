"""Which process this is among how many, and over what they talk."""

from __future__ import annotations

import os
import sys
import time
import warnings
from dataclasses import dataclass
from urllib.parse import parse_qs, urlparse

from .backend import is_available
from .transport import Alone, Transport

# what the launchers of MPICH (and its kin), Open MPI, MVAPICH and PMIx leave in the environment
_LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("PMIX_RANK", ""),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A rank and a number of processes; -1 for what is not known."""

    rank: int
    size: int


def launched() -> int:
    """How many processes `mpiexec` started; 0 if it did not, -1 if their number is not told."""
    for rank, size in _LAUNCHERS:
        if rank in os.environ:
            return int(os.environ.get(size, -1))
    return 0


def meet(backend: str, init_method: str | None, rank: int, world_size: int) -> Transport:
    """The transport for all processes of the program.

    ValueError if nothing says which process this is, RuntimeError for an unknown `init_method` or
    if there is no MPI, NotImplementedError for several processes without MPI.
    """
    started = launched()
    if backend == "mpi" and started:
        if rank >= 0 or world_size >= 0:
            warnings.warn(
                f"For MPI backend, world_size ({world_size}) and rank ({rank}) are ignored since "
                "they are assigned by the MPI runtime.",
                stacklevel=3,
            )
        return Alone() if started == 1 else _mpi(-1, -1)
    place = _stated(init_method, rank, world_size)
    if place.size == 1 or (place.size < 0 and started == 1):
        if place.rank > 0:
            raise ValueError(f"rank {place.rank} of a group of one process")
        return Alone()
    if started:
        return _mpi(place.rank, place.size)
    if place.size > 1:
        raise NotImplementedError(
            f"a group of {place.size} processes without MPI; start the program with "
            f"`mpiexec -n {place.size} python ...` (the extra tracec[mpi] installs mpi4py)"
        )
    if backend == "mpi":
        return _mpi(-1, -1)
    raise ValueError(_missing(init_method, place))


def _stated(init_method: str | None, rank: int, world_size: int) -> Place:
    """What the arguments, the address and the environment say, in this order."""
    address = urlparse(init_method or "env://")
    if address.scheme not in ("env", "tcp", "file"):
        raise RuntimeError(f"No rendezvous handler for {address.scheme}://")
    query = parse_qs(address.query)
    values = []
    for given, name in ((rank, "rank"), (world_size, "world_size")):
        if given < 0 and name in query:
            given = int(query[name][0])
        if given < 0 and address.scheme == "env":
            given = int(os.environ.get(name.upper(), -1))
        values.append(given)
    return Place(*values)


def _missing(init_method: str | None, place: Place) -> str:
    scheme = urlparse(init_method or "env://").scheme
    error = f"Error initializing torch.distributed using {scheme}:// rendezvous: "
    if scheme == "env":
        name = "RANK" if place.rank < 0 else "WORLD_SIZE"
        return f"{error}environment variable {name} expected, but not set"
    return f"{error}{'rank' if place.rank < 0 else 'world size'} parameter missing"


def _mpi(rank: int, size: int) -> Transport:
    """The processes that `mpiexec` started, which should be so many."""
    if not is_available():
        raise RuntimeError(
            "Distributed package doesn't have MPI built in. The extra tracec[mpi] installs mpi4py; "
            "an MPI library with mpiexec is needed, too."
        )
    from . import mpi

    found = mpi.MPI.COMM_WORLD.Get_size()
    if size >= 0 and size != found:
        raise ValueError(
            f"world_size is {size}, but mpiexec started {found} process{'es' * (found > 1)}"
        )
    transport = mpi.world(rank)
    if rank >= 0 and transport.rank != rank:
        raise ValueError(f"rank {rank} was given to several processes, or is not in range({size})")
    if transport.size > 1:
        _end_together()
    return transport


def _end_together() -> None:
    """From now on an exception that nobody catches ends all processes: the others would wait for
    this one for ever."""
    report = sys.excepthook
    if getattr(report, "_ends_all", False):
        return

    def report_and_abort(kind, value, traceback) -> None:
        report(kind, value, traceback)
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(0.1)  # so that the launcher passes on what several failing processes say
        from .mpi import abort

        abort()

    report_and_abort._ends_all = True  # type: ignore[attr-defined]
    sys.excepthook = report_and_abort
