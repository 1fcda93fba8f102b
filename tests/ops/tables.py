"""Prints ir/tracec_ir/composites/bessel_tables.py: `python -m tests.ops.tables` (needs mpmath).

Each table holds the Chebyshev coefficients of a smooth factor of a special function on an interval,
computed with 40 digits from the function's definition and cut where they fall below 1e-17.
"""

from __future__ import annotations

import textwrap

import mpmath as mp

mp.mp.dps = 40


def chebyshev(f, low, high, nodes: int = 80) -> list[float]:
    """The Chebyshev coefficients of f on [low, high], c[0] halved already."""
    low, high = mp.mpf(low), mp.mpf(high)
    angles = [mp.pi * (k + mp.mpf(1) / 2) / nodes for k in range(nodes)]
    values = [f((low + high) / 2 + (high - low) / 2 * mp.cos(a)) for a in angles]
    c = [
        2 * mp.fsum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) / nodes
        for j in range(nodes)
    ]
    c[0] /= 2
    top = max(abs(v) for v in c)
    last = max(j for j, v in enumerate(c) if abs(v) > top * mp.mpf("1e-17"))
    return [float(v) for v in c[: last + 1]]


def modulus_phase(order: int):
    """P and Q of Hankel's expansion at x = 8 / u: J = sqrt(2 / (pi x)) (P cos c - Q sin c), Y with
    sin and cos exchanged, c = x - (2 order + 1) pi / 4."""

    def parts(v):
        u = mp.sqrt(v)
        x = 8 / u
        c = x - (2 * order + 1) * mp.pi / 4
        j, y = mp.besselj(order, x), mp.bessely(order, x)
        scale = mp.sqrt(mp.pi * x / 2)
        p = scale * (j * mp.cos(c) + y * mp.sin(c))
        q = scale * (y * mp.cos(c) - j * mp.sin(c))
        return p, q / u

    tiny = mp.mpf("1e-12")  # Q / u has a limit at 0
    return (lambda v: parts(max(v, tiny))[0]), (lambda v: parts(max(v, tiny))[1])


def root(x):
    return mp.sqrt(x)


def zeta_of(x):
    return mp.mpf(2) / 3 * x ** mp.mpf("1.5")


def airy_far(v):
    """2 sqrt(pi) x^(1/4) exp(z) Ai(x) at z = 2/3 x^(3/2) = 1 / v."""
    z = 1 / max(v, mp.mpf("1e-6"))
    x = (mp.mpf(3) / 2 * z) ** (mp.mpf(2) / 3)
    return 2 * mp.sqrt(mp.pi) * x ** mp.mpf("0.25") * mp.exp(z) * mp.airyai(x)


def airy_oscillating(which: int):
    """The two factors of Ai(-x) = (f sin(z + pi/4) - g cos(z + pi/4)) / (sqrt(pi) x^(1/4)), of
    1 / z^2 = v; the second divided by 1 / z."""

    def f(v):
        z = 1 / mp.sqrt(max(v, mp.mpf("1e-10")))
        x = (mp.mpf(3) / 2 * z) ** (mp.mpf(2) / 3)
        scale = mp.sqrt(mp.pi) * x ** mp.mpf("0.25")
        a, b = scale * mp.airyai(-x), scale * mp.airybi(-x)
        s, c = mp.sin(z + mp.pi / 4), mp.cos(z + mp.pi / 4)
        return a * s + b * c if which == 0 else (b * s - a * c) * z

    return f


def _j1_over_x(v):
    x = root(max(v, mp.mpf("1e-20")))
    return mp.besselj(1, x) / x


def _erfcx_factor(t):
    if t >= 1:
        return 2 / mp.sqrt(mp.pi)
    x = mp.mpf("3.75") * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x**2) * mp.erfc(x)


def _y0_rest(v):
    x = root(max(v, mp.mpf("1e-24")))
    return mp.bessely(0, x) - 2 / mp.pi * mp.log(x) * mp.besselj(0, x)


def _y1_rest(v):
    x = root(max(v, mp.mpf("1e-12")))
    rest = mp.bessely(1, x) - 2 / mp.pi * (mp.log(x) * mp.besselj(1, x) - 1 / x)
    return rest / x


def _k0_rest(v):
    x = root(max(v, mp.mpf("1e-24")))
    return mp.besselk(0, x) + mp.log(x / 2) * mp.besseli(0, x)


def _k1_rest(v):
    x = root(max(v, mp.mpf("1e-12")))
    return x * (mp.besselk(1, x) - mp.log(x / 2) * mp.besseli(1, x))


def _far(f, scale):
    """f at x = scale / u times sqrt(x)."""
    def g(u):
        x = scale / max(u, mp.mpf("1e-9"))
        return mp.sqrt(x) * f(x)

    return g


P0, Q0 = modulus_phase(0)
P1, Q1 = modulus_phase(1)
TABLES = {
    "I0_NEAR": (lambda x: mp.exp(-x) * mp.besseli(0, x), 0, 8),
    "I0_FAR": (_far(lambda x: mp.exp(-x) * mp.besseli(0, x), 8), 0, 1),
    "I1_NEAR": (lambda x: mp.exp(-x) * (mp.besseli(1, x) / x if x else mp.mpf("0.5")), 0, 8),
    "I1_FAR": (_far(lambda x: mp.exp(-x) * mp.besseli(1, x), 8), 0, 1),
    "K0_NEAR": (_k0_rest, 0, 4),
    "K0_FAR": (_far(lambda x: mp.exp(x) * mp.besselk(0, x), 2), 0, 1),
    "K1_NEAR": (_k1_rest, 0, 4),
    "K1_FAR": (_far(lambda x: mp.exp(x) * mp.besselk(1, x), 2), 0, 1),
    "J0_NEAR": (lambda v: mp.besselj(0, root(v)), 0, 64),
    "J1_NEAR": (_j1_over_x, 0, 64),
    "Y0_NEAR": (_y0_rest, 0, 64),
    "Y1_NEAR": (_y1_rest, 0, 64),
    "P0": (P0, 0, 1),
    "Q0": (Q0, 0, 1),
    "P1": (P1, 0, 1),
    "Q1": (Q1, 0, 1),
    "AIRY_NEAR": (mp.airyai, -5, 2),
    "AIRY_FAR": (airy_far, 0, mp.mpf("0.54")),
    "AIRY_SIN": (airy_oscillating(0), 0, mp.mpf("0.0182")),
    "AIRY_COS": (airy_oscillating(1), 0, mp.mpf("0.0182")),
    "ERFCX": (_erfcx_factor, -1, 1),
}  # fmt: skip


TITLE = (
    "Chebyshev coefficients of smooth factors of special functions; made by tests.ops.tables."
)


def main() -> None:
    print(f'"""{TITLE}"""')
    for name, (f, low, high) in TABLES.items():
        numbers = ", ".join(map(repr, chebyshev(f, low, high)))
        rows = textwrap.wrap(numbers, 94, break_on_hyphens=False)
        print(f"\n# on [{low}, {high}]\n{name} = (")
        print("\n".join("    " + row for row in rows) + ",\n)  # fmt: skip")


if __name__ == "__main__":
    main()
