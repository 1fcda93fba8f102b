"""Control flow of an IR function under construction: blocks, phis, loops and branches."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .values import Operand, Value, constant, with_element


class _Block:
    __slots__ = ("label", "lines", "phis")

    def __init__(self, label: str) -> None:
        self.label = label
        self.phis: list[str] = []
        self.lines: list[str] = []


class Loop:
    """An open loop: `index`, `carried` values, and after the loop their `results`."""

    __slots__ = ("_next", "carried", "index", "results")

    def __init__(self, index: Value, carried: list[Value]) -> None:
        self.index = index
        self.carried = carried
        self.results: list[Value] = []
        self._next: list[Operand] = list(carried)

    def next(self, *values: Operand) -> None:
        """Values of the carried variables for the next turn."""
        if len(values) != len(self.carried):
            raise ValueError(f"loop carries {len(self.carried)} values, got {len(values)}")
        self._next = list(values)


class Flow:
    """The blocks of one function; `Function` adds the instructions."""

    result: str

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._entry = _Block("entry")
        self._blocks = [self._entry]
        self._block = self._entry
        self._open: dict[Value, _Block] = {}

    def value(self, instruction: str, type: str) -> Value:
        """Append an instruction written by hand and return its result."""
        made = Value(f"%v{next(self._numbers)}", type)
        self._block.lines.append(f"  {made} = {instruction}")
        return made

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self._block.lines.append("  " + instruction)

    def comment(self, text: str) -> None:
        """A comment line in the text."""
        self._block.lines.append("  ; " + text)

    @staticmethod
    def operand(x: Operand, type: str = "i64") -> Value:
        """`x` itself, or the constant of `type` it stands for."""
        return x if isinstance(x, Value) else constant(type, x)

    @classmethod
    def _pair(cls, a: Operand, b: Operand) -> tuple[Value, Value]:
        type = a.type if isinstance(a, Value) else b.type if isinstance(b, Value) else "i64"
        return cls.operand(a, type), cls.operand(b, type)

    def icmp(self, predicate: str, a: Operand, b: Operand) -> Value:
        """Integer or pointer comparison: eq ne slt sle sgt sge ult ule ugt uge."""
        x, y = self._pair(a, b)
        return self.value(f"icmp {predicate} {x.type} {x}, {y}", with_element(x.type, "i1"))

    def new_block(self, name: str) -> str:
        """A fresh label, for control flow written by hand."""
        return f"{name}{next(self._numbers)}"

    def start_block(self, label: str) -> None:
        """Continue in a new block; the block before must have ended in a branch."""
        self._block = _Block(label)
        self._blocks.append(self._block)

    @property
    def label(self) -> str:
        """Label of the current block."""
        return self._block.label

    def jump(self, label: str) -> None:
        """Go to a block."""
        self.do(f"br label %{label}")

    def jump_if(self, condition: Value, yes: str, no: str) -> None:
        """Go to one of two blocks."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def phi(self, type: str, incoming: Sequence[tuple[Operand, str]]) -> Value:
        """A value that depends on which block control came from."""
        made = Value(f"%v{next(self._numbers)}", type)
        listed = ", ".join(f"[ {self.operand(x, type)}, %{label} ]" for x, label in incoming)
        self._block.phis.append(f"  {made} = phi {type} {listed}")
        return made

    def open_phi(self, type: str) -> Value:
        """A phi of the current block whose sources are not known yet; see `close_phi`."""
        made = Value(f"%v{next(self._numbers)}", type)
        self._open[made] = self._block
        return made

    def close_phi(self, phi: Value, incoming: Sequence[tuple[Operand, str]]) -> None:
        """Say where an open phi's values come from."""
        listed = ", ".join(f"[ {self.operand(x, phi.type)}, %{label} ]" for x, label in incoming)
        self._open.pop(phi).phis.append(f"  {phi} = phi {phi.type} {listed}")

    @contextlib.contextmanager
    def loop(self, low: Operand, high: Operand, step: Operand = 1,
             carry: Sequence[Value] = (), *, guard: bool = True) -> Iterator[Loop]:
        """for index in range(low, high, step) on signed i64, step > 0.

        `carry` are the initial values of carried variables; `loop.next(...)` sets what they become;
        after the loop `loop.results` holds them.  guard=False promises at least one turn.
        """
        first, last = self.operand(low), self.operand(high)
        head, latch, done = (self.new_block(n) for n in ("head", "latch", "done"))
        before = self.label
        if guard:
            self.jump_if(self.icmp("slt", first, last), head, done)
        else:
            self.jump(head)
        self.start_block(head)
        head_block = self._block
        index = Value(f"%i{next(self._numbers)}", "i64")
        carried = [Value(f"%c{next(self._numbers)}", c.type) for c in carry]
        loop = Loop(index, carried)
        yield loop
        self.jump(latch)
        self.start_block(latch)
        following = [self.operand(n, c.type) for n, c in zip(loop._next, carried, strict=True)]
        new_index = self.value(f"add nsw i64 {index}, {self.operand(step)}", "i64")
        head_block.phis.append(
            f"  {index} = phi i64 [ {first}, %{before} ], [ {new_index}, %{latch} ]")
        head_block.phis += [
            f"  {c} = phi {c.type} [ {start}, %{before} ], [ {after}, %{latch} ]"
            for c, start, after in zip(carried, carry, following, strict=True)]
        self.jump_if(self.icmp("slt", new_index, last), head, done)
        self.start_block(done)
        for start, after in zip(carry, following, strict=True):
            edges: list[tuple[Operand, str]] = [(after, latch)]
            if guard:
                edges.append((start, before))
            loop.results.append(self.phi(start.type, edges))

    def while_loop(self, carry: Sequence[Value],
                   condition: Callable[..., Value],
                   body: Callable[..., Sequence[Operand]]) -> list[Value]:
        """while condition(*carried): carried = body(*carried); returns the last values."""
        head, turn, done = (self.new_block(n) for n in ("while", "turn", "end"))
        before = self.label
        self.jump(head)
        self.start_block(head)
        head_block = self._block
        carried = [Value(f"%c{next(self._numbers)}", c.type) for c in carry]
        self.jump_if(condition(*carried), turn, done)
        self.start_block(turn)
        after = [self.operand(n, c.type) for n, c in zip(body(*carried), carried, strict=True)]
        head_block.phis += [
            f"  {c} = phi {c.type} [ {start}, %{before} ], [ {n}, %{self.label} ]"
            for c, start, n in zip(carried, carry, after, strict=True)]
        self.jump(head)
        self.start_block(done)
        return carried

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """A body that runs only if the condition holds."""
        then, done = self.new_block("then"), self.new_block("fi")
        self.jump_if(condition, then, done)
        self.start_block(then)
        yield
        self.jump(done)
        self.start_block(done)

    def branch(self, condition: Value, then: Callable[[], Any],
               other: Callable[[], Any]) -> list[Value]:
        """if/else; each side may return a list of values, merged by phis."""
        yes, no, done = (self.new_block(n) for n in ("then", "else", "fi"))
        self.jump_if(condition, yes, no)
        ends = []
        for label, emit in ((yes, then), (no, other)):
            self.start_block(label)
            values = emit()
            values = values if isinstance(values, list) else []
            ends.append((values, self.label))
            self.jump(done)
        self.start_block(done)
        (left, left_label), (right, right_label) = ends
        return [self.phi((a if isinstance(a, Value) else b).type,
                         [(a, left_label), (b, right_label)])
                for a, b in zip(left, right, strict=True)]

    def switch(self, value: Value, cases: dict[int, Callable[[], Any]],
               default: Callable[[], Any] | None = None) -> None:
        """Run the case equal to the value, else `default` (nothing if None)."""
        done = self.new_block("fi")
        labels = {number: self.new_block("case") for number in cases}
        other = self.new_block("default") if default else done
        listed = " ".join(f"{value.type} {n}, label %{label}" for n, label in labels.items())
        self.do(f"switch {value.type} {value}, label %{other} [ {listed} ]")
        for number, emit in cases.items():
            self.start_block(labels[number])
            emit()
            self.jump(done)
        if default:
            self.start_block(other)
            default()
            self.jump(done)
        self.start_block(done)
