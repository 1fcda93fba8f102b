"""Every kernel that the CUDA tests emit compiles to cubins; neither GPU nor driver is needed."""

from __future__ import annotations

import importlib.util

import pytest
from tracec_codegen.cuda.emit import module_text
from tracec_codegen.cuda.nvrtc import CompileError, compile_cubin

from tests.cuda.programs import CASES, kernels, scheduled

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="needs CuPy (the extra cuda-test)"
)
ELF = b"\x7fELF"


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_programs(architecture: str) -> None:
    units = [u for name in CASES for u in kernels(name, scheduled(name))]
    cubin = compile_cubin(module_text(units), "programs", architecture)
    assert cubin.startswith(ELF)
    assert all(u.name.encode() in cubin for u in units)


def test_errors_hold_the_log() -> None:
    with pytest.raises(CompileError, match="undefined_name"):
        compile_cubin("__global__ void f(int* p) { *p = undefined_name; }", "wrong", "sm_80")
