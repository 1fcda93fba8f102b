"""How many threads a plan may use."""

from __future__ import annotations

import os

from tracec_runtime import knobs

if "OMP_NUM_THREADS" in os.environ and "TRACEC_NUM_THREADS" not in os.environ:
    _wanted = os.environ["OMP_NUM_THREADS"].partition(",")[0]
    if _wanted.isdigit() and int(_wanted) > 0:
        os.environ["TRACEC_NUM_THREADS"] = _wanted


def set_num_threads(number: int) -> None:
    """Sets the number of threads; results do not depend on it. RuntimeError unless positive."""
    if not isinstance(number, int) or number < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    knobs.assign(num_threads=number)
    import sys

    if "tracec_runtime.compiler" in sys.modules:
        sys.modules["tracec_runtime.compiler"].library().set_num_threads(number)


def get_num_threads() -> int:
    """How many threads run kernels."""
    return knobs.num_threads


def set_num_interop_threads(number: int) -> None:
    """Accepted for compatibility: plans run one after another."""
    if number < 1:
        raise RuntimeError("set_num_interop_threads expects a positive integer")


def get_num_interop_threads() -> int:
    """How many threads run operations beside one another: 1, traces run in order."""
    return 1
