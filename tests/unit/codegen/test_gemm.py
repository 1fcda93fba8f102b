"""Matrix products against numpy: sizes, layouts, batches, accumulation, epilogues, cutting."""

import ctypes
import itertools
from dataclasses import replace

import numpy as np
import pytest

from tracec_codegen.jit import compile_text
from tracec_codegen.llvm.gemm import gemm_ir, gemm_parts, gemm_scratch_bytes, gemm_symbol
from tracec_codegen.llvm.library import NativeLibrary, PlanStep, encode_plan, native_library
from tracec_codegen.llvm.tile import tile_ir
from tracec_codegen.target import host_target, named_target

from .fenced import fenced

NAMES = {np.dtype("f4"): "f32", np.dtype("f8"): "f64"}
TOLERANCE = {"f32": 2e-5, "f64": 1e-12}
EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 5, ctypes.c_void_p,
                            ctypes.c_int64)


def gemm(a, b, c, *, parts=1, accumulate=False, epilogue=0, context=0, entry=None,
         target=None) -> None:
    """c[i] (+)= a[i] @ b[i] by native code; the operands may have any strides but c's columns.

    On one thread, scratch is exactly as large as promised and what follows it is checked.
    """
    library = native_library()
    name = NAMES[c.dtype]
    size = c.itemsize
    batch, m, n = c.shape
    k = a.shape[2]
    words = [a.ctypes.data, b.ctypes.data, c.ctypes.data,
             *(x.strides[0] // size for x in (a, b, c)), m, n, k,
             *(s // size for s in (*a.strides[1:], *b.strides[1:])), c.strides[1] // size, parts,
             int(accumulate), epilogue, context]
    table = np.array([0, *words, batch * parts], np.int64)
    count = len(words)
    step = PlanStep(entry or library.address(gemm_symbol(name)), range(1, count + 1), count + 1, 1)
    scratch = gemm_scratch_bytes(target or library.target, name, n, k, m)
    assert library.call_needs(gemm_symbol(name), words, batch * parts)[0] == gemm_scratch_bytes(
        library.target, name, n, k, m)
    plan = encode_plan([step])
    if library.num_threads > 1:
        library.run(plan, 1, table, scratch_per_thread=scratch)
        return
    area = np.full(scratch + 4096 + 128, 0xA5, np.uint8)
    start = -area.ctypes.data % 64
    error = np.zeros(8, np.int64)
    table[0] = error.ctypes.data
    record = library.record(plan, 1, table, scratch_per_thread=scratch, threads=1)
    record.words[3] = area.ctypes.data + start
    assert library.launch(record.address) == 0
    assert (area[start + scratch:] == 0xA5).all(), "scratch overrun"


def operand(rng, batch, rows, columns, layout, dtype) -> np.ndarray:
    """A random batch of matrices: plain, transposed, padded rows, or strided both ways."""
    if layout == "t":
        return fenced(rng.standard_normal((batch, columns, rows)).astype(dtype)).transpose(0, 2, 1)
    if layout == "pad":
        return rng.standard_normal((batch, rows, columns + 3)).astype(dtype)[:, :, 1:columns + 1]
    if layout == "both":
        return rng.standard_normal((batch, 2 * rows, 3 * columns)).astype(dtype)[:, ::2, ::3]
    return fenced(rng.standard_normal((batch, rows, columns)).astype(dtype))


def check(got, a, b, name, start=0.0) -> None:
    wide = a.astype("f8") @ b.astype("f8") + start
    scale = np.abs(a).astype("f8") @ np.abs(b).astype("f8") + np.abs(start) + 1e-30
    error = np.abs(got - wide) / scale
    assert error.size == 0 or error.max() < TOLERANCE[name], error.max()


@pytest.fixture(params=[1, 2])
def threads(request):
    native_library().set_num_threads(request.param)
    yield request.param
    native_library().set_num_threads(1)


SIZES = [(1, 1, 1), (1, 7, 5), (5, 1, 7), (6, 16, 8), (7, 17, 9), (12, 15, 300), (13, 8, 1),
         (64, 120, 400), (100, 33, 257), (3, 1030, 40), (97, 50, 513), (2, 3, 0), (0, 4, 4),
         (4, 0, 4), (1, 100, 0), (1, 40, 33), (40, 1, 33)]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("m,n,k", SIZES)
def test_layouts(threads, m: int, n: int, k: int, dtype: str) -> None:
    rng = np.random.default_rng(m * 1000 + n)
    name = NAMES[np.dtype(dtype)]
    layouts = ("plain", "t", "pad", "both")
    for left, right in itertools.product(layouts, layouts):
        a = operand(rng, 2, m, k, left, dtype)
        b = operand(rng, 2, k, n, right, dtype)
        c = np.full((2, m, n + 2), 7, dtype)
        for accumulate in (False, True):
            c[:, :, :n] = 0.5
            gemm(a, b, c[:, :, :n], parts=3, accumulate=accumulate)
            check(c[:, :, :n], a, b, name, 0.5 if accumulate else 0.0)
            assert (c[:, :, n:] == 7).all()


@pytest.mark.parametrize("layout", ["plain", "t"])
@pytest.mark.parametrize("m,n,k", [(1, 333, 77), (333, 1, 77), (70, 90, 600), (300, 20, 20),
                                   (20, 300, 700)])
def test_bits_do_not_depend_on_the_cutting(m: int, n: int, k: int, layout: str) -> None:
    rng = np.random.default_rng(1)
    a, b = operand(rng, 2, m, k, layout, "f4"), operand(rng, 2, k, n, layout, "f4")
    results = []
    for number, parts in ((1, 1), (1, 5), (2, 2), (2, 48)):
        native_library().set_num_threads(number)
        c = np.empty((2, m, n), "f4")
        gemm(a, b, c, parts=parts)
        results.append(c)
    native_library().set_num_threads(1)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].view("i4"), other.view("i4"))


