"""How a kernel's loops are spread over blocks and threads, and the numbers of a launch.

A *mapping* says what the grid and the threads of a block run over:

- "elements": the body is one vector loop; it runs over all threads of the grid;
- "tiles": a parallel* loop around one vector loop; blocks (x) take the outer, blocks (y) times
  threads the inner one;
- "threads": a parallel* loop of serial work; every thread of the grid takes iterations of it;
- "rows": a parallel* loop of anything else; a block takes an iteration and its threads share the
  vector loops and reductions inside;
- "block": no parallel* loop; one block, whose threads share every vector loop and reduction.

*) or a serial one whose turns are `independent`: small programs have no parallel loop, because a
CPU's threads would not pay, but blocks do.

All loops are strided by the size of the grid, so any grid computes the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tracec_ir import dims
from tracec_ir.dims import Dim

from ..kernel.core import Check, Const, IndexValue, Kernel, Load, Loop, Scalar, Scratch
from .independent import independent
from .index import upper_bound
from .walk import distributed, loops, reads, shared_by_threads, storage, writes

MAX_THREADS = 256
SHARED_LIMIT = 48 * 1024  # what every device grants a block without being asked
_GRID_X, _GRID_Y = (1 << 31) - 1, (1 << 16) - 1
_SPILLED_BLOCKS = 1024  # at most so many blocks have their scratch in global memory
_ALIGN = 16
_PURE = (Const, Scalar, IndexValue, Load, Check, Scratch)


@dataclass(frozen=True, slots=True)
class Launch:
    """What a launch needs to know: `threads` of a block; how many iterations blocks in x and y
    take, and how many of them one block takes at a time; bytes of `scratch` for a block."""

    mapping: str
    threads: int
    extent: tuple[Dim, Dim]
    chunk: tuple[int, int]
    scratch: Dim

    def geometry(self, sizes: Mapping[str, int]) -> Geometry:
        """The launch for the values of the kernel's sizes."""
        grid = [
            -(-dims.evaluate(extent, sizes) // chunk)
            for extent, chunk in zip(self.extent, self.chunk, strict=True)
        ]
        x, y = min(grid[0], _GRID_X), min(grid[1], _GRID_Y)
        scratch = dims.evaluate(self.scratch, sizes)
        if scratch <= SHARED_LIMIT:
            return Geometry((x, y), self.threads, scratch, 0)
        x = min(x, _SPILLED_BLOCKS)
        return Geometry((x, y), self.threads, 0, scratch * x * y)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A launch in numbers: blocks in x and y, threads of a block, bytes of dynamic shared memory,
    and bytes of global memory to pass as `scratch` (0: pass a null pointer)."""

    grid: tuple[int, int]
    threads: int
    shared: int
    scratch: int

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do (an empty grid may not be launched)."""
        return 0 in self.grid


def choose(kernel: Kernel) -> Launch:
    """The mapping of a kernel."""
    main = kernel.body[-1] if kernel.body else None
    scratch = sum((padded(s) for s in kernel.body if isinstance(s, Scratch)), start=0)
    if isinstance(main, Loop) and spread_over_blocks(kernel):
        inner = list(loops(main.body))
        if not any(shared_by_threads(x) for x in inner) and scratch == 0:
            threads = _threads([main])
            return Launch("threads", threads, (main.extent, 1), (threads, 1), 0)
        last = main.body[-1]
        threads = _threads(distributed(main.body))
        if _splits(kernel, main.body) and scratch == 0:
            assert isinstance(last, Loop)
            # the inner extent may depend on the outer index; at 0 it is largest
            extent = dims.substitute(last.extent, {main.var: 0})
            return Launch("tiles", threads, (main.extent, extent), (1, threads), 0)
        return Launch("rows", threads, (main.extent, 1), (1, 1), scratch)
    threads = _threads(distributed(kernel.body))
    if isinstance(main, Loop) and _splits(kernel, kernel.body) and scratch == 0:
        return Launch("elements", threads, (main.extent, 1), (threads, 1), 0)
    return Launch("block", threads, (1, 1), (1, 1), scratch)


def padded(s: Scratch) -> Dim:
    """Bytes of a scratch array, rounded up to a multiple of the alignment."""
    return dims.floordiv(s.count * s.dtype.itemsize + (_ALIGN - 1), _ALIGN) * _ALIGN


def _threads(found: list[Loop]) -> int:
    """Threads of a block: a power of two, no more than the longest loop has use for."""
    bounds = [upper_bound(loop.extent) for loop in found]
    most = MAX_THREADS if None in bounds else max([b for b in bounds if b is not None], default=1)
    threads = 32
    while threads < min(most, MAX_THREADS):
        threads *= 2
    return threads


def spread_over_blocks(kernel: Kernel) -> bool:
    """Whether blocks (or threads of the grid) take turns of the last, outermost loop."""
    *before, main = kernel.body
    if not isinstance(main, Loop) or main.kind == "parallel":
        return isinstance(main, Loop)
    place = storage(kernel)
    sizes = {size.name for size in kernel.sizes}
    return (
        main.kind == "serial"
        and all(isinstance(s, _PURE) for s in before)
        and not reads(before, place) & writes([main], place)
        and independent(main, {b.name: place[b.name] for b in kernel.bufs}, sizes)
    )


def _splits(kernel: Kernel, body: list) -> bool:
    """Whether the body is one vector loop behind plain statements that do not read what it writes,
    so that several blocks can share it."""
    *before, last = body
    if not isinstance(last, Loop) or last.kind != "vector" or last.carries:
        return False
    if not all(isinstance(s, _PURE) for s in before):
        return False
    place = storage(kernel)
    return not reads(before, place) & writes([last], place)
