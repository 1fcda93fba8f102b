"""Anomaly detection: NaN gradients raise, naming the recorded line."""

from __future__ import annotations


class _State:
    on = False


class set_detect_anomaly:
    """Switches anomaly detection; also a context manager. Gradients are then checked for NaN
    when they are accumulated."""

    def __init__(self, mode: bool, check_nan: bool = True):
        self.before, _State.on = _State.on, mode

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc) -> None:
        _State.on = self.before


class detect_anomaly(set_detect_anomaly):
    """`with detect_anomaly():` checks gradients for NaN inside the block."""

    def __init__(self, check_nan: bool = True):
        super().__init__(True)


def check(tensor, g) -> None:
    """Raises RuntimeError if the gradient g of `tensor` has a NaN and detection is on."""
    if _State.on and bool(g.isnan().any()):
        raise RuntimeError(
            f"Function returned nan values in the gradient of a leaf of shape {list(tensor.shape)}."
        )
