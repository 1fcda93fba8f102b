"""Equality, digests and skeletons."""

import subprocess
import sys

import pytest
from hypothesis import given, settings

from tests.unit.ir.funcs import funcs
from tracec_ir.core import Func, Value
from tracec_ir.hash import attr_key, digest, equal, skeleton
from tracec_ir.parser import parse_func
from tracec_ir.types import TensorType

TEXT = """
func @f(%x: f32[8 x 4], %w: f32[4]) {
  %0 = broadcast(%w) [shape=(8, 4)] : f32[8 x 4]
  %1 = mul(%x, %0) : f32[8 x 4]  # a.py:1
  %2 = reduce(%1) [kind=sum, axes=(1)] : f32[8]
  return %2
}
"""


def _changed(old: str, new: str) -> Func:
    assert old in TEXT
    return parse_func(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [("@f", "@g"), ("%x", "%input"), ("# a.py:1", "# b.py:2"), ("# a.py:1", ""), ("{", "{ # hi\n")],
)
def test_names_and_lines_do_not_count(old, new):
    f, g = parse_func(TEXT), _changed(old, new)
    assert equal(f, g) and digest(f) == digest(g)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mul(%x, %0)", "mul(%0, %x)"), ("mul", "add"), ("kind=sum", "kind=prod"),
        ("axes=(1)", "axes=(0)"), ("return %2", "return %2, %2"), ("return %2", "return"),
        ("8", "9"), ("f32", "f64"), ("%x: f32[8 x 4], %w: f32[4]", "%w: f32[4], %x: f32[8 x 4]"),
        ("8", "?n"),
    ],
)  # fmt: skip
def test_everything_else_does(old, new):
    f, g = parse_func(TEXT), _changed(old, new)
    assert not equal(f, g) and digest(f) != digest(g)


@pytest.mark.parametrize(
    ("a", "b"),
    [(1, 1.0), (1, True), (0.0, -0.0), ("1", 1), ((1,), 1), (None, "none"), (1.0, 1 + 0j),
     (complex(0, -0.0), 0j), ("f32", TensorType), ((), None), (("a", "b"), ("a, b",))],
)  # fmt: skip
def test_attribute_values_are_told_apart(a, b):
    if isinstance(b, type):
        from tracec_ir.dtypes import f32

        b = f32
    assert attr_key(a) != attr_key(b)


def test_nan_is_equal_to_itself():
    assert attr_key(float("nan")) == attr_key(float("nan"))


def test_digests_do_not_depend_on_the_process():
    code = f"from tracec_ir import hash, parser; print(hash.digest(parser.parse_func({TEXT!r})))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == digest(parse_func(TEXT))


def test_skeletons_leave_out_sizes():
    f = parse_func(TEXT)
    assert skeleton(f) == skeleton(_changed("8", "16")) == skeleton(_changed("8", "?n"))
    assert skeleton(f) != skeleton(_changed("8", "1"))
    assert skeleton(f) != skeleton(_changed("axes=(1)", "axes=(0)"))
    assert skeleton(f) != skeleton(_changed("mul(%x, %0)", "mul(%0, %x)"))
    text = """func @f(%x: f32[9]) {{
      %0 = slice(%x) [starts=({}), stops=({}), steps=({})] : f32[{}] return %0 }}"""
    slices = ((0, 4, 1, 4), (3, 9, 1, 6), (0, 8, 2, 4))
    one, two, three = (parse_func(text.format(*numbers)) for numbers in slices)
    assert skeleton(one) == skeleton(two) != skeleton(three)


def test_undefined_values_are_an_error():
    with pytest.raises(ValueError, match="return uses"):
        digest(Func("f", [], [], [Value(TensorType(parse_func(TEXT).params[0].dtype))]))


@given(funcs(), funcs())
@settings(max_examples=100, deadline=None)
def test_digest_follows_equality(f, g):
    assert (digest(f) == digest(g)) == equal(f, g)
    if equal(f, g):
        assert skeleton(f) == skeleton(g)
