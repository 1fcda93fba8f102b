"""What a script's inputs are: tensors of some dtype and rank with symbolic sizes, or numbers.

Nothing but the code says which inputs a module takes. Rank and dtype come from examples, from
earlier calls, or from the first layer that an input meets; all sizes are symbols unless fixed. The
symbols' hints (sizes for which the model can run) are found by solving the relations that fail.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracec_ir import dims, dtypes
from tracec_ir.dims import Dim, Guards, Poly, Sym
from tracec_ir.dtypes import DType
from tracec_ir.types import ScalarType, TensorType, Type

from ..tensor import Tensor
from .values import WEAK_DTYPES

_HINTS = (61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137)
_LINE, _PLANE = 4097, 130  # how far sizes are searched: one unknown, two unknowns
NAMES = ("n", "c", "h", "w", "d")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor input: its dtype, and each dimension's size or the name of its symbol."""

    dtype: DType
    shape: tuple[int | str, ...]


@dataclass
class Sizes:
    """The symbols of one attempt: hints, and sizes that turned out to be fixed or equal."""

    hints: dict[str, int] = field(default_factory=dict)
    known: dict[str, int | str] = field(default_factory=dict)

    def dim(self, size: int | str) -> Dim:
        """The dim of a dimension."""
        while isinstance(size, str) and size in self.known:
            size = self.known[size]
        if isinstance(size, int):
            return size
        if size not in self.hints:
            self.hints[size] = _HINTS[len(self.hints) % len(_HINTS)] + 140 * (
                len(self.hints) // len(_HINTS)
            )
        return dims.symbol(size, self.hints[size])

    def type_of(self, wanted: Wanted) -> TensorType:
        return TensorType(wanted.dtype, tuple(map(self.dim, wanted.shape)))

    # -- learning ----------------------------------------------------------------------------------
    def repair(self, guards: Guards) -> bool:
        """Finds hints under which a relation that failed holds; False if there are none."""
        # an inequality fails more often than it decides between two ways to compute
        order = sorted(range(len(guards)), key=lambda i: (guards[i][0] != "!=", -i))
        for at in order:
            rel, a, b = guards[at]
            if rel == "!=":
                flipped = ("==", a, b)
            elif rel in ("<", "<="):
                flipped = ("<=" if rel == "<" else "<", b, a)
            else:
                continue
            held = [g for g in guards[:at] if g[0] != "!="]
            found = self._search(flipped, held)
            if found is not None:
                self.hints.update(found)
                return True
        return False

    def _search(self, goal: tuple, held: list[tuple]) -> dict[str, int] | None:
        names = sorted({s.name for s in dims.symbols(goal[1]) | dims.symbols(goal[2])})
        relations = Guards([goal, *held])
        for sizes in _candidates(len(names)):
            env = {**self.hints, **dict(zip(names, sizes, strict=True))}
            if Guards([goal]).hold(env) and relations.hold(env):
                return dict(zip(names, sizes, strict=True))
        return None

    def settle(self, guards: Guards) -> bool:
        """Fixes symbols that equal a number or another symbol; whether there were any."""
        changed = False
        for rel, a, b in guards:
            if rel != "==":
                continue
            x, y = _name(a), _name(b)
            if x is None and y is not None:
                x, y, a, b = y, x, b, a
            if x is None or x in self.known:
                continue
            if isinstance(b, int):
                self.known[x] = b
            elif y is not None and y != x and y not in self.known:
                keep, drop = sorted((x, y))
                self.known[drop] = keep
            else:
                continue
            changed = True
        return changed


def _name(dim: Dim) -> str | None:
    """The symbol that a dim is, if it is one."""
    if isinstance(dim, Poly) and len(dim.terms) == 1:
        ((mono, coef),) = dim.terms.items()
        if coef == 1 and len(mono) == 1 and isinstance(mono[0], Sym):
            return mono[0].name
    return None


def _candidates(n: int) -> Iterator[tuple[int, ...]]:
    """Sizes for n symbols: equal ones first, as images are square."""
    for size in range(2, _LINE):
        yield (size,) * n
    if n == 2:
        yield from itertools.product(range(2, _PLANE), repeat=2)


# -- from what is given -----------------------------------------------------------------------
def of_example(name: str, value: Any) -> Wanted | Type | Any:
    """The input that an example stands for, its sizes symbolic; other values are constants."""
    if isinstance(value, Tensor):
        return Wanted(value.dtype, symbol_names(name, value.dim()))
    if type(value) in WEAK_DTYPES:
        return ScalarType(WEAK_DTYPES[type(value)])
    return value


def symbol_names(name: str, rank: int) -> tuple[str, ...]:
    """The symbols of an input's dimensions."""
    return tuple(f"{name}{i}" for i in range(rank))


_ANNOTATED = {"int": int, "float": float, "bool": bool, "complex": complex}


def of_annotation(annotation: Any) -> Any:
    """The scalar type that an annotation asks for; None if it says nothing of the kind."""
    if isinstance(annotation, str):
        annotation = _ANNOTATED.get(annotation)
    if annotation in WEAK_DTYPES:
        return ScalarType(WEAK_DTYPES[annotation])
    return None


