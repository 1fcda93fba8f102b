"""The text builder, compilation and loading of objects."""

import ctypes
import threading

import numpy as np
import pytest

from tracec_codegen.jit import CompileError, LinkError, compile_text, llvm_version, load_object
from tracec_codegen.llvm import text
from tracec_codegen.llvm.text import Module
from tracec_codegen.target import host_target, named_target

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64


def scale_module(lanes: int) -> Module:
    """x[i] = x[i] * 2 + i for i < n, in vectors with a masked tail."""
    module = Module()
    f = module.function("scale", [("x", "ptr"), ("n", "i64")])
    x, n = f.parameters
    vector = text.vector_type("float", lanes)
    with f.loop(0, n, lanes) as i:
        mask = f.lane_mask(f.sub(n, i.index), lanes)
        p = f.gep(x, i.index, "float")
        v = f.masked_load(vector, p, mask)
        at = f.splat(f.cast("sitofp", i.index, "float"), lanes)
        at = f.fadd(at, f.iota("float", lanes)) if lanes > 1 else at
        f.masked_store(f.muladd(v, text.constant(vector, 2.0), at), p, mask)
    f.ret()
    return module


@pytest.mark.parametrize("lanes", [1, 4, 8, 16])
@pytest.mark.parametrize("n", [0, 1, 7, 16, 33])
def test_loop_with_masked_tail(lanes: int, n: int) -> None:
    loaded = load_object(compile_text(str(scale_module(lanes))), ["scale"])
    x = np.arange(40, dtype="f4")
    expected = x.copy()
    expected[:n] = x[:n] * 2 + np.arange(n)
    loaded.function("scale", None, POINTER, INT64)(x.ctypes.data, n)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("lanes", [64, 128, 256])
def test_masks_of_many_narrow_lanes(lanes: int) -> None:
    """Bytes cannot count to 128 with a sign."""
    module = Module()
    f = module.function("fill", [("x", "ptr"), ("n", "i64")])
    x, n = f.parameters
    vector = text.vector_type("i8", lanes)
    f.masked_store(text.constant(vector, 1), x, f.lane_mask(n, lanes, 8))
    f.ret()
    fill = load_object(compile_text(str(module)), ["fill"]).function("fill", None, POINTER, INT64)
    for count in (-3, 0, 1, lanes // 2, lanes // 2 + 1, lanes - 1, lanes, lanes + 9):
        bytes_ = np.zeros(2 * lanes, np.uint8)
        fill(bytes_.ctypes.data, count)
        assert bytes_.sum() == bytes_[:lanes].sum() == min(max(count, 0), lanes), count


@pytest.mark.parametrize("isa", ["avx512", "avx2", "sse2", "neon", "generic"])
def test_every_isa_emits(isa: str) -> None:
    target = named_target(isa)
    data = compile_text(str(scale_module(target.lanes(32))), target)
    magic = b"\0asm" if target.arch == "wasm32" else b"\x7fELF"
    assert data.startswith(magic)


def test_restricted_target_runs_here() -> None:
    if host_target().arch != "x86_64":
        pytest.skip("needs x86-64")
    loaded = load_object(compile_text(str(scale_module(4)), host_target("sse2")), ["scale"])
    x = np.ones(5, dtype="f4")
    loaded.function("scale", None, POINTER, INT64)(x.ctypes.data, 5)
    assert x.tolist() == [2, 3, 4, 5, 6]


def test_control_flow_values() -> None:
    module = Module()
    f = module.function("collatz", [("n", "i64")], "i64")
    steps = f.while_loop(
        [f.parameters[0], text.constant("i64", 0)],
        lambda n, k: f.icmp("ugt", n, 1),
        lambda n, k: [f.branch(f.icmp("eq", f.and_(n, 1), 1),
                               lambda: [f.add(f.mul(n, 3), 1)],
                               lambda: [f.lshr(n, 1)])[0], f.add(k, 1)])[1]
    f.ret(steps)
    g = module.function("pick", [("n", "i64"), ("out", "ptr")])
    n, out = g.parameters
    g.switch(n, {k: (lambda k=k: g.store(text.constant("i64", 10 * k), out)) for k in (1, 2)},
             lambda: g.store(text.constant("i64", -1), out))
    g.ret()
    loaded = load_object(compile_text(str(module)), ["collatz", "pick"])
    assert loaded.function("collatz", INT64, INT64)(27) == 111
    cell = INT64()
    pick = loaded.function("pick", None, INT64, POINTER)
    for number, expected in ((1, 10), (2, 20), (3, -1)):
        pick(number, ctypes.addressof(cell))
        assert cell.value == expected


def test_constants() -> None:
    assert text.constant("float", 0.1) == "0x3FB99999A0000000"
    assert text.constant("float", float("inf")) == "0x7FF0000000000000"
    assert text.constant("bfloat", 1.0) == "0xR3F80"
    assert text.constant("half", -2.0) == "0xHC000"
    assert text.constant("<4 x i32>", 7) == "splat (i32 7)"
    with pytest.raises(ValueError, match="fit"):
        text.constant("i8", 300)


def test_same_text_gives_same_bytes() -> None:
    ir = str(scale_module(8))
    assert compile_text(ir) == compile_text(ir)
    assert llvm_version()[0].isdigit()


def test_errors_carry_the_text() -> None:
    with pytest.raises(CompileError, match="line 2: %x = add i64 1, true") as caught:
        compile_text("define i64 @f() {\n  %x = add i64 1, true\n  ret i64 %x\n}")
    assert caught.value.stage == "parse" and "@f" in caught.value.ir
    with pytest.raises(CompileError) as caught:
        compile_text("define i64 @f() {\na:\n br label %b\nb:\n %y = add i64 %x, 1\n"
                     " %x = add i64 1, 1\n ret i64 %y\n}")
    assert caught.value.stage == "verify"


def test_missing_symbol_and_damaged_object() -> None:
    data = compile_text("declare void @nowhere_to_be_found()\n"
                        "define void @f() {\n call void @nowhere_to_be_found()\n ret void\n}")
    with pytest.raises(LinkError, match="cannot load"):
        load_object(data, ["f"])
    with pytest.raises(LinkError):
        load_object(b"not an object", ["f"])


def test_import_resolves_to_another_object() -> None:
    inner = load_object(compile_text("define i64 @one() {\n ret i64 1\n}"), ["one"])
    outer = load_object(compile_text("declare i64 @one()\ndefine i64 @two() {\n"
                                     " %a = call i64 @one()\n %b = add i64 %a, 1\n ret i64 %b\n}"),
                        ["two"], {"one": inner.address("one")})
    assert outer.function("two", INT64)() == 2


def test_compiling_in_threads() -> None:
    results: list[int] = []

    def work(k: int) -> None:
        for j in range(4):
            ir = f"define i64 @f() {{\n ret i64 {k * 10 + j}\n}}"
            results.append(load_object(compile_text(ir), ["f"]).function("f", INT64)() - k * 10 - j)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [0] * 16
