"""Symbolic sizes: whatever arithmetic simplifies to has the value of the plain integers."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tracec_ir import dims

NAMES = ("a", "b", "c")
ENV = st.fixed_dictionaries({n: st.integers(2, 9) for n in NAMES})

_OPS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "//": dims.floordiv,
    "%": dims.mod,
    "min": dims.minimum,
    "max": dims.maximum,
}
_PLAIN = {**_OPS, "//": lambda x, y: x // y, "%": lambda x, y: x % y, "min": min, "max": max}

LEAVES = st.one_of(st.integers(-6, 9), st.sampled_from(NAMES))
TREES = st.recursive(LEAVES, lambda t: st.tuples(st.sampled_from(sorted(_OPS)), t, t), max_leaves=8)


def build(tree, env):
    """(symbolic dim, plain integer) of an expression tree; dividing by 0 raises."""
    if isinstance(tree, str):
        return dims.symbol(tree, env[tree]), env[tree]
    if isinstance(tree, int):
        return tree, tree
    op, left, right = tree
    (x, m), (y, n) = build(left, env), build(right, env)
    plain = _PLAIN[op](m, n)
    return _OPS[op](x, y), plain


def attempt(tree, env):
    try:
        return build(tree, env)
    except ZeroDivisionError:
        return None


@settings(max_examples=400, deadline=None)
@given(TREES, ENV)
def test_arithmetic_agrees_with_integers(tree, env):
    built = attempt(tree, env)
    if built is None:
        return
    dim, value = built
    assert dims.evaluate(dim, env) == value
    assert dims.hint(dim) == value
    assert dims.substitute(dim, env) == value
    assert dims.is_static(dim) == (not dims.symbols(dim))


@settings(max_examples=200, deadline=None)
@given(TREES, TREES, ENV)
def test_sums_and_products_are_canonical(left, right, env):
    built = attempt(left, env), attempt(right, env)
    if None in built:
        return
    x, y = built[0][0], built[1][0]
    assert x + y == y + x and x * y == y * x
    assert x - x == 0 and x + y - y == x
    assert x * (y + 1) == x * y + x
    assert hash(x + y) == hash(y + x)


@settings(max_examples=300, deadline=None)
@given(TREES, TREES, ENV, ENV, st.sampled_from(["==", "<", "<="]))
def test_decisions_hold_or_leave_a_guard(left, right, env, other, rel):
    built = attempt(left, env), attempt(right, env)
    if None in built:
        return
    (x, m), (y, n) = built
    truth = {"==": m == n, "<": m < n, "<=": m <= n}
    with dims.guards() as collected:
        answer = dims.decide(rel, x, y)
    assert answer == truth[rel]
    assert collected.hold(env)
    # for other sizes the answer is the same wherever the guards hold
    try:
        m, n = dims.evaluate(x, other), dims.evaluate(y, other)
        holds = collected.hold(other)
    except ZeroDivisionError:
        return
    if holds:
        assert {"==": m == n, "<": m < n, "<=": m <= n}[rel] == answer


@given(ENV, st.integers(1, 6))
def test_floor_division_takes_out_whole_parts(env, k):
    n = dims.symbol("a", env["a"])
    assert dims.floordiv(n * k, k) == n
    assert dims.floordiv(n * k + 1, k) == n + (1 // k)
    assert dims.mod(n * k, k) == 0


def test_exact_division():
    n, m = dims.symbol("n"), dims.symbol("m")
    assert dims.exact_div(n * m * 6, m * 2) == n * 3
    assert dims.exact_div(n + 1, 2) is None
    assert dims.exact_div(n * n, n) == n
    assert dims.exact_div(n, n) == 1
    assert dims.exact_div(5, 0) is None


def test_dividing_by_zero_raises():
    n = dims.symbol("n", 4)
    for divide in (dims.floordiv, dims.mod):
        with pytest.raises(ZeroDivisionError):
            divide(n, 0)


def test_text():
    n, m = dims.symbol("n"), dims.symbol("m")
    assert str(n) == "?n"
    assert str(n * 2 + 1) == "1 + 2*?n"
    assert str(dims.floordiv(n + m, 2)) == "(?m + ?n) // 2"


def test_products_are_bounded_below():
    n, m = dims.symbol("n", 3), dims.symbol("m", 5)
    with dims.guards() as collected:
        assert not dims.decide("==", n * m, 1)
        assert dims.decide("<", 1, n)
        assert dims.same(n * m, m * n)
    assert not collected


def test_unknown_sizes_are_named():
    with pytest.raises(ValueError, match=r"\?k"):
        dims.hint(dims.symbol("k") + 1)
    with pytest.raises(KeyError):
        dims.evaluate(dims.symbol("k"), {})
