"""What the emitter decides: mappings, launches, barriers, scratch, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.cuda.emulate import Library, needs_compiler
from tests.cuda.programs import CASES, kernels, scheduled
from tracec_codegen.cuda.emit import emit
from tracec_codegen.cuda.independent import independent
from tracec_codegen.cuda.index import expression
from tracec_codegen.cuda.launch import SHARED_LIMIT, Launch
from tracec_codegen.cuda.types import literal
from tracec_codegen.kernel.core import (
    Buf,
    Carry,
    Check,
    Const,
    Kernel,
    Load,
    Loop,
    Scalar,
    Scratch,
    Size,
    Store,
    Update,
)
from tracec_codegen.kernel.verify import verify
from tracec_ir import dims, dtypes
from tracec_ir.dims import symbol
from tracec_ir.dtypes import b1, f32, i64

K, J, N, ROW = (symbol(name) for name in ("i", "j", "n", "o"))


def nest(*kinds: str) -> Kernel:
    """y[.., i] = x[.., i] over nested loops of these kinds, the last of 100, the others of 30."""
    variables = [f"i{n}" for n in range(len(kinds))]
    place = symbol(variables[-1])
    for n, variable in enumerate(variables[-2::-1]):
        place = place + symbol(variable) * 100 * 30**n
    body: list = [Load("%0", "x", place, f32), Store("y", place, "%0")]
    for n, (variable, kind) in enumerate(zip(variables[::-1], kinds[::-1], strict=True)):
        body = [Loop(variable, 30 if n else 100, kind, body)]
    return Kernel("nest", [Buf("x", f32), Buf("y", f32, "out")], [], body)


@pytest.mark.parametrize("kinds, mapping, threads, grid", [
    (["vector"], "elements", 128, (1, 1)),
    (["parallel", "vector"], "tiles", 128, (30, 1)),
    (["parallel", "serial"], "threads", 32, (1, 1)),
    (["parallel", "serial", "vector"], "rows", 128, (30, 1)),
    (["serial", "vector"], "tiles", 128, (30, 1)),
])  # fmt: skip
@needs_compiler
def test_mappings(kinds, mapping, threads, grid, tmp_path) -> None:
    kernel = nest(*kinds)
    verify(kernel)
    unit = emit(kernel)
    geometry = unit.launch.geometry({})
    assert (unit.launch.mapping, geometry.threads, geometry.grid) == (mapping, threads, grid)
    x = np.random.default_rng(0).standard_normal(100 * 30 ** (len(kinds) - 1)).astype(np.float32)
    y = np.zeros_like(x)
    Library([unit], tmp_path).launch("nest", geometry, [x, y])
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("extent, store, load, expected", [
    (N, N * ROW + K, None, True),  # rows of n
    (100, 100 * ROW + K + 3, None, False),  # the last three are the next row's
    (100, 103 * ROW + K + 3, None, True),
    (N, K, None, False),  # every turn writes the same
    (N, N * ROW + K, N * ROW + K, True),  # in place
    (N, N * ROW + K, N * ROW + K + N, False),  # reads the next row
    (N, N * ROW - K, None, False),
    (N, N * ROW + symbol("%0"), None, False),  # wherever a value says
    (N, dims.floordiv(ROW, 2), None, False),
])  # fmt: skip
def test_serial_turns_that_are_independent(extent, store, load, expected) -> None:
    body: list = [Load("%1", "x", load, f32)] if load is not None else []
    body = [Loop("i", extent, "vector", [*body, Store("x", store, "%2")])]
    loop = Loop("o", 30, "serial", body)
    assert independent(loop, {"x": "x"}, {"n"}) is expected


def test_the_programs_use_every_mapping() -> None:
    found = {u.launch.mapping for name in CASES for u in kernels(name, scheduled(name))}
    assert found == {"elements", "tiles", "threads", "rows", "block"}


def test_geometry() -> None:
    launch = Launch("tiles", 128, (N, 1000), (1, 128), 0)
    assert launch.geometry({"n": 7}).grid == (7, 8)
    assert launch.geometry({"n": 0}).empty
    rows = Launch("rows", 256, (N, 1), (1, 1), 4 * N)
    assert rows.geometry({"n": 100}).shared == 400
    spilled = rows.geometry({"n": SHARED_LIMIT})
    assert spilled.shared == 0 and spilled.scratch == 4 * SHARED_LIMIT * spilled.grid[0]


def test_a_long_row_spills() -> None:
    (unit,) = kernels("softmax_spilled", scheduled("softmax_spilled"))
    assert unit.launch.geometry({}).scratch >= 13_000 * 4


def test_indices() -> None:
    def text(d):
        return expression(d, lambda name: name, lambda name: name != "v3")

    v3 = symbol("v3")
    assert text(400 * K + J + 3) == "400 * i + j + 3"
    assert text(5 - K) == "-i + 5"
    assert text(dims.floordiv(K + 7, 8)) == "((i + 7) / 8)"
    assert text(dims.mod(v3, 4)) == "tc::remainder(v3, 4LL)"  # rounds down, as C does not
    assert text(dims.minimum(64, N - 64 * K)) == "tc::min(64LL, -64 * i + n)"


def test_literals() -> None:
    assert literal(0.1, f32) == "0.1f"
    assert literal(1e300, f32) == "__int_as_float(0x7f800000)"
    assert literal(-(2**63), i64) == "(-9223372036854775807LL - 1)"
    assert literal(2**63, dtypes.u64) == "9223372036854775808ULL"
    assert literal(1, b1) == "true"
    with pytest.raises(NotImplementedError, match="complex64"):
        literal(1, dtypes.c64)


def through_scratch() -> Kernel:
    """y[i] = x[n - 1 - i] by way of a scratch array: what one thread stores another loads."""
    write = Loop("i", N, "vector", [Load("%0", "x", K, f32), Store("s", K, "%0")])
    read = Loop("j", N, "vector", [Load("%1", "s", N - 1 - J, f32), Store("y", J, "%1")])
    outer = Loop("o", 1, "parallel", [write, read])
    bufs = [Buf("x", f32), Buf("y", f32, "out")]
    return Kernel("reverse", bufs, [Size("n")], [Scratch("s", f32, N), outer])


def scratch_run(unit, folder, count: int = 300) -> np.ndarray:
    x, y = np.arange(count, dtype=np.float32), np.zeros(count, np.float32)
    library = Library([unit], folder)
    library.launch(unit.name, unit.launch.geometry({"n": count}), [x, y], [count])
    return y


@needs_compiler
def test_barrier_between_store_and_load(tmp_path) -> None:
    kernel = through_scratch()
    verify(kernel)
    unit = emit(kernel)
    np.testing.assert_array_equal(scratch_run(unit, tmp_path), np.arange(300)[::-1])


@needs_compiler
def test_the_emulation_sees_a_missing_barrier(tmp_path) -> None:
    unit = emit(through_scratch())
    assert "__syncthreads();" in unit.text
    broken = replace(unit, text=unit.text.replace("__syncthreads();", ""))
    with pytest.raises(AssertionError, match="order of threads"):
        scratch_run(broken, tmp_path)


@needs_compiler
def test_the_emulation_sees_a_divergent_barrier(tmp_path) -> None:
    unit = emit(through_scratch())
    barrier = "if (threadIdx.x < 7) __syncthreads();"
    broken = replace(unit, text=unit.text.replace("__syncthreads();", barrier))
    with pytest.raises(AssertionError, match="barrier was not reached"):
        scratch_run(broken, tmp_path)


@needs_compiler
def test_the_emulation_sees_stray_writes(tmp_path) -> None:
    unit = emit(through_scratch())
    broken = replace(unit, text=unit.text.replace("y[j] =", "y[j + 1] ="))
    with pytest.raises(AssertionError, match="memory around y"):
        scratch_run(broken, tmp_path)


@needs_compiler
def test_a_failing_check_is_recorded_once(tmp_path) -> None:
    body = [
        Load("%0", "x", K, i64), Const("%1", 100, i64), Scalar("%2", "lt", ("%0", "%1"), b1),
        Check("%2", 5, "%0"), Store("y", K, "%0"),
    ]  # fmt: skip
    kernel = Kernel("checked", [Buf("x", i64), Buf("y", i64, "out")], [Size("n")],
                    [Loop("i", N, "vector", body)], uses_error=True)  # fmt: skip
    verify(kernel)
    unit = emit(kernel)
    library = Library([unit], tmp_path)
    x, y = np.arange(70), np.zeros(70, np.int64)
    good = library.launch("checked", unit.launch.geometry({"n": 70}), [x, y], [70])
    assert not good.any()
    x[40] = 123
    bad = library.launch("checked", unit.launch.geometry({"n": 70}), [x, y], [70])
    assert bad[0] == 5 and bad[2] == 123
    np.testing.assert_array_equal(y, x)


@needs_compiler
def test_in_place_rows(tmp_path) -> None:
    """An output in the memory of its input: the row is read before it is written."""
    total = Carry("%s", 0.0, "sum", f32)
    add = [Load("%0", "x", N * ROW + K, f32), Update("%s", "%0")]
    sums = Loop("i", N, "reduce", add, [total])
    store = [Load("%1", "x", N * ROW + J, f32), Scalar("%2", "div", ("%1", "%s"), f32),
             Store("y", N * ROW + J, "%2")]  # fmt: skip
    outer = Loop("o", 9, "parallel", [sums, Loop("j", N, "vector", store)])
    bufs = [Buf("x", f32), Buf("y", f32, "out", alias="x")]
    kernel = Kernel("normalise", bufs, [Size("n")], [outer])
    verify(kernel)
    unit = emit(kernel)
    assert "__restrict__" not in unit.text
    library = Library([unit], tmp_path)
    x = np.random.default_rng(0).uniform(1, 2, (9, 500)).astype(np.float32)
    y = np.zeros_like(x)
    library.launch("normalise", unit.launch.geometry({"n": 500}), [x, y], [500])
    np.testing.assert_allclose(y, x / x.sum(1, keepdims=True), rtol=1e-5)


def test_names_stay_apart() -> None:
    kernel = Kernel("float", [Buf("int", f32), Buf("int_2", f32, "out")], [Size("area")],
                    [Loop("i", symbol("area"), "vector", [Load("%i", "int", K, f32),
                                                          Store("int_2", K, "%i")])])  # fmt: skip
    names = [p.name for p in emit(kernel).parameters]
    assert len(set(names)) == 3 and not {"int", "area"} & set(names)
