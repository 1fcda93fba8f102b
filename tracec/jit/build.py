"""From a function or module to IR: attempts at evaluating it, until the sizes are understood."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracec_ir import dims
from tracec_ir.core import Func, Value
from tracec_ir.dims import Poly
from tracec_ir.types import ScalarType

from ..storage import Storage
from ..tensor import Tensor
from .control import Evaluator
from .errors import ORDINARY, ScriptError
from .evaluate import located
from .inputs import Sizes, Wanted, first_layer, of_layer
from .lowering import ScriptLift
from .recording import Recording, recording
from .statements import Raised
from .values import Number, Pending, tensor_of

ATTEMPTS = 100


@dataclass
class Built:
    """An IR function and what its parameters and results mean.

    `weights` are the tensors behind the parameters after the inputs; `structure` is what the
    original returns, with `Slot`s where the function's results go; `updates` are weights that the
    function writes, as (weight, result number); `random` says that the original draws random
    numbers, which the function cannot do.
    """

    func: Func
    inputs: list[str]
    types: dict[str, Any]
    weights: dict[str, Tensor]
    structure: Any
    updates: list[tuple[str, int]] = field(default_factory=list)
    random: bool = False
    executable: Any = None


@dataclass(frozen=True, slots=True)
class Slot:
    """Result number `index`; `number` says that the original gives a Python number."""

    index: int
    number: bool = False


class _Attempt(Evaluator):
    """One evaluation. `fill` says what a pending input is."""

    def __init__(self, tr: Recording, sizes: Sizes, fill: Callable[[str, Any], Wanted | None]):
        super().__init__(tr)
        self.sizes, self.fill, self.types = sizes, fill, {}

    def settled(self, pending: Pending, module: Any = None) -> Tensor:
        if pending.tensor is None:
            wanted = self.fill(pending.name, module)
            if wanted is None:
                raise ScriptError(
                    f"nothing says which tensor the input '{pending.name}' is: call the scripted "
                    "function once before saving it, or give an example: "
                    "tracec.jit.script(f, example_inputs=[x])"
                )
            pending.tensor = self.tensor_input(pending.name, wanted)
        return pending.tensor

    def tensor_input(self, name: str, wanted: Wanted) -> Tensor:
        self.types[name] = wanted
        return self.tr.placeholder("in", self.sizes.type_of(wanted), name)

    def input(self, name: str, kind: Any) -> Any:
        """The value that an input has during the evaluation."""
        if isinstance(kind, Wanted):
            return self.tensor_input(name, kind)
        if isinstance(kind, ScalarType):
            self.types[name] = kind
            return Number(self.tr.placeholder("in", kind, name))
        if isinstance(kind, tuple) and any(
            isinstance(k, (Wanted, ScalarType, tuple)) for k in kind
        ):
            return tuple(self.input(f"{name}_{i}", k) for i, k in enumerate(kind))
        return kind


def build(
    fn: Callable,
    args: Mapping[str, Any],
    name: str,
    owner: Any = None,
    hints: Mapping[str, int] | None = None,
    traced: bool = False,
) -> Built:
    """The IR of `fn(**args)`; `args` gives each parameter a `Wanted`, a type, `Pending` or a
    constant. `owner` is the module whose parameters and buffers name the weights; `hints` are sizes
    to take instead of looking for some that work. `traced`: Python runs the function itself."""
    sizes = Sizes(dict(hints or {}))
    known: dict[str, Wanted] = {}

    def fill(input_name: str, module: Any) -> Wanted | None:
        found = known.get(input_name)
        if found is None:
            found = of_layer(module, input_name) if module is not None else None
            if found is None and owner is not None:
                found = first_layer(owner, input_name)
            if found is not None:
                known[input_name] = found
        return found

    seen: list[tuple] = []
    for _ in range(ATTEMPTS):
        with recording(traced) as tr, dims.guards() as guards:
            try:
                built = _attempt(_Attempt(tr, sizes, fill), fn, args, name, owner)
            except Raised as raised:
                error: Exception = raised.error
            except ORDINARY as caught:
                error = caught
            else:
                error = None  # type: ignore[assignment]
        if error is not None:
            learned = getattr(error, "by_size", True) and (
                sizes.settle(guards) or (hints is None and sizes.repair(guards))
            )
            state = (dict(sizes.hints), dict(sizes.known))
            if not learned or state in seen:
                raise error
            seen.append(state)
            continue
        if not sizes.settle(guards):
            built.func.guards = _distinct(guards)
            return built
    raise ScriptError(f"no sizes were found for which {name} can run; give example_inputs")


def _distinct(guards: dims.Guards) -> dims.Guards:
    """Relations without repetitions and without those that hold anyway."""
    out = dims.Guards()
    for g in guards:
        if g not in out:
            out.append(g)
    return out


def _attempt(ev: _Attempt, fn: Callable, args: Mapping[str, Any], name: str, owner: Any) -> Built:
    tr = ev.tr
    values = {k: ev.input(k, Pending(k) if isinstance(v, Pending) else v) for k, v in args.items()}
    result = fn(**values) if tr.traced else ev.evaluate(fn, values)
    codes: list[int] = []
    structure = _flatten(ev, result, codes)
    for k, v in values.items():
        if isinstance(v, Pending) and v.tensor is None:
            raise ScriptError(
                f"the input '{k}' is never used, so nothing says which tensor it is; "
                "give example_inputs"
            )
    written = {st: st.code for st in tr.inputs if st is not None and st.code != _imported(tr, st)}
    lift = ScriptLift(tr)
    inputs: dict[str, Value] = {}
    weights: list[tuple[Storage, Value]] = []
    for st, value in zip(tr.inputs, lift.inputs, strict=True):
        if st is None:
            inputs[value.name] = value
        else:
            weights.append((st, value))
    ordered = [n for n in _names(values) if n in inputs]
    names = _weight_names([st for st, _ in weights], owner)
    for (_, value), weight in zip(weights, names, strict=True):
        value.name = weight
    updates = []
    for (st, _), weight in zip(weights, names, strict=True):
        if st in written:
            updates.append((weight, len(codes)))
            codes.append(written[st])
    params = [inputs[n] for n in ordered] + [v for _, v in weights]
    func = lift.func(name, params, codes)
    used = {v for op in func.ops for v in op.operands} | set(func.results)
    keep = [(st, v, n) for (st, v), n in zip(weights, names, strict=True) if v in used]
    func.params = tuple([inputs[n] for n in ordered] + [v for _, v, _ in keep])
    tensors = {n: _whole(st) for st, _, n in keep}
    return Built(func, ordered, ev.types, tensors, structure, updates, tr.random)


def _names(values: Mapping[str, Any]) -> list[str]:
    """The names of inputs in order, those inside tuples included."""
    out = []
    for name, value in values.items():
        out.append(name)
        if isinstance(value, tuple):
            out += _names({f"{name}_{i}": v for i, v in enumerate(value)})
    return out


def _imported(tr: Recording, st: Storage) -> int:
    """The code under which a storage entered the trace."""
    number = next(i for i, s in enumerate(tr.inputs) if s is st)
    imports = [n for n in tr.node.path() if n.kind == "in"]
    return imports[number].code


def _flatten(ev: _Attempt, value: Any, codes: list[int]) -> Any:
    """`value` with slots in place of tensors and run-time numbers, whose codes are appended."""
    if isinstance(value, Pending):
        value = ev.settled(value)
    if isinstance(value, (Tensor, Number, Poly, bool, int, float, complex)):
        codes.append(ev.tr.code(tensor_of(value)) & ~1)
        return Slot(len(codes) - 1, not isinstance(value, Tensor))
    if isinstance(value, tuple):
        items = [_flatten(ev, v, codes) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [_flatten(ev, v, codes) for v in value]
    if isinstance(value, dict):
        return {k: _flatten(ev, v, codes) for k, v in value.items()}
    if value is None or isinstance(value, str):
        return value
    raise ScriptError(f"a {type(value).__name__} cannot be returned from a script")


def fill_slots(structure: Any, values: list[Any]) -> Any:
    """What the original returns, given the function's results."""
    if isinstance(structure, Slot):
        value = values[structure.index]
        return value.item() if structure.number else value
    if isinstance(structure, tuple):
        items = [fill_slots(s, values) for s in structure]
        return type(structure)(*items) if hasattr(structure, "_fields") else tuple(items)
    if isinstance(structure, list):
        return [fill_slots(s, values) for s in structure]
    if isinstance(structure, dict):
        return {k: fill_slots(s, values) for k, s in structure.items()}
    return structure


def _weight_names(storages: list[Storage], owner: Any) -> list[str]:
    """The state_dict names of parameters and buffers; other tensors are numbered constants."""
    named: dict[int, str] = {}
    if owner is not None:
        for kind in (owner.named_parameters(), owner.named_buffers()):
            for name, t in kind:
                named.setdefault(id(t._st), name)
    out, count = [], 0
    for st in storages:
        name = named.get(id(st))
        if name is None:
            name, count = f"constant.{count}", count + 1
        out.append(name)
    return out


def _whole(st: Storage) -> Tensor:
    t = object.__new__(Tensor)
    t._st, t._spec, t._rg = st, st.spec, 0
    return t


def parameters_of(fn: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a function that script can fill, without `self`."""
    out = {}
    for name, p in inspect.signature(fn).parameters.items():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue
        out[name] = p
    return out


__all__ = ["Built", "build", "fill_slots", "located", "parameters_of"]
