"""The scheduler: a function of primitives becomes a program of fused kernels and library calls."""

from .schedule import schedule

__all__ = ["schedule"]
