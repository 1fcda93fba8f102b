"""Control flow on data: branches and loops that become regions of the IR."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from ..tensor import Tensor
from .calls import DynamicRange
from .statements import Rest, Signal, Statements


class Evaluator(Statements):
    """The whole evaluator."""

    def evaluate(self, fn: Callable, values: Mapping[str, Any]) -> Any:
        """The result of a function or bound method on these values."""
        method = getattr(fn, "__func__", None)
        if method is None:
            return self._inline(fn, [], dict(values), None)
        return self._inline(method, [fn.__self__], dict(values), None)
