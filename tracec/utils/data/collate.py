"""Owns how samples become batches: default_collate and default_convert."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

import tracec

_FORMAT_ERROR = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _is_namedtuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")


def _holds_no_numbers(array: Any) -> bool:
    return array.dtype.kind in "SUO"


def default_convert(data: Any) -> Any:
    """The data with arrays and NumPy numbers as tensors, containers kept."""
    if isinstance(data, tracec.Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if _holds_no_numbers(data) else tracec.as_tensor(data)
    if isinstance(data, Mapping):
        return _like(data, {key: default_convert(value) for key, value in data.items()})
    if _is_namedtuple(data):
        return type(data)(*(default_convert(value) for value in data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like(data, [default_convert(value) for value in data])
    return data


def _like(original: Any, converted: Any) -> Any:
    """The converted entries in the original's type, if that can be made or copied."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(converted)
            return clone
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            clone[:] = converted
            return clone
        return type(original)(converted)
    except (TypeError, ValueError):
        return converted


def collate(batch: Any, *, collate_fn_map: dict[Any, Callable[..., Any]] | None = None) -> Any:
    """One batch of a list of samples; the map gives functions for types of one's own."""
    first = batch[0]
    if collate_fn_map is not None:
        kind = type(first)
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        for registered, function in collate_fn_map.items():
            if isinstance(first, registered):
                return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        columns = {
            key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map)
            for key in first
        }
        return _like(first, columns)
    if _is_namedtuple(first):
        return type(first)(
            *(collate(column, collate_fn_map=collate_fn_map) for column in _columns(batch))
        )
    if isinstance(first, Sequence):
        columns_list = [
            collate(column, collate_fn_map=collate_fn_map) for column in _columns(batch)
        ]
        # A tuple of samples has always come back as a list.
        return columns_list if isinstance(first, tuple) else _like(first, columns_list)
    raise TypeError(_FORMAT_ERROR.format(type(first)))


def _columns(batch: Any) -> list[tuple[Any, ...]]:
    sizes = {len(sample) for sample in batch}
    if len(sizes) > 1:
        raise RuntimeError("each element in list of batch should be of equal size")
    return list(zip(*batch, strict=True))


def collate_tensor_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Tensors stacked."""
    return tracec.stack(tuple(batch), 0)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Arrays stacked, as a tensor."""
    if _holds_no_numbers(batch[0]):
        raise TypeError(_FORMAT_ERROR.format(batch[0].dtype))
    return tracec.as_tensor(np.stack(batch))


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """NumPy numbers as a tensor of their dtype."""
    return tracec.as_tensor(np.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Floats as a float64 tensor."""
    return tracec.tensor(list(batch), dtype=tracec.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Integers as a tensor."""
    return tracec.tensor(list(batch))


def collate_str_fn(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """Texts as they are."""
    return batch


default_collate_fn_map: dict[Any, Callable[..., Any]] = {
    tracec.Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    # NumPy's text types are generic too, and are kept like other texts.
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """One batch of a list of samples: tensors stacked, containers transposed."""
    return collate(batch, collate_fn_map=default_collate_fn_map)
