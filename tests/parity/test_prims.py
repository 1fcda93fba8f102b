"""The NumPy references of the primitives against PyTorch, on their own samples."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.ops.driver import build, valid  # noqa: E402
from tracec_ir import interp  # noqa: E402
from tracec_ir.autodiff import grad_func  # noqa: E402
from tracec_ir.optable import all_ops, lookup  # noqa: E402

SPELLED = {
    "idiv": lambda x, y: torch.div(x, y, rounding_mode="trunc"),
    "div": lambda x, y: torch.div(
        x, y, rounding_mode=None if x.is_floating_point() or x.is_complex() else "trunc"
    ),
    "floor_divide": lambda x, y: torch.div(x, y, rounding_mode="floor"),
    "shl": torch.bitwise_left_shift,
    "shr": torch.bitwise_right_shift,
    "mul": torch.mul,
    "select": torch.where,
}
NOT_POINTWISE_IN_TORCH = {"cast", "bitcast"}
POINTWISE = [
    n for n, d in all_ops().items() if d.pointwise is not None and n not in NOT_POINTWISE_IN_TORCH
]

# Where the references differ from PyTorch by more than rounding, in units of the last place.
ULPS = {"tan": 8, "erfinv": 8, "lgamma": 60, "digamma": 60, "rsqrt": 4, "acosh": 4, "asinh": 4,
        "pow": 4, "sinh": 4, "cosh": 4, "log10": 4, "atanh": 4}  # fmt: skip

UNSIGNED = ("uint16", "uint32", "uint64")
SCALE = {"digamma": 1}  # near its root at 1.46 terms of size 1 cancel
SIGN_OF_ZERO = {"fmax", "fmin"}  # of two zeros of opposite sign the C library may return either


def to_torch(x):
    if not isinstance(x, np.ndarray):
        return torch.tensor(x)
    if x.dtype.name == "bfloat16":
        return torch.from_numpy(x.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(x))


def to_numpy(t):
    if t.dtype is torch.bfloat16:
        import ml_dtypes

        return t.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return t.numpy()


def assert_close(ours, theirs, ulps, what, zeros=True, scale=1e-2):
    """Equal dtypes; values within `ulps` of the last place, or of `scale` where they are small."""
    assert ours.dtype == theirs.dtype, what
    if ours.dtype.kind in "iub":
        np.testing.assert_array_equal(ours, theirs, err_msg=what)
        return
    eps = {2: 2**-7 if ours.dtype.name == "bfloat16" else 2**-10, 4: 2**-23, 8: 2**-52, 16: 2**-52}
    wide = np.complex128 if ours.dtype.kind == "c" else np.float64
    bound = ulps * eps[ours.dtype.itemsize]
    np.testing.assert_allclose(
        ours.astype(wide), theirs.astype(wide), rtol=bound, atol=bound * scale, err_msg=what
    )
    if ours.dtype.kind == "f" and zeros:
        zero = theirs == 0
        np.testing.assert_array_equal(np.signbit(ours[zero]), np.signbit(theirs[zero]), what)


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name):
    d = lookup(name)
    theirs = SPELLED.get(name) or getattr(torch, name, None) or getattr(torch.special, name)
    for case in valid(d):
        (ours,) = interp.run(build(case), *case.inputs)
        expected = theirs(*map(to_torch, case.inputs))
        assert_close(
            ours,
            to_numpy(expected.resolve_conj()),
            ULPS.get(name, 3),
            str(case),
            name not in SIGN_OF_ZERO,
            SCALE.get(name, 1e-2),
        )


@pytest.mark.parametrize("kind", ["sum", "prod", "max", "min", "any", "all"])
def test_reduce(kind):
    theirs = {"max": torch.amax, "min": torch.amin}.get(kind)
    for case in valid(lookup("reduce")):
        x = to_torch(case.inputs[0])
        if case.attrs["kind"] != kind or (not x.is_floating_point() and kind in ("sum", "prod")):
            continue
        (ours,) = interp.run(build(case), *case.inputs)
        if theirs is not None:
            expected = theirs(x, case.attrs["axes"])
        elif kind == "prod":
            expected = x
            for axis in sorted(case.attrs["axes"], reverse=True):
                expected = torch.prod(expected, axis)
        else:
            expected = getattr(torch, kind)(x, case.attrs["axes"])
        assert_close(ours, to_numpy(expected), 8, str(case))


@pytest.mark.parametrize("name", ["argreduce", "scan", "sort"])
def test_along_an_axis(name):
    for case in valid(lookup(name)):
        x, attrs = to_torch(case.inputs[0]), case.attrs
        axis = attrs["axis"]
        ours = interp.run(build(case), *case.inputs)
        if name == "argreduce":
            expected = [getattr(torch, "arg" + attrs["kind"])(x, axis)]
        elif name == "sort":
            expected = torch.sort(x, dim=axis, descending=attrs["descending"], stable=True)
        elif attrs["kind"] == "logsumexp":
            expected = [torch.logcumsumexp(x, axis)]
        elif attrs["kind"] in ("sum", "prod"):
            expected = [getattr(torch, "cum" + attrs["kind"])(x, axis, dtype=x.dtype)]
        else:
            expected = [getattr(torch, "cum" + attrs["kind"])(x, axis).values]
        for a, b in zip(ours, expected, strict=True):
            assert_close(a, to_numpy(b), 8, str(case))


def test_conv_and_dot():
    for case in valid(lookup("dot")):
        (ours,) = interp.run(build(case), *case.inputs)
        assert_close(ours, to_numpy(torch.matmul(*map(to_torch, case.inputs))), 100, str(case))
    for case in valid(lookup("conv")):
        x, w = map(to_torch, case.inputs)
        a = case.attrs
        (ours,) = interp.run(build(case), *case.inputs)
        pads = [n for pair in reversed(a["padding"]) for n in pair]
        convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[x.ndim - 3]
        expected = convolve(
            torch.nn.functional.pad(x, pads), w, None, a["stride"], 0, a["dilation"], a["groups"]
        )
        assert_close(ours, to_numpy(expected), 8, str(case), zeros=False, scale=10)


def test_casts():
    for case in valid(lookup("cast")):
        target = case.attrs["dtype"].name
        if target in UNSIGNED or not isinstance(case.inputs[0], np.ndarray):
            continue
        if case.inputs[0].dtype.name in UNSIGNED:
            continue
        (ours,) = interp.run(build(case), *case.inputs)
        expected = to_torch(case.inputs[0]).to(getattr(torch, target))
        assert_close(ours, to_numpy(expected), 1, str(case))


def test_casts_of_edge_values():
    from tracec_ir import dtypes
    from tracec_ir.prims.pointwise import _cast

    x = np.array([3e9, -3e9, 300.0, np.nan, np.inf, -np.inf, -1.5, 2.5], np.float32)
    with np.errstate(all="ignore"):
        for d in (dtypes.b1, dtypes.i32, dtypes.i64, dtypes.f16, dtypes.bf16):
            expected = to_numpy(torch.from_numpy(x).to(getattr(torch, d.name)))
            assert_close(_cast(x, dtype=d), expected, 1, d.code)


@pytest.mark.parametrize("name", ["erf", "erfc", "erfinv", "lgamma", "digamma"])
def test_special_functions_are_accurate(name):
    scipy = pytest.importorskip("scipy.special")
    theirs = getattr(scipy, {"lgamma": "gammaln", "digamma": "psi"}.get(name, name))
    low, high = {"erfinv": (-1, 1), "erfc": (-6, 26)}.get(name, (-12.3, 40))
    x = np.concatenate([np.linspace(low, high, 4001), np.geomspace(1e-12, min(high, 1), 200)])
    ours, expected = lookup(name).numpy(x), theirs(x)
    bound = {"erfc": 4e-15, "erfinv": 4e-15, "digamma": 2e-13}.get(name, 3e-15)
    if name in ("digamma", "lgamma"):  # left of 0 zeros and poles amplify the rounding of x
        np.testing.assert_allclose(ours[x < 0], expected[x < 0], rtol=2e-13, atol=5e-14)
        ours, expected = ours[x >= 0], expected[x >= 0]
    np.testing.assert_allclose(ours, expected, rtol=bound, atol=2e-15)


DIFFERENTIABLE = [
    n for n in POINTWISE if not lookup(n).nondiff and n not in ("nextafter", "select")
]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_at_the_edges(name):
    """On f64 samples, infinities and NaN included, autodiff gives what PyTorch's autograd gives."""
    theirs = SPELLED.get(name) or getattr(torch, name, None) or getattr(torch.special, name)
    for case in valid(lookup(name)):
        if any(x.dtype != np.float64 for x in case.inputs) or name == "complex":
            continue
        func = build(case)
        backward = grad_func(func, range(len(case.inputs)))
        ours = interp.run(backward, *case.inputs, np.ones(func.results[0].shape))
        leaves = [to_torch(x).requires_grad_() for x in case.inputs]
        expected = torch.autograd.grad(theirs(*leaves).sum(), leaves)
        for i, (a, b) in enumerate(zip(ours, expected, strict=True)):
            bound = 1e-9 if name == "digamma" else 1e-12  # PyTorch's trigamma has 1e-9
            np.testing.assert_allclose(a, b.numpy(), bound, bound, err_msg=f"{case} operand {i}")
