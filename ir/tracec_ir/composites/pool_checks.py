"""What pooling refuses: shapes, window sizes and steps, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Sequence

from .. import dims
from ..core import Value
from ..dims import Dim
from .common import shape_text


def check_input(x: Value, n: int, name: str) -> None:
    """RuntimeError unless x is a sample or a batch with n spatial dimensions, not empty but for
    the batch."""
    text = shape_text(x.shape)
    right = x.rank in (n + 1, n + 2)
    first = x.rank - n - 1 if right else 0
    empty = right and any(dims.same(d, 0) for d in x.shape[first:])
    if right and not empty:
        return
    if not right and name == "avg_pool1d":
        raise RuntimeError(_wrong_rank(x, name))
    if not right and (n == 3 or name == "max_pool2d"):
        raise RuntimeError(f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input")
    if n == 3:
        spelled = "max_pool3d_with_indices_out_cpu_template" if "max" in name else name
        raise RuntimeError(
            f"{spelled}(): Expected input's non-batch dimensions to have positive length, but "
            f"input has a shape of {text} and non-batch dimension "
            f"{_first_empty(x, first) - first} has length zero!"
        )
    prefix = "max_pool1d: " if name == "max_pool1d" else ""
    raise RuntimeError(
        f"{prefix}Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch "
        f"size for input, but got:{text}"
    )


def _first_empty(x: Value, start: int) -> int:
    return next(i for i in range(start, x.rank) if dims.same(x.shape[i], 0))


def _wrong_rank(x: Value, name: str) -> str:
    return (
        f"Expected 2 to 3 dimensions, but got {x.rank}-dimensional tensor for argument #1 'self' "
        f"(while checking arguments for {name})"
    )


def check_adaptive(x: Value, output_size: Sequence[Dim | None], n: int, name: str) -> None:
    """RuntimeError unless x and the sizes asked for suit adaptive pooling."""
    if len(output_size) != n:
        if n == 1:
            raise RuntimeError(
                f"{name}() argument 'output_size' should contain one int (got {len(output_size)})"
            )
        if "avg" in name:
            raise RuntimeError(f"{name}: output_size must be {n}")
        raise RuntimeError(f"{name}(): internal error: output_size.size() must be {n}")
    if x.rank not in (n + 1, n + 2):
        if n == 1:
            raise RuntimeError(_wrong_rank(x, name))
        colon = "" if "avg" in name else ":"
        raise RuntimeError(
            f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got{colon} {shape_text(x.shape)}"
        )
    # means take an image without channels
    for i in range(x.rank - n - ("max" in name or n == 3), x.rank):
        if i > 0 and dims.same(x.shape[i], 0):
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {shape_text(x.shape)} with dimension {i} being empty"
            )
    if not any(isinstance(o, int) and o < 0 for o in output_size):
        return
    if "avg" in name:
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{{{', '.join(map(str, output_size))}}}"
        )
    low = next(o for o in output_size if isinstance(o, int) and o < 0)
    made = (*x.shape[: x.rank - n], *output_size)
    raise RuntimeError(f"Trying to create tensor with negative dimension {low}: {shape_text(made)}")


def _out_size(size: Dim, k: int, s: int, p: int, d: int, ceil_mode: bool) -> Dim:
    """PyTorch's pooling_output_shape."""
    reach = size + 2 * p - d * (k - 1) - 1
    out = (reach + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and isinstance(out, int) and (out - 1) * s >= size + p:
        out -= 1  # the last window must start inside the input or its left padding
    return out


def check_windows(kernel, stride, padding, dilation, row: bool = False) -> None:
    """RuntimeError unless windows can have these sizes, steps, paddings and gaps. `row` words it as
    PyTorch's max_pool1d without indices does."""
    if row:
        _check_row(kernel[0], stride[0], padding[0], dilation[0])
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if 2 * p > (k - 1) * d + 1:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and "
                f"dilation={d}"
            )
    if any(s <= 0 for s in stride):
        raise RuntimeError("stride should not be zero")
    if any(k <= 0 for k in kernel):
        raise RuntimeError("kernel size should be greater than zero")
    if any(d <= 0 for d in dilation):
        axes = "THW"[-len(kernel) :]
        steps = " ".join(f"dilation{c}: {d}" for c, d in zip(axes, dilation, strict=True))
        raise RuntimeError(f"dilation should be greater than zero, but got {steps}")


def out_sizes(
    x: Value, kernel, stride, padding, dilation, ceil_mode: bool, row: bool = False
) -> list[Dim]:
    """The output's spatial sizes. RuntimeError if one of them is not positive."""
    n = len(kernel)
    sizes = x.shape[-n:]
    out = [
        _out_size(s, k, t, p, d, ceil_mode)
        for s, k, t, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    ]
    if any(o < 1 for o in out):
        if row:
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {out[0]}")
        one = (1,) if n == 1 else ()  # PyTorch averages a row as an image of height one
        given = "x".join(map(str, (x.shape[-n - 1], *one, *sizes)))
        made = "x".join(map(str, (x.shape[-n - 1], *one, *out)))
        raise RuntimeError(
            f"Given input size: ({given}). Calculated output size: ({made}). Output size is too "
            "small"
        )
    return out


def _check_row(kernel: int, stride: int, padding: int, dilation: int) -> None:
    for name, value in (("kernel_size", kernel), ("stride", stride)):
        if value <= 0:
            raise RuntimeError(f"max_pool1d() {name} must be greater than zero, but got {value}")
    if padding < 0:
        raise RuntimeError(f"max_pool1d() padding must be non-negative, but got {padding}")
    if 2 * padding > kernel:
        raise RuntimeError(
            "max_pool1d() padding should be at most half of kernel size, but got "
            f"padding={padding} and kernel_size={kernel}"
        )
    if dilation <= 0:
        raise RuntimeError(f"max_pool1d() dilation must be greater than zero, but got {dilation}")
