"""The modules of accelerators that are not there: what device-agnostic programs ask on a machine
with a CPU only is answered as PyTorch's CPU build does; the rest raises its errors."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NoReturn


def refusing(name: str, kind: type[Exception], text: str) -> Callable[..., NoReturn]:
    """A function of that name which raises `kind` with the text."""

    def fn(*args: Any, **kwargs: Any) -> NoReturn:
        raise kind(text)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Raises {kind.__name__}: there is no such device."
    return fn


def _answering(name: str, value: Any, doc: str) -> Callable[..., Any]:
    def fn(*args: Any, **kwargs: Any) -> Any:
        return type(value)() if isinstance(value, (dict, list)) else value

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    return fn


def placeholder(name: str, module: str, kind: type[Exception], text: str) -> type:
    """A class that can be named and asked about with isinstance, and not instantiated."""

    def new(cls: type, *args: Any, **kwargs: Any) -> NoReturn:
        raise kind(text)

    return type(name, (), {"__new__": new, "__module__": module, "__doc__": "Not available here."})


_NOTHING = ("manual_seed", "manual_seed_all", "seed", "seed_all", "empty_cache")
_COUNTS = ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved",
           "memory_cached", "max_memory_cached")  # fmt: skip
_REFUSED = ("current_device", "get_device_name", "get_device_capability", "get_device_properties",
            "synchronize", "current_stream", "default_stream", "mem_get_info", "init",
            "ipc_collect", "initial_seed", "get_rng_state", "set_rng_state",
            "reset_peak_memory_stats",
            "reset_accumulated_memory_stats", "set_per_process_memory_fraction")  # fmt: skip


class Device:
    """The context in which a device is the current one: with none, or a negative index, nothing
    changes; entering another raises AssertionError."""

    _text = ""

    def __init__(self, device: Any):
        self.device = device

    def __enter__(self) -> None:
        if isinstance(self.device, int) and self.device < 0 or self.device is None:
            return
        raise AssertionError(self._text)

    def __exit__(self, *error: Any) -> None:
        pass


class StreamContext:
    """The context in which a stream is the current one; there is only None."""

    def __init__(self, stream: Any):
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass


def fill(namespace: dict[str, Any], title: str) -> None:
    """Sets in a module's namespace what PyTorch's module of this accelerator (CUDA, XPU) has there
    without one; names that the module defines itself stay."""
    module = namespace["__name__"]
    text = f"Torch not compiled with {title} enabled"
    made: dict[str, Any] = {n: _answering(n, None, "Does nothing.") for n in _NOTHING}
    made.update({n: _answering(n, 0, "0 bytes: there is no device.") for n in _COUNTS})
    made.update({n: refusing(n, AssertionError, text) for n in _REFUSED})
    for name, value in (("is_available", False), ("device_count", 0), ("is_initialized", False),
                        ("is_bf16_supported", False), ("is_tf32_supported", False),
                        ("memory_stats", OrderedDict()), ("get_arch_list", []),
                        ("get_rng_state_all", []), ("memory_snapshot", [])):  # fmt: skip
        made[name] = _answering(name, value, f"{value!r}: there is no device.")
    made["device"] = type("device", (Device,), {"_text": text, "__module__": module})
    made["StreamContext"], made["stream"] = StreamContext, StreamContext
    for name in ("Stream", "Event"):
        made[name] = placeholder(name, module, RuntimeError,
                                 f"Tried to instantiate dummy base class {name}")  # fmt: skip

    def set_device(device: Any) -> None:
        """Makes a device the current one: a negative index changes nothing, others are refused."""
        if not (isinstance(device, int) and device < 0):
            raise AssertionError(text)

    made["set_device"] = set_device
    for name, value in made.items():
        namespace.setdefault(name, value)
