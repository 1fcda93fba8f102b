"""Which transports there are, and the names programs give them."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib.util import find_spec

default_pg_timeout = timedelta(minutes=30)
NAMES = ("undefined", "gloo", "nccl", "ucc", "mpi", "xccl")


class Backend(str):
    """The name of a backend in lower case: `Backend("GLOO") == "gloo"`.

    ValueError for what is not a string.
    """

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"
    XCCL = "xccl"
    backend_list = list(NAMES)

    def __new__(cls, name: str) -> str:
        if not isinstance(name, str):
            raise ValueError("Backend constructor parameter must be string-ish")
        return name.lower()


def is_available() -> bool:
    """Whether several processes can be joined: whether mpi4py is installed (it is not imported)."""
    return find_spec("mpi4py") is not None


def is_mpi_available() -> bool:
    """Whether the backend "mpi" exists for several processes."""
    return is_available()


def is_gloo_available() -> bool:
    """Whether the backend "gloo" exists; it always does for one process, over MPI for more."""
    return True


def is_nccl_available() -> bool:
    return False


def is_ucc_available() -> bool:
    return False


def is_xccl_available() -> bool:
    return False


def is_backend_available(backend: str) -> bool:
    """Whether a group can be made with the backend of this name."""
    available = {"gloo": is_gloo_available, "mpi": is_mpi_available}.get(backend.lower())
    return available is not None and available()


def is_torchelastic_launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def get_default_backend_for_device(device) -> str:
    """The backend for tensors on a device: "gloo" on the CPU, "nccl" on CUDA devices."""
    from ..device import Device

    kind = Device(device).type
    found = {"cpu": "gloo", "cuda": "nccl"}.get(kind)
    if found is None:
        raise ValueError(f"Default backend not registered for device : {kind}")
    return found


def chosen(backend: str | None) -> str:
    """The backend that `init_process_group(backend)` means for CPU tensors.

    RuntimeError for backends of devices that are not supported, ValueError for unknown names.
    """
    if backend is None:
        return "undefined"
    name = Backend(backend)
    for part in name.split(","):  # "cpu:gloo,cuda:nccl"
        device, colon, of_device = part.partition(":")
        if colon and device == "cpu":
            name = of_device
    if name in ("nccl", "ucc", "xccl"):
        raise RuntimeError(f"Distributed package doesn't have {name.upper()} built in")
    if name not in ("gloo", "mpi", "undefined"):
        raise ValueError(f"Invalid backend: '{backend}'; there are 'mpi' and 'gloo'")
    return name
