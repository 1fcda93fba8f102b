"""Which gradient sources a value of an open trace depends on, found on the trie path once."""

from __future__ import annotations

from tracec_ir.optable import lookup

from .. import record
from ..infer import cast_types
from ..record import Node
from .engine import Info
from .graph import TWICE, modified_message
from .segment import derived, saves


def reach(node: Node, roots: list[int], extra: tuple[int, ...]) -> Info:
    """The `Info` of a backward instruction from `roots`: targets are the sources reached, and the
    `extra` codes reached. Raises RuntimeError for a graph used up, or a saved value overwritten."""
    path = node.path()
    running = record._local.h.running  # hooks and user functions may lead back into what they used
    maker: dict[int, Node] = {}
    origin: dict[int, tuple] = {}
    entry = inputs = 0
    overwritten: dict[int, int] = {}  # code -> position in the path where it stopped being current
    used_up: set[Node] = set()
    for at, n in enumerate(path):
        outs = n.outs or ((n.code, n.spec, n.rg),)
        for k, (code, _, _) in enumerate(outs):
            maker[code] = n
            if n.entries > n.parent.entries:
                origin[code] = ("result", entry + k)
        if n.kind == "in":
            origin[n.code] = ("in", inputs)
            inputs += 1
        elif n.kind == "view":
            origin[n.code] = ("leaf", n.code)
        elif n.kind in ("assign", "write"):
            if not n.info:  # else written through `.data`, which autograd does not see
                overwritten[n.operands[0] & ~1] = at
        elif n.kind == "assign_many":
            overwritten.update((c, at) for c in n.operands[: len(n.operands) // 2])
        elif n.kind == "backward" and not n.info.keep and n not in running:
            used_up |= n.info.visited[0]
        entry += n.entries - n.parent.entries
    index = {n: i for i, n in enumerate(path)}
    specs = {c: s for n in path for c, s, _ in (n.outs or ((n.code, n.spec, n.rg),))}
    targets: dict[int, None] = {}
    visited: set[Node] = set()
    work = [c & ~1 for c in roots]
    seen: set[int] = set()
    while work:
        code = work.pop()
        if code in seen:
            continue
        seen.add(code)
        n = maker[code]
        if code in extra:
            targets[code] = None
        connected = {c: rg for c, _, rg in (n.outs or ((n.code, n.spec, n.rg),))}[code]
        if not connected:
            targets[code] = None  # a source: an input, a leaf, an overwritten leaf, a border
            continue
        visited.add(n)
        if n.kind == "backward":
            work += [c & ~1 for c in n.info.seeds if c is not None and c & 1]
            work += [c & ~1 for c in n.info.roots]
        else:
            work += [c & ~1 for c in n.operands if c & 1]
    for n in visited:
        _check(n, n in used_up, overwritten, specs, index, path)
    info = Info()
    info.roots = tuple(roots)
    info.targets = tuple(targets)
    info.through = frozenset(c for c in extra if {
        k: rg for k, _, rg in (maker[c].outs or ((maker[c].code, maker[c].spec, maker[c].rg),))
    }[c]) if extra else frozenset()  # fmt: skip
    info.origins = tuple(
        (None, 0) if c in info.through else origin.get(c, (None, 0)) for c in targets
    )
    info.visited = (frozenset(visited), tuple(specs[c] for c in targets))
    return info


def _signature(n: Node, specs: dict) -> tuple[tuple, tuple[bool, ...]]:
    """The types of an op's operands, and which of them gradients go to."""
    numbers = list(n.info or ())
    types = tuple(specs[c & ~1].type if c & ~1 in specs else numbers.pop(0) for c in n.operands)
    return cast_types(types, n.casts), tuple([bool(c & 1) for c in n.operands])


class Saving:
    """Called with an instruction of the path that ends at `node`: whether its derivative reads
    values of the forward pass."""

    def __init__(self, node: Node):
        self.node = node
        self.specs: dict | None = None

    def __call__(self, n: Node) -> bool:
        if n.kind != "op":
            return n.kind in ("fn", "segment", "backward")
        if self.specs is None:
            self.specs = {
                c: s for m in self.node.path() for c, s, _ in m.outs or ((m.code, m.spec, m.rg),)
            }
        types, wanted = _signature(n, self.specs)
        return any(saves(n.name, types, n.attrs or (), wanted))


def _check(
    n: Node, used_up: bool, overwritten: dict, specs: dict, index: dict, path: list[Node]
) -> None:
    if n.kind != "op":
        return
    outs = [c for c, _, _ in (n.outs or ((n.code, n.spec, n.rg),))]

    def lost(code: int) -> bool:
        """Whether an operand was overwritten later, other than by this op's own in-place form."""
        at = overwritten.get(code, -1)
        return at > index[n] and not (
            path[at].kind in ("assign", "write") and path[at].operands[1] & ~1 in outs
        )

    touched = [c & ~1 for c in n.operands if lost(c & ~1)]
    touched += [c for c in outs if c in overwritten]
    refuses = lookup(n.name).refuses
    if not used_up and not touched and not refuses:
        return
    types, wanted = _signature(n, specs)
    if refuses:
        derived(n.name, types, dict(n.attrs or ()), wanted)
    operands, results = saves(n.name, types, n.attrs or (), wanted)
    if used_up and (operands or results):
        raise RuntimeError(TWICE)
    for i, c in enumerate(n.operands):
        if i in operands and c & ~1 in touched:
            raise RuntimeError(modified_message(specs[c & ~1], 1, 0))
    for i, c in enumerate(outs):
        if i in results and c in touched:
            raise RuntimeError(modified_message(specs[c], 1, 0))
