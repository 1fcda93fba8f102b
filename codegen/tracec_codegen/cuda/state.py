"""The state of emitting one kernel: lines of text, names, element types, who runs a statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tracec_ir.dims import Dim
from tracec_ir.dtypes import DType, i64

from ..kernel.core import Kernel, Scratch
from .index import expression
from .names import Names
from .types import register_type


class State:
    """Everything the parts of the emitter share. `alone` says that the current statements belong
    to one thread (its turn of a shared loop), not to all threads of the block alike."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = Names(kernel.name)
        self.lines: list[str] = []
        self.depth = 1
        self.alone = False
        self.types: dict[str, DType] = {size.name: i64 for size in kernel.sizes}
        self._natural = {size.name for size in kernel.sizes}
        self.buffers = {b.name: b.dtype for b in kernel.bufs}
        self.buffers.update({x.name: x.dtype for x in kernel.body if isinstance(x, Scratch)})

    def line(self, text: str) -> None:
        """One line at the current indentation."""
        self.lines.append("  " * self.depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """`head {` ... `}`."""
        self.line(head + " {")
        self.depth += 1
        yield
        self.depth -= 1
        self.line("}")

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Statements that one thread runs by itself."""
        saved, self.alone = self.alone, True
        yield
        self.alone = saved

    def define(self, name: str, dtype: DType, text: str) -> None:
        """A kernel value and the expression it has."""
        self.types[name] = dtype
        self.line(f"const {register_type(dtype)} {self.names(name)} = {text};")

    def loop_variable(self, name: str) -> str:
        """The identifier of a loop's variable."""
        self.types[name] = i64
        self._natural.add(name)
        return self.names(name)

    def index(self, dim: Dim) -> str:
        """An index expression as C."""
        return expression(dim, self._spell, self._natural.__contains__)

    def _spell(self, name: str) -> str:
        text = self.names(name)
        return text if self.types[name] is i64 else f"(long long){text}"
