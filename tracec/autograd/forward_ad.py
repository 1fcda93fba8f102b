"""Forward mode: `dual_level`, `make_dual`, `unpack_dual`.

A dual tensor is connected to a probe, a value that nobody else sees. The tangent of a result is
computed when it is unpacked: u -> u J, backward from the result to the probes, is linear in u, and
its own transpose is v -> J v. So inside a level dual tensors and what is computed from them require
grad, and graphs cannot be switched off: `no_grad` inside a level raises NotImplementedError.
A dual tensor has memory of its own: writing it in place leaves its primal as it was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import record
from . import grad, mode

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual",
           "unpack_dual"]  # fmt: skip

_current_level = -1
_probes: list[tuple[Any, Any]] = []  # with the tangent of each
_outer: list[bool] = []  # whether a primal or tangent takes part in reverse mode


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: the values, and their tangent or None."""

    primal: Any
    tangent: Any


def enter_dual_level() -> int:
    """Enters forward mode; returns the level, 0. RuntimeError inside one."""
    global _current_level
    if _current_level >= 0:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    if not mode.is_grad_enabled():
        raise NotImplementedError("forward mode under no_grad")
    _current_level, mode.State.dual = 0, True
    return 0


def exit_dual_level(*, level: int | None = None) -> None:
    """Leaves forward mode: tensors have no tangents any more."""
    global _current_level
    if (_current_level if level is None else level) < 0:
        raise RuntimeError("Dual level must be a positive number.")
    _current_level, mode.State.dual = -1, False
    _probes.clear()
    _outer.clear()


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """`tensor` with a tangent (of its shape), which operations carry along.

    Raises RuntimeError outside a level, for another size, and for a tensor that has a tangent;
    ValueError for dtypes that are not floating point.
    """
    if (_current_level if level is None else level) < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    for what, x in (("primal", tensor), ("tangent", tangent)):
        if x.dtype.kind not in "fc":
            raise ValueError(
                f"Expected {what} to be floating point or complex, but got: torch.{x.dtype.name}"
            )
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original "
            f"Tensor, this is not supported. Tensor is of size {list(tensor.shape)} while the "
            f"given forward gradient is of size {list(tangent.shape)}."
        )
    if unpack_dual(tensor).tangent is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the "
            "same level 0 is not supported."
        )
    _outer.append(tensor.requires_grad or tangent.requires_grad)
    primal = tensor if tensor.requires_grad else tensor.detach().clone().requires_grad_()
    probe = primal.clone()
    _probes.append((probe, tangent.to(tensor.dtype)))
    return probe.clone()


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The values of a tensor and its tangent; None where it does not depend on a dual tensor."""
    if (_current_level if level is None else level) < 0:
        return UnpackedDualTensor(tensor, None)
    if not isinstance(tensor, record.Tensor):
        raise TypeError(
            "_unpack_dual(): argument 'dual' (position 1) must be Tensor, not "
            f"{type(tensor).__name__}"
        )
    if not _probes or not tensor.requires_grad or tensor.dtype.kind not in "fc":
        return UnpackedDualTensor(tensor, None)
    seed = record.apply("full", (0,), {"shape": tuple(tensor.shape), "dtype": tensor.dtype})
    seed.requires_grad_()
    found = grad(tensor, [p for p, _ in _probes], seed, create_graph=True, allow_unused=True)
    reached = [(g, t) for g, (_, t) in zip(found, _probes, strict=True) if g is not None]
    if not reached:
        return UnpackedDualTensor(tensor, None)
    moving = [(g, t) for g, t in reached if g.requires_grad]
    tangent = None
    if moving:
        (tangent,) = grad(
            [g for g, _ in moving], seed, [t for _, t in moving], retain_graph=True,
            create_graph=any(_outer), allow_unused=True,
        )  # fmt: skip
    if tangent is None:
        tangent = record.apply("full", (0,), {"shape": tuple(tensor.shape), "dtype": tensor.dtype})
    return UnpackedDualTensor(tensor if any(_outer) else tensor.detach(), tangent)


class dual_level:
    """`with dual_level():` is forward mode; also a decorator."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: Any) -> None:
        exit_dual_level()

    def __call__(self, fn: Any) -> Any:
        import functools

        @functools.wraps(fn)
        def run(*args: Any, **kwargs: Any) -> Any:
            with dual_level():
                return fn(*args, **kwargs)

        return run
