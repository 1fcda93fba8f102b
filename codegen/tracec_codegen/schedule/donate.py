"""Donation: results that take over the memory of an argument (parameters updated in place)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tracec_ir.dims import Dim, symbols

from ..kernel.core import Kernel, Load, Loop, Store
from ..program import HostStep, KernelStep, Program, Ref, Step


def apply_donations(program: Program, wanted: dict[int, int]) -> None:
    """Lets output j share the memory of input i, for each wanted {i: j}, where that is safe."""
    for i, j in sorted(wanted.items()):
        if program.donations.get(j) == i:
            continue
        why = _refusal(program, i, j)
        if why:
            program.notes.append(f"out{j} does not overwrite in{i}: {why}")
        else:
            program.donations[j] = i


def _refusal(program: Program, i: int, j: int) -> str:
    source, target = program.inputs[i], program.outputs[j]
    a, b = program.buffers[source], program.buffers[target]
    if a.scalar or a.dtype is not b.dtype or a.count != b.count:
        return "their types differ"
    if j in program.donations or i in program.donations.values():
        return "it is shared already"
    writers = [n for n, s in enumerate(program.steps) if target in s.writes]
    if not writers:
        return "nothing writes it"
    if any(source in s.reads for s in program.steps[writers[0] + 1 :]):
        return "the old value is read later"
    step = program.steps[writers[0]]
    if source in step.reads:
        if not isinstance(step, KernelStep):
            return "the step that writes it reads the old value as a whole"
        names = {a: buf.name for a, buf in zip(step.args, step.kernel.bufs, strict=True)}
        if not element_by_element(step.kernel, names[source], names[target]):
            return "the kernel that writes it reads other elements of the old value"
        set_alias(step.kernel, names[target], names[source])
    return ""


def reuse_dying(program: Program) -> None:
    """Lets a temporary take over the memory of one that the same kernel reads for the last time."""
    last: dict[int, int] = {}
    first: dict[int, int] = {}
    for n, step in enumerate(program.steps):
        for i in step.reads | step.writes:
            last[i] = n
            first.setdefault(i, n)
    shaped = {
        i for s in program.steps if isinstance(s, HostStep) for i in s.reads | s.writes
    }  # NumPy sees them with their shapes
    renamed: dict[int, int] = {}
    for n, step in enumerate(program.steps):
        rename(step, renamed)
        if not isinstance(step, KernelStep):
            continue
        names = {a: buf.name for a, buf in zip(step.args, step.kernel.bufs, strict=True)}
        free = [
            i
            for i in step.reads - step.writes
            if program.buffers[i].role == "temp" and last[i] == n
        ]
        for o in sorted(step.writes - step.reads):
            if program.buffers[o].role != "temp" or first[o] != n:
                continue
            for i in sorted(free):
                a, b = program.buffers[i], program.buffers[o]
                if (
                    a.dtype is b.dtype
                    and a.count == b.count
                    and (o not in shaped or a.shape == b.shape)
                    and element_by_element(step.kernel, names[i], names[o])
                ):
                    set_alias(step.kernel, names[o], names[i])
                    renamed[o] = i
                    last[i] = last[o]
                    free.remove(i)
                    step.args = tuple(i if a == o else a for a in step.args)
                    break


def rename(step: Step, names: dict[int, int]) -> None:
    """Replaces buffer ids in a step."""
    if isinstance(step, KernelStep):
        step.args = tuple(names.get(a, a) for a in step.args)
    elif isinstance(step, HostStep):
        step.args = tuple(names.get(a, a) for a in step.args)
        step.outs = tuple(names.get(a, a) for a in step.outs)
    else:
        step.words = tuple(
            Ref(names.get(w.buffer, w.buffer), w.offset) if isinstance(w, Ref) else w
            for w in step.words
        )
        step.outs = tuple(names.get(a, a) for a in step.outs)


def set_alias(kernel: Kernel, name: str, source: str) -> None:
    """Declares that a result takes the memory of an input of the kernel."""
    kernel.bufs[:] = [replace(b, alias=source) if b.name == name else b for b in kernel.bufs]


def element_by_element(kernel: Kernel, source: str, target: str) -> bool:
    """Whether every load of `source` is of the very element that the only store into `target`
    then writes, in the same iteration and before it."""
    loads: list[tuple[tuple, Dim, int]] = []
    stores: list[tuple[tuple, Dim, int]] = []
    for order, (path, s) in enumerate(accesses(kernel.body, ())):
        if isinstance(s, Load) and s.buf == source:
            loads.append((path, s.index, order))
        elif isinstance(s, Store) and s.buf == target:
            stores.append((path, s.index, order))
        elif s.buf in (source, target):
            return False
    if len(stores) != 1:
        return False
    path, index, order = stores[0]
    used = {s.name for s in symbols(index)}
    if not all(var in used for _, var in path):
        return False
    serial = not any(isinstance(s, Loop) and s.kind == "parallel" for s in kernel.body)
    for p, d, o in loads:
        earlier = serial and o < order and p[:1] != path[:1]  # in a nest that is done by then
        if not earlier and not (p == path and d == index and o < order):
            return False
    return True


def accesses(body: list, path: tuple) -> Iterator[tuple[tuple, Load | Store]]:
    """Every load and store with the loops around it, in order."""
    for s in body:
        if isinstance(s, Loop):
            yield from accesses(s.body, (*path, (id(s), s.var)))
        elif isinstance(s, (Load, Store)):
            yield path, s
