"""Training steps: how many steps a program has, what is updated in place, where memory goes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.schedule.execute import run_program
from tracec_codegen.plan import lifetimes, plan_memory
from tracec_codegen.program import CallStep, KernelStep, Program, format_program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import dims, dtypes, interp
from tracec_ir.autodiff import grad
from tracec_ir.builder import Builder
from tracec_ir.core import Value
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, TensorType

TARGET = named_target("avx2")


def f32(*shape):
    return TensorType(dtypes.f32, shape)


def training_step(shapes, inputs, loss):
    """(parameters..., inputs..., lr, three zeros) -> (loss, new parameters...)."""
    b = Builder()
    params = [Value(f32(*s), name=f"w{i}") for i, s in enumerate(shapes)]
    data = [Value(t, name=f"x{i}") for i, t in enumerate(inputs)]
    value = loss(b, params, *data)
    grads = grad(b, [value], [b.full(1.0, dtypes.f32, ())], params)
    scalars = [Value(ScalarType(dtypes.f64), name=n) for n in ("lr", "momentum", "damp", "decay")]
    flags = {"has_momentum": False, "nesterov": False, "maximize": False, "first": False}
    attrs = {"n": len(params), **flags}
    new = b.apply("sgd_step", [*scalars, *params, *grads], attrs)
    return b.func("step", [*params, *data, *scalars], [value, *new])


def linear_regression():
    def loss(b, p, x, y):
        return b.apply("mse_loss", [b.apply("linear", [x, *p])[0], y])[0]

    return training_step([(1, 1), (1,)], [f32(3, 1), f32(3, 1)], loss)


def perceptron(batch):
    def loss(b, p, x, t):
        h = b.apply("relu", b.apply("linear", [x, p[0], p[1]]))[0]
        return b.apply("cross_entropy", [b.apply("linear", [h, p[2], p[3]])[0], t])[0]

    shapes = [(32, 20), (32,), (10, 32), (10,)]
    return training_step(shapes, [f32(batch, 20), TensorType(dtypes.i64, (batch,))], loss)


def arguments(func, env):
    rng = np.random.default_rng(0)
    out = []
    for p in func.params:
        if isinstance(p.type, ScalarType):
            out.append(0.1 if p.name == "lr" else 0.0)
            continue
        shape = [dims.evaluate(s, env) for s in p.shape]
        if p.dtype.kind == "i":
            out.append(rng.integers(0, 10, shape))
        else:
            out.append((rng.standard_normal(shape) * 0.3).astype(np.float32))
    return out


def compiled(func, n_params, **env) -> Program:
    program = schedule(lower(func), TARGET, {i: i + 1 for i in range(n_params)})
    program = Program.from_json(program.to_json())
    args = arguments(func, env)
    for want, got in zip(interp.run(func, *args), run_program(program, args), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    return program


def test_linear_regression_is_one_kernel_in_place():
    program = compiled(linear_regression(), 2)
    assert len(program.steps) == 1
    assert program.donations == {1: 0, 2: 1}
    assert plan_memory(program).size == 0


def test_perceptron():
    program = compiled(perceptron(16), 4)
    calls = [s for s in program.steps if isinstance(s, CallStep)]
    kernels = [s for s in program.steps if isinstance(s, KernelStep)]
    assert len(calls) <= 5 and len(kernels) <= 4, format_program(program)
    assert len(program.donations) == 4


@pytest.mark.parametrize("batch", [16, 2, 37])
def test_one_program_for_every_batch(batch):
    n = dims.symbol("n", 16)
    program = compiled(perceptron(n), 4, n=batch)
    assert program.sizes == {"n": (4, 0)}


def test_temporaries_do_not_overlap_while_alive():
    program = compiled(perceptron(16), 4)
    plan, spans = plan_memory(program), lifetimes(program)
    for i, (first, last) in spans.items():
        for k, (start, end) in spans.items():
            if i != k and start <= last and first <= end:
                a, b = plan.offsets[i], plan.offsets[k]
                size_a, size_b = program.buffers[i].nbytes, program.buffers[k].nbytes
                assert a + size_a <= b or b + size_b <= a
    assert all(o % 64 == 0 for o in plan.offsets.values())


def test_stored_programs_that_are_none():
    for text in ("", "{}", "[1, 2]", '{"r": "Kernel", "f": []}', '{"r": "Nothing", "f": []}'):
        with pytest.raises(ValueError, match="not a stored program|unknown|not an encoded"):
            Program.from_json(text)
