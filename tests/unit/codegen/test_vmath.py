"""Transcendental functions: accuracy over the whole range, special values, both precisions."""

import numpy as np
import pytest
import scipy.special as special

from tests.unit.codegen.kernels import apply, ulps
from tracec_ir.dtypes import f32, f64

NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "asinh": "arcsinh",
         "acosh": "arccosh", "atanh": "arctanh"}
ELEMENTARY = ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin",
              "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh")
SPECIAL = ("erf", "erfc", "erfinv", "digamma", "lgamma")
# what one unit in the last place of f32 leaves as a bound, by function; the default is 1
F32_BOUND = {"lgamma": 4.0, "tanh": 1.5, "erf": 1.2}
SPECIALS = [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, 0.5, -0.5, 10, -10, 88.7, 89.5, -87.5,
            -100, -104.5, 1e-40, -1e-40, 3e38, -3e38, 1e-30, 0.99999994, -0.99999994, 1e6, -2e7]


def reference(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        if name in ELEMENTARY:
            return np.asarray(getattr(np, NUMPY.get(name, name))(x))
        x = x.astype(float)
        return special.gammaln(x) if name == "lgamma" else getattr(special, name)(x)


pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")


def floats32() -> np.ndarray:
    """Every 20011th float, and special ones."""
    every = np.arange(0, 2**32, 20011, dtype=np.uint64).astype(np.uint32).view(np.float32)
    return np.concatenate([every, np.array(SPECIALS, np.float32)])


def floats64() -> np.ndarray:
    rng = np.random.default_rng(7)
    n = 4000
    parts = [rng.normal(size=n), rng.normal(size=n) * 50, rng.uniform(-1, 1, n),
             np.exp(rng.uniform(-60, 60, n)), rng.integers(0, 2**63, n).view(float),
             1 + rng.normal(size=n) * 1e-5, np.array(SPECIALS), [709.5, -745, 1e-310]]
    return np.concatenate(parts)


def check(found: np.ndarray, exact: np.ndarray, x: np.ndarray, bound: float) -> None:
    distance = ulps(found, exact)
    worst = int(np.argmax(distance))
    assert distance[worst] <= bound, (
        f"{distance[worst]:.2f} ulp at {x[worst]!r}: {found[worst]!r}, not {exact[worst]!r}")


@pytest.mark.parametrize("name", ELEMENTARY + SPECIAL)
def test_f32_is_accurate_everywhere(name: str) -> None:
    x = floats32()
    if name == "lgamma":  # SciPy and C disagree at minus infinity
        x = x[~np.isneginf(x)]
    found = apply(name, x, types=(f32,), result=f32)
    check(found, reference(name, x.astype(float)), x, F32_BOUND.get(name, 1.0))


@pytest.mark.parametrize("name", ELEMENTARY + ("erf",))
def test_f64_is_accurate(name: str) -> None:
    x = floats64()
    found = apply(name, x, types=(f64,), result=f64)
    exact = reference(name, x.astype(np.longdouble) if name in ELEMENTARY else x)
    check(found, exact, x, 4.0)


def test_f64_inverse_error_function_inverts() -> None:
    y = np.concatenate([np.linspace(-5.5, 5.5, 1001), [1e-300, 0.0]])
    x = special.erf(y)
    found = apply("erfinv", x, types=(f64,), result=f64)
    inside = np.abs(x) < 0.999
    np.testing.assert_allclose(found[inside], y[inside], rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(special.erf(found), x, rtol=1e-15)


@pytest.mark.parametrize("isa", ["sse2", "avx2"])
@pytest.mark.parametrize("name", ["exp", "log", "sin", "tanh", "expm1", "erf", "digamma"])
def test_every_instruction_set_is_accurate(name: str, isa: str) -> None:
    x = floats32()[::7]
    try:
        found = apply(name, x, types=(f32,), result=f32, isa=isa)
    except ValueError as error:
        pytest.skip(str(error))
    check(found, reference(name, x.astype(float)), x, F32_BOUND.get(name, 1.2))


def pairs(dtype) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    some = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -2, 0.5, -0.5, 3, -3, 1e-40,
                     2.5, -7], dtype)
    a, b = (g.ravel() for g in np.meshgrid(some, some))
    x = np.exp(rng.normal(size=20000) * 3) * rng.choice([1, 1, -1], 20000)
    y = np.concatenate([rng.normal(size=15000) * 5, rng.integers(-9, 9, 5000)])
    return np.concatenate([a, x.astype(dtype)]), np.concatenate([b, y.astype(dtype)])


@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize(("name", "function"), [("pow", np.power), ("atan2", np.arctan2),
                                                ("hypot", np.hypot), ("fmod", np.fmod)])
def test_two_operands(name: str, function: np.ufunc, dtype) -> None:
    x, y = pairs(dtype.numpy)
    wide = float if dtype is f32 else np.longdouble
    with np.errstate(all="ignore"):
        exact = function(x.astype(wide), y.astype(wide))
    found = apply(name, x, y, types=(dtype, dtype), result=dtype)
    distance = ulps(found, exact)
    worst = int(np.argmax(distance))
    assert distance[worst] <= (1.0 if dtype is f32 else 4.0), (x[worst], y[worst], found[worst])


def test_signed_zeros_survive() -> None:
    x = np.array([0.0, -0.0])
    for dtype in (f32, f64):
        for name in ("sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "expm1",
                     "log1p", "erf", "erfinv"):
            found = apply(name, x.astype(dtype.numpy), types=(dtype,), result=dtype)
            assert list(np.signbit(found)) == [False, True], (name, dtype.code)
