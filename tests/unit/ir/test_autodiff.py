"""Reverse mode over functions: accumulation, composites, regions, gradients of gradients."""

import numpy as np
import pytest

from tests.ops.driver import check_gradient
from tracec_ir import dtypes, interp
from tracec_ir.autodiff import grad, grad_func
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.optable import composite, lookup
from tracec_ir.types import TensorType


@composite()
def square_of_sum_example(b, x, y):
    """(x + y)^2, with both operands used twice."""
    return b.mul(b.add(x, y), b.add(x, y))


@composite()
def two_results_example(b, x):
    """(sin x, the sum of x)."""
    return b.sin(x), b.reduce(x, "sum", range(x.rank))


def tensor(*shape, dtype=dtypes.f64) -> Value:
    return Value(TensorType(dtype, shape))


def function(params, body):
    b = Builder()
    out = body(b, *params)
    return b.func("f", params, out if isinstance(out, tuple) else (out,))


def arrays(func, seed=0):
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(0.5, 2, p.shape) for p in func.params)


def gradient(func, wrt, inputs, *seeds):
    return interp.run(grad_func(func, wrt), *inputs, *seeds)


def test_value_used_twice_accumulates():
    f = function([tensor(3)], lambda b, x: b.mul(x, x))
    x = np.array([1.0, 2.0, 3.0])
    (g,) = gradient(f, [0], (x,), np.ones(3))
    np.testing.assert_array_equal(g, 2 * x)


def test_diamond():
    def body(b, x):
        y = b.exp(x)
        return b.add(b.mul(y, b.sin(x)), b.mul(y, y))

    f = function([tensor(4)], body)
    check_gradient(f, arrays(f))


def test_broadcasting_sums_back():
    f = function([tensor(3, 1), tensor(4)], lambda b, x, y: b.div(b.mul(x, y), b.add(x, 2.0)))
    check_gradient(f, arrays(f))


def test_intermediate_results_are_outputs_too():
    def body(b, x):
        y = b.exp(x)
        return y, b.mul(y, y)

    f = function([tensor(2)], body)
    check_gradient(f, arrays(f))


def test_one_value_returned_twice():
    def body(b, x):
        y = b.exp(x)
        return y, y

    f = function([tensor(2)], body)
    x = np.array([0.0, 1.0])
    (g,) = gradient(f, [0], (x,), np.ones(2), 2 * np.ones(2))
    np.testing.assert_allclose(g, 3 * np.exp(x))


def test_parameter_is_output():
    f = function([tensor(2)], lambda b, x: (x, b.mul(x, 3.0)))
    (g,) = gradient(f, [0], (np.ones(2),), np.ones(2), np.ones(2))
    np.testing.assert_array_equal(g, [4, 4])


def test_independent_target_has_no_gradient():
    x, y = tensor(2), tensor(2)
    b = Builder()
    z = b.exp(x)
    assert grad(b, [z], [b.full(1.0, dtypes.f64, (2,))], [y]) == [None]
    f = function([x, y], lambda b, x, y: b.exp(x))
    (g,) = gradient(f, [1], (np.ones(2), np.ones(2)), np.ones(2))
    np.testing.assert_array_equal(g, [0, 0])


def test_detach_and_integers_stop_gradients():
    f = function([tensor(3)], lambda b, x: b.mul(b.detach(x), x))
    x = np.array([1.0, 2.0, 3.0])
    (g,) = gradient(f, [0], (x,), np.ones(3))
    np.testing.assert_array_equal(g, x)
    f = function([tensor(3)], lambda b, x: b.mul(b.cast(b.cast(x, dtypes.i64), dtypes.f64), x))
    (g,) = gradient(f, [0], (x + 0.5,), np.ones(3))
    np.testing.assert_array_equal(g, [1, 2, 3])


def test_gradients_stop_at_targets_marked_so():
    x = tensor(2)
    b = Builder()
    y = b.exp(x)
    z = b.mul(y, y)
    seed = b.full(1.0, dtypes.f64, (2,))
    gy, gx = grad(b, [z], [seed], [y, x], stop=[y])
    assert gx is None
    f = b.func("f", [x], [gy])
    np.testing.assert_allclose(interp.run(f, np.zeros(2))[0], [2, 2])
    gy, gx = grad(b, [z], [seed], [y, x])
    f = b.func("f", [x], [gy, gx])
    np.testing.assert_allclose(interp.run(f, np.ones(2))[1], 2 * np.exp([2, 2]))


def test_composite_without_a_rule_is_differentiated_through_its_body():
    f = function([tensor(3), tensor(3)], lambda b, x, y: b.square_of_sum_example(x, y))
    assert [op.name for op in f.ops] == ["square_of_sum_example"]
    check_gradient(f, arrays(f))


def test_composite_with_one_value_as_both_operands():
    f = function([tensor(3)], lambda b, x: b.square_of_sum_example(x, x))
    check_gradient(f, arrays(f))
    g = function([tensor(3)], lambda b, x: b.square_of_sum_example(b.exp(x), b.exp(x)))
    check_gradient(g, arrays(g))


