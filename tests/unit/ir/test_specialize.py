"""Symbols replaced by numbers."""

import numpy as np
import pytest

from tracec_ir.hash import equal
from tracec_ir.interp import run
from tracec_ir.parser import parse_func
from tracec_ir.specialize import specialize
from tracec_ir.verify import verify

TEXT = """
func @f(%x: f32[?n x ?m], %c: b1[]) where ?n = 6, ?m = 4{} {{
  %0 = reshape(%x) [shape=(?m*?n)] : f32[(?m*?n)]  # a.py:1
  %1 = if(%c, %0) : f32[(?m*?n)] {{
    @then(%0: f32[(?m*?n)]) {{
      %1 = exp(%0) : f32[(?m*?n)]
      return %1
    }}
    @else(%0: f32[(?m*?n)]) {{
      return %0
    }}
  }}
  return %1
}}
"""


def test_types_attributes_and_regions_become_numbers():
    func = parse_func(TEXT.format(""))
    small = specialize(func, {"n": 1})
    verify(small)
    assert repr(small.params[0].type) == "f32[1 x ?m]"
    assert small.ops[0].attrs == {"shape": (small.params[0].shape[1],)}
    assert small.ops[0].loc == "a.py:1" and small.params[0].name == "x"
    full = specialize(small, {"m": 3})
    assert repr(full.results[0].type) == "f32[3]"
    assert equal(full, specialize(func, {"n": 1, "m": 3}))
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(run(full, x, np.array(True))[0], np.exp(x)[0])


def test_nothing_to_replace():
    func = parse_func(TEXT.format(""))
    assert equal(specialize(func, {}), func)


def test_guards():
    func = parse_func(TEXT.format(", 2 < ?n"))
    assert specialize(func, {"n": 3}).guards is None
    with pytest.raises(ValueError, match=r"2 < \?n does not hold"):
        specialize(func, {"n": 1})
    kept = specialize(parse_func(TEXT.format(", ?m < ?n")), {"n": 5}).guards
    assert [(r, str(a), b) for r, a, b in kept] == [("<", "?m", 5)]


def test_what_does_not_fit_is_an_error():
    text = """func @f(%x: f32[?n]) where ?n = 9 {
      %0 = reshape(%x) [shape=(3, 3)] : f32[3 x 3] return %0 }"""
    with pytest.raises(RuntimeError, match="invalid for input"):
        specialize(parse_func(text), {"n": 1})
