"""Transposed products are computed transposed."""

import numpy as np

from tracec_ir.interp import run
from tracec_ir.parser import parse_func
from tracec_ir.passes.pipeline import lower
from tracec_ir.verify import verify

TEXT = """func @f(%a: f32[4 x 2 x 5], %b: f32[4 x 5 x 3]) {
  %1 = dot(%a, %b) : f32[4 x 2 x 3]
  %2 = permute(%1) [perm=(0, 2, 1)] : f32[4 x 3 x 2]
  %3 = exp(%2) : f32[4 x 3 x 2]
  return %3
}"""


def test_transposed_product():
    func = parse_func(TEXT)
    after = lower(func)
    verify(after)
    assert [op.name for op in after.ops] == ["permute", "permute", "dot", "exp"]
    rng = np.random.default_rng(0)
    args = [rng.standard_normal(s).astype(np.float32) for s in ((4, 2, 5), (4, 5, 3))]
    np.testing.assert_allclose(run(func, *args)[0], run(after, *args)[0], rtol=1e-5)
