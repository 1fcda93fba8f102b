"""Tiers: a plan starts on the NumPy interpreter and is compiled when that pays.

Rent or buy: the interpreter costs so much a run, compiling so much once; a plan is compiled when
the runs so far would have paid for it. Estimates and counts decide, never clocks.
"""

from __future__ import annotations

from tracec_ir.core import Func
from tracec_runtime import knobs
from tracec_runtime.events import counters
from tracec_runtime.memory import from_array


class Executable:
    """Runs `func` on buffers. `position[j]` is which of its results output j is (-1: filled in by
    the caller); `donate` maps inputs to outputs that may take over their memory."""

    __slots__ = ("func", "position", "donate", "native", "runs", "price", "rent", "closures", "shapes")

    def __init__(self, func: Func, position: list[int], donate: dict[int, int], tr=None):
        self.func, self.position, self.donate = func, position, donate
        self.native = self.closures = None
        self.runs = 0
        self.price = self.rent = None

    def run(self, buffers: list, scalars: list) -> list:
        """The output buffers, in order; None where `position` is -1."""
        native = self.native
        if native is None and self._buy():
            native = self.native
        if native is not None:
            counters.executed += 1
            return native.run(buffers, scalars)
        counters.interpreted += 1
        return self._interpret(buffers, scalars)

    def _buy(self) -> bool:
        tier = knobs.tier
        self.runs += 1
        if tier == 0:
            return False
        if tier != 1:
            from tracec_codegen.schedule.cost import interpreter_cost

            if self.price is None:
                self.rent, self.price = interpreter_cost(self.func)
            if self.runs * self.rent < self.price:
                return False
        from tracec_runtime.compiler import compile_plan

        self.native = compile_plan(self.func, self.position, self.donate)
        return True

    def _interpret(self, buffers: list, scalars: list) -> list:
        from tracec_ir.interp import run

        args = [
            b.array(tuple(p.shape), p.dtype.numpy) for b, p in zip(buffers, self.func.params)
        ] + list(scalars)
        out = run(self.func, *args)
        return [None if p < 0 else owned(out[p], args) for p in self.position]


def owned(array, args: list):
    """A buffer with the contents of `array`, sharing memory with nothing else."""
    import numpy as np

    array = np.asarray(array)
    if array.base is not None or not array.flags.c_contiguous or any(array is a for a in args):
        array = array.copy(order="C")
    return from_array(array)
