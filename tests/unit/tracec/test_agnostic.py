"""What device-agnostic and defensive programs ask, answered as by PyTorch's CPU build."""

import warnings

import numpy as np
import pytest
import torch

import tracec

ASKED = """
cuda.is_available()|cuda.device_count()|cuda.empty_cache()|cuda.manual_seed_all(0)|cuda.manual_seed(0)
cuda.max_memory_allocated()|cuda.memory_allocated()|cuda.memory_reserved()|cuda.is_initialized()
cuda.memory_stats()|cuda.get_arch_list()|cuda.current_device()|cuda.get_device_name()|cuda.seed_all()
cuda.synchronize()|cuda.get_device_capability()|cuda.current_stream()|cuda.mem_get_info()
cuda.get_device_properties(0)|cuda.is_bf16_supported()|cuda.FloatTensor(2)|cuda.get_rng_state_all()
xpu.is_available()|xpu.device_count()|xpu.synchronize()|xpu.empty_cache()|xpu.current_device()
xpu.memory_allocated()|mps.is_available()|mps.empty_cache()|mps.synchronize()|mps.device_count()
mps.current_allocated_memory()|mps.manual_seed(0)|accelerator.is_available()
accelerator.device_count()|accelerator.current_accelerator()|accelerator.synchronize()
accelerator.current_device_index()|accelerator.memory_allocated()|accelerator.empty_cache()
compiler.is_compiling()|compiler.is_dynamo_compiling()|compiler.is_exporting()
_assert(True, "m")|_assert(1 > 2, "m")|_check(False)|_check(False, lambda: "n > 0")|_check(1)
_check_value(False, lambda: "v")|_check_index(False, lambda: "i")|_check_type(False, lambda: "t")
are_deterministic_algorithms_enabled()|get_deterministic_debug_mode()
get_float32_matmul_precision()|ones(2).coalesce()|ones(2).indices()|ones(2).values()
ones(2).is_coalesced()|ones(2).crow_indices()|ones(2, 3).dense_dim()|ones(2).sparse_dim()
""".replace("\n", "|").strip("|").split("|")  # fmt: skip


@pytest.mark.parametrize("call", ASKED)
def test_the_answer(call: str) -> None:
    found = []
    for lib in (tracec, torch):
        try:
            found.append(eval(f"lib.{call}", {"lib": lib}))
        except (RuntimeError, AssertionError, TypeError, ValueError, IndexError) as error:
            found.append((type(error), str(error)))
    assert found[0] == found[1]


def test_names_of_devices_that_are_not_there() -> None:
    for module in (tracec.cuda, tracec.xpu):
        assert not isinstance(1, module.Stream)
        with pytest.raises(RuntimeError, match="Tried to instantiate dummy base class Event"):
            module.Event()
        with module.device(-1), module.stream(None):
            pass
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        tracec.cuda.device(0).__enter__()
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        tracec.cuda.set_device(0)


def test_dense_tensors_stay_dense() -> None:
    x = tracec.ones(2)
    assert x.to_dense() is x
    assert x.to_dense(tracec.float64, masked_grad=True).dtype is tracec.float64
    with pytest.raises(NotImplementedError, match="to_sparse"):
        x.to_sparse()


@pytest.mark.parametrize("mode", ["default", "warn", "error", 2, 3, "loud", 1.5])
def test_determinism_is_remembered(mode) -> None:
    def states(lib):
        try:
            lib.use_deterministic_algorithms(True, warn_only=True)
            lib.set_deterministic_debug_mode(mode)
        except (RuntimeError, TypeError) as error:
            return type(error)
        finally:
            seen = lib.get_deterministic_debug_mode(), lib.are_deterministic_algorithms_enabled()
            lib.use_deterministic_algorithms(False)
        return seen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert states(tracec) == states(torch)


def test_variables() -> None:
    x = tracec.ones(2)
    v = tracec.autograd.Variable(x, requires_grad=True)
    (v * 3).sum().backward()
    assert v.grad.tolist() == [3.0, 3.0] and isinstance(x, tracec.autograd.Variable)
    x.add_(1)
    assert v.tolist() == [2.0, 2.0]


def test_assert_allclose_takes_arrays() -> None:
    with pytest.warns(FutureWarning, match="assert_allclose"):
        tracec.testing.assert_allclose(tracec.ones(2), np.ones(2) + 1e-6)
    with pytest.warns(FutureWarning), pytest.raises(AssertionError, match="not close"):
        tracec.testing.assert_allclose(tracec.ones(2), [1.0, 2.0])


def test_marks_for_the_compiler_change_nothing() -> None:
    @tracec.compiler.disable
    def f(x):
        return x + 1

    assert tracec.compiler.disable()(f)(tracec.ones(1)).tolist() == [2.0]
    tracec.compiler.reset()
    assert f(tracec.ones(1)).tolist() == [2.0]


# -- processes ------------------------------------------------------------------------------------
def add(index: int, queue, x) -> None:
    queue.put((index, x + index))


def fail(index: int) -> None:
    raise ValueError(f"number {index}")


def write(index: int, x) -> None:
    x[index] = index + 1


def test_processes() -> None:
    mp = tracec.multiprocessing
    queue = mp.get_context("fork").SimpleQueue()
    mp.start_processes(add, (queue, tracec.ones(2)), nprocs=2, start_method="fork")
    found = dict(queue.get() for _ in range(2))
    assert {i: x.tolist() for i, x in found.items()} == {0: [1.0, 1.0], 1: [2.0, 2.0]}
    shared = tracec.zeros(2).share_memory_()
    mp.start_processes(write, (shared,), nprocs=2, start_method="fork")
    assert shared.tolist() == [1.0, 2.0]
    with pytest.raises(NotImplementedError, match="shared memory"):
        queue.put(shared)
    with pytest.raises(mp.ProcessRaisedException, match="number 0"):
        mp.start_processes(fail, start_method="fork")
