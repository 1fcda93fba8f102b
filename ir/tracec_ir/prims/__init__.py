"""The primitives: strict operations with a type rule, a NumPy reference and a derivative."""

from . import (  # noqa: F401
    binary,
    compare,
    complex,
    constant,
    contract,
    control,
    fourier,
    gamma,
    host,
    indexed,
    movement,
    pointwise,
    random,
    reduce,
    sampling,
    scan,
    strided,
    unary,
)
