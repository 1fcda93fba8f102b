"""Owns AdaptiveLogSoftmaxWithLoss: a softmax over many classes, the rare ones in clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import tracec

from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module


class _ASMoutput(NamedTuple):
    output: Any
    loss: Any


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-probabilities of targets, and their mean loss."""

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if len(cutoffs) == 0:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        increasing = cutoffs == sorted(set(cutoffs))
        if (
            not increasing
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                "order, where each value is between 1 and n_classes-1"
            )
        options = {"device": device, "dtype": dtype}
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, **options)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **options),
                    Linear(hidden, size, bias=False, **options),
                )
            )

    def reset_parameters(self) -> None:
        """Draw new weights."""
        self.head.reset_parameters()
        for into, out in self.tail:
            into.reset_parameters()
            out.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> _ASMoutput:
        self._check(input_, target_)
        batched = target_.dim() > 0
        x = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        values = target.tolist()
        wrong = [v for v in values if not 0 <= v < self.n_classes]
        if wrong:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{min(values)}, {max(values)}] were found. "
            )
        head = F.log_softmax(self.head(x), dim=1)
        first = tracec.where(target < self.shortlist_size, target, 0)
        bounds = zip(self.cutoffs[:-1], self.cutoffs[1:], strict=True)
        parts = tracec.zeros_like(head[:, 0])
        for i, (low, high) in enumerate(bounds):
            # Every row goes through every cluster that occurs; the mask keeps those that belong.
            if not any(low <= v < high for v in values):
                continue
            inside = (target >= low) & (target < high)
            first = tracec.where(inside, self.shortlist_size + i, first)
            local = F.log_softmax(self.tail[i](x), dim=1)
            place = tracec.where(inside, target - low, 0).unsqueeze(1)
            parts = parts + tracec.where(inside, local.gather(1, place).squeeze(1), 0.0)
        output = parts + head.gather(1, first.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    @staticmethod
    def _check(input_: Any, target_: Any) -> None:
        if target_.dim() == 1:
            if input_.size(0) != target_.size(0):
                raise RuntimeError(
                    "Input and target should have the same size in the batch dimension."
                )
            if input_.dim() != 2:
                raise RuntimeError(
                    f"1D target tensor expects 2D input tensors, but found inputs with size "
                    f"{input_.size()}"
                )
        elif target_.dim() == 0:
            if input_.dim() != 1:
                raise RuntimeError(
                    f"0D target tensor expects 1D input tensors, but found inputs with size "
                    f"{input_.size()}"
                )
        else:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")

    def log_prob(self, input: Any) -> Any:
        """The log-probabilities of all classes."""
        head = self.head(input)
        head_log = F.log_softmax(head, dim=1)
        parts = [head_log[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            local = F.log_softmax(cluster(input), dim=1)
            parts.append(local + head_log[:, self.shortlist_size + i].unsqueeze(1))
        return tracec.cat(parts, 1)

    def predict(self, input: Any) -> Any:
        """The most probable classes."""
        return tracec.argmax(self.log_prob(input), dim=1)
