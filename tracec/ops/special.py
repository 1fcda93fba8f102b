"""torch.special: Bessel and Airy functions, scaled error functions, incomplete gamma functions."""

from __future__ import annotations

from typing import Any

from ..record import apply, apply_multi, unary
from ..tensor import Tensor
from . import returns
from .arguments import all_given, given, need_tensor
from .face import add as list_as
from .face import face

_UNARY = (
    "i0e", "i1", "i1e", "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1",
    "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1",
    "scaled_modified_bessel_k0", "scaled_modified_bessel_k1", "spherical_bessel_j0", "erfcx",
    "log_ndtr",
)  # fmt: skip


def _unary(name: str):
    def fn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        need_tensor(input, name)
        return given(out, unary(name, input))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`{name}` of every element."
    return fn


for _name in _UNARY:
    list_as(_unary(_name), "special", _name)
list_as(_unary("i0"), "torch method special", "i0", inplace=True)


def _gamma(name: str, alias: str) -> None:
    def fn(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
        need_tensor(input, name)
        need_tensor(other, name, "other", 2)
        return given(out, apply(name, (input, other)))

    fn.__name__ = fn.__qualname__ = name
    side = "lower" if name == "igamma" else "upper"
    fn.__doc__ = f"The {side} regularised incomplete gamma function of a = input at x = other."
    list_as(fn, "torch method", name, inplace=True)
    list_as(fn, "special", alias)


_gamma("igamma", "gammainc")
_gamma("igammac", "gammaincc")


@face()
def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissas of magnitude in [0.5, 1), and exponents (int32): input = mantissa * 2 ** exponent.

    RuntimeError for integers.
    """
    need_tensor(input, "frexp")
    if input.dtype.kind != "f":
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return all_given(out, returns.frexp(*apply_multi("frexp", (input,))))


@face()
def hash_tensor(
    input: Tensor, dim: Any = (), *, keepdim: bool = False, mode: int = 0, out: Any = None
) -> Tensor:
    """The bits of the elements, as float64 or int64, combined by exclusive or over `dim` (all
    dimensions unless given): uint64."""
    need_tensor(input, "hash_tensor")
    if mode != 0:
        raise RuntimeError("hash_tensor: Unknown mode, only mode=0 (xor_reduction) is supported")
    over = (dim,) if isinstance(dim, int) else tuple(dim or ())
    over = over or tuple(range(input.dim()))
    over = tuple(sorted(d % max(input.dim(), 1) for d in over)) if input.dim() else ()
    attrs = (("axes", over), ("keepdim", keepdim))
    return given(out, apply("hash_tensor", (input,), attrs))
