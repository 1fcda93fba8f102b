"""Errors of operations that a program may want to tell apart."""

from __future__ import annotations


class LinAlgError(RuntimeError):
    """A matrix does not have what was asked for: an inverse, a factorisation."""
