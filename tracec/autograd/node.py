"""What `Tensor.grad_fn` shows: the name of the operation that made a value."""

from __future__ import annotations

from .graph import Output


class Node:
    """A node of the autograd graph, by name only: `<AddBackward0>`."""

    def __init__(self, name: str):
        self._name = name
        self.next_functions: tuple = ()

    def name(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<{self._name} object>"


def node_of(tensor) -> Node:
    """The node that made a non-leaf tensor; values of executed traces know only that they have
    one."""
    if tensor._base is not None:
        return Node("ViewBackward0")
    st = tensor._st
    if isinstance(st.source, Output):
        name = getattr(getattr(st.source.node, "function", None), "__name__", None)
        if name:
            return Node(f"{name}Backward")
        program = getattr(st.source.node, "program", None)
        return Node(_camel(program.names[st.source.index]) if program else "RecordedBackward0")
    tr = st.trace
    if tr is not None and tr.node is not None:
        for node in reversed(tr.node.path()):
            if any(code == st.code for code, _, _ in node.outs or ((node.code, 0, 0),)):
                return Node(_camel(node.name or node.kind))
    return Node("RecordedBackward0")


def _camel(name: str) -> str:
    """`AddBackward0` for `add`."""
    return "".join(part.title() for part in name.split("_")) + "Backward0"
