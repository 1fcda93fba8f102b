"""Where the threads of a block must wait: before a statement touches memory that another thread
may have written, or may still read, since the last barrier."""

from __future__ import annotations

from dataclasses import dataclass, field

from .walk import reads, writes


@dataclass(slots=True)
class Pending:
    """What the block has read and written since its last barrier, by `storage` name."""

    place: dict[str, str]
    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)

    def conflicts(self, body: list) -> bool:
        """Whether these statements must wait for earlier ones."""
        r, w = reads(body, self.place), writes(body, self.place)
        return bool(self.written & (r | w) or self.read & w)

    def passed(self, body: list) -> None:
        """These statements were emitted."""
        self.read |= reads(body, self.place)
        self.written |= writes(body, self.place)

    def barrier(self) -> None:
        """All threads have met."""
        self.read.clear()
        self.written.clear()

    def snapshot(self) -> Pending:
        """A copy, for the state in front of a loop."""
        return Pending(self.place, set(self.read), set(self.written))

    def merge(self, other: Pending) -> None:
        """Either this or the other state may hold (a loop may have no turn)."""
        self.read |= other.read
        self.written |= other.written


def repeats_safely(body: list, place: dict[str, str], only: set[str] | None = None) -> bool:
    """Whether a turn of a loop need not wait for the one before it, looking at `only` this
    memory."""
    r, w = reads(body, place), writes(body, place)
    shared = w & (r | w)
    return not (shared if only is None else shared & only)
