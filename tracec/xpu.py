"""Intel GPUs: there are none."""

from __future__ import annotations

from .absent import fill

fill(globals(), "XPU")
