"""The categorical distribution."""

from __future__ import annotations

from typing import Any

import numpy as np

import tracec

from .. import record
from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .checking import SMALL
from .distribution import Distribution
from .parameters import one_of
from .utils import lazy_property, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """Categories 0..K-1 with probabilities proportional to `probs`, or to the exponentials of
    `logits`, along the last dimension. Both attributes are normalised."""

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True
    _parameters = ("probs", "logits")
    _kept = ("_num_events", "_by_probs")

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        name, given = ("probs", probs) if one_of(probs, logits) else ("logits", logits)
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        shape = given.shape
        if self._validate_args if validate_args is None else validate_args:
            self._proved = (name,) if _plain(given, name) else ()
        if name == "probs":
            self.probs = given / given.sum(-1, keepdim=True)
        else:
            self.logits = given.log_softmax(-1)
        self._by_probs, self._num_events = name == "probs", shape[-1]
        super().__init__(shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """Logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self.logits.exp()

    @property
    def _param(self) -> Tensor:
        return self.probs if self._by_probs else self.logits

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter that was given."""
        return self._param.shape

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)

    @property
    def mean(self) -> Tensor:
        """NaN: categories have no mean."""
        return self._nan()

    @property
    def variance(self) -> Tensor:
        """NaN: categories have no variance."""
        return self._nan()

    def _nan(self) -> Tensor:
        return tracec.full(self._extended_shape(), float("nan"), dtype=self._param.dtype)

    @property
    def mode(self) -> Tensor:
        return self._param.argmax(-1)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        log = not self._by_probs
        weights = self.logits if log else self.probs
        with tracec.no_grad():
            return self._own(
                tracec._categorical(weights, tuple(self._extended_shape(sample_shape)), log)
            )

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        index, logits = value.long().unsqueeze(-1), self.logits
        if index.shape[:-1] != logits.shape[:-1]:
            index, logits = tracec.broadcast_tensors(index, logits)
            index = index[..., :1]
        return logits.gather(-1, index).squeeze(-1)

    def entropy(self) -> Tensor:
        lowest = tracec.finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=lowest) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        shape = (-1, *(1,) * len(self._batch_shape))
        values = tracec.arange(self._num_events, dtype=tracec.long).view(shape)
        return values.expand((-1, *self._batch_shape)) if expand else values


def _plain(x: Tensor, name: str) -> bool:
    """Whether x is seen to be a valid parameter without normalising it: finite logits, or
    nonnegative weights with a positive, finite sum. Executes what is pending if x is, before
    anything of the distribution is recorded, which is thus computed together with what follows."""
    if x._spec.numel > SMALL or record.current().symbolic or x._spec.dtype.code not in _FLOATS:
        return False
    array = x._known()
    if array is None:
        if record.current().nested:
            return False
        array = x._array()
    if name == "logits":
        return bool(np.isfinite(array).all())
    total = array.sum(-1)
    return bool((array >= 0).all() and (total > 0).all() and np.isfinite(total).all())


_FLOATS = ("f32", "f64")
