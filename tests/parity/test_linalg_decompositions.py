"""Factorisations of matrices and what they solve against PyTorch: values, first and second
derivatives, complex numbers, results of stacks, `out=`, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tracec

RNG = np.random.default_rng(3)


def matrix(*shape: int, complex: bool = False) -> np.ndarray:
    x = RNG.normal(size=shape)
    return x + 1j * RNG.normal(size=shape) if complex else x


def regular(*lead: int, n: int = 4, complex: bool = False) -> np.ndarray:
    return matrix(*lead, n, n, complex=complex) + 4 * np.eye(n)


def symmetric(*lead: int, n: int = 4, complex: bool = False) -> np.ndarray:
    x = matrix(*lead, n, n, complex=complex)
    return x + x.conj().swapaxes(-1, -2)


def positive(*lead: int, n: int = 4, complex: bool = False) -> np.ndarray:
    x = matrix(*lead, n, n, complex=complex)
    return x @ x.conj().swapaxes(-1, -2) + np.eye(n)


def reflections(*lead: int, m: int, n: int, complex: bool = False) -> tuple:
    x = torch.geqrf(torch.from_numpy(matrix(*lead, m, n, complex=complex)))
    return x.a.numpy(), x.tau.numpy()


def plain(x) -> np.ndarray:
    return np.asarray(x.detach().resolve_conj().numpy())


def loss_of(t, found: list) -> object:
    """A real number that depends on all results, and on no phase."""
    total = 0
    for i, y in enumerate(found):
        weight = t.arange(1.0, y.numel() + 1, dtype=t.float64).reshape(tuple(y.shape)) + i
        total = total + ((y * y.conj()).real * weight).sum()
        if y.is_complex():
            total = total + (y.imag * y.real * weight).sum()
        else:
            total = total + (y * weight).sin().sum()
    return total


def compare(fn, *arrays, twice: bool = True, phases: bool = True, tolerance: float = 1e-9) -> None:
    """Results (a tensor or several), gradients and second derivatives in both libraries. Results
    with free phases enter the loss by their magnitudes alone."""
    results = []
    for t in (tracec, torch):
        xs = [t.tensor(a, requires_grad=a.dtype.kind in "fc") for a in arrays]
        found = fn(t, *xs)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        smooth = [y for y in found if y.requires_grad]
        loss = loss_of(t, smooth if phases else [y.abs() for y in smooth])
        sources = [x for x in xs if x.requires_grad]
        grads = t.autograd.grad(loss, sources, create_graph=twice)
        again = ()
        if twice:
            norm = sum((g * g.conj()).real.sum() for g in grads)
            again = t.autograd.grad(norm, sources, allow_unused=True)
        results.append([plain(v) for v in (*found, *grads, *again)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        scale = max(1.0, float(np.abs(theirs).max(initial=0)))
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)


KINDS = pytest.mark.parametrize("complex", [False, True], ids=["real", "complex"])
SHAPES = [(3, 3), (5, 3), (3, 5), (2, 4, 4), (2, 1, 4, 2), (0, 3, 3), (3, 0), (20, 20), (40, 33)]


# -- LU -------------------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_lu(shape, complex):
    a = matrix(*shape, complex=complex)
    small = a.size < 100
    compare(lambda t, x: t.linalg.lu_factor(x), a, twice=small)
    compare(lambda t, x: t.linalg.lu(x), a, twice=small)
    compare(lambda t, x: t.lu_unpack(*t.linalg.lu_factor_ex(x)[:2]), a, twice=False)


@KINDS
def test_lu_of_large_matrices_multiplies_to_the_matrix(complex):
    a = matrix(2, 130, 110, complex=complex)
    p, low, up = (plain(v) for v in tracec.linalg.lu(tracec.tensor(a)))
    np.testing.assert_allclose(p @ low @ up, a, atol=1e-12)
    assert np.abs(low).max() <= (1 if not complex else 2**0.5) + 1e-12
    assert (np.triu(low, 1) == 0).all() and (np.tril(up, -1) == 0).all()


@KINDS
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_lu_solve(left, adjoint, complex):
    a, b = regular(2, complex=complex), matrix(3, 1, 4, 4, complex=complex)

    def solved(t, a, b):
        both, pivots = t.linalg.lu_factor(a)
        return t.linalg.lu_solve(both, pivots, b, left=left, adjoint=adjoint)

    compare(solved, a, b)
    compare(lambda t, a, b: b.lu_solve(*t.linalg.lu_factor(a)), a[0], b[0, 0])


def test_older_spellings_of_lu():
    a = tracec.tensor(regular())
    for kind, ours in (("lu", tracec.lu(a)), ("method", a.lu())):
        assert type(ours) is tuple and len(ours) == 2, kind
    assert tracec.lu(a, get_infos=True)._fields == ("LU", "pivots", "info")
    p, low, up = tracec.lu_unpack(*a.lu(), unpack_data=False)
    assert tuple(low.shape) == tuple(up.shape) == (0,) and tuple(p.shape) == (4, 4)
    assert tuple(tracec.lu_unpack(*a.lu(), unpack_pivots=False).P.shape) == (0,)


def test_zero_pivots_are_reported():
    a = np.stack([np.eye(3), np.diag([1.0, 0, 2]), np.zeros((3, 3))])
    for name in ("lu_factor_ex", "inv_ex"):
        found, expected = (getattr(t.linalg, name)(t.tensor(a)) for t in (tracec, torch))
        np.testing.assert_array_equal(plain(found.info), plain(expected.info))
    x = tracec.linalg.solve_ex(tracec.tensor(a), tracec.tensor(a))
    assert x.info.tolist() == [0, 2, 1]
    assert tracec.linalg.cholesky_ex(tracec.tensor(a)).info.tolist() == [0, 2, 1]


# -- triangles ------------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("upper", [False, True])
def test_solve_triangular(upper, left, unit, complex):
    a, b = regular(2, complex=complex), matrix(4, 4, complex=complex)
    compare(
        lambda t, a, b: t.linalg.solve_triangular(a, b, upper=upper, left=left, unitriangular=unit),
        np.triu(a) if upper else np.tril(a),
        b,
    )


@KINDS
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky(upper, complex):
    a = positive(2, complex=complex)
    compare(lambda t, x: t.linalg.cholesky(x, upper=upper), a, phases=False)
    compare(lambda t, x: t.linalg.cholesky_ex(x, upper=upper).L, a, phases=False)
    compare(lambda t, x: t.cholesky(x, upper), a[0], phases=False)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_matrix_exp_of_halves(dtype):
    x = tracec.tensor(matrix(3, 3) / 2, dtype=getattr(tracec, dtype))
    y = tracec.linalg.matrix_exp(x)
    exact = tracec.linalg.matrix_exp(x.double())  # PyTorch's own answer in float16 is not near
    assert y.dtype is x.dtype
    np.testing.assert_array_equal(plain(y.double()), plain(exact.to(x.dtype).double()))


# -- eigenvalues ----------------------------------------------------------------------------------
def sorted_by_value(t, pair):
    """Eigenvalues and vectors in the order of the real parts."""
    values, vectors = pair
    order = t.argsort(values.real + 0.37 * values.imag, dim=-1)
    return values.gather(-1, order), vectors.gather(-1, order.unsqueeze(-2).expand_as(vectors))


@KINDS
def test_eig(complex):
    a = matrix(2, 4, 4, complex=complex)
    compare(lambda t, x: sorted_by_value(t, t.linalg.eig(x))[0], a)
    compare(lambda t, x: t.linalg.eigvals(x).abs().sort()[0], a)
    compare(lambda t, x: sorted_by_value(t, t.linalg.eig(x))[1].abs(), a, tolerance=1e-8)
    values, vectors = (plain(v) for v in tracec.linalg.eig(tracec.tensor(a)))
    np.testing.assert_allclose(a @ vectors, vectors * values[:, None], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-2), 1)
    assert tracec.linalg.eigvals(tracec.zeros(0, 0, dtype=tracec.float32)).dtype is tracec.complex64


@pytest.mark.parametrize("name", ["eig", "eigh", "svd"])
def test_losses_that_depend_on_phases_are_refused(name):
    messages = []
    for t in (tracec, torch):
        x = t.tensor(symmetric(complex=True), requires_grad=True)
        found = getattr(t.linalg, name)(x)
        with pytest.raises(RuntimeError) as caught:
            (found[0] if name == "svd" else found[1]).imag.sum().backward()
            plain(x.grad)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


# -- least squares --------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (2, 5, 3)], ids=str)
def test_lstsq(shape, driver, complex):
    a, b = matrix(*shape, complex=complex), matrix(*shape[:-1], 2, complex=complex)
    for y in (b, b[..., 0]):
        compare(lambda t, a, b: t.linalg.lstsq(a, b, driver=driver), a, y, tolerance=1e-8)


def test_lstsq_of_matrices_that_have_not_full_rank():
    a, b = np.ones((5, 3)), matrix(5, 2)
    for driver in ("gelsy", "gelsd", "gelss"):
        found, expected = (
            t.linalg.lstsq(t.tensor(a), t.tensor(b), driver=driver) for t in (tracec, torch)
        )
        for name in found._fields:
            ours, theirs = (plain(getattr(r, name)) for r in (found, expected))
            np.testing.assert_allclose(ours, theirs, atol=1e-12, err_msg=name)
    loose = tracec.linalg.lstsq(
        tracec.tensor(np.diag([1.0, 1e-3])), tracec.ones(2, 1).double(), 0.1
    )
    assert loose.rank.item() == 1


# -- reflections ----------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 4, 2), (2, 0, 3)], ids=str)
def test_geqrf(shape, complex):
    a = matrix(*shape, complex=complex)
    for ours, theirs in zip(*(t.geqrf(t.tensor(a)) for t in (tracec, torch)), strict=True):
        np.testing.assert_allclose(plain(ours), plain(theirs), atol=1e-12)


@KINDS
@pytest.mark.parametrize("size", [(5, 3), (4, 4), (2, 5, 2)], ids=str)
def test_householder_product(size, complex):
    *lead, m, n = size
    a, tau = reflections(*lead, m=m, n=n, complex=complex)
    compare(lambda t, a, tau: t.linalg.householder_product(a, tau), a, tau, tolerance=1e-8)
    compare(lambda t, a, tau: t.orgqr(a, tau[..., : n - 1]), a, tau, twice=False, tolerance=1e-8)


@KINDS
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_ormqr(left, transpose, complex):
    for lead, m, n in (((), 5, 3), ((2,), 4, 4)):
        a, tau = reflections(*lead, m=m, n=n, complex=complex)
        c = matrix(*lead, *((m, 3) if left else (3, m)), complex=complex)
        compare(
            lambda t, a, tau, c: t.ormqr(a, tau, c, left, transpose),
            a, tau, c, twice=False, tolerance=1e-8,
        )  # fmt: skip


def test_reflections_have_second_derivatives():
    a, tau = (tracec.tensor(v, requires_grad=True) for v in reflections(m=4, n=2))
    c = tracec.tensor(matrix(4, 2), requires_grad=True)
    assert tracec.autograd.gradcheck(tracec.ormqr, (a, tau, c))
    assert tracec.autograd.gradgradcheck(tracec.ormqr, (a, tau, c))


# -- LDL ------------------------------------------------------------------------------------------
@KINDS
@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 6, 17])
def test_ldl(n, hermitian, complex):
    a = symmetric(2, n=n, complex=complex)
    a[1] -= np.diag(np.diag(a[1]))  # a zero diagonal makes pairs
    if complex and not hermitian:
        a = matrix(2, n, n, complex=True)
        a = a + a.swapaxes(-1, -2)
    if n == 1:
        a[1] += 1
    b = matrix(3, 1, n, 2, complex=complex)
    found, expected = (
        t.linalg.ldl_factor_ex(t.tensor(a), hermitian=hermitian) for t in (tracec, torch)
    )
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(plain(ours), plain(theirs), rtol=1e-9, atol=1e-9)
    x = tracec.linalg.ldl_solve(*found[:2], tracec.tensor(b), hermitian=hermitian)
    np.testing.assert_allclose(a @ plain(x), np.broadcast_to(b, (3, 2, n, 2)), atol=1e-9)


# -- low rank -------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(20, 8), (8, 20), (2, 9, 7)], ids=str)
def test_low_rank(shape):
    *lead, m, n = shape
    a = matrix(*lead, m, 3) @ matrix(*lead, 3, n)
    x = tracec.tensor(a)
    u, s, v = (plain(r) for r in tracec.svd_lowrank(x, q=4))
    assert s.shape == (*lead, 4)
    np.testing.assert_allclose((u * s[..., None, :]) @ v.swapaxes(-1, -2), a, atol=1e-9)
    shift = np.broadcast_to(a.mean(-2, keepdims=True), a.shape)
    u, s, v = (plain(r) for r in tracec.svd_lowrank(x, q=4, M=tracec.tensor(shift)))
    np.testing.assert_allclose((u * s[..., None, :]) @ v.swapaxes(-1, -2), a - shift, atol=1e-9)
    u, s, v = (plain(r) for r in tracec.pca_lowrank(x, q=4))
    np.testing.assert_allclose((u * s[..., None, :]) @ v.swapaxes(-1, -2), a - shift, atol=1e-9)


def test_gradients_of_low_rank():
    a = tracec.tensor(matrix(6, 2) @ matrix(2, 5), requires_grad=True)
    tracec.svd_lowrank(a, q=2)[1].sum().backward()
    b = tracec.tensor(plain(a), requires_grad=True)
    tracec.linalg.svdvals(b)[:2].sum().backward()
    np.testing.assert_allclose(plain(a.grad), plain(b.grad), atol=1e-9)


# -- tolerances, outputs, errors ------------------------------------------------------------------
def test_ranks_with_tolerances_in_tensors():
    a = matrix(2, 4, 4)
    for kwargs in (
        {"tol": 1.0}, {"atol": 1.0, "rtol": 0.3}, {"rtol": 0.5}, {"atol": 0.5}, {"hermitian": True},
        {"tol": np.array([0.5, 2.0])}, {"tol": np.zeros(0)[:, None]},
        {"atol": np.array([0.1, 2.0]), "rtol": np.array([[0.1], [0.5]])},
    ):  # fmt: skip
        x = symmetric(2) if "hermitian" in kwargs else a
        found, expected = (
            plain(t.linalg.matrix_rank(
                t.tensor(x),
                **{k: t.tensor(v) if isinstance(v, np.ndarray) else v for k, v in kwargs.items()},
            ))
            for t in (tracec, torch)
        )  # fmt: skip
        np.testing.assert_array_equal(found, expected)
    compare(lambda t, x: t.linalg.pinv(x, atol=t.tensor([0.1, 2.5])), a, tolerance=1e-8)


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x, out: t.linalg.lu_factor(x, out=out),
        lambda t, x, out: t.linalg.lu(x, out=out),
        lambda t, x, out: t.linalg.qr(x, out=out),
        lambda t, x, out: t.linalg.svd(x, out=out),
        lambda t, x, out: t.linalg.eigh(x, out=out),
        lambda t, x, out: t.linalg.eig(x, out=out),
        lambda t, x, out: t.linalg.slogdet(x, out=out),
        lambda t, x, out: t.linalg.inv_ex(x, out=out),
        lambda t, x, out: t.linalg.cholesky_ex(x, out=out),
        lambda t, x, out: t.linalg.lstsq(x, x, out=out),
        lambda t, x, out: t.geqrf(x, out=out),
    ],
)
def test_out(call):
    x = tracec.tensor(positive())
    expected = call(tracec, x, None)
    out = tuple(tracec.empty(0, dtype=y.dtype) for y in expected)
    found = call(tracec, x, out)
    for o, f, e in zip(out, found, expected, strict=True):
        assert f is o
        np.testing.assert_array_equal(plain(o), plain(e))
    with pytest.raises(TypeError, match="expected tuple of"):
        call(tracec, x, out[:1])
    with pytest.raises(TypeError, match="must be tuple of Tensors"):
        call(tracec, x, out[0])


SQUARE, WIDE, SINGULAR = np.eye(3) + 1, np.ones((2, 3)), np.zeros((2, 3, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda t, f: t.linalg.lu_factor(f(SINGULAR)),
        lambda t, f: t.linalg.lu_factor(f(SQUARE[0])),
        lambda t, f: t.linalg.lu_factor(f(SQUARE), pivot=False),
        lambda t, f: t.linalg.lu(f(SQUARE).half()),
        lambda t, f: t.linalg.lu("a"),
        lambda t, f: t.lu_unpack(f(SQUARE), t.tensor([1, 2, 3])),
        lambda t, f: t.lu_unpack(f(SQUARE), t.tensor([1, 2, 9], dtype=t.int32)),
        lambda t, f: t.linalg.lu_solve(f(SQUARE), t.tensor([1, 2, 3]), f(SQUARE)),
        lambda t, f: t.linalg.lu_solve(f(SQUARE), t.tensor([1, 2], dtype=t.int32), f(SQUARE)),
        lambda t, f: t.linalg.lu_solve(f(SQUARE), t.tensor([1, 2, 3], dtype=t.int32), f(WIDE)),
        lambda t, f: t.linalg.eig(f(WIDE)),
        lambda t, f: t.linalg.eig(f(SQUARE).int()),
        lambda t, f: t.linalg.eigvals(f(SQUARE[0])),
        lambda t, f: t.linalg.lstsq(f(SQUARE), f(WIDE)),
        lambda t, f: t.linalg.lstsq(f(SQUARE), f(SQUARE), driver="qr"),
        lambda t, f: t.linalg.lstsq(f(SQUARE), f(SQUARE).float()),
        lambda t, f: t.linalg.lstsq(f(SQUARE[0]), f(SQUARE)),
        lambda t, f: t.geqrf(f(SQUARE[0])),
        lambda t, f: t.geqrf(f(SQUARE).int()),
        lambda t, f: t.linalg.householder_product(f(WIDE), f(SQUARE[0])),
        lambda t, f: t.linalg.householder_product(f(SQUARE), f(np.ones(4))),
        lambda t, f: t.linalg.householder_product(f(SQUARE), f(SQUARE)),
        lambda t, f: t.ormqr(f(SQUARE), f(SQUARE[0]), f(WIDE)),
        lambda t, f: t.ormqr(f(SQUARE), f(np.ones(2)), f(SQUARE)),
        lambda t, f: t.linalg.ldl_factor(f(WIDE)),
        lambda t, f: t.linalg.ldl_solve(f(SQUARE), t.tensor([1.0, 2, 3]), f(SQUARE)),
        lambda t, f: t.linalg.ldl_solve(f(SQUARE), t.tensor([1, 2]), f(SQUARE)),
        lambda t, f: t.pca_lowrank(f(SQUARE), q=4),
        lambda t, f: t.pca_lowrank(f(SQUARE), niter=-1),
        lambda t, f: t.linalg.inv(f(SINGULAR)),
        lambda t, f: t.linalg.solve(f(SINGULAR), f(SINGULAR)),
        lambda t, f: t.linalg.cholesky(f(np.diag([1.0, 1, -1]))),
        lambda t, f: t.linalg.cross(f(SQUARE), f(SQUARE[:, :1])),
        lambda t, f: t.linalg.cross(f(SINGULAR), f(SQUARE)),
        lambda t, f: t.linalg.cross(f(WIDE), f(WIDE), dim=0),
        lambda t, f: t.linalg.cross(f(WIDE), f(WIDE), dim=2),
    ],
)
def test_wrong_input(call):
    raised = []
    for t in (tracec, torch):
        with pytest.raises((RuntimeError, TypeError, IndexError, ValueError)) as caught:
            found = call(t, t.tensor)
            for y in found if isinstance(found, tuple) else (found,):
                y.numpy()
        raised.append(caught.value)
    ours, theirs = raised
    assert isinstance(ours, next(k for k in type(theirs).__mro__ if k.__module__ == "builtins"))
    assert str(ours).replace(". Did", ".Did") == str(theirs).replace(". Did", ".Did")


def test_singular_matrices_raise_the_error_of_linear_algebra():
    with pytest.raises(tracec.linalg.LinAlgError, match=r"Batch element 0.*diagonal element 1"):
        tracec.linalg.inv(tracec.zeros(2, 3, 3)).numpy()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: tracec.geqrf(x)[0],
        lambda x: tracec.linalg.ldl_factor(x)[0],
        lambda x: tracec.linalg.qr(x[:, :2], "complete")[0],
    ],
)
@pytest.mark.parametrize("look", [False, True])
def test_missing_derivatives_are_refused_by_backward_alone(call, look):
    x = tracec.tensor(symmetric(), requires_grad=True)
    y, other = call(x).sum(), (x * 3).sum()
    if look:
        assert np.isfinite(plain(y))
    with pytest.raises(NotImplementedError):
        y.backward()
    other.backward()
    np.testing.assert_array_equal(plain(x.grad), 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x: t.linalg.lu_factor_ex(x),
        lambda t, x: t.lu_unpack(*t.linalg.lu_factor(x)),
        lambda t, x: t.linalg.slogdet(x),
        lambda t, x: t.slogdet(x),
        lambda t, x: t.linalg.eigh(x),
        lambda t, x: t.linalg.ldl_factor(x),
        lambda t, x: t.max(x, 0),
    ],
)
def test_results_print_as_in_pytorch(call):
    found, expected = (repr(call(t, t.tensor([[3.0, 1], [1, 5]]))) for t in (tracec, torch))
    assert found == expected
