"""Kernels over rows: division by one number, prefetching, streaming, sums over the lanes."""

import numpy as np
import pytest

from tests.unit.codegen.kernels import Compiled
from tracec_codegen.kernel.core import (
    Buf,
    Carry,
    Kernel,
    Load,
    Loop,
    Scalar,
    Scratch,
    Store,
    Update,
)
from tracec_codegen.llvm import prefetch, stream
from tracec_codegen.llvm.emit import emit
from tracec_codegen.target import host_target, named_target
from tracec_ir.dims import symbol
from tracec_ir.dtypes import f32, f64

R, C, J = symbol("r"), symbol("i"), symbol("j")


def divided(dtype, width: int) -> Kernel:
    """y[r, i] = x[r, i] / d[r]"""
    body = [
        Load("%x", "x", R * width + C, dtype),
        Scalar("%q", "div", ("%x", "%d"), dtype),
        Store("y", R * width + C, "%q"),
    ]
    rows = Loop("r", 64, "parallel", [Load("%d", "d", R, dtype), Loop("i", width, "vector", body)])
    return Kernel("divided", [Buf("x", dtype), Buf("d", dtype), Buf("y", dtype, "out")], [], [rows])


@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize("width", [64, 77])
def test_division_by_one_number_is_exact(dtype, width: int) -> None:
    rng = np.random.default_rng(width)
    kind = dtype.numpy
    info = np.finfo(kind)
    x = rng.normal(size=(64, width)).astype(kind)
    with np.errstate(over="ignore"):
        x[16:] *= np.exp2(rng.integers(info.minexp, info.maxexp, (48, width))).astype(kind)
    x[::5, ::7] = rng.choice(
        [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, info.max, 1.0], x[::5, ::7].shape
    )
    d = rng.normal(size=64).astype(kind)
    d[8:48] = np.exp2(rng.integers(info.minexp - 8, info.maxexp, 40)) * rng.uniform(1, 2, 40)
    d[48:56] = [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, info.max, 3.0]
    y = np.zeros(64 * width, kind)
    Compiled(divided(dtype, width))([x.ravel(), d, y], [], 0, 64)
    with np.errstate(all="ignore"):
        want = x / d[:, None]
    got = y.reshape(64, width)
    assert np.array_equal(got, want, equal_nan=True)
    same_sign = np.signbit(got) == np.signbit(want)
    assert (same_sign | np.isnan(want)).all()


def normalised(rows: int, width: int) -> Kernel:
    """Two passes over each row: a sum of exponentials kept in scratch, then a quotient."""
    first = [
        Load("%0", "x", R * width + C, f32),
        Scalar("%1", "exp", ("%0",), f32),
        Store("s", C, "%1"),
        Update("%t", "%1"),
    ]
    second = [
        Load("%2", "s", J, f32),
        Scalar("%3", "div", ("%2", "%t"), f32),
        Store("y", R * width + J, "%3"),
    ]
    body = [
        Loop("i", width, "reduce", first, [Carry("%t", 0.0, "sum", f32)]),
        Loop("j", width, "vector", second),
    ]
    return Kernel(
        "rows",
        [Buf("x", f32), Buf("y", f32, "out")],
        [],
        [Scratch("s", f32, width), Loop("r", rows, "parallel", body)],
    )


def plan(kernel: Kernel) -> dict:
    found: dict = {}

    class Known:
        @staticmethod
        def may_stream(loop: Loop) -> bool:
            return False

    found.update(prefetch.plan(kernel.body[-1], Known(), {"x": 4, "y": 4}))
    return found


def test_the_heavy_pass_asks_for_what_other_passes_touch_first() -> None:
    wanted = plan(normalised(64, 1024))
    # what the last pass stores is asked for in the first one, for the same row; the input of the
    # next row while this one is stored
    assert wanted["i"] == [prefetch.Prefetch("y", R * 1024 + C, True, True)]
    assert wanted["j"] == [prefetch.Prefetch("x", R * 1024 + 1024 + J, False, True)]
    short = plan(normalised(64, 64))["j"]
    assert short == [prefetch.Prefetch("x", R * 64 + 256 + J, False, True)]
    assert not plan(normalised(64, 100_000))  # such rows do not stay in the cache
    text = emit(normalised(64, 1024), host_target())
    assert "@llvm.prefetch" in text.split("define", 1)[1]


def test_rows_with_prefetching_have_the_right_values() -> None:
    for width in (64, 70, 1024):
        x = np.random.default_rng(width).normal(size=(9, width)).astype(np.float32)
        y = np.zeros(9 * width, np.float32)
        Compiled(normalised(9, width))([x.ravel(), y], [], 0, 9)
        e = np.exp(x.astype(np.float64))
        np.testing.assert_allclose(y.reshape(9, width), e / e.sum(1, keepdims=True), rtol=4e-7)


def test_what_a_kernel_touches_decides_about_streaming() -> None:
    target = named_target("avx512")
    small, large = (emit(normalised(rows, 1024), target) for rows in (4096, 8192))
    assert "nontemporal" not in small and "sfence" not in small
    assert 2 * 8192 * 1024 * 4 >= stream.STREAM_BYTES
    assert "nontemporal" in large
    # one fence a call, not one a row
    assert large.split("define", 1)[1].count("sfence") == 1
    ends = large.rstrip().splitlines()
    assert "sfence" in ends[[k for k, line in enumerate(ends) if "ret void" in line][-1] - 1]


def test_lanes_are_added_up_exactly_enough() -> None:
    """Lanes that cancel: the sum of partial sums is rounded once."""
    body = [Load("%0", "x", C, f32), Update("%t", "%0")]
    kernel = Kernel(
        "sum",
        [Buf("x", f32), Buf("y", f32, "out")],
        [],
        [Loop("i", 16, "reduce", body, [Carry("%t", 0.0, "sum", f32)]), Store("y", 0, "%t")],
    )
    run = Compiled(kernel)
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = (rng.normal(size=16) * np.exp2(rng.integers(-12, 12, 16))).astype(np.float32)
        x[8:] = -x[:8] * np.float32(1.001)
        y = np.zeros(1, np.float32)
        run([x, y], [])
        assert y[0] == np.float32(x.astype(np.float64).sum())
    for special in ([np.inf, 1], [-np.inf, np.inf], [np.nan, 0], [3e38, 3e38], [0.0, -0.0]):
        x = np.zeros(16, np.float32)
        x[[1, 9]] = special
        with np.errstate(all="ignore"):
            want = np.float32(x.astype(np.float64).sum())
        run([x, y], [])
        assert np.array_equal(y[:1], [want], equal_nan=True)