@pytest.mark.parametrize("used", [0, 1])
def test_composite_of_which_one_result_matters(used):
    f = function([tensor(3)], lambda b, x: b.two_results_example(x)[used])
    check_gradient(f, arrays(f))


def test_gradient_of_gradient():
    f = function([tensor(3), tensor(3)], lambda b, x, y: b.mul(b.sin(x), b.exp(b.mul(x, y))))
    inputs = arrays(f)
    first = check_gradient(f, inputs)
    second = check_gradient(first, (*inputs, np.ones(3)))
    assert second.ops


def test_gradient_of_gradient_of_a_cube():
    f = function([tensor()], lambda b, x: b.mul(b.mul(x, x), x))
    x, one = np.array(2.0), np.array(1.0)
    first = grad_func(f, [0])
    second = grad_func(first, [0])
    third = grad_func(second, [0])
    assert interp.run(first, x, one) == [12]
    assert interp.run(second, x, one, one) == [12]
    assert interp.run(third, x, one, one, one) == [6]


def test_gradient_through_both_branches():
    t = TensorType(dtypes.f64, (2,))
    then = function([Value(t), Value(t)], lambda b, x, y: b.mul(x, y))
    other = function([Value(t), Value(t)], lambda b, x, y: b.sin(x))
    cond = Value(TensorType(dtypes.b1))
    f = function(
        [cond, Value(t), Value(t)], lambda b, c, x, y: b.emit("if", (c, x, y), {}, (then, other))
    )
    x, y, g = np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.ones(2)
    found = gradient(f, [1, 2], (np.array(True), x, y), g)
    np.testing.assert_array_equal(found, [y, x])
    found = gradient(f, [1, 2], (np.array(False), x, y), g)
    np.testing.assert_allclose(found, [np.cos(x), np.zeros(2)])


def test_missing_derivative_is_named():
    f = function([tensor(2), tensor(2)], lambda b, x, y: b.apply("igamma", (x, y), {})[0])
    with pytest.raises(NotImplementedError, match="igamma"):
        grad_func(f, [0])


def test_source_lines_reach_the_gradient():
    b = Builder()
    x = tensor(2)
    b.loc = "model.py:7"
    y = b.tanh(x)
    f = b.func("f", [x], [y])
    assert {op.loc for op in grad_func(f, [0]).ops} == {"model.py:7"}
    b.loc = "step.py:3"
    grad(b, [y], [tensor(2)], [x])
    assert b.loc == "step.py:3"


def test_gradient_is_shared_not_recomputed():
    f = function([tensor(2)], lambda b, x: b.tanh(x))
    names = [op.name for op in grad_func(f, [0]).ops]
    assert names.count("tanh") == 1


def test_gradient_under_half_precision_keeps_the_dtype():
    f = function([tensor(3, dtype=dtypes.bf16)], lambda b, x: b.mul(b.exp(x), 2.0))
    assert grad_func(f, [0]).results[0].dtype is dtypes.bf16


def test_ties_of_an_extremum_share():
    f = function([tensor(3)], lambda b, x: b.reduce(x, "max", (0,)))
    (g,) = gradient(f, [0], (np.array([2.0, 2.0, 1.0]),), np.array(1.0))
    np.testing.assert_array_equal(g, [0.5, 0.5, 0])


def test_edges_of_pow():
    f = function([tensor(5), tensor(5)], lambda b, x, y: b.pow(x, y))
    x, y = np.array([0.0, 0.0, -2.0, 0.0, 3.0]), np.array([0.0, 2.0, 3.0, 1.0, 0.0])
    gx, gy = gradient(f, [0, 1], (x, y), np.ones(5))
    np.testing.assert_array_equal(gx, [0, 0, 12, 1, 0])
    np.testing.assert_array_equal(gy[[0, 1, 3]], [0, 0, 0])
    np.testing.assert_allclose(gy[4], np.log(3))


def test_overlapping_view_of_symbolic_sizes():
    from tracec_ir import dims

    n = dims.symbol("n", 4)
    spec = {"shape": (n, 2), "strides": (1, 1), "offset": 0}
    f = function([tensor(n + 1)], lambda b, x: b.strided(x, **spec))
    (g,) = interp.run(grad_func(f, [0]), np.zeros(7), np.ones((6, 2)))
    np.testing.assert_array_equal(g, [1, 2, 2, 2, 2, 2, 1])


def test_symbolic_sizes():
    from tracec_ir import dims

    n = dims.symbol("n", 4)
    f = function([tensor(n, 3), tensor(3)], lambda b, x, y: b.reduce(b.mul(x, y), "sum", (0,)))
    g = grad_func(f, [0, 1])
    x, y = np.random.default_rng(0).random((6, 3)), np.arange(3.0)
    gx, gy = interp.run(g, x, y, np.ones(3))
    np.testing.assert_allclose(gx, np.broadcast_to(y, (6, 3)))
    np.testing.assert_allclose(gy, x.sum(0))
    assert lookup("reduce").vjp is not None
