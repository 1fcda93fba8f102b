"""Expansions are remembered; what their bodies decided by hint is not forgotten."""

from tracec_ir import dims, dtypes
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value
from tracec_ir.expand import expand
from tracec_ir.generalize import bind, generalize
from tracec_ir.types import TensorType


def _guards(n_hint: int) -> set:
    """The guards of adding f32[?n] and f32[?m] by a composite, where ?m is 8."""
    n, m = dims.symbol("n", n_hint), dims.symbol("m", 8)
    x, y = (Value(TensorType(dtypes.f32, (d,))) for d in (n, m))
    b = Builder()
    with dims.guards():
        func = b.func("f", [x, y], b.emit("mse_loss", (x, y), {"reduction": "none"}))
    assert isinstance(func, Func)
    with dims.guards() as relied:
        expand(func)
    return set(relied)


def test_remembered_expansions_leave_their_guards():
    first, second = _guards(8), _guards(8)
    assert first == second and any(relation == "==" for relation, _, _ in first)


def test_other_hints_do_not_reuse_decisions():
    assert _guards(8)
    try:
        guards = _guards(9)
    except RuntimeError as error:  # 9 and 8 do not broadcast
        assert "must match" in str(error)
    else:
        raise AssertionError(guards)


def _grown(size: int) -> Func:
    """A cache of `size` rows and one more, as generation with a growing cache records it."""
    cache, row = (Value(TensorType(dtypes.f32, (n, 4))) for n in (size, 1))
    b = Builder()
    return b.func("f", [cache, row], b.apply("cat", (cache, row), {"dim": 0}))


def test_other_hints_do_not_reuse_types():
    for size in (17, 23, 40):  # each pair makes a symbol of the same name with another hint
        general = generalize(_grown(size), _grown(size + 1))
        assert general is not None
        assert bind(general, _grown(99)) == {"n0": 99}
