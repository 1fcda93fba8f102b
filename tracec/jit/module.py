"""What `script` gives: callables with their IR, which save themselves as archives."""

from __future__ import annotations

import inspect
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tracec_ir.core import Module as IRModule
from tracec_ir.types import ScalarType

from .. import record
from ..tensor import Tensor
from .build import Built, build, fill_slots, parameters_of
from .calls import is_own
from .errors import ORDINARY, ScriptError
from .inputs import Wanted, attempts, fix_sizes, of_annotation, of_example, sizes_of
from .running import execute, fits
from .values import Pending


class _Scripted:
    """What scripted functions and modules share: translations by the kinds of arguments."""

    original: Any
    traced = False

    def _setup(self, original: Any, callee: Any, name: str, owner: Any, examples: Any) -> None:
        put = self.__dict__.__setitem__
        put("original", original)
        put("_callee", callee)
        put("_name", name)
        put("_owner", owner)
        put("_built", {})
        put("_own", owner is not None and is_own(owner))
        put("_latest", None)
        put("_examples", examples)

    # -- building ----------------------------------------------------------------------------------
    def _bind(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arguments by parameter, and the kind of each; defaults are constants."""
        bound = inspect.signature(self._callee).bind(*args, **kwargs)
        given = set(bound.arguments)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        kinds = {n: _kind(n, v) if n in given else v for n, v in arguments.items()}
        if self.traced or self._own:  # Python itself runs the code: numbers are constants
            kinds = {n: arguments[n] if isinstance(k, ScalarType) else k for n, k in kinds.items()}
        return arguments, kinds

    def _for(self, kinds: dict[str, Any], arguments: Mapping[str, Any] | None = None) -> Built:
        """The IR for arguments of these kinds; with `arguments` it also fits their sizes."""
        key = (tuple((k, _key(v)) for k, v in kinds.items()), self._state())
        candidates = self._built.setdefault(key, [])
        for found in candidates:
            if arguments is None or fits(found, arguments):
                break
        else:
            found = self._build(kinds, arguments)
            candidates.append(found)
        self.__dict__["_latest"] = (key[1], found)
        return found

    def _build(self, kinds: dict[str, Any], arguments: Mapping[str, Any] | None) -> Built:
        if arguments is None:
            return build(self._callee, kinds, self._name, self._owner, None, self.traced)
        sizes = sizes_of(kinds, arguments)
        failure: Exception | None = None
        for fixed, exact in attempts(sizes):
            given = fix_sizes(kinds, fixed)
            hints = sizes if exact else None
            try:
                built = build(self._callee, given, self._name, self._owner, hints, self.traced)
            except ScriptError as error:
                if not error.by_size:
                    raise
                failure = error
                continue
            except ORDINARY as error:
                failure = error
                continue
            if fits(built, arguments):
                return built
        raise failure or ScriptError(f"{self._name} cannot be translated for these sizes")

    def _state(self) -> Any:
        """What the IR depends on beside the arguments: the modules' training flags."""
        if self._owner is None:
            return ()
        return tuple(m.training for m in self._owner.modules())

    def _default(self) -> Built:
        """The IR to save: that of the latest call or the examples, else of what the code says."""
        if self._examples is not None:
            return self._of_examples(self._examples)
        if self._latest is not None and self._latest[0] == self._state():
            return self._latest[1]
        kinds: dict[str, Any] = {}
        for name, p in parameters_of(self._callee).items():
            if p.default is not p.empty:
                kinds[name] = p.default
            else:
                kinds[name] = of_annotation(p.annotation) or Pending(name)
        latest = self._latest
        try:
            return self._for(kinds)
        except TypeError as error:
            raise ScriptError(
                f"{error}\nThis code does not work with symbolic sizes; give example_inputs, and "
                "the sizes that it needs as numbers are fixed"
            ) from error
        finally:
            self.__dict__["_latest"] = latest

    def _of_examples(self, examples: Sequence[Any]) -> Built:
        arguments, kinds = self._bind(tuple(examples), {})
        return self._for(kinds, arguments)

    # -- running -----------------------------------------------------------------------------------
    def _run(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        arguments, kinds = self._bind(args, kwargs)
        if self._needs_gradients(arguments):
            return self._eager(args, kwargs)  # the same program, recorded with its gradients
        built = self._for(kinds, arguments)
        if built.random:
            return self._eager(args, kwargs)  # the generator's state is not part of a script
        return run_built(built, arguments)

    def _needs_gradients(self, arguments: Mapping[str, Any]) -> bool:
        if not record.current().grad:
            return False
        if self._owner is not None and any(p.requires_grad for p in self._owner.parameters()):
            return True
        from .values import tensors_in

        return any(t.requires_grad for t in tensors_in(dict(arguments)))

    def _eager(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return self.original(*args, **kwargs)

    # -- looking and saving ------------------------------------------------------------------------
    @property
    def graph(self) -> str:
        """The IR as text."""
        return str(self._default().func)

    @property
    def code(self) -> str:
        """The Python source that was scripted."""
        return textwrap.dedent(inspect.getsource(self._callee))

    def save(
        self, path: str | os.PathLike[str], example_inputs: Sequence[Any] | None = None
    ) -> None:
        """Writes the model as one .tcm file, which `tracec_runtime.load` runs on its own.

        Sizes of inputs are dynamic. `example_inputs` say rank and dtype of inputs where neither an
        earlier call nor the first layer does.
        """
        from tracec_runtime.archive import write

        if example_inputs is not None:
            built = self._of_examples(example_inputs)
        else:
            built = self._default()
        if built.random:
            raise ScriptError(
                "the model draws random numbers (dropout in training?), which a saved model "
                "cannot; call .eval() before saving it"
            )
        if built.updates:
            raise ScriptError(
                f"the model changes its own state ('{built.updates[0][0]}') when it is called, "
                "which a saved model cannot; call .eval() before saving it"
            )
        weights = {name: t.detach()._array() for name, t in built.weights.items()}
        write(path, IRModule([built.func]), weights)


def run_built(built: Built, arguments: Mapping[str, Any]) -> Any:
    """What the original returns for arguments by parameter name; weights that it writes are
    written."""
    results = execute(built, arguments)
    for name, index in built.updates:
        with _no_grad():
            record.assign(built.weights[name], results[index])
    return fill_slots(built.structure, results)


def _kind(name: str, value: Any) -> Any:
    """The kind of an argument: what a specialisation is made for."""
    if isinstance(value, (tuple, list)) and any(
        isinstance(v, (Tensor, tuple, list)) for v in value
    ):
        return tuple(_kind(f"{name}_{i}", v) for i, v in enumerate(value))
    return of_example(name, value)


def _key(kind: Any) -> Any:
    if isinstance(kind, (Wanted, ScalarType)):
        return kind
    if isinstance(kind, tuple):
        return tuple(map(_key, kind))
    if isinstance(kind, Pending):
        return "pending"
    try:
        hash(kind)
    except TypeError:
        return ("object", id(kind))
    return (type(kind), kind)


def _no_grad() -> Any:
    from ..autograd.mode import no_grad

    return no_grad()


class ScriptFunction(_Scripted):
    """A scripted function."""

    def __init__(self, fn: Any, example_inputs: Sequence[Any] | None = None):
        self._setup(fn, fn, fn.__name__, None, example_inputs)
        self.__dict__.update(__name__=fn.__name__, __doc__=fn.__doc__, __wrapped__=fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(args, kwargs)

    def __repr__(self) -> str:
        return f"<ScriptFunction {self._name}>"


class ScriptModule(_Scripted):
    """A scripted module; parameters, buffers and submodules are those of the original."""

    def __init__(self, module: Any, example_inputs: Sequence[Any] | None = None):
        self._setup(module, module.forward, type(module).__name__, module, example_inputs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._run(args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The same as calling it."""
        return self._run(args, kwargs)

    def eval(self) -> ScriptModule:
        """Switches the module to evaluation."""
        self.original.eval()
        return self

    def train(self, mode: bool = True) -> ScriptModule:
        """Switches the module to training, or with False to evaluation."""
        self.original.train(mode)
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.original, name, value)

    def __repr__(self) -> str:
        return f"ScriptModule({self.original!r})"
