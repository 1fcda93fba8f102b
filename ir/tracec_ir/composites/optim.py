"""Optimizer steps over all parameters at once: elementwise updates, so that all of them fuse."""

from __future__ import annotations

import numpy as np

from .. import dtypes
from ..builder import Builder
from ..core import Value
from ..optable import composite
from .samples import of


def _columns(values: tuple[Value, ...], n: int) -> list[tuple[Value, ...]]:
    """The lists, n values each, that follow one another in `values`."""
    return [values[i : i + n] for i in range(0, len(values), n)]


def _doubles(b: Builder, *numbers: Value) -> list[Value]:
    """Numbers as 0-d tensors in double precision: 1 - beta2 in single precision has 4 digits."""
    return [b.cast(v, dtypes.f64) for v in numbers]


def _scaled(b: Builder, x: Value, factor: Value) -> Value:
    """x * factor in x's dtype."""
    return b.mul(x, b.cast(factor, x.dtype))


@composite(
    nondiff=True,
    samples=of(0.1, 0.9, 0.0, 0.1, "f3x4", "f3x4", "f3x4", n=1, has_momentum=True, has_decay=True),
)
def sgd_step(b, lr, momentum, dampening, weight_decay, *tensors, n, has_momentum=False,
             has_decay=False, nesterov=False, maximize=False, first=False):  # fmt: skip
    """SGD: new parameters, then new momentum buffers (`first`: they begin as the gradients)."""
    lr, momentum, dampening, weight_decay = _doubles(b, lr, momentum, dampening, weight_decay)
    columns = _columns(tensors, n)
    params, grads = columns[:2]
    buffers = columns[2] if has_momentum and not first else (None,) * n
    new_params, new_buffers = [], []
    for p, g, buf in zip(params, grads, buffers, strict=True):
        d = b.neg(g) if maximize else g
        if has_decay:
            d = b.add(d, _scaled(b, p, weight_decay))
        if has_momentum:
            buf = (
                d
                if buf is None
                else b.add(_scaled(b, buf, momentum), _scaled(b, d, b.sub(1.0, dampening)))
            )
            new_buffers.append(buf)
            d = b.add(d, _scaled(b, buf, momentum)) if nesterov else buf
        new_params.append(b.sub(p, _scaled(b, d, lr)))
    return (*new_params, *new_buffers)


@composite(
    nondiff=True,
    samples=of(
        0.1,
        0.9,
        0.99,
        1e-8,
        0.1,
        "f3x4",
        "f3x4",
        "f3x4",
        "p3x4",
        lambda: np.ones((), np.float32),
        n=1,
        decoupled=True,
        has_decay=True,
    ),
)
def adam_step(b, lr, beta1, beta2, eps, weight_decay, *tensors, n, amsgrad=False, decoupled=False,
              has_decay=False, maximize=False):  # fmt: skip
    """Adam (`decoupled`: AdamW): new parameters, first and second moments, [largest second
    moments], steps."""
    lr, beta1, beta2, eps, weight_decay = _doubles(b, lr, beta1, beta2, eps, weight_decay)
    columns = _columns(tensors, n)
    results: list[list[Value]] = [[] for _ in range(5 if amsgrad else 4)]
    for row in zip(*columns, strict=True):
        p, g, m, v = row[:4]
        step = b.add(row[-1], 1.0)
        g = b.neg(g) if maximize else g
        if has_decay and decoupled:
            p = _scaled(b, p, b.sub(1.0, b.mul(lr, weight_decay)))
        elif has_decay:
            g = b.add(g, _scaled(b, p, weight_decay))
        m = b.add(m, _scaled(b, b.sub(g, m), b.sub(1.0, beta1)))
        v = b.add(_scaled(b, v, beta2), _scaled(b, b.mul(g, g), b.sub(1.0, beta2)))
        correction1 = _correction(b, beta1, step)
        correction2 = b.sqrt(_correction(b, beta2, step))
        top = b.maximum(row[4], v) if amsgrad else v
        spread = b.add(b.div(b.sqrt(top), b.cast(correction2, p.dtype)), b.cast(eps, p.dtype))
        p = b.sub(p, b.mul(b.div(m, spread), b.cast(b.div(lr, correction1), p.dtype)))
        new = (p, m, v, top, step) if amsgrad else (p, m, v, step)
        for column, value in zip(results, new, strict=True):
            column.append(value)
    return tuple(value for column in results for value in column)


def _correction(b: Builder, beta: Value, step: Value) -> Value:
    """1 - beta ** step in double precision: it is small in the first steps."""
    power = b.pow(b.cast(beta, dtypes.f64), b.cast(step, dtypes.f64))
    return b.sub(1.0, power)
