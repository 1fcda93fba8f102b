"""Pointwise composites against their NumPy references: their bodies, and native code of these."""

import warnings
from functools import cache

import numpy as np
import pytest

from tests.unit.codegen.kernels import Compiled
from tests.unit.schedule.execute import run_program
from tracec_codegen.kernel.core import Loop
from tracec_codegen.schedule import schedule
from tracec_codegen.target import host_target
from tracec_ir import dims, dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value
from tracec_ir.expand import expand
from tracec_ir.interp import Closures, executable
from tracec_ir.optable import all_ops
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import TensorType
from tracec_ir.verify import verify

DERIVED = sorted(n for n, d in all_ops().items() if not d.is_primitive and d.numpy is not None)
DIVIDES = {"floor_divide", "idiv", "remainder"}
# of two zeros of opposite sign the C library's function may return either
EITHER_ZERO = {"fmax", "fmin"}
KINDS = ("b1", "u8", "i8", "i16", "i32", "i64", "f16", "bf16", "f32", "f64", "c128")


def test_the_table_of_primitives_is_small():
    primitives = [n for n, d in all_ops().items() if d.is_primitive]
    assert len(primitives) <= 80, sorted(primitives)


def test_none_is_left_out():
    pointwise = {n for n, d in all_ops().items() if not d.is_primitive and d.pointwise is not None}
    assert pointwise == set(DERIVED)


def numbers(dtype) -> np.ndarray:
    """Numbers of a type with all of its corners."""
    rng = np.random.default_rng(5)
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        info = np.iinfo(dtype.numpy)
        edges = [info.min, info.min + 1, info.max - 1, info.max, 0, 1, 2, 3, 7, 100]
        edges += [-1, -2, -7] if dtype.kind == "i" else []
        return np.array([*edges, *rng.integers(max(info.min, -50), 50, 9)]).astype(dtype.numpy)
    if dtype.kind == "c":
        parts = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-310, 1e200])
        re, im = np.meshgrid(parts, parts)
        out = np.empty(re.shape, dtype.numpy)
        out.real, out.imag = re, im
        return out.ravel()
    info = dtypes_info(dtype)
    edges = [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -2, 0.5, -0.5, 2.5, -2.5, 3, -3, 7]
    edges += [float(info.max), -float(info.max), float(info.tiny), -float(info.tiny)]
    edges += [float(info.smallest_subnormal), -float(info.smallest_subnormal)]
    edges += [float(info.tiny) * 0.75, float(info.max) * 0.75, 1 + float(info.eps)]
    wide = np.exp(rng.normal(size=30) * 3) * rng.choice([1, -1], 30)
    return np.array([*edges, *wide]).astype(dtype.numpy)


def dtypes_info(dtype):
    if dtype.code != "bf16":
        return np.finfo(dtype.numpy)
    import ml_dtypes

    return ml_dtypes.finfo(ml_dtypes.bfloat16)


@cache
def function(name: str, code: str, size: int) -> Func | None:
    """The op on vectors of one type; None if it does not accept that."""
    b = Builder()
    t = TensorType(dtypes.by_code(code), (size,))
    params = [Value(t) for _ in all_ops()[name].operands]
    try:
        return b.func("f", params, b.emit(name, params))
    except RuntimeError:
        return None


def case(name: str, code: str) -> tuple[Func, list[np.ndarray], np.ndarray] | None:
    """The function, arrays of every pair of the notable numbers, and the reference's result."""
    d, x = all_ops()[name], numbers(dtypes.by_code(code))
    arrays = [np.ascontiguousarray(g.ravel()) for g in np.meshgrid(*[x] * len(d.operands))]
    if name in DIVIDES and x.dtype.kind in "iu":
        arrays = [a[arrays[1] != 0] for a in arrays]
    func = function(name, code, arrays[0].size)
    if func is None:
        return None
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return func, arrays, np.asarray(d.numpy(*arrays))


def assert_equal(name: str, found: np.ndarray, want: np.ndarray, arrays: list) -> None:
    assert found.dtype == want.dtype
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(found, want)
        return
    if want.dtype.kind == "c":
        for part in ("real", "imag"):
            assert_equal(name, getattr(found, part), getattr(want, part), arrays)
        return
    half = want.dtype.itemsize == 2
    a, b = (v.astype(np.float32) if half else v for v in (found, want))
    np.testing.assert_array_equal(a, b)
    if name not in EITHER_ZERO:
        number = ~np.isnan(b)
        np.testing.assert_array_equal(np.signbit(a)[number], np.signbit(b)[number])


@pytest.mark.parametrize("code", KINDS)
@pytest.mark.parametrize("name", DERIVED)
def test_body_is_the_reference(name, code):
    found = case(name, code)
    if found is None:
        return
    func, arrays, want = found
    expanded = expand(func, keep=lambda op: False)
    assert all(all_ops()[op.name].is_primitive for op in expanded.ops)
    verify(expanded, "primitive")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert_equal(name, Closures(expanded)(*arrays)[0], want, arrays)


def native(func: Func, arrays: list, isa: str = "") -> np.ndarray:
    """The result of compiled code."""
    target = host_target(isa or None)

    def launch(kernel, memory, sizes):
        loops = [s for s in kernel.body if isinstance(s, Loop) and s.kind == "parallel"]
        high = int(dims.evaluate(loops[0].extent, sizes)) if loops else 1
        Compiled(kernel, target)(memory, list(sizes.values()), 0, high)

    return run_program(schedule(lower(func), target), list(arrays), launch)[0]


@pytest.mark.parametrize("isa", ["", "avx2", "sse2"])
@pytest.mark.parametrize("name", [n for n in DERIVED if n != "conj"])
def test_native_code_is_the_reference(name, isa):
    for code in KINDS if not isa else ("u8", "i32", "f16", "bf16", "f32", "f64"):
        found = case(name, code) if code != "c128" else None
        if found is None:
            continue
        func, arrays, want = found
        assert_equal(name, native(func, arrays, isa), want, arrays)


@pytest.mark.parametrize("name", sorted(DIVIDES))
def test_integers_divided_by_zero(name):
    """An error in the interpreter, its expansion included; natively 0, and no trap."""
    func = function(name, "i32", 4)
    x = np.array([-(2**31), 5, -7, 0], np.int32)
    for run in (Closures(func), Closures(expand(func, keep=lambda op: False))):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            run(x, np.zeros(4, np.int32))
    y = native(func, [x, np.array([-1, 0, 0, 0], np.int32)])
    assert y.tolist() == [0 if name == "remainder" else -(2**31), 0, 0, 0]


def test_numpy_takes_them_whole():
    """One call of NumPy each, complex ones in compiled programs too."""
    for name in DERIVED:
        code = "c128" if name == "conj" else "f32"
        func = function(name, code, 4) or function(name, "i32", 4) or function(name, "b1", 4)
        assert [op.name for op in executable(func).ops] == [name]
        found = function(name, "c128", 4)
        if found is not None:
            assert [op.name for op in lower(found, verified=True).ops] == [name]
