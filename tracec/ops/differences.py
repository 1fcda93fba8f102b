"""Derivatives of sampled functions by finite differences."""

from __future__ import annotations

from typing import Any

from ..record import apply
from ..tensor import Tensor, wrap_dim
from .arguments import need_tensor
from .face import face


@face("torch")
def gradient(
    input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Tensor, ...]:
    """The partial derivatives of a function known at grid points, one tensor per dimension.

    Central differences of second order inside, one-sided ones of `edge_order` (1 or 2) at the
    edges; with unequal distances h left and k right of a point they are
    (h^2 f(x+k) - k^2 f(x-h) + (k^2 - h^2) f(x)) / (h k (h + k)).
    `spacing` is a distance, a distance per dimension, or a row of coordinates per dimension.

    Raises RuntimeError for another `edge_order`, dimensions shorter than edge_order + 1 or named
    twice, and spacings that do not fit; IndexError for dimensions that do not exist.
    """
    need_tensor(input, "gradient")
    rank = input.dim()
    named = range(rank) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [wrap_dim(d, rank) for d in named]
    for d in dims:
        if dims.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    spacings = _spacings(spacing, dims)
    for d, h in zip(dims, spacings, strict=True):
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
        if isinstance(h, Tensor) and (h.dim() != 1 or h.shape[0] != input.shape[d]):
            raise RuntimeError(
                f"torch.gradient expected input to have shape [{h.shape[0] if h.dim() else ''}] at "
                f"dimension {d} as the coordinates in spacing have, but it has {input.shape[d]}"
            )
    return tuple(
        apply("gradient_coordinates", (input, h), (("dim", d), ("edge_order", edge_order)))
        if isinstance(h, Tensor)
        else apply("gradient_step", (input, h), (("dim", d), ("edge_order", edge_order)))
        for d, h in zip(dims, spacings, strict=True)
    )


def _spacings(spacing: Any, dims: list[int]) -> list:
    if isinstance(spacing, Tensor):
        spacing = [spacing]
    if not isinstance(spacing, (list, tuple)):
        return [1 if spacing is None else spacing] * len(dims)
    if len(spacing) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim "
            "arguments to have the same length, but got a spacing argument of length "
            f"{len(spacing)} and a dim argument of length {len(dims)}."
        )
    return [s.item() if isinstance(s, Tensor) and not s.dim() else s for s in spacing]
