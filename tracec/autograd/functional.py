"""Derivatives of Python functions: Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable

from .. import record
from . import grad
from .mode import enable_grad

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(x, what: str) -> tuple:
    out = tuple(x) if isinstance(x, (tuple, list)) else (x,)
    for i, t in enumerate(out):
        if not isinstance(t, record.Tensor):
            raise TypeError(
                f"The {what} given to the function must be Tensors, but number {i} is "
                f"{type(t).__name__}"
            )
    return out


def _fresh(inputs: tuple, create_graph: bool) -> tuple:
    """The inputs as values to differentiate by, connected to the given ones if a graph is
    wanted."""
    if create_graph:
        return tuple(
            x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in inputs
        )
    return tuple(x.detach().clone().requires_grad_() for x in inputs)


def _finish(tensors, create_graph: bool):
    return tuple(t if create_graph else t.detach() for t in tensors)


def _like(single, tensors: tuple):
    """One tensor where the user gave one, else the tuple."""
    return tensors if isinstance(single, (tuple, list)) else tensors[0]


def _zeros(x):
    return record.apply("full", (0,), {"shape": tuple(x.shape), "dtype": x.dtype})


def _vectors(v, references: tuple, what: str) -> tuple:
    if v is None:
        if len(references) != 1 or references[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {what} contains a single element."
            )
        return tuple(_zeros(r) + 1 for r in references)
    vectors = _tuple(v, "vector v")
    if len(vectors) != len(references):
        raise RuntimeError(f"v has {len(vectors)} tensors, but {what} has {len(references)}")
    for a, b in zip(vectors, references):
        if a.shape != b.shape:
            raise RuntimeError(f"v has invalid size: should be {b.shape} but got {a.shape}")
    return vectors


def _grads(outputs, inputs, grad_outputs, create_graph: bool, strict: bool) -> tuple:
    """`grad` with zeros (or, if `strict`, RuntimeError) where there is no path."""
    pairs = [(o, g) for o, g in zip(outputs, grad_outputs) if o.requires_grad]
    found: tuple = (None,) * len(inputs)
    if pairs:
        found = grad(
            [o for o, _ in pairs],
            inputs,
            [g for _, g in pairs],
            retain_graph=True,
            create_graph=create_graph,
            allow_unused=True,
        )
    if strict and any(g is None for g in found):
        raise RuntimeError(
            f"Output of the user-provided function is independent of input {found.index(None)}. "
            "This is not allowed in "
            "strict mode."
        )
    return tuple(_zeros(x) if g is None else g for x, g in zip(inputs, found))


def vjp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False) -> tuple:
    """`func(*inputs)` and the product of `v` (shaped like the output) with its Jacobian."""
    with enable_grad():
        xs = _fresh(_tuple(inputs, "inputs"), create_graph)
        result = func(*xs)
        outs = _tuple(result, "outputs")
        grads = _grads(outs, xs, _vectors(v, outs, "the output"), create_graph, strict)
    return _like(result, _finish(outs, create_graph)), _like(inputs, _finish(grads, create_graph))


def jvp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False) -> tuple:
    """`func(*inputs)` and the product of its Jacobian with `v` (shaped like the inputs)."""
    with enable_grad():
        xs = _fresh(_tuple(inputs, "inputs"), create_graph)
        vectors = _vectors(v, xs, "the input")
        result = func(*xs)
        outs = _tuple(result, "outputs")
        duals = tuple(_zeros(o).requires_grad_() for o in outs)
        back = _grads(outs, xs, duals, True, strict)  # linear in the duals: differentiate by them
        product = _grads(back, duals, vectors, create_graph, False)
    return _like(result, _finish(outs, create_graph)), _like(result, _finish(product, create_graph))


def jacobian(
    func: Callable,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
):
    """The Jacobian of `func` at `inputs`: for each output and input a tensor of the output's shape
    followed by the input's. One backward pass per element of the outputs."""
    if strategy != "reverse-mode":
        raise NotImplementedError(f"jacobian: strategy {strategy!r} is not implemented")
    with enable_grad():
        xs = _fresh(_tuple(inputs, "inputs"), create_graph)
        result = func(*xs)
        rows = []
        for out in _tuple(result, "outputs"):
            flat = out.reshape(-1)
            columns: list[list] = [[] for _ in xs]
            for i in range(flat.numel()):
                one = _grads((flat[i],), xs, (_zeros(flat[i]) + 1,), create_graph, strict)
                for column, g in zip(columns, one):
                    column.append(g.reshape(-1))
            rows.append(tuple(_stacked(c, out, x, create_graph) for c, x in zip(columns, xs)))
    return _like(result, tuple(_like(inputs, row) for row in rows))


def _stacked(parts: list, out, x, create_graph: bool):
    shape = tuple(out.shape) + tuple(x.shape)
    if not parts:
        return record.apply("full", (0,), {"shape": shape, "dtype": x.dtype})
    whole = record.apply("cat", tuple(parts), {"dim": 0}).reshape(shape)
    return whole if create_graph else whole.detach()


def _scalar(func: Callable) -> Callable:
    def run(*xs):
        out = func(*xs)
        if not isinstance(out, record.Tensor) or out.numel() != 1:
            raise RuntimeError(
                "The function given must return a single Tensor with a single element"
            )
        return out.reshape(())

    return run


def hessian(
    func: Callable,
    inputs,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
):
    """The second derivatives of a function with one element, by pairs of inputs."""
    single = isinstance(inputs, record.Tensor)

    def first(*xs):
        grads = _grads((_scalar(func)(*xs),), xs, (None,), True, strict)
        return grads[0] if single else grads

    return jacobian(first, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def vhp(func: Callable, inputs, v=None, create_graph: bool = False, strict: bool = False) -> tuple:
    """`func(*inputs)` (one element) and the product of `v` with its Hessian."""
    with enable_grad():
        xs = _fresh(_tuple(inputs, "inputs"), create_graph)
        vectors = _vectors(v, xs, "the input")
        out = _scalar(func)(*xs)
        first = _grads((out,), xs, (None,), True, strict)
        product = _grads(first, xs, vectors, create_graph, strict)
    return _finish((out,), create_graph)[0], _like(inputs, _finish(product, create_graph))


hvp = vhp  # the Hessian is symmetric
