"""Small modules for the tests of archives and of the standalone runtime."""

from __future__ import annotations

import numpy as np

from tracec_ir.core import Module
from tracec_ir.parser import parse

MLP = """
func @mlp(%x: f32[?n x 4], %w: f32[3 x 4], %b: f32[3]) where ?n = 2 {
  %0 = permute(%w) [perm=(1, 0)] : f32[4 x 3]
  %1 = dot(%x, %0) : f32[?n x 3]  # train.py:12
  %2 = broadcast(%b) [shape=(?n, 3)] : f32[?n x 3]
  %3 = add(%1, %2) : f32[?n x 3]  # train.py:12
  %4 = softmax(%3) [dim=-1, dtype=none] : f32[?n x 3]  # train.py:13
  %5 = argreduce(%4) [kind=max, axis=1] : i64[?n]
  return %4, %5
}
"""


def mlp() -> tuple[Module, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(3, 4)).astype(np.float32),
        "b": rng.normal(size=3).astype(np.float32),
    }
    return parse(MLP), weights


def mlp_reference(x: np.ndarray, weights: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    z = x @ weights["w"].T + weights["b"]
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return p, p.argmax(1)
