"""CUDA C on the CPU: g++ compiles the emitted source against `emulation/`, fibers run it."""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from tracec_codegen.cuda.emit import Unit, module_text
from tracec_codegen.cuda.launch import Geometry

HERE = Path(__file__).parent / "emulation"
CANARY = 0xA5
PAD = 128
FAILURES = {1: "a barrier was not reached by all threads of the block", 2: "deadlock"}
FLAGS = ("-std=c++17", "-O0", "-ffp-contract=off", "-fno-strict-aliasing", "-shared", "-fPIC", "-w")


def _has_compiler() -> bool:
    """Whether there is a g++ that knows half precision (12 or newer)."""
    if shutil.which("g++") is None:
        return False
    check = ["g++", "-x", "c++", "-fsyntax-only", "-"]
    return subprocess.run(check, input=b"_Float16 half;", capture_output=True).returncode == 0


needs_compiler = pytest.mark.skipif(
    not _has_compiler(), reason="needs g++ 12 or newer for the emulation"
)


class Library:
    """Emitted kernels, loaded."""

    def __init__(self, units: Iterable[Unit], folder: Path) -> None:
        self.units = {u.name: u for u in units}
        text = "\n".join([
            '#include "emulation.h"',
            module_text(self.units.values()),
            "alignas(16) thread_local unsigned char dynamic_shared[48 * 1024];",
            *(_entry(u) for u in self.units.values()),
        ])  # fmt: skip
        stem = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        source, built = stem.with_suffix(".cpp"), stem.with_suffix(".so")
        source.write_text(text)
        command = ["g++", *FLAGS, f"-I{HERE}", str(source), "-o", str(built)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[:4000]
        self.library = ctypes.CDLL(str(built))

    def launch(
        self, name: str, geometry: Geometry, arrays: Sequence[np.ndarray], sizes: Sequence[int] = ()
    ) -> np.ndarray:
        """Runs a kernel in place, threads in ascending and in descending order, which must agree
        bit for bit, with canaries around every buffer. Returns the error record."""
        results = [self._launch(name, geometry, arrays, sizes, order) for order in (0, 1)]
        (first, error), (second, _) = results
        for a, b in zip(first, second, strict=True):
            assert a.tobytes() == b.tobytes(), f"{name}: the order of threads shows"
        for array, data in zip(arrays, first, strict=True):
            array.reshape(-1)[...] = data
        return error

    def _launch(self, name, geometry, arrays, sizes, order):
        unit = self.units[name]
        error, scratch = np.zeros(8, np.int64), np.full(geometry.scratch + 16, CANARY, np.uint8)
        guarded = [_guard(a) for a in arrays]
        buffers, numbers = iter(guarded), iter(sizes)
        words = []
        for p in unit.parameters:
            if p.kind == "buffer":
                words.append(next(buffers)[1].ctypes.data)
            elif p.kind == "size":
                words.append(next(numbers))
            elif p.kind == "error":
                words.append(error.ctypes.data)
            else:
                words.append(scratch.ctypes.data if geometry.scratch else 0)
        packed = np.array(words, np.int64)
        run = getattr(self.library, "launch_" + name)
        failed = 0
        if not geometry.empty:
            address = ctypes.c_void_p(packed.ctypes.data)
            failed = run(address, *geometry.grid, geometry.threads, order)
        assert not failed, f"{name}: {FAILURES[failed]}"
        for p, (whole, data) in zip(unit.parameters, guarded, strict=False):
            copy = whole.copy()
            copy[PAD : PAD + data.nbytes] = CANARY
            assert (copy == CANARY).all(), f"{name}: memory around {p.name} was written"
        assert (scratch[geometry.scratch :] == CANARY).all(), f"{name}: memory behind scratch"
        return [data for _, data in guarded], error


def _guard(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, data): a flat copy of the array with canary bytes on both sides."""
    whole = np.full(array.nbytes + 2 * PAD, CANARY, np.uint8)
    data = whole[PAD : PAD + array.nbytes].view(array.dtype)
    data[...] = array.reshape(-1)
    return whole, data


def _entry(unit: Unit) -> str:
    """A C function that launches the kernel on packed arguments."""
    types = [p.type.replace("__restrict__", "") for p in unit.parameters]
    args = ", ".join(f"({type})a[{i}]" for i, type in enumerate(types))
    return (
        f"static void call_{unit.name}(const long long* a) {{ {unit.name}({args}); }}\n"
        f'extern "C" int launch_{unit.name}'
        "(long long* a, unsigned x, unsigned y, unsigned n, int order) "
        "{ return emulation::launch(x, y, n, order != 0, dynamic_shared, sizeof(dynamic_shared), "
        f"call_{unit.name}, a); }}"
    )
