"""Random variables drawn by rejection or search, on the host: gamma, Poisson, binomial, von Mises.

Element i reads the Philox blocks whose counter has `offset + i` in its low half and the number of
the attempt in its high half. So a draw consumes one block an element however often it is rejected,
and no other op, whose high half is zero, ever reads the same words. Computed in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import samples as s
from . import special
from .host import host_function
from .random import words_at

_ATTEMPTS = 10_000


def _uniforms(seed: int, counter: np.ndarray, attempt: int) -> np.ndarray:
    """f64[4 x n] in the open interval (0, 1)."""
    words = [words_at(seed, counter, 2 * attempt + half) for half in (0, 1)]
    pairs = np.concatenate(words, axis=1).reshape(-1, 4, 2)
    wide = (pairs[..., 0] >> 5).astype(np.float64) * 2.0**26 + (pairs[..., 1] >> 6)
    return np.ascontiguousarray(((wide + 0.5) * 2.0**-53).T)


def _drawn(shape: tuple, seed: np.ndarray, offset: np.ndarray, step: Callable) -> np.ndarray:
    """f64 of this shape: `step(index, u)` gives for the elements `index` and their four uniform
    numbers u[4 x n] the proposals and which of them are accepted."""
    count = int(np.prod(shape, dtype=np.int64))
    out = np.full(count, np.nan)
    left = np.arange(count)
    first = np.uint64(int(offset) & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(all="ignore"):
        for attempt in range(1, _ATTEMPTS):
            if not left.size:
                break
            u = _uniforms(int(seed), left.astype(np.uint64) + first, attempt)
            proposed, accepted = step(left, u)
            out[left[accepted]] = proposed[accepted]
            left = left[~accepted]
    return out.reshape(shape)


def _flat(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float64).reshape(-1)


def _counter_samples(*parameters: np.ndarray):
    return *parameters, np.array(99, np.int64), np.array(7, np.int64)


# -- gamma ----------------------------------------------------------------------------------------
def _gamma_samples():
    yield _counter_samples(s.uniform((3, 4), 0.1, 9)), (False,)
    yield _counter_samples(s.uniform((5,), 0.1, 2)), (True,)


@host_function("gamma_draw", lambda a, seed, offset, log: a, None, _gamma_samples)
def gamma_draw(a: np.ndarray, seed: np.ndarray, offset: np.ndarray, log: bool) -> np.ndarray:
    """Gamma variables of shape a and rate 1 (Marsaglia and Tsang, 2000), or their logarithms."""
    shape = _flat(a)
    # below 1 one more is drawn for a + 1 and multiplied by a power of a uniform number
    raised = np.where(shape < 1, shape + 1, shape)
    d = raised - 1 / 3
    c = 1 / (3 * np.sqrt(d))

    def step(at: np.ndarray, u: np.ndarray) -> tuple:
        z = np.sqrt(-2 * np.log(u[0])) * np.cos(2 * np.pi * u[1])
        v = (1 + c[at] * z) ** 3
        log_v = np.log(np.where(v > 0, v, 1.0))
        ok = (v > 0) & (np.log(u[2]) < 0.5 * z * z + d[at] * (1 - v + log_v))
        boost = np.where(shape[at] < 1, np.log(u[3]) / shape[at], 0.0)
        return np.log(d[at]) + log_v + boost, ok | ~(shape[at] > 0)

    y = _drawn(a.shape, seed, offset, step)
    y = np.where(a > 0, y, np.where(a == 0, -np.inf, np.nan))
    return (y if log else np.exp(y)).astype(a.dtype)


_MOST = 5000
_LARGE = 1e5  # from here on the expansion is exact to 1e-10 within five deviations of the mean


def _slope_series(a: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """By the power series of P(a, x), differentiated in a term by term."""
    term = total = np.ones_like(a)
    harmonic = falling = np.zeros_like(a)
    for n in range(1, _MOST):
        term = term * (x / (a + n))
        harmonic = harmonic + 1 / (a + n)
        total, falling = total + term, falling + term * harmonic
        if not np.any(term * (1 + harmonic) > total * 1e-17):
            break
    return -(total * (log_x - special.digamma(a + 1)) - falling) / a


def _slope_fraction(a: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """By the continued fraction of Q(a, x), Lentz's method carrying derivatives in a along."""
    b = x + 1 - a
    d = h = 1 / b
    dd = d * d
    c, dc = np.full_like(b, np.inf), np.zeros_like(b)
    log_slope = 1 / b
    for n in range(1, _MOST):
        top, dtop = -n * (n - a), float(n)
        b = b + 2
        dd = dtop * d + top * dd - 1
        d = 1 / (top * d + b)
        dd = -d * d * dd
        dc = -1 + dtop / c - top * dc / (c * c)
        c = b + top / c
        step, change = c * d, dc / c + dd / d
        h, log_slope = h * step, log_slope + change
        if not np.any(np.abs(step - 1) + np.abs(change / log_slope) > 1e-16):
            break
    return h * (log_x - special.digamma(a) + log_slope)


