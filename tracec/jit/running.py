"""Running built scripts, and loading saved ones into the framework."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tracec_ir import promote
from tracec_ir.core import Module
from tracec_runtime.archive import Archive, Signature
from tracec_runtime.standalone import Model
from tracec_runtime.standalone import load as load_standalone

from ..creation import from_numpy
from ..tensor import Tensor
from .build import Built
from .values import tensors_in


class Executable:
    """A built script ready to run: its IR in the runtime, bound to the tensors' present memory."""

    def __init__(self, built: Built):
        weights = [t.detach()._array() for t in built.weights.values()]
        named = dict(zip(built.weights, weights, strict=True))
        signature = Signature.of(built.func, named)
        archive = Archive(Module([built.func]), named, signature, promote.default_float, {})
        self.model = Model(archive)
        self._built = built
        self._buffers = [t._st.buf for t in built.weights.values()]

    def __call__(self, values: list[Any]) -> list[Any]:
        """The results for the inputs, all of them arrays or numbers."""
        tensors = list(self._built.weights.values())
        arrays = [t.detach()._array() for t in tensors]  # computes what is pending
        buffers = [t._st.buf for t in tensors]
        if any(a is not b for a, b in zip(buffers, self._buffers, strict=True)):
            self.model.rebind(arrays)
            self._buffers = buffers
        return self.model.run(*values)


def fits(built: Built, arguments: Mapping[str, Any]) -> bool:
    """Whether the function works for the sizes of these arguments."""
    if built.executable is None:
        built.executable = Executable(built)
    return built.executable.model.accepts(*_leaves(arguments, built))


def execute(built: Built, arguments: Mapping[str, Any]) -> list[Tensor]:
    """The function's results for arguments by parameter name."""
    if built.executable is None:
        built.executable = Executable(built)
    return [from_numpy(np.asarray(v)) for v in built.executable(_leaves(arguments, built))]


def _leaves(arguments: Mapping[str, Any], built: Built) -> list[Any]:
    """The arguments that are inputs of the function, in its order."""
    flat: dict[str, Any] = {}

    def visit(name: str, value: Any) -> None:
        flat[name] = value
        if isinstance(value, (tuple, list)):
            for i, item in enumerate(value):
                visit(f"{name}_{i}", item)

    for name, value in arguments.items():
        visit(name, value)
    return [_value(flat[name]) for name in built.inputs]


def _value(x: Any) -> Any:
    return x.detach()._array() if isinstance(x, Tensor) else x


class LoadedModule:
    """A saved model as a function of tensors."""

    def __init__(self, source: str | os.PathLike[str] | Model):
        self._model = source if isinstance(source, Model) else load_standalone(source)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(t.requires_grad for t in tensors_in([args, kwargs])):
            from .. import is_grad_enabled

            if is_grad_enabled():
                raise NotImplementedError("gradients through a loaded model; load it under no_grad")
        out = self._model.run(*map(_value, args), **{k: _value(v) for k, v in kwargs.items()})
        results = tuple(from_numpy(np.asarray(v)) for v in out)
        return results[0] if len(results) == 1 else results

    forward = __call__

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs, in order."""
        return [name for name, _ in self._model.inputs]

    @property
    def graph(self) -> str:
        """The IR as text."""
        return str(self._model.archive.entry)

    def eval(self) -> LoadedModule:
        """The model itself: it was saved as it runs."""
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """The weights by name."""
        return {n: from_numpy(np.array(a)) for n, a in self._model.archive.weights.items()}

    def __repr__(self) -> str:
        return f"<LoadedModule {self._model.signature}>"


def load(f: str | os.PathLike[str], map_location: Any = None) -> LoadedModule:
    """The model saved at `f`, callable on tensors."""
    return LoadedModule(f)
