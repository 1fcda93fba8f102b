"""The arguments `in_dims` and `out_dims` of vmap, checked and matched with trees of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import record
from ..utils._pytree import (
    SUPPORTED_NODES,
    TreeSpec,
    _definition,
    _get_node_type,
    tree_flatten,
)

Tensor = record.Tensor


def name_of(func: Callable) -> str:
    """What errors call a function."""
    return getattr(func, "__name__", str(func))


def flat_inputs(in_dims: Any, args: tuple, func: Callable) -> tuple[list, list, TreeSpec]:
    """The leaves of the arguments, the dimension of each (None or not negative), their tree."""
    name = name_of(func)
    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
            f"(potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    leaves, spec = tree_flatten(args)
    dims = _broadcast(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the "
            f"structure of `inputs`. in_dims has structure {tree_flatten(in_dims)[1]} but inputs "
            f"has structure {spec}."
        )
    head = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim="
    out = []
    for x, d in zip(leaves, dims, strict=True):
        if not isinstance(d, int) and d is not None:
            raise ValueError(
                f"{head}{d} for an input but in_dim must be either an integer dimension or None."
            )
        if d is not None:
            if not isinstance(x, Tensor):
                raise ValueError(
                    f"{head}{d} for an input but the input is of type {type(x)}. We cannot vmap "
                    "over non-Tensor arguments, please use None as the respective in_dim"
                )
            n = x.dim()
            if not -n <= d < n:
                raise ValueError(
                    f"{head}{d} for some input, but that input is a Tensor of dimensionality {n} "
                    f"so expected in_dim to satisfy -{n} <= in_dim < {n}."
                )
            d = d % n
        out.append(d)
    return leaves, out, spec


def example_count(leaves: list, dims: list) -> int:
    """How many examples there are. ValueError if the arguments disagree."""
    sizes = [x.shape[d] for x, d in zip(leaves, dims, strict=True) if d is not None]
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if any(n != sizes[0] for n in sizes):
        raise ValueError(
            "vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return sizes[0]


def broadcast_to_tree(out_dims: Any, spec: TreeSpec, func: Callable) -> list:
    """The dimension of each result."""
    name = name_of(func)
    leaves = tree_flatten(out_dims)[0]
    if any(d is not None and not isinstance(d, int) for d in leaves):
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python "
            "collection of ints representing where in the outputs the vmapped dimension should "
            "appear."
        )
    one = spec.is_leaf() and isinstance(out_dims, tuple) and len(out_dims) == 1
    places = list(out_dims) if one else _broadcast(out_dims, spec)
    if places is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with "
            f"the structure of `outputs`. out_dims has structure {tree_flatten(out_dims)[1]} but "
            f"outputs has structure {spec}."
        )
    return places


def check_results(results: list, places: list, func: Callable) -> None:
    """ValueError if something else than a tensor is returned and is to be stacked."""
    for r, place in zip(results, places, strict=True):
        if place is not None and not isinstance(r, Tensor):
            name = name_of(func)
            raise ValueError(
                f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(r)}. Did "
                "you mean to set out_dims= to None for output?"
            )


def _broadcast(tree: Any, spec: TreeSpec) -> list | None:
    """The leaves of `tree`, each repeated for what it stands for in a tree shaped as `spec`; None
    if the shapes do not match."""
    kind = _get_node_type(tree)
    if kind != "namedtuple" and kind not in SUPPORTED_NODES:
        return [tree] * spec.num_leaves
    if kind != spec.type:
        return None
    children, context = _definition(kind).flatten_fn(tree)  # type: ignore[union-attr]
    if context != spec.context or len(children) != spec.num_children:
        return None
    out: list = []
    for child, inner in zip(children, spec.children_specs, strict=True):
        found = _broadcast(child, inner)
        if found is None:
            return None
        out += found
    return out
