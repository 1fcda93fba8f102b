"""Convolutions in one, two and three dimensions, transposed ones, patches to columns and back."""

from __future__ import annotations

from typing import Any

from .. import dims
from ..builder import Builder
from ..core import Value
from ..optable import composite
from .common import pad, same_shape, shape_text, spelled
from .samples import each, of


def _check(x: Value, w: Value, n: int, transposed: bool = False) -> None:
    name = f"conv{'_transpose' if transposed else ''}{n}d"
    if w.rank != n + 2:
        raise RuntimeError(
            "weight should have at least three dimensions"
            if w.rank < 3
            else f"Expected {w.rank}-dimensional input for {w.rank}-dimensional weight "
            f"{shape_text(w.shape)}, but got {x.rank}-dimensional input of size "
            f"{shape_text(x.shape)} instead"
        )
    if x.rank not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input "
            "of size: "
            f"{shape_text(x.shape)}"
        )
    if x.dtype is not w.dtype:
        raise RuntimeError(
            f"Input type ({_c_name(x)}) and bias type ({_c_name(w)}) should be the same"
        )


def _c_name(x: Value) -> str:
    return {"f32": "float", "f64": "double", "f16": "c10::Half", "bf16": "c10::BFloat16",
            "i64": "long long"}.get(x.dtype.code, spelled(x.dtype))  # fmt: skip


