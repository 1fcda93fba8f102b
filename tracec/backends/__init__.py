"""Switches of PyTorch's backends, for programs that set them; none changes a result here."""

from __future__ import annotations

from . import cpu, cuda, cudnn, mkl, mps, openmp

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mps", "openmp"]
