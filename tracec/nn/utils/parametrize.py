"""Owns parametrizations: parameters and buffers computed from others on every access."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tracec

from ..modules.container import ModuleDict, ModuleList
from ..modules.module import Module
from ..parameter import Parameter

_cache: dict[tuple[int, str], Any] | None = None


@contextmanager
def cached() -> Iterator[None]:
    """Compute each parametrized tensor once inside the block."""
    global _cache
    outer = _cache
    _cache = {} if outer is None else outer
    try:
        yield
    finally:
        _cache = outer


class ParametrizationList(ModuleList):
    """The functions that make one tensor, and the original(s) that they make it from."""

    def __init__(self, modules: Any, original: Any, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        with tracec.no_grad():
            new = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    new = module.right_inverse(new)
        self.is_tensor = isinstance(new, tracec.Tensor)
        if self.is_tensor:
            self._register("original", original, new)
        else:
            self.ntensors = len(new)
            for index, part in enumerate(new):
                self._register(f"original{index}", original, part)

    def _register(self, name: str, original: Any, new: Any) -> None:
        if isinstance(original, Parameter):
            self.register_parameter(name, Parameter(new.detach(), original.requires_grad))
        else:
            self.register_buffer(name, new)

    def right_inverse(self, value: Any) -> None:
        """Set the original(s) so that the tensor becomes the value, if the functions can."""
        with tracec.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse."
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                self.original.copy_(value)
            else:
                for index, part in enumerate(value):
                    getattr(self, f"original{index}").copy_(part)

    def forward(self) -> Any:
        functions = list(self)
        if self.is_tensor:
            value = functions[0](self.original)
        else:
            value = functions[0](*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for function in functions[1:]:
            value = function(value)
        return value


def _parametrized_class(module: Module) -> type:
    """The module's own subclass, which can hold properties."""
    cls = type(module)
    if getattr(cls, "_is_parametrized", False):
        return cls
    made = type(f"Parametrized{cls.__name__}", (cls,), {"_is_parametrized": True})
    module.__class__ = made
    return made


def _add_property(module: Module, name: str) -> None:
    def read(self: Any) -> Any:
        if _cache is None:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def write(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    setattr(_parametrized_class(module), name, property(read, write))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute the tensor by the parametrization from now on."""
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        parametrizations = module.parametrizations[tensor_name]
        parametrizations.append(parametrization)
        return module
    if tensor_name in module._parameters:
        original = module._parameters[tensor_name]
    elif tensor_name in module._buffers:
        original = module._buffers[tensor_name]
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    functions = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not hasattr(module, "parametrizations"):
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = functions
    _add_property(module, tensor_name)
    if not unsafe:
        with tracec.no_grad():
            made = getattr(module, tensor_name)
        if made.shape != original.shape:
            raise ValueError(
                "A parametrization should return a tensor of the same shape as the original: "
                f"expected {tuple(original.shape)}, got {tuple(made.shape)}"
            )
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module (or that tensor of it) is parametrized."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    if tensor_name is None:
        return len(parametrizations) > 0
    return tensor_name in parametrizations


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make the tensor a plain one again, with its present value or with the original's."""
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    functions = module.parametrizations[tensor_name]
    if not functions.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    with tracec.no_grad():
        value = getattr(module, tensor_name) if leave_parametrized else functions.original
    first = next(iter([*functions.parameters(recurse=False), *functions.buffers(recurse=False)]))
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(first, Parameter):
        module.register_parameter(tensor_name, Parameter(value.detach(), first.requires_grad))
    else:
        module.register_buffer(tensor_name, value)
    if len(module.parametrizations) == 0:
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module
