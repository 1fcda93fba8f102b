"""Automatic mixed precision: `autocast` and `GradScaler`."""

from .autocast_mode import autocast, custom_bwd, custom_fwd, is_autocast_available
from .grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
for _f in (autocast, custom_bwd, custom_fwd, is_autocast_available, GradScaler):
    _f.__module__ = "tracec.amp"
