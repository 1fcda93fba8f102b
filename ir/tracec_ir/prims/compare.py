"""Pointwise primitives whose result is a truth value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import samples as s
from .declare import binary


def _comparison(numpy: Callable, llvm: str, cuda: str, kinds: str = "buif") -> Callable:
    sampled = "fib" + ("c" if "c" in kinds else "")
    return binary(numpy, None, promote="compare", kinds=kinds, llvm=llvm, cuda=cuda, boolean=True,
                  samples=s.binary(kinds=sampled))  # fmt: skip


@_comparison(np.equal, "cmp:eq", "==", "buifc")
def eq(x, y):
    """x == y."""


@_comparison(np.not_equal, "cmp:ne", "!=", "buifc")
def ne(x, y):
    """x != y."""


@_comparison(np.less, "cmp:lt", "<")
def lt(x, y):
    """x < y."""


@_comparison(np.less_equal, "cmp:le", "<=")
def le(x, y):
    """x <= y."""


@_comparison(np.greater, "cmp:gt", ">")
def gt(x, y):
    """x > y."""


@_comparison(np.greater_equal, "cmp:ge", ">=")
def ge(x, y):
    """x >= y."""


def _logical(numpy: Callable, llvm: str, cuda: str) -> Callable:
    return binary(numpy, None, promote="bool", kinds="b", llvm=llvm, cuda=cuda, boolean=True,
                  samples=s.binary(kinds="b"))  # fmt: skip


@_logical(np.logical_and, "and", "&")
def logical_and(x, y):
    """Whether both are true."""


@_logical(np.logical_or, "or", "|")
def logical_or(x, y):
    """Whether either is true."""


@_logical(np.logical_xor, "xor", "^")
def logical_xor(x, y):
    """Whether exactly one is true."""
