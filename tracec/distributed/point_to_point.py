"""Communication between two processes: send, recv, and batches of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from .collectives import _tensor
from .groups import ProcessGroup, get_global_rank, member, resolve, root_of
from .memory import Incoming, outgoing
from .work import Work


def _peer(
    g: ProcessGroup, what: str, rank: int | None, group_rank: int | None, function: str
) -> int:
    peer = root_of(g, function, rank, group_rank)
    if peer == g.rank():
        raise ValueError(
            f"Invalid {what} rank: {what} rank should not be the same as the rank of the current "
            "process."
        )
    return peer


def isend(
    tensor: Tensor, dst: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
    group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """Starts sending a tensor to process `dst`; it must not be written before the Work is done."""
    _tensor(tensor, "tensor")
    g = member(group, "isend")
    if g is None:
        return None
    to = _peer(g, "destination", dst, group_dst, "send")
    return Work(g._transport.send(outgoing(tensor), to, tag))


def send(
    tensor: Tensor, dst: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
    group_dst: int | None = None,
) -> None:  # fmt: skip
    """Sends a tensor to process `dst`."""
    work = isend(tensor, dst, group, tag, group_dst)
    if work is not None:
        work.wait()


def irecv(
    tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
    group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """Starts receiving a tensor from process `src` (None: from any)."""
    _tensor(tensor, "tensor")
    g = member(group, "irecv")
    if g is None:
        return None
    source = None
    if src is not None or group_src is not None:
        source = _peer(g, "source", src, group_src, "recv")
    received = Incoming(tensor.dtype, tensor.numel())
    pending = g._transport.receive(received.array, source, tag)
    return Work(
        pending,
        lambda: received.into(tensor),
        (tensor,),
        lambda sender: g._ranks[sender],
    )


def recv(
    tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
    group_src: int | None = None,
) -> int:  # fmt: skip
    """Receives a tensor from process `src` (None: from any); returns the sender's rank."""
    work = irecv(tensor, src, group, tag, group_src)
    return -1 if work is None else work.source_rank()


class P2POp:
    """One `isend` or `irecv` of a batch."""

    def __init__(
        self, op: Callable, tensor: Tensor, peer: int | None = None,
        group: ProcessGroup | None = None, tag: int = 0, group_peer: int | None = None,
    ):  # fmt: skip
        if op not in (isend, irecv):
            raise ValueError(
                "Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                "``torch.distributed.irecv``."
            )
        _tensor(tensor, "tensor")
        self.op, self.tensor, self.tag = op, tensor, tag
        self.group = resolve(group)
        self.group_peer = _peer(
            self.group, "destination" if op is isend else "source", peer, group_peer, op.__name__
        )
        self.peer = get_global_rank(self.group, self.group_peer)

    def __repr__(self) -> str:
        mine = self.group.rank()
        ends = (mine, self.group_peer) if self.op is isend else (self.group_peer, mine)
        return (
            f"P2POp({self.op.__name__} pg={self.group.group_name}, group_src={ends[0]}, "
            f"group_dst={ends[1]},  {self.tensor.shape}, {self.tensor.dtype})"
        )


def batch_isend_irecv(p2p_op_list: list[P2POp]) -> list[Work]:
    """Starts all sends and receives of a list; returns their Works."""
    if not isinstance(p2p_op_list, list) or not all(isinstance(p, P2POp) for p in p2p_op_list):
        raise ValueError(
            "Invalid ``p2p_op_list``. Each op is expected to to be of type "
            "``torch.distributed.P2POp``."
        )
    works: list[Any] = [
        p.op(p.tensor, group=p.group, tag=p.tag, **{
            "group_dst" if p.op is isend else "group_src": p.group_peer
        })
        for p in p2p_op_list
    ]  # fmt: skip
    return works
