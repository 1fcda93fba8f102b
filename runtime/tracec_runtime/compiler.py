"""From a recorded function to native code: passes, schedule, kernels from caches or LLVM.

Two caches on disk spare later processes the work: programs by the hash of the function, kernel
objects by the kernel's structure. Both keys contain the target, the versions and a digest of the
compiler's own sources.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from functools import cache as memoise
from pathlib import Path
from typing import Any

from tracec_codegen.jit import compile_text, llvm_version, load_object
from tracec_codegen.kernel.core import Kernel
from tracec_codegen.kernel.printer import canonical_text, kernel_text
from tracec_codegen.llvm.library import NativeLibrary, native_library
from tracec_codegen.program import CallStep, KernelStep, Program, format_program
from tracec_codegen.target import Target, host_target
from tracec_ir.core import Func

from . import cache, knobs
from .events import counters
from .executor import NativePlan
from .watch import dump, log


class _Store:
    """The disk cache under the names that the native library uses."""

    @staticmethod
    def get(key: str) -> bytes | None:
        return cache.get(hashlib.sha256(key.encode()).hexdigest())

    @staticmethod
    def put(key: str, data: bytes) -> None:
        cache.put(hashlib.sha256(key.encode()).hexdigest(), data)


@memoise
def library() -> NativeLibrary:
    """The process's native library, with the disk cache behind it."""
    lib = native_library(target())
    lib.store = _Store()
    lib.set_num_threads(knobs.num_threads)
    lib.allow_matrix_unit(knobs.matrix_unit)
    return lib


@memoise
def target() -> Target:
    """The target that the knobs ask for."""
    return host_target() if knobs.isa == "auto" else host_target(knobs.isa)


@memoise
def _sources() -> str:
    """A digest of everything that decides what code comes out."""
    import tracec_codegen
    import tracec_ir

    digest = hashlib.sha256(llvm_version().encode())
    for package in (tracec_ir, tracec_codegen):
        for path in sorted(Path(package.__file__ or "").parent.rglob("*.py")):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def program_of(func: Func, donate: dict[int, int]) -> Program:
    """The scheduled program of `func`, from the disk cache if another process made it."""
    from tracec_ir.hash import digest

    facts = f"{digest(func)} {sorted(donate.items())} {target().key} {_sources()}"
    key = hashlib.sha256(("program " + facts).encode()).hexdigest()
    stored = cache.get(key)
    if stored is not None:
        try:
            return Program.from_json(stored.decode())
        except (ValueError, UnicodeDecodeError):
            counters.disk_corrupt += 1
    from tracec_codegen.schedule import schedule
    from tracec_ir.passes.pipeline import lower

    primitive = lower(func, knobs.verify)
    dump("ir", func.name, str(primitive))
    program = schedule(primitive, target(), donate)
    cache.put(key, program.to_json().encode())
    return program


KERNELS = 4096  # loaded kernels that are kept though no plan uses them
_loaded: OrderedDict[str, tuple[int, Any]] = OrderedDict()


def kernel_address(kernel: Kernel) -> tuple[int, Any]:
    """(entry point, what keeps it loaded) of a kernel; compiled only if no cache has it."""
    # the name is part of the object, not of the meaning: every kernel compiles under one name
    digest = hashlib.sha256(
        f"{canonical_text(kernel)}\n{target().key} {_sources()}".encode()
    ).hexdigest()
    found = _loaded.get(digest)
    if found is not None:
        counters.memory_hits += 1
        _loaded.move_to_end(digest)
        return found
    symbol = "k_" + digest[:32]
    data = cache.get(digest)
    if data is None:
        from dataclasses import replace

        from tracec_codegen.llvm.emit import emit

        named = replace(kernel, name=symbol)
        dump("kernels", kernel.name, kernel_text(kernel))
        text = emit(named, target())
        dump("llvm", kernel.name, text)
        if "asm" in knobs.dump:
            from tracec_codegen.jit import assembly_text

            dump("asm", kernel.name, assembly_text(text, target()))
        if "cuda" in knobs.dump:
            dump("cuda", kernel.name, _cuda_text(kernel))
        counters.compiles += 1
        log("compile", kernel=kernel.name, ops="+".join(kernel.origin))
        data = compile_text(text, target())
        cache.put(digest, data)
    loaded = load_object(data, [symbol])
    found = _loaded[digest] = (loaded.address(symbol), loaded)
    if len(_loaded) > KERNELS:
        _loaded.popitem(last=False)
    return found


def _cuda_text(kernel: Kernel) -> str:
    """The kernel as CUDA C, for dumps; or a comment that says what CUDA C does not have yet."""
    from tracec_codegen.cuda.emit import emit

    try:
        return emit(kernel).text
    except NotImplementedError as error:
        return f"// {kernel.name}: not implemented: {error}\n"


def compile_plan(func: Func, position: list[int], donate: dict[int, int]) -> NativePlan:
    """Native code for `func`. `donate` maps input numbers to caller outputs that may take over
    their
    memory; `position` says which result of `func` each caller output is."""
    wanted = {
        i: position[j] for i, j in donate.items() if position[j] >= 0 and i < len(func.params)
    }
    counters.plans_compiled += 1
    program = program_of(func, wanted)
    dump("kernels", func.name, format_program(program))
    return load_program(program, position)


def load_program(program: Program, position: list[int]) -> NativePlan:
    """A runnable plan of a scheduled program."""
    from tracec_codegen.plan import plan_memory

    addresses: dict[int, int] = {}
    keep: list[Any] = []
    lib = library()
    for n, step in enumerate(program.steps):
        if isinstance(step, KernelStep):
            addresses[n], loaded = kernel_address(step.kernel)
            keep.append(loaded)
        elif isinstance(step, CallStep):
            lib.address(step.symbol)
    memory = plan_memory(program)
    return NativePlan(program, position, lib, addresses, memory.offsets, memory.size, keep)
