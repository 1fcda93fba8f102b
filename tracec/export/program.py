"""Export: a module recorded on an example's kinds of inputs, and what comes of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tracec_ir.core import Func
from tracec_ir.dims import Guards

from .. import record
from ..jit.build import Built, build
from ..jit.inputs import _name
from ..jit.module import run_built
from ..jit.values import tensors_in
from ..nn import Module
from ..tensor import Tensor
from .dynamic_shapes import Asked, Dim, UserError, by_parameter, violated


class ExportedProgram:
    """A program of tensors with its weights. `module()` gives something to call.

    `state_dict` holds the weights by name, `example_inputs` the (args, kwargs) of `export` (None if
    the program was loaded), `graph` is the IR as text.
    """

    def __init__(
        self,
        func: Func,
        state_dict: dict[str, Tensor],
        example_inputs: Any,
        make: Callable[[], Module],
        built: Built | None = None,
    ):
        self._func, self._make, self._built = func, make, built
        self.state_dict = state_dict
        self.example_inputs = example_inputs

    def module(self, check_guards: bool = True) -> Module:
        """The program as a module with its parameters and buffers.

        A call with other sizes, or other values that are not tensors, than were exported raises
        AssertionError.
        """
        return self._make()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Unable to call ExportedProgram directly. You should use `exported_program.module()` "
            "instead."
        )

    @property
    def graph(self) -> str:
        """The IR as text."""
        return str(self._func)

    def parameters(self) -> Iterator[Any]:
        return self._make().parameters()

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        return self._make().named_parameters()

    def buffers(self) -> Iterator[Any]:
        return self._make().buffers()

    def named_buffers(self) -> Iterator[tuple[str, Any]]:
        return self._make().named_buffers()

    def __str__(self) -> str:
        return f"ExportedProgram:\n{self.graph}"


def export(
    mod: Module,
    args: tuple,
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    strict: bool = False,
    preserve_module_call_signature: tuple = (),
) -> ExportedProgram:
    """`mod` recorded on inputs of the kinds of `args` and `kwargs`, without running it.

    Sizes are those of the example unless `dynamic_shapes` says that they may change: by parameter
    name or position, for each tensor a dict or tuple with a `Dim`, `Dim.AUTO`, ... for a dimension.

    Raises ValueError for what is no module, UserError for sizes that cannot change as asked, and
    ScriptError where Python's control flow needs the value of a tensor.
    """
    if not isinstance(mod, Module):
        raise ValueError(f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(mod)}.")
    if not isinstance(args, tuple):
        raise UserError(
            f"Expecting `args` to be a tuple of example positional inputs, got {type(args)}"
        )
    kwargs = dict(kwargs or {})
    signature = inspect.signature(mod.forward)
    for p in signature.parameters.values():
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise NotImplementedError(f"export of a forward with *{p.name}")
    bound = signature.bind(*args, **kwargs)
    shapes = by_parameter(dynamic_shapes, bound.arguments)
    asked = Asked()
    kinds = {n: asked.kind(n, v, shapes.get(n)) for n, v in bound.arguments.items()}
    bound.apply_defaults()
    every = {n: kinds.get(n, v) for n, v in bound.arguments.items()}
    built = build(mod.forward, every, type(mod).__name__, mod, asked.hints, True)
    _check(built, asked)
    state = {n: t.detach() for n, t in mod.state_dict().items()}
    example = (args, kwargs)
    return ExportedProgram(
        built.func, state, example, lambda: _Exported(mod, built, asked, example), built
    )


def _check(built: Built, asked: Asked) -> None:
    """UserError unless every size may change as asked; bounds become guards of the function."""
    bounds = Guards()
    where: dict[str, str] = {}
    for p in built.func.params[: len(built.inputs)]:
        for i, (size, wish) in enumerate(zip(p.type.shape, asked.sizes[p.name])):
            place = f"L['{p.name}'].size()[{i}]"
            if not isinstance(wish, Dim):
                if wish is Dim.DYNAMIC and isinstance(size, int):
                    raise violated(place, f"You marked {place} as dynamic but your code "
                                   f"specialized it to be a constant ({size}).")  # fmt: skip
                continue
            name = wish.__name__
            if isinstance(size, int):
                raise violated(
                    name,
                    f"You marked {name} as dynamic but your code specialized it to be a constant "
                    f"({size}).\nSuggested fixes:\n  {name} = {size}",
                )
            got = _name(size)
            if got != name:
                raise violated(name, f"The values of {name} = {place} and {got} = "
                               f"{where.get(got, got)} must always be equal.\nSuggested fixes:\n"
                               f"  {name} = {got}")  # fmt: skip
            where.setdefault(name, place)
            if wish.min > 2:
                bounds.append(("<=", wish.min, size))
            if wish.max is not None:
                bounds.append(("<=", size, wish.max))
    guards = built.func.guards or Guards()
    guards.extend(b for i, b in enumerate(bounds) if b not in guards and b not in bounds[:i])
    built.func.guards = guards


class _Exported(Module):
    """An exported program with the parameters and buffers of the module that it comes from."""

    def __init__(self, original: Module, built: Built, asked: Asked, example: tuple):
        super().__init__()
        put = self.__dict__.__setitem__
        for name, p in original._parameters.items():
            self.register_parameter(name, p)
        for name, b in original._buffers.items():
            self.register_buffer(name, b, name not in original._non_persistent_buffers_set)
        for name, child in original.named_children():
            self.add_module(name, child)
        put("_original", original)
        put("_built", built)
        put("_asked", asked)
        put("_example", example)
        put("_modes", [(m, m.training) for m in original.modules()])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        arguments = self._arguments(args, kwargs)
        if self._built.random or self._needs_gradients(arguments):
            with self._as_exported():
                return self._original.forward(*args, **kwargs)  # recorded with its gradients
        return run_built(self._built, arguments)

    def _arguments(self, args: tuple, kwargs: dict) -> dict[str, Any]:
        """The arguments by parameter. Raises for other ones than were exported."""
        expected = inspect.signature(self._original.forward)
        if list(kwargs) != list(self._example[1]):
            raise ValueError(
                "Ran into a kwarg keyword mismatch: Got the following keywords "
                f"{list(kwargs)} but expected {list(self._example[1])}"
            )
        if len(args) != len(self._example[0]):
            raise _structure()
        example = expected.bind(*self._example[0], **self._example[1]).arguments
        bound = expected.bind(*args, **kwargs)
        seen: dict[str, tuple[str, int]] = {}
        for name, value in bound.arguments.items():
            self._guard(name, value, example[name], seen)
        bound.apply_defaults()
        return dict(bound.arguments)

    def _guard(self, name: str, value: Any, example: Any, seen: dict) -> None:
        if isinstance(example, (tuple, list)):
            if type(value) is not type(example) or len(value) != len(example):
                raise _structure()
            for i, (v, e) in enumerate(zip(value, example)):
                self._guard(f"{name}_{i}", v, e, seen)
            return
        if not isinstance(example, Tensor):
            if isinstance(value, Tensor) or value != example:
                raise AssertionError(f"Guard failed: {name} == {example!r}")
            return
        if not isinstance(value, Tensor) or value.dim() != example.dim():
            raise _structure()
        for i, (size, was) in enumerate(zip(value.shape, example.shape)):
            self._guard_size(f"{name}.size()[{i}]", size, was, self._asked.sizes[name][i], seen)

    @staticmethod
    def _guard_size(place: str, size: int, was: int, asked: Any, seen: dict) -> None:
        if asked is None or asked is Dim.STATIC or isinstance(asked, int):
            if size != was:
                raise AssertionError(f"Guard failed: {place} == {was}")
        elif isinstance(asked, Dim):
            first, at_first = seen.setdefault(asked.__name__, (place, size))
            if size != at_first:
                raise AssertionError(f"Guard failed: {place} == {first}")
            if asked.max is not None and size > asked.max:
                raise AssertionError(f"Guard failed: {place} <= {asked.max}")
            if size < asked.min and asked.min > 2:
                raise AssertionError(f"Guard failed: {place} >= {asked.min}")

    def _needs_gradients(self, arguments: dict[str, Any]) -> bool:
        if not record.current().grad:
            return False
        if any(p.requires_grad for p in self.parameters()):
            return True
        return any(t.requires_grad for t in tensors_in(arguments))

    @contextmanager
    def _as_exported(self) -> Iterator[None]:
        """The modules in the modes that they had when they were exported."""
        now = [m.training for m, _ in self._modes]
        try:
            for m, training in self._modes:
                m.__dict__["training"] = training
            yield
        finally:
            for (m, _), training in zip(self._modes, now):
                m.__dict__["training"] = training

    def train(self, mode: bool = True) -> Module:
        """Not available: the mode was fixed by export."""
        raise NotImplementedError("Calling train() is not supported yet.")

    def eval(self) -> Module:
        """Not available: the mode was fixed by export."""
        raise NotImplementedError("Calling eval() is not supported yet.")


def _structure() -> ValueError:
    return ValueError(
        "Trying to flatten user inputs with exported input tree spec failed.\nPlease check that "
        "the inputs have the same number and type of args and kwargs as the ones you used when "
        "tracing."
    )
