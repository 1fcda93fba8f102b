"""What a loop on data carries from turn to turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracec_ir import dtypes
from tracec_ir.types import TensorType

from ..record import apply
from ..storage import Storage
from ..tensor import Tensor
from .errors import ScriptError
from .merge import leaves_of, number_leaf, rebuilt, same_static, unequal_sizes
from .values import Number, Undefined, is_number, tensor_of


@dataclass(frozen=True, slots=True)
class Slot:
    """A carried leaf: leaf `index` of variable `name`, a tensor or number of this type."""

    name: str
    index: int
    type: TensorType
    number: bool


class Carried:
    """The variables that a loop changes, and the storages that it writes."""

    def __init__(self, start: dict[str, Any]):
        self.slots: list[Slot] = []
        self.storages: list[Storage] = []
        self.breaks = False
        self.lost: dict[str, Undefined] = {}  # variables without a usable value after a turn
        self.start = start

    def types(self) -> list[TensorType]:
        flag = [TensorType(dtypes.b1)] if self.breaks else []
        return [s.type for s in self.slots] + [st.spec.type for st in self.storages] + flag

    def put(self, env: dict[str, Any], tensors: list[Tensor]) -> None:
        """Sets the carried variables to these tensors."""
        env.update(self.lost)
        for slot, t in zip(self.slots, tensors):
            leaves = leaves_of(env[slot.name])
            leaves[slot.index] = Number(t) if slot.number else t
            env[slot.name] = rebuilt(env[slot.name], leaves)

    def value(self, env: dict[str, Any], slot: Slot) -> Tensor:
        """What a slot holds among these variables, as a tensor of the slot's type."""
        t = tensor_of(leaves_of(env[slot.name])[slot.index])
        return t if t.dtype is slot.type.dtype else apply("cast", (t,), {"dtype": slot.type.dtype})

    def learn(
        self, start: dict[str, Any], end: dict[str, Any], written: dict[Storage, int],
        error: Callable[..., ScriptError],
    ) -> bool:  # fmt: skip
        """Adds what a trial changed; whether there was anything new."""
        known = {(s.name, s.index): s for s in self.slots}
        changed = False
        for st in written:
            if st not in self.storages:
                self.storages.append(st)
                changed = True
        for name, old in start.items():
            if name not in end or name in self.lost:
                continue
            befores, afters = leaves_of(old), leaves_of(end[name])
            lost = next((a for a in afters if isinstance(a, Undefined)), None)
            if lost is not None and not any(isinstance(v, Undefined) for v in befores):
                self.lost[name] = lost
                known = {key: slot for key, slot in known.items() if key[0] != name}
                changed = True
                continue
            if (
                len(befores) != len(afters)
                or type(old) is not type(end[name])
                and len(befores) != 1
            ):
                raise error(
                    f"'{name}' changes its length or structure inside a loop whose length "
                    "depends on data; write into a tensor made before the loop instead"
                )
            for i, (before, after) in enumerate(zip(befores, afters, strict=True)):
                slot = known.get((name, i))
                new = _slot(name, i, before, after, slot, error)
                if new is not None and new != slot:
                    known[name, i] = new
                    changed = True
        self.slots = list(known.values())
        return changed


def _slot(
    name: str,
    index: int,
    before: Any,
    after: Any,
    known: Slot | None,
    error: Callable[..., ScriptError],
) -> Slot | None:
    """How a leaf is carried, given its value before the loop and after one turn."""
    if known is None and (before is after or same_static(before, after)):
        return None
    if isinstance(after, Undefined) or isinstance(before, Undefined):
        return known
    if not isinstance(after, Tensor) and not is_number(after):
        raise error(
            f"'{name}' becomes a {type(after).__name__} inside a loop whose length depends on "
            "data; only tensors and numbers can change there"
        )
    if not isinstance(before, Tensor) and not is_number(before):
        raise error(
            f"'{name}' is a {type(before).__name__} before the loop and changes inside it; give it "
            "a tensor or number first"
        )
    if isinstance(after, Tensor):
        found = TensorType(after.dtype, tuple(after.shape))
        if isinstance(before, Tensor):
            was = TensorType(before.dtype, tuple(before.shape))
            if was != found:
                text = (
                    f"'{name}' changes from {was!r} to {found!r} in the loop; it must keep its type"
                )
                raise error(text, unequal_sizes(was, found))
        elif found.shape:
            raise error(f"'{name}' is a number before the loop and becomes {found!r} in it")
        return Slot(name, index, found, False)
    if isinstance(before, Tensor):
        raise error(f"'{name}' is a tensor before the loop and becomes a number in it")
    kinds = [number_leaf(before), number_leaf(after)] + ([known.type.dtype] if known else [])
    widest = max(kinds, key=lambda d: (dtypes.b1, dtypes.i64, dtypes.f64, dtypes.c128).index(d))
    return Slot(name, index, TensorType(widest), True)
