"""The interpreter: memory of results, symbolic sizes, weak scalars, regions, precision."""

import warnings

import ml_dtypes
import numpy as np
import pytest

from tracec_ir import dims, dtypes, interp
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.types import ScalarType, TensorType


def tensor(*shape, dtype=dtypes.f32) -> Value:
    return Value(TensorType(dtype, shape))


def function(params, body):
    b = Builder()
    out = body(b, *params)
    return b.func("f", params, out if isinstance(out, tuple) else (out,))


def test_results_own_their_memory():
    f = function(
        [tensor(2, 3)],
        lambda b, x: (x, b.permute(x, (1, 0)), b.broadcast_to(x, (4, 2, 3)), b.reshape(x, (6,))),
    )
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    results = interp.run(f, x)
    for i, r in enumerate(results):
        assert r.flags.owndata and r.flags.c_contiguous and r.flags.writeable
        assert not np.may_share_memory(r, x)
        assert not any(np.may_share_memory(r, other) for other in results[:i])


def test_constants_are_not_shared_between_runs():
    f = function([], lambda b: (b.const(1.5, dtypes.f32), b.iota(size=3, dtype=dtypes.i64)))
    run = interp.closures(f)
    first = run()
    first[0][...] = 7
    first[1][...] = 7
    again = run()
    assert again[0] == 1.5
    np.testing.assert_array_equal(again[1], [0, 1, 2])
    assert not run.steps


def test_one_value_returned_twice_is_two_arrays():
    f = function([tensor(2)], lambda b, x: (b.exp(x),) * 2)
    a, b = interp.run(f, np.zeros(2, np.float32))
    assert not np.may_share_memory(a, b)


def test_weak_scalars_follow_promotion():
    for dtype, scalar, expected in (
        (dtypes.i32, dtypes.f64, "float32"), (dtypes.f16, dtypes.f64, "float16"),
        (dtypes.i32, dtypes.i64, "int32"), (dtypes.b1, dtypes.i64, "int64"),
        (dtypes.f32, dtypes.b1, "float32"),
    ):  # fmt: skip
        f = function(
            [tensor(3, dtype=dtype), Value(ScalarType(scalar))], lambda b, x, s: b.add(x, s)
        )
        (y,) = interp.run(f, np.ones(3, dtype.numpy), True if scalar is dtypes.b1 else 2)
        assert y.dtype.name == expected


def test_half_precision_computes_in_f32_and_rounds_once():
    f = function([tensor(1, dtype=dtypes.bf16)], lambda b, x: b.rsqrt(x))
    x = np.array([3.0], ml_dtypes.bfloat16)
    expected = (1 / np.sqrt(np.float32(3))).astype(ml_dtypes.bfloat16)
    assert interp.run(f, x)[0] == expected
    total = function([tensor(4096, dtype=dtypes.f16)], lambda b, x: b.reduce(x, "sum", (0,)))
    assert interp.run(total, np.ones(4096, np.float16))[0] == 4096


def test_no_warning_escapes():
    f = function([tensor(3)], lambda b, x: (b.log(x), b.div(x, b.sub(x, x))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interp.run(f, np.array([0, -1, 1], np.float32))


def test_symbolic_sizes_come_from_the_arguments():
    n, m = dims.symbol("n", 4), dims.symbol("m", 3)
    f = function(
        [tensor(n * 2 + 1, m), tensor(m)],
        lambda b, x, y: (
            b.iota(size=n, dtype=dtypes.i64),
            b.reshape(b.add(x, y), ((2 * n + 1) * m,)),
        ),
    )
    run = interp.closures(f)
    for size in (2, 5):
        x = np.ones((2 * size + 1, 3), np.float32)
        counted, flat = run(x, np.ones(3, np.float32))
        assert counted.shape == (size,) and flat.shape == (x.size,)
    with pytest.raises(ValueError, match=r"a size is 4 where \?m = 3"):
        run(np.ones((5, 3), np.float32), np.ones(4, np.float32))
    with pytest.raises(ValueError, match=r"no argument determines the size \?n"):
        run(np.ones((6, 3), np.float32), np.ones(3, np.float32))


def test_wrong_arguments_are_named():
    f = function([tensor(2, 3)], lambda b, x: b.exp(x))
    with pytest.raises(TypeError, match="takes 1 arguments, got 2"):
        interp.run(f, 1, 2)
    with pytest.raises(TypeError, match=r"argument 0 must be f32\[2 x 3\], got float64\[2, 3\]"):
        interp.run(f, np.ones((2, 3)))
    with pytest.raises(TypeError, match=r"got shape \[2, 4\]"):
        interp.run(f, np.ones((2, 4), np.float32))


def test_loop_with_symbolic_sizes():
    n = dims.symbol("n", 4)
    i, t = TensorType(dtypes.i64), TensorType(dtypes.f32, (n,))
    below = function([Value(i), Value(t)], lambda b, i, x: b.lt(i, 3))
    step = function(
        [Value(i), Value(t)], lambda b, i, x: (b.add(i, 1), b.add(x, b.full(1.0, dtypes.f32, (n,))))
    )
    f = function(
        [Value(i), Value(t)],
        lambda b, i, x: b.emit("while", (i, x), {"carried": 2}, (below, step)),
    )
    count, total = interp.run(f, np.array(0), np.zeros(6, np.float32))
    assert count == 3
    np.testing.assert_array_equal(total, np.full(6, 3))


def test_index_errors_are_raised():
    f = function(
        [tensor(3), tensor(2, dtype=dtypes.i64)], lambda b, x, i: b.gather(x, i, axes=(0,))
    )
    with pytest.raises(IndexError, match="index 3 is out of bounds for dimension 0 with size 3"):
        interp.run(f, np.zeros(3, np.float32), np.array([0, 3]))


def test_integer_division_by_zero_raises():
    f = function([tensor(2, dtype=dtypes.i64)], lambda b, x: b.remainder(x, b.sub(x, x)))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        interp.run(f, np.array([1, 2]))
