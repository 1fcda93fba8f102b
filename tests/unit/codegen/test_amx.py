"""Products on a matrix unit: as exact as multiply-adds, whatever the numbers, sizes and threads."""

import ctypes
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from tracec_codegen.jit import assembly_text
from tracec_codegen.llvm import amx
from tracec_codegen.llvm.gemm import gemm_ir, gemm_scratch_bytes
from tracec_codegen.llvm.library import native_library
from tracec_codegen.target import host_target, named_target

from .test_gemm import EPILOGUE, gemm, operand

needs_unit = pytest.mark.skipif(
    not (host_target().tiles and native_library().matrix_unit),
    reason="this machine has no matrix unit for bf16 (Intel AMX), or the system refuses it")
SIZES = [(64, 64, 1024), (65, 97, 700), (161, 163, 161), (129, 520, 65), (97, 65, 1000),
         (70, 300, 513), (300, 70, 224), (96, 417, 112)]


@pytest.fixture(autouse=True)
def one_thread():
    native_library().set_num_threads(1)
    yield
    native_library().set_num_threads(1)
    native_library().allow_matrix_unit(True)


def product(a: np.ndarray, b: np.ndarray, *, unit: bool = True, **options) -> np.ndarray:
    """a @ b, of matrices or batches; `unit=False` by multiply-adds alone."""
    flat = a.ndim == 2
    left, right = (x[None] if flat else x for x in (a, b))
    c = np.full((left.shape[0], left.shape[1], right.shape[2]), 7, "f4")
    native_library().allow_matrix_unit(unit)
    gemm(left, right, c, **options)
    native_library().allow_matrix_unit(True)
    return c[0] if flat else c


def errors(c: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Errors in units of the sum of the products' magnitudes."""
    wide, other = a.astype("f8"), b.astype("f8")
    return np.abs(c - wide @ other) / (np.abs(wide) @ np.abs(other))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


def bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).view("i4")


@needs_unit
@pytest.mark.parametrize("m,n,k", SIZES)
def test_layouts(m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m)
    assert amx.pays(m, n, k)
    layouts = ("plain", "t", "pad", "both")
    pairs = itertools.product(layouts, layouts) if n < 100 else zip(layouts, reversed(layouts))
    for left, right in pairs:
        a, b = operand(rng, 1, m, k, left, "f4"), operand(rng, 1, k, n, right, "f4")
        c = product(a, b, parts=3)
        assert errors(c, a, b).max() < 2.0**-21
        assert (bits(c) != bits(product(a, b, unit=False))).any(), "the unit was not used"


@needs_unit
def test_accumulates_in_padded_rows_and_leaves_the_rest() -> None:
    m, n, k = 70, 100, 700
    a, b = normal(2, m, k), normal(2, k, n, seed=1)
    c = np.full((2, m, n + 3), 7, "f4")
    c[:, :, :n] = 0.5
    gemm(a, b, c[:, :, :n], parts=2, accumulate=True)
    assert (c[:, :, n:] == 7).all()
    assert np.abs(c[:, :, :n] - a.astype("f8") @ b.astype("f8") - 0.5).max() < 1e-4


@needs_unit
@pytest.mark.parametrize("layout", ["plain", "t"])
@pytest.mark.parametrize("m,n,k", [(400, 130, 300), (130, 900, 96), (330, 290, 1100)])
def test_bits_depend_on_neither_threads_nor_parts(m: int, n: int, k: int, layout: str) -> None:
    rng = np.random.default_rng(1)
    a, b = operand(rng, 2, m, k, layout, "f4"), operand(rng, 2, k, n, layout, "f4")
    a[0, 35, 3], b[1, 2, 40] = np.inf, 1e-42                  # blocks by multiply-adds among them
    results = []
    for threads, parts in ((1, 1), (1, 5), (2, 2), (2, 48), (3, 48)):
        native_library().set_num_threads(threads)
        results.append(bits(product(a, b, parts=parts)))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@needs_unit
@pytest.mark.parametrize("k", [64, 512, 2048, 8192])
@pytest.mark.parametrize("spread", [0, 2, 10])
def test_errors_are_not_larger_than_those_of_multiply_adds(k: int, spread: float) -> None:
    m, n = (256, 256) if k < 512 else (96, 128)
    a, b = normal(m, k), normal(k, n, seed=1)
    a, b = (x * np.exp(spread * normal(*x.shape, seed=2 + i)) for i, x in enumerate((a, b)))
    with_unit, without = (errors(product(a, b, unit=u), a, b) for u in (True, False))
    # Where one product outweighs the others, the parts that are left out show beside one rounding.
    assert with_unit.mean() <= (1.1 if spread == 10 else 1.0) * without.mean()
    assert with_unit.max() <= (1.25 if spread else 1.0) * without.max()


