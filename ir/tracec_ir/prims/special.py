"""NumPy implementations of the error and gamma functions, accurate to about 1e-15 in f64.

Narrower types are computed in f64 and rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

# erf(x) / x as a polynomial in x^2 on [-1, 1], highest power first (Chebyshev fit, 1.3e-19)
_ERF = (
    5.957176147748911e-11, -1.1372848856791674e-09, 1.4659775274047436e-08, -1.6350312701054695e-07,
    1.6461000484121368e-06, -1.4925595266831182e-05, 0.0001205533111164271, -0.000854832698083379,
    0.0052239776248180145, -0.026866170645076792, 0.11283791670954879, -0.3761263890318375,
    1.1283791670955126,
)  # fmt: skip
# (1 + 2x) exp(x^2) erfc(x) as a Chebyshev series in (x - 3.75) / (x + 3.75), x >= 0
_ERFCX = (
    1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189,
    -0.026658668435305753, 0.009074997670705265, -0.002413163540417608, 0.0004907758365258086,
    -6.916973302501206e-05, 4.139027986073023e-06, 7.740383066198653e-07, -2.1886401049232533e-07,
    1.0764999465690752e-08, 4.521959811238094e-09, -7.754400208646093e-10, -6.31808833927828e-11,
    2.8687950121947847e-11, 1.945586938772578e-13, -9.654696711533453e-13, 3.252548023625094e-14,
    3.347811341041752e-14, -1.8645733666841723e-15, -1.2508092622338281e-15, 7.416534346007476e-17,
    5.0662774921690277e-17,
)  # fmt: skip
# lgamma(x) / ((x - 1)(x - 2)) as a Chebyshev series in x - 1.5 on [0.5, 2.5]: exact at both zeros
_LGAMMA = (
    0.5233830675936226, -0.17797233729529863, 0.043707765509376, -0.012436054693716324,
    0.0038166273622453444, -0.0012248310110168689, 0.0004046307309337695, -0.0001363999286478383,
    4.6669854564403646e-05, -1.6152571568530024e-05, 5.641861294289138e-06, -1.985468608994096e-06,
    7.031292350156658e-07, -2.503431672683324e-07, 8.954655195462511e-08, -3.216038816813161e-08,
    1.1591674196198932e-08, -4.191331343092517e-09, 1.5198287942838018e-09, -5.525248244354367e-10,
    2.0133461407895695e-10, -7.351973399346738e-11, 2.6898575436827364e-11, -9.85882886617758e-12,
    3.619354400654772e-12, -1.3307382122555227e-12, 4.899613435234918e-13, -1.8063242404502505e-13,
    6.667388160934133e-14, -2.4638096705345538e-14, 9.114199669747885e-15, -3.3749037208856614e-15,
    1.2508630658961872e-15, -4.640235454740319e-16, 1.7227826138316332e-16, -6.401198458457187e-17,
    2.3802040365336956e-17, -8.85670810564711e-18, 3.2977685786612905e-18, -1.2286928418849807e-18,
)  # fmt: skip
# B(2k) / (2k (2k - 1)): Stirling's series of lgamma, highest power first
_STIRLING = (
    -174611 / 125400, 43867 / 244188, -3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680,
    1 / 1260, -1 / 360, 1 / 12,
)  # fmt: skip
# B(2k) / 2k: the asymptotic series of digamma, highest power first
_PSI = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
_SHIFT = 12.0  # the series are used from here on


def _in_f64(fn: Callable) -> Callable:
    def wide(x):
        x = np.asarray(x)
        with np.errstate(all="ignore"):
            return np.asarray(fn(x.astype(np.float64))).astype(x.dtype)

    wide.__doc__ = fn.__doc__
    return wide


def _horner(coefficients, x):
    total = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        total = total * x + c
    return total


def _chebyshev(coefficients, t):
    """Clenshaw's recurrence."""
    b1 = b2 = np.zeros_like(t)
    for c in coefficients[:0:-1]:
        b1, b2 = c + 2 * t * b1 - b2, b1
    return coefficients[0] + t * b1 - b2


