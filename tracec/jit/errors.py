"""ScriptError: what script cannot translate, with the source line and what to write instead."""

from __future__ import annotations

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where a piece of Python came from: its file, its lines, and the first line's number."""

    file: str
    lines: tuple[str, ...]
    first: int
    indent: int

    def location(self, node: ast.AST) -> str:
        """`file:line` of a node of this source."""
        return f"{self.file}:{self.line_of(node)}"

    def line_of(self, node: ast.AST) -> int:
        return self.first + getattr(node, "lineno", 1) - 1

    def excerpt(self, node: ast.AST) -> str:
        """The node's source line with a caret under the node."""
        number = getattr(node, "lineno", 1) - 1
        if not 0 <= number < len(self.lines):
            return ""
        line = self.lines[number]
        start = getattr(node, "col_offset", 0) + self.indent
        end = getattr(node, "end_col_offset", None)
        one_line = getattr(node, "end_lineno", None) == getattr(node, "lineno", None)
        stop = end + self.indent if one_line and end is not None else len(line.rstrip())
        caret = " " * start + "^" + "~" * max(0, stop - start - 1)
        return f"{line.rstrip()}\n{caret}"


# what the user's code and the framework raise for arguments that do not fit
ORDINARY = (
    RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, AssertionError,
    ZeroDivisionError,
)  # fmt: skip


class ScriptError(RuntimeError):
    """Something that script does not support, or a value of a kind it cannot be.

    `by_size` says that it would be supported for other sizes of the inputs.
    """

    def __init__(
        self,
        message: str,
        source: Source | None = None,
        node: ast.AST | None = None,
        by_size: bool = False,
    ):
        self.message, self.by_size = message, by_size
        self.where = source.location(node) if source is not None and node is not None else ""
        text = message
        if source is not None and node is not None:
            shown = source.excerpt(node).replace("\n", "\n    ")
            text = f"{message}\n  {self.where}\n    {shown}"
        super().__init__(text)

    @property
    def located(self) -> bool:
        """Whether the message names a place in the user's source."""
        return bool(self.where)
