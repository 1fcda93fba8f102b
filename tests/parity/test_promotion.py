"""Type promotion and the lenient builder against PyTorch, over every pair of dtypes and roles."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tracec_ir import dtypes, promote  # noqa: E402
from tracec_ir.builder import Builder  # noqa: E402
from tracec_ir.core import Value  # noqa: E402
from tracec_ir.types import ScalarType, TensorType  # noqa: E402

SCALARS = {dtypes.b1: True, dtypes.i64: 3, dtypes.f64: 2.5, dtypes.c128: 1 + 2j}
ROLES = ("dimmed", "0-d", "number")


def operand(dtype, role):
    """(our type, PyTorch's operand), or None if numbers have no such dtype."""
    if role == "number":
        return (ScalarType(dtype), SCALARS[dtype]) if dtype in SCALARS else None
    shape = (2,) if role == "dimmed" else ()
    return TensorType(dtype, shape), torch.ones(shape, dtype=getattr(torch, dtype.name))


def outcome(fn):
    try:
        return str(fn()).removeprefix("torch.")
    except RuntimeError:
        return "refused"


@pytest.mark.parametrize("roles", list(itertools.product(ROLES, ROLES)), ids="-".join)
def test_result_type(roles):
    if roles == ("number", "number"):
        pytest.skip("PyTorch has no promotion of two Python numbers")
    for a, b in itertools.product(dtypes.ALL, dtypes.ALL):
        x, y = operand(a, roles[0]), operand(b, roles[1])
        if x is None or y is None:
            continue
        ours = outcome(lambda x=x, y=y: promote.result_type([x[0], y[0]]))
        theirs = outcome(lambda x=x, y=y: torch.result_type(x[1], y[1]))
        if theirs == "complex32":  # which tracec does not have
            theirs = "complex64"
        assert ours == theirs, (roles, a, b)


OPS = ["add", "sub", "mul", "div", "pow", "atan2", "eq", "lt", "maximum", "fmod", "remainder",
       "floor_divide", "logical_and", "bitwise_and", "fmax", "copysign"]  # fmt: skip
BASIC = (
    dtypes.b1,
    dtypes.u8,
    dtypes.i32,
    dtypes.i64,
    dtypes.f16,
    dtypes.bf16,
    dtypes.f32,
    dtypes.f64,
)
UNARY = ["exp", "neg", "sqrt", "floor", "sign", "isnan", "logical_not", "bitwise_not", "reciprocal",
         "erf", "lgamma", "rsqrt", "trunc", "round", "abs", "sin"]  # fmt: skip


def ours_of(name, *types):
    b = Builder()
    return b.apply(name, [Value(t) for t in types])[0].dtype


@pytest.mark.parametrize("name", OPS)
def test_binary_ops(name):
    for a, b in itertools.product(BASIC, BASIC):
        for roles in (("dimmed", "dimmed"), ("dimmed", "0-d"), ("0-d", "dimmed")):
            x, y = operand(a, roles[0]), operand(b, roles[1])
            ours = outcome(lambda x=x, y=y: ours_of(name, x[0], y[0]))
            theirs = outcome(lambda x=x, y=y: getattr(torch, name)(x[1], y[1]).dtype)
            assert ours == theirs, (a, b, roles)


@pytest.mark.parametrize("name", UNARY)
def test_unary_ops(name):
    for d in BASIC:
        t, x = operand(d, "dimmed")
        ours = outcome(lambda t=t: ours_of(name, t))
        theirs = outcome(lambda x=x: getattr(torch, name)(x).dtype)
        assert ours == theirs, d


@pytest.mark.parametrize(
    ("shape", "other"), [((2, 3), (4,)), ((2, 3), (3, 2)), ((5, 1, 4), (2, 3)), ((2,), (3,))]
)
def test_broadcasting_errors_read_as_in_pytorch(shape, other):
    with pytest.raises(RuntimeError) as theirs:
        torch.ones(shape) + torch.ones(other)
    with pytest.raises(RuntimeError) as ours:
        promote.broadcast_shapes(shape, other)
    assert str(ours.value) == str(theirs.value)


def test_broadcasting():
    rng = np.random.default_rng(0)
    for _ in range(200):
        shapes = [tuple(rng.integers(0, 3, rng.integers(0, 4)).tolist()) for _ in range(2)]
        try:
            expected = tuple(torch.broadcast_shapes(*shapes))
        except RuntimeError:
            with pytest.raises(RuntimeError):
                promote.broadcast_shapes(*shapes)
            continue
        assert promote.broadcast_shapes(*shapes) == expected
