"""Jacobians and Hessians: products with all rows (or columns) of a unit matrix, by `vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import record
from ..utils._pytree import tree_flatten, tree_unflatten
from .batching import vmap
from .derivatives import Pullback, Variables, pushed

Tensor = record.Tensor


def _basis(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The unit vectors of the space of all elements of `tensors`: for each tensor the part that
    belongs to it, [elements in all, *its shape]."""
    from .. import eye

    total, at, out = sum(t.numel() for t in tensors), 0, []
    for t in tensors:
        rows = eye(total, dtype=t.dtype).narrow(1, at, t.numel())
        out.append(rows.reshape(total, *t.shape))
        at += t.numel()
    return out


def _split(x: Tensor, tensors: Sequence[Tensor], dim: int) -> list[Tensor]:
    """Dimension `dim` of x in parts, one for the elements of each tensor."""
    at, out = 0, []
    for t in tensors:
        out.append(x.narrow(dim, at, t.numel()))
        at += t.numel()
    return out


def jacrev(
    func: Callable,
    argnums: Any = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable:
    """The function that returns the Jacobian of `func` by arguments `argnums`, in reverse mode: for
    every output and input a tensor of the output's shape followed by the input's."""
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        back = Pullback(lambda *a: func(*a, **kwargs), args, has_aux, argnums)
        for o in back.outs:
            if o.dtype.kind not in "fc":
                raise RuntimeError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got "
                    f"Tensor with dtype {o.dtype}"
                )
        basis = tree_unflatten(_basis(back.outs), back.spec)
        rows = tree_flatten(vmap(back, chunk_size=chunk_size)(basis))[0]
        by_input = [
            [p.reshape(*o.shape, *x.shape) for p, o in zip(_split(r, back.outs, 0), back.outs)]
            for r, x in zip(rows, back.wrt.leaves, strict=True)
        ]
        by_output = [back.wrt.tree([part[i] for part in by_input]) for i in range(len(back.outs))]
        found = tree_unflatten(by_output, back.spec)
        return (found, back.aux) if has_aux else found

    return derived


def jacfwd(
    func: Callable, argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable:
    """The function that returns the Jacobian of `func` by arguments `argnums`, in forward mode."""

    @functools.wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        wrt = Variables(args, argnums)

        def push(basis: Any) -> Any:
            def call(*a: Any) -> Any:
                return func(*a, **kwargs)

            _, moved, aux = pushed(call, args, basis, has_aux, argnums=argnums)
            return (moved, aux) if has_aux else moved

        basis = wrt.tree(_basis(wrt.leaves))
        moved = vmap(push, randomness=randomness)(basis)
        if has_aux:
            moved, aux = moved
            leaves, spec = tree_flatten(aux)
            aux = tree_unflatten([a[0] for a in leaves], spec)
        columns, spec = tree_flatten(moved)
        by_output = []
        for y in columns:
            parts = _split(y, wrt.leaves, 0)
            by_output.append(
                wrt.tree(
                    [
                        p.movedim(0, -1).reshape(*y.shape[1:], *x.shape)
                        for p, x in zip(parts, wrt.leaves, strict=True)
                    ]
                )
            )
        found = tree_unflatten(by_output, spec)
        return (found, aux) if has_aux else found

    return derived


def hessian(func: Callable, argnums: Any = 0) -> Callable:
    """The function that returns the second derivatives of `func` by arguments `argnums`."""
    return jacfwd(jacrev(func, argnums), argnums)
