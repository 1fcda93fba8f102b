"""Squares transposed in registers: values at all edges, and that they are used."""

import numpy as np
import pytest

from tests.unit.codegen.kernels import Compiled
from tracec_codegen.kernel.core import Buf, Const, Kernel, Load, Loop, Scalar, Size, Store
from tracec_codegen.llvm.emit import emit
from tracec_codegen.target import host_target, named_target
from tracec_ir.dims import minimum, symbol
from tracec_ir.dtypes import b1, f32, f64, i16, i32, i64

A, B, P, M, N = (symbol(x) for x in ("a", "b", "p", "m", "n"))


def kernel(dtype, rows, columns, other: bool = False) -> Kernel:
    """y[a, b] = x[b, a] (+ z[a, b]), for x of rows x columns."""
    body: list = [Load("%x", "x", B * columns + A, dtype)]
    bufs = [Buf("x", dtype), Buf("y", dtype, "out")]
    value = "%x"
    if other:
        bufs.insert(1, Buf("z", dtype))
        body += [Load("%z", "z", A * rows + B, dtype), Scalar("%s", "add", ("%x", "%z"), dtype)]
        value = "%s"
    body.append(Store("y", A * rows + B, value))
    sizes = [] if isinstance(rows, int) else [Size("m"), Size("n")]
    nest = Loop("a", columns, "serial", [Loop("b", rows, "vector", body)])
    return Kernel("turned", bufs, sizes, [nest])


@pytest.mark.parametrize("isa", ["", "avx2", "sse2"])
@pytest.mark.parametrize("dtype", [f32, f64, i32, i64, i16, b1])
def test_values_at_every_edge(isa: str, dtype) -> None:
    if isa and host_target().arch != "x86_64":
        pytest.skip("another instruction set")
    target = host_target(isa or None)
    rng = np.random.default_rng(1)
    symbolic = {other: Compiled(kernel(dtype, M, N, other), target) for other in (False, True)}
    for rows, columns in (
        (2, 2),
        (16, 16),
        (17, 16),
        (16, 17),
        (5, 40),
        (40, 5),
        (33, 50),
        (64, 64),
    ):
        x, z = (
            rng.integers(0, 2 if dtype is b1 else 100, (rows, columns)).astype(dtype.numpy)
            for _ in range(2)
        )
        for other in (False, True):
            want = x.T | z.reshape(columns, rows) if dtype is b1 else x.T + z.reshape(columns, rows)
            want = want if other else x.T
            arrays = [x.ravel(), *([z.ravel()] if other else [])]
            for run, sizes in (
                (symbolic[other], [rows, columns]),
                (Compiled(kernel(dtype, rows, columns, other), target), []),
            ):
                y = np.zeros(rows * columns, dtype.numpy)
                run([*arrays, y], sizes)
                assert np.array_equal(y.reshape(columns, rows), want), (rows, columns, other)


@pytest.mark.parametrize("dtype", [f32, f64, i32, i64])
def test_what_follows_from_one_load_alone_is_of_its_turn(dtype) -> None:
    """y[a, b] = -(x[b, a] + 1): no other lane-wise operand tells the turns apart."""
    body = [
        Load("%x", "x", B * 40 + A, dtype),
        Const("%one", 1, dtype),
        Scalar("%s", "add", ("%x", "%one"), dtype),
        Scalar("%r", "neg", ("%s",), dtype),
        Store("y", A * 33 + B, "%r"),
    ]
    nest = Loop("a", 40, "serial", [Loop("b", 33, "vector", body)])
    run = Compiled(Kernel("turned", [Buf("x", dtype), Buf("y", dtype, "out")], [], [nest]))
    x = np.random.default_rng(0).integers(-99, 99, (33, 40)).astype(dtype.numpy)
    y = np.zeros(33 * 40, dtype.numpy)
    run([x.ravel(), y], [])
    assert np.array_equal(y.reshape(40, 33), -(x.T + 1))


def test_nothing_is_gathered_in_a_square() -> None:
    for isa in ("avx512", "avx2"):
        text = emit(kernel(f32, 64, 64), named_target(isa))
        assert "masked.gather" not in text.split("@turned", 1)[1].split("latch", 1)[0]
        side = named_target(isa).lanes(32)
        vectors = text.count(f"load <{side} x float>")
        assert vectors == side and text.count("shufflevector") >= side * (side.bit_length() - 1)


def test_loads_of_what_the_loop_stores_are_not_moved() -> None:
    """x[b, a] is read while x[a, b] is written: the order of the turns counts."""
    body = [Load("%x", "x", B * 32 + A, f32), Store("x", A * 32 + B, "%x")]
    nest = Loop("a", 32, "serial", [Loop("b", 32, "vector", body)])
    text = emit(Kernel("inplace", [Buf("x", f32, "inout")], [], [nest]), named_target("avx512"))
    assert "load <16 x float>" not in text


def test_blocks_of_a_grid() -> None:
    """The form that the scheduler gives: blocks, and the rest of the last one."""
    rows, columns = 100, 150
    a, b = symbol("q") * 64 + A, P * 64 + B
    body = [Load("%x", "x", b * columns + a, f32), Store("y", a * rows + b, "%x")]
    inner = Loop("b", minimum(64, rows - P * 64), "vector", body)
    nest = Loop(
        "q", 3, "serial", [Loop("a", minimum(64, columns - symbol("q") * 64), "serial", [inner])]
    )
    run = Compiled(
        Kernel(
            "grid", [Buf("x", f32), Buf("y", f32, "out")], [], [Loop("p", 2, "parallel", [nest])]
        )
    )
    x = np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)
    y = np.zeros(rows * columns, np.float32)
    for k in range(2):  # in two chunks
        run([x.ravel(), y], [], k, k + 1)
    assert np.array_equal(y.reshape(columns, rows), x.T)
