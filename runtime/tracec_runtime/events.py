"""Counters of what the system did: flushes, misses, compiles, launches, bytes.

Tests assert counts, not seconds:

    >>> from tracec_runtime.events import counters, counts
    >>> with counts() as c:
    ...     counters.kernels += 1
    >>> c.kernels, c.compiles
    (1, 0)

A fixed counter is a slot of `counters` and is raised in place: `counters.kernels += 1`, 20 ns.
Things that come in kinds (flush reasons, fallbacks) go through `count("flush", "item")`.
Counts are exact in one thread; threads that raise the same counter at once may lose a few.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

FIELDS: dict[str, str] = {
    "instructions": "operations recorded",
    "flushes": "traces executed (flush.<reason> tells why)",
    "trie_misses": "instructions recorded for the first time at their place",
    "plan_hits": "flushes that found their plan",
    "plan_misses": "flushes that had to make one",
    "plan_evictions": "plans dropped because the cache was full",
    "interpreted": "plans run by the NumPy interpreter",
    "executed": "plans run as native code",
    "plans_compiled": "functions turned into native programs",
    "compiles": "kernels compiled by LLVM or NVRTC",
    "kernels": "kernels launched",
    "calls": "calls of the native library (matrix products, convolutions)",
    "host_steps": "steps run by NumPy inside a plan",
    "memory_hits": "kernels found already loaded",
    "disk_hits": "objects found in the disk cache",
    "disk_misses": "objects not found in the disk cache",
    "disk_corrupt": "objects of the disk cache that failed their checksum and were removed",
    "disk_errors": "failures to read or write the cache folder",
    "disk_evictions": "objects removed to keep the disk cache within its bound",
    "allocations": "buffers handed out",
    "fresh_allocations": "buffers that needed new memory from the system",
}


class Counters:
    """One integer per entry of `FIELDS`, and `kinds`: "family.kind" -> integer."""

    __slots__ = (*FIELDS, "kinds")

    instructions: int
    flushes: int
    trie_misses: int
    plan_hits: int
    plan_misses: int
    plan_evictions: int
    interpreted: int
    executed: int
    plans_compiled: int
    compiles: int
    kernels: int
    calls: int
    host_steps: int
    memory_hits: int
    disk_hits: int
    disk_misses: int
    disk_corrupt: int
    disk_errors: int
    disk_evictions: int
    allocations: int
    fresh_allocations: int
    kinds: dict[str, int]

    def __init__(self) -> None:
        for name in FIELDS:
            setattr(self, name, 0)
        self.kinds = {}


counters = Counters()


def count(family: str, kind: str, n: int = 1) -> None:
    """Raises the counter "family.kind"; families are flush, fallback, error, ..."""
    key = f"{family}.{kind}"
    kinds = counters.kinds
    kinds[key] = kinds.get(key, 0) + n


def stats() -> dict[str, int]:
    """Every counter by name, those of kinds as "family.kind", and the allocator's byte counts."""
    from .memory import pool

    out = {name: getattr(counters, name) for name in FIELDS}
    out.update(sorted(counters.kinds.items()))
    out.update(pool.stats())
    return out


class Difference:
    """How far the counters moved since the block was entered; fixed when it is left.

    Fixed counters are attributes (`c.kernels`); all of them, kinds too, are items
    (`c["flush.item"]`), where what never happened is 0.
    """

    def __init__(self) -> None:
        self._before = _snapshot()
        self._after: dict[str, int] | None = None

    def __getitem__(self, name: str) -> int:
        if name not in FIELDS and "." not in name:
            raise KeyError(name)
        now = self._after if self._after is not None else _snapshot()
        return now.get(name, 0) - self._before.get(name, 0)

    def __getattr__(self, name: str) -> int:
        if name not in FIELDS:
            raise AttributeError(f"there is no counter '{name}'")
        return self[name]

    def as_dict(self) -> dict[str, int]:
        """The counters that moved."""
        now = self._after if self._after is not None else _snapshot()
        moved = {k: v - self._before.get(k, 0) for k, v in now.items()}
        return {k: v for k, v in moved.items() if v}

    def __repr__(self) -> str:
        return f"Difference({', '.join(f'{k}={v}' for k, v in self.as_dict().items())})"

    def freeze(self) -> None:
        self._after = _snapshot()


def _snapshot() -> dict[str, int]:
    return {name: getattr(counters, name) for name in FIELDS} | counters.kinds


@contextmanager
def counts() -> Iterator[Difference]:
    """Counts what happens inside the `with` block."""
    difference = Difference()
    try:
        yield difference
    finally:
        difference.freeze()


def table() -> str:
    """The counters as a Markdown table, for the documentation."""
    rows = ["| counter | counts |", "| --- | --- |"]
    rows += [f"| `{name}` | {meaning} |" for name, meaning in FIELDS.items()]
    return "\n".join(rows) + "\n"
