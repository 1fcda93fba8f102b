"""Switches of PyTorch for deterministic kernels and repeated warnings. Results here are always
deterministic; what was asked for is remembered and told."""

from __future__ import annotations

from typing import Any

_MODES = ("default", "warn", "error")
_state: dict[str, Any] = {"debug": 0, "fill": True, "always": False}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for deterministic operations, which all are."""
    _state["debug"] = 0 if not mode else 1 if warn_only else 2


def are_deterministic_algorithms_enabled() -> bool:
    """Whether deterministic operations were asked for."""
    return _state["debug"] > 0


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    return _state["debug"] == 1


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """0 or "default", 1 or "warn", 2 or "error"."""
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = _MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _state["debug"] = debug_mode


def get_deterministic_debug_mode() -> int:
    return _state["debug"]


def set_warn_always(b: bool, /) -> None:
    """Whether warnings that appear once should appear every time; Python's filters decide here."""
    _state["always"] = bool(b)


def is_warn_always_enabled() -> bool:
    return _state["always"]
