"""Targets: which machine code is generated for, and what its vector unit offers.

A `Target` is plain data, safe to hash, compare and put into a cache key.  llvmlite is imported only
where the host is looked at or an LLVM target machine is made.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

ISA_NAMES = ("avx512", "avx2", "sse2", "neon", "generic")


@dataclass(frozen=True, slots=True)
class _Isa:
    """What every machine of an instruction set offers."""

    vector_bits: int
    masks: bool
    registers: int
    fma: bool
    cpu: str
    features: str


_ISAS = {
    "avx512": _Isa(512, True, 32, True, "x86-64-v4", ""),
    "avx2": _Isa(256, True, 16, True, "x86-64-v3", ""),
    "sse2": _Isa(128, False, 16, False, "x86-64", ""),
    "neon": _Isa(128, False, 32, True, "generic", "+neon"),
    "generic": _Isa(128, False, 16, False, "", ""),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A machine to generate code for: LLVM's triple, cpu and features, and the vector unit.

    `masks` says whether masked loads and stores are single instructions; `registers` is the
    number of vector registers; `fma` whether multiply-add is one instruction; `tiles` whether there
    is a matrix unit for bf16 (Intel AMX), which the system may still refuse.
    """

    triple: str
    cpu: str
    features: str
    isa: str
    vector_bits: int
    masks: bool
    registers: int
    fma: bool
    tiles: bool = False

    def __post_init__(self) -> None:
        if self.isa not in ISA_NAMES:
            raise ValueError(f"unknown isa {self.isa!r}; expected one of {', '.join(ISA_NAMES)}")

    def lanes(self, bits: int) -> int:
        """How many elements of `bits` bits one vector register holds (at least 1)."""
        return max(1, self.vector_bits // max(bits, 8))

    @property
    def arch(self) -> str:
        """First part of the triple: "x86_64", "aarch64", "wasm32", ..."""
        return self.triple.split("-", 1)[0]

    @property
    def is_linux(self) -> bool:
        """Whether the system has futexes and Linux' system call numbers."""
        return "linux" in self.triple

    @property
    def key(self) -> str:
        """Text that differs whenever generated code may differ, for cache keys."""
        flags = f"{self.masks:d}{self.fma:d}{self.tiles:d}"
        unit = f"{self.isa}:{self.vector_bits}:{self.registers}:{flags}"
        return "|".join((self.triple, self.cpu, self.features, unit))

    def machine(self, opt: int = 2) -> Any:
        """The llvmlite target machine that emits position-independent code for this target."""
        return _machine(self, opt)

    def __str__(self) -> str:
        return f"{self.triple} {self.cpu or 'generic'} ({self.isa})"


def named_target(isa: str, triple: str | None = None, *, tiles: bool = False) -> Target:
    """A target by instruction set, for cross emission; `triple` defaults to that set's Linux.

    `tiles` adds a matrix unit to AVX-512 (as Sapphire Rapids has it).
    """
    if isa not in _ISAS:
        raise ValueError(f"unknown isa {isa!r}; expected one of {', '.join(ISA_NAMES)}")
    facts = _ISAS[isa]
    if triple is None:
        arch = {"neon": "aarch64", "generic": "wasm32"}.get(isa, "x86_64")
        triple = "wasm32-unknown-unknown" if arch == "wasm32" else f"{arch}-unknown-linux-gnu"
    if tiles and isa != "avx512":
        raise ValueError(f"only avx512 can have tiles, got {isa!r}")
    cpu, features = (facts.cpu, facts.features) if not tiles else ("sapphirerapids", "")
    return Target(triple, cpu, features, isa, facts.vector_bits, facts.masks, facts.registers,
                  facts.fma, tiles)


@functools.cache
def _detected() -> Target:
    """The machine this process runs on."""
    llvm = llvm_binding()
    triple = llvm.get_process_triple()
    features = llvm.get_host_cpu_features()
    offered = {name for name, on in features.items() if on}
    isa = _isa_of(triple.split("-", 1)[0], offered)
    base = named_target(isa, triple)
    return replace(base, cpu=llvm.get_host_cpu_name(), features=features.flatten(),
                   tiles=isa == "avx512" and {"amx-tile", "amx-bf16"} <= offered)


def _isa_of(arch: str, features: set[str]) -> str:
    if arch in ("x86_64", "amd64"):
        if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= features:
            return "avx512"
        return "avx2" if {"avx2", "fma"} <= features else "sse2"
    return "neon" if arch in ("aarch64", "arm64") else "generic"


def host_target(isa: str | None = None) -> Target:
    """The machine this process runs on; `isa` restricts it to a smaller instruction set.

    A restricted target still runs here ("sse2" code on an AVX2 machine).  An instruction set
    this machine lacks raises ValueError.
    """
    host = _detected()
    if isa is None or isa == host.isa:
        return host
    order = ("sse2", "avx2", "avx512")
    if isa == "generic":
        return replace(named_target("generic", host.triple), cpu="", features="")
    if isa not in order or host.isa not in order or order.index(isa) > order.index(host.isa):
        raise ValueError(f"this machine ({host}) does not offer {isa}")
    return named_target(isa, host.triple)


@functools.cache
def llvm_binding() -> Any:
    """llvmlite.binding, imported and initialised on the first call."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    # our loops are strength-reduced as emitted; LLVM's pass takes a third of the compile time
    llvm.set_option("tracec", "-disable-lsr")
    return llvm


@functools.cache
def _all_targets() -> None:
    llvm = llvm_binding()
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


@functools.cache
def _machine(target: Target, opt: int) -> Any:
    llvm = llvm_binding()
    if target.arch != llvm.get_process_triple().split("-", 1)[0]:
        _all_targets()
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=opt, reloc="pic", codemodel="small",
        jit=False)
