"""Process groups: the default one of all processes, those made of some of them, and who is who."""

from __future__ import annotations

import itertools
import os
import warnings
from datetime import timedelta
from typing import Any

from .backend import Backend, chosen
from .rendezvous import meet
from .transport import Transport

NOT_INITIALIZED = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class ProcessGroup:
    """Some processes, `ranks` being their numbers in the default group; made by `new_group`."""

    def __init__(self, transport: Transport, ranks: list[int], backend: str, name: str):
        self._transport = transport
        self._ranks = ranks
        self._backend = backend
        self.group_name = name
        self.group_desc = name

    __hash__ = object.__hash__

    def rank(self) -> int:
        """The number of this process in the group."""
        return self._transport.rank

    def size(self) -> int:
        """How many processes there are."""
        return self._transport.size

    def name(self) -> str:
        return self._backend

    @property
    def said(self) -> str:
        """What error messages call the group's backend."""
        return "ProcessGroupMPI" if self._backend == "mpi" else "ProcessGroupGloo"


class _World:
    """What `init_process_group` sets up: the default group, the others, and names for new ones."""

    def __init__(self) -> None:
        self.default: ProcessGroup | None = None
        self.groups: set[ProcessGroup] = set()
        self.numbers = itertools.count()


_world = _World()


class _WithWorld(type):
    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The group of all processes; None before `init_process_group`."""
        return _world.default


class group(metaclass=_WithWorld):
    """`group.WORLD` is the group of all processes."""


class GroupMember(metaclass=_WithWorld):
    """`NON_GROUP_MEMBER` is what `new_group` returns to processes that are not in the group."""

    NON_GROUP_MEMBER = -100


def is_initialized() -> bool:
    """Whether there is a default group."""
    return _world.default is not None


def default() -> ProcessGroup:
    """The default group. ValueError if there is none."""
    if _world.default is None:
        raise ValueError(NOT_INITIALIZED)
    return _world.default


def resolve(group: Any) -> ProcessGroup:
    """The group that an argument means, None being the default one. ValueError if there is none."""
    world = default()
    if group is None:
        return world
    if group not in _world.groups:
        if isinstance(group, ProcessGroup):
            raise ValueError(
                f"Group {group} is not registered, please create group with "
                "torch.distributed.new_group API"
            )
        raise ValueError(
            f"Process group {group} is not initialized in the world group map. Please initialize "
            "the group first."
        )
    return group


def member(group: Any, function: str) -> ProcessGroup | None:
    """`resolve`, or None with a warning where this process is not in the group."""
    if group is GroupMember.NON_GROUP_MEMBER:
        warnings.warn(
            f"Running {function} on global rank {default().rank()} which does not belong to the "
            "given group.",
            stacklevel=3,
        )
        return None
    return resolve(group)


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Joins the processes of the program in the default group.

    Several processes are started by `mpiexec -n N python ...` and talk over MPI, whether the
    backend is called "mpi" or "gloo" (or None). One process (WORLD_SIZE=1 and RANK=0 in the
    environment or as arguments) needs no MPI. `timeout`, `store`, `pg_options` and `device_id` have
    no effect.

    Raises ValueError if there is a default group already or nothing says which process this is,
    RuntimeError for backends that are not there, NotImplementedError for several processes
    without MPI.
    """
    if _world.default is not None:
        raise ValueError("trying to initialize the default process group twice!")
    if timeout is not None and not isinstance(timeout, timedelta):
        raise TypeError(
            f"Expected timeout argument to be of type datetime.timedelta, got {timeout}"
        )
    name = chosen(backend)
    transport = meet(name, init_method, rank, world_size)
    world = ProcessGroup(transport, list(range(transport.size)), name, group_name or "0")
    next(_world.numbers)
    _world.default = world
    _world.groups.add(world)


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Ends a group; without an argument (or with the default group) all groups."""
    if group is GroupMember.NON_GROUP_MEMBER:
        return
    if group is None or group is _world.default:
        world = _world.default
        if world is None:
            raise AssertionError("Process group cannot be None")
        for made in sorted(_world.groups - {world}, key=lambda g: g.group_name):
            made._transport.close()
        world._transport.close()
        _world.__init__()  # type: ignore[misc]
        return
    resolve(group)._transport.close()
    _world.groups.discard(group)


def new_group(
    ranks: list[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
    sort_ranks: bool = True,
) -> ProcessGroup | int:
    """A group of the processes with these ranks (None: all); every process calls this.

    Returns GroupMember.NON_GROUP_MEMBER to those that are not in it. ValueError for ranks that do
    not exist or appear twice.
    """
    world = default()
    ranks = list(range(world.size())) if ranks is None else list(ranks)
    if len(ranks) > world.size():
        raise ValueError(
            "the new group's world size should be less or equal to the world size set by "
            "init_process_group"
        )
    if len(set(ranks)) != len(ranks):
        raise ValueError(f"ranks list must not contain duplicate entries, got {ranks}")
    for r in ranks:
        if not 0 <= r < world.size():
            raise ValueError(
                f"Rank {r} is out of range. Valid ranks are 0 to {world.size() - 1} "
                f"(world_size={world.size()})"
            )
    if sort_ranks:
        ranks.sort()
    name = world._backend if backend is None else chosen(backend)
    number = next(_world.numbers)  # all processes make groups in the same order
    if world.rank() not in ranks:
        return GroupMember.NON_GROUP_MEMBER
    made = ProcessGroup(world._transport.part(ranks, number), ranks, name, str(number))
    if group_desc is not None:
        made.group_desc = group_desc
    _world.groups.add(made)
    return made


def get_rank(group: ProcessGroup | None = None) -> int:
    """The number of this process in the group; -1 if it is not in it."""
    world = default()
    if group is GroupMember.NON_GROUP_MEMBER:
        return -1
    return world.rank() if group is None else resolve(group).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """How many processes the group has; -1 if this one is not in it."""
    if group is GroupMember.NON_GROUP_MEMBER:
        default()
        return -1
    return resolve(group).size()


def get_backend(group: ProcessGroup | None = None) -> str:
    """The name of the group's backend. ValueError if this process is not in the group."""
    if group is GroupMember.NON_GROUP_MEMBER:
        default()
        raise ValueError("Invalid process group specified")
    return Backend(resolve(group)._backend)


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The ranks (in the default group) of the group's processes, in the group's order."""
    return list(resolve(group)._ranks)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The rank in the default group of process `group_rank` of a group. ValueError if there is
    none."""
    ranks = resolve(group)._ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return ranks[group_rank]


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The rank in a group of a process of the default group. ValueError if it is not in it."""
    ranks = resolve(group)._ranks
    if global_rank not in ranks:
        raise ValueError(f"Global rank {global_rank} is not part of group {group}")
    return ranks.index(global_rank)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """The number of this process on its machine, LOCAL_RANK in the environment."""
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context and "
        "want the code to run locally instead."
    )


def get_pg_count() -> int:
    """How many groups were made since `init_process_group`, the default one included."""
    return len(_world.groups)


def root_of(group: ProcessGroup, function: str, rank: int | None, group_rank: int | None) -> int:
    """The number in the group of a process named by its rank in the default group or in this one.

    ValueError if both or none are given, RuntimeError if the group has no such process.
    """
    if rank is not None and group_rank is not None:
        raise ValueError("Can't specify both group_rank and global_rank")
    if group_rank is None:
        if rank is None:
            raise ValueError("Must specify global_rank or group_rank")
        group_rank = rank if group is _world.default else get_group_rank(group, rank)
    if not 0 <= group_rank < group.size():
        raise RuntimeError(f"{group.said}::{function}: invalid root rank: {group_rank}")
    return group_rank