@needs_unit
@pytest.mark.parametrize("top", [7, 200, 1000, 60000])
def test_integers_are_exact(top: int) -> None:
    rng = np.random.default_rng(top)
    other = max(1, 2**24 // (top * 640))
    a = rng.integers(-top, top + 1, (128, 640)).astype("f4")
    b = rng.integers(-other, other + 1, (640, 96)).astype("f4")
    np.testing.assert_array_equal(product(a, b), a.astype("f8") @ b.astype("f8"))
    a, b = np.abs(a), np.abs(b)                                # the sums come close to 2^24
    np.testing.assert_array_equal(product(a, b), a.astype("f8") @ b.astype("f8"))


@needs_unit
def test_integers_of_24_bits_are_exact() -> None:
    """All three parts of a number count, on either side."""
    big = np.random.default_rng(0).integers(-(2**24), 2**24, (256, 256)).astype("f4")
    np.testing.assert_array_equal(product(big, np.eye(256, dtype="f4")), big)
    np.testing.assert_array_equal(product(np.eye(256, dtype="f4"), big), big)


@needs_unit
def test_the_identity_copies_any_number() -> None:
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**32, (256, 256), np.uint64).astype("u4").view("f4")
    words[~np.isfinite(words)] = 1
    np.testing.assert_array_equal(product(words, np.eye(256, dtype="f4")), words)


@needs_unit
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_not_finite(value: float) -> None:
    """As multiply-adds: inf * 0 is nan, inf - inf is nan, and other elements do not notice."""
    a, b = normal(160, 256), normal(256, 160, seed=1)
    a[40, 7] = a[41, 9] = value
    a[41, 10] = -value
    b[200, 100] = value
    b[7, 3] = 0
    got, expected = product(a, b), product(a, b, unit=False)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    assert np.isnan(got[40, 3])
    special = ~np.isfinite(expected)
    assert special[40].all() and special[:, 100].all() and special.sum() == 2 * 160 + 160 - 2
    np.testing.assert_array_equal(got[special], expected[special])
    assert np.abs(got[~special] - expected[~special]).max() < 1e-4


@needs_unit
def test_nan_that_would_be_truncated_to_infinity() -> None:
    a, b = normal(128, 256), normal(256, 160, seed=1)
    a.view("u4")[3, 5] = 0x7F800001
    assert np.isnan(product(a, b)[3]).all()


@needs_unit
@pytest.mark.parametrize("left,right", [(-70, 0), (-140, 60), (-100, 100), (70, 0), (120, -100),
                                        (-60, -60), (-30, -80), (100, 20)])
def test_scaled_matrices_give_scaled_products(left: int, right: int) -> None:
    """Powers of two change no bit, however near to the ends of the range they bring the numbers."""
    a, b = (np.clip(np.abs(x), 0.25, 2) * np.sign(x) for x in (normal(128, 300),
                                                               normal(300, 128, seed=1)))
    # those that become denormal numbers must not lose bits
    if left < -126:
        a = np.round(a * 4) / 4
    small = [np.ldexp(x, s).astype("f4") for x, s in ((a, left), (b, right))]
    expected = np.ldexp(product(a, b).astype("f8"), left + right).astype("f4")
    got = product(*small)
    step = np.ldexp(1.0, -149)
    assert np.abs(got.astype("f8") - expected).max() <= 2 * step      # roundings of denormals
    if left + right > -100:
        np.testing.assert_array_equal(bits(got), bits(expected))


@needs_unit
@pytest.mark.parametrize("a_value,b_value", [
    (1e-42, 1.0), (1e-38, 1e-5), (3e38, 0.5), (2e38, 1e-30), (1e-25, 1e-20)])
def test_denormals_and_the_largest_numbers(a_value: float, b_value: float) -> None:
    """Single numbers far from the rest."""
    a, b = np.zeros((160, 256), "f4"), np.zeros((256, 160), "f4")
    a[np.arange(160), np.arange(160)] = a_value
    b[np.arange(160), np.arange(160)] = b_value
    a[:32, 200], b[200, :32] = 1.0, 1e-10
    expected = a.astype("f8") @ b.astype("f8")
    got = product(a, b)
    assert np.isfinite(got).all()
    assert (np.abs(got - expected) <= 2.0**-22 * np.abs(expected) + 2.0**-149).all()


