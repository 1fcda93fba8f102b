"""The LLVM emitter: pointwise primitives, tails, strides, reductions, scans, masks, targets."""

import warnings
import zlib

import numpy as np
import pytest

from tests.unit.codegen.kernels import Compiled, N, P, apply, pointwise, ulps
from tracec_codegen.jit import compile_text
from tracec_codegen.kernel.core import (
    ArgCarry,
    ArgUpdate,
    Buf,
    Carry,
    Check,
    Const,
    IndexValue,
    Kernel,
    Load,
    Loop,
    Scalar,
    Scratch,
    Size,
    Store,
    Update,
)
from tracec_codegen.kernel.printer import kernel_text, structural_key
from tracec_codegen.kernel.verify import KernelError, verify
from tracec_codegen.llvm import stream
from tracec_codegen.llvm.emit import emit, scratch_bytes
from tracec_codegen.llvm.scalar import supported
from tracec_codegen.target import host_target, named_target
from tracec_ir import optable
from tracec_ir.dims import minimum, symbol
from tracec_ir.dtypes import b1, bf16, f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64

J, M = symbol("j"), symbol("m")
FLOATS, INTEGERS = (f32, f64), (i8, i16, i32, i64, u8)
ALL = (b1, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64)
BOTH = ("", "sse2")


def sample(dtype, count: int, seed: int) -> np.ndarray:
    """Numbers of the type with its corners among them."""
    rng = np.random.default_rng(seed)
    if dtype is b1:
        return rng.integers(0, 2, count).astype(bool)
    if dtype.is_floating_point:
        x = rng.normal(size=count) * 3
        x[::7] = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2.5, -2.5, 3], x[::7].size)
        return x.astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    x = rng.integers(max(info.min, -20), 20, count).astype(dtype.numpy)
    x[::9] = rng.choice([info.min, info.max, 0, 1], x[::9].size)
    return x


def expected(op: str, *arrays: np.ndarray, **attrs) -> np.ndarray:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(optable.lookup(op).numpy(*arrays, **attrs))


def tolerance(dtype) -> float:
    return 4.0 if dtype in (f32, f64) else 1.0


def compare(op: str, found: np.ndarray, exact: np.ndarray, dtype) -> None:
    if dtype.is_floating_point:
        wide = found.astype(np.float32) if dtype in (f16, bf16) else found
        if dtype in (f16, bf16):
            eps = 2.0**-10 if dtype is f16 else 2.0**-7
            np.testing.assert_allclose(wide, exact.astype(np.float32), rtol=eps, atol=1e-7)
        else:
            distance = ulps(wide, exact)
            worst = int(np.argmax(distance))
            assert distance[worst] <= tolerance(dtype), (op, worst, found[worst], exact[worst])
    else:
        np.testing.assert_array_equal(found, exact)


def dtypes_of(op: str) -> tuple:
    promote = optable.lookup(op).pointwise.promote
    if promote == "float" and op != "div" or op == "hypot":
        return FLOATS
    if promote == "int":
        return INTEGERS if op in ("shl", "shr") else (*INTEGERS, b1)
    if op in ("neg", "sub", "pow", "fmod", "div", "floor", "ceil", "trunc", "round"):
        return (*INTEGERS, *FLOATS)
    return (*INTEGERS, *FLOATS, b1)


PLAIN = sorted(n for n in supported() if n not in ("select", "cast", "bitcast"))


@pytest.mark.parametrize("isa", BOTH)
@pytest.mark.parametrize("op", PLAIN)
def test_pointwise_matches_the_reference(op: str, isa: str) -> None:
    definition = optable.lookup(op)
    arity = len(definition.operands)
    kinds = dtypes_of(op) if not isa else dtypes_of(op)[::3]
    for dtype in kinds:
        seed = zlib.crc32(op.encode())
        arrays = [sample(dtype, 67, seed + k) for k in range(arity)]
        if dtype.is_integral:
            if op == "pow":
                arrays[1] = np.abs(arrays[1] % 5).astype(dtype.numpy)
            elif op in ("shl", "shr"):
                arrays[1] = (np.abs(arrays[1].astype(int)) % dtype.bits).astype(dtype.numpy)
            elif op in ("div", "fmod"):
                arrays[1][arrays[1] == 0] = 3
                if dtype.is_signed:
                    arrays[1][arrays[1] == -1] = -3
        if dtype is f32 and definition.pointwise.promote == "float":
            exact = expected(op, *(a.astype(float) for a in arrays))
        else:
            exact = expected(op, *arrays)
        boolean = exact.dtype == bool
        result = b1 if boolean else dtype
        found = apply(op, *arrays, types=(dtype,) * arity, result=result, isa=isa)
        if op in ("digamma", "lgamma") and dtype is f64:  # SciPy loses digits near their zeros
            np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-14)
        else:
            compare(op, found, exact, result)


