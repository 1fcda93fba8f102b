"""Owns the recursion of the CTC loss over extended labels (blanks between the targets)."""

from __future__ import annotations

import math
from typing import Any

import tracec


def _as_list(lengths: Any) -> list[int]:
    return lengths.reshape(-1).tolist() if isinstance(lengths, tracec.Tensor) else list(lengths)


def _label_rows(targets: Any, lengths: list[int]) -> list[list[int]]:
    """The targets of each sample, given padded (2-d) or concatenated (1-d)."""
    values = targets.tolist()
    if targets.dim() == 2:
        return [row[:n] for row, n in zip(values, lengths, strict=True)]
    rows, start = [], 0
    for n in lengths:
        rows.append(values[start : start + n])
        start += n
    return rows


def ctc_losses(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int
) -> tuple[Any, Any]:
    """Minus the log-likelihood of each sample (N,), and the target lengths as a tensor."""
    times, batch, _ = log_probs.shape
    steps, lengths = _as_list(input_lengths), _as_list(target_lengths)
    rows = _label_rows(targets, lengths)
    width = 2 * max([*lengths, 0]) + 1
    extended, skips = [], []
    for row in rows:
        labels = [blank] * width
        labels[1 : 2 * len(row) : 2] = row
        extended.append(labels)
        # A label may be reached from two places before unless it repeats across a blank.
        skips.append([s > 1 and labels[s] != blank and labels[s] != labels[s - 2]
                      for s in range(width)])  # fmt: skip
    index = tracec.tensor(extended).unsqueeze(0).expand(times, batch, width)
    emitted = log_probs.gather(2, index)
    # A large negative number in place of -inf keeps the gradients of logaddexp finite.
    floor = -1e30
    allowed = tracec.tensor(skips)
    start = tracec.tensor([[s < 2 and s < 2 * n + 1 for s in range(width)] for n in lengths])
    alpha = tracec.where(start, emitted[0], floor)
    history = [alpha]
    nothing = tracec.full((batch, 1), floor, dtype=log_probs.dtype)
    for t in range(1, times):
        one = tracec.cat([nothing, alpha[:, :-1]], 1)
        two = tracec.cat([nothing, nothing, alpha[:, :-2]], 1)[:, :width]
        two = tracec.where(allowed, two, floor)
        alpha = tracec.logsumexp(tracec.stack([alpha, one, two]), 0) + emitted[t]
        history.append(alpha)
    last = tracec.tensor([max(step - 1, 0) for step in steps])
    final = tracec.stack(history, 1)[tracec.arange(batch), last]
    ends = tracec.tensor([[2 * n, max(2 * n - 1, 0)] for n in lengths])
    found = final.gather(1, ends)
    # An empty target has one end only.
    single = tracec.tensor([n == 0 for n in lengths])
    both = tracec.where(single, found[:, 0], tracec.logsumexp(found, 1))
    losses = tracec.where(both < floor / 2, math.inf, -both + _softmax_gradient(log_probs, steps))
    return losses, tracec.tensor(lengths)


def _softmax_gradient(log_probs: Any, steps: list[int]) -> Any:
    """Zeros (N,) with gradient exp(log_probs).

    PyTorch's gradient with respect to log_probs is that of the logits behind a log_softmax; this
    is the part by which it differs from the derivative of the loss.
    """
    fixed = log_probs.detach()
    live = tracec.arange(log_probs.size(0)).unsqueeze(1) < tracec.tensor(steps).unsqueeze(0)
    usable = live.unsqueeze(2) & (fixed > -math.inf)
    nothing = tracec.where(usable, log_probs - fixed, 0.0)
    return (nothing * fixed.exp()).sum((0, 2))
