"""Compiling emitted kernels in tests: skipped where CuPy is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

import pytest

from tracec_codegen.cuda.emit import Unit, module_text
from tracec_codegen.cuda.nvrtc import compile_cubin

ARCHITECTURES = ("sm_80", "sm_90")
needs_cupy = pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="needs CuPy (the extra cuda-test)"
)


def compiles(units: Iterable[Unit], architecture: str) -> None:
    """The kernels become one cubin that has them all."""
    units = list(units)
    cubin = compile_cubin(module_text(units), "kernels", architecture)
    assert cubin.startswith(b"\x7fELF")
    assert all(u.name.encode() in cubin for u in units)
