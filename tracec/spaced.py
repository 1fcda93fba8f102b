"""Tensors of evenly spaced numbers: `arange`, `range`, `linspace`, `logspace`; and `eye`."""

from __future__ import annotations

import numpy as np

from tracec_ir import dtypes, promote
from tracec_ir.dims import Poly
from tracec_ir.dtypes import DType

from .creation import _device, _dtype_into, _give, _host
from .record import apply
from .tensor import Tensor


def arange(
    start=0,
    end=None,
    step=1,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """start, start + step, ... below `end`; `arange(n)` starts at 0."""
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    floats = any(isinstance(v, float) for v in (start, end, step))
    dtype = _dtype_into(out, dtype, promote.default_float if floats else dtypes.i64)
    if Poly in (start.__class__, end.__class__, step.__class__):
        return _give(_counted(start, end, step, dtype), out, requires_grad)
    _device(device)
    if not (np.isfinite(start) and np.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    whole = dtype.kind in "iu"
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if whole and int(step) == 0:
        raise ValueError("step must be nonzero")
    if dtype is dtypes.i64:  # counted in integers; other dtypes in doubles
        start, end, step = int(start), int(end), int(step)
    if (end - start) / step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is dtypes.i64:
        n = -(-(end - start) // step)
    else:
        n = int(np.ceil((float(end) - float(start)) / float(step)))
    if whole:
        array = int(start) + np.arange(n, dtype="int64") * int(step)
    else:
        array = start + np.arange(n, dtype="float64") * step
    return _host(array, dtype, out, requires_grad)


def _counted(start, end, step, dtype: DType) -> Tensor:
    """`arange` between symbolic sizes."""
    counted = apply("iota", (), {"size": -(-(end - start) // step), "dtype": dtypes.i64})
    if step != 1:
        counted = counted * step
    if start.__class__ is Poly:
        counted = counted + apply("iota", (), {"size": start + 1, "dtype": dtypes.i64})[-1]
    elif start != 0:
        counted = counted + start
    return counted if dtype is dtypes.i64 else apply("cast", (counted,), {"dtype": dtype})


def range_(start, end, step=1, **options) -> Tensor:
    """Like `arange`, with the end included (deprecated in PyTorch too)."""
    return arange(float(start), float(end) + step / 2, step, **options)


def linspace(
    start,
    end,
    steps: int,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` evenly spaced numbers from start to end, both included."""
    _check_ends("linspace", start, end, steps)
    dtype = _dtype_into(out, dtype, promote.default_float)
    return _host(_spaced(start, end, steps, dtype), dtype, out, requires_grad)


def _check_ends(name: str, start, end, steps) -> None:
    if not hasattr(steps, "__index__"):
        given = ", ".join(type(v).__name__ for v in (start, end, steps))
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({given})")
    for v in (start, end):
        if isinstance(v, Tensor) and v.dim():
            ranks = (v.dim() if isinstance(v, Tensor) else 0 for v in (start, end))
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got start with "
                "{} dimension(s) and end with {} dimension(s).".format(*ranks)
            )


def _spaced(start, end, steps: int, dtype: DType) -> np.ndarray:
    """Evenly spaced numbers, counted from the nearer end as PyTorch does, in double precision;
    the ends are integers where the dtype is one."""
    start, end = (v.item() if isinstance(v, Tensor) else v for v in (start, end))
    steps = steps.__index__()
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if dtype.kind in "iu":
        start, end = int(start), int(end)
    if steps < 2:
        return np.full(steps, start)
    step = (end - start) / (steps - 1)
    i = np.arange(steps)
    return np.where(i < steps // 2, start + step * i, end - step * (steps - i - 1))


def logspace(
    start,
    end,
    steps: int,
    base: float = 10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers from base**start to base**end, evenly spaced on the logarithmic scale."""
    _check_ends("logspace", start, end, steps)
    dtype = _dtype_into(out, dtype, promote.default_float)
    if steps == 1:  # not rounded to an integer first
        exponents = np.array([start.item() if isinstance(start, Tensor) else start])
    else:
        exponents = _spaced(start, end, steps, dtype)
    with np.errstate(all="ignore"):
        powers = np.power(base, exponents, dtype=None if dtype.kind == "c" else np.float64)
    return _host(powers, dtype, out, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones on the diagonal of an n x m matrix of zeros."""
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    if m is not None and m < 0:
        raise RuntimeError(f"m must be greater or equal to 0, got {m}")
    dtype = _dtype_into(out, dtype, promote.default_float)
    if Poly in (n.__class__, m.__class__):
        same = arange(n).unsqueeze(1) == arange(n if m is None else m)
        made = apply("cast", (same,), {"dtype": dtype})
        return _give(made, out, requires_grad)
    return _host(np.eye(n, m), dtype, out, requires_grad)


FUNCTIONS = (arange, linspace, logspace, eye)
