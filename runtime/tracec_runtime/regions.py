"""Regions of `if` and `while` in compiled plans: functions that start on the interpreter and are
compiled once that pays, as whole models are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np

from tracec_codegen.program import HostStep
from tracec_ir import promote
from tracec_ir.optable import lookup
from tracec_ir.parser import parse_func
from tracec_ir.types import TensorType

from . import knobs
from .standalone import Variant

_WORTHWHILE = 40_000.0  # nanoseconds of interpretation that a native call surely undercuts


class Region:
    """One region, callable on arrays."""

    def __init__(self, text: str):
        self.variant = Variant(parse_func(text), [], promote.default_float)
        self.tensors = [isinstance(p.type, TensorType) for p in self.variant.func.params]
        if knobs.tier == "auto":
            from tracec_codegen.schedule.cost import interpreter_cost

            rent, _ = interpreter_cost(self.variant.func)
            if rent < _WORTHWHILE:
                self.variant.tier.refuse()

    def run(self, sizes: Mapping[str, int], *args: Any) -> list[Any]:
        """The region's results; `sizes` are the values of the enclosing function's symbols."""
        values = [
            np.asarray(a) if tensor else a for a, tensor in zip(args, self.tensors, strict=True)
        ]
        return self.variant.engine(sizes).run(values, sizes)


_region = lru_cache(maxsize=512)(Region)


def control(
    step: HostStep, args: list[Any], attrs: dict[str, Any], sizes: Mapping[str, int]
) -> Any:
    """What the step's op gives for these arrays and sizes; it calls its regions as needed."""
    op = lookup(step.op).numpy
    if op is None:
        raise NotImplementedError(f"op '{step.op}' has no NumPy reference")
    return op(*args, regions=[partial(_region(text).run, sizes) for text in step.regions], **attrs)
