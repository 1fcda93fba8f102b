"""Programs made by the scheduler compute what the interpreter computes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.unit.schedule.execute import run_program
from tracec_codegen.kernel.core import Scratch
from tracec_codegen.kernel.printer import kernel_text
from tracec_codegen.program import Program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import dims, dtypes
from tracec_ir.autodiff import grad_func
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value
from tracec_ir.expand import expand
from tracec_ir.interp import run
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, TensorType

TARGET = named_target("avx2")


def function(body, *types) -> Func:
    """The primitive function of `body(b, *values)` over parameters of these types."""
    b = Builder()
    params = [Value(t, name=f"p{i}") for i, t in enumerate(types)]
    out = body(b, *params)
    return expand(b.func("f", params, out if isinstance(out, tuple) else (out,)))


def f32(*shape):
    return TensorType(dtypes.f32, shape)


def numbers(*types):
    rng = np.random.default_rng(0)
    out = []
    for t in types:
        if isinstance(t, ScalarType):
            out.append(0.25 if t.dtype.kind == "f" else 3)
        elif t.dtype.kind in "iu":
            out.append(rng.integers(0, 3, t.shape).astype(t.dtype.numpy))
        else:
            out.append(rng.standard_normal(t.shape).astype(t.dtype.numpy))
    return out


def check(body, *types, steps: int | None = None, donate=None, rtol=2e-5) -> Program:
    func = function(body, *types)
    args = numbers(*types)
    program = Program.from_json(schedule(func, TARGET, donate).to_json())
    want = run(func, *args)
    found = run_program(program, args)
    for w, f in zip(want, found, strict=True):
        assert np.shape(w) == f.shape and np.asarray(w).dtype == f.dtype
        np.testing.assert_allclose(
            np.asarray(f, np.float64), np.asarray(w, np.float64), rtol=rtol, atol=1e-5
        )
    if steps is not None:
        assert len(program.steps) == steps, str(program)
    return program


def test_pointwise_chain_is_one_kernel():
    check(lambda b, x, y: b.mul(b.exp(b.add(x, y)), 2.5), f32(4, 6), f32(6), steps=1)


def test_softmax_is_one_kernel():
    def softmax(b, x):
        m = b.reduce(x, "max", (1,), keepdim=True)
        e = b.exp(b.sub(x, m))
        return b.div(e, b.reduce(e, "sum", (1,), keepdim=True))

    check(softmax, f32(5, 7), steps=1)
    check(softmax, f32(200, 400), steps=1)


def test_column_sum():
    check(lambda b, x: b.reduce(x, "sum", (0,)), f32(9, 5), steps=1)
    check(lambda b, x: b.reduce(x, "sum", (0,)), f32(700, 100), steps=2)


def test_full_reductions():
    check(lambda b, x: b.reduce(b.mul(x, x), "sum", (0, 1)), f32(9, 5), steps=1)
    check(lambda b, x: b.mul(b.reduce(x, "sum", (0, 1)), 0.5), f32(300, 300), steps=2)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_batch_statistics(axis):
    def normalise(b, x):
        axes = tuple(a for a in range(3) if a != axis)
        n = 1.0
        for a in axes:
            n *= x.shape[a]
        mean = b.mul(b.reduce(x, "sum", axes, keepdim=True), 1 / n)
        d = b.sub(x, mean)
        var = b.mul(b.reduce(b.mul(d, d), "sum", axes, keepdim=True), 1 / n)
        return b.mul(d, b.rsqrt(b.add(var, 1e-5))), b.reshape(mean, (x.shape[axis],))

    check(normalise, f32(3, 4, 5), steps=1)


def test_movement():
    def body(b, x):
        t = b.permute(x, (1, 0))
        s = b.slice(t, starts=(3, 0), stops=(-1, 4), steps=(-1, 2))
        p = b.pad(s, b.const(1.5, dtypes.f32), low=(1, 0), high=(0, 2), interior=(0, 1))
        c = b.concat(p, b.neg(p), axis=0)
        return b.reshape(c, (c.type.numel,))

    check(body, f32(4, 4), steps=1)


def test_gather():
    def body(b, x, i):
        return b.gather(x, i, axes=(0,))

    check(body, f32(5, 4), TensorType(dtypes.i64, (3, 2)), steps=1)


def test_dot_is_a_call_and_absorbs_permutes():
    def body(b, x, w):
        return b.dot(x, b.permute(w, (1, 0)))

    p = check(body, f32(20, 30), f32(40, 30), steps=1)
    assert p.steps[0].symbol == "gemm_f32"
    check(body, f32(3, 2), f32(2, 2), steps=1)


def test_scalars_and_symbolic_sizes():
    check(lambda b, x, lr: b.sub(x, b.mul(x, lr)), f32(3), ScalarType(dtypes.f64), steps=1)


def test_cross_entropy_like():
    def body(b, x, t):
        m = b.reduce(x, "max", (1,), keepdim=True)
        lse = b.add(b.log(b.reduce(b.exp(b.sub(x, m)), "sum", (1,), keepdim=True)), m)
        lp = b.sub(x, lse)
        rows = b.emit("iota", (), {"size": x.shape[0], "dtype": dtypes.i64})[0]
        picked = b.gather(lp, rows, t, axes=(0, 1))
        return b.neg(b.mul(b.reduce(picked, "sum", (0,)), 1 / x.shape[0]))

    check(body, f32(6, 5), TensorType(dtypes.i64, (6,)))


def test_updates_are_one_kernel_in_place():
    def body(b, *xs):
        *params, lr = xs
        n = len(params) // 2
        return tuple(b.sub(p, b.mul(g, lr)) for p, g in zip(params[:n], params[n:], strict=True))

    shapes = [(4, 3), (4,), (2, 5)]
    types = [f32(*s) for s in shapes] * 2 + [ScalarType(dtypes.f64)]
    p = check(body, *types, steps=1, donate={0: 0, 1: 1, 2: 2})
    assert p.donations == {0: 0, 1: 1, 2: 2}


def test_donation_is_refused_when_the_old_value_is_needed():
    p = check(
        lambda b, x: (b.neg(x), b.slice(x, starts=(1,), stops=(3,), steps=(1,))),
        f32(4),
        donate={0: 0},
    )
    assert not p.donations and any("overwrite" in n for n in p.notes)


def test_repeated_results_and_results_that_are_inputs():
    def body(b, x, w):
        y = b.dot(x, w)
        return y, x, y

    check(body, f32(20, 30), f32(30, 40))


def spec(shape, strides, offset):
    return {"shape": shape, "strides": strides, "offset": offset}


def test_writes_stay_in_place():
    def body(b, x, k):
        y = b.write(x, k, **spec((2, 3), (6, 1), 1))
        return b.write(y, b.neg(k), **spec((2, 3), (6, 1), 13))

    p = check(body, f32(5, 6), f32(2, 3), steps=2, donate={0: 0})
    assert p.donations == {0: 0}
    check(body, f32(5, 6), f32(2, 3), steps=3)


def test_write_that_reads_its_base():
    def add_to_row(b, x):
        row = b.strided(x, **spec((6,), (1,), 6))
        return b.write(x, b.add(row, 1.0), **spec((6,), (1,), 6))

    p = check(add_to_row, f32(5, 6), steps=1, donate={0: 0})
    assert p.donations == {0: 0}

    def shift_rows(b, x):
        rows = b.strided(x, **spec((4, 6), (6, 1), 0))
        return b.write(x, rows, **spec((4, 6), (6, 1), 6))

    check(shift_rows, f32(5, 6), steps=2, donate={0: 0})
    check(shift_rows, f32(5, 6), steps=2)


def test_overlapping_write():
    check(lambda b, x, k: b.write(x, k, **spec((3, 3), (1, 1), 3)), f32(3, 4), f32(3, 3))


@pytest.mark.parametrize("kind", ["set", "add", "mul", "min", "max"])
def test_scatter(kind):
    def body(b, x, v, i):
        return b.emit1("scatter", x, v, i, axes=(1,), kind=kind)

    check(body, f32(4, 3, 5), f32(7, 4, 5), TensorType(dtypes.i64, (7,)))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min"])
def test_scan(kind, axis):
    check(lambda b, x: b.scan(b.mul(x, 2.0), kind=kind, axis=axis), f32(3, 4, 5), steps=1)


@pytest.mark.parametrize("dtype", [dtypes.f32, dtypes.f64, dtypes.u32])
def test_philox(dtype):
    i64 = ScalarType(dtypes.i64)
    check(lambda b, s, o: b.emit1("philox", s, o, shape=(3, 5), dtype=dtype), i64, i64, steps=1)


def test_half_accumulates_in_f32():
    half = TensorType(dtypes.f16, (4, 300))
    check(lambda b, x: b.reduce(x, "sum", (1,)), half, rtol=2e-3)
    check(lambda b, x, y: b.dot(x, b.permute(y, (1, 0))), half, half, rtol=2e-3)


@pytest.mark.parametrize("rank", [1, 2])
def test_convolutions_are_calls(rank):
    attrs = {
        "stride": (2, 1)[:rank], "padding": ((1, 1), (0, 2))[:rank], "dilation": (1, 2)[:rank],
        "groups": 2,
    }  # fmt: skip
    x, w = (2, 4, 9, 8)[: 2 + rank], (6, 2, 3, 2)[: 2 + rank]
    p = check(lambda b, x, w: b.emit1("conv", x, w, **attrs), f32(*x), f32(*w), steps=1)
    y = f32(*p.buffers[p.outputs[0]].shape)
    check(lambda b, g, w: b.emit1("conv_input", g, w, input_shape=x, **attrs), y, f32(*w), steps=1)
    check(
        lambda b, x, g: b.emit1("conv_weight", x, g, weight_shape=w, **attrs), f32(*x), y, steps=1
    )


@pytest.mark.parametrize("heads", [3, 80])
def test_attention_like_batches(heads):
    def body(b, q, k):
        swap = (0, 2, 1, 3)
        return b.dot(b.permute(q, swap), b.permute(b.permute(k, swap), (0, 1, 3, 2)))

    p = check(body, f32(2, 5, heads, 32), f32(2, 6, heads, 32))
    assert [type(s).__name__ for s in p.steps] == ["CallStep"] * 2
    batch = dims.symbol("n", 2)
    types = f32(batch, 5, 3, 32), f32(batch, 6, 3, 32)
    program = schedule(function(body, *types), TARGET)
    assert len(program.steps) == 3
    args = numbers(f32(4, 5, 3, 32), f32(4, 6, 3, 32))
    want = np.einsum("nqhd,nkhd->nhqk", *args)
    np.testing.assert_allclose(run_program(program, args)[0], want, rtol=1e-4, atol=1e-4)


def test_wide_column_sums_read_rows_in_order():
    """Sums over many wide rows keep the sums of all columns in scratch, row after row."""

    def body(b, x):
        return b.reduce(b.mul(x, 3.0), "sum", (0,)), b.reduce(x, "sum", (0,))

    program = check(body, f32(600, 200), rtol=2e-4)
    first = program.steps[0].kernel
    assert sum(isinstance(s, Scratch) for s in first.body) == 2
    assert len(program.steps) == 2


@pytest.mark.parametrize("outer", [2, 3, 8])
def test_wide_column_sums_over_few_outer_rows(outer):
    """The loop that is cut into blocks may be shorter than a block of rows should be."""

    def body(b, x, y):
        low = b.emit("permute", (x,), {"perm": (0, 2, 1, 3)})[0]
        high = b.emit("permute", (y,), {"perm": (0, 2, 1, 3)})[0]
        return b.reduce(b.emit("concat", (low, high), {"axis": 2})[0], "sum", (0, 1))

    halves = f32(outer, 4, 480 // outer, 32)
    program = check(body, halves, halves, rtol=2e-4)
    assert len(program.steps) == 2


def test_what_is_read_at_many_places_is_computed_once():
    """An expensive value read at shifted positions of one reader is stored; a cheap one is not."""

    def shifted(b, v, pads):
        zero = b.const(0.0, dtypes.f32)
        moved = [b.emit1("pad", v, zero, low=(k,), high=(8 - k,), interior=(0,)) for k in pads]
        out = moved[0]
        for m in moved[1:]:
            out = b.add(out, m)
        return out

    def costly(b, x):
        return shifted(b, b.exp(b.exp(b.exp(x))), (0, 3, 8))

    program = check(costly, f32(40))
    assert any("read at 3 places" in note for note in program.notes)
    assert sum(len(s.kernel.bufs) for s in program.steps) > 2
    cheap = check(lambda b, x: shifted(b, b.neg(x), (0, 3, 8)), f32(40))
    assert not any("places" in note for note in cheap.notes) and len(cheap.buffers) == 2


def test_which_element_is_the_largest_of_overlapping_windows_is_found_once():
    def pooled(b, x):
        y = b.max_pool2d(x, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1),
                         ceil_mode=False)  # fmt: skip
        return b.reduce(y, "sum", (0, 1, 2, 3))

    b = Builder()
    x = Value(f32(1, 2, 9, 9), name="x")
    func = lower(grad_func(b.func("f", [x], [pooled(b, x)]), [0]))
    program = schedule(func, TARGET)
    # of the windows for their maxima, for the places of those, and of the places: 9 each
    loads = [len(re.findall("= load ", kernel_text(s.kernel))) for s in program.steps]
    assert sum(loads) <= 3 * 9, loads
    args = [*numbers(x.type), np.float32(1.0)]
    for want, found in zip(run(func, *args), run_program(program, args), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-6)


@pytest.mark.parametrize("kind", ["add", "set"])
def test_places_that_count_up_are_not_checked(kind):
    """Scattering with (i[k], j): along j no two elements meet, so it is the loop over lanes."""

    def body(b, base, values, i):
        j = b.broadcast_to(b.emit1("iota", size=6, dtype=dtypes.i64), (5, 6))
        rows = b.broadcast_to(b.reshape(i, (5, 1)), (5, 6))
        return b.emit1("scatter", base, values, rows, j, axes=(0, 1), kind=kind)

    i64 = TensorType(dtypes.i64, (5,))
    program = check(body, f32(4, 6), f32(5, 6), i64)
    text = kernel_text(program.steps[-1].kernel)
    assert text.count("check ") == 1 and "vector" in text


def test_gathering_in_order_is_reading():
    program = check(
        lambda b, x: b.emit1("gather", x, b.emit1("iota", size=5, dtype=dtypes.i64), axes=(0,)),
        f32(9, 4),
    )
    (step,) = program.steps
    assert not step.kernel.uses_error


def test_products_are_added_up_by_the_library():
    """((x0 y0 + x1 y1) + x2 y2): one call each, in one buffer, and no kernel."""

    def body(b, *xs):
        total = b.matmul(xs[0], xs[1])
        for x, y in zip(xs[2::2], xs[3::2], strict=True):
            total = b.add(total, b.matmul(x, y))
        return total

    program = check(body, *[f32(20, 30), f32(30, 40)] * 3, steps=3)
    assert [s.adds for s in program.steps] == [False, True, True]
    assert {s.outs for s in program.steps} == {tuple(program.outputs)}

    def reused(b, x, y):
        product = b.matmul(x, y)
        return b.add(b.add(product, b.matmul(b.neg(x), y)), product)

    # a product that is read again must stay what it is
    kept = check(reused, f32(20, 30), f32(30, 40))
    assert not any(getattr(s, "adds", False) for s in kept.steps)


def test_long_sums_of_products():
    """A sequence longer than Python's stack is deep."""

    def body(b, x, y):
        total = b.matmul(x, y)
        for k in range(1200):
            total = b.add(total, b.matmul(b.mul(x, float(k + 2)), y))
        return total

    func = function(body, f32(20, 30), f32(30, 40))
    program = schedule(func, TARGET)
    assert sum(getattr(s, "adds", False) for s in program.steps) == 1200
