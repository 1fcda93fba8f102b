"""Printing and parsing the IR: round trips, the documented form, messages."""

import re
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ir.funcs import HINTS, attributes, funcs, sizes
from tracec_ir import dims, dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Module, Op, Value
from tracec_ir.hash import attr_key, canonical, equal
from tracec_ir.parser import ParseError, parse, parse_func
from tracec_ir.printer import attr_text, print_func, print_module, symbols_of
from tracec_ir.types import TensorType


@given(funcs())
@settings(max_examples=300, deadline=None)
def test_parse_is_the_inverse_of_print(func):
    text = print_func(func)
    back = parse_func(text)
    assert equal(func, back), text
    assert print_func(back) == text
    assert (back.guards or []) == (func.guards or []) and back.name == func.name
    assert [op.loc for op in back.walk()] == [" ".join(op.loc.split()) for op in func.walk()]
    assert {s.name: s.hint for s in symbols_of(back)} == {
        s.name: HINTS[s.name] for s in symbols_of(func)
    }


@given(attributes)
@settings(max_examples=300, deadline=None)
def test_attribute_values(value):
    text = f"func @f() {{ %0 = const() [value={attr_text(value)}, type=i64[]] : i64[] return %0 }}"
    back = parse_func(text).ops[0].attrs["value"]
    assert attr_key(back) == attr_key(value)
    assert type(back) is type(value) and hash(back) is not None


@given(sizes)
@settings(max_examples=300, deadline=None)
def test_sizes(size):
    func = Func("f", [Value(TensorType(dtypes.f32, (size,)))], [], [])
    if not isinstance(size, int) or size >= 0:
        assert parse_func(print_func(func)).params[0].shape == (size,)


@given(st.text(alphabet="func @%?f(){}[]:,=x0123 \n#\"\\-+*/.ireturnwhere", max_size=80))
@settings(max_examples=300, deadline=None)
def test_only_parse_errors_come_out(text):
    try:
        parse(text)
    except ParseError as error:
        assert error.line >= 1 and error.column >= 1
    try:
        parse("func @f(%0: f32[?n x 4]) {" + text + "return %0 }")
    except ParseError:
        pass


def _example() -> Func:
    n = dims.symbol("n", 8)
    x = Value(TensorType(dtypes.f32, (n, 4)), name="x")
    b = Builder()
    b.loc = "demo.py:3"
    y = b.emit1("exp", x)
    b.loc = ""
    z = b.emit1("reduce", y, kind="sum", axes=(1,))
    return b.func("f", [x], [z])


def test_the_documented_form():
    assert str(_example()) == (
        "func @f(%x: f32[?n x 4]) where ?n = 8 {\n"
        "  %0 = exp(%x) : f32[?n x 4]  # demo.py:3\n"
        "  %1 = reduce(%0) [kind=sum, axes=(1)] : f32[?n]\n"
        "  return %1\n"
        "}\n"
    )


def test_regions_nest_and_are_isolated():
    text = """\
func @main(%c: b1[], %x: f32[4]) {
  %0 = if(%c, %x) : f32[4] {  # demo.py:7
    @then(%0: f32[4]) {
      %1 = exp(%0) : f32[4]
      return %1
    }
    @else(%0: f32[4]) {
      return %0
    }
  }
  return %0
}
"""
    func = parse_func(text)
    assert print_func(func) == text
    assert [r.name for r in func.ops[0].regions] == ["then", "else"]
    inner = text.replace("exp(%0)", "exp(%x)")
    with pytest.raises(ParseError, match="%x is not defined"):
        parse(inner)


def test_several_results_and_functions():
    text = (
        "func @a(%0: f32[3]) {\n"
        "  %1, %2 = sort(%0) [axis=0, descending=true] : f32[3], i64[3]\n"
        "  return %2, %1\n"
        "}\n\n"
        "func @b() {\n"
        "  return\n"
        "}\n"
    )
    module = parse(text)
    assert print_module(module) == text == str(module)
    assert isinstance(module, Module) and list(module.funcs) == ["a", "b"]


