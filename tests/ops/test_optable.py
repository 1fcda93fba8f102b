"""Every op of the table is tested from its own declaration."""

import numpy as np
import pytest

from tests.ops.driver import (
    build,
    check_gradient,
    differentiable,
    is_wide,
    refused,
    seeds_for,
    symbolic_types,
    valid,
)
from tracec_ir import dims, interp
from tracec_ir.expand import expand
from tracec_ir.hash import equal
from tracec_ir.optable import all_ops
from tracec_ir.parser import parse_func
from tracec_ir.prims.host import find
from tracec_ir.types import ScalarType, TensorType
from tracec_ir.verify import verify

OPS = all_ops()
DECLARED = [n for n, d in OPS.items() if d.is_primitive or d.pointwise is not None]
every_op = pytest.mark.parametrize("name", list(OPS))
COMPOSITES = [n for n, d in OPS.items() if not d.is_primitive]
# derivatives that differ from those of the values by definition, and are tested elsewhere
OTHERWISE = {
    "eigh": "the gradient is that of a Hermitian change, eigenvectors have free phases",
    "eig": "eigenvectors have free phases, a loss that depends on them is refused",
    "cholesky": "the gradient is that of a Hermitian change",
    "cholesky_ex": "the gradient is that of a Hermitian change",
    "keep_history": "gradients go where the old value went",
    "lstsq": "singular values are given without a derivative",
    "linalg_lstsq": "singular values are given without a derivative",
    "quantile": "q is without a derivative",
    "standard_gamma": "the gradient is that at a fixed quantile, not that of rejection",
    "cumulative_product_grad": "the product that it is given moves with x",
    "binomial": "counts move in steps",
}
REFUSES_SOME = {"linalg_qr"}  # with other attributes than the samples'


@pytest.mark.parametrize("name", DECLARED)
def test_op_is_declared_completely(name):
    d = OPS[name]
    assert d.doc.endswith("."), "a sentence says what it computes"
    assert d.numpy is not None
    assert (d.vjp is not None) != d.nondiff, "either a derivative or none to speak of"
    assert d.kernel or not d.is_primitive
    assert valid(d)


@pytest.mark.parametrize("name", COMPOSITES)
def test_composite_is_declared_completely(name):
    d = OPS[name]
    assert d.doc.partition("\n\n")[0].endswith("."), "a sentence says what it computes"
    assert valid(d), "samples say how it is called"


@every_op
def test_interpreter_agrees_with_the_type_rule(name):
    d = OPS[name]
    for case in valid(d):
        func = build(case)
        results = interp.run(func, *case.inputs)
        assert len(results) == len(func.results), case
        for value, r in zip(results, func.results, strict=True):
            if isinstance(r.type, ScalarType):
                assert isinstance(value, (bool, int, float, complex))
            else:
                assert (value.dtype, value.shape) == (r.dtype.numpy, r.shape), str(case)
                assert value.base is None and value.flags.c_contiguous


@every_op
def test_wrong_input_is_refused(name):
    for case in refused(OPS[name]):
        with pytest.raises(case.error) as error:
            func = build(case)
            if case.arrays:
                interp.run(func, *case.inputs)
        assert case.message in str(error.value), str(case)


@every_op
def test_symbolic_sizes(name):
    for case in valid(OPS[name]):
        types, sizes = symbolic_types(case)
        if not sizes:
            continue
        concrete = build(case)
        with dims.guards() as guards:
            symbolic = build(case, types)
        assert guards.hold(sizes)
        for a, b in zip(symbolic.results, concrete.results, strict=True):
            if isinstance(a.type, TensorType):
                shape = tuple(dims.substitute(n, sizes) for n in a.shape)
                assert (a.dtype, shape) == (b.dtype, b.shape), str(case)
        if case.regions:
            continue
        for x, y in zip(
            interp.run(symbolic, *case.inputs), interp.run(concrete, *case.inputs), strict=True
        ):
            np.testing.assert_array_equal(x, y)


@every_op
def test_gradient(name):
    d = OPS[name]
    if d.nondiff or name in ("while", "nextafter"):
        pytest.skip("there is no derivative")
    if name in OTHERWISE:
        pytest.skip(OTHERWISE[name])
    second = True
    for case in filter(None, map(differentiable, valid(d))):
        func = build(case)
        if not any(is_wide(r.type) for r in func.results):
            continue
        no_rule = name == "host" and find(case.attrs["fn"]).vjp is None
        if no_rule or (d.refuses and name not in REFUSES_SOME):
            with pytest.raises(NotImplementedError, match="derivative"):
                check_gradient(func, case.inputs)
            continue
        backward = check_gradient(func, case.inputs)
        if second and any(x.size for x in case.inputs if isinstance(x, np.ndarray)):
            second = False  # once is enough: the rules do not depend on the values
            check_gradient(backward, (*case.inputs, *seeds_for(func, 3)), 1e-4)


@every_op
def test_text_round_trip_and_verifier(name):
    for case in valid(OPS[name]):
        types, _ = symbolic_types(case)
        for func in (build(case), build(case, types), expand(build(case))):
            again = parse_func(str(func))
            assert equal(again, func), str(func)
            assert str(again) == str(func)
            verify(func)
