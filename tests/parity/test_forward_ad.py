"""Forward mode against PyTorch's: values, tangents and errors."""

import importlib

import numpy as np
import pytest
import torch

import tracec

A = np.array([[0.3, 1.2, 0.7], [0.9, 0.4, 1.1]])
V = np.array([[1.0, -0.5, 2.0], [0.25, 3.0, -1.0]])


def written(x):
    y = x * 2
    y[0] = y[1] * x[0]
    y.mul_(x)
    return y


def dual_written(x):
    x.mul_(3)
    return x.exp()


FUNCTIONS = [
    lambda x: x.exp() * x.sin(),
    lambda x: x.softmax(1).log(),
    lambda x: (x @ x.mT).sum(0),
    lambda x: x.t()[1:].reshape(-1).cumsum(0),
    lambda x: x.prod(1),
    lambda x: x.sort(1).values,
    lambda x: x - x.mean() + 1,
    lambda x: x.detach() * x,
    written,
    dual_written,
]


def forward_ad(lib):
    return importlib.import_module(f"{lib.__name__}.autograd.forward_ad")


@pytest.mark.parametrize("f", FUNCTIONS)
def test_values_and_tangents(f) -> None:
    def found(lib):
        fad = forward_ad(lib)
        with fad.dual_level():
            d = fad.make_dual(lib.from_numpy(A.copy()), lib.from_numpy(V.copy()))
            out = fad.unpack_dual(f(d))
            assert not out.primal.requires_grad and not out.tangent.requires_grad
            return out.primal.numpy(), out.tangent.numpy()

    for a, b in zip(found(tracec), found(torch), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_two_duals_and_executed_values() -> None:
    def found(lib):
        fad = forward_ad(lib)
        with fad.dual_level():
            x, y = (fad.make_dual(lib.from_numpy(a.copy()), lib.from_numpy(b.copy()))
                    for a, b in ((A, V), (V, A)))  # fmt: skip
            z = x * y
            float(z.sum())
            w = (z * x).sum(0)
            assert fad.unpack_dual(lib.ones(2)).tangent is None
            assert fad.unpack_dual(x > 0).tangent is None
            return [fad.unpack_dual(t).tangent.numpy() for t in (z, w, y)]

    for a, b in zip(found(tracec), found(torch), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_reverse_over_forward() -> None:
    def found(lib):
        fad = forward_ad(lib)
        x = lib.from_numpy(A.copy()).requires_grad_()
        with fad.dual_level():
            d = fad.make_dual(x, lib.from_numpy(V.copy()))
            tangent = fad.unpack_dual((d**3).sum()).tangent
            return lib.autograd.grad(tangent, x)[0].numpy()

    np.testing.assert_allclose(found(tracec), found(torch), rtol=1e-12)


ERRORS = {
    "outside": lambda lib, fad, x: fad.make_dual(x, x),
    "exit": lambda lib, fad, x: fad.exit_dual_level(),
    "nested": lambda lib, fad, x: fad.dual_level()(fad.enter_dual_level)(),
    "size": lambda lib, fad, x: fad.dual_level()(fad.make_dual)(x, lib.ones(3)),
    "primal": lambda lib, fad, x: fad.dual_level()(fad.make_dual)(x.long(), x),
    "tangent": lambda lib, fad, x: fad.dual_level()(fad.make_dual)(x, x.long()),
    "twice": lambda lib, fad, x: fad.dual_level()(
        lambda: fad.make_dual(fad.make_dual(x, x), x))(),
    "type": lambda lib, fad, x: fad.dual_level()(fad.unpack_dual)(5),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    texts = []
    for lib in (tracec, torch):
        with pytest.raises((RuntimeError, ValueError, TypeError)) as error:
            ERRORS[name](lib, forward_ad(lib), lib.ones(2))
        texts.append((error.type, str(error.value)))
    assert texts[0] == texts[1]


def test_after_the_level_there_are_no_tangents() -> None:
    fad = forward_ad(tracec)
    with fad.dual_level():
        d = fad.make_dual(tracec.ones(2), tracec.ones(2))
        with pytest.raises(NotImplementedError, match="no_grad"), tracec.no_grad():
            pass
    assert fad.unpack_dual(d).tangent is None
    with tracec.no_grad():
        assert not (d * 2).requires_grad
