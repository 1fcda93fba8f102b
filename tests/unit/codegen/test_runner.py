"""Plans: arguments, chunks, scratch, errors, interrupts, the launcher and its ctypes form."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from tracec_codegen.jit import compile_text, load_object
from tracec_codegen.llvm.library import (
    NativeError,
    NativeLibrary,
    PlanStep,
    encode_plan,
    native_library,
)
from tracec_codegen.llvm.text import Module, constant


def kernels() -> Module:
    """add: c = a + b; fail: error code 7; spin: burn `n` turns; mark: scratch and chunk bounds."""
    module = Module()
    f = module.function("add", [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("s", "ptr")])
    args, lo, hi, _ = f.parameters
    a, b, c = (f.load("ptr", f.gep(args, k, "i64")) for k in range(3))
    with f.loop(lo, hi) as i:
        x, y, z = (f.gep(p, i.index, "double") for p in (a, b, c))
        f.store(f.fadd(f.load("double", x), f.load("double", y)), z)
    f.ret()
    f = module.function("fail", [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("s", "ptr")])
    record = f.load("ptr", f.parameters[0])
    f.store(constant("i64", 7), record)
    f.store(constant("i64", 42), f.gep(record, 2, "i64"))
    f.ret()
    f = module.function("spin", [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("s", "ptr")])
    cell = f.load("ptr", f.parameters[0])
    with f.loop(0, f.load("i64", f.gep(f.parameters[0], 1, "i64"))) as i:
        f.do(f"store volatile i64 {i.index}, ptr {cell}, align 8")
    f.ret()
    f = module.function("mark", [("args", "ptr"), ("lo", "i64"), ("hi", "i64"), ("s", "ptr")])
    args, lo, hi, scratch = f.parameters
    out = f.load("ptr", args)
    with f.loop(lo, hi) as i:
        f.store(f.sub(hi, lo), scratch)
        row = f.gep(out, f.mul(i.index, 2), "i64")
        f.store(f.load("i64", scratch), row)
        f.store(f.cast("ptrtoint", scratch, "i64"), f.gep(row, 1, "i64"))
    f.ret()
    return module


NAMES = ("add", "fail", "spin", "mark")


@pytest.fixture(scope="module")
def code():
    return load_object(compile_text(str(kernels())), NAMES)


@pytest.fixture(params=[1, 2])
def library(request):
    library = native_library()
    library.set_num_threads(request.param)
    yield library
    library.set_num_threads(1)


def test_two_steps(library, code) -> None:
    n = 1000
    a, b = np.arange(n, dtype="f8"), np.ones(n)
    c, d = np.zeros(n), np.zeros(n)
    table = np.array([0, a.ctypes.data, b.ctypes.data, c.ctypes.data, d.ctypes.data, n], np.int64)
    add = code.address("add")
    plan = encode_plan([PlanStep(add, (1, 2, 3), 5, 10), PlanStep(add, (3, 2, 4), 5, 10)])
    for _ in range(50):
        d[:] = 0
        library.run(plan, 2, table)
        np.testing.assert_array_equal(d, a + 2)


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 77, 1000])
@pytest.mark.parametrize("grain", [1, 10, -10, -1])
def test_chunks_and_scratch(library, code, n: int, grain: int) -> None:
    out = np.zeros((n + 1, 2), np.int64)
    table = np.array([0, out.ctypes.data, n], np.int64)
    plan = encode_plan([PlanStep(code.address("mark"), (1,), 2, grain)])
    library.run(plan, 1, table, scratch_per_thread=100)
    lengths, places = out[:n, 0], out[:n, 1]
    assert out[n].tolist() == [0, 0]
    if n:
        assert (places % 64 == 0).all()
        assert len(set(places.tolist())) <= library.num_threads
        assert lengths.min() > 0
        serial = n <= abs(grain) or library.num_threads == 1
        assert (lengths.max() == n) == serial


def test_fewer_threads_than_the_pool(code) -> None:
    library = native_library()
    library.set_num_threads(3)
    out = np.zeros((5000, 2), np.int64)
    table = np.array([0, out.ctypes.data, 5000], np.int64)
    plan = encode_plan([PlanStep(code.address("mark"), (1,), 2, 1)] * 20)
    library.run(plan, 20, table, scratch_per_thread=64, threads=2)
    base = out[:, 1].min()
    assert set((out[:, 1] - base).tolist()) <= {0, 64}
    library.set_num_threads(1)


def test_error_stops_the_plan(library, code) -> None:
    a = np.ones(4)
    c = np.zeros(4)
    table = np.array([0, a.ctypes.data, c.ctypes.data, 4], np.int64)
    add = PlanStep(code.address("add"), (1, 1, 2), 3)
    plan = encode_plan([PlanStep(code.address("fail"), (0,)), add])
    with pytest.raises(NativeError) as caught:
        library.run(plan, 2, table)
    assert (caught.value.code, caught.value.step, caught.value.details[0]) == (7, 0, 42)
    assert not c.any()
    library.run(encode_plan([add]), 1, table)
    assert c.all()


def spinning_plan(code, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    cell = np.zeros(1, np.int64)
    table = np.array([0, cell.ctypes.data, 200_000], np.int64)
    return encode_plan([PlanStep(code.address("spin"), (1, 2))] * steps), table, cell


def test_keyboard_interrupt_ends_a_long_plan(library, code) -> None:
    steps = 1_000_000
    plan, table, _cell = spinning_plan(code, steps)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        library.run(plan, steps, table)
    assert time.monotonic() - start < 20
    library.run(plan, 1, table)


def test_the_gil_is_free_while_a_plan_runs(library, code) -> None:
    plan, table, _cell = spinning_plan(code, 2000)
    thread = threading.Thread(target=library.run, args=(plan, 2000, table))
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 3


def test_launcher_takes_words(library, code) -> None:
    a, b, c = np.arange(4.0), np.ones(4), np.zeros(4)
    error = np.zeros(8, np.int64)
    table = np.array([error.ctypes.data, 4, 0, 0, 0], np.int64)
    plan = encode_plan([PlanStep(code.address("add"), (2, 3, 4), 1)])
    record = library.record(plan, 1, table, first=2)
    for launch in (library.launch, library._ctypes_launch()):
        c[:] = 0
        assert launch(record.address, a.ctypes.data, b.ctypes.data, c.ctypes.data) == 0
        assert c.tolist() == [1, 2, 3, 4]
        assert launch(record.address) == 0
    with pytest.raises(TypeError):
        library.launch(record.address, "x")
    with pytest.raises(OverflowError):
        library.launch(record.address, 1 << 70)


def test_interrupt_word(library, code) -> None:
    plan, table, _cell = spinning_plan(code, 3)
    error = np.zeros(8, np.int64)
    error[7] = 1
    table[0] = error.ctypes.data
    assert library.launch(library.record(plan, 3, table).address) == 2
    assert error[1] == 0


def test_too_much_scratch_is_an_error(library, code) -> None:
    table = np.array([0], np.int64)
    plan = encode_plan([])
    with pytest.raises(MemoryError):
        library.run(plan, 0, table, scratch_per_thread=1 << 50)


def test_objects_come_from_the_cache() -> None:
    class Memory(dict):
        put = dict.__setitem__

    memory = Memory()
    first = NativeLibrary(store=memory)
    assert first.num_threads == 1 and first.compiled == ["runner"]
    second = NativeLibrary(store=memory)
    assert second.num_threads == 1 and second.compiled == []
    with pytest.raises(KeyError, match="nothing"):
        second.address("nothing")


