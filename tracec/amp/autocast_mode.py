"""`autocast`: a region in which matrix products and convolutions run in half precision.

What autocast makes of an op stands in the op's definition (`autocast="half"` or `"single"`): the
recorder casts the operands of ops that it records in the region, so the casts are part of the
trace, fuse, are differentiated, and cost nothing when the trace recurs.
"""

from __future__ import annotations

import warnings
from functools import wraps
from threading import local
from typing import Any

from tracec_ir import dtypes
from tracec_ir.dtypes import DType

from .. import record

_DEFAULTS = {"cpu": dtypes.bf16, "cuda": dtypes.f16}
_ONLY_HALF = (dtypes.bf16, dtypes.f16)


class _State(local):
    """What a thread set: device type -> dtype, device type -> whether it is on."""

    def __init__(self):
        self.dtypes = dict(_DEFAULTS)
        self.enabled: dict[str, bool] = {}
        self.cache = True


_state = _State()


def _check(device_type: Any) -> str:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if device_type not in _DEFAULTS:
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
    return device_type


def _cuda() -> bool:
    from ..cuda import is_available

    return is_available()


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows the device type."""
    return device_type in _DEFAULTS


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether this thread is in an autocast region for the device type ("cuda" if none)."""
    return _state.enabled.get("cuda" if device_type is None else _check(device_type), False)


def set_autocast_enabled(*args: Any) -> None:
    """`set_autocast_enabled(device_type, enabled)`: switches autocast by hand."""
    device_type, enabled = args if len(args) == 2 else ("cuda", *args)
    _switch(_check(device_type), bool(enabled))


def get_autocast_dtype(device_type: str) -> DType:
    """The dtype that autocast uses for the device type."""
    return _state.dtypes[_check(device_type)]


def set_autocast_dtype(device_type: str, dtype: DType) -> None:
    """Chooses the dtype that autocast uses for the device type."""
    _state.dtypes[_check(device_type)] = dtype
    _switch(device_type, is_autocast_enabled(device_type))


def get_autocast_cpu_dtype() -> DType:
    """`get_autocast_dtype("cpu")`."""
    return _state.dtypes["cpu"]


def get_autocast_gpu_dtype() -> DType:
    """`get_autocast_dtype("cuda")`."""
    return _state.dtypes["cuda"]


def is_autocast_cpu_enabled() -> bool:
    """`is_autocast_enabled("cpu")`."""
    return is_autocast_enabled("cpu")


def is_autocast_cache_enabled() -> bool:
    """Whether casts of parameters are to be kept; equal casts in a trace are computed once
    anyway."""
    return _state.cache


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Sets what `is_autocast_cache_enabled` answers."""
    _state.cache = bool(enabled)


def clear_autocast_cache() -> None:
    """There is no cache apart from the trace."""


def _switch(device_type: str, enabled: bool) -> None:
    _state.enabled[device_type] = enabled
    if device_type == "cpu":
        set_mode(_state.dtypes["cpu"] if enabled else None)


def set_mode(mode) -> None:
    """Records what follows in this thread under an autocast dtype, or None."""
    h = record._local.h
    h.mode = mode
    tr = h.trace
    node = tr.node
    if node.mode is mode:
        return
    if node.parent is None and not (tr.symbolic or tr.nested):
        tr.node = record._root(mode)
    elif node.kind == "mode" and node.parent.mode is mode:
        tr.node = node.parent
    else:
        key = ("mode", mode)
        child = node.children.get(key)
        if child is None:
            child = record._child(tr, key, "mode", "", (), None)
            child.code, child.mode = -2, mode
            child.grow()
        tr.node = child


class autocast:
    """A context manager, or decorator, in which products run in half precision.

    Inside it matrix products, convolutions, attention and prelu take float32 operands as `dtype`
    (bfloat16 on the CPU unless given); losses and some other ops take half-precision operands as
    float32; the rest runs in the dtypes it meets. float64 is never touched. Regions nest, and
    `enabled=False` switches a part off.

    Raises ValueError or RuntimeError for a device type that is no string or unknown. A dtype that
    is not supported, or "cuda" without a GPU, disables the region with a warning.
    """

    def __init__(
        self,
        device_type: str = "cuda",
        dtype: DType | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ):
        self.device = _check(device_type)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and device_type == "cuda" and not _cuda():
            warnings.warn(
                "CUDA is not available. Disabling autocast.",
                stacklevel=2,
            )
            enabled = False
        if enabled and self.fast_dtype not in _ONLY_HALF:
            warnings.warn(
                f"In {device_type.upper()} autocast, but the target dtype is not supported. "
                f"Disabling autocast.\n{device_type.upper()} Autocast only supports dtypes of "
                "torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = bool(enabled)
        self._cache_enabled = _state.cache if cache_enabled is None else cache_enabled
        self._before: list[tuple[bool, DType, bool]] = []

    def __enter__(self) -> autocast:
        device = self.device
        state = _state
        self._before.append((state.enabled.get(device, False), state.dtypes[device], state.cache))
        state.cache = self._cache_enabled
        state.dtypes[device] = self.fast_dtype
        _switch(device, self._enabled)
        return self

    def __exit__(self, *exc: Any) -> None:
        enabled, dtype, _state.cache = self._before.pop()
        _state.dtypes[self.device] = dtype
        _switch(self.device, enabled)

    def __call__(self, function):
        @wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return decorated


def _cast(value: Any, dtype: DType) -> Any:
    from ..tensor import Tensor

    if isinstance(value, Tensor):
        return (
            value.to(dtype)
            if value.is_floating_point() and value.dtype is not dtypes.f64
            else value
        )
    if isinstance(value, dict):
        return {_cast(k, dtype): _cast(v, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, dtype) for v in value)
    return value


def custom_fwd(fwd=None, *, device_type: str, cast_inputs: DType | None = None):
    """Decorator for `forward` of an `autograd.Function`: with `cast_inputs`, floating operands are
    cast to that dtype and autocast is off inside; else `backward` will run as `forward` did."""
    if fwd is None:
        return lambda f: custom_fwd(f, device_type=device_type, cast_inputs=cast_inputs)
    _check(device_type)

    @wraps(fwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        ctx._dtype = get_autocast_dtype(device_type)
        enabled = is_autocast_enabled(device_type)
        if cast_inputs is None:
            ctx._fwd_used_autocast = enabled
            return fwd(*args, **kwargs)
        ctx._fwd_used_autocast = False
        if not enabled:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, cast_inputs), **_cast(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd=None, *, device_type: str):
    """Decorator for `backward` of an `autograd.Function`: it runs under the autocast state that
    `custom_fwd` met."""
    if bwd is None:
        return lambda f: custom_bwd(f, device_type=device_type)
    _check(device_type)

    @wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        ctx = args[0]
        with autocast(device_type, ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return decorated
