"""The current accelerator, whatever its kind: there is none."""

from __future__ import annotations

from typing import Any

from .absent import refusing

_TEXT = "Cannot access accelerator device when none is available."
_REFUSED = """
current_device_idx current_device_index current_stream set_stream empty_cache empty_host_cache
get_device_capability get_memory_info max_memory_allocated max_memory_reserved memory_allocated
memory_reserved memory_stats reset_accumulated_memory_stats reset_peak_memory_stats set_device_idx
set_device_index synchronize Graph
"""
for _name in _REFUSED.split():
    globals()[_name] = refusing(_name, RuntimeError, _TEXT)


def is_available() -> bool:
    """Whether there is an accelerator: tensors live on the CPU."""
    return False


def device_count() -> int:
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """The accelerator as a device, or None."""
    return None


class device_index:
    """The context in which a device has this index; None changes nothing."""

    def __init__(self, device: int | None, /):
        self.idx = device

    def __enter__(self) -> None:
        if self.idx is not None:
            raise RuntimeError(_TEXT)

    def __exit__(self, *error: Any) -> None:
        pass