def _slope_large(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """By the expansion of Cornish and Fisher: x as a series in a^(-1/2) at a fixed normal z."""
    root = np.sqrt(a)
    z = (x - a) / root
    for _ in range(3):  # the correction is of the order of 1 / root
        z2 = z * z
        tail = z * (z2 - 7) / 36 - (3 * z2 * z2 + 7 * z2 - 16) / (810 * root)
        tail = tail + z * (9 * z2 * z2 + 256 * z2 - 433) / (38880 * a)
        z = (x - a - (z2 - 1) / 3 - tail / root) / root
    z2 = z * z
    slope = 1 + z / (2 * root) - z * (z2 - 7) / (72 * a * root)
    slope = slope + (3 * z2 * z2 + 7 * z2 - 16) / (810 * a * a)
    return (slope - z * (9 * z2 * z2 + 256 * z2 - 433) / (25920 * a * a * root)) / x


def _slope_samples():
    a = s.uniform((3, 4), 0.1, 9)
    yield (a, np.log(a + s.uniform((3, 4), 0.0, 9))), ()
    yield (a * 1e5, np.log(a * 1e5 + 10)), ()
    yield (a, np.log(a) - 3), ()


@host_function("gamma_slope", lambda a, log_x: a, None, _slope_samples)
def gamma_slope(a: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """d log x / d a of a gamma variable x of shape a whose distribution function keeps its value:
    the implicit reparameterisation of Figurnov, Mohamed and Mnih (2018)."""
    shape, log = _flat(a), _flat(log_x)
    out = np.full(shape.shape, np.nan)
    with np.errstate(all="ignore"):
        x = np.exp(log)
        valid = (shape > 0) & ~np.isnan(log)
        large = valid & (shape >= _LARGE)
        series = valid & ~large & (x < shape + 1)
        rest = valid & ~large & ~series
        out[large] = _slope_large(shape[large], x[large])
        out[series] = _slope_series(shape[series], x[series], log[series])
        out[rest] = _slope_fraction(shape[rest], x[rest], log[rest])
    return out.reshape(a.shape).astype(a.dtype)


# -- counts ---------------------------------------------------------------------------------------
def _searched(u: np.ndarray, p: np.ndarray, ratio: Callable, most: int) -> np.ndarray:
    """The smallest k at which the sum of the probabilities p_0 = p, p_(k + 1) = p_k ratio(k)
    exceeds u."""
    k, below = np.zeros_like(u), np.zeros_like(u)
    for n in range(most):
        below = below + p
        more = u >= below
        if not more.any():
            break
        k = k + more
        p = p * ratio(n)
    return k


def _poisson_samples():
    yield _counter_samples(s.uniform((3, 4), 0.1, 50)), ()
    yield _counter_samples(np.array([0.0, 0.5, 9.0, 2000.0])), ()


@host_function("poisson_draw", lambda rate, seed, offset: rate, None, _poisson_samples)
def poisson_draw(rate: np.ndarray, seed: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Poisson counts: Hörmann's transformed rejection (PTRS, 1993), below 10 a search."""
    if (rate < 0).any():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    lam = _flat(rate)
    big = lam >= 10

    def step(at: np.ndarray, u: np.ndarray) -> tuple:
        r = lam[at]
        small = _searched(u[0], np.exp(-np.where(big[at], 0, r)), lambda n: r / (n + 1), 200)
        b = 0.931 + 2.53 * np.sqrt(r)
        a = -0.059 + 0.02483 * b
        centred = u[0] - 0.5
        us = 0.5 - np.abs(centred)
        k = np.floor((2 * a / us + b) * centred + r + 0.43)
        quick = (us >= 0.07) & (u[1] <= 0.9277 - 3.6224 / (b - 2))
        height = np.log(u[1] * (1.1239 + 1.1328 / (b - 3.4)) / (a / (us * us) + b))
        under = height <= k * np.log(r) - r - special.lgamma(np.maximum(k, 0) + 1)
        tail = (k < 0) | ((us < 0.013) & (u[1] > us))
        ok = ~big[at] | quick | (~tail & under)
        return np.where(big[at], k, small), ok

    return _drawn(rate.shape, seed, offset, step).astype(rate.dtype)


def _binomial_samples():
    n = np.array([[0.0, 1, 5, 40], [100, 1000, 30, 7]])
    yield _counter_samples(n, s.uniform((2, 4), 0.05, 0.95)), ()


@host_function("binomial_draw", lambda n, p, seed, offset: n, None, _binomial_samples)
def binomial_draw(
    count: np.ndarray, p: np.ndarray, seed: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """Binomial counts: Hörmann's BTRS (1993), below a mean of 10 a search."""
    trials, chance = _flat(count), _flat(p)
    flipped = chance > 0.5
    chance = np.where(flipped, 1 - chance, chance)
    valid = (trials >= 0) & (chance >= 0)
    chance = np.where(valid, chance, 0.0)
    big = valid & (trials * chance >= 10)
    odds = chance / (1 - chance)

    def step(at: np.ndarray, u: np.ndarray) -> tuple:
        n, p, r = trials[at], chance[at], odds[at]
        none = np.exp(np.where(big[at], 0, n * np.log1p(-p)))
        small = _searched(u[0], none, lambda k: r * np.maximum(n - k, 0) / (k + 1), 200)
        spread = np.sqrt(n * p * (1 - p))
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * p
        centred = u[0] - 0.5
        us = 0.5 - np.abs(centred)
        k = np.floor((2 * a / us + b) * centred + n * p + 0.5)
        inside = (k >= 0) & (k <= n)
        quick = inside & (us >= 0.07) & (u[1] <= 0.92 - 4.2 / b)
        height = np.log(u[1] * (2.83 + 5.1 / b) * spread / (a / (us * us) + b))
        m = np.floor((n + 1) * p)
        kk = np.clip(k, 0, n)
        lg = special.lgamma
        middle, there = lg(m + 1) + lg(n - m + 1), lg(kk + 1) + lg(n - kk + 1)
        under = height <= middle - there + (k - m) * np.log(r)
        return np.where(big[at], k, np.minimum(small, n)), ~big[at] | quick | (inside & under)

    y = _drawn(count.shape, seed, offset, step).reshape(-1)
    y = np.where(valid, np.where(flipped, trials - y, y), np.nan)
    return y.reshape(count.shape).astype(count.dtype)


# -- von Mises ------------------------------------------------------------------------------------
def _von_mises_samples():
    yield _counter_samples(s.uniform((3, 4), 0.01, 50)), ()


@host_function("von_mises_draw", lambda k, seed, offset: k, None, _von_mises_samples)
def von_mises_draw(k: np.ndarray, seed: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Angles in [-pi, pi] around 0 of concentration k (Best and Fisher, 1979)."""
    kappa = _flat(k)
    with np.errstate(all="ignore"):
        tau = 1 + np.sqrt(1 + 4 * kappa * kappa)
        rho = (tau - np.sqrt(2 * tau)) / (2 * kappa)
        # near 0 the difference above loses its digits, and r tends to 1 / k + k
        ratio = np.where(kappa < 1e-4, 1 / kappa + kappa, (1 + rho * rho) / (2 * rho))

    def step(at: np.ndarray, u: np.ndarray) -> tuple:
        r = ratio[at]
        z = np.cos(np.pi * u[0])
        f = (1 + r * z) / (r + z)
        c = kappa[at] * (r - f)
        ok = (c * (2 - c) > u[1]) | (np.log(c / u[1]) + 1 >= c)
        return np.sign(u[2] - 0.5) * np.arccos(np.clip(f, -1, 1)), ok | ~(kappa[at] > 0)

    return _drawn(k.shape, seed, offset, step).astype(k.dtype)
