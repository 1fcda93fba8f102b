"""Owns the hooks of modules: registering them, and the slow call path that runs them."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from tracec.utils.hooks import RemovableHandle

# Hooks of every module; a module's own hooks live in the attributes of the same names.
_global_forward_pre_hooks: dict[int, Callable[..., Any]] = OrderedDict()
_global_forward_hooks: dict[int, Callable[..., Any]] = OrderedDict()
_global_forward_hooks_always_called: dict[int, bool] = OrderedDict()
_global_backward_pre_hooks: dict[int, Callable[..., Any]] = OrderedDict()
_global_backward_hooks: dict[int, Callable[..., Any]] = OrderedDict()

# The kinds of hooks of one module, and the dicts of flags that go with them.
HOOK_DICTS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Hooks:
    """The part of Module that registers and runs hooks.

    ``_hooked`` says that a call must take the slow path. It is an attribute of the class,
    shadowed by the instance once that has hooks: one attribute check per call.
    """

    _hooked = False

    def _init_hooks(self) -> None:
        attributes = self.__dict__
        for name in HOOK_DICTS:
            attributes[name] = OrderedDict()
        attributes["_is_full_backward_hook"] = None
        attributes["_non_persistent_buffers_set"] = set()

    def _add_hook(
        self, name: str, hook: Callable[..., Any], prepend: bool, flags: tuple[str, ...] = ()
    ) -> RemovableHandle:
        hooks = self.__dict__[name]
        extra = [self.__dict__[flag] for flag in flags]
        handle = RemovableHandle(hooks, extra_dict=extra)
        hooks[handle.id] = hook
        for flag in extra:
            flag[handle.id] = True
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    # ---- registering ---------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before each forward; it may return other arguments."""
        self.__dict__["_hooked"] = True
        flags = ("_forward_pre_hooks_with_kwargs",) if with_kwargs else ()
        return self._add_hook("_forward_pre_hooks", hook, prepend, flags)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after each forward; it may return another output."""
        self.__dict__["_hooked"] = True
        flags = ("_forward_hooks_with_kwargs",) if with_kwargs else ()
        if always_call:
            flags += ("_forward_hooks_always_called",)
        return self._add_hook("_forward_hooks", hook, prepend, flags)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` before the gradients of the module are computed."""
        self.__dict__["_hooked"] = True
        return self._add_hook("_backward_pre_hooks", hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of inputs are known."""
        if self._is_full_backward_hook is False:
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a "
                "single Module. Please use only one of them."
            )
        self.__dict__["_hooked"] = True
        self._is_full_backward_hook = True
        return self._add_hook("_backward_hooks", hook, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Deprecated by PyTorch; use register_full_backward_hook."""
        raise NotImplementedError(
            "nn.Module.register_backward_hook is deprecated and not implemented; "
            "use register_full_backward_hook"
        )

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return self._add_hook("_state_dict_hooks", hook, False)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after state_dict()."""
        hook._from_public_api = True  # type: ignore[attr-defined]
        return self._add_hook("_state_dict_hooks", hook, False)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before state_dict()."""
        return self._add_hook("_state_dict_pre_hooks", hook, False)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        if with_module:
            hook = functools.partial(hook, self)
        return self._add_hook("_load_state_dict_pre_hooks", hook, False)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, ...)`` before load_state_dict()."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after load_state_dict()."""
        return self._add_hook("_load_state_dict_post_hooks", hook, False)

    # ---- running -------------------------------------------------------------------------

    def _call_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """What ``module(...)`` does when this module, or every module, has hooks."""
        always = {*_global_forward_hooks_always_called, *self._forward_hooks_always_called}
        called: set[int] = set()
        try:
            return self._run_hooks(args, kwargs, called)
        except Exception:
            # These run even when forward or another hook raises; what they raise is dropped.
            for key, hook in [*_global_forward_hooks.items(), *self._forward_hooks.items()]:
                if key in always and key not in called:
                    try:
                        self._after_forward(key, hook, args, kwargs, None)
                    except Exception as error:
                        import warnings

                        warnings.warn(
                            f"module forward hook with ``always_call=True`` raised an exception "
                            f"that was silenced as another error was raised in forward: {error}",
                            stacklevel=2,
                        )
            raise

    def _run_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]) -> Any:
        for hook in list(_global_forward_pre_hooks.values()):
            args = _new_args(hook(self, args), args)
        for key, hook in list(self._forward_pre_hooks.items()):
            if key in self._forward_pre_hooks_with_kwargs:
                reply = hook(self, args, kwargs)
                if reply is not None:
                    if not (isinstance(reply, tuple) and len(reply) == 2):
                        raise RuntimeError(
                            "forward pre-hook must return None or a tuple of "
                            f"(new_args, new_kwargs), but got {reply}."
                        )
                    args, kwargs = reply
            else:
                args = _new_args(hook(self, args), args)

        backward = self._backward_hook()
        if backward is not None:
            args = backward.on_inputs(args)
        result = self.forward(*args, **kwargs)
        for key, hook in [*_global_forward_hooks.items(), *self._forward_hooks.items()]:
            called.add(key)
            reply = self._after_forward(key, hook, args, kwargs, result)
            if reply is not None:
                result = reply
        if backward is not None:
            result = backward.on_outputs(result)
        return result

    def _after_forward(self, key: int, hook: Any, args: Any, kwargs: Any, result: Any) -> Any:
        if key in self._forward_hooks_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)

    def _backward_hook(self) -> Any:
        hooks = [*_global_backward_hooks.values(), *self._backward_hooks.values()]
        pre_hooks = [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
        if not (hooks or pre_hooks):
            return None
        from .backward_hook import BackwardHook

        return BackwardHook(self, hooks, pre_hooks)


def _new_args(reply: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if reply is None:
        return args
    return reply if isinstance(reply, tuple) else (reply,)


def _add_global(
    hooks: dict[int, Any], hook: Callable[..., Any], flags: dict[int, bool] | None = None
) -> RemovableHandle:
    # From now on every module takes the slow path: instances without hooks read this.
    Hooks._hooked = True
    handle = RemovableHandle(hooks, extra_dict=flags)
    hooks[handle.id] = hook
    if flags is not None:
        flags[handle.id] = True
    return handle


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Register a forward pre-hook for every module."""
    return _add_global(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Register a forward hook for every module."""
    if with_kwargs:
        raise NotImplementedError("register_module_forward_hook(with_kwargs=True)")
    flags = _global_forward_hooks_always_called if always_call else None
    return _add_global(_global_forward_hooks, hook, flags)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Register a backward pre-hook for every module."""
    return _add_global(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Register a backward hook for every module."""
    return _add_global(_global_backward_hooks, hook)