def test_lowerings_cover_the_table() -> None:
    ops = {n for n, d in optable.all_ops().items() if d.is_primitive and d.pointwise}
    ops -= {"complex", "real", "imag"}  # kernels hold no complex numbers
    assert ops == supported()


@pytest.mark.parametrize("isa", BOTH)
def test_cast_between_all_types(isa: str) -> None:
    for source in ALL:
        for to in ALL if not isa else (b1, u8, i64, f16, bf16, f32):
            x = np.array([0, 1, 2, 3, 100, 77, 5] * 5).astype(source.numpy)
            if source.is_floating_point:
                x = (x + np.array(0.75).astype(x.dtype)).astype(source.numpy)
            if source.is_signed:
                x[::2] = -x[::2]
            if to.kind == "u" and source.is_signed:
                x = np.abs(x)
            found = apply("cast", x, types=(source,), result=to, isa=isa)
            exact = x.astype(np.float32) if source is bf16 and to is not bf16 else x
            np.testing.assert_array_equal(found, exact.astype(to.numpy), f"{source} {to}")


@pytest.mark.parametrize("isa", BOTH)
@pytest.mark.parametrize("dtype", [f16, bf16])
def test_half_types_round_to_nearest_even(dtype, isa: str) -> None:
    every = np.arange(0, 1 << 16, dtype=np.uint16).view(dtype.numpy)
    wide = apply("cast", every, types=(dtype,), result=f32, isa=isa)
    np.testing.assert_array_equal(wide, every.astype(np.float32))
    rng = np.random.default_rng(1)
    x = rng.integers(0, 1 << 32, 60000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.array([65504, 65519.9, 65520, 6e-8, 2.98e-8, 2.99e-8, -1e-9],
                                    np.float32)])
    with np.errstate(all="ignore"):
        exact = x.astype(dtype.numpy)
    found = apply("cast", x, types=(f32,), result=dtype, isa=isa)
    nan = np.isnan(x)
    assert np.isnan(found[nan].astype(np.float32)).all()
    assert (found[~nan].view(np.uint16) == exact[~nan].view(np.uint16)).all()


def test_select_and_bitcast() -> None:
    c, a, b = sample(b1, 50, 1), sample(f32, 50, 2), sample(f32, 50, 3)
    found = apply("select", c, a, b, types=(b1, f32, f32), result=f32)
    np.testing.assert_array_equal(found, np.where(c, a, b))
    assert (apply("bitcast", a, types=(f32,), result=i32) == a.view(np.int32)).all()
    h = a.astype(np.float16)
    assert (apply("bitcast", h, types=(f16,), result=i16) == h.view(np.int16)).all()


def test_integer_corners_never_trap() -> None:
    for dtype in (i8, i32, i64):
        low = np.iinfo(dtype.numpy).min
        a = np.array([low, 5, low, 0], dtype.numpy)
        b = np.array([-1, 0, 0, 0], dtype.numpy)
        found = apply("div", a, b, types=(dtype, dtype), result=dtype)
        assert list(found) == [low, 0, 0, 0]
        assert list(apply("fmod", a, b, types=(dtype, dtype), result=dtype)) == [0, 0, 0, 0]
        big = np.array([200 if dtype is not i8 else 100, -1, dtype.bits, 1], dtype.numpy)
        assert list(apply("shr", a, big, types=(dtype, dtype), result=dtype)) == [-1, 0, -1, 0]
        assert list(apply("shl", a, big, types=(dtype, dtype), result=dtype)) == [0, 0, 0, 0]


# ---- tails and memory -----------------------------------------------------------------------

