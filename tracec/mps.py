"""Apple GPUs: there are none."""

from __future__ import annotations

from typing import Any

from .absent import refusing

_REFUSED = {
    "synchronize": "deviceSynchronize",
    "empty_cache": "emptyCache",
    "current_allocated_memory": "getCurrentAllocatedMemory",
    "driver_allocated_memory": "getDriverAllocatedMemory",
    "recommended_max_memory": "getRecommendedMaxMemory",
    "get_rng_state": "getDefaultGenerator",
    "set_rng_state": "getDefaultGenerator",
    "seed": "getDefaultGenerator",
    "set_per_process_memory_fraction": "setMemoryFraction",
    "Event": "acquireEvent",
}
for _name, _what in _REFUSED.items():
    globals()[_name] = refusing(
        _name, RuntimeError, f"Cannot execute {_what}() without MPS backend."
    )


def is_available() -> bool:
    return False


def device_count() -> int:
    return 0


def manual_seed(seed: Any) -> None:
    """Seeds the generator of the device, of which there is none."""
