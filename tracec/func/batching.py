"""vmap: a function of one example over many, by batching its IR."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tracec_ir.batching import batched
from tracec_ir.core import Func

from .. import record
from ..autograd.edges import call_segment
from ..utils._pytree import TreeSpec, tree_flatten, tree_unflatten
from .axes import broadcast_to_tree, check_results, example_count, flat_inputs
from .capture import Call, Capture, Captured, connected, gradient_bits, write_back

Tensor = record.Tensor

_INPLACE = (
    "vmap: inplace arithmetic(self, *extra_args) is not possible because there exists a Tensor "
    "`other` in extra_args that has more elements than `self`. This happened due to `other` being "
    "vmapped over but `self` not being vmapped over in a vmap. Please try to use out-of-place "
    "operators instead of inplace arithmetic. If said operator is being called inside the PyTorch "
    "framework, please file a bug report instead."
)


def batched_call(c: Captured, codes: tuple[int, ...]) -> tuple[Call, list[bool]]:
    """The captured function over all examples, and which of these results differ between them."""
    flags = (*c.batched, *(False for _ in c.scalars))

    def make(func: Func) -> tuple[Call, list[bool]]:
        over, on = batched(func, flags, c.size, c.different)
        return Call(over), on

    return c.transformed(codes, ("vmap", flags, c.size, c.different), make)


def vmap(
    func: Callable,
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable:
    """`func` over examples that lie along dimensions `in_dims` of its arguments (None: the same for
    all), its results stacked along `out_dims`.

    The function is run once, on tensors of one example; all examples are computed together.
    `randomness` says what random functions do: "error", "same" numbers for all examples, or
    "different" ones. `chunk_size` examples at a time bound the memory.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and not chunk_size > 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def over_examples(*args: Any, **kwargs: Any) -> Any:
        leaves, dims, spec = flat_inputs(in_dims, args, func)
        size = example_count(leaves, dims)
        if chunk_size is not None and size > chunk_size:
            return _in_chunks(
                func, leaves, dims, spec, size, chunk_size, out_dims, randomness, kwargs
            )
        return _run(func, leaves, dims, spec, size, out_dims, randomness, kwargs)

    return over_examples


def _run(
    func: Callable, leaves: list, dims: list, spec: TreeSpec, size: int, out_dims: Any,
    randomness: str, kwargs: dict,
) -> Any:  # fmt: skip
    """The function over all examples of the arguments, stacked as `out_dims` says."""
    in_front = [x if d is None else x.movedim(d, 0) for x, d in zip(leaves, dims, strict=True)]
    c = Capture(size, randomness, differentiates=False)
    with c:
        inner = []
        for x, d in zip(in_front, dims, strict=True):
            one = x if d is None else c.given(x, x.shape[1:], x._spec, connected(x))
            inner.append(one)
        before = [x._st.code if d is not None else 0 for x, d in zip(inner, dims, strict=True)]
        out = func(*tree_unflatten(inner, spec), **kwargs)
        results, out_spec = tree_flatten(out)
        places = broadcast_to_tree(out_dims, out_spec, func)
        check_results(results, places, func)
        tensors = [r for r in results if isinstance(r, Tensor)]
        codes = [c.code(t) for t in tensors]
        changed = [
            (x, t._st.code + t._rg)
            for x, t, d, was in zip(in_front, inner, dims, before, strict=True)
            if d is not None and t._st.code != was
        ]
        written = c.writes()
        captured = Captured(c)
    all_codes = (*codes, *(code for _, code in changed), *(code for _, code in written))
    if not all_codes:
        return out
    call, on = batched_call(captured, all_codes)
    n, m = len(codes), len(codes) + len(changed)
    if any(on[m:]):
        raise RuntimeError(_INPLACE)
    arguments = captured.arguments()
    values = call_segment(call, arguments, gradient_bits(arguments, all_codes))
    for (x, _), value in zip(changed, values[n:m], strict=True):
        record.assign(x, value, computed=True)
    write_back(written, values[m:])
    computed = iter(zip(values[:n], on[:n], strict=True))
    placed = [
        _placed(*next(computed), place, size, func) if isinstance(r, Tensor) else r
        for r, place in zip(results, places, strict=True)
    ]
    return tree_unflatten(placed, out_spec)


def _placed(x: Tensor, on: bool, place: int | None, size: int, func: Callable) -> Tensor:
    """A result with the examples along dimension `place`."""
    if place is None:
        if on:
            name = getattr(func, "__name__", str(func))
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None"
            )
        return x
    whole = x if on else x.expand((size, *x.shape))
    return whole.movedim(0, place)


def _in_chunks(
    func: Callable, leaves: list, dims: list, spec: TreeSpec, size: int, chunk: int, out_dims: Any,
    randomness: str, kwargs: dict,
) -> Any:  # fmt: skip
    """`_run` over so many examples at a time."""
    parts, out_spec, places = [], None, []
    for start in range(0, size, chunk):
        n = min(chunk, size - start)
        some = [
            x if d is None else x.narrow(d, start, n) for x, d in zip(leaves, dims, strict=True)
        ]
        out = _run(func, some, dims, spec, n, out_dims, randomness, kwargs)
        flat, out_spec = tree_flatten(out)
        places = broadcast_to_tree(out_dims, out_spec, func)
        parts.append(flat)
    joined = [
        column[0] if place is None else record.apply("cat", tuple(column), {"dim": place})
        for column, place in zip(zip(*parts, strict=True), places, strict=True)
    ]
    return tree_unflatten(joined, out_spec)
