"""Random functions for the tests of text, equality and hashes: well-formed, types arbitrary."""

from __future__ import annotations

from hypothesis import strategies as st

from tracec_ir import dims
from tracec_ir.core import Func, Op, Value
from tracec_ir.dims import Guards
from tracec_ir.dtypes import ALL
from tracec_ir.optable import lookup
from tracec_ir.types import ScalarType, TensorType

OPS = ("add", "exp", "select", "reduce", "sort", "const", "cast", "permute", "slice", "pad", "iota",
       "strided", "conv", "scatter", "philox", "host", "if", "while")  # fmt: skip
HINTS = {"n": 8, "m": 12, "seq_len": 5, "k": None}

names = st.sampled_from(["", "", "x", "layer1.weight", "_a", "%bad", "x", "7", "return", "naïve"])
locations = st.sampled_from(["", "demo.py:3", "/a b/c#d.py:120", "C:\\x.py:1"])
dtypes = st.sampled_from(ALL)


def _combine(children):
    two = st.tuples(children, children)
    return st.one_of(
        two.map(lambda p: p[0] + p[1]),
        two.map(lambda p: p[0] - p[1]),
        two.map(lambda p: p[0] * p[1]),
        two.map(lambda p: dims.floordiv(p[0], p[1]) if p[1] != 0 else p[0]),
        two.map(lambda p: dims.mod(p[0], p[1]) if p[1] != 0 else p[0]),
        two.map(lambda p: dims.minimum(*p)),
        two.map(lambda p: dims.maximum(*p)),
    )


symbols = st.sampled_from([dims.symbol(name, hint) for name, hint in HINTS.items()])
sizes = st.recursive(st.integers(0, 100) | symbols, _combine, max_leaves=6)
shapes = st.lists(
    sizes.filter(lambda d: not isinstance(d, int) or d >= 0), max_size=4
).map(tuple)
tensors = st.builds(TensorType, dtypes, shapes)
types = tensors | st.builds(ScalarType, dtypes)
texts = st.text(max_size=8) | st.sampled_from(
    ["sum", "min", "max", "true", "none", "inf", "f32", "where", "a.b", "return", "x", "nan", '"\\']
)
attributes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | texts
    | dtypes | types | sizes,
    lambda children: st.lists(children, max_size=3).map(tuple),
    max_leaves=6,
)  # fmt: skip


@st.composite
def funcs(draw, depth: int = 1) -> Func:
    params = [Value(draw(types), name=draw(names)) for _ in range(draw(st.integers(0, 3)))]
    known, ops = list(params), []
    for _ in range(draw(st.integers(0, 4))):
        name = draw(st.sampled_from(OPS))
        d = lookup(name)
        count = draw(st.integers(0, 3)) if known else 0
        operands = [draw(st.sampled_from(known)) for _ in range(count)]
        attrs = {a: draw(attributes) for a in d.attrs}
        results = [draw(types) for _ in range(draw(st.integers(0, 2)))]
        regions = ()
        if depth and draw(st.integers(0, 3)) == 0:
            regions = tuple(draw(st.lists(funcs(depth=0), min_size=1, max_size=2)))
        op = Op(name, operands, attrs, results, regions, draw(locations))
        for r in op.results:
            r.name = draw(names)
        ops.append(op)
        known += op.results
    results = draw(st.lists(st.sampled_from(known), max_size=2)) if known else []
    name = draw(st.sampled_from(["f", "main", "f.grad", "<lambda>", ""]))
    func = Func(name, params, ops, results)
    pair = st.tuples(st.sampled_from(["==", "!=", "<", "<="]), sizes, sizes)
    guards = Guards(draw(st.lists(pair, max_size=2))) if depth else None
    func.guards = guards or None
    return func
