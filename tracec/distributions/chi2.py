"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

import tracec

from ..tensor import Tensor
from . import constraints
from .gamma import Gamma
from .utils import broadcast_all

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of `df` squared standard normal variables."""

    arg_constraints = {"df": constraints.positive}
    _parameters = ("concentration", "rate")

    def __init__(self, df: Any, validate_args: bool | None = None):
        if not isinstance(df, Tensor):
            (df,) = broadcast_all(df)
        super().__init__(0.5 * df, tracec.full_like(df, 0.5), validate_args=validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self.concentration * 2
