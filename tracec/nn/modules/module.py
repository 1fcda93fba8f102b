"""Owns nn.Module: attributes, traversal, conversion, train and eval, and calling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tracec
from tracec.record import _local, end_call

from ..parameter import Buffer, Parameter, UninitializedBuffer, is_lazy
from .hooks import HOOK_DICTS, Hooks
from .registry import Registry
from .state import State

_REGISTRIES = ("_parameters", "_buffers", "_modules")


def _forward_unimplemented(self: Any, *inputs: Any) -> None:
    """Define the computation performed at every call; every subclass should."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


class Module(Hooks, State):
    """The base class of all neural network modules."""

    training: bool
    call_super_init: bool = False
    dump_patches: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"'{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but "
                    f"{len(args) + 1} were given"
                )
        attributes = self.__dict__
        attributes["training"] = True
        for name in _REGISTRIES:
            attributes[name] = Registry(self)
        self._init_hooks()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward: Callable[..., Any] = _forward_unimplemented

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        here = _local.h
        if here.trace.grad:
            if self._hooked:
                return self._call_with_hooks(*args, **kwargs)
            return self.forward(*args, **kwargs)
        # Without gradients the outermost call ends a trace, so that every request of a server or
        # an evaluation loop records the same one.
        here.calls += 1
        try:
            if self._hooked:
                return self._call_with_hooks(*args, **kwargs)
            return self.forward(*args, **kwargs)
        finally:
            here.calls -= 1
            if not here.calls:
                end_call()

    _call_impl = __call__

    # ---- attributes ----------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        # Parameters, buffers and submodules are found in __dict__ (see registry.py). This runs
        # for what is missing, and for state that a subclass restored without its mirrors.
        attributes = self.__dict__
        for registry in _REGISTRIES:
            entries = attributes.get(registry)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        attributes = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in attributes:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in attributes:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_parameters", "_buffers")
            self._modules[name] = value
        elif isinstance(value, Buffer):
            if "_buffers" not in attributes:
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            self._forget(name, "_parameters", "_modules")
            self.register_buffer(name, value, value.persistent)
        elif name in attributes.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self._parameters[name] = None
        elif name in attributes.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            self._modules[name] = None
        elif name in attributes.get("_buffers", ()):
            if value is not None and not isinstance(value, tracec.Tensor):
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            self._buffers[name] = value
        elif name in _REGISTRIES:
            self._replace_registry(name, value)
        else:
            super().__setattr__(name, value)

    def _forget(self, name: str, *registries: str) -> None:
        """Drop the name as a plain attribute and from the registries of other kinds."""
        self.__dict__.pop(name, None)
        for registry in registries:
            self.__dict__[registry].pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _replace_registry(self, name: str, entries: dict[str, Any]) -> None:
        for mirrored in self.__dict__.get(name, ()):
            self.__dict__.pop(mirrored, None)
        self.__dict__[name] = Registry(self, entries)

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self._non_persistent_buffers_set.discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__}
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in HOOK_DICTS:
            if name not in self.__dict__:
                self.__dict__[name] = {}
        for name in _REGISTRIES:
            self.__dict__[name] = Registry(self, self.__dict__.get(name, ()))

    # ---- registering ---------------------------------------------------------------------

    def register_parameter(self, name: str, param: Any) -> None:
        """Add a parameter, which is then an attribute of that name."""
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if not is_lazy(param) and not param.is_leaf:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model "
                    f"parameters must be created explicitly. To express '{name}' "
                    "as a function of another Tensor, compute the value in "
                    "the forward() method."
                )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Add a buffer: a tensor of the state that is no parameter."""
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, tracec.Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule, which is then an attribute of that name."""
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name("module", name, self._modules)
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """Another name of add_module."""
        self.add_module(name, module)

    def _check_name(self, kind: str, name: Any, entries: dict[str, Any]) -> None:
        if not isinstance(name, str):
            what = f"{kind} name should be a string."
            raise TypeError(f"{what} Got {_typename(name)}")
        if hasattr(self, name) and name not in entries:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            if kind == "module":
                raise KeyError(f'module name can\'t contain ".", got: {name}')
            raise KeyError(f'{kind} name can\'t contain "."')
        if name == "":
            if kind == "module":
                raise KeyError('module name can\'t be empty string "", got: ')
            raise KeyError(f'{kind} name can\'t be empty string ""')

    # ---- finding -------------------------------------------------------------------------

    def get_submodule(self, target: str) -> Module:
        """The submodule of that dotted name."""
        module: Any = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Replace (or, unless strict, add) the submodule of that dotted name."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of that dotted name."""
        value = self._get_tensor(target)
        if not isinstance(value, Parameter):
            raise AttributeError(f"`{target.rpartition('.')[2]}` is not an nn.Parameter")
        return value

    def get_buffer(self, target: str) -> tracec.Tensor:
        """The buffer of that dotted name."""
        value = self._get_tensor(target)
        path, _, name = target.rpartition(".")
        if name not in self.get_submodule(path)._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return value

    def _get_tensor(self, target: str) -> Any:
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        return getattr(module, name)

    def children(self) -> Iterator[Module]:
        """The direct submodules."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct submodules with their names; each module once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self) -> Iterator[Module]:
        """This module and all submodules; each once."""
        for _, module in self.named_modules():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all submodules with their dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                inner = prefix + ("." if prefix else "") + name
                yield from module.named_modules(memo, inner, remove_duplicate)

    def _named_members(
        self,
        entries_of: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        owners = [(prefix, self)]
        if recurse:
            owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in owners:
            for name, value in entries_of(module):
                if value is None or id(value) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(value))
                yield path + ("." if path else "") + name, value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, as optimizers take them."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names."""
        return self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[tracec.Tensor]:
        """The buffers."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, tracec.Tensor]]:
        """The buffers with their dotted names."""
        return self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    # ---- converting ----------------------------------------------------------------------

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Any:
        """Replace every parameter's and buffer's data by what ``fn`` makes of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            with tracec.no_grad():
                param.data = fn(param.data)
                if param.grad is not None:
                    grad = fn(param.grad.detach())
                    param.grad = grad.requires_grad_(param.grad.requires_grad)
        for name, buffer in self._buffers.items():
            if isinstance(buffer, UninitializedBuffer):
                like = fn(buffer.data)
                self._buffers[name] = type(buffer)(buffer.requires_grad, like.device, like.dtype)
            elif buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def apply(self, fn: Callable[[Module], None]) -> Any:
        """Call ``fn`` on every submodule, then on this module."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move or cast the parameters and buffers, in place; integers keep their dtype."""
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, "
                f"but got desired dtype={dtype}"
            )

        def convert(tensor: Any) -> Any:
            target = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            options = {} if memory_format is None else {"memory_format": memory_format}
            if memory_format is not None and tensor.dim() not in (4, 5):
                options = {}
            return tensor.to(device=device, dtype=target, non_blocking=non_blocking, **options)

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Any:
        """Move to the device without copying values."""
        return self._apply(lambda t: tracec.empty_like(t, device=device), recurse=recurse)

    def type(self, dst_type: Any) -> Any:
        """Cast all parameters and buffers."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def _cast(self, dtype: Any) -> Any:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self) -> Any:
        """Cast floating-point parameters and buffers to float32."""
        return self._cast(tracec.float32)

    def double(self) -> Any:
        """Cast floating-point parameters and buffers to float64."""
        return self._cast(tracec.float64)

    def half(self) -> Any:
        """Cast floating-point parameters and buffers to float16."""
        return self._cast(tracec.float16)

    def bfloat16(self) -> Any:
        """Cast floating-point parameters and buffers to bfloat16."""
        return self._cast(tracec.bfloat16)

    def cpu(self) -> Any:
        """Move all parameters and buffers to the CPU."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: Any = None) -> Any:
        """Move all parameters and buffers to a GPU."""
        return self._apply(lambda tensor: tensor.cuda(device))

    # ---- modes ---------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Any:
        """Switch this module and its submodules to training (or, with False, evaluation)."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Any:
        """Switch to evaluation."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Say for every parameter whether autograd records operations on it."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for param in self.parameters():
            if param.grad is not None:
                if set_to_none:
                    param.grad = None
                else:
                    param.grad = tracec.zeros_like(param.grad)

    def share_memory(self) -> Any:
        """Move the parameters to memory shared between processes."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: calls are compiled anyway."""

    # ---- text ----------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What repr shows between the parentheses; subclasses override it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [
            f"({name}): " + _indented(repr(module)) for name, module in self._modules.items()
        ]
        lines = extra_lines + child_lines
        if not lines:
            return self._get_name() + "()"
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra_lines[0]})"
        return self._get_name() + "(\n  " + "\n  ".join(lines) + "\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _typename(value: Any) -> str:
    cls = type(value)
    if isinstance(value, tracec.Tensor):
        return value.type()
    module = cls.__module__
    return cls.__qualname__ if module in ("builtins", "__builtin__") else f"{module}.{cls.__name__}"


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """The device, dtype, non_blocking and memory_format that arguments of ``to`` mean."""
    memory_format = kwargs.pop("memory_format", None)
    found: dict[str, Any] = {"device": None, "dtype": None, "non_blocking": False, "copy": False}
    rest = list(args)
    other = kwargs.pop("other", None)
    if rest and isinstance(rest[0], tracec.Tensor):
        other = rest.pop(0)
    if other is not None:
        found.update(device=other.device, dtype=other.dtype)
        order = ["non_blocking", "copy"]
    elif rest and isinstance(rest[0], tracec.dtype):
        order = ["dtype", "non_blocking", "copy"]
    else:
        order = ["device", "dtype", "non_blocking", "copy"]
    if len(rest) > len(order) or not kwargs.keys() <= found.keys():
        raise TypeError(f"to() received an invalid combination of arguments: {args}, {kwargs}")
    found.update(zip(order, rest, strict=False))
    found.update(kwargs)
    device = found["device"]
    if device is not None:
        device = tracec.device(device)
    return device, found["dtype"], found["non_blocking"], memory_format
