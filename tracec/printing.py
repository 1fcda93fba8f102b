"""How tensors print: PyTorch's layout of numbers, brackets and suffixes."""

from __future__ import annotations

import math

from tracec_ir import dtypes, promote


class Options:
    """What `set_printoptions` sets."""

    precision = 4
    threshold = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
) -> None:
    """Sets how tensors print: digits, how many elements before summarising, line length, whether
    numbers are in scientific notation (None: as needed)."""
    if profile is not None:
        for key, value in _PROFILES[profile].items():
            setattr(Options, key, value)
    for key, value in (
        ("precision", precision),
        ("threshold", threshold),
        ("edgeitems", edgeitems),
        ("linewidth", linewidth),
    ):
        if value is not None:
            setattr(Options, key, value)
    Options.sci_mode = sci_mode


class _Numbers:
    """The common format of all numbers shown: width, and fixed, integral or scientific."""

    def __init__(self, values, floating: bool):
        self.floating, self.width, self.whole, self.scientific = floating, 1, True, False
        values = list(values)
        if not floating:
            self.width = max([1, *(len(str(v)) for v in values)])
            return
        finite = [abs(v) for v in values if math.isfinite(v) and v != 0]
        if finite:
            low, high = min(finite), max(finite)
            self.whole = all(v == math.ceil(v) for v in finite)
            wide = high / low > 1000.0 or high > 1.0e8
            self.scientific = wide if self.whole else wide or low < 1.0e-4
        if Options.sci_mode is not None:
            self.scientific = Options.sci_mode
        self.width = max([1, *(len(self._text(v)) for v in values if math.isfinite(v) and v != 0)])

    def _text(self, v) -> str:
        if not self.floating:
            return str(v)
        if not math.isfinite(v):
            return str(v)
        if self.scientific:
            return f"{v:.{Options.precision}e}"
        return f"{v:.0f}." if self.whole else f"{v:.{Options.precision}f}"

    def __call__(self, v) -> str:
        return self._text(v).rjust(self.width)


def _vector(items: list, indent: int, fmt, summarize: bool) -> str:
    per_line = max(1, (Options.linewidth - indent) // (fmt.width + 2))
    edge = Options.edgeitems
    if summarize and not edge:
        texts = ["..."]
    elif summarize and len(items) > 2 * edge:
        texts = [fmt(v) for v in items[:edge]] + [" ..."] + [fmt(v) for v in items[-edge:]]
    else:
        texts = [fmt(v) for v in items]
    lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(array, indent: int, fmt, summarize: bool) -> str:
    if array.ndim == 0:
        return fmt(array.item())
    if array.ndim == 1:
        return _vector(array.tolist(), indent, fmt, summarize)
    edge = Options.edgeitems
    n = array.shape[0]
    if summarize and n > 2 * edge:
        parts = [_nested(array[i], indent + 1, fmt, True) for i in range(edge)] + ["..."]
        parts += [_nested(array[i], indent + 1, fmt, True) for i in range(n - edge, n)]
    else:
        parts = [_nested(array[i], indent + 1, fmt, summarize) for i in range(n)]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _shown(array):
    """The elements that a summary keeps."""
    import numpy as np

    edge = Options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            keep = [*range(edge), *range(n - edge, n)]
            array = np.take(array, keep, axis)
    return array


def contents(t, indent: int) -> str:
    """The bracketed numbers of a tensor."""
    array = t.detach()._array()
    if t.dtype.code in ("bf16", "f16"):
        array = array.astype("float32")
    summarize = array.size > Options.threshold
    shown = (_shown(array) if summarize else array).reshape(-1)
    if t.dtype.kind == "c":
        return _complex(array, shown, indent, summarize)
    fmt = _Numbers(shown.tolist(), t.dtype.kind == "f")
    return _nested(array, indent, fmt, summarize)


def _complex(array, shown, indent: int, summarize: bool) -> str:
    real, imag = _Numbers(shown.real.tolist(), True), _Numbers(shown.imag.tolist(), True)

    def fmt(v) -> str:
        sign = "-" if math.copysign(1, v.imag) < 0 else "+"
        return f"{real(v.real)}{sign}{imag(abs(v.imag)).lstrip()}j"

    fmt.width = real.width + imag.width + 1  # type: ignore[attr-defined]
    return _nested(array, indent, fmt, summarize)


def tensor_text(t) -> str:
    """`repr(t)`, with the suffixes that tell dtype, size and autograd state."""
    prefix = "tensor("
    start = len(prefix)
    graph = t.grad_fn  # while the trace that knows it is open
    suffixes = []
    if t.device.type != "cpu":
        suffixes.append(f"device='{t.device}'")
    implied = t.dtype in (promote.default_float, dtypes.i64, dtypes.b1) or (
        t.dtype is promote.default_float.to_complex()
    )
    if t.numel() == 0:
        body = "[]"
        if t.dim() != 1:
            suffixes.append(f"size={tuple(t.shape)}")
        if t.dtype is not promote.default_float:
            suffixes.append(f"dtype={t.dtype}")
    else:
        body = contents(t, start)
        if not implied:
            suffixes.append(f"dtype={t.dtype}")
    if t.requires_grad:
        if t.is_leaf:
            suffixes.append("requires_grad=True")
        else:
            suffixes.append(f"grad_fn=<{graph.name()}>")
    text = prefix + body
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > Options.linewidth:
            text += ",\n" + " " * start + suffix
            last = start + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"