def test_random_shapes(threads) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        batch, m, n, k = (int(x) for x in (rng.integers(1, 4), *rng.integers(1, 90, 3)))
        dtype = rng.choice(["f4", "f8"])
        left, right = rng.choice(["plain", "t", "pad", "both"], 2)
        a, b = operand(rng, batch, m, k, left, dtype), operand(rng, batch, k, n, right, dtype)
        c = np.empty((batch, m, n), dtype)
        gemm(a, b, c, parts=int(rng.integers(1, 9)))
        check(c, a, b, NAMES[np.dtype(dtype)])


def test_broadcast_batch() -> None:
    rng = np.random.default_rng(2)
    a = rng.standard_normal((4, 10, 20)).astype("f4")
    b = np.broadcast_to(rng.standard_normal((1, 20, 30)).astype("f4"), (4, 20, 30))
    c = np.empty((4, 10, 30), "f4")
    gemm(a, b, c)
    check(c, a, b, "f32")


@pytest.mark.parametrize("m,n,k", [(1, 50, 20), (50, 1, 20), (70, 45, 300), (7, 9, 0)])
def test_epilogue_sees_every_element_once(threads, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(3)
    a, b = operand(rng, 2, m, k, "plain", "f4"), operand(rng, 2, k, n, "plain", "f4")
    c = np.empty((2, m, n), "f4")
    seen = np.zeros((2, m, n), int)
    tiles = []

    def finish(tile, ldc, row, column, rows, columns, context, batch) -> None:
        seen[batch, row:row + rows, column:column + columns] += 1
        tiles.append((tile - c[batch, row:, column:].ctypes.data, ldc, context))
        c[batch, row:row + rows, column:column + columns] += 1

    callback = EPILOGUE(finish)
    gemm(a, b, c, parts=2, epilogue=ctypes.cast(callback, ctypes.c_void_p).value, context=99)
    assert (seen == 1).all() and set(tiles) == {(0, n, 99)}
    check(c, a, b, "f32", 1.0)


@pytest.mark.parametrize("isa", ["sse2", "generic", "wide"])
def test_other_vector_units(isa: str) -> None:
    """Smaller instruction sets, and AVX-512's tile shapes carried out by this machine's vectors."""
    if host_target().arch != "x86_64":
        pytest.skip("needs x86-64")
    wide = replace(host_target(), vector_bits=512, registers=32)
    code = NativeLibrary(wide if isa == "wide" else host_target(isa))
    rng = np.random.default_rng(4)
    for m, n, k in ((50, 37, 300), (1, 30, 30), (13, 140, 1100), (100, 129, 40)):
        for layout in ("plain", "t"):
            a, b = operand(rng, 1, m, k, layout, "f4"), operand(rng, 1, k, n, layout, "f4")
            c = np.empty((1, m, n), "f4")
            gemm(a, b, c, entry=code.address("gemm_f32"), target=code.target)
            check(c, a, b, "f32")


@pytest.mark.parametrize("isa", ["avx512", "neon"])
def test_other_targets_emit(isa: str) -> None:
    target = named_target(isa)
    for ir in (gemm_ir(target, "f32"), tile_ir(target, "f32")):
        assert compile_text(ir, target).startswith(b"\x7fELF")


def test_parts() -> None:
    assert gemm_parts(4, 4, 4) == (1, -1)
    assert gemm_parts(1024, 1024, 1024) == (48, -1)
    parts, grain = gemm_parts(64, 64, 64, 100)
    assert parts == 1 and grain < -0


def test_long_strided_vector() -> None:
    """A vector too long for scratch is read in place."""
    rng = np.random.default_rng(6)
    k = 400_000
    a = rng.standard_normal((1, 1, 2 * k)).astype("f4")[:, :, ::2]
    b = operand(rng, 1, k, 2, "t", "f4")
    c = np.empty((1, 1, 2), "f4")
    gemm(a, b, c)
    check(c, a, b, "f32")


def test_grain_of_a_call() -> None:
    library = native_library()

    def grain(m: int, n: int, k: int, batch: int, parts: int) -> int:
        words = [0, 0, 0, m * k, k * n, m * n, m, n, k, k, 1, n, 1, n, parts, 0, 0, 0]
        return library.call_needs("gemm_f32", words, batch * parts)[1]

    assert grain(8, 8, 8, 4, 1) == -4
    assert grain(1024, 1024, 1024, 1, 48) == -1
    assert grain(64, 64, 64, 100, 1) == -1
    assert -20 < grain(16, 64, 32, 1000, 1) < -4
