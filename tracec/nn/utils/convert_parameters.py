"""Owns the conversion of parameters to one vector and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tracec


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters in one vector."""
    return tracec.cat([parameter.view(-1) for parameter in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Set the parameters from slices of the vector."""
    if not isinstance(vec, tracec.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in parameters:
        count = parameter.numel()
        parameter.data = vec[start : start + count].view_as(parameter).detach().clone()
        start += count
