"""Each rule fires on its example, which means the same before and after."""

from __future__ import annotations

import numpy as np
import pytest

from tracec_ir.interp import run
from tracec_ir.parser import parse_func
from tracec_ir.passes.simplify import all_rules, bound, rebuild, rules, simplify
from tracec_ir.verify import verify

HEAD = (
    "func @f(%x: f32[2 x 3], %y: f32[2 x 3], %r: f32[3], %k: f32[], %i: i64[2 x 3], %j: i64[2]) {\n"
)
EXAMPLES = [r for r in all_rules() if r.example]


def arguments(seed: int = 0) -> list:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, 2, 3)).astype(np.float32)
    y[0] = -0.0, 0.0, np.inf
    return [
        x, y, rng.standard_normal(3).astype(np.float32), np.float32(1.5),
        rng.integers(-5, 5, (2, 3)), np.array([2, -1]),
    ]  # fmt: skip


def same(a, b) -> None:
    for p, q in zip(a, b, strict=True):
        p, q = np.asarray(p), np.asarray(q)
        assert p.dtype == q.dtype and p.shape == q.shape
        np.testing.assert_allclose(p, q, rtol=1e-6)
        if p.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(p), np.signbit(q))


@pytest.mark.parametrize("r", EXAMPLES, ids=lambda r: r.name)
def test_rule(r):
    func = parse_func(HEAD + r.example + "\n}")
    fired = []

    def watched(b, operands, attrs):
        out = bound(r)(b, operands, attrs)
        if out is not None:
            fired.append(r.name)
        return out

    by_op = {op: list(found) for op, found in rules().items()}
    # the other rules may prepare operands, but this one comes first
    by_op[r.op] = [watched, *by_op[r.op]]
    after = rebuild(func, by_op)
    verify(after)
    assert fired, f"{r.name} did not fire"
    if r.name != "constant_power":
        with np.errstate(all="ignore"):
            same(run(func, *arguments()), run(after, *arguments()))


@pytest.mark.parametrize("r", all_rules(), ids=lambda r: f"{r.name}-{r.op}")
def test_rule_has_a_sentence(r):
    assert r.apply.__doc__ and r.apply.__doc__.strip().endswith((".", ")."))


@pytest.mark.parametrize("n", [0, 1, 2, 3, -1, -2, 0.5, -0.5])
def test_constant_powers(n):
    body = (
        f"%0 = const() [value={float(n)}, type=f32[2 x 3]] : f32[2 x 3]\n"
        "%1 = pow(%x, %0) : f32[2 x 3]\nreturn %1\n}"
    )
    func = parse_func(HEAD + body)
    after = simplify(func)
    assert not any(op.name == "pow" for op in after.ops)
    args = arguments()
    args[0] = np.abs(args[0]) if n in (0.5, -0.5) else args[0]
    same(run(func, *args), run(after, *args))
