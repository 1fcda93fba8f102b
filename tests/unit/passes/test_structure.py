"""Random views and writes keep their meaning when their structure is recovered."""

from __future__ import annotations

import numpy as np
import pytest

from tracec_ir import dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.interp import run
from tracec_ir.passes.pipeline import lower
from tracec_ir.passes.structure import structure
from tracec_ir.types import TensorType
from tracec_ir.verify import verify


def random_view(rng, shape):
    """A view of a dense array made of ordinary indexing; returns (shape, strides, offset)."""
    a = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(0, 5)
        if a.ndim == 0:
            a = a[None]
        if kind == 0:
            a = a.transpose(rng.permutation(a.ndim))
        elif kind == 1:
            k = int(rng.integers(0, a.ndim))
            start = int(rng.integers(0, a.shape[k]))
            step = int(rng.integers(1, 3))
            a = a[(slice(None),) * k + (slice(start, None, step),)]
        elif kind == 2:
            k = int(rng.integers(0, a.ndim))
            a = a[(slice(None),) * k + (int(rng.integers(0, a.shape[k])),)]
        elif kind == 3:
            a = a[None] if rng.integers(2) else a[..., None]
        else:
            a = np.broadcast_to(a, (2, *a.shape))
    return a.shape, tuple(s // 8 for s in a.strides), int(a.reshape(-1)[0]) if a.size else 0


@pytest.mark.parametrize("seed", range(60))
def test_views(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 6, rng.integers(1, 4)))
    view, strides, offset = random_view(rng, shape)
    strides = tuple(0 if n == 1 else s for n, s in zip(view, strides, strict=True))
    spec = {"shape": view, "strides": strides, "offset": offset}
    b = Builder()
    x = Value(TensorType(dtypes.f32, shape), name="x")
    func = b.func("f", [x], [b.strided(x, **spec)])
    after = structure(func)
    verify(after)
    assert not any(op.name == "strided" for op in after.ops), str(after)
    a = rng.standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(run(func, a)[0], run(after, a)[0])


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("constant", [False, True])
def test_writes(seed, constant):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(2, 6, rng.integers(1, 4)))
    view, strides, offset = random_view(rng, shape)
    spec = {"shape": view, "strides": strides, "offset": offset}
    b = Builder()
    x = Value(TensorType(dtypes.f32, shape), name="x")
    v = Value(TensorType(dtypes.f32, view), name="v")
    base = b.full(0.5, dtypes.f32, shape) if constant else x
    y = b.write(base, v, **spec)
    func = b.func("f", [x, v], [y, b.strided(y, **spec)])
    after = lower(func)
    verify(after)
    args = [rng.standard_normal(s).astype(np.float32) for s in (shape, view)]
    for w, f in zip(run(func, *args), run(after, *args), strict=True):
        np.testing.assert_array_equal(w, f)


def test_flat_views():
    b = Builder()
    x = Value(TensorType(dtypes.f32, (4, 6)), name="x")
    rows = b.strided(x, shape=(12,), strides=(1,), offset=6)
    split = b.strided(x, shape=(4, 3, 2), strides=(6, 2, 1), offset=0)
    after = structure(b.func("f", [x], [rows, split]))
    assert [op.name for op in after.ops] == ["reshape", "slice", "reshape"] or not any(
        op.name == "strided" for op in after.ops
    )


def test_diagonals_stay():
    b = Builder()
    x = Value(TensorType(dtypes.f32, (4, 4)), name="x")
    after = structure(b.func("f", [x], [b.strided(x, shape=(4,), strides=(5,), offset=0)]))
    assert [op.name for op in after.ops] == ["strided"]