def test_free_form_and_comments():
    func = parse_func(
        "# leading words: ignored\nfunc @f(%a: f32[2x3], %b: f32[2 x 3]) {\n"
        "%s = add(%a,\n%b) : f32[2 x 3] # not a location\nreturn %s }"
    )
    assert func.ops[0].loc == "" and func.results[0].name == "s"


def test_defaults_and_order_of_attributes():
    text = "func @f(%0: f32[3]) {{ %1, %2 = sort(%0) [{}] : f32[3], i64[3] return %1 }}"
    one = parse_func(text.format("axis=0, descending=false"))
    two = parse_func(text.format("descending=false, axis=0"))
    assert canonical(one) == canonical(two)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "line 1, column 1", "found the end of the text, expected 'func'"),
        ("func @f(", "line 1, column 9", "expected ')' or a value (%name)"),
        ("func @f() { return %0 }", "line 1, column 20", "%0 is not defined"),
        ("func @f(%0: f33[]) { return }", "line 1, column 13", "found 'f33', expected an element"),
        ("func @f(%0: f32[],\n %0: f32[]) { return }", "line 2, column 2", "%0 is defined twice"),
        ("func @f() {\n  %1 = bar() : f32[]\nreturn }", "line 2, column 8", "no op named 'bar'"),
        ("func @f(%0: f32[(4 // 0)]) { return }", "line 1", "division by zero"),
        ("func @f(%0: f32[]) {\n %1 = exp(%0)\nreturn }", "line 2", "1 results but 0 types"),
        (
            "func @f(%0: f32[]) {\n %1 = exp(%0) [q=1] : f32[] return }",
            "line 2, column 7", "op exp: unknown attribute 'q'",
        ),
        ("func @f() {\n %1 = iota() [size=1] : f32[] return }", "line 2", "'dtype' is missing"),
        ("func @f(%0: f32[] !) { return }", "line 1, column 19", "found '!'"),
        ("func @f() { return } junk", "line 1, column 22", "'func' or the end of the text"),
        ('func @"a\\q"() { return }', "line 1, column 6", "not a well-formed string"),
        (
            "func @f() { %0 = iota() [size=1, size=2, dtype=i64] : i64[1] return }",
            "line 1", "attribute 'size' is given twice",
        ),
        ("func @f() where ?q = 3 { return }", "line 1, column 17", "?q does not occur"),
        (f"func @f(%0: f32[{'9' * 5000}]) {{ return }}", "line 1", "an integer of 5000 digits"),
    ],
)  # fmt: skip
def test_messages(text, place, message):
    with pytest.raises(ParseError, match=re.escape(message)) as caught:
        parse(text)
    assert str(caught.value).startswith(place)


def test_messages_point_into_the_source():
    with pytest.raises(ParseError) as caught:
        parse("func @f() {\n  return %7\n}")
    assert str(caught.value).endswith("\n    return %7\n           ^")


def test_exploding_sizes_are_refused():
    factor = "(" + " + ".join(f"?s{i}" for i in range(40)) + ")"
    with pytest.raises(ParseError, match="too many terms"):
        parse(f"func @f(%0: f32[({'*'.join([factor] * 6)})]) {{ return }}")


def test_what_cannot_be_written_is_an_error():
    op = Op("exp", [], {"bad": [1, 2]}, [])
    with pytest.raises(TypeError, match="op exp: a list cannot be an attribute"):
        print_func(Func("f", [], [op], []))


def test_lark_is_imported_with_the_first_text():
    code = (
        "import sys, tracec_ir.parser, tracec_runtime.archive, tracec_runtime.standalone\n"
        "sys.exit('lark' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_threads_parse_at_once():
    text, wrong = print_func(_example()), []

    def work():
        for _ in range(20):
            if print_func(parse_func(text)) != text:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
