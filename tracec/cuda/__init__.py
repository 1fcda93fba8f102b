"""CUDA devices. Without a GPU and CuPy `is_available()` is False, and using one is an error; other
questions are answered as PyTorch's CPU build does, see `absent.py`."""

from __future__ import annotations

from functools import lru_cache

from ..absent import fill


@lru_cache(maxsize=1)
def device_count() -> int:
    """How many CUDA devices CuPy sees; 0 without CuPy or driver."""
    try:
        import cupy
    except ImportError:
        return 0
    try:
        return cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def is_available() -> bool:
    """Whether there is a GPU that can be used."""
    return device_count() > 0


def require() -> None:
    """Raises what PyTorch raises where no device can be used."""
    if not is_available():
        raise RuntimeError(
            "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and "
            "installed a "
            "driver from http://www.nvidia.com/Download/index.aspx"
        )
    raise NotImplementedError("tensors on CUDA devices are not supported yet by tracec")


fill(globals(), "CUDA")


def __getattr__(name: str):
    if name == "amp":
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    if name.endswith("Tensor"):
        from ..legacy import tensor_type

        value = tensor_type(name, "torch.cuda")
        if value is not None:
            globals()[name] = value
            return value
    raise AttributeError(f"module 'tracec.cuda' has no attribute '{name}'")