def _erfc_positive(x):
    """erfc for x >= 0."""
    z = np.minimum(x, 30.0)
    high = z.astype(np.float32).astype(np.float64)  # z^2 exactly: high^2 + (z - high)(z + high)
    gauss = np.exp(-high * high) * np.exp((high - z) * (high + z))
    return gauss * _chebyshev(_ERFCX, (z - 3.75) / (z + 3.75)) / (1 + 2 * z)


def _erf64(x):
    small = np.clip(x, -1.0, 1.0)
    near = small * _horner(_ERF, small * small)
    far = np.copysign(1 - _erfc_positive(np.abs(x)), x)
    return np.where(np.abs(x) < 1, near, far)


def _erfc64(x):
    size = np.abs(x)
    tail = _erfc_positive(size)
    small = np.clip(x, -0.5, 0.5)
    near = 1 - small * _horner(_ERF, small * small)
    return np.where(size < 0.5, near, np.where(x < 0, 2 - tail, tail))


@_in_f64
def erf(x):
    """The error function."""
    return _erf64(x)


@_in_f64
def erfc(x):
    """1 - erf(x)."""
    return _erfc64(x)


@_in_f64
def erfinv(x):
    """The inverse of erf: a guess from its asymptotics, then Halley steps on erf or on erfc."""
    size = np.minimum(np.abs(x), 1.0)
    rest = 1 - size
    # Winitzki's approximation, within 2e-3
    log_term = np.log(np.maximum(rest * (1 + size), 1e-300))
    half = 2 / (math.pi * 0.147) + log_term / 2
    y = np.sqrt(np.maximum(np.sqrt(half * half - log_term / 0.147) - half, 0.0))
    for _ in range(3):
        error = np.where(size < 0.5, _erf64(y) - size, rest - _erfc64(y))
        step = error * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        y = y - step / (1 + y * step)
    y = np.where(size == 1, np.inf, y)
    return np.where(np.abs(x) > 1, np.nan, np.copysign(y, x))


def _lgamma_positive(x):
    """log(gamma(x)) for x > 0: a fit around its zeros, reached by recurrence, then the series."""
    product = np.ones_like(x)
    z = np.where(x < 0.5, x + 1, x)
    for _ in range(int(_SHIFT) - 2):
        above = (z > 2.5) & (x < _SHIFT)
        z = np.where(above, z - 1, z)
        product = np.where(above, product * z, product)
    near = np.clip(z, 0.5, 2.5)
    fit = (near - 1) * (near - 2) * _chebyshev(_LGAMMA, near - 1.5)
    below = fit + np.log(np.where(x < 0.5, 1 / x, product))
    far = np.maximum(x, _SHIFT)
    w = 1 / far
    series = _horner(_STIRLING, w * w) * w
    above = (far - 0.5) * np.log(far) - far + 0.5 * math.log(2 * math.pi) + series
    return np.where(x < _SHIFT, below, np.where(x == np.inf, np.inf, above))


def _sin_pi(x):
    """sin(pi x) with the argument reduced exactly."""
    return np.sin(math.pi * (x - 2 * np.rint(x / 2)))


@_in_f64
def lgamma(x):
    """log |gamma(x)|; inf at the poles."""
    negative = x <= 0
    safe = np.where(negative, 1 - x, x)
    positive = _lgamma_positive(safe)
    reflected = math.log(math.pi) - np.log(np.abs(_sin_pi(x))) - positive
    pole = negative & (x == np.floor(x))
    return np.where(np.isneginf(x) | pole, np.inf, np.where(negative, reflected, positive))


@_in_f64
def digamma(x):
    """The derivative of lgamma; at 0 infinite against its sign, NaN at the other poles."""
    negative = x <= 0
    z = np.where(negative, 1 - x, x)
    total = np.zeros_like(z)
    for _ in range(int(_SHIFT)):
        low = z < _SHIFT
        total = np.where(low, total - 1 / z, total)
        z = np.where(low, z + 1, z)
    w = 1 / (z * z)
    total = total + np.log(z) - 0.5 / z - _horner(_PSI, w) * w
    fraction = x - np.rint(x)
    reflected = total - math.pi / np.tan(math.pi * fraction)
    out = np.where(negative, np.where(fraction == 0, np.nan, reflected), total)
    return np.where(x == 0, np.copysign(np.inf, -x), out)
