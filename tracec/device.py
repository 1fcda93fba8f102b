"""Devices: `torch.device`."""

from __future__ import annotations

_known: dict[tuple, Device] = {}


class Device:
    """A device such as `cpu` or `cuda:0`; equal ones are one object.

    Args:
        type: "cpu", "cuda", "meta", or a string with an index such as "cuda:1".
        index: ordinal of the device; None for the current one.
    """

    __slots__ = ("type", "index")

    def __new__(cls, type: str | Device = "cpu", index: int | None = None):
        if isinstance(type, Device):
            return type
        if isinstance(type, int):
            type, index = "cuda", type
        if not isinstance(type, str):
            raise TypeError(f"device(): argument 'type' must be str, not {type.__class__.__name__}")
        name, _, ordinal = type.partition(":")
        if ordinal:
            if index is not None:
                raise RuntimeError(
                    "type (string) must not include an index because index was passed "
                    f"explicitly: {type}"
                )
            if not ordinal.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            index = int(ordinal)
        if not name.isalpha():
            raise RuntimeError(f"Invalid device string: '{type}'")
        if name not in ("cpu", "cuda", "meta", "mps", "xpu"):
            raise RuntimeError(
                f"Expected one of cpu, cuda, meta device type at start of device string: {type}"
            )
        self = _known.get((name, index))
        if self is None:
            self = object.__new__(cls)
            self.type, self.index = name, index
            _known[name, index] = self
        return self

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self):
        return Device, (str(self),)

    def __enter__(self):
        from .creation import push_device

        push_device(self)
        return self

    def __exit__(self, *exc) -> None:
        from .creation import pop_device

        pop_device()


CPU = Device("cpu")


def resolve(device) -> Device:
    """The device a factory or `.to` was asked for; raises PyTorch's error where there is none."""
    if device is None:
        return CPU
    d = Device(device)
    if d.type == "cuda":
        from . import cuda

        cuda.require()
    elif d.type != "cpu":
        raise NotImplementedError(f"the device '{d}' is not supported by tracec; use 'cpu'")
    return CPU if d.type == "cpu" else d
