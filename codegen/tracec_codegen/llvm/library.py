"""The native library: lazily generated objects, and running plans from Python.

Each part (pool and runner, matrix products, convolutions) is an object of its own, generated, or
taken from the cache, when one of its symbols is first asked for.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..jit import Loaded, compile_text, llvm_version, load_object
from ..target import Target, host_target
from . import pool, runner


class ObjectCache(Protocol):
    """Where compiled objects are kept between processes."""

    def get(self, key: str) -> bytes | None:
        """The bytes stored under a key."""

    def put(self, key: str, data: bytes) -> None:
        """Store bytes under a key."""


@dataclass(frozen=True, slots=True)
class Part:
    """One object: the module that generates it, its function `ir(target)`, its symbols."""

    name: str
    module: str
    generator: str
    symbols: tuple[str, ...]
    arguments: tuple[Any, ...] = ()
    needs: str | None = None              # a part whose symbols this one calls


PARTS = (
    Part("runner", "runner", "runner_ir",
         pool.POOL_SYMBOLS + runner.RUNNER_SYMBOLS + runner.LAUNCHER_SYMBOLS),
    *(part for dtype in ("f32", "f64") for part in (
        Part(f"tile_{dtype}", "tile", "tile_ir",
             tuple(f"{name}_{dtype}" for name in ("tile_rows", "tile_pack", "pack_a", "pack_b")),
             (dtype,)),
        Part(f"gemm_{dtype}", "gemm", "gemm_ir", (f"gemm_{dtype}", f"matrix_unit_{dtype}"),
             (dtype,), f"tile_{dtype}"),
        Part(f"conv_{dtype}", "conv", "conv_ir",
             tuple(f"{kind}_{dtype}" for kind in ("conv", "conv_input", "conv_weight")),
             (dtype,), f"tile_{dtype}"))),
)
_PART_NAMED = {part.name: part for part in PARTS}
_PART_OF = {symbol: part for part in PARTS for symbol in part.symbols}


class PlanStep(NamedTuple):
    """A kernel call: its address and the table indices of arguments and extent (see runner)."""

    function: int
    arguments: Sequence[int]
    extent: int = -1
    grain: int = 1


class NativeError(RuntimeError):
    """A kernel reported an error; `code`, `step` and `details` are the error record's words."""

    def __init__(self, record: Sequence[int]) -> None:
        self.code = int(record[0])
        self.step = int(record[runner.ERROR_STEP])
        self.details = tuple(int(word) for word in record[2:runner.ERROR_INTERRUPT])
        super().__init__(f"kernel of step {self.step} reported error {self.code}")


def encode_plan(steps: Iterable[PlanStep]) -> np.ndarray:
    """The steps as the array of words that the runner reads."""
    words: list[int] = []
    for step in steps:
        words += (step.function, len(step.arguments), step.extent, step.grain, *step.arguments)
    return np.array(words, dtype=np.int64)


class Record(NamedTuple):
    """The launcher's view of a plan; holds the arrays that its words point into."""

    words: np.ndarray
    plan: np.ndarray
    table: np.ndarray

    @property
    def address(self) -> int:
        """What the launcher takes as its first argument."""
        return int(self.words.ctypes.data)


