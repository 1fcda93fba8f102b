"""Automatic mixed precision: the interface. Autocast itself is not implemented."""

from __future__ import annotations

import warnings


class autocast:
    """`autocast(device_type, enabled=False)` does nothing; enabled it is not implemented.

    Raises NotImplementedError when entered with `enabled=True`.
    """

    def __init__(
        self, device_type: str = "cpu", dtype=None, enabled: bool = True, cache_enabled=None
    ):
        self.device_type, self.dtype, self.enabled = device_type, dtype, enabled

    def __enter__(self) -> autocast:
        if self.enabled:
            raise NotImplementedError(
                "torch.autocast is not implemented; convert the model with .to(torch.bfloat16), "
                "or pass "
                "enabled=False"
            )
        return self

    def __exit__(self, *exc) -> None:
        return None

    def __call__(self, function):
        if self.enabled:
            raise NotImplementedError("torch.autocast is not implemented; pass enabled=False")
        return function


class GradScaler:
    """Loss scaling for float16 on CUDA; without CUDA it is disabled, with PyTorch's warning."""

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if enabled:
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                stacklevel=2,
            )
        self._enabled = False

    def is_enabled(self) -> bool:
        return self._enabled

    def scale(self, outputs):
        return outputs

    def unscale_(self, optimizer) -> None:
        """Gradients are not scaled."""

    def step(self, optimizer, *args, **kwargs):
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale=None) -> None:
        """There is no scale to update."""

    def get_scale(self) -> float:
        return 1.0

    def state_dict(self) -> dict:
        return {}

    def load_state_dict(self, state_dict: dict) -> None:
        """There is no state."""
