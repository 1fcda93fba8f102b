"""The caching allocator: alignment, reuse, lifetime, bounds, errors."""

import gc

import numpy as np
import pytest

from tracec_runtime import memory
from tracec_runtime.events import counts

F32 = np.dtype(np.float32)


def test_blocks_are_aligned_and_large_enough():
    pool = memory.Pool(1 << 20)
    for n in (0, 1, 63, 64, 65, 1000, 1024, 1025, 5000, 100_000, (1 << 20) + 1, 3_000_000):
        b = pool.allocate(n)
        assert b.addr % memory.ALIGNMENT == 0 and b.nbytes >= max(n, 1)
        assert b.nbytes <= max(n * 9 // 8 + 64, 64)
        b.flat[:] = 255  # every byte is ours to write


def test_size_classes_are_stable_and_monotonic():
    last = 0
    for n in range(1, 40_000, 7):
        size = memory.size_class(n)
        assert size >= n and size % 64 == 0 and size >= last and memory.size_class(size) == size
        last = size


def test_dead_memory_is_reused():
    pool = memory.Pool(1 << 20)
    b = pool.allocate(4000)
    addr = b.addr
    del b
    with counts() as c:
        again = pool.allocate(4090)
    assert again.addr == addr
    assert (c.allocations, c.fresh_allocations) == (1, 0)


def test_arrays_keep_the_buffer_alive():
    pool = memory.Pool(1 << 20)
    b = pool.allocate(4096)
    addr = b.addr
    a = b.array((4, 8), F32, (128, 4), 64)
    assert a.__array_interface__["data"][0] == addr + 64
    row = a[1:]
    del a, b
    assert pool.allocate(4096).addr != addr
    del row
    held = [pool.allocate(4096) for _ in range(2)]
    assert addr in [h.addr for h in held]


def test_extension_dtypes_are_exported():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    a = memory.allocate(64).array((3,), np.dtype(ml_dtypes.bfloat16))
    a[:] = 1.5
    assert a.dtype == ml_dtypes.bfloat16 and float(a.sum()) == 4.5


def test_an_array_cannot_leave_its_buffer():
    with pytest.raises((TypeError, ValueError)):
        memory.allocate(64).array((17,), F32)


def test_foreign_memory_is_shared():
    x = np.arange(24, dtype=np.int32).reshape(4, 6)[::-1, ::2]
    b = memory.from_array(x)
    offset = x.__array_interface__["data"][0] - b.addr
    y = b.array(x.shape, x.dtype, x.strides, offset)
    assert np.array_equal(x, y)
    y[0, 0] = 77
    assert x[0, 0] == 77
    with pytest.raises(ValueError):
        frozen = np.zeros(3)
        frozen.flags.writeable = False
        memory.from_array(frozen).array((3,), frozen.dtype)[0] = 1


def test_foreign_memory_never_enters_the_pool():
    before = memory.pool.stats()
    x = np.zeros(100)
    b = memory.from_array(x)
    b.array((100,), x.dtype)
    del b
    assert memory.pool.stats() == before


def test_byte_counts():
    pool = memory.Pool(1 << 20)
    a, b = pool.allocate(1000), pool.allocate(2048)
    assert pool.live_bytes == 1024 + 2048
    del a
    assert (pool.live_bytes, pool.cached_bytes, pool.peak_bytes) == (2048, 1024, 3072)
    pool.reset_peak()
    assert pool.peak_bytes == 2048
    pool.empty_cache()
    assert (pool.live_bytes, pool.cached_bytes) == (2048, 0)
    del b


def test_the_cache_is_bounded():
    pool = memory.Pool(10_000)
    blocks = [pool.allocate(n) for n in (1024, 2048, 4096, 8192, 16384)]
    blocks.clear()
    assert 0 < pool.cached_bytes <= 10_000
    assert pool.live_bytes == 0 and pool.total_bytes == pool.cached_bytes


def test_memory_freed_by_the_collector_comes_back():
    pool = memory.Pool(1 << 20)
    cycle: list = [pool.allocate(512)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert pool.live_bytes == 0 and pool.cached_bytes == 512


@pytest.mark.parametrize("nbytes", [1 << 50, 1 << 64, 1 << 80])
def test_no_memory_left(nbytes):
    message = f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {nbytes} bytes"
    with pytest.raises(RuntimeError, match=message):
        memory.Pool(0).allocate(nbytes)
