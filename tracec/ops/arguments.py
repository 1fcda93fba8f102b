"""Cheap argument handling that the functions of `tracec.ops` share."""

from __future__ import annotations

import warnings
from sys import _getframe
from typing import Any, NoReturn

from ..inplace import _NAMES
from ..tensor import Tensor, _operand


def dims(dim: Any) -> Any:
    """A dimension argument as something hashable: None, an int or a tuple of ints."""
    c = dim.__class__
    if c is int or dim is None or c is tuple:
        return dim
    if isinstance(dim, (list, tuple)):
        return tuple(int(d) for d in dim)
    return int(dim)


def several(value: Any, n: int) -> tuple[int, ...]:
    """An int or a sequence of n of them (or one) as n ints."""
    c = value.__class__
    if c is int:
        return (value,) * n
    if isinstance(value, (tuple, list)):
        if len(value) == n:
            return tuple(int(v) for v in value)
        if len(value) == 1:
            return (int(value[0]),) * n
        raise RuntimeError(f"expected {n} sizes, but got {len(value)}")
    return (int(value),) * n


def number(x: Any) -> Any:
    """A tensor or Python number as an operand; NumPy's and 0-d foreign numbers become Python's."""
    c = x.__class__
    if c is float or c is int or isinstance(x, Tensor):
        return x
    out = _operand(x)
    if out is NotImplemented:
        raise TypeError(f"argument 'other' (position 2) must be Tensor, not {type(x).__name__}")
    return out


def plain(x: Any) -> Any:
    """A number that shapes the program (a static attribute): tensors give their value."""
    return x.item() if isinstance(x, Tensor) else x


def dtype_into(out: Tensor | None, dtype: Any, default: Any) -> Any:
    """The dtype of what a factory makes: that of `out`, if there is one. RuntimeError if another
    one is asked for."""
    if out is None:
        return dtype or default
    if dtype is not None and dtype is not out.dtype:
        wanted, have = (_NAMES[d.code] for d in (dtype, out.dtype))
        raise RuntimeError(f"dtype {wanted} does not match dtype of out parameter ({have})")
    return out.dtype


def given(out: Tensor | None, result: Tensor, quiet: bool = False, name: str = "") -> Tensor:
    """The result, written into `out` if there is one. An `out` of another shape is resized, with a
    warning unless it is empty or `quiet`. Errors name the calling function, or `name`."""
    if out is None:
        return result
    from ..inplace import check_dtype
    from ..record import assign, current

    if current().grad and (out.requires_grad or result.requires_grad):
        name = name or _getframe(1).f_code.co_name
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    check_dtype(out, result)
    if tuple(out.shape) != tuple(result.shape):
        if out.numel() and not quiet:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(out.shape)}, which does not match the required output shape "
                f"{list(result.shape)}. This behavior is deprecated, and in a future PyTorch "
                "release outputs will not be resized unless they have zero elements.",
                stacklevel=3,
            )
        out.resize_(tuple(result.shape))
    return assign(out, result)


def apart(out: Tensor | None, *inputs: Tensor) -> None:
    """RuntimeError if `out` shares memory with itself or with an input, for ops that read elements
    in another order than they write them."""
    if out is None:
        return
    if out._spec.overlaps():
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation."
        )
    low, high = out._spec.span()
    for x in inputs:
        start, stop = x._spec.span()
        if x._st is out._st and start < high and low < stop:
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to "
                "tensor refer to a single memory location. Please clone() the tensor before "
                "performing the operation."
            )


def all_given(out: Any, results: Any, name: str = "") -> Any:
    """Several results, written into the tensors of the tuple `out` if there is one; see `given`."""
    if out is None:
        return results
    if not isinstance(out, (tuple, list)):
        raise TypeError(f"argument 'out' must be tuple of Tensors, not {type(out).__name__}")
    if len(out) != len(results):
        raise TypeError(f"expected tuple of {len(results)} elements but got {len(out)}")
    name = name or _getframe(1).f_code.co_name
    written = [given(o, r, name=name) for o, r in zip(out, results, strict=True)]
    return tuple(written) if type(results) is tuple else type(results)(*written)


def need_tensor(x: Any, name: str, argument: str = "input", position: int = 1) -> None:
    """Raises TypeError unless x is a Tensor."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
            f"{type(x).__name__}"
        )


def mixed(name: str, *values: Any) -> NoReturn:
    """Raises the TypeError for arguments that fit none of a function's forms."""
    kinds = ", ".join(type(v).__name__ for v in values if v is not None)
    raise TypeError(f"{name}() received an invalid combination of arguments - got ({kinds})")


def stack_of(tensors: Any, name: str) -> tuple[Tensor, ...]:
    """A sequence of tensors as a tuple."""
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    out = tuple(tensors)
    if not out:
        if name == "cat":
            raise ValueError("torch.cat(): expected a non-empty list of Tensors")
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    for i, t in enumerate(out):
        if not isinstance(t, Tensor):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}"
            )
    return out
