"""How a MaskedTensor prints: its elements in nested brackets, `--` for those that are hidden."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


def masked_text(data: Tensor, mask: Tensor) -> str:
    """The text of a pair of data and mask of one shape."""
    values, kept = data.tolist(), mask.tolist()
    if not data.dim():
        return f"MaskedTensor({_element(values) if kept else '--'}, {kept})"
    body = _rows(values, kept, data.dim())
    return "MaskedTensor(\n" + _indented(body) + "\n)"


def _element(value: Any) -> str:
    return f"{value:8.4f}" if isinstance(value, float) else str(value)


def _rows(values: list, kept: list, rank: int) -> str:
    if rank == 1:
        texts = [_element(v) for v in values]
        width = max([len(t) if k else 8 for t, k in zip(texts, kept)], default=0)
        shown = [t if k else "--".rjust(width) for t, k in zip(texts, kept)]
        return "[" + ", ".join(shown) + "]"
    rows = [_indented(_rows(v, k, rank - 1)) for v, k in zip(values, kept)]
    return "[\n" + ",\n".join(rows) + "\n]"


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.split("\n"))
