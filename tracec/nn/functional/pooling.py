"""Owns the pooling functions."""

from __future__ import annotations

import math
from typing import Any

import tracec
from tracec import ops


def _max_pool(name: str) -> Any:
    with_indices = name + "_with_indices"

    def max_pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """Maxima over windows; with ``return_indices`` also where they are.

        (N, C, *sizes) or (C, *sizes); each size becomes (size + 2 padding - dilation (kernel - 1) -
        1) / stride + 1, rounded down, or up with `ceil_mode`. `stride` defaults to the kernel;
        padding counts as -inf and is at most half the kernel (RuntimeError). Positions are int64 in
        the flattened spatial dimensions.
        """
        function = getattr(ops, with_indices if return_indices else name)
        stride = kernel_size if stride is None or stride == [] else stride
        return function(input, kernel_size, stride, padding, dilation, ceil_mode)

    max_pool.__name__ = name
    return max_pool


def _with_indices(function: Any) -> Any:
    def pool(*args: Any, **kwargs: Any) -> Any:
        """The same with indices.

        A pair of the values and of the positions (int64) of the maxima.
        """
        return function(*args, **{**kwargs, "return_indices": True})

    pool.__name__ = function.__name__ + "_with_indices"
    return pool


max_pool1d = _max_pool("max_pool1d")
max_pool2d = _max_pool("max_pool2d")
max_pool3d = _max_pool("max_pool3d")
max_pool1d_with_indices = _with_indices(max_pool1d)
max_pool2d_with_indices = _with_indices(max_pool2d)
max_pool3d_with_indices = _with_indices(max_pool3d)


def _sizes(value: Any, n: int) -> tuple[Any, ...]:
    if isinstance(value, (tuple, list)):
        return tuple(value) if len(value) == n else tuple(value) * n
    return (value,) * n


def _parts(input: Any, output_size: Any, n: int) -> tuple[Any, ...]:
    """The output sizes of adaptive pooling; ValueError for more of them than the input has
    dimensions."""
    if not isinstance(output_size, (tuple, list)):
        return (output_size,) * n
    sizes = tuple(output_size)
    if n > 1 and len(sizes) >= input.dim():
        raise ValueError(f"Input dimension should be at least {len(sizes) + 1}")
    return sizes


def _adaptive_max(n: int) -> Any:
    def adaptive_max_pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        """Maxima over as many windows as asked for."""
        pool = getattr(ops, f"adaptive_max_pool{n}d")
        values, index = pool(input, _parts(input, output_size, n))
        return (values, index) if return_indices else values

    adaptive_max_pool.__name__ = f"adaptive_max_pool{n}d"
    return adaptive_max_pool


