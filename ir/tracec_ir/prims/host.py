"""The `host` primitive: named functions that run on NumPy arrays inside a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .. import dims, dtypes
from ..optable import prim
from ..types import TensorType, Type
from . import samples as s
from .movement import flip


@dataclass(frozen=True, slots=True)
class HostFunction:
    """`numpy(*arrays, *options)` computes, `types(*operand types, *options)` is the type rule,
    `vjp(b, op, *grads)` the derivative (None: there is none). `batch(*options)` are the options
    under which it does the same along one more leading axis of all operands (None: it cannot)."""

    name: str
    numpy: Callable
    types: Callable
    vjp: Callable | None
    samples: Callable | None
    batch: Callable | None = None


_FUNCTIONS: dict[str, HostFunction] = {}


def leading(*options):
    """The `batch` of a function that treats all leading axes alike: its options stay."""
    return options


def host_function(
    name: str,
    types: Callable,
    vjp: Callable | None = None,
    samples: Callable | None = None,
    batch: Callable | None = None,
) -> Callable[[Callable], HostFunction]:
    """Registers the decorated NumPy function as `name`; `samples()` yields (arrays, options)."""

    def register(fn: Callable) -> HostFunction:
        if name in _FUNCTIONS:
            raise ValueError(f"host function {name} is defined twice")
        _FUNCTIONS[name] = HostFunction(name, fn, types, vjp, samples, batch)
        return _FUNCTIONS[name]

    return register


def find(name: str) -> HostFunction:
    """The host function of this name; KeyError if there is none."""
    try:
        return _FUNCTIONS[name]
    except KeyError:
        raise KeyError(f"there is no host function named '{name}'") from None


def _call(*xs, fn, options):
    return find(fn).numpy(*xs, *options)


def _vjp(b, op, *grads):
    rule = find(op.attrs["fn"]).vjp
    if rule is None:
        raise NotImplementedError(f"the derivative of '{op.attrs['fn']}' is not implemented")
    return rule(b, op, *grads)


def _samples():
    for f in list(_FUNCTIONS.values()):
        for arrays, options in f.samples() if f.samples else ():
            yield arrays, {"fn": f.name, "options": options}
    yield (), {"fn": "nothing", "options": ()}, KeyError, "no host function named 'nothing'"


@prim(numpy=_call, vjp=_vjp, kernel="host", samples=_samples)
def host(*xs, fn, options=()):
    """What the host function `fn` computes from the operands and its static options."""
    return find(fn).types(*xs, *options)


# -- functions ------------------------------------------------------------------------------------
def _flip_type(x: Type, axis: int) -> Type:
    return x


def _flip_vjp(b, op, g):
    return [flip(b, g, *op.attrs["options"])]


def _flip_samples():
    yield (s.uniform((2, 3)),), (1,)
    yield (s.values((4,), dtypes.i32),), (0,)


@host_function("flip", _flip_type, _flip_vjp, _flip_samples, batch=lambda axis: (axis + 1,))
def host_flip(x: np.ndarray, axis: int) -> np.ndarray:
    """x reversed along an axis."""
    return np.ascontiguousarray(np.flip(x, axis))


def _probabilities_samples():
    yield (np.array([[0.5, 0.25, 2.0]]),), (False,)


@host_function("probabilities", lambda x, serial: x, lambda b, op, g: [g], _probabilities_samples,
               batch=leading)  # fmt: skip
def host_probabilities(x: np.ndarray, serial: bool) -> np.ndarray:
    """x, whose rows are the weights of distributions; RuntimeError if they are not. `serial` words
    it as PyTorch does where several samples are drawn one after the other."""
    w = x.astype(np.float64)
    if serial:
        _check_weights(w)
    if not (np.isfinite(w) & (w >= 0)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (w.sum(-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    return x


def _check_weights(w: np.ndarray) -> None:
    invalid = "invalid multinomial distribution (encountering probability entry"
    if not (w >= 0).all():
        raise RuntimeError(f"{invalid} < 0)")
    if np.isinf(w).any():
        raise RuntimeError(f"{invalid} = infinity or NaN)")


def _reinterpret_type(x: TensorType, dtype: dtypes.DType) -> Type:
    return TensorType(dtype, (dims.floordiv(x.shape[0] * x.dtype.itemsize, dtype.itemsize),))


def _reinterpret_samples():
    yield (s.values((6,), dtypes.f32),), (dtypes.u8,)
    yield (s.values((6,), dtypes.i16),), (dtypes.i64,)


@host_function("reinterpret", _reinterpret_type, None, _reinterpret_samples)
def host_reinterpret(x: np.ndarray, dtype: dtypes.DType) -> np.ndarray:
    """The bytes of a row as elements of another type; a rest that makes no element is left out."""
    data = np.ascontiguousarray(x).view(np.uint8)
    whole = data.size // dtype.itemsize * dtype.itemsize
    return data[:whole].view(dtype.numpy).copy()


# -- one example after the other ------------------------------------------------------------------
def _each_operands(xs, on, i: int) -> list:
    return [x[i] if f else x for x, f in zip(xs, on, strict=True)]


def _each_types(*xs, fn, options, on, size):
    ones = [TensorType(x.dtype, x.shape[1:]) if f else x for x, f in zip(xs, on, strict=True)]
    out = find(fn).types(*ones, *options)
    out = out if isinstance(out, tuple) else (out,)
    return tuple(TensorType(t.dtype, (size, *t.shape)) for t in out)


def _each_vjp(b, op, *grads):
    from ..batching import vjp_of_batch

    fn, options, on, size = op.attrs["options"]
    attrs = {"fn": fn, "options": options}
    return vjp_of_batch(b, "host", attrs, op.operands, on, grads, size, False)


def _each_samples():
    xs = (s.values((3, 6), dtypes.f32),)
    yield xs, ("reinterpret", (dtypes.i16,), (True,), 3)


@host_function(
    "each",
    lambda *args: _each_types(
        *args[:-4], fn=args[-4], options=args[-3], on=args[-2], size=args[-1]
    ),
    _each_vjp,
    _each_samples,
)
def host_each(*args):
    """What host function `fn` computes for each of `size` examples, which lie along a leading axis
    of the operands flagged in `on`; for functions that cannot take all of them at once."""
    *xs, fn, options, on, size = args
    function = find(fn)
    out = [function.numpy(*_each_operands(xs, on, i), *options) for i in range(size)]
    if not isinstance(out[0] if out else None, tuple):
        return np.stack(out)
    return tuple(map(np.stack, zip(*out, strict=True)))
