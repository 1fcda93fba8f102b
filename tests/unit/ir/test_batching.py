"""Batching: over stacked examples every op computes what it computes for each of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tracec_ir import interp
from tracec_ir.batching import batched
from tracec_ir.batching_rules import covered
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.dtypes import by_numpy
from tracec_ir.optable import all_ops, lookup
from tracec_ir.types import TensorType

N = 3
UNBATCHED = {"const", "iota", "while"}  # no operands, no operands, refused


def _valid(name: str) -> list:
    """(arrays, attrs, regions) of the samples that are computed."""
    found = []
    for sample in lookup(name).samples() if lookup(name).samples else ():
        arrays, attrs, *more = sample
        if more and not isinstance(more[0], tuple):
            continue
        if all(isinstance(a, np.ndarray) for a in arrays) and arrays:
            found.append((arrays, attrs, more[0] if more else ()))
    return found


def _examples(x: np.ndarray, name: str) -> np.ndarray:
    """N variants of an operand."""
    rng = np.random.default_rng(x.size)
    flat = x.reshape(-1)
    rows = [x, *(rng.permutation(flat).reshape(x.shape) for _ in range(N - 1))]
    return np.stack(rows) if x.size else np.zeros((N, *x.shape), x.dtype)


def _func(name, types, attrs, regions):
    b = Builder()
    params = [Value(t) for t in types]
    return b.func(name, params, b.emit(name, params, attrs, regions))


def _check(name, arrays, attrs, regions, flags, rtol=1e-6):
    types = [TensorType(by_numpy(a.dtype), a.shape) for a in arrays]
    func = _func(name, types, attrs, regions)
    over, on = batched(func, flags, N, force=True)
    stacks = [_examples(a, name) if f else a for a, f in zip(arrays, flags, strict=True)]
    have = interp.run(over, *stacks)
    for i in range(N):
        one = [s[i] if f else s for s, f in zip(stacks, flags, strict=True)]
        want = interp.run(func, *one)
        for h, w in zip(have, want, strict=True):
            if w.dtype.kind in "biu":
                np.testing.assert_array_equal(h[i], w)
            else:
                wide = np.complex128 if w.dtype.kind == "c" else np.float64
                tol = 0.05 if w.dtype.itemsize == 2 else rtol
                np.testing.assert_allclose(h[i].astype(wide), w.astype(wide), rtol=tol, atol=tol)


CASES = [
    (name, k)
    for name, d in all_ops().items()
    if (d.is_primitive or d.pointwise is not None) and name not in UNBATCHED | {"philox", "host"}
    for k in range(len(_valid(name)))
]


@pytest.mark.parametrize(("name", "k"), CASES)
def test_an_op_over_examples_is_a_loop(name: str, k: int) -> None:
    arrays, attrs, regions = _valid(name)[k]
    for flags in itertools.product((True, False), repeat=len(arrays)):
        if any(flags) and len(arrays) <= 4:
            _check(name, arrays, attrs, regions, flags)


@pytest.mark.parametrize("k", range(len(_valid("host"))))
def test_a_host_function_over_examples_is_a_loop(k: int) -> None:
    arrays, attrs, _ = _valid("host")[k]
    _check("host", arrays, attrs, (), [True] * len(arrays))


def test_every_primitive_has_a_rule() -> None:
    prims = {n for n, d in all_ops().items() if d.is_primitive}
    assert prims - covered() == {"const", "while"} & prims
