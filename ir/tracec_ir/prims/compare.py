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


@_comparison(np.less, "cmp:lt", "<")
def lt(x, y):
    """x < y."""


@_comparison(np.less_equal, "cmp:le", "<=")
def le(x, y):
    """x <= y."""


