"""Numbers for symbolic sizes: a function with symbols replaced, and every type derived anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .builder import Builder
from .core import Func, Value
from .dims import Guards, Poly, decide, guards, substitute
from .types import TensorType


def specialize(func: Func, sizes: Mapping[str, int]) -> Func:
    """`func` with the named symbols replaced by numbers.

    Symbols stand for sizes of at least 2, and type rules rely on that; this is how a function is
    used with 0 or 1. Raises what the type rules raise, or ValueError, where the numbers do not fit.

        func @f(%x: f32[?n x 4]) { ... : f32[(4*?n)] ... }   with n = 1:   f32[1 x 4], f32[4]
    """
    b = Builder(cse=False)
    params = [Value(_replace(p.type, sizes), name=p.name) for p in func.params]
    env = dict(zip(func.params, params, strict=True))
    with guards() as relied:
        for op in func.ops:
            attrs = {name: _replace(value, sizes) for name, value in op.attrs.items()}
            regions = tuple(specialize(region, sizes) for region in op.regions)
            b.loc = op.loc
            out = b.emit(op.name, [env[v] for v in op.operands], attrs, regions)
            for old, new in zip(op.results, out, strict=True):
                wanted = _replace(old.type, sizes)
                if new.type != wanted:
                    raise ValueError(f"{op.name}: {new.type!r} where {wanted!r} was recorded")
                new.name = old.name
                env[old] = new
        for relation, x, y in func.guards or ():
            left, right = substitute(x, sizes), substitute(y, sizes)
            holds = decide("==" if relation == "!=" else relation, left, right)
            if holds == (relation == "!="):
                raise ValueError(f"{x} {relation} {y} does not hold")
    made = Func(func.name, params, b.ops, [env[v] for v in func.results])
    made.guards = Guards(dict.fromkeys(relied)) or None
    return made


def _replace(thing: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(thing, Poly):
        return substitute(thing, sizes)
    if isinstance(thing, TensorType):
        return TensorType(thing.dtype, _replace(thing.shape, sizes))
    if isinstance(thing, tuple):
        return tuple(_replace(item, sizes) for item in thing)
    return thing
