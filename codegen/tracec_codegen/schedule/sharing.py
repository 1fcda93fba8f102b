"""Kernels that differ only in where their buffers begin become one.

A loop that a program unrolled reads and writes slices: the same loops over other constants. The
constants move from the index expressions to the addresses of the launch (`KernelStep.offsets`).
"""

from __future__ import annotations

from tracec_ir.dims import Dim, Poly

from ..kernel.core import Kernel
from ..kernel.printer import canonical_text
from ..program import KernelStep, Program
from .donate import accesses

Starts = dict[str, int]


def share_kernels(program: Program) -> None:
    """Gives steps whose kernels are equal up to the places of their buffers the same kernel."""
    alike: dict[str, list[tuple[KernelStep, Starts]]] = {}
    moved = [
        (step, starts)
        for step in program.steps
        if isinstance(step, KernelStep) and not step.offsets
        for starts in [_starts(step.kernel)]
    ]
    if sum(any(starts.values()) for _, starts in moved) < 2:
        return
    for step, starts in moved:
        _move(step.kernel, starts, -1)
        alike.setdefault(canonical_text(step.kernel), []).append((step, starts))
    for steps in alike.values():
        kernel = steps[0][0].kernel
        lone = len(steps) == 1 or all(starts == steps[0][1] for _, starts in steps)
        for step, starts in steps:
            if lone:
                _move(step.kernel, starts, 1)
                continue
            step.offsets = tuple(starts[b.name] for b in step.kernel.bufs)
            if step.kernel.uses_error is kernel.uses_error and _named_alike(step.kernel, kernel):
                step.kernel = kernel


def _named_alike(a: Kernel, b: Kernel) -> bool:
    """Whether two equal kernels also have the same cost, so that one object can stand for both."""
    return a.cost == b.cost and a.origin == b.origin


def _starts(kernel: Kernel) -> Starts:
    """Per buffer, the smallest constant that every index into it contains; 0 where memory is
    shared or an index runs backwards."""
    out: dict[str, int | None] = {b.name: None for b in kernel.bufs}
    for _, s in accesses(kernel.body, ()):
        if s.buf in out:
            start = _constant(s.index)
            have = out[s.buf]
            out[s.buf] = start if have is None else min(have, start)
    together = {b.alias for b in kernel.bufs} | {b.name for b in kernel.bufs if b.alias}
    return {name: 0 if name in together else start or 0 for name, start in out.items()}


def _constant(index: Dim) -> int:
    """The constant term of an index without negative terms; 0 for any other."""
    if isinstance(index, int):
        return max(index, 0)
    assert isinstance(index, Poly)
    return 0 if min(index.terms.values()) < 0 else index.terms.get((), 0)


def _move(kernel: Kernel, starts: Starts, sign: int) -> None:
    for _, s in accesses(kernel.body, ()):
        start = starts.get(s.buf, 0)
        if start:
            s.index = s.index + sign * start