def _padding(padding, w: Value, stride, dilation) -> tuple[tuple, ...]:
    """(low, high) amounts per spatial dimension."""
    if padding == "valid":
        return tuple((0, 0) for _ in stride)
    if padding == "same":
        if any(s != 1 for s in stride):
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        totals = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
        return tuple((t // 2, t - t // 2) for t in totals)
    if isinstance(padding, str):
        raise RuntimeError(
            f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
        )
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    return tuple((p, p) for p in padding)


def _biased(b: Builder, y: Value, bias: Value | None, n: int) -> Value:
    return y if bias is None else b.add(y, b.reshape(bias, (bias.shape[0], *[1] * n)))


def _check_bias(x: Value, bias: Value | None) -> None:
    if bias is not None and bias.dtype is not x.dtype:
        raise RuntimeError(
            f"Input type ({_c_name(x)}) and bias type ({_c_name(bias)}) should be the same"
        )


def _conv(b: Builder, x, w, bias, n, stride, padding, dilation, groups) -> Value:
    _check(x, w, n)
    _check_bias(x, bias)
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError("dilation should be greater than zero")
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    batched = x.rank == n + 2
    z = x if batched else b.reshape(x, (1, *x.shape))
    pads = _padding(padding, w, stride, dilation)
    if isinstance(w.shape[0], int) and w.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {shape_text(w.shape)} instead"
        )
    if not dims.same(z.shape[1], w.shape[1] * groups):
        raise RuntimeError(
            f"Given groups={groups}, weight of size {shape_text(w.shape)}, expected "
            f"input{shape_text(x.shape)} "
            f"to have {w.shape[1] * groups} channels, but got {z.shape[1]} channels instead"
        )
    if not dims.same(dims.mod(w.shape[0], groups), 0):
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            "got weight of "
            f"size {shape_text(w.shape)} instead"
        )
    if bias is not None and not same_shape(bias.shape, (w.shape[0],)):
        raise RuntimeError(
            f"Given weight of size {shape_text(w.shape)}, expected bias to be 1-dimensional with "
            f"{w.shape[0]} "
            f"elements, but got bias of size {shape_text(bias.shape)} instead"
        )
    padded = [s + lo + hi for s, (lo, hi) in zip(z.shape[2:], pads, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    if any(p < r for p, r in zip(padded, reach, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). Kernel "
            "size: "
            f"({' x '.join(map(str, reach))}). Kernel size can't be greater than actual input size"
        )
    y = b.emit1("conv", z, w, stride=stride, padding=pads, dilation=dilation, groups=groups)
    y = _biased(b, y, bias, n)
    return y if batched else b.reshape(y, y.shape[1:])


def _transposed(
    b: Builder, x, w, bias, n, stride, padding, output_padding, groups, dilation
) -> Value:
    _check(x, w, n, True)
    _check_bias(x, bias)
    batched = x.rank == n + 2
    z = x if batched else b.reshape(x, (1, *x.shape))
    if not dims.same(z.shape[1], w.shape[0]):
        raise RuntimeError(
            f"Given transposed=1, weight of size {shape_text(w.shape)}, expected "
            f"input{shape_text(x.shape)} to "
            f"have {w.shape[0]} channels, but got {z.shape[1]} channels instead"
        )
    sizes, pads = [], []
    for i in range(n):
        s, p, o, d = stride[i], padding[i], output_padding[i], dilation[i]
        if o >= s and o >= d:
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got "
                "output_padding_height: "
                f"{o} stride_height: {s} dilation_height: {d}"
            )
        sizes.append((z.shape[2 + i] - 1) * s - 2 * p + d * (w.shape[2 + i] - 1) + o + 1)
        # an output padding of a stride or more would be a further position of the forward window
        pads.append((p, p) if o < s else (p, p - o))
    y = b.emit1(
        "conv_input", z, w, input_shape=(z.shape[0], w.shape[1] * groups, *sizes), stride=stride,
        padding=tuple(pads), dilation=dilation, groups=groups,
    )  # fmt: skip
    y = _biased(b, y, bias, n)
    return y if batched else b.reshape(y, y.shape[1:])


def _declare(n: int) -> None:
    one = (1,) * n
    image, kernel = "x".join("454"[:n]), "x".join("322"[:n])
    samples = of(f"f1x2x{image}", f"f3x2x{kernel}", "f3")
    if n == 2:
        grouped = {"stride": (2, 1), "padding": (1, 0), "groups": 2}
        samples = each(samples, of(f"f1x2x{image}", f"f4x1x{kernel}", **grouped))

    @composite(f"conv{n}d", autocast="half", samples=samples)
    def conv(b, x, weight, bias=None, *, stride=one, padding=(0,) * n, dilation=one, groups=1):
        """A convolution (cross-correlation) over the trailing spatial dimensions."""
        return _conv(b, x, weight, bias, n, stride, padding, dilation, groups)

    strided = {"stride": (2,) * n, "padding": (1,) * n, "output_padding": (1,) * n}
    samples = of("f1x2x" + "x".join("222"[:n]), f"f2x2x{kernel}", "f2", **strided)

    @composite(f"conv_transpose{n}d", autocast="half", samples=samples)
    def conv_transpose(
        b, x, weight, bias=None, *, stride=one, padding=(0,) * n, output_padding=(0,) * n, groups=1,
        dilation=one,
    ):  # fmt: skip
        """The gradient of a convolution with respect to its input, as an operation of its own."""
        return _transposed(b, x, weight, bias, n, stride, padding, output_padding, groups, dilation)


for _n in (1, 2, 3):
    _declare(_n)


# -- patches --------------------------------------------------------------------------------------
def _blocks(size, kernel, dilation, padding, stride):
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@composite(
    samples=of("f1x2x4x5", kernel_size=(2, 3), dilation=(1, 1), padding=(1, 1), stride=(2, 2))
)
def im2col(b, x, *, kernel_size, dilation, padding, stride):
    """The sliding patches of x[N, C, H, W] as columns: [N, C * kh * kw, blocks]."""
    if x.rank not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            "dimensions for "
            f"input, but got: {shape_text(x.shape)}"
        )
    z = x if x.rank == 4 else b.reshape(x, (1, *x.shape))
    n, c, h, w = z.shape
    kh, kw = kernel_size
    oh, ow = (
        _blocks(s, k, d, p, t)
        for s, k, d, p, t in zip((h, w), kernel_size, dilation, padding, stride, strict=True)
    )
    if oh < 1 or ow < 1:
        raise RuntimeError(
            f"Given input with spatial size ({h}, {w}), kernel_size=({kh}, {kw}), "
            f"dilation=({dilation[0]}, "
            f"{dilation[1]}), padding=({padding[0]}, {padding[1]}), calculated shape of the array "
            "of sliding "
            f"blocks as ({oh}, {ow}), but its components must be at least one."
        )
    z = pad(b, z, (0, 0, *padding), (0, 0, *padding))
    parts = []
    for i in range(kh):
        for j in range(kw):
            y0, x0 = i * dilation[0], j * dilation[1]
            part = b.emit1(
                "slice", z, starts=(0, 0, y0, x0),
                stops=(n, c, y0 + (oh - 1) * stride[0] + 1, x0 + (ow - 1) * stride[1] + 1),
                steps=(1, 1, stride[0], stride[1]),
            )  # fmt: skip
            parts.append(b.reshape(part, (n, c, 1, oh * ow)))
    y = b.reshape(b.emit1("concat", *parts, axis=2), (n, c * kh * kw, oh * ow))
    return y if x.rank == 4 else b.reshape(y, y.shape[1:])


