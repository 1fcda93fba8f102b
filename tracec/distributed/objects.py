"""Communication of Python objects, which are pickled: receive them only from programs you trust."""

from __future__ import annotations

from typing import Any

from .groups import ProcessGroup, member, root_of
from .point_to_point import _peer


def all_gather_object(object_list: list, obj: Any, group: ProcessGroup | None = None) -> None:
    """`object_list[i]` becomes the object of process i, everywhere."""
    g = member(group, "all_gather_object")
    if g is None:
        return
    for i, value in enumerate(g._transport.gather_objects(obj, None) or ()):
        object_list[i] = value


def gather_object(
    obj: Any, object_gather_list: list | None = None, dst: int | None = None,
    group: ProcessGroup | None = None, group_dst: int | None = None,
) -> None:  # fmt: skip
    """On process `dst` (0), `object_gather_list[i]` becomes the object of process i."""
    g = member(group, "gather_object")
    if g is None:
        return
    root = root_of(g, "gather", 0 if dst is None and group_dst is None else dst, group_dst)
    if g.rank() == root and not object_gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    if g.rank() != root and object_gather_list:
        raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
    for i, value in enumerate(g._transport.gather_objects(obj, root) or ()):
        object_gather_list[i] = value  # type: ignore[index]


def broadcast_object_list(
    object_list: list, src: int | None = None, group: ProcessGroup | None = None,
    device: Any = None, group_src: int | None = None,
) -> None:  # fmt: skip
    """The objects in the list become those of process `src` (0)."""
    g = member(group, "broadcast_object_list")
    if g is None:
        return
    root = root_of(g, "broadcast", 0 if src is None and group_src is None else src, group_src)
    values = g._transport.broadcast_object(object_list if g.rank() == root else None, root)
    if g.rank() != root:
        object_list[:] = values


def scatter_object_list(
    scatter_object_output_list: list, scatter_object_input_list: list | None = None,
    src: int | None = None, group: ProcessGroup | None = None, group_src: int | None = None,
) -> None:  # fmt: skip
    """The first object of the output list becomes that which process `src` (0) has for this one."""
    g = member(group, "scatter_object_list")
    if g is None:
        return
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise ValueError(
            "Expected argument scatter_object_output_list to be a list of size at least 1."
        )
    root = root_of(g, "scatter", 0 if src is None and group_src is None else src, group_src)
    values = None
    if g.rank() == root:
        values = list(scatter_object_input_list or ())
        if len(values) != g.size():
            raise RuntimeError(
                f"{g.said}::scatter: Incorrect input list size {len(values)}. Input list size "
                f"should be {g.size()}, same as size of the process group."
            )
    scatter_object_output_list[0] = g._transport.scatter_object(values, root)


def send_object_list(
    object_list: list, dst: int | None = None, group: ProcessGroup | None = None,
    device: Any = None, group_dst: int | None = None, use_batch: bool = False,
) -> None:  # fmt: skip
    """Sends the objects in the list to process `dst`."""
    g = member(group, "send_object_list")
    if g is not None:
        g._transport.send_object(object_list, _peer(g, "destination", dst, group_dst, "send"))


def recv_object_list(
    object_list: list, src: int | None = None, group: ProcessGroup | None = None,
    device: Any = None, group_src: int | None = None, use_batch: bool = False,
) -> int:  # fmt: skip
    """Fills the list with what process `src` (None: any) sends; returns the sender's rank."""
    g = member(group, "recv_object_list")
    if g is None:
        return -1
    source = None
    if src is not None or group_src is not None:
        source = _peer(g, "source", src, group_src, "recv")
    values, sender = g._transport.receive_object(source)
    object_list[:] = values
    return g._ranks[sender]
