"""CUDA devices. Without a GPU and CuPy `is_available()` is False, and using one is an error."""

from __future__ import annotations

from functools import lru_cache

from ..device import Device


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


def current_device() -> int:
    require()
    return 0


def synchronize(device=None) -> None:
    require()


def empty_cache() -> None:
    """Frees cached device memory; there is none without a device."""


def manual_seed(seed: int) -> None:
    """Seeds the generator of the current device, if there is one."""


def manual_seed_all(seed: int) -> None:
    """Seeds the generators of all devices, of which there may be none."""


def is_initialized() -> bool:
    return False


def get_device_name(device=None) -> str:
    require()
    return str(Device(device or "cuda"))


def memory_allocated(device=None) -> int:
    return 0


def max_memory_allocated(device=None) -> int:
    return 0


def __getattr__(name: str):
    if name == "amp":
        from importlib import import_module

        return import_module(f"{__name__}.amp")
    raise AttributeError(f"module 'tracec.cuda' has no attribute '{name}'")