@needs_unit
def test_wide_ranges_are_computed_by_multiply_adds() -> None:
    a, b = (np.exp(25 * normal(*s, seed=i).astype("f8")).clip(1e-37, 1e18).astype("f4")
            for i, s in enumerate(((128, 320), (320, 128))))
    np.testing.assert_array_equal(bits(product(a, b)), bits(product(a, b, unit=False)))


@needs_unit
def test_epilogue_sees_every_element_once() -> None:
    a, b = normal(2, 100, 600), normal(2, 600, 90, seed=1)
    seen = np.zeros((2, 100, 90), int)

    def finish(tile, ldc, row, column, rows, columns, context, batch) -> None:
        seen[batch, row:row + rows, column:column + columns] += 1

    callback = EPILOGUE(finish)
    product(a, b, parts=2, epilogue=ctypes.cast(callback, ctypes.c_void_p).value)
    assert (seen == 1).all()


def test_small_and_narrow_products_do_not_pay() -> None:
    assert amx.pays(1024, 1024, 1024) and amx.pays(64, 256, 784) and amx.pays(784, 256, 64)
    for sizes in ((1, 4096, 4096), (4096, 10, 4096), (2048, 2048, 32), (100, 100, 100)):
        assert not amx.pays(*sizes)
    unit = named_target("avx512", tiles=True)
    plain = named_target("avx512")
    for m, n, k in ((1, 4096, 4096), (100, 100, 100)):
        assert gemm_scratch_bytes(unit, "f32", n, k, m) == gemm_scratch_bytes(plain, "f32", n, k, m)
    assert gemm_scratch_bytes(unit, "f32") < 4 << 20


def test_code_is_emitted_for_targets_that_have_the_unit() -> None:
    unit = named_target("avx512", tiles=True)
    assert unit.key != named_target("avx512").key
    text = assembly_text(gemm_ir(unit, "f32"), unit)
    for instruction in ("ldtilecfg", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease"):
        assert instruction in text
    assert "tile" not in assembly_text(gemm_ir(unit, "f64"), unit).replace("tile_", "")
    plain = named_target("avx512")
    assert "tdpbf16ps" not in assembly_text(gemm_ir(plain, "f32"), plain)
    with pytest.raises(ValueError, match="tiles"):
        named_target("avx2", tiles=True)


# ---- processes -----------------------------------------------------------------------------

_START = """
import ctypes, os, sys
import numpy as np
from tests.unit.codegen.test_amx import bits, normal, product
from tracec_codegen.llvm.library import native_library
library = native_library()
a, b = normal(300, 400), normal(400, 300, seed=1)
"""


def python(text: str, before: str = "", **environment: str) -> str:
    """What a new process prints."""
    whole = before + _START + text
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@needs_unit
def test_a_forked_process_uses_the_unit_too() -> None:
    assert python("""
library.set_num_threads(2)
before = bits(product(a, b, parts=48))
child = os.fork()
if child == 0:
    same = (bits(product(a, b, parts=48)) == before).all() and library.matrix_unit
    os._exit(0 if same else 1)
print(os.waitpid(child, 0)[1], library.matrix_unit, (bits(product(a, b)) == before).all())
""") == "0 True True"


@needs_unit
def test_threads_from_before_the_permission_use_the_unit() -> None:
    assert python("""
library.set_num_threads(2)
small = product(normal(300, 40), normal(40, 300), parts=48)     # starts the threads
print((bits(product(a, b, parts=48)) == bits(product(a, b, parts=1))).all(), library.matrix_unit)
""") == "True True"


@pytest.mark.skipif(not host_target().tiles, reason="the target has no matrix unit")
def test_refused_by_the_system() -> None:
    """A filter of system calls refuses arch_prctl(ARCH_REQ_XCOMP_PERM)."""
    assert python("""
c = product(a, b)
print(library.matrix_unit, (bits(c) == bits(product(a, b, unit=False))).all())
""", before="""
import ctypes
class Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8),
                ("k", ctypes.c_uint32)]
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(Filter))]
LOAD, EQUAL, RETURN, ALLOW, REFUSE = 0x20, 0x15, 0x06, 0x7FFF0000, 0x00050001
filters = (Filter * 6)((LOAD, 0, 0, 0), (EQUAL, 0, 3, 158), (LOAD, 0, 0, 16), (EQUAL, 0, 1, 0x1023),
                       (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW))
program = Program(6, filters)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, ctypes.get_errno()
""") == "False True"


def test_the_knob_forbids_it() -> None:
    assert python("""
from tracec_runtime.compiler import library
print(library().matrix_unit)
""", TRACEC_MATRIX_UNIT="0") == "False"
