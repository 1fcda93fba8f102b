"""The Kullback-Leibler divergence: the register of formulas, and which of them a pair takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import total_ordering
from typing import Any

from ..tensor import Tensor
from .distribution import Distribution

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable] = {}
_found: dict[tuple[type, type], Callable] = {}  # by the types of arguments


def register_kl(type_p: Any, type_q: Any) -> Callable[[Callable], Callable]:
    """Decorator: the function of (p, q) is the formula for these classes and their subclasses.

    Where several fit, the one for the nearest classes is taken, p's first; if the nearest for p and
    for q differ there is a warning. ValueError for what is no class of distributions.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def decorator(fn: Callable) -> Callable:
        _KL_REGISTRY[type_p, type_q] = fn
        _found.clear()
        return fn

    return decorator


@total_ordering
class _Nearness:
    """A tuple of classes, ordered so that subclasses come first."""

    def __init__(self, *types: type):
        self.types = types

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Nearness) and self.types == other.types

    def __le__(self, other: _Nearness) -> bool:
        for x, y in zip(self.types, other.types):
            if not issubclass(x, y):
                return False
            if x is not y:
                break
        return True


def _formula(type_p: type, type_q: type) -> Callable | None:
    from . import kl_between, kl_same  # noqa: F401  (they register the formulas)

    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return None
    left = min(_Nearness(p, q) for p, q in matches).types
    right = tuple(reversed(min(_Nearness(q, p) for p, q in matches).types))
    chosen, other = _KL_REGISTRY[left], _KL_REGISTRY[right]
    if chosen is not other:
        names = [f"{p.__name__}, {q.__name__}" for p, q in (left, right)]
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({names[0]})",
            RuntimeWarning,
            stacklevel=3,
        )
    return chosen


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """E_p[log p - log q], of the batch shape. NotImplementedError for pairs without a formula."""
    key = type(p), type(q)
    fn = _found.get(key)
    if fn is None:
        fn = _formula(*key)
        if fn is None:
            raise NotImplementedError(
                f"No KL(p || q) is implemented for p type {p.__class__.__name__} and q type "
                f"{q.__class__.__name__}"
            )
        _found[key] = fn
    return fn(p, q)
