"""Owns the padding layers: constant, reflected, replicated and circular."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module
from .utils import _ntuple


class _PadNd(Module):
    """Pads the last dimensions in one mode."""

    __constants__ = ["padding"]
    _dimensions = 0
    _mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._dimensions)(padding)

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def forward(self, input: Any) -> Any:
        n = self._dimensions
        if input.dim() not in (n + 1, n + 2):
            raise ValueError(f"expected {n + 1}D or {n + 2}D input (got {input.dim()}D input)")
        return super().forward(input)


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dimension with a value.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dimensions with a value.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dimensions with a value.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 3


class ZeroPad1d(_ZeroPadNd):
    """Pads the last dimension with zeros.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 1


class ZeroPad2d(_ZeroPadNd):
    """Pads the last two dimensions with zeros.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 2


class ZeroPad3d(_ZeroPadNd):
    """Pads the last three dimensions with zeros.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pads the last dimension by reflection at the border elements.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pads the last two dimensions by reflection.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pads the last three dimensions by reflection.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pads the last dimension with its border elements.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pads the last two dimensions with their border elements.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pads the last three dimensions with their border elements.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 3


class CircularPad1d(_CircularPadNd):
    """Pads the last dimension with its other end.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 1


class CircularPad2d(_CircularPadNd):
    """Pads the last two dimensions with their other ends.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 2


class CircularPad3d(_CircularPadNd):
    """Pads the last three dimensions with their other ends.

    `padding` is one number, or (before, after) for each dimension, the last one first; negative
    numbers crop.
    """

    _dimensions = 3
