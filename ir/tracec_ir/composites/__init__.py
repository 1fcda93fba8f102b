"""Composite ops: PyTorch's semantics as functions over primitives, one family a file."""

from . import (  # noqa: F401
    activation,
    attention,
    conv,
    elementwise,
    embedding,
    index,
    linalg,
    loss,
    matmul,
    norm,
    optim,
    pool,
    random,
    reduce,
    resample,
    scan_sort,
    scatter,
    shape,
    softmax,
    statistics,
)
