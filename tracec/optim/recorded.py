"""Owns the optimizer steps that are one recorded instruction over all parameters of a group."""

from __future__ import annotations

from typing import Any

from tracec import record

Tensors = list[Any]


def write_back(targets: Tensors, values: Tensors) -> None:
    """Replace the values of the targets, in place."""
    # One edge of the trace writes all tensors that fill their storage, which nearly all do.
    whole, new = [], []
    for target, value in zip(targets, values, strict=True):
        if target._spec.canonical is target._st.spec:
            whole.append(target)
            new.append(value)
        else:
            target.copy_(value)
    if whole:
        record.assign_many(whole, new)


def sgd_step(
    params: Tensors,
    grads: Tensors,
    buffers: Tensors,
    lr: Any,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> Tensors:
    """One step of SGD, in place; returns the momentum buffers when ``buffers`` is empty."""
    n = len(params)
    first = momentum != 0 and not buffers
    attributes = (
        ("n", n),
        ("has_momentum", momentum != 0),
        ("has_decay", weight_decay != 0),
        ("nesterov", nesterov),
        ("maximize", maximize),
        ("first", first),
    )
    results = record.apply_multi(
        "sgd_step",
        (lr, momentum, dampening, weight_decay, *params, *grads, *buffers),
        attributes,
    )
    if first:
        write_back(params, list(results[:n]))
        return list(results[n:])
    write_back(params + buffers, list(results))
    return buffers


def adam_step(
    columns: list[Tensors],
    lr: Any,
    beta1: Any,
    beta2: Any,
    eps: float,
    weight_decay: float,
    *,
    amsgrad: bool,
    decoupled: bool,
    maximize: bool,
) -> None:
    """One step of Adam, in place, over params, grads, moments and steps (see the op table)."""
    params, grads, *state = columns
    attributes = (
        ("n", len(params)),
        ("amsgrad", amsgrad),
        ("decoupled", decoupled),
        ("has_decay", weight_decay != 0),
        ("maximize", maximize),
    )
    flat = [tensor for column in columns for tensor in column]
    results = record.apply_multi(
        "adam_step", (lr, beta1, beta2, eps, weight_decay, *flat), attributes
    )
    write_back(params + [tensor for column in state for tensor in column], list(results))
