"""Looking inside: what was recorded, how it was fused, what code came out."""

from __future__ import annotations

from tracec_runtime.events import counts, stats

from . import record

__all__ = ["Explanation", "counts", "explain", "stats"]


class Explanation:
    """What `explain` found: a list of executed traces, printable.

    Attributes: `result`, what the function returned; `plans`, one `(reason, plan)` per executed
    trace, in order.
    """

    def __init__(self, result, plans: list):
        self.result, self.plans = result, plans

    def __str__(self) -> str:
        parts = []
        for n, (reason, plan) in enumerate(self.plans):
            parts.append(f"== trace {n}: executed because {reason.value}")
            parts.append(_plan_text(plan))
        return "\n".join(parts) or "nothing was recorded"

    __repr__ = __str__


def _plan_text(plan) -> str:
    from tracec_codegen.kernel.printer import kernel_text
    from tracec_codegen.llvm.emit import emit
    from tracec_codegen.program import KernelStep, format_program
    from tracec_codegen.schedule import schedule
    from tracec_ir.passes.pipeline import lower
    from tracec_runtime.compiler import target

    lines = ["-- recorded", str(plan.func)]
    primitive = lower(plan.func)
    lines += ["-- after the passes", str(primitive)]
    program = schedule(primitive, target(), {})
    lines += ["-- steps and fusion decisions", format_program(program)]
    for step in program.steps:
        if isinstance(step, KernelStep):
            lines += [f"-- kernel {step.kernel.name}", kernel_text(step.kernel)]
            lines += [f"-- LLVM IR of {step.kernel.name}", emit(step.kernel, target())]
    return "\n".join(lines)


def explain(fn, *args, **kwargs) -> Explanation:
    """Calls `fn(*args, **kwargs)`, computes its result, and tells what happened: every trace that
    was executed and why, its IR before and after the passes, the kernels with the reasons for
    their fusion, and the generated code."""
    record.flush(record.Flush.SYNC)
    seen: list = []
    record.watchers.append(lambda reason, plan: seen.append((reason, plan)))
    try:
        result = fn(*args, **kwargs)
        record.flush(record.Flush.SYNC)
    finally:
        record.watchers.pop()
    return Explanation(result, seen)
