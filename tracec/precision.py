"""How exact float32 products must be: kept as PyTorch's setting; every level is the exact one."""

from __future__ import annotations

import warnings

_LEVELS = ("highest", "high", "medium")
_level = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Remembers "highest", "high" or "medium". Products of float32 are as exact as "highest" asks
    at every level. RuntimeError unless it is a string; a warning if it is none of them."""
    global _level
    if not isinstance(precision, str):
        raise RuntimeError(
            f"set_float32_matmul_precision expects a str, but got {type(precision).__name__}"
        )
    if precision not in _LEVELS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current "
            "setFloat32MatmulPrecision call has no effect.",
            stacklevel=2,
        )
        return
    _level = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was told last; "highest" at first."""
    return _level
