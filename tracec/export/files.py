"""Exported programs as .tcm archives; what is returned stands in the names of the outputs.

The output `out['loss'](1)` is item 1 of the tuple under the key `loss` of what the program returns;
`[1]` is an item of a list, and a `#` at the end says that it is a Python number.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

from tracec_ir.core import Module as IRModule
from tracec_runtime.archive import Signature, read, read_bytes, write
from tracec_runtime.standalone import Model

from ..jit.build import Slot, fill_slots
from ..jit.errors import ScriptError
from ..jit.running import LoadedModule
from ..jit.values import tensors_in
from ..nn import Module
from .program import ExportedProgram

_STEP = re.compile(r"\((\d+)\)|\[(\d+)\]|\['([^']+)'\]")


def save(
    ep: ExportedProgram, f: Any, *, extra_files: Any = None, opset_version: Any = None
) -> None:
    """Writes a program to a path or a binary file; `tracec_runtime.load` runs it, too.

    NotImplementedError for a program that changes buffers, draws random numbers, or returns
    something beside tensors and numbers.
    """
    if not isinstance(ep, ExportedProgram):
        raise TypeError(
            "The 'ep' parameter must be an instance of 'ExportedProgram', got "
            f"'{type(ep).__name__}' instead."
        )
    if extra_files:
        raise NotImplementedError("export.save with extra_files")
    built = ep._built
    if built is None:
        raise NotImplementedError("saving a loaded program; copy its file")
    if built.random or built.updates:
        raise ScriptError(
            "the program draws random numbers or changes its buffers, which a saved one cannot; "
            "call .eval() before exporting it"
        )
    weights = {name: t.detach()._array() for name, t in built.weights.items()}
    outputs: dict[int, str] = {}
    _name_outputs(built.structure, "out", outputs)
    plain = Signature.of(built.func, weights)
    names = tuple(outputs[i] for i in range(len(built.func.results)))
    signature = Signature(plain.inputs, names, plain.weights)
    if isinstance(f, (str, os.PathLike)):
        write(f, IRModule([built.func]), weights, signature)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "program.tcm")
        write(path, IRModule([built.func]), weights, signature)
        with open(path, "rb") as source:
            f.write(source.read())


def load(f: Any, *, extra_files: Any = None, expected_opset_version: Any = None) -> ExportedProgram:
    """The program that `save` wrote to a path or a binary file. ArchiveError for anything else."""
    archive = read(f) if isinstance(f, (str, os.PathLike)) else read_bytes(_bytes(f))
    model = Model(archive)
    loaded = LoadedModule(model)
    structure = _structure_of({name: i for i, name in enumerate(archive.signature.outputs)})
    return ExportedProgram(
        archive.entry, loaded.state_dict(), None, lambda: _Loaded(loaded, structure)
    )


def _bytes(f: io.BufferedIOBase) -> bytes:
    return f.read()


class _Loaded(Module):
    """A loaded program as a module with its weights as buffers; it computes no gradients."""

    def __init__(self, loaded: LoadedModule, structure: Any):
        super().__init__()
        self.__dict__.update(_loaded=loaded, _structure=structure)
        for path, t in loaded.state_dict().items():
            owner: Module = self
            *folders, name = path.split(".")
            for folder in folders:
                if folder not in owner._modules:
                    owner.add_module(folder, Module())
                owner = owner._modules[folder]
            owner.register_buffer(name, t)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        names = [n for n in self._loaded.inputs if n not in kwargs]
        tensors = tensors_in(args)
        if len(tensors) != len(names):
            raise ValueError(
                f"the program takes {len(names)} tensors ({', '.join(names)}), got {len(tensors)}"
            )
        out = self._loaded(**dict(zip(names, tensors)), **kwargs)
        return fill_slots(self._structure, list(out) if isinstance(out, tuple) else [out])


def _name_outputs(structure: Any, name: str, out: dict[int, str]) -> None:
    """Fills `out` with the names of the results, by number."""
    if isinstance(structure, Slot):
        out[structure.index] = name + "#" * structure.number
    elif isinstance(structure, (tuple, list)) and structure:
        brackets = "()" if isinstance(structure, tuple) else "[]"
        for i, item in enumerate(structure):
            _name_outputs(item, f"{name}{brackets[0]}{i}{brackets[1]}", out)
    elif isinstance(structure, Mapping) and structure:
        for key, item in structure.items():
            if not isinstance(key, str) or "'" in key or not key:
                raise NotImplementedError(f"saving a program that returns a dict with key {key!r}")
            _name_outputs(item, f"{name}['{key}']", out)
    else:
        raise NotImplementedError(f"saving a program that returns {structure!r}")


def _structure_of(outputs: dict[str, int]) -> Any:
    """What a program returns, from the names of its outputs."""
    return _nested({name.removeprefix("out"): i for name, i in outputs.items()})


def _nested(paths: dict[str, int]) -> Any:
    if len(paths) == 1 and next(iter(paths)) in ("", "#"):
        ((rest, index),) = paths.items()
        return Slot(index, rest == "#")
    groups: dict[tuple[int, str], dict[str, int]] = {}
    for path, index in paths.items():
        step = _STEP.match(path)
        if step is None:  # saved by script, which does not say
            slots = tuple(Slot(i) for i in sorted(paths.values()))
            return slots[0] if len(slots) == 1 else slots
        assert step.lastindex is not None
        key = step.lastindex, step[step.lastindex]
        groups.setdefault(key, {})[path[step.end() :]] = index
    kind = next(iter(groups))[0]
    items = {key: _nested(below) for (_, key), below in groups.items()}
    if kind == 3:
        return items
    ordered = [items[str(i)] for i in range(len(items))]
    return tuple(ordered) if kind == 1 else ordered