class NativeLibrary:
    """Generated code of one target, loaded into this process."""

    def __init__(self, target: Target | None = None, store: ObjectCache | None = None) -> None:
        self.target = target or host_target()
        self.store = store
        self.compiled: list[str] = []               # parts generated here, not found in the cache
        self._lock = threading.RLock()
        self._loaded: dict[str, Loaded] = {}
        self._launch: Callable[..., int] | None = None
        self._functions: dict[str, Any] = {}
        self._method: Any = None
        self._allows_unit = True

    # ---- objects ---------------------------------------------------------------------------

    def address(self, symbol: str) -> int:
        """Address of a native symbol; its part is generated and loaded at the first call."""
        try:
            part = _PART_OF[symbol]
        except KeyError:
            raise KeyError(f"the native library has no {symbol!r}") from None
        return self._part(part).address(symbol)

    def _part(self, part: Part) -> Loaded:
        with self._lock:
            loaded = self._loaded.get(part.name)
            if loaded is None:
                imports = {}
                if part.needs is not None:
                    needed = _PART_NAMED[part.needs]
                    imports = {name: self._part(needed).address(name) for name in needed.symbols}
                loaded = load_object(self.object_bytes(part), part.symbols, imports)
                self._loaded[part.name] = loaded
                if part.name == "runner":
                    self._watch_process()
                if part.name == "gemm_f32" and not self._allows_unit:
                    self._switch_unit(0)
            return loaded

    def object_bytes(self, part: Part) -> bytes:
        """The part's object, from the cache or generated."""
        key = _part_key(part, self.target)
        data = self.store.get(key) if self.store is not None else None
        if data is None:
            module = importlib.import_module(f"{__package__}.{part.module}")
            ir = getattr(module, part.generator)(self.target, *part.arguments)
            data = compile_text(ir, self.target)
            self.compiled.append(part.name)
            if self.store is not None:
                self.store.put(key, data)
        return data

    def _watch_process(self) -> None:
        """Workers do not survive a fork, and must end before code is unmapped at exit.

        Bound methods keep this library, and with it the code, until the process ends.
        """
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self.stop)

    def _after_fork(self) -> None:
        self._function("tracec_pool_reset", None)()

    def _function(self, symbol: str, result: Any, *arguments: Any) -> Any:
        found = self._functions.get(symbol)
        if found is None:
            found = ctypes.CFUNCTYPE(result, *arguments)(self.address(symbol))
            self._functions[symbol] = found
        return found

    def call_needs(self, symbol: str, words: Sequence[int], extent: int) -> tuple[int, int]:
        """(scratch bytes a thread, grain) of a product or convolution with these words.

        Addresses among the words do not matter and may be 0.
        """
        module = importlib.import_module(f"{__package__}.{_PART_OF[symbol].module}")
        return module.call_needs(symbol, self.target, words, extent)

    # ---- threads ---------------------------------------------------------------------------

    @property
    def num_threads(self) -> int:
        """Threads that work on a plan, the caller included."""
        return int(self._function("tracec_threads", ctypes.c_int64)())

    def set_num_threads(self, number: int) -> None:
        """Change the number of threads; waits for a running region to end."""
        if number < 1:
            raise ValueError(f"number of threads must be positive, got {number}")
        self._function("tracec_set_threads", None, ctypes.c_int64)(number)

    def stop(self) -> None:
        """End the worker threads; the next parallel step starts new ones."""
        self._function("tracec_pool_stop", None)()

    # ---- matrix unit -----------------------------------------------------------------------

    @property
    def matrix_unit(self) -> bool:
        """Whether large f32 products use a matrix unit: the target has one, it is allowed here,
        and the system grants it (it is asked now, or was by the first such product)."""
        return bool(self._switch_unit(-1))

    def allow_matrix_unit(self, allowed: bool) -> None:
        """Allow products to use a matrix unit (the default), or forbid it; for all threads."""
        self._allows_unit = allowed
        if "gemm_f32" in self._loaded:
            self._switch_unit(int(allowed))

    def _switch_unit(self, what: int) -> int:
        return int(self._function("matrix_unit_f32", ctypes.c_int64, ctypes.c_int64)(what))

    # ---- running ---------------------------------------------------------------------------

    def record(self, plan: np.ndarray, nsteps: int, table: np.ndarray, *,
               scratch_per_thread: int = 0, threads: int = 0, first: int = 1) -> Record:
        """What the launcher needs to run a plan; call arguments are stored from `table[first]`."""
        words = np.array([plan.ctypes.data, nsteps, table.ctypes.data, 0, scratch_per_thread,
                          threads, first], dtype=np.int64)
        return Record(words, plan, table)

    @property
    def launch(self) -> Callable[..., int]:
        """launch(record address, *ints) -> status: a native builtin where CPython allows it."""
        if self._launch is None:
            with self._lock:
                self._launch = self._builtin() or self._ctypes_launch()
        return self._launch

    def _builtin(self) -> Callable[..., int] | None:
        """The METH_FASTCALL launcher, or None on a Python whose calling convention may differ."""
        gil_can_be_off = getattr(sys, "_is_gil_enabled", lambda: True)() is False
        if sys.implementation.name != "cpython" or gil_can_be_off:
            return None
        method = _MethodDef(b"launch", self.address("tracec_launch"), _METH_FASTCALL, None)
        make = ctypes.pythonapi.PyCFunction_NewEx
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        self._method = method                     # CPython keeps the address of the definition
        return make(ctypes.addressof(method), None, None)

    def _ctypes_launch(self) -> Callable[..., int]:
        """The same through ctypes; PYFUNCTYPE passes on an exception that a signal raised."""
        native = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(
            self.address("tracec_launch_record"))
        words_type = ctypes.c_int64 * runner.RECORD_WORDS

        def launch(record: int, *words: int) -> int:
            fields = words_type.from_address(record)
            if words:
                cells = (ctypes.c_int64 * len(words)).from_address(fields[2] + 8 * fields[6])
                cells[:] = list(words)
            return native(record)

        return launch

    def run(self, plan: np.ndarray, nsteps: int, table: np.ndarray, *,
            scratch_per_thread: int = 0, threads: int = 0) -> None:
        """Run a plan whose table is complete but for word 0, which this call fills."""
        error = np.zeros(runner.ERROR_WORDS, dtype=np.int64)
        table[0] = error.ctypes.data
        record = self.record(plan, nsteps, table, scratch_per_thread=scratch_per_thread,
                             threads=threads)
        check_status(self.launch(record.address), error)


def check_status(status: int, error: np.ndarray) -> None:
    """Raise what a plan's status means."""
    if status == runner.DONE:
        return
    if status == runner.FAILED:
        raise NativeError(error.tolist())
    if status == runner.INTERRUPTED:
        raise KeyboardInterrupt
    raise MemoryError("no memory for the scratch areas of a plan")


_METH_FASTCALL = 0x80


class _MethodDef(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("method", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p))


@cache
def _sources_digest() -> str:
    """Digest of the generators' sources: a changed generator must not find old objects."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _part_key(part: Part, target: Target) -> str:
    facts = "\n".join((part.name, target.key, llvm_version(), _sources_digest()))
    return f"native-{part.name}-{hashlib.sha256(facts.encode()).hexdigest()[:32]}"


_singleton: NativeLibrary | None = None
_singleton_lock = threading.Lock()


def native_library(target: Target | None = None) -> NativeLibrary:
    """The process's library: for the machine it runs on, or for what the first caller asked."""
    global _singleton
    if _singleton is None:
        with _singleton_lock:
            if _singleton is None:
                _singleton = NativeLibrary(target)
    return _singleton
