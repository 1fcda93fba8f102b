"""Switches of CUDA matrix products; without a device they have nothing to set."""

from __future__ import annotations


class _MatrixProducts:
    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True


matmul = _MatrixProducts()


def is_built() -> bool:
    return False
