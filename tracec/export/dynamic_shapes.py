"""Which sizes of an exported program may change: `Dim`, and what `dynamic_shapes` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ..jit.inputs import Wanted
from ..tensor import Tensor


class UserError(RuntimeError):
    """An export that was asked for something the module does not allow."""


@dataclass(frozen=True, slots=True)
class DimHint:
    """What is known of a size without a name: AUTO may change if the code allows it, DYNAMIC must
    be allowed to, STATIC stays."""

    kind: str

    def __repr__(self) -> str:
        return f"DimHint({self.kind})"


class Dim:
    """A size that may change, within bounds; dimensions with the same Dim have the same size.

    AssertionError for a name that is no identifier, or bounds that exclude everything.
    """

    AUTO: ClassVar = DimHint("AUTO")
    DYNAMIC: ClassVar = DimHint("DYNAMIC")
    STATIC: ClassVar = DimHint("STATIC")

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None):
        if not name.isidentifier():
            raise AssertionError(f"Dim name must be a valid identifier, got {name}")
        self.__name__ = name
        self.min = 0 if min is None else min
        self.max = max
        if max is not None and max <= self.min:
            raise AssertionError(f"Cannot create Dim with inconsistent min={self.min}, max={max}")

    def __repr__(self) -> str:
        least = f", min={self.min}" if self.min != 2 else ""
        most = f", max={self.max}" if self.max is not None else ""
        return f"Dim('{self.__name__}'{least}{most})"

    def _derived(self, other: Any) -> Any:
        raise NotImplementedError(f"dimensions computed from others ({self.__name__} and {other})")

    __add__ = __radd__ = __sub__ = __mul__ = __rmul__ = _derived


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:
    """A Dim of each name."""
    return tuple(Dim(name, min=min, max=max) for name in names)


def by_parameter(shapes: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """`dynamic_shapes` by parameter name. UserError if it does not match the arguments."""
    if not shapes:
        return {}
    if isinstance(shapes, Mapping):
        if set(shapes) != set(given):
            raise UserError(
                "When `dynamic_shapes` is specified as a dict, its top-level keys must be the arg "
                f"names {list(given)} of `inputs`, but here they are {list(shapes)}. "
                "Alternatively, you could also ignore arg names entirely and specify "
                "`dynamic_shapes` as a list/tuple matching `inputs`."
            )
        return dict(shapes)
    if len(shapes) != len(given):
        raise UserError(
            "Detected mismatch between the structure of `inputs` and `dynamic_shapes`: `inputs` "
            f"has {len(given)} elements, but `dynamic_shapes` has {len(shapes)} elements"
        )
    return dict(zip(given, shapes))


class Asked:
    """What export was asked for: `sizes` is, by input, what each of its dimensions was said to be;
    `hints` the example's sizes by symbol."""

    def __init__(self) -> None:
        self.sizes: dict[str, list[Any]] = {}
        self.hints: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def kind(self, name: str, value: Any, shape: Any) -> Any:
        """What the input `value` is to the builder; `shape` says which sizes may change."""
        if isinstance(value, Tensor):
            sizes = self._sizes(value, shape)
            self.sizes[name] = sizes
            return Wanted(
                value.dtype, tuple(self._size(f"{name}{i}", n, s)
                                   for i, (n, s) in enumerate(zip(value.shape, sizes)))
            )  # fmt: skip
        if isinstance(value, (tuple, list)):
            shape = shape or [None] * len(value)
            if len(shape) != len(value):
                raise UserError(
                    "Detected mismatch between the structure of `inputs` and `dynamic_shapes`: "
                    f"`inputs['{name}']` has {len(value)} elements, but `dynamic_shapes` has "
                    f"{len(shape)} elements"
                )
            return tuple(
                self.kind(f"{name}_{i}", v, s) for i, (v, s) in enumerate(zip(value, shape))
            )
        if isinstance(value, Mapping):
            raise NotImplementedError("export with dicts among the inputs")
        return value

    @staticmethod
    def _sizes(value: Tensor, shape: Any) -> list[Any]:
        rank = value.dim()
        if shape is None:
            return [None] * rank
        if isinstance(shape, Mapping):
            return [shape.get(i, shape.get(i - rank)) for i in range(rank)]
        if len(shape) != rank:
            raise UserError(
                f"Expected dynamic shape spec {shape} of {rank} dimensions for a tensor of shape "
                f"{value.shape}"
            )
        return list(shape)

    def _size(self, symbol: str, size: int, asked: Any) -> int | str:
        if asked is None or asked is Dim.STATIC:
            return size
        if isinstance(asked, int):
            if asked != size:
                raise UserError(f"a size was said to be {asked}, but the example has {size}")
            return size
        if isinstance(asked, Dim):
            symbol = asked.__name__
            if size < asked.min or (asked.max is not None and size > asked.max):
                least, most = max(asked.min, 2), "int_oo" if asked.max is None else asked.max
                raise UserError(f"{size} not in range [{least}, {most}]")
            if self._seen.setdefault(symbol, size) != size:
                raise UserError(f"{symbol} is {self._seen[symbol]} and {size} in the example")
        elif asked not in (Dim.AUTO, Dim.DYNAMIC):
            raise UserError(f"Unexpected dimension {asked!r} in `dynamic_shapes`")
        if size >= 2:  # smaller ones mean nothing for others
            self.hints.setdefault(symbol, size)
        return symbol


def violated(name: str, detail: str) -> UserError:
    """The error for a size that cannot change as it was said to."""
    return UserError(f"Constraints violated ({name})!\n  - {detail}")
