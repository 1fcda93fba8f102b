"""The thread pool: every index once, reuse, nesting, fork, exit."""

import ctypes
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tracec_codegen.jit import compile_text, load_object
from tracec_codegen.llvm.library import native_library
from tracec_codegen.llvm.text import Module

POINTER, INT64 = ctypes.c_void_p, ctypes.c_int64


def test_module() -> Module:
    """count: out[i] += 1; nest: a region inside a region."""
    module = Module()
    f = module.function("count", [("ctx", "ptr"), ("i", "i64"), ("worker", "i64")])
    cell = f.gep(f.parameters[0], f.parameters[1], "i64")
    f.store(f.add(f.load("i64", cell), 1), cell)
    f.ret()
    f = module.function("nest", [("ctx", "ptr"), ("i", "i64"), ("worker", "i64")])
    row = f.gep(f.parameters[0], f.mul(f.parameters[1], 8), "i64")
    count = module.functions["count"].address
    f.call("tracec_parallel", "void", count, row, *(f.operand(k) for k in (8, 4)))
    f.ret()
    return module


test_module.__test__ = False


@pytest.fixture(scope="module")
def parallel():
    return native_library()._function("tracec_parallel", None, POINTER, POINTER, INT64, INT64)


@pytest.fixture(scope="module")
def code():
    address = native_library().address("tracec_parallel")
    return load_object(compile_text(str(test_module())), ["count", "nest"],
                       {"tracec_parallel": address})


@pytest.fixture(autouse=True)
def one_thread_afterwards():
    yield
    native_library().set_num_threads(1)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_index_once(parallel, code, threads: int) -> None:
    native_library().set_num_threads(threads)
    assert native_library().num_threads == threads
    for n in (0, 1, 2, 7, 500):
        out = np.zeros(n + 1, np.int64)
        for _ in range(200):
            parallel(code.address("count"), out.ctypes.data, n, threads)
        assert out[:n].tolist() == [200] * n and out[n] == 0


def test_thread_count_changes_between_regions(parallel, code) -> None:
    out = np.zeros(64, np.int64)
    for threads in (2, 1, 4, 3, 2):
        native_library().set_num_threads(threads)
        parallel(code.address("count"), out.ctypes.data, 64, threads)
    assert (out == 5).all()
    with pytest.raises(ValueError, match="positive"):
        native_library().set_num_threads(0)


def test_nested_regions(parallel, code) -> None:
    native_library().set_num_threads(4)
    out = np.zeros(64, np.int64)
    for _ in range(100):
        parallel(code.address("nest"), out.ctypes.data, 8, 4)
    assert (out == 100).all()


def test_two_python_threads_at_once(parallel, code) -> None:
    native_library().set_num_threads(2)
    outs = [np.zeros(100, np.int64) for _ in range(3)]

    def work(out: np.ndarray) -> None:
        for _ in range(300):
            parallel(code.address("count"), out.ctypes.data, 100, 2)

    threads = [threading.Thread(target=work, args=(out,)) for out in outs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((out == 300).all() for out in outs)


def test_stop_and_start_again(parallel, code) -> None:
    native_library().set_num_threads(2)
    out = np.zeros(10, np.int64)
    for _ in range(5):
        parallel(code.address("count"), out.ctypes.data, 10, 2)
        native_library().stop()
    assert (out == 5).all()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_child_after_fork_makes_its_own_workers(parallel, code) -> None:
    native_library().set_num_threads(2)
    out = np.zeros(100, np.int64)
    parallel(code.address("count"), out.ctypes.data, 100, 2)
    child = os.fork()
    if child == 0:
        for _ in range(50):
            parallel(code.address("count"), out.ctypes.data, 100, 2)
        os._exit(0 if (out == 51).all() else 1)
    parallel(code.address("count"), out.ctypes.data, 100, 2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert (out == 2).all()


@pytest.mark.parametrize("sleep", [0, 0.05])
def test_process_exits_cleanly_with_workers(sleep: float) -> None:
    program = f"""
import time, numpy as np
from tracec_codegen.llvm.library import native_library, encode_plan, PlanStep
library = native_library()
library.set_num_threads(2)
from tests.unit.codegen.test_runner import kernels
from tracec_codegen.jit import compile_text, load_object
code = load_object(compile_text(str(kernels())), ["mark"])
out = np.zeros((1000, 2), np.int64)
table = np.array([0, out.ctypes.data, 1000], np.int64)
library.run(encode_plan([PlanStep(code.address("mark"), (1,), 2)]), 1, table,
            scratch_per_thread=64)
time.sleep({sleep})
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], timeout=60, cwd=root)
    assert done.returncode == 0
