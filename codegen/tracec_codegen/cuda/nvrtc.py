"""CUDA C to cubins with NVRTC, through CuPy's binding; needs neither a GPU nor a driver.

CuPy is imported here, in the functions that use it, and nowhere else in code generation.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

# operations round one by one, as on the CPU; products that should be fused say so with fmaf
_OPTIONS = ("--std=c++17", "--fmad=false")


class CompileError(RuntimeError):
    """NVRTC refused a source; the message is its log."""


def compile_cubin(source: str, name: str, architecture: str) -> bytes:
    """The cubin of a CUDA C module for an architecture such as "sm_80"; errors name `name`."""
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(source, f"{name}.cu", [], [])
    options = [f"--gpu-architecture={architecture}", *_OPTIONS]
    options += [f"-I{folder}" for folder in include_folders()]
    try:
        try:
            nvrtc.compileProgram(program, tuple(options))
        except nvrtc.NVRTCError as error:
            raise CompileError(f"{error}\n{nvrtc.getProgramLog(program)}") from None
        return nvrtc.getCUBIN(program)
    finally:
        nvrtc.destroyProgram(program)


def include_folders() -> list[Path]:
    """Where the headers of half and bfloat16 may be: NVIDIA's wheel, then a CUDA installation."""
    found = []
    try:
        wheel = importlib.util.find_spec("nvidia.cuda_runtime")
    except ModuleNotFoundError:
        wheel = None
    if wheel is not None:
        found += [Path(p) / "include" for p in wheel.submodule_search_locations or ()]
    roots = [os.environ.get("CUDA_PATH", ""), os.environ.get("CUDA_HOME", ""), "/usr/local/cuda"]
    found += [Path(root) / "include" for root in roots if root]
    return [folder for folder in found if (folder / "cuda_fp16.h").exists()]
