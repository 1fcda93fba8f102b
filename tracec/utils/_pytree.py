"""Owns trees of containers: flattening them to leaves and rebuilding them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class NodeDef(NamedTuple):
    """How one kind of container is taken apart and put together."""

    flatten_fn: Callable[[Any], tuple[list[Any], Any]]
    unflatten_fn: Callable[[Iterable[Any], Any], Any]


def _values(d: Any) -> tuple[list[Any], Any]:
    return list(d.values()), list(d.keys())


SUPPORTED_NODES: dict[Any, NodeDef] = {
    list: NodeDef(lambda x: (list(x), None), lambda leaves, _: list(leaves)),
    tuple: NodeDef(lambda x: (list(x), None), lambda leaves, _: tuple(leaves)),
    dict: NodeDef(_values, lambda leaves, keys: dict(zip(keys, leaves, strict=True))),
    OrderedDict: NodeDef(_values, lambda leaves, keys: OrderedDict(zip(keys, leaves, strict=True))),
    defaultdict: NodeDef(
        lambda d: (list(d.values()), [d.default_factory, list(d.keys())]),
        lambda leaves, context: defaultdict(context[0], zip(context[1], leaves, strict=True)),
    ),
}
_NAMED = NodeDef(lambda x: (list(x), type(x)), lambda leaves, kind: kind(*leaves))


def register_pytree_node(
    cls: type, flatten_fn: Any, unflatten_fn: Any, **serialisation: Any
) -> None:
    """Treat instances of a class as containers."""
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(flatten_fn, unflatten_fn)


_register_pytree_node = register_pytree_node


def _get_node_type(tree: Any) -> Any:
    kind = type(tree)
    is_named = isinstance(tree, tuple) and hasattr(kind, "_fields")
    return "namedtuple" if is_named and kind not in SUPPORTED_NODES else kind


def _definition(kind: Any) -> NodeDef | None:
    return _NAMED if kind == "namedtuple" else SUPPORTED_NODES.get(kind)


def _is_leaf(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    return (is_leaf is not None and is_leaf(tree)) or _definition(_get_node_type(tree)) is None


class TreeSpec:
    """The shape of a tree: the kind of its root, what the kind needs, and its subtrees."""

    def __init__(self, type: Any, context: Any, children_specs: list[TreeSpec]) -> None:
        self.type = type
        self.context = context
        self.children_specs = children_specs
        self.num_children = len(children_specs)
        self.num_leaves = sum(spec.num_leaves for spec in children_specs) if type else 1
        self.num_nodes = 1 + sum(spec.num_nodes for spec in children_specs)

    def is_leaf(self) -> bool:
        """Whether the tree is a leaf."""
        return self.type is None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of that shape with those leaves."""
        return tree_unflatten(leaves, self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeSpec) and (
            (self.type, self.context, self.children_specs)
            == (other.type, other.context, other.children_specs)
        )

    def __hash__(self) -> int:
        return hash((str(self.type), self.num_leaves))

    def __repr__(self, indent: int = 0) -> str:
        if self.type is None:
            return "*"
        name = self.type if isinstance(self.type, str) else self.type.__name__
        indent += 2
        children = [child.__repr__(indent) for child in self.children_specs]
        inner = (",\n" + " " * indent).join(children)
        return f"TreeSpec({name}, {self.context}, [{inner}])"


class LeafSpec(TreeSpec):
    """The shape of a leaf."""

    def __init__(self) -> None:
        super().__init__(None, None, [])


def tree_flatten(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree, and its shape."""
    if _is_leaf(tree, is_leaf):
        return [tree], LeafSpec()
    kind = _get_node_type(tree)
    children, context = _definition(kind).flatten_fn(tree)  # type: ignore[union-attr]
    leaves: list[Any] = []
    specs = []
    for child in children:
        inner, spec = tree_flatten(child, is_leaf)
        leaves += inner
        specs.append(spec)
    return leaves, TreeSpec(kind, context, specs)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of that shape with those leaves."""
    leaves = list(leaves)
    if len(leaves) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(leaves)} but the spec "
            f"refers to a pytree that holds {treespec.num_leaves} items ({treespec})."
        )
    remaining = iter(leaves)

    def build(spec: TreeSpec) -> Any:
        if spec.is_leaf():
            return next(remaining)
        children = [build(child) for child in spec.children_specs]
        return _definition(spec.type).unflatten_fn(  # type: ignore[union-attr]
            children, spec.context
        )

    return build(treespec)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The shape of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(
    func: Callable[..., Any],
    tree: Any,
    *rests: Any,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """A tree of the same shape of the function's results."""
    leaves, spec = tree_flatten(tree, is_leaf)
    columns = [leaves, *(tree_flatten(rest, is_leaf)[0] for rest in rests)]
    return tree_unflatten([func(*row) for row in zip(*columns, strict=True)], spec)


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any) -> Any:
    """Call the function on every leaf; returns the tree."""
    tree_map(func, tree, *rests)
    return tree


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any) -> Any:
    """tree_map over the leaves of one kind; the others stay."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree)


def tree_all(predicate: Callable[[Any], bool], tree: Any) -> bool:
    """Whether the predicate holds for every leaf."""
    return all(predicate(leaf) for leaf in tree_leaves(tree))


def tree_any(predicate: Callable[[Any], bool], tree: Any) -> bool:
    """Whether the predicate holds for some leaf."""
    return any(predicate(leaf) for leaf in tree_leaves(tree))
