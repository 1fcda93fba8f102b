"""Whether mkl is used: it is not."""

from __future__ import annotations


def is_available() -> bool:
    return False