adaptive_max_pool1d = _adaptive_max(1)
adaptive_max_pool2d = _adaptive_max(2)
adaptive_max_pool3d = _adaptive_max(3)
adaptive_max_pool1d_with_indices = _with_indices(adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices(adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices(adaptive_max_pool3d)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means over as many windows as asked for.

    (N, C, *sizes) or (C, *sizes) become that with `output_size` (None keeps a size): window i of n
    reaches from floor(i s / n) to ceil((i + 1) s / n) of s elements. RuntimeError for other ranks.
    """
    return ops.adaptive_avg_pool1d(input, _parts(input, output_size, 1))


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means over as many windows as asked for.

    (N, C, *sizes) or (C, *sizes) become that with `output_size` (None keeps a size): window i of n
    reaches from floor(i s / n) to ceil((i + 1) s / n) of s elements. RuntimeError for other ranks.
    """
    return ops.adaptive_avg_pool2d(input, _parts(input, output_size, 2))


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Means over as many windows as asked for.

    (N, C, *sizes) or (C, *sizes) become that with `output_size` (None keeps a size): window i of n
    reaches from floor(i s / n) to ceil((i + 1) s / n) of s elements. RuntimeError for other ranks.
    """
    return ops.adaptive_avg_pool3d(input, _parts(input, output_size, 3))


def _lp_pool(n: int) -> Any:
    def lp_pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Any:
        """p-norms of windows.

        (sum of x ** p over the window) ** (1 / p) with p = `norm_type`; sizes as those of
        `avg_pool`.
        """
        average = getattr(ops, f"avg_pool{n}d")
        kernel = _sizes(kernel_size, n)
        steps = kernel if stride is None else _sizes(stride, n)
        mean = average(input.pow(norm_type), kernel, steps, 0, ceil_mode)
        # A mean of a negative power sum has no root: PyTorch takes the root of its magnitude.
        total = tracec.sign(mean) * mean.abs().relu() * math.prod(kernel)
        return total.pow(1.0 / norm_type)

    lp_pool.__name__ = f"lp_pool{n}d"
    return lp_pool


lp_pool1d = _lp_pool(1)
lp_pool2d = _lp_pool(2)
lp_pool3d = _lp_pool(3)


def _max_unpool(n: int) -> Any:
    def max_unpool(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        """Put maxima back where pooling found them, zeros elsewhere.

        `indices` are those that `max_pool` returns; the sizes follow from kernel, stride and
        padding unless `output_size` says (ValueError if it cannot be).
        """
        if indices.shape != input.shape:
            raise RuntimeError(
                f"Expected shape of indices to be same as that of the input tensor "
                f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
            )
        kernel, pads = _sizes(kernel_size, n), _sizes(padding, n)
        steps = kernel if stride is None else _sizes(stride, n)
        sizes = _unpooled_size(input, kernel, steps, pads, output_size, n)
        lead = tuple(input.shape[:-n])
        flat = tracec.zeros((*lead, math.prod(sizes)), dtype=input.dtype, device=input.device)
        index = indices.reshape(*lead, -1)
        return flat.scatter(-1, index, input.reshape(*lead, -1)).reshape(*lead, *sizes)

    max_unpool.__name__ = f"max_unpool{n}d"
    return max_unpool


def _unpooled_size(
    input: Any, kernel: Any, steps: Any, pads: Any, output_size: Any, n: int
) -> list[int]:
    spatial = input.shape[-n:]
    default = [
        (size - 1) * step + k - 2 * p
        for size, step, k, p in zip(spatial, steps, kernel, pads, strict=True)
    ]
    if output_size is None:
        return default
    sizes = list(output_size)
    if len(sizes) == n + 2:
        sizes = sizes[2:]
    if len(sizes) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a "
            f"length of '{len(sizes)}'"
        )
    for size, usual, step in zip(sizes, default, steps, strict=True):
        if not usual - step < size < usual + step:
            raise ValueError(
                f'invalid output_size "{sizes}" (dim 0 must be between '
                f"{usual - step} and {usual + step})"
            )
    return sizes


max_unpool1d = _max_unpool(1)
max_unpool2d = _max_unpool(2)
max_unpool3d = _max_unpool(3)


def _grid_maxima(input: Any, windows: list[list[tuple[int, int]]]) -> tuple[Any, Any]:
    """The maximum of every cell of a grid of windows, and its place in the flat image."""
    n = len(windows)
    spatial = input.shape[-n:]
    lead = input.shape[:-n]
    positions = tracec.arange(math.prod(spatial), device=input.device).reshape(tuple(spatial))
    values, indices = [], []

    def visit(cell: Any, place: Any, dim: int) -> None:
        if dim == n:
            flat = cell.reshape(*lead, -1)
            best, where = flat.max(-1)
            values.append(best)
            indices.append(place.reshape(-1)[where])
            return
        for start, stop in windows[dim]:
            inner = cell.narrow(len(lead) + dim, start, stop - start)
            visit(inner, place.narrow(dim, start, stop - start), dim + 1)

    visit(input, positions, 0)
    shape = (*lead, *(len(row) for row in windows))
    return tracec.stack(values, -1).reshape(shape), tracec.stack(indices, -1).reshape(shape)


def _fractional_windows(sample: float, size: int, output: int, kernel: int) -> list[Any]:
    """Window starts at pseudo-random steps of mean (size - kernel) / (output - 1)."""
    starts = []
    if output > 1:
        alpha = (size - kernel) / (output - 1)
        starts = [int((i + sample) * alpha) - int(sample * alpha) for i in range(output - 1)]
    starts.append(size - kernel)
    return [(start, start + kernel) for start in starts]


def _fractional_max(n: int) -> Any:
    def fractional_max_pool(
        input: Any,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        """Maxima over windows at pseudo-random steps.

        There are `output_size` windows, or `output_ratio` times the size (Graham, 2014); exactly
        one of the two is given (ValueError). `_random_samples` fixes the steps.
        """
        name = f"fractional_max_pool{n}d"
        if output_size is None and output_ratio is None:
            raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
        kernel = _sizes(kernel_size, n)
        if output_size is None:
            ratios = _sizes(output_ratio, n)
            output_size = [int(s * r) for s, r in zip(input.shape[-n:], ratios, strict=True)]
        sizes = _sizes(output_size, n)
        batched = input if input.dim() == n + 2 else input.unsqueeze(0)
        samples = _random_samples
        if samples is None:
            samples = tracec.rand(*batched.shape[:2], n, dtype=input.dtype)
        draws = samples.tolist()
        planes = []
        for image, image_draws in zip(batched, draws, strict=False):
            for plane, draw in zip(image, image_draws, strict=True):
                # In two dimensions the first draw belongs to the last one.
                order = draw[::-1] if n == 2 else draw
                windows = [
                    _fractional_windows(order[d], plane.shape[d], sizes[d], kernel[d])
                    for d in range(n)
                ]
                planes.append(_grid_maxima(plane, windows))
        shape = (*input.shape[:-n], *sizes)
        if not planes:
            empty = input.new_empty(shape) + 0 * input.sum()  # keeps its place in the graph
            return (empty, empty.to(tracec.int64)) if return_indices else empty
        values = tracec.stack([value for value, _ in planes]).reshape(shape)
        if not return_indices:
            return values
        return values, tracec.stack([index for _, index in planes]).reshape(shape)

    fractional_max_pool.__name__ = f"fractional_max_pool{n}d"
    return fractional_max_pool


fractional_max_pool2d = _fractional_max(2)
fractional_max_pool3d = _fractional_max(3)
fractional_max_pool2d_with_indices = _with_indices(fractional_max_pool2d)
fractional_max_pool3d_with_indices = _with_indices(fractional_max_pool3d)
