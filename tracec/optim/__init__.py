"""PyTorch's ``torch.optim``: optimizers and learning-rate schedulers."""

from __future__ import annotations

from typing import Any

from .adam import Adam, AdamW
from .optimizer import Optimizer
from .sgd import SGD

# Where the names live that load on first use.
_HOME = {
    "Adagrad": "adaptive", "Adadelta": "adaptive", "RMSprop": "adaptive", "Adamax": "adaptive",
    "NAdam": "moments", "RAdam": "moments", "ASGD": "averaged", "Rprop": "averaged",
    "Adafactor": "matrix", "Muon": "matrix", "LBFGS": "lbfgs",
}  # fmt: skip
_SUBMODULES = ("lr_scheduler", "swa_utils")

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", *_HOME, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
