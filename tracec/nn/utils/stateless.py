"""A module's call with other tensors in place of its parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ... import record

__all__ = ["functional_call"]

_MISSING = object()


def functional_call(
    module: Any,
    parameters_and_buffers: dict,
    args: Any = None,
    kwargs: dict | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with the tensors of the dictionary in place of the parameters and
    buffers of those names. What is one tensor under several names is replaced under all of them,
    unless `tie_weights` is False; `strict` wants every name, and no other."""
    tensors = _untied(module, parameters_and_buffers, tie_weights)
    if strict:
        _check_names(module, tensors)
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, tensors):
        return module(*args, **(kwargs or {}))


def _named(module: Any) -> dict[str, Any]:
    """Every parameter and buffer, also under second names."""
    found = dict(module.named_parameters(remove_duplicate=False))
    found.update(module.named_buffers(remove_duplicate=False))
    return found


def _untied(module: Any, given: dict, tie_weights: bool) -> dict:
    if not tie_weights:
        return dict(given)
    names: dict[int, list[str]] = {}
    for name, tensor in _named(module).items():
        names.setdefault(id(tensor), []).append(name)
    out = dict(given)
    for group in names.values():
        present = [n for n in group if n in given]
        if any(given[n] is not given[present[0]] for n in present[1:]):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(present)}, which are tied. "
                "Consider using tie_weights=False"
            )
        if present:
            out.update(dict.fromkeys(group, given[present[0]]))
    return out


def _check_names(module: Any, tensors: dict) -> None:
    known = set(_named(module))
    unexpected, missing = sorted(set(tensors) - known), sorted(known - set(tensors))
    if not unexpected and not missing:
        return
    text = f"Error(s) in reparametrizing for {type(module).__name__}:"
    for what, names in (("Unexpected", unexpected), ("Missing", missing)):
        if names:
            text += f"\n\t{what} key(s): " + ", ".join(map(repr, names)) + "."
    raise RuntimeError(text)


@contextmanager
def _replaced(module: Any, tensors: dict) -> Iterator[None]:
    """The module with these tensors during a `with` block."""
    before = []
    try:
        for name, tensor in tensors.items():
            before.append(_swap(module, name, tensor))
        yield
    finally:
        for home, key, old in reversed(before):
            if old is _MISSING:
                del home[key]
            else:
                home[key] = old


def _swap(module: Any, name: str, tensor: Any) -> tuple[dict, str, Any]:
    """(the dictionary that holds `name`, its key there, what it was), the tensor put there."""
    if not isinstance(tensor, record.Tensor):
        raise TypeError(f"{tensor} is not an instance of torch.Tensor")
    path, _, key = name.rpartition(".")
    owner = module.get_submodule(path) if path else module
    for home in (owner._parameters, owner._buffers, owner.__dict__):
        if key in home or home is owner.__dict__:
            old = home.get(key, _MISSING)
            if old is not _MISSING and old is not None and not isinstance(old, record.Tensor):
                raise TypeError(f"attribute `{key}`: {old} is not an instance of torch.Tensor")
            home[key] = tensor
            return home, key, old
    raise AssertionError(name)
