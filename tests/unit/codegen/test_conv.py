"""Convolutions and their gradients against torch (where installed) and a direct numpy sum."""

import ctypes
import itertools
from dataclasses import replace

import numpy as np
import pytest

from tracec_codegen.jit import compile_text
from tracec_codegen.llvm.conv import CONV_KINDS, ConvShape, conv_ir, conv_symbol
from tracec_codegen.llvm.library import NativeLibrary, PlanStep, encode_plan, native_library
from tracec_codegen.target import host_target, named_target

from .fenced import fenced

EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 5, ctypes.c_void_p,
                            ctypes.c_int64)
DTYPES = {"f32": "f4", "f64": "f8"}
TOLERANCE = {"f32": 3e-5, "f64": 1e-12}


def shape_of(batch=1, groups=1, channels=1, filters=1, size=(5, 5), kernel=(3, 3), stride=(1, 1),
             pad=(0, 0, 0, 0), dilation=(1, 1)) -> ConvShape:
    """A shape; pad is (top, bottom, left, right)."""
    out = [(size[i] + pad[2 * i] + pad[2 * i + 1] - dilation[i] * (kernel[i] - 1) - 1)
           // stride[i] + 1 for i in range(2)]
    return ConvShape(batch, groups, channels, filters, *size, *kernel, *out, *stride, pad[0],
                     pad[2], *dilation)


def arrays(s: ConvShape, dtype: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((s.batch, s.groups * s.channels, s.height, s.width))
    w = rng.standard_normal((s.groups * s.filters, s.channels, s.kernel_h, s.kernel_w))
    y = rng.standard_normal((s.batch, s.groups * s.filters, s.out_h, s.out_w))
    return tuple(a.astype(DTYPES[dtype]) for a in (x, w, y))


def run(kind, s, x, w, y, *, parts=1, flags=0, epilogue=0, context=0, entry=None,
        guarded=False, target=None) -> None:
    """Call one of the entry points; the result is written to x, w or y.

    With `guarded`, scratch is exactly as large as promised and what follows it is checked.
    """
    library = native_library()
    dtype = {4: "f32", 8: "f64"}[x.itemsize]
    words = [x.ctypes.data, w.ctypes.data, y.ctypes.data, *s.words(), parts, flags, epilogue,
             context]
    extent = parts if kind == "conv_weight" else parts * s.batch
    table = np.array([0, *words, extent], np.int64)
    step = PlanStep(entry or library.address(conv_symbol(kind, dtype)), range(1, len(words) + 1),
                    len(words) + 1, 1)
    size = s.scratch_bytes(kind, target or library.target, dtype)
    if target is None:
        assert library.call_needs(conv_symbol(kind, dtype), words, extent)[0] == size
    if not guarded:
        library.run(encode_plan([step]), 1, table, scratch_per_thread=size)
        return
    area = np.full(size + 4096 + 128, 0xA5, np.uint8)
    start = -area.ctypes.data % 64
    error = np.zeros(8, np.int64)
    table[0] = error.ctypes.data
    record = library.record(encode_plan([step]), 1, table, scratch_per_thread=size, threads=1)
    record.words[3] = area.ctypes.data + start
    assert library.launch(record.address) == 0
    assert (area[:start] == 0xA5).all() and (area[start + size:] == 0xA5).all()


def reference(kind: str, s: ConvShape, x, w, y) -> np.ndarray:
    """The same by one einsum per filter tap, in double precision."""
    x, w, y = (a.astype("f8") for a in (x, w, y))
    n, g = s.batch, s.groups
    high = max(0, (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1)
    wide = max(0, (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1)
    frame = np.zeros((n, g, s.channels, high, wide))
    rows = [i for i in range(s.height) if 0 <= i + s.top < high]
    columns = [j for j in range(s.width) if 0 <= j + s.left < wide]
    at = np.ix_(range(n), range(g), range(s.channels), [i + s.top for i in rows],
                [j + s.left for j in columns])
    image = x.reshape(n, g, s.channels, s.height, s.width)
    frame[at] = image[:, :, :, rows][:, :, :, :, columns]
    filters = w.reshape(g, s.filters, s.channels, s.kernel_h, s.kernel_w)
    out = y.reshape(n, g, s.filters, s.out_h, s.out_w)
    result = {"conv": np.zeros_like(out), "conv_weight": np.zeros_like(filters),
              "conv_input": np.zeros_like(frame)}[kind]
    for i in range(s.kernel_h):
        for j in range(s.kernel_w):
            part = (slice(None), slice(None), slice(None),
                    slice(i * s.dilation_h, i * s.dilation_h + (s.out_h - 1) * s.stride_h + 1,
                          s.stride_h),
                    slice(j * s.dilation_w, j * s.dilation_w + (s.out_w - 1) * s.stride_w + 1,
                          s.stride_w))
            if kind == "conv":
                result += np.einsum("ngchw,gfc->ngfhw", frame[part], filters[..., i, j])
            elif kind == "conv_weight":
                result[..., i, j] = np.einsum("ngchw,ngfhw->gfc", frame[part], out)
            else:
                result[part] += np.einsum("ngfhw,gfc->ngchw", out, filters[..., i, j])
    if kind == "conv_input":
        full = np.zeros_like(image)
        inner = np.ix_(range(n), range(g), range(s.channels), rows, columns)
        full[inner] = result[at]
        return full.reshape(x.shape)
    return result.reshape({"conv": y, "conv_weight": w}[kind].shape)


SHAPES = {
    "lenet1": shape_of(3, 1, 1, 6, (28, 28), (5, 5), pad=(2, 2, 2, 2)),
    "lenet2": shape_of(2, 1, 6, 16, (14, 14), (5, 5)),
    "resnet": shape_of(1, 1, 20, 24, (17, 19), (3, 3), pad=(1, 1, 1, 1)),
    "stride": shape_of(2, 1, 5, 7, (23, 26), (3, 3), (2, 2), (1, 1, 1, 1)),
    "stride3x2": shape_of(2, 1, 3, 7, (31, 40), (5, 4), (3, 2), (2, 1, 0, 3)),
    "dilated": shape_of(2, 1, 4, 5, (20, 33), (3, 3), (1, 1), (2, 2, 2, 2), (2, 2)),
    "all": shape_of(2, 2, 3, 4, (30, 35), (3, 5), (2, 3), (3, 1, 0, 4), (2, 3)),
    "depthwise": shape_of(2, 9, 1, 1, (12, 21), (3, 3), pad=(1, 1, 1, 1)),
    "depthwise_wide": shape_of(1, 2, 1, 1, (9, 70), (5, 5), pad=(2, 2, 2, 2)),
    "depthwise_stride": shape_of(2, 5, 1, 1, (14, 37), (3, 3), (2, 2), (1, 1, 1, 1)),
    "groups": shape_of(1, 3, 4, 8, (9, 9), (3, 3), pad=(1, 1, 1, 1)),
    "narrow": shape_of(3, 1, 8, 13, (7, 3), (3, 2), pad=(1, 1, 1, 1)),
    "pointwise": shape_of(2, 1, 30, 20, (7, 7), (1, 1)),
    "deep": shape_of(1, 1, 70, 110, (6, 9), (3, 3), pad=(1, 1, 1, 1)),
    "tall": shape_of(1, 1, 2, 3, (50, 1), (7, 1), pad=(3, 3, 0, 0)),
    "crop": shape_of(2, 1, 3, 4, (14, 30), (3, 3), pad=(-2, -1, -3, -2)),
    "crop_stride": shape_of(2, 1, 3, 4, (15, 31), (3, 3), (2, 2), pad=(-2, -1, -3, -2)),
    "one": shape_of(),
    "tiny": shape_of(1, 1, 1, 1, (1, 1), (1, 1)),
    "no_batch": shape_of(0, 1, 2, 3, (9, 9)),
    "no_channels": shape_of(2, 1, 0, 3, (9, 9)),
    "no_filters": shape_of(2, 1, 2, 0, (9, 9)),
}


@pytest.fixture(params=[1, 2])
def threads(request):
    native_library().set_num_threads(request.param)
    yield request.param
    native_library().set_num_threads(1)


def check(kind: str, s: ConvShape, dtype: str, parts: int) -> None:
    x, w, y = arrays(s, dtype)
    target = {"conv": y, "conv_input": x, "conv_weight": w}[kind]
    expected = reference(kind, s, x, w, y)
    ones = [np.abs(a) for a in (x, w, y)]
    scale = reference(kind, s, *ones) + 1
    start = target.copy()
    for flags in (0, 1):
        target[...] = start
        run(kind, s, x, w, y, parts=parts, flags=flags)
        error = np.abs(target - expected - (start if flags else 0)) / scale
        assert error.size == 0 or error.max() < TOLERANCE[dtype], error.max()


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("kind", CONV_KINDS)
@pytest.mark.parametrize("name", SHAPES)
def test_against_a_direct_sum(threads, name: str, kind: str, dtype: str) -> None:
    check(kind, SHAPES[name], dtype, 3)


@pytest.mark.parametrize("kind", CONV_KINDS)
def test_random_shapes(threads, kind: str) -> None:
    rng = np.random.default_rng(11)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    for _ in range(40):
        kernel = (pick(1, 6), pick(1, 6))
        dilation = (pick(1, 3), pick(1, 3))
        pad = tuple(pick(0, 4) for _ in range(4))
        size = tuple(max(dilation[i] * (kernel[i] - 1) + 1 - pad[2 * i], 1) + pick(0, 25)
                     for i in range(2))
        s = shape_of(pick(1, 4), pick(1, 3), pick(1, 9), pick(1, 14), size, kernel,
                     (pick(1, 4), pick(1, 4)), pad, dilation)
        check(kind, s, "f32", pick(1, 6))


@pytest.mark.parametrize("kind", CONV_KINDS)
@pytest.mark.parametrize("name", SHAPES)
def test_memory_stays_in_bounds(name: str, kind: str) -> None:
    for dtype in DTYPES:
        x, w, y = map(fenced, arrays(SHAPES[name], dtype))
        run(kind, SHAPES[name], x, w, y, parts=2, guarded=True)


@pytest.mark.parametrize("kind", CONV_KINDS)
@pytest.mark.parametrize("name", ["resnet", "stride", "groups", "deep", "depthwise_wide", "lenet1"])
def test_bits_do_not_depend_on_the_cutting(name: str, kind: str) -> None:
    s = SHAPES[name]
    results = []
    for number, parts in ((1, 1), (1, 4), (2, 2), (2, 16)):
        native_library().set_num_threads(number)
        x, w, y = arrays(s, "f32")
        run(kind, s, x, w, y, parts=parts)
        results.append({"conv": y, "conv_input": x, "conv_weight": w}[kind])
    native_library().set_num_threads(1)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0].view("i4"), other.view("i4"))


@pytest.mark.parametrize("name", ["lenet1", "stride3x2", "all", "depthwise", "crop", "pointwise"])
def test_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    s = SHAPES[name]
    x, w, y = arrays(s, "f32")
    tx, tw = torch.from_numpy(x.copy()), torch.from_numpy(w.copy())
    tx.requires_grad_()
    tw.requires_grad_()
    bottom = (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1 - s.height - s.top
    right = (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w + 1 - s.width - s.left
    padded = torch.nn.functional.pad(tx, (s.left, right, s.top, bottom))
    ty = torch.nn.functional.conv2d(padded, tw, None, (s.stride_h, s.stride_w), 0,
                                    (s.dilation_h, s.dilation_w), s.groups)
    ty.backward(torch.from_numpy(y))
    gx, gw, out = np.empty_like(x), np.empty_like(w), np.empty_like(y)
    run("conv", s, x, w, out)
    run("conv_input", s, gx, w, y)
    run("conv_weight", s, x, gw, y)
    for ours, theirs in ((out, ty.detach()), (gx, tx.grad), (gw, tw.grad)):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["resnet", "groups", "no_channels", "depthwise"])
def test_epilogue_sees_every_element_once(threads, name: str) -> None:
    s = SHAPES[name]
    x, w, y = arrays(s, "f32")
    expected = reference("conv", s, x, w, y)
    seen = np.zeros(y.shape, int).reshape(s.batch, y.shape[1], -1)

    def finish(tile, ldc, row, column, rows, columns, context, batch) -> None:
        part = (batch, slice(row, row + rows), slice(column, column + columns))
        seen[part] += 1
        y.reshape(seen.shape)[part] += 1
        assert (ldc, context) == (seen.shape[2], 5)
        assert tile == y.reshape(seen.shape)[batch, row:, column:].ctypes.data

    callback = EPILOGUE(finish)
    run("conv", s, x, w, y, parts=2, epilogue=ctypes.cast(callback, ctypes.c_void_p).value,
        context=5)
    assert (seen == 1).all()
    np.testing.assert_allclose(y, expected + 1, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("isa", ["sse2", "wide"])
def test_other_vector_units(isa: str) -> None:
    """The baseline, and AVX-512's tile shapes carried out by this machine's vectors."""
    if host_target().arch != "x86_64":
        pytest.skip("needs x86-64")
    wide = replace(host_target(), vector_bits=512, registers=32)
    code = NativeLibrary(wide if isa == "wide" else host_target("sse2"))
    names = ("stride", "lenet1", "resnet", "deep", "depthwise_wide", "narrow")
    for s, kind in itertools.product((SHAPES[name] for name in names), CONV_KINDS):
        x, w, y = arrays(s, "f32")
        expected = reference(kind, s, x, w, y)
        run(kind, s, x, w, y, entry=code.address(conv_symbol(kind, "f32")), guarded=True,
            target=code.target)
        got = {"conv": y, "conv_input": x, "conv_weight": w}[kind]
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("isa", ["avx512", "neon"])
def test_other_targets_emit(isa: str) -> None:
    target = named_target(isa)
    assert compile_text(conv_ir(target, "f32"), target).startswith(b"\x7fELF")