@composite(
    samples=of(
        "f1x8x6",
        output_size=(3, 4),
        kernel_size=(2, 2),
        dilation=(1, 1),
        padding=(0, 0),
        stride=(1, 1),
    )
)
def col2im(b, x, *, output_size, kernel_size, dilation, padding, stride):
    """The sum of columns back at the places that im2col reads them from."""
    z = x if x.rank == 3 else b.reshape(x, (1, *x.shape))
    n, rows, blocks = z.shape
    kh, kw = kernel_size
    if not dims.same(dims.mod(rows, kh * kw), 0):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            "but got "
            f"input.size(1)={rows} and kernel_size=({kh}, {kw})."
        )
    oh, ow = (
        _blocks(s, k, d, p, t)
        for s, k, d, p, t in zip(output_size, kernel_size, dilation, padding, stride, strict=True)
    )
    if not dims.same(blocks, oh * ow):
        raise RuntimeError(
            f"Given output_size=({output_size[0]}, {output_size[1]}), kernel_size=({kh}, {kw}), "
            f"dilation=({dilation[0]}, {dilation[1]}), padding=({padding[0]}, {padding[1]}), "
            f"stride=({stride[0]}, "
            f"{stride[1]}), expected size of input's dimension 2 to match the calculated number "
            "of sliding blocks "
            f"{oh} * {ow} = {oh * ow}, but got input.size(2)={blocks}."
        )
    c = dims.floordiv(rows, kh * kw)
    z = b.reshape(z, (n, c, kh, kw, oh, ow))
    height, width = (s + 2 * p for s, p in zip(output_size, padding, strict=True))
    total: Any = None
    for i in range(kh):
        for j in range(kw):
            part = b.emit1(
                "slice",
                z,
                starts=(0, 0, i, j, 0, 0),
                stops=(n, c, i + 1, j + 1, oh, ow),
                steps=(1,) * 6,
            )
            y0, x0 = i * dilation[0], j * dilation[1]
            end_y, end_x = y0 + (oh - 1) * stride[0] + 1, x0 + (ow - 1) * stride[1] + 1
            part = b.emit1(
                "pad", b.reshape(part, (n, c, oh, ow)), b.const(0, x.dtype), low=(0, 0, y0, x0),
                high=(0, 0, height - end_y, width - end_x),
                interior=(0, 0, stride[0] - 1, stride[1] - 1),
            )  # fmt: skip
            total = part if total is None else b.add(total, part)
    y = pad(b, total, (0, 0, *(-p for p in padding)), (0, 0, *(-p for p in padding)))
    return y if x.rank == 3 else b.reshape(y, y.shape[1:])
