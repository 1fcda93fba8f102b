"""The functions on lists of tensors, `torch._foreach_add` and its like, derived from those on one
tensor: each tensor's call is recorded, in one trace, so that a list is computed together.

They are made when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import ops
from .tensor import Tensor

_UNARY = frozenset(
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 "
    "neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc".split()
)
_PURE = frozenset("clone max mm norm powsum".split())  # there is no in-place form
_WRITING = frozenset("copy zero".split())  # there is no other form
# what each operand after the first may be called
_SECOND = ("other", "scalar", "scalars", "exponent", "src", "mat2")
_OPERANDS: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys("add sub mul div clamp_min clamp_max maximum minimum pow mm copy".split(),
                    (_SECOND,)),
    "addcmul": (("tensor1",), ("tensor2",), ("value", "scalars")),
    "addcdiv": (("tensor1",), ("tensor2",), ("value", "scalars")),
    "lerp": (("tensors1",), ("weight", "weights")),
    "norm": (("ord",), ("dtype",)),
    "powsum": (("ord",), ("dtype",)),
}  # fmt: skip
_DEFAULTS: dict[str, Any] = {"value": 1, "ord": 2, "dtype": None}
_KEYWORDS = {"add": ("alpha",), "sub": ("alpha",), "copy": ("non_blocking",),
             "clone": ("memory_format",)}  # fmt: skip


# -- one tensor, where the name alone does not say it ---------------------------------------------
def _extremum(name: str) -> Callable:
    def one(x: Tensor, other: Any) -> Tensor:
        if isinstance(other, Tensor):
            return getattr(ops, name)(x, other)
        return ops.clamp_min(x, other) if name == "maximum" else ops.clamp_max(x, other)

    return one


def _addc(name: str) -> Callable:
    def one(x: Tensor, tensor1: Tensor, tensor2: Tensor, value: Any) -> Tensor:
        return getattr(ops, name)(x, tensor1, tensor2, value=value)

    return one


_ONE: dict[str, Callable] = {
    "maximum": _extremum("maximum"),
    "minimum": _extremum("minimum"),
    "addcmul": _addc("addcmul"),
    "addcdiv": _addc("addcdiv"),
    "clone": lambda x, **how: x.clone(**how),
    "norm": lambda x, ord, dtype: ops.vector_norm(x, ord, dtype=dtype),
    "powsum": lambda x, ord, dtype: ops.sum(ops.abs(x).pow(ord), dtype=dtype),
}


# -- lists ----------------------------------------------------------------------------------------
def _is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple))


def _per_tensor(name: str, place: int, x: Any, n: int) -> Any:
    """The operand x for each of n tensors. RuntimeError where the numbers do not fit."""
    if _is_list(x):
        if len(x) != n:
            if any(isinstance(v, Tensor) for v in x):
                raise RuntimeError(
                    f"Tensor lists must have the same number of tensors, got {n} and {len(x)}"
                )
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")
        return x
    if isinstance(x, Tensor):
        if name in ("addcmul", "addcdiv") and place == 2:
            if x.dim() != 1:
                raise RuntimeError(
                    f"Expected packed scalar Tensor to be of dimension 1. Got {x.dim()} instead."
                )
            if x.shape[0] != n:
                raise RuntimeError(
                    f"Expected length of scalars to match input of length {n} but got {x.shape[0]} "
                    "instead."
                )
            return x.tolist()
        if x.dim():
            raise RuntimeError(
                f"scalar tensor expected to be 0 dim but it has {x.dim()} dimensions and "
                f"{x.numel()} elements."
            )
    return (x,) * n


def _check(name: str, tensors: Any) -> None:
    """TypeError unless `tensors` is a list of tensors, RuntimeError for an empty one."""
    if not _is_list(tensors):
        raise TypeError(
            f"{name}(): argument 'self' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"{name}(): argument 'self' (position 1) must be tuple of Tensors, but found "
                f"element of type {type(t).__name__} at pos {i}"
            )


def _arguments(name: str, base: str, args: tuple, kwargs: dict) -> list:
    """The operands after the first, in order; takes theirs out of `kwargs`."""
    places = _OPERANDS.get(base, ())
    if len(args) > len(places):
        raise TypeError(
            f"{name}() takes {len(places) + 1} positional arguments but {len(args) + 1} were given"
        )
    found = list(args)
    for names in places[len(args) :]:
        given = next((n for n in names if n in kwargs), None)
        if given is not None:
            found.append(kwargs.pop(given))
        elif names[0] in _DEFAULTS:
            found.append(_DEFAULTS[names[0]])
        else:
            raise TypeError(f"{name}() missing a required argument: '{names[0]}'")
    extra = next((k for k in kwargs if k not in _KEYWORDS.get(base, ())), None)
    if extra is not None:
        raise TypeError(f"{name}() got an unexpected keyword argument '{extra}'")
    return found


def _make(name: str, base: str, inplace: bool) -> Callable:
    one = _ONE.get(base)
    method = one or (getattr(Tensor, base + "_") if inplace else getattr(ops, base))

    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        operands = _arguments(name, base, args, kwargs)
        if base == "pow" and not _is_list(self) and not inplace:  # a number to several powers
            _check(name, operands[0])
            return tuple(ops.pow(self, e) for e in operands[0])
        _check(name, self)
        if kwargs.get("alpha", 1) != 1 and not isinstance(operands[0], Tensor):
            if not _is_list(operands[0]) or not isinstance(operands[0][0], Tensor):
                raise TypeError(f"{name}(): alpha needs tensors to multiply")
        rows = [_per_tensor(base, i, x, len(self)) for i, x in enumerate(operands)]
        calls = zip(self, *rows, strict=True)
        if not inplace:
            return tuple(method(*call, **kwargs) for call in calls)
        for call in calls:
            if one is None:
                method(*call, **kwargs)
            else:
                written(call[0], method(*call, **kwargs))
        return self

    def written(x: Tensor, value: Tensor) -> None:
        from .inplace import check, update

        check(x)
        update(x, value)

    form.__name__ = form.__qualname__ = name
    form.__doc__ = f"`{base}` of each tensor of a list{', in place' if inplace else ''}."
    return form


def function(name: str) -> Callable | None:
    """The function called `name`, such as "_foreach_add_"; None if there is none."""
    base = name.removeprefix("_foreach_")
    inplace = base.endswith("_")
    base = base.removesuffix("_")
    known = base in _UNARY or base in _OPERANDS or base in _PURE or base in _WRITING
    if not known or base in (_PURE if inplace else _WRITING):
        return None
    return _make(name, base, inplace)


def names() -> list[str]:
    """The names of all of them."""
    bases = sorted(_UNARY | _PURE | _WRITING | _OPERANDS.keys())
    pure = [f"_foreach_{b}" for b in bases if b not in _WRITING]
    return pure + [f"_foreach_{b}_" for b in bases if b not in _PURE]
