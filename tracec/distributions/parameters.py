"""The choice between two spellings of a parameter: probabilities or logits."""

from __future__ import annotations

from numbers import Number
from typing import Any

from ..tensor import Tensor
from .utils import broadcast_all, lazy_property, logits_to_probs, probs_to_logits


def one_of(probs: Any, logits: Any) -> bool:
    """Whether probs is the one given. ValueError unless exactly one is."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return probs is not None


class Odds:
    """Mixin: `probs` and `logits` of a binary outcome, one given and the other computed from it."""

    def _set_odds(self, probs: Any, logits: Any) -> Any:
        """Keeps the one that is given; returns its batch shape (none for a number)."""
        from ..spec import Size

        name, value = ("probs", probs) if one_of(probs, logits) else ("logits", logits)
        (tensor,) = broadcast_all(value)
        setattr(self, name, tensor)
        return Size() if isinstance(value, Number) else tensor.shape

    @lazy_property
    def logits(self) -> Tensor:
        """The log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter that was given."""
        return (self.probs if "probs" in self.__dict__ else self.logits).shape

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return (self.probs if "probs" in self.__dict__ else self.logits).new(*args, **kwargs)
