"""The tiled matrix product: shapes, strides, batches and types, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.cuda.cubins import ARCHITECTURES, compiles, needs_cupy
from tests.cuda.emulate import Library, needs_compiler
from tests.cuda.programs import TARGET, Case, f32
from tracec_codegen.cuda.gemm import SIZES, gemm
from tracec_codegen.program import CallStep, Ref
from tracec_codegen.schedule import schedule
from tracec_ir import dims, dtypes
from tracec_ir.interp import run

FLOATS = (dtypes.f32, dtypes.f64, dtypes.f16, dtypes.bf16)
EPSILON = {"f64": 1e-13, "f32": 2e-5, "f16": 4e-3, "bf16": 3e-2}


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    return Library([gemm(d) for d in FLOATS], tmp_path_factory.mktemp("cuda"))


def multiply(library: Library, name: str, a, b, c, sizes: dict[str, int]) -> None:
    geometry = library.units[name].launch.geometry(sizes)
    library.launch(name, geometry, [a, b, c], [sizes[s] for s in SIZES])


@needs_compiler
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.code)
@pytest.mark.parametrize("shape", [(1, 1, 1), (64, 64, 16), (70, 33, 50), (5, 129, 17), (3, 4, 0)])
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
def test_shapes_and_layouts(library: Library, dtype, shape, layout) -> None:
    m, n, k = shape
    rng = np.random.default_rng(m * n + k)
    a, b = (rng.standard_normal(s).astype(dtype.numpy) for s in ((2, m, k), (2, k, n)))
    c = np.full((2, m, n), np.nan, dtype.numpy)
    stored = [np.ascontiguousarray(x.swapaxes(1, 2)) if how == "t" else x
              for x, how in zip((a, b), layout, strict=True)]  # fmt: skip
    rsa, csa = (1, m) if layout[0] == "t" else (k, 1)
    rsb, csb = (1, k) if layout[1] == "t" else (n, 1)
    words = (m * k, k * n, m * n, m, n, k, rsa, csa, rsb, csb, n, 2)
    sizes = dict(zip(SIZES, words, strict=True))
    multiply(library, f"gemm_{dtype.code}", *stored, c, sizes)
    exact = a.astype(float) @ b.astype(float)
    bound = EPSILON[dtype.code] * max(1, np.sqrt(k))
    np.testing.assert_allclose(c.astype(float), exact, rtol=bound, atol=bound)


@needs_compiler
def test_takes_the_words_of_a_scheduled_call(library: Library) -> None:
    case = Case("dots", lambda b, x, w: b.dot(x, b.permute(w, (1, 0))), (f32(70, 40), f32(90, 40)))
    func = case.func
    (step,) = schedule(func, TARGET).steps
    assert isinstance(step, CallStep) and step.symbol == "gemm_f32"
    x, w = case.arguments(func)
    arrays = [x, w, np.zeros((70, 90), np.float32)]
    refs, words = step.words[:3], step.words[3 : 3 + len(SIZES) - 1]
    assert [r.buffer for r in refs if isinstance(r, Ref)] == [0, 1, 2]
    parts = dims.evaluate(step.words[3 + len(SIZES) - 1], {})
    batch = dims.evaluate(step.extent, {}) // parts
    sizes = dict(zip(SIZES, [*(dims.evaluate(d, {}) for d in words), batch], strict=True))
    multiply(library, "gemm_f32", *arrays, sizes)
    np.testing.assert_allclose(arrays[2], run(func, x, w)[0], rtol=2e-5, atol=2e-5)


@needs_cupy
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles(architecture: str) -> None:
    compiles([gemm(d) for d in FLOATS], architecture)


def test_integers_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="int32"):
        gemm(dtypes.i32)
