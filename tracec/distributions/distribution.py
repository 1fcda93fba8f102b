"""The base class of distributions: shapes, checks of parameters and values, expansion, repr."""

from __future__ import annotations

import warnings
from typing import Any

import tracec

from ..spec import Size
from ..tensor import Tensor
from . import constraints
from .checking import first_invalid
from .utils import lazy_property

__all__ = ["Distribution"]


class Distribution:
    """A distribution over events of shape `event_shape`, one for each element of `batch_shape`.

    `validate_args` asks for checks of parameters (once, at the construction) and of the values
    given to `log_prob` and the like; samples of the distribution itself need none. Both raise
    ValueError and execute what their operands depend on.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args: bool = __debug__
    _parameters: tuple[str, ...] = ()  # attributes that `expand` expands, if they are set
    _kept: tuple[str, ...] = ()  # attributes that `expand` hands on as they are
    _proved: tuple[str, ...] = ()  # parameters that the constructor has checked by other means

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Turns checks on or off where `validate_args` is not given."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Size = Size(),  # noqa: B008  (a tuple)
        event_shape: Size = Size(),  # noqa: B008
        validate_args: bool | None = None,
    ):
        self._batch_shape, self._event_shape = batch_shape, event_shape
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_arguments()
        super().__init__()

    def _check_arguments(self) -> None:
        """ValueError if a parameter is outside of its constraint."""
        try:
            rules = self.arg_constraints
        except NotImplementedError:
            rules = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. Please set "
                "`arg_constraints = {}` or initialize the distribution with "
                "`validate_args=False` to turn off validation.",
                stacklevel=3,
            )
        names, checks = [], []
        for name, rule in rules.items():
            if name in self._proved or constraints.is_dependent(rule):
                continue
            if name not in self.__dict__ and isinstance(
                getattr(type(self), name, None), lazy_property
            ):
                continue  # not given: computed from a parameter that is checked
            names.append(name)
            checks.append((rule, getattr(self, name)))
        wrong = first_invalid(checks)
        if wrong is not None:
            rule, value = checks[wrong]
            raise ValueError(
                f"Expected parameter {names[wrong]} ({type(value).__name__} of shape "
                f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                f"{rule!r}, but found invalid values:\n{value}"
            )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The distribution with its parameters expanded to a batch shape, without new checks."""
        owner = next((c for c in type(self).__mro__ if "_parameters" in vars(c)), Distribution)
        if owner is Distribution:
            raise NotImplementedError
        new = self._get_checked_instance(owner, _instance)
        batch_shape = Size(batch_shape)
        own = self.__dict__
        rank = len(self._batch_shape)
        for name in owner._parameters:
            value = own.get(name)
            if isinstance(value, Tensor):
                setattr(new, name, value.expand(batch_shape + value.shape[rank:]))
            elif value is not None:
                setattr(new, name, value.expand(batch_shape))
        for name in owner._kept:
            setattr(new, name, own[name])
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one event."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The constraint of each parameter."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The constraint of values."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean, of shape batch_shape + event_shape."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance of each element of an event."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation of each element of an event."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """Values of shape sample_shape + batch_shape + event_shape."""
        with tracec.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        """`sample`, differentiable in the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, an older spelling."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample(Size((n,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or probability, of values: one number an event."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of being at most value."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of `cdf`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values along a new first dimension, the same for the whole batch, to which it is
        broadcast if `expand`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy, of shape batch_shape."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = Size()) -> Size:  # noqa: B008
        """sample_shape + batch_shape + event_shape."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _own(self, x: Tensor) -> Tensor:
        """x, remembered as a sample of this distribution: it needs no check."""
        if self._validate_args:
            x._drawn = (self.__dict__.setdefault("_token", object()), x._st.version)
        return x

    def _is_own(self, value: Tensor) -> bool:
        drawn = value.__dict__.get("_drawn")
        return (
            drawn is not None
            and drawn[0] is self.__dict__.get("_token")
            and drawn[1] == value._st.version
            and not value._st.foreign()
        )

    def _validate_sample(self, value: Tensor) -> None:
        """ValueError if value is no tensor, does not fit the shapes or leaves the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        if self._is_own(value):
            return
        shape, event = value.shape, self._event_shape
        if shape[len(shape) - len(event) :] != event or len(shape) < len(event):
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + event
        for i, j in zip(reversed(shape), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{shape} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please "
                "initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if first_invalid([(support, value)]) is not None:
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, but found "
                f"invalid values:\n{value}"
            )

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """A blank instance for `expand` to fill; subclasses with a constructor of their own must
        bring their own `expand`."""
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {self.__class__.__name__} of {cls.__name__} that defines a custom "
                "__init__ method must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            value = self.__dict__.get(name)
            if value is not None:
                shown.append(f"{name}: {value if value.numel() == 1 else value.size()}")
        return f"{self.__class__.__name__}({', '.join(shown)})"
