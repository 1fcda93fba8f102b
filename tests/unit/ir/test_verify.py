"""The verifier accepts what the builder makes, and names what is wrong."""

import re

import numpy as np
import pytest

from tracec_ir import dims, dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Op, Value
from tracec_ir.expand import expand
from tracec_ir.optable import all_ops
from tracec_ir.parser import parse, parse_func
from tracec_ir.types import ScalarType, TensorType
from tracec_ir.verify import VerifyError, verify, verify_module

F4 = TensorType(dtypes.f32, (4,))


def _of_samples():
    for d in all_ops().values():
        for i, sample in enumerate(d.samples() if d.samples else ()):
            if len(sample) < 4 and all(isinstance(a, np.ndarray) for a in sample[0]):
                yield pytest.param(d.name, sample, id=f"{d.name}-{i}")


@pytest.mark.parametrize(("name", "sample"), list(_of_samples()))
def test_every_op_verifies_prints_and_parses(name, sample):
    from tracec_ir.hash import equal

    arrays, attrs, *regions = sample
    b = Builder()
    params = [Value(TensorType(dtypes.by_numpy(a.dtype), a.shape)) for a in arrays]
    out = b.emit(name, params, attrs, regions[0] if regions else ())
    func = b.func("f", params, out)
    verify(func)
    verify(expand(func), "primitive")
    back = parse_func(str(func))
    assert equal(func, back)
    verify(back)


def test_symbolic_functions_verify():
    n, m = dims.symbol("n", 8), dims.symbol("m", 3)
    b = Builder()
    x, y = Value(TensorType(dtypes.f32, (n, m))), Value(TensorType(dtypes.f32, (m,)))
    s = Value(ScalarType(dtypes.f64))
    z = b.mul(b.add(x, y), s)
    func = b.func("f", [x, y, s], [b.reduce(z, "sum", (0,)), b.reshape(z, (n * m,))])
    verify(func, "primitive")
    verify_module(parse(str(func)))


def _bad(text: str, message: str, stage: str = "tensor") -> None:
    with pytest.raises(VerifyError, match=re.escape(message)):
        verify(parse_func(text), stage)


def test_types_are_checked():
    _bad(
        "func @f(%x: f32[4]) {\n %0 = exp(%x) : f64[4] # a.py:3\n return %0 }",
        "func @f: op 0, exp at a.py:3: result 0: expected f32[4], found f64[4] (operands x: f32[4]",
    )
    _bad(
        "func @f(%x: f32[4], %y: f64[4]) {\n %0 = add(%x, %y) : f32[4] # a.py:4\n return %0 }",
        "op 0, add at a.py:4: wrong operands (",
    )
    _bad(
        "func @f(%x: f32[4]) { %0 = sort(%x) [axis=0, descending=true] : f32[4] return %0 }",
        "expected 2 results, found 1",
    )


def test_sizes_and_axes_are_not_negative():
    _bad("func @f(%x: f32[(2 - 4)]) { return %x }", "parameter 0 has a negative size: f32[-2]")
    _bad(
        "func @f(%x: f32[2 x 2]) { %0 = reduce(%x) [kind=sum, axes=(1, 1)] : f32[2] return %0 }",
        "appears multiple times",
    )
    _bad(
        "func @f(%x: f32[2 x 2]) { %0 = reduce(%x) [kind=sum, axes=(-1)] : f32[2 x 2] return %0 }",
        "an axis of a primitive counts from the front, got -1",
    )
    _bad(
        "func @f(%x: f32[3], %v: f32[]) {"
        "%0 = pad(%x, %v) [low=(4), high=(1), interior=(-1)] : f32[6] return %0 }",
        "interior padding must not be negative",
    )


def test_operands_are_counted():
    _bad(
        "func @f(%x: f32[4]) { %0 = add(%x) : f32[4] return %0 }",
        "op 0, add: expected operands (",
    )
    _bad("func @f(%x: f32[4]) { %0 = exp(%x, %x) : f32[4] return %0 }", "found 2 of them")


def test_values_are_defined_before_use():
    x, y = Value(F4, name="x"), Value(F4, name="y")
    one, two = Op("exp", [x], {}, [F4], loc="a.py:1"), Op("exp", [y], {}, [F4])
    with pytest.raises(VerifyError, match="op 0, exp: operand x, parameter y, is not defined"):
        verify(Func("f", [x], [two], []))
    late = Op("neg", [one.result], {}, [F4])
    with pytest.raises(VerifyError, match="result 0 of exp at a.py:1, is not defined before"):
        verify(Func("f", [x], [late, one], []))
    with pytest.raises(VerifyError, match="returned value 0, result 0 of exp"):
        verify(Func("f", [x], [], [one.result]))
    with pytest.raises(VerifyError, match="occurs twice"):
        verify(Func("f", [x], [one, one], []))
    with pytest.raises(VerifyError, match="parameter 1 occurs twice"):
        verify(Func("f", [x, x], [], []))
    with pytest.raises(VerifyError, match="parameter 0 is a result of exp"):
        verify(Func("f", [one.result], [], []))


def test_regions_are_isolated_and_counted():
    c, x = Value(TensorType(dtypes.b1), name="c"), Value(F4, name="x")
    p, q = Value(F4), Value(F4)
    good, leaky = Func("then", [p], [], [p]), Func("else", [q], [], [x])
    op = Op("if", [c, x], {}, [F4], (good, leaky), "a.py:9")
    with pytest.raises(VerifyError, match="if at a.py:9: in its region: func @else: return"):
        verify(Func("f", [c, x], [op], [op.result]))
    op = Op("if", [c, x], {}, [F4], (good,))
    with pytest.raises(VerifyError, match="expected 2 regions, found 1"):
        verify(Func("f", [c, x], [op], [op.result]))


def test_attributes_are_checked():
    x = Value(F4)
    op = Op("reduce", [x], {"axes": (0,), "kind": "sum"}, [TensorType(dtypes.f32)])
    with pytest.raises(VerifyError, match=re.escape("attributes [kind, axes], found [axes, kind]")):
        verify(Func("f", [x], [op], []))
    op = Op("reduce", [x], {"kind": "sum", "axes": [0]}, [TensorType(dtypes.f32)])
    with pytest.raises(VerifyError, match="attribute 'axes': a list cannot be an attribute"):
        verify(Func("f", [x], [op], []))
    with pytest.raises(VerifyError, match="no op named 'nothing'"):
        verify(Func("f", [x], [Op("nothing", [x], {}, [F4])], []))
    with pytest.raises(VerifyError, match="result 0 does not belong"):
        op = Op("exp", [x], {}, [F4])
        op.results = (Value(F4),)
        verify(Func("f", [x], [op], []))


def test_stages():
    text = "func @f(%x: f32[4]) { %0 = softmax(%x) [dim=0] : f32[4] return %0 }"
    func = parse_func(text)
    verify(func)
    _bad(text, "op 0, softmax: a composite is not legal at the stage 'primitive'", "primitive")
    verify(expand(func), "primitive")
    with pytest.raises(ValueError, match="unknown stage 'loops'"):
        verify(func, "loops")
