"""Complex numbers against PyTorch: parts, views of one memory, and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tracec

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(3, 4)) + 1j * RNG.normal(size=(3, 4))
X = RNG.normal(size=(3, 4, 2))


def both(program):
    """The results of a program in both libraries as arrays."""
    return [[np.asarray(r.detach().resolve_conj().numpy()) for r in program(lib)]
            for lib in (tracec, torch)]  # fmt: skip


def same(program):
    for found, expected in zip(*both(program), strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


VALUES = {
    "parts": lambda t, z: (z.real, z.imag, t.real(z), t.imag(z)),
    "conj": lambda t, z: (t.conj(z), z.conj(), z.mH, z.H, z.adjoint(), t.conj_physical(z)),
    "polar": lambda t, z: (t.abs(z), t.angle(z), t.sgn(z), t.polar(t.abs(z), t.angle(z))),
    "views": lambda t, z: (t.view_as_real(z), t.view_as_complex(t.view_as_real(z)), z.T.real),
    "bits": lambda t, z: (z.view(t.float64), z.view(t.float32), z.view(t.uint8), z.T[1].T.real),
    "isreal": lambda t, z: (t.isreal(z), t.isreal(t.real(z)), t.isreal(z * 0)),
    "math": lambda t, z: (z.exp(), z.log(), z.sin(), z.tanh(), z.sqrt(), z.rsqrt(), z**2, z**z),
    "inverse": lambda t, z: (z.asin(), z.acosh(), z.atan(), z.log1p(), z.expm1(), 1 / z, 2**z),
    "reduce": lambda t, z: (z.sum(), z.mean(0), z.prod(1), z.cumsum(0), z.cumprod(1)),
    "products": lambda t, z: (z @ z.mH, t.einsum("ij,kj->ik", z, z), z[0] @ z[1]),
    "selection": lambda t, z: (t.where(z.real > 0, z, 0), z[z.real > 0], t.cat([z, z]), z == z),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    same(lambda t: VALUES[name](t, t.tensor(Z)))


def _set_real(t, z):
    z.real = 2.0
    z.imag[1] = t.arange(4.0, dtype=t.float64)


WRITES = {
    "real": lambda t, z: z.real.mul_(3),
    "imag": lambda t, z: z[1].imag.fill_(7),
    "attribute": _set_real,
    "pair": lambda t, z: t.view_as_real(z)[..., 0].add_(1),
    "whole": lambda t, z: t.view_as_complex(t.view_as_real(z)).neg_(),
    "bits": lambda t, z: z.view(t.float64)[0].zero_(),
    "narrow": lambda t, z: z.view(t.float32)[1].zero_(),
}


@pytest.mark.parametrize("name", WRITES)
def test_views_write_through(name):
    def program(t):
        z = t.tensor(Z)
        part, pair = z.real, t.view_as_real(z)
        WRITES[name](t, z)
        return z, part, pair

    same(program)


@pytest.mark.parametrize("name", sorted(set(VALUES) - {"isreal", "bits"}))
def test_gradients(name):
    def program(t):
        z = t.tensor(Z, requires_grad=True)
        outs = [o for o in VALUES[name](t, z) if o.requires_grad]
        loss = sum((o * (i + 1.5)).abs().sum() for i, o in enumerate(outs))
        return t.autograd.grad(loss, [z])

    same(program)


def test_gradients_through_writes_into_parts():
    def program(t):
        x = t.tensor(X, requires_grad=True)
        z = t.view_as_complex(x * 1)
        z.real.mul_(2)
        z.imag[0] = x[0, :, 0] ** 2
        (g,) = t.autograd.grad((z * z.conj()).real.sum() + (z**2).imag.sum(), [x])
        return z, g

    same(program)


def test_second_derivatives():
    def program(t):
        z = t.tensor(Z, requires_grad=True)
        (g,) = t.autograd.grad((z**3).abs().sum(), [z], create_graph=True)
        return g, *t.autograd.grad((g * g).real.sum(), [z])

    same(program)


@pytest.mark.parametrize("fn", [lambda t, z: z.abs(), lambda t, z: (z * z.conj()).real,
                                lambda t, z: z.angle(), lambda t, z: z.sgn()])  # fmt: skip
def test_gradcheck_takes_complex_inputs(fn):
    z = tracec.tensor(Z[0], requires_grad=True)
    assert tracec.autograd.gradcheck(lambda z: fn(tracec, z), (z,))
