"""Orthogonal polynomials of real arguments and orders, by their three-term recurrences."""

from __future__ import annotations

import numpy as np

from .. import promote
from ..optable import composite
from ..prims.host import host_function, leading
from .common import shared
from .samples import of

# kind: (first polynomial P1 as (slope, offset), recurrence (x, k, Pk, Pk-1) -> Pk+1)
_CHEBYSHEV = lambda x, k, p, q: 2 * x * p - q  # noqa: E731
_KINDS = {
    "chebyshev_t": ((1, 0), _CHEBYSHEV),
    "chebyshev_u": ((2, 0), _CHEBYSHEV),
    "chebyshev_v": ((2, -1), _CHEBYSHEV),
    "chebyshev_w": ((2, 1), _CHEBYSHEV),
    "hermite_h": ((2, 0), lambda x, k, p, q: 2 * x * p - 2 * k * q),
    "hermite_he": ((1, 0), lambda x, k, p, q: x * p - k * q),
    "laguerre_l": ((-1, 1), lambda x, k, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)),
    "legendre_p": ((1, 0), lambda x, k, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)),
}


@host_function("polynomial", lambda x, n, kind: x, batch=leading)
def _np_polynomial(x: np.ndarray, n: np.ndarray, kind: str) -> np.ndarray:
    """The polynomials of orders n (cut to integers; 0 below 0) at x."""
    shifted = kind.startswith("shifted_")
    (slope, offset), step = _KINDS[kind.removeprefix("shifted_")]
    z = x.astype(np.float64)
    z = 2 * z - 1 if shifted else z
    order = np.trunc(n.astype(np.float64))
    before, now = np.ones_like(z), slope * z + offset
    out = np.where(order == 0, before, np.where(order == 1, now, 0.0))
    with np.errstate(all="ignore"):
        for k in range(1, int(order.max(initial=0))):
            before, now = now, step(z, k, now, before)
            out = np.where(order == k + 1, now, out)
    return out.astype(x.dtype)


@composite(nondiff=True, samples=of("f5", "i5<5", kind="legendre_p"))
def polynomial(b, x, n, *, kind):
    """The orthogonal polynomials of a kind and of orders n at x."""
    work = promote.result_type([x.type, n.type])
    x, n = shared(b, (x, n), promote.default_float if work.kind in "biu" else work)
    return b.emit("host", (x, n), {"fn": "polynomial", "options": (kind,)})[0]
