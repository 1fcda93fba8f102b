"""What the CPU can do."""

from __future__ import annotations


def get_cpu_capability() -> str:
    """The vector instructions that generated code uses, in PyTorch's spelling."""
    from tracec_codegen.target import host_target

    return {"avx512": "AVX512", "avx2": "AVX2"}.get(host_target().isa, "DEFAULT")
