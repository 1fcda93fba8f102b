"""Tiers: a plan starts on the NumPy interpreter and is compiled when that pays.

Rent or buy: the interpreter costs so much a run, compiling so much once; a plan is compiled when
the runs so far would have paid for it. Estimates and counts decide, never clocks.

Equal functions share one executable whatever traces they came from, and functions that differ in
sizes only share one with symbolic sizes from the second set of sizes on.
"""

from __future__ import annotations

from collections import OrderedDict

from tracec_ir.core import Func
from tracec_ir.generalize import bind, generalize
from tracec_ir.hash import digest, skeleton
from tracec_runtime import knobs
from tracec_runtime.events import counters
from tracec_runtime.memory import from_array

from .record import forget_traces

LIMIT = 2048  # executables kept
# Every loaded kernel costs two memory mappings, of which a process has about 65,000.
KERNEL_BUDGET = 12_000  # kernels of compiled plans; beyond it plans and tries are forgotten


class Executable:
    """Runs `func` on buffers. `position[j]` is which of its results output j is (-1: filled in by
    the caller); `donate` maps inputs to outputs that may take over their memory."""

    __slots__ = (
        "func",
        "position",
        "donate",
        "native",
        "runs",
        "price",
        "rent",
        "closures",
        "symbols",
        "explained",
    )

    def __init__(self, func: Func, position: list[int], donate: dict[int, int]):
        self.func, self.position, self.donate = func, position, donate
        self.native = self.closures = None
        self.runs = 0
        self.price = self.rent = None
        self.symbols: tuple[str, ...] = ()
        self.explained = None

    def run(self, buffers: list, scalars: list, env: dict[str, int] | None = None) -> list:
        """The output buffers, in order; None where `position` is -1. `env` has the sizes."""
        native = self.native
        if native is None and self._buy():
            native = self.native
        if native is not None:
            counters.executed += 1
            values = tuple([env[s] for s in native.symbols]) if env else ()
            return native.run(buffers, scalars, values)
        counters.interpreted += 1
        return self._interpret(buffers, scalars, env)

    def _buy(self) -> bool:
        tier = knobs.tier
        self.runs += 1
        if tier == 0:
            return False
        if tier != 1:
            if self.price is None:
                from tracec_codegen.schedule.cost import interpreter_cost

                self.rent, self.price = interpreter_cost(self.func)
            if self.runs * self.rent < self.price:
                return False
        from tracec_runtime.compiler import compile_plan

        self.native = compile_plan(self.func, self.position, self.donate)
        _spend(len(self.native.addresses))
        return True

    def _interpret(self, buffers: list, scalars: list, env) -> list:
        import numpy as np

        from tracec_ir import dims
        from tracec_ir.interp import closures

        if self.closures is None:
            self.closures = closures(self.func)
        sizes = env or {}
        args = [
            b.array(tuple([dims.evaluate(d, sizes) for d in p.shape]), p.dtype.numpy)
            for b, p in zip(buffers, self.func.params)
        ]
        args += scalars
        with np.errstate(all="ignore"):
            out = self.closures.execute(args, sizes)
        return [None if p < 0 else owned(out[p], args) for p in self.position]


class Specialized:
    """An executable with symbolic sizes at one set of values."""

    __slots__ = ("executable", "env")

    def __init__(self, executable: Executable, env: dict[str, int]):
        self.executable, self.env = executable, env

    def run(self, buffers: list, scalars: list) -> list:
        return self.executable.run(buffers, scalars, self.env)


_kernels = 0


def _spend(kernels: int) -> None:
    """Counts the kernels of a new plan, and forgets everything when there are too many."""
    global _kernels
    _kernels += kernels
    if _kernels > KERNEL_BUDGET:
        _kernels = kernels
        _exact.clear()
        _families.clear()
        forget_traces()
        counters.plan_evictions += 1


_exact: OrderedDict = OrderedDict()
_families: OrderedDict = (
    OrderedDict()
)  # skeleton -> (concrete functions seen, symbolic executables)


def executable(func: Func, position: list[int], donate: dict[int, int]):
    """An executable for `func`: the one of an equal function, one with symbolic sizes that covers
    it, or a new one."""
    rest = (tuple(position), tuple(sorted(donate.items())))
    key = (digest(func), rest)
    found = _exact.get(key)
    if found is not None:
        counters.plan_hits += 1
        _exact.move_to_end(key)
        return found
    found = _general(func, position, donate, rest)
    if found is None:
        found = Executable(func, position, donate)
    _exact[key] = found
    if len(_exact) > LIMIT:
        _exact.popitem(last=False)
        counters.plan_evictions += 1
    return found


def _general(func: Func, position: list[int], donate: dict[int, int], rest: tuple):
    family = _families.setdefault((skeleton(func), rest), ([], []))
    if len(_families) > LIMIT:
        _families.popitem(last=False)
    concrete, symbolic = family
    for e in symbolic:
        env = bind(e.func, func)
        if env is not None:
            return Specialized(e, env)
    if len(symbolic) < 4:
        for other in concrete:
            general = generalize(other, func)
            env = bind(general, func) if general is not None else None
            if env is not None:
                e = Executable(general, position, donate)
                symbolic.append(e)
                return Specialized(e, env)
    if len(concrete) < 4:
        concrete.append(func)
    return None


def owned(array, args: list):
    """A buffer with the contents of `array`, sharing memory with nothing else."""
    import numpy as np

    array = np.asarray(array)
    if array.base is not None or not array.flags.c_contiguous or any(array is a for a in args):
        array = array.copy(order="C")
    return from_array(array)
