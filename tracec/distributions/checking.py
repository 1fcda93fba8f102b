"""Checks of values: all of one construction at once, and none whose outcome is known.

A value that is known is checked in place, by NumPy if it is small; a value that is pending is
computed first. So a construction costs at most one flush, and none if its parameters are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import record
from ..tensor import Tensor
from . import constraints

SMALL = 1 << 16  # elements up to which NumPy's checks cost less than compiled ones


def first_invalid(checks: Sequence[tuple[Any, Any]]) -> int | None:
    """The number of the first pair (constraint, value) whose value has an event outside of the
    constraint, or None. Executes what is pending, once, if a value is. Scripts, whose values never
    exist while they are translated, check nothing."""
    if record.current().symbolic:
        return None
    outcomes: list[Any] = []
    for constraint, value in checks:
        outcomes.append(_outcome(constraint, value))
    for i, outcome in enumerate(outcomes):
        if outcome is None:
            constraint, value = checks[i]
            outcome = bool(constraint.check(value._array()).all())
        elif isinstance(outcome, Tensor):
            outcome = _every(outcome)
        if not outcome:
            return i
    return None


def _every(flag: Tensor) -> bool:
    """Whether a flag is set: under `vmap`, for every example."""
    tr = flag._st.trace
    if tr is not None and tr.nested:
        return bool(tr.value(flag, record.Flush.VALUE, True).all())
    return flag.item()


def _outcome(constraint: Any, value: Any) -> Any:
    """Whether the value is valid: a bool; a tensor that will tell; or None: once it is known."""
    numel = value._spec.numel
    kind = value._spec.dtype.kind
    if numel == 0 or (constraint is constraints.real and kind in "iub"):
        return True
    if numel > SMALL or not constraint.on_arrays or value._spec.dtype.bits == 16:
        return constraint.check(value.detach()).all()
    array = value._known()
    if array is None:  # a transformed function's values are asked for by name, not by memory
        return constraint.check(value).all() if record.current().nested else None
    flags = constraint.check(array)
    return bool(flags.all()) if isinstance(flags, (np.ndarray, np.bool_)) else flags.all()