def of_layer(module: Any, name: str) -> Wanted | None:
    """The input that a layer takes, if the layer says."""
    from .. import nn

    def weight_dtype() -> DType:
        weight = getattr(module, "weight", None)
        return weight.dtype if isinstance(weight, Tensor) else dtypes.f32

    symbols = symbol_names(name, 8)
    if isinstance(module, nn.Linear):
        return Wanted(weight_dtype(), (symbols[0], module.in_features))
    if isinstance(module, nn.Embedding):
        return Wanted(dtypes.i64, symbols[:2])
    for n in (1, 2, 3):
        conv = (getattr(nn, f"Conv{n}d"), getattr(nn, f"ConvTranspose{n}d"))
        if isinstance(module, conv):
            return Wanted(weight_dtype(), (symbols[0], module.in_channels, *symbols[2 : 2 + n]))
        if isinstance(module, getattr(nn, f"BatchNorm{n}d")):
            spatial = symbols[2 : 2 + n] if n > 1 else ()
            return Wanted(weight_dtype(), (symbols[0], module.num_features, *spatial))
        if isinstance(module, (getattr(nn, f"MaxPool{n}d"), getattr(nn, f"AvgPool{n}d"))):
            return Wanted(dtypes.f32, (*symbols[:2], *symbols[2 : 2 + n]))
    if isinstance(module, nn.LayerNorm):
        return Wanted(weight_dtype(), (symbols[0], symbols[1], *module.normalized_shape))
    if isinstance(module, nn.MultiheadAttention):
        return Wanted(dtypes.f32, (*symbols[:2], module.embed_dim))
    if isinstance(module, nn.TransformerEncoderLayer):
        return of_layer(module.self_attn, name)
    if isinstance(module, (nn.RNN, nn.LSTM, nn.GRU)):
        return Wanted(dtypes.f32, (*symbols[:2], module.input_size))
    return None


def first_layer(module: Any, name: str) -> Wanted | None:
    """The input of the first layer (in the order of registration) that says what it takes."""
    for m in module.modules():
        try:
            found = of_layer(m, name)
        except (AttributeError, NotImplementedError):
            found = None
        if found is not None:
            return found
    return None


def fix_sizes(wanted: Any, sizes: Mapping[str, int | str]) -> Any:
    """`wanted` with the symbols named in `sizes` replaced by numbers or other symbols."""
    if isinstance(wanted, Wanted):
        return Wanted(wanted.dtype, tuple(_resolved(s, sizes) for s in wanted.shape))
    if isinstance(wanted, tuple):
        return tuple(fix_sizes(w, sizes) for w in wanted)
    if isinstance(wanted, dict):
        return {k: fix_sizes(w, sizes) for k, w in wanted.items()}
    return wanted


def _resolved(size: int | str, sizes: Mapping[str, int | str]) -> int | str:
    while isinstance(size, str) and size in sizes:
        size = sizes[size]
    return size


def attempts(sizes: Mapping[str, int]) -> Iterator[tuple[dict[str, Any], bool]]:
    """What to fix, from nothing to everything, so that code works which needs some sizes as
    numbers, or as the same size in several inputs; and whether the sizes at hand are to be the
    hints. Batches come last."""
    inner = [s for s in sizes if not s.endswith("0")]
    small = {s: n for s, n in sizes.items() if n < 2}
    alike: dict[str, str] = {}  # symbols of equal size in the same dimension of several inputs
    first: dict[tuple[str, int], str] = {}
    for s, n in sizes.items():
        other = first.setdefault((s[-1], n), s)
        if other != s:
            alike[s] = other
    tried: list[dict[str, Any]] = []
    plans: list[dict[str, Any]] = [{}, {s: n for s, n in small.items() if s in inner}, small]
    plans += [{**small, s: sizes[s]} for s in reversed(inner)]
    plans += [{**small, **{s: sizes[s] for s in inner[i:]}} for i in reversed(range(len(inner)))]
    for plan in plans[:3]:
        yield plan, False
    if alike:
        yield alike, False
        yield {**alike, **small}, False
    exact = [{**{s: n for s, n in p.items() if s not in alike}, **alike} for p in plans[2:]]
    for plan in [*exact, dict(sizes)]:
        if plan not in tried:
            tried.append(plan)
            yield plan, True


def sizes_of(wanted: Any, value: Any) -> dict[str, int]:
    """The symbols' values that an argument gives."""
    if isinstance(wanted, Wanted):
        return {s: n for s, n in zip(wanted.shape, value.shape, strict=True) if isinstance(s, str)}
    out: dict[str, int] = {}
    if isinstance(wanted, dict):
        for key, item in wanted.items():
            out.update(sizes_of(item, value[key]))
    elif isinstance(wanted, tuple) and isinstance(value, (tuple, list)):
        for w, v in zip(wanted, value, strict=True):
            out.update(sizes_of(w, v))
    return out
