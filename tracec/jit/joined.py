"""The results of a branch on data: where its two ways differ."""

from __future__ import annotations

from typing import Any

from tracec_ir.types import TensorType

from ..tensor import Tensor
from .merge import Cannot, Leaf, join_leaves, leaves_of, rebuilt
from .statements import LoopEnd, Return, Signal
from .values import Number, Undefined


class Joined:
    """The results of an `if` under construction: pairs of operands and their types."""

    def __init__(self, first: dict[int, int], second: dict[int, int]):
        self.first, self.second = first, second
        self.pairs: list[tuple[Any, Any, TensorType]] = []

    def variable(self, name: str, a: dict[str, Any], b: dict[str, Any]) -> Any:
        if name not in a or name not in b:
            return Undefined("it is assigned in one way of an `if` only")
        for value in (a[name], b[name]):
            if isinstance(value, Undefined):
                return value
        try:
            return self.value(a[name], b[name])
        except Cannot as problem:
            text = f"the two ways of an `if` give it values that do not fit: {problem}"
            return Undefined(text, problem.sizes)

    def value(self, x: Any, y: Any) -> Any:
        """x and y as one value, with `Leaf`s where they differ; `Cannot` if they do not fit."""
        return join_leaves(x, y, self._leaf)

    def _leaf(self, x: Any, y: Any, type_: TensorType, number: bool) -> Leaf:
        self.pairs.append(
            (self._operand(x, self.first, type_), self._operand(y, self.second, type_), type_)
        )
        return Leaf(len(self.pairs) - 1, number)

    def _operand(self, x: Any, codes: dict[int, int], type_: TensorType) -> Any:
        """What the lowering makes a region's result from."""
        inner = x.tensor if isinstance(x, Number) else x
        if isinstance(inner, Tensor):
            code = codes[id(inner)]
            return code if inner.dtype is type_.dtype else ("cast", code, type_.dtype)
        return ("value", inner, type_.dtype)

    def filled(self, value: Any, outputs: list[Tensor]) -> Any:
        """`value` with tensors in place of leaves."""

        def fill(leaf: Any) -> Any:
            if not isinstance(leaf, Leaf):
                return leaf
            return Number(outputs[leaf.index]) if leaf.number else outputs[leaf.index]

        return rebuilt(value, [fill(leaf) for leaf in leaves_of(value)])

    def filled_signal(self, signal: Signal, outputs: list[Tensor]) -> Signal:
        if isinstance(signal, Return):
            return Return(self.filled(signal.value, outputs))
        return (
            LoopEnd(self.filled(signal.broke, outputs)) if isinstance(signal, LoopEnd) else signal
        )
