"""LLVM IR text to object bytes, and object bytes to callable addresses in this process."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from .target import Target, host_target, llvm_binding

_lock = threading.RLock()
_serial = itertools.count()
_lljit: Any = None


class CompileError(RuntimeError):
    """Generated IR that LLVM refuses; `ir` holds the text, `stage` parse, verify or emit."""

    def __init__(self, stage: str, message: str, ir: str) -> None:
        super().__init__(f"LLVM refused generated code at {stage}: {_with_line(message, ir)}")
        self.stage = stage
        self.ir = ir


class LinkError(RuntimeError):
    """Object code that cannot be loaded: a symbol is missing or the bytes are damaged."""


def _with_line(message: str, ir: str) -> str:
    """The message, with the line of IR it points to when it says "<string>:LINE:COLUMN"."""
    message = message.strip()
    parts = message.partition("<string>:")[2].split(":")
    if parts and parts[0].isdigit():
        lines = ir.splitlines()
        number = int(parts[0])
        if 0 < number <= len(lines):
            return f"{message}\n  line {number}: {lines[number - 1].strip()}"
    return message


def llvm_version() -> str:
    """LLVM's and llvmlite's versions, for cache keys."""
    import llvmlite

    return ".".join(map(str, llvm_binding().llvm_version_info)) + "/" + llvmlite.__version__


def _checked_module(ir: str, target: Target) -> Any:
    llvm = llvm_binding()
    try:
        module = llvm.parse_assembly(ir)
    except RuntimeError as error:
        raise CompileError("parse", str(error), ir) from None
    try:
        module.verify()
    except RuntimeError as error:
        raise CompileError("verify", str(error), ir) from None
    module.triple = target.triple
    return module


def _optimise(module: Any, machine: Any, level: int) -> None:
    llvm = llvm_binding()
    tuning = llvm.create_pipeline_tuning_options(speed_level=level)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = True
    tuning.loop_unrolling = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)


def compile_text(ir: str, target: Target | None = None, *, optimise: bool = False) -> bytes:
    """Object bytes of an IR module; the same text and target always give the same bytes.

    Text that is already vector code needs no pass pipeline; `optimise=True` runs LLVM's O2 with
    the loop vectoriser, for scalar code.
    """
    target = target or host_target()
    machine = target.machine()
    module = _checked_module(ir, target)
    try:
        if optimise:
            _optimise(module, machine, 2)
        return machine.emit_object(module)
    except RuntimeError as error:
        raise CompileError("emit", str(error), ir) from None


def assembly_text(ir: str, target: Target | None = None, *, optimise: bool = False) -> str:
    """The assembly that `compile_text` would emit, for people to read."""
    target = target or host_target()
    machine = target.machine()
    module = _checked_module(ir, target)
    if optimise:
        _optimise(module, machine, 2)
    return machine.emit_assembly(module)


class Loaded:
    """Code mapped into this process; it is unmapped when this object dies, so keep it alive."""

    __slots__ = ("_addresses", "_tracker")

    def __init__(self, tracker: Any, addresses: dict[str, int]) -> None:
        self._tracker = tracker
        self._addresses = addresses

    def address(self, name: str) -> int:
        """Address of an exported symbol."""
        return self._addresses[name]

    def function(self, name: str, result: Any, *arguments: Any) -> Any:
        """A ctypes function (releases the GIL while it runs) that keeps the code alive."""
        import ctypes

        function = ctypes.CFUNCTYPE(result, *arguments)(self._addresses[name])
        function.code = self  # type: ignore[attr-defined]
        return function


def load_object(data: bytes, symbols: Iterable[str],
                imports: Mapping[str, int] | None = None) -> Loaded:
    """Map object bytes into this process and resolve `symbols`.

    `imports` gives addresses for names the object uses; other names are looked up in the process
    (libc, libm, pthread, and Python's C API).
    """
    llvm = llvm_binding()
    names = list(symbols)
    builder = llvm.JITLibraryBuilder().add_object_img(data)
    for name, address in (imports or {}).items():
        builder.import_symbol(name, address)
    builder.add_current_process()
    for name in names:
        builder.export_symbol(name)
    try:
        with _lock:
            tracker = builder.link(_engine(), f"tracec.{next(_serial)}")
            return Loaded(tracker, {name: tracker[name] for name in names})
    except RuntimeError as error:
        raise LinkError(f"cannot load generated code: {str(error).strip()}") from None


def _engine() -> Any:
    global _lljit
    if _lljit is None:
        llvm = llvm_binding()
        host = host_target()
        machine = llvm.Target.from_triple(host.triple).create_target_machine(
            cpu=host.cpu, features=host.features, opt=2)
        _lljit = llvm.create_lljit_compiler(machine, use_jit_link=True)
    return _lljit
