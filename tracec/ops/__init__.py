"""PyTorch's spelling of the ops: thin functions that parse arguments and record one instruction.

Where a function appears (namespace, method, nn.functional, ...) is said at its definition, see
`face.py`; its meaning is in the op table (`tracec_ir`), which loads at the first recording.
"""

from __future__ import annotations

from typing import Any

from . import (  # noqa: F401
    convert,
    differences,
    face,
    factorization,
    fourier,
    host,
    index,
    linalg,
    lowrank,
    network,
    operators,
    pointwise,
    products,
    random,
    reduction,
    sampling,
    shape,
    short_time,
    spatial,
    special,
    windows,
)


def install(namespace: dict[str, Any], tensor: type) -> None:
    """Puts the functions into the top-level namespace and the methods into Tensor."""
    face.install(namespace, "torch")
    face.install(tensor, "method")


def __getattr__(name: str) -> Any:
    try:
        value = face.every()[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    globals()[name] = value  # from now on an ordinary attribute
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *face.every()})
