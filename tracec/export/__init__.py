"""PyTorch's ``torch.export``: whole modules as IR of stated sizes, saved and loaded."""

from __future__ import annotations

from .dynamic_shapes import Dim, DimHint, UserError, dims
from .files import load, save
from .program import ExportedProgram, export

__all__ = ["Dim", "DimHint", "ExportedProgram", "UserError", "dims", "export", "load", "save"]