@pytest.mark.parametrize("isa", BOTH)
@pytest.mark.parametrize("dtype", [b1, u8, f16, bf16, f32, f64, i64], ids=lambda d: d.code)
def test_every_tail_length(dtype, isa: str) -> None:
    run = pointwise("bitwise_or" if dtype is b1 else "add", (dtype, dtype), dtype, isa)
    for count in range(2, 2 * 64 // max(1, dtype.itemsize) + 3, 1 if dtype.itemsize > 2 else 3):
        x = np.arange(count).astype(dtype.numpy) if dtype is not b1 else sample(b1, count, count)
        out = np.zeros(count, dtype.numpy)
        run([x, x, out], [count])
        assert np.array_equal(out, x | x if dtype is b1 else x + x), count


def test_constant_extents() -> None:
    for count in (1, 2, 3, 5, 8, 9, 16, 31, 32, 33, 40, 64, 100):
        body = [Load("%0", "x", P, f32), Scalar("%1", "mul", ("%0", "%0"), f32),
                Store("y", P, "%1")]
        kernel = Kernel("square", [Buf("x", f32), Buf("y", f32, "out")], [],
                        [Loop("i", count, "vector", body)])
        x = np.arange(count, dtype=np.float32)
        y = np.zeros_like(x)
        Compiled(kernel)([x, y])
        assert np.array_equal(y, x * x)


def test_parallel_ranges_touch_their_part_only() -> None:
    run = pointwise("neg", (f32,), f32, kind="parallel")
    x = np.arange(1, 101, dtype=np.float32)
    for low, high in ((0, 100), (3, 3), (3, 4), (17, 93), (99, 100)):
        y = np.zeros_like(x)
        run([x, y], [100], low, high)
        want = np.zeros_like(x)
        want[low:high] = -x[low:high]
        assert np.array_equal(y, want)


def test_strides_broadcasts_and_divisions() -> None:
    bufs = [Buf("x", f32), Buf("b", f32), Buf("y", f32, "out")]
    for name, index, picture in (
        ("transposed", (P % M) * N + P // M, lambda x: x.T),
        ("reversed", M * N - 1 - P, lambda x: x.ravel()[::-1]),
        ("column", P // N * N, lambda x: np.broadcast_to(x[:, :1], x.shape)),
        ("row", P % N, lambda x: np.broadcast_to(x[0], x.shape)),
        ("clamped", minimum(P, 4), lambda x: x.ravel()[np.minimum(np.arange(x.size), 4)]),
        ("halves", P // 2, lambda x: x.ravel()[np.arange(x.size) // 2]),
        ("sevenths", (P + 3) // 7, lambda x: x.ravel()[(np.arange(x.size) + 3) // 7]),
        ("mod3", (P - 2) % 3, lambda x: x.ravel()[(np.arange(x.size) - 2) % 3]),
    ):
        body = [Load("%0", "x", index, f32), Load("%1", "b", 0, f32),
                Scalar("%2", "add", ("%0", "%1"), f32), Store("y", P, "%2")]
        kernel = Kernel(name, bufs, [Size("m"), Size("n")], [Loop("i", M * N, "vector", body)])
        run = Compiled(kernel)
        for m, n in ((2, 3), (5, 7), (3, 64), (64, 3), (17, 31)):
            x = np.random.default_rng(m).random((m, n), np.float32)
            y = np.zeros(m * n, np.float32)
            run([x.ravel().copy(), np.ones(1, np.float32), y], [m, n])
            assert np.array_equal(y, picture(x).ravel() + 1), (name, m, n)


def test_masked_loads_read_nothing_outside() -> None:
    """A padded read: positions outside get `other` and their addresses may be wild."""
    far = P * 100000 - 100000 * 5
    body = [IndexValue("%i", P, i64), Const("%5", 5, i64), Scalar("%ok", "eq", ("%i", "%5"), b1),
            Load("%0", "x", far, f32, mask="%ok", other=-1.5), Store("y", P, "%0")]
    kernel = Kernel("padded", [Buf("x", f32), Buf("y", f32, "out")], [Size("n")],
                    [Loop("i", N, "vector", body)])
    y = np.zeros(21, np.float32)
    Compiled(kernel)([np.array([7], np.float32), y], [21])
    assert list(y) == [7 if k == 5 else -1.5 for k in range(21)]


def test_loops_are_cut_where_comparisons_change() -> None:
    """x, then a run-time number, then z: `where` and `edge` are positions, known or not."""
    for edge, where in ((20, 45), (N, N + N), (N, 45), (0, 100)):
        body = [
            Load("%c", "c", 0, f32), Const("%e", edge, i64) if isinstance(edge, int) else
            IndexValue("%e", edge, i64), IndexValue("%w", where - 1, i64),
            Loop("j", M, "parallel", [Loop("i", 100, "vector", [
                IndexValue("%i", P, i64), Scalar("%x?", "lt", ("%i", "%e"), b1),
                Scalar("%z?", "lt", ("%w", "%i"), b1),
                Load("%x", "x", J * 100 + P, f32, mask="%x?"),
                Load("%z", "z", P - where, f32, mask="%z?", other=5),
                Scalar("%1", "select", ("%x?", "%x", "%c"), f32),
                Scalar("%2", "select", ("%z?", "%z", "%1"), f32),
                Scalar("%3", "bitwise_or", ("%x?", "%z?"), b1),
                Store("y", J * 100 + P, "%2"), Store("p", J * 100 + P, "%3")])])]
        kernel = Kernel("cut", [Buf("x", f32), Buf("c", f32), Buf("z", f32), Buf("y", f32, "out"),
                                Buf("p", b1, "out")], [Size("n"), Size("m")], body)
        for n in (13, 20, 50):
            e = n if not isinstance(edge, int) else edge
            w = where if isinstance(where, int) else 2 * n
            x = np.random.default_rng(n).random((3, 100), np.float32)
            z = np.random.default_rng(n).random(max(100 - w, 1), np.float32)
            y, p = np.zeros(300, np.float32), np.zeros(300, bool)
            Compiled(kernel)([x.ravel(), np.array([7], np.float32), z, y, p], [n, 3], 0, 3)
            want = np.full((3, 100), 7, np.float32)
            want[:, :e] = x[:, :e]
            want[:, w:] = z[: 100 - w]
            assert np.array_equal(y.reshape(3, 100), want), (edge, where, n)
            at = np.arange(100)
            assert np.array_equal(p.reshape(3, 100)[1], (at < e) | (at >= w))


def test_masked_stores() -> None:
    body = [Load("%0", "x", P, f32), Const("%z", 0, f32), Scalar("%p", "lt", ("%z", "%0"), b1),
            Store("y", P, "%0", mask="%p")]
    kernel = Kernel("positive", [Buf("x", f32), Buf("y", f32, "inout")], [Size("n")],
                    [Loop("i", N, "vector", body)])
    x = np.random.default_rng(0).normal(size=77).astype(np.float32)
    y = np.full(77, -9, np.float32)
    Compiled(kernel)([x, y], [77])
    assert np.array_equal(y, np.where(x > 0, x, np.float32(-9)))


def test_streaming_stores_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STREAM_BYTES", 64)
    body = [Load("%0", "x", P, f32), Scalar("%1", "add", ("%0", "%0"), f32), Store("y", P, "%1")]
    kernel = Kernel("streamed", [Buf("x", f32), Buf("y", f32, "out")], [Size("n")],
                    [Loop("i", N, "parallel", body)])
    assert "nontemporal" in emit(kernel, host_target())
    run = Compiled(kernel)
    x = np.arange(1000, dtype=np.float32)
    for low, high in ((0, 1000), (8, 999), (3, 1000), (0, 5)):
        y = np.zeros_like(x)
        run([x, y], [1000], low, high)
        assert np.array_equal(y[low:high], 2 * x[low:high]) and not y[high:].any()


# ---- reductions -----------------------------------------------------------------------------

def reduction(kind: str, dtype, isa: str = "", extent=N) -> Compiled:
    init = {"sum": 0, "prod": 1, "any": False, "all": True}.get(kind)
    if init is None:
        if dtype.is_floating_point:
            init = float("-inf") if kind == "max" else float("inf")
        else:
            info = np.iinfo(dtype.numpy)
            init = int(info.min if kind == "max" else info.max)
    loop = Loop("i", extent, "reduce", [Load("%0", "x", P, dtype), Update("%r", "%0")],
                [Carry("%r", init, kind, dtype)])
    kernel = Kernel("reduction", [Buf("x", dtype), Buf("y", dtype, "out")],
                    [Size("n")] if extent is N else [], [loop, Store("y", 0, "%r")])
    return Compiled(kernel, host_target(isa or None))


@pytest.mark.parametrize("isa", BOTH)
def test_reductions_of_all_sizes(isa: str) -> None:
    for dtype, kinds in ((f32, ("sum", "max", "min", "prod")), (f64, ("sum", "max")),
                         (f16, ("sum",)), (i64, ("sum", "min")), (i32, ("max",)),
                         (b1, ("any", "all"))):
        for kind in kinds:
            run = reduction(kind, dtype, isa)
            for count in (2, 3, 7, 8, 9, 33, 257, 1000, 5003):
                x = sample(dtype, count, count)
                if dtype.is_floating_point:
                    x = np.random.default_rng(count).uniform(0.9, 1.1, count).astype(dtype.numpy)
                y = np.zeros(1, dtype.numpy)
                run([x, y], [count])
                if dtype.is_floating_point:
                    wide = x.astype(np.longdouble)
                    exact = {"sum": np.sum, "max": np.max, "min": np.min,
                             "prod": np.prod}[kind](wide)
                    bound = 1e-5 if kind == "prod" else 2.0 * np.finfo(dtype.numpy).eps
                    assert abs(y[0] - exact) <= bound * abs(exact), (kind, count)
                else:
                    exact = {"sum": np.sum, "max": np.max, "min": np.min, "any": np.any,
                             "all": np.all}[kind](x)
                    assert y[0] == exact, (kind, dtype, count)


def test_long_sums_are_accurate_and_infinities_survive() -> None:
    run = reduction("sum", f32)
    for value in (0.1, 1 / 3):
        x = np.full(3_000_001, value, np.float32)
        y = np.zeros(1, np.float32)
        run([x, y], [x.size])
        assert abs(y[0] / x.sum(dtype=np.float64) - 1) < 5e-7  # a few units of rounding
    x[12345] = np.inf
    run([x, y], [x.size])
    assert y[0] == np.inf
    x[12346] = -np.inf
    run([x, y], [x.size])
    assert np.isnan(y[0])


@pytest.mark.parametrize("isa", BOTH)
def test_extremes_let_nan_win(isa: str) -> None:
    for kind in ("max", "min"):
        run = reduction(kind, f32, isa)
        for count in (2, 40, 333):
            for where in (0, count // 2, count - 1):
                x = np.random.default_rng(5).normal(size=count).astype(np.float32)
                x[where] = np.nan
                y = np.zeros(1, np.float32)
                run([x, y], [count])
                assert np.isnan(y[0])


def test_constant_and_empty_reductions() -> None:
    for count in (0, 1, 5, 8, 13, 64, 100, 5000):
        x = np.random.default_rng(count).random(count, np.float32)
        y = np.full(1, 9, np.float32)
        reduction("sum", f32, extent=count)([x, y])
        np.testing.assert_allclose(y[0], x.sum(dtype=float), rtol=2e-7)


@pytest.mark.parametrize("isa", BOTH)
@pytest.mark.parametrize("dtype", [f32, f64, i64, i32, u8], ids=lambda d: d.code)
def test_argmax_takes_the_first_best(dtype, isa: str) -> None:
    for kind, pick in (("max", np.argmax), ("min", np.argmin)):
        loop = Loop("i", N, "reduce", [Load("%0", "x", P, dtype), ArgUpdate("%v", "%0", P)],
                    [ArgCarry("%v", "%p", kind, dtype)])
        kernel = Kernel("arg", [Buf("x", dtype), Buf("v", dtype, "out"), Buf("p", i64, "out")],
                        [Size("n")], [loop, Store("v", 0, "%v"), Store("p", 0, "%p")])
        run = Compiled(kernel, host_target(isa or None))
        for count in (2, 9, 100, 1001):
            rng = np.random.default_rng(count)
            lowest = -np.inf if dtype.is_floating_point else np.iinfo(dtype.numpy).min
            tries = [rng.integers(0, 4, count).astype(dtype.numpy),
                     np.full(count, lowest, dtype.numpy)]
            if dtype.is_floating_point:
                tries.append(rng.choice([1, np.nan, np.inf], count).astype(dtype.numpy))
            for x in tries:
                v, p = np.zeros(1, dtype.numpy), np.zeros(1, np.int64)
                run([x, v, p], [count])
                assert p[0] == pick(x)
                np.testing.assert_equal(v[0], x[p[0]])


def softmax() -> Kernel:
    i1, i2, i3 = (symbol(f"i{k}") for k in (1, 2, 3))
    row = J * N
    maximum = Loop("i1", N, "reduce", [Load("%0", "x", row + i1, f32), Update("%m", "%0")],
                   [Carry("%m", float("-inf"), "max", f32)])
    total = Loop("i2", N, "reduce", [
        Load("%1", "x", row + i2, f32), Scalar("%2", "sub", ("%1", "%m"), f32),
        Scalar("%3", "exp", ("%2",), f32), Store("t", i2, "%3"), Update("%s", "%3"),
    ], [Carry("%s", 0, "sum", f32)])
    divide = Loop("i3", N, "vector", [
        Load("%4", "t", i3, f32), Scalar("%5", "div", ("%4", "%s"), f32),
        Store("y", row + i3, "%5")])
    return Kernel("softmax", [Buf("x", f32), Buf("y", f32, "out")], [Size("m"), Size("n")],
                  [Scratch("t", f32, N), Loop("j", M, "parallel", [maximum, total, divide])])


@pytest.mark.parametrize("isa", BOTH)
def test_rows_with_scratch(isa: str) -> None:
    run = Compiled(softmax(), host_target(isa or None))
    for m, n in ((2, 2), (3, 7), (5, 33), (2, 3001)):
        x = np.random.default_rng(n).normal(size=(m, n)).astype(np.float32) * 4
        y = np.zeros_like(x).ravel()
        run([x.ravel().copy(), y], [m, n], 0, m)
        e = np.exp(x.astype(float) - x.max(1, keepdims=True))
        np.testing.assert_allclose(y.reshape(m, n), e / e.sum(1, keepdims=True), rtol=3e-6)


def test_a_chunk_gives_the_same_bits() -> None:
    run = Compiled(softmax())
    x = np.random.default_rng(0).normal(size=(9, 131)).astype(np.float32)
    whole, parts = np.zeros(x.size, np.float32), np.zeros(x.size, np.float32)
    run([x.ravel(), whole], [9, 131], 0, 9)
    for low, high in ((0, 2), (2, 3), (3, 9)):
        run([x.ravel(), parts], [9, 131], low, high)
    assert whole.tobytes() == parts.tobytes()


def test_column_sums_keep_lanes_outside() -> None:
    inner = Loop("i", M, "reduce", [Load("%0", "x", P * N + J, f32), Update("%s", "%0"),
                                    Update("%a", "%0")],
                 [Carry("%s", 0, "sum", f32), Carry("%a", float("-inf"), "max", f32)])
    kernel = Kernel("columns", [Buf("x", f32), Buf("y", f32, "out"), Buf("z", f32, "out")],
                    [Size("m"), Size("n")],
                    [Loop("j", N, "vector", [inner, Store("y", J, "%s"), Store("z", J, "%a")])])
    run = Compiled(kernel)
    for m, n in ((2, 2), (5, 9), (1000, 37), (3, 64)):
        x = np.random.default_rng(m).random((m, n), np.float32)
        y, z = np.zeros(n, np.float32), np.zeros(n, np.float32)
        run([x.ravel(), y, z], [m, n])
        np.testing.assert_allclose(y, x.sum(0, dtype=float), rtol=2e-7)
        assert np.array_equal(z, x.max(0))


def test_nested_reductions_and_initial_values() -> None:
    inner = Loop("i", N, "reduce", [Load("%0", "x", J * N + P, f32), Update("%r", "%0")],
                 [Carry("%r", 0, "sum", f32)])
    outer = Loop("j", M, "reduce", [inner, Update("%s", "%r")], [Carry("%s", 5.0, "sum", f32)])
    kernel = Kernel("nested", [Buf("x", f32), Buf("y", f32, "out")], [Size("m"), Size("n")],
                    [outer, Store("y", 0, "%s")])
    x = np.random.default_rng(1).random((31, 45), np.float32)
    y = np.zeros(1, np.float32)
    Compiled(kernel)([x.ravel(), y], [31, 45])
    np.testing.assert_allclose(y[0], 5 + x.sum(dtype=float), rtol=2e-7)


def test_blocks_cut_by_a_minimum() -> None:
    block = minimum(64, N - J * 64)
    inner = Loop("i", block, "reduce", [Load("%0", "x", J * 64 + P, f32), Update("%r", "%0")],
                 [Carry("%r", 0, "sum", f32)])
    kernel = Kernel("blocks", [Buf("x", f32), Buf("y", f32, "out")], [Size("n")],
                    [Loop("j", (N + 63) // 64, "parallel", [inner, Store("y", J, "%r")])])
    x = np.random.default_rng(1).random(1000, np.float32)
    y = np.zeros(16, np.float32)
    Compiled(kernel)([x, y], [1000], 0, 16)
    np.testing.assert_allclose(y, [x[k : k + 64].sum() for k in range(0, 1000, 64)], rtol=1e-6)


# ---- serial loops, gathers, scatters, checks -------------------------------------------------

def test_scans_read_their_carry() -> None:
    for kind, function in (("sum", np.cumsum), ("max", np.maximum.accumulate),
                           ("prod", np.cumprod)):
        init = {"sum": 0, "max": float("-inf"), "prod": 1}[kind]
        loop = Loop("i", N, "serial", [Load("%0", "x", P, f32), Update("%s", "%0"),
                                       Store("y", P, "%s")], [Carry("%s", init, kind, f32)])
        kernel = Kernel("scan", [Buf("x", f32), Buf("y", f32, "out")], [Size("n")], [loop])
        x = np.random.default_rng(2).uniform(0.9, 1.1, 300).astype(np.float32)
        y = np.zeros_like(x)
        Compiled(kernel)([x, y], [300])
        np.testing.assert_allclose(y, function(x.astype(float)), rtol=3e-5)


def test_gather_rows_and_elements() -> None:
    body = [Load("%k", "at", J, i64),
            Loop("i", N, "vector", [Load("%0", "x", symbol("%k") * N + P, f32),
                                    Store("y", J * N + P, "%0")])]
    bufs = [Buf("x", f32), Buf("at", i64), Buf("y", f32, "out")]
    kernel = Kernel("rows", bufs, [Size("m"), Size("n")], [Loop("j", M, "parallel", body)])
    x = np.random.default_rng(1).random((10, 37), np.float32)
    at = np.array([3, 9, 0, 3], np.int64)
    y = np.zeros(4 * 37, np.float32)
    Compiled(kernel)([x.ravel(), at, y], [4, 37], 0, 4)
    assert np.array_equal(y.reshape(4, 37), x[at])
    kernel = Kernel("elements", bufs, [Size("n")], [Loop("i", N, "vector", [
        Load("%k", "at", P, i64), Load("%0", "x", symbol("%k") * 3 + 1, f32),
        Store("y", P, "%0")])])
    at = np.random.default_rng(2).integers(0, 100, 53)
    y = np.zeros(53, np.float32)
    Compiled(kernel)([x.ravel(), at, y], [53])
    assert np.array_equal(y, x.ravel()[at * 3 + 1])


def test_scatter_combines_in_order() -> None:
    for kind, at_function in (("add", np.add.at), ("max", np.maximum.at), ("", None)):
        body = [Load("%k", "at", P, i64), Load("%0", "v", P, f32),
                Store("y", symbol("%k"), "%0", combine=kind)]
        kernel = Kernel("scatter", [Buf("v", f32), Buf("at", i64), Buf("y", f32, "inout")],
                        [Size("n")], [Loop("i", N, "serial", body)])
        rng = np.random.default_rng(4)
        v, at = rng.random(90, np.float32), rng.integers(0, 7, 90)
        y = np.zeros(7, np.float32)
        want = y.copy()
        Compiled(kernel)([v, at, y], [90])
        if at_function:
            at_function(want, at, v)
        else:
            want[at] = v
        assert np.array_equal(y, want)


def test_checks_record_the_first_failure() -> None:
    body = [Load("%k", "at", P, i64), Const("%c", 100, i64),
            Scalar("%ok", "lt", ("%k", "%c"), b1), Check("%ok", 7, "%k"), Store("y", P, "%k")]
    kernel = Kernel("checked", [Buf("at", i64), Buf("y", i64, "out")], [Size("n")],
                    [Loop("i", N, "vector", body)], uses_error=True)
    run = Compiled(kernel)
    at = np.arange(50)
    y = np.zeros(50, np.int64)
    assert list(run([at, y], [50])) == [0] * 8
    at[31], at[49] = 222, 111
    assert list(run([at, y], [50])) == [7, 0, 222, 0, 0, 0, 0, 0]
    assert np.array_equal(y, at)


def test_run_time_scalars_are_loaded_once() -> None:
    body = [Load("%0", "x", P, f32), Load("%a", "a", 0, f64), Scalar("%b", "cast", ("%a",), f32,
                                                                     {"dtype": f32}),
            Scalar("%c", "exp", ("%b",), f32), Scalar("%1", "mul", ("%0", "%c"), f32),
            Store("y", P, "%1")]
    kernel = Kernel("scaled", [Buf("x", f32), Buf("a", f64), Buf("y", f32, "out")], [Size("n")],
                    [Loop("i", N, "vector", body)])
    text = emit(kernel, host_target())
    assert text.count("load double") == 1 and "fmuladd.f32(" in text
    x, y = np.arange(20, dtype=np.float32), np.zeros(20, np.float32)
    Compiled(kernel)([x, np.array([2.0]), y], [20])
    np.testing.assert_allclose(y, x * np.exp(2.0), rtol=3e-7)


# ---- text and targets ------------------------------------------------------------------------

@pytest.mark.parametrize("isa", ["avx512", "avx2", "sse2", "neon", "generic"])
def test_all_targets_emit_objects(isa: str) -> None:
    target = named_target(isa)
    half = [Load("%0", "x", P, f16), Scalar("%1", "tanh", ("%0",), f16),
            Scalar("%2", "round", ("%1",), f16), Scalar("%3", "fmod", ("%2", "%0"), f16),
            Store("y", P, "%3")]
    kernels = [softmax(), Kernel("half", [Buf("x", f16), Buf("y", f16, "out")], [Size("n")],
                                 [Loop("i", N, "vector", half)])]
    for kernel in kernels:
        first = compile_text(emit(kernel, target), target)
        assert first[:4] in (b"\x7fELF", b"\x00asm")
        assert first == compile_text(emit(kernel, target), target)


def test_keys_ignore_names_only() -> None:
    kernel, other = softmax(), softmax()
    assert structural_key(kernel) == structural_key(other)
    other.name, other.cost = "another", 9.0
    assert structural_key(kernel) == structural_key(other)
    other.sizes = [Size("n"), Size("m")]
    assert structural_key(kernel) != structural_key(other)
    renamed = Kernel("k", [Buf("p", f32), Buf("q", f32, "out")], [Size("a")], [Loop(
        "z", symbol("a"), "vector", [Load("v", "p", symbol("z"), f32),
                                     Store("q", symbol("z"), "v")])])
    plain = Kernel("l", [Buf("x", f32), Buf("y", f32, "out")], [Size("n")], [Loop(
        "i", N, "vector", [Load("%0", "x", P, f32), Store("y", P, "%0")])])
    assert structural_key(renamed) == structural_key(plain)
    assert "reduce i1 < n carry %m = max(-inf) : f32 {" in kernel_text(kernel)
    assert scratch_bytes(Kernel("s", [], [], [Scratch("t", f32, 17)])) == 128


@pytest.mark.parametrize(("body", "message"), [
    ([Store("y", 0, "%9")], "uses %9, which is not defined"),
    ([Const("%1", 1, f32), Const("%1", 2, f32)], "%1 is defined twice"),
    ([Const("%1", 1, f32), Store("x", 0, "%1")], "which is an input"),
    ([Load("%1", "x", symbol("k"), f32)], "uses k, which is not defined"),
    ([Const("%1", 1, f32), Load("%2", "x", symbol("%1"), f32)], "of type f32 in an index"),
    ([Const("%1", 1, f32), Update("%2", "%1")], "outside its loop"),
])
def test_the_verifier_names_the_fault(body: list, message: str) -> None:
    with pytest.raises(KernelError, match=message):
        verify(Kernel("bad", [Buf("x", f32), Buf("y", f32, "out")], [], body))
