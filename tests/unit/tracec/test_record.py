"""The recorder: steady states cost nothing new, memory stays flat, values come when needed."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

import tracec
from tracec import record
from tracec_runtime import knobs
from tracec_runtime.events import counts


@pytest.fixture(autouse=True)
def nothing_pending() -> Iterator[None]:
    record.synchronize()
    yield
    record.synchronize()


def resident_bytes() -> int:
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def model_and_step(optimizer):
    tracec.manual_seed(0)
    model = tracec.nn.Sequential(tracec.nn.Linear(8, 16), tracec.nn.ReLU(), tracec.nn.Linear(16, 1))
    opt = optimizer(model.parameters())

    def step(x, y):
        opt.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    return opt, step


OPTIMIZERS = {
    "sgd": lambda params: tracec.optim.SGD(params, lr=0.01, momentum=0.9),
    "adam": lambda params: tracec.optim.Adam(params, lr=0.01),
}


# -- steady states --------------------------------------------------------------------------------
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("tier", [0, 1])
def test_training_in_steady_state_makes_nothing_new(name: str, tier: int) -> None:
    with knobs.override(tier=tier):
        _, step = model_and_step(OPTIMIZERS[name])
        x, y = tracec.rand(32, 8), tracec.rand(32, 1)
        for _ in range(12):
            loss = step(x, y)
        loss.item()
        for _ in range(3):
            loss = step(x, y)
            loss.item()
        with counts() as c:
            for i in range(20):
                loss = step(x, y)
                if i % 5 == 0:
                    loss.item()
    assert c.trie_misses == c.plan_misses == c.plans_compiled == c.compiles == 0
    assert c.flushes == c["flush.step"] == 20
    if tier == 1:
        assert c.executed == 20
        assert c.fresh_allocations == 0


def test_sizes_and_learning_rates_share_plans() -> None:
    with knobs.override(tier=1):
        opt, step = model_and_step(OPTIMIZERS["sgd"])
        with counts() as c:
            for n in range(2, 202):
                step(tracec.from_numpy(np.ones((n, 8), np.float32)), tracec.zeros(n, 1)).item()
        assert c.plans_compiled <= 3
        x, y = tracec.ones(16, 8), tracec.zeros(16, 1)
        step(x, y)
        with counts() as c:
            for k in range(50):
                opt.param_groups[0]["lr"] = 0.01 / (k + 1)
                step(x, y).item()
        assert c.plans_compiled <= 3
        assert c.plan_misses <= 1


def test_memory_is_flat_over_thousands_of_steps() -> None:
    _, step = model_and_step(OPTIMIZERS["sgd"])
    x, y = tracec.rand(4, 8), tracec.rand(4, 1)
    for _ in range(300):
        step(x, y)
    nodes, before = record._node_count, resident_bytes()
    for _ in range(2000):
        step(x, y)
    assert record._node_count == nodes
    assert resident_bytes() - before < 4 << 20


def test_dropped_tensors_free_their_storage() -> None:
    x = tracec.ones(1000) * 2
    x.tolist()
    alive = weakref.ref(x._st)
    y = x + 1
    del x
    assert alive() is not None  # the open trace reads it
    y.tolist()
    assert alive() is None


def test_the_tries_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "NODE_BUDGET", 200)
    for k in range(2, 400):
        y = tracec.ones(2).view(1, 2).expand(k, 2) + 0
    assert record._node_count <= 200
    assert y.sum().item() == 2 * k


# -- liveness -------------------------------------------------------------------------------------
def test_what_was_dropped_is_not_computed() -> None:
    x = tracec.rand(100)
    x.tolist()

    def work(drop: bool):
        y = (x * 2).sum()
        z = (x + 1).exp().cumsum(0)
        if drop:
            del z
        return y.item()

    with knobs.override(tier=1):
        work(True), work(False)
        with counts() as dropped:
            work(True)
        with counts() as kept:
            work(False)
    assert dropped.kernels < kept.kernels
    assert dropped.allocations < kept.allocations


def test_nothing_is_computed_for_nobody() -> None:
    x = tracec.ones(3)
    x.tolist()
    with counts() as c:
        for _ in range(5):
            x + 1
    assert c.flushes == c.kernels == c.interpreted == 0


# -- reasons --------------------------------------------------------------------------------------
def only_reason(c) -> str:
    reasons = [name for name in c.as_dict() if name.startswith("flush.")]
    assert len(reasons) == 1 and c[reasons[0]] == 1 == c.flushes
    return reasons[0].partition(".")[2]


def test_flush_for_a_value() -> None:
    with counts() as c:
        (tracec.ones(2) + 1).tolist()
    assert only_reason(c) == "value"


def test_flush_for_an_optimizer_step() -> None:
    _, step = model_and_step(OPTIMIZERS["sgd"])
    with counts() as c:
        step(tracec.ones(2, 8), tracec.zeros(2, 1))
    assert only_reason(c) == "step"


@pytest.mark.parametrize("budget, limit", [("OP_BUDGET", 50), ("BYTE_BUDGET", 2000)])
def test_flush_at_a_budget(monkeypatch: pytest.MonkeyPatch, budget: str, limit: int) -> None:
    monkeypatch.setattr(record, budget, limit)
    y = tracec.ones(10)
    with counts() as c:
        for _ in range(70):
            y = y + 1
    assert only_reason(c) == "budget"
    assert y.tolist() == [71] * 10


def test_flush_for_synchronisation() -> None:
    y = tracec.ones(2) + 1
    with counts() as c:
        record.synchronize()
    assert only_reason(c) == "sync"
    assert y.tolist() == [2, 2]


def test_flush_for_another_thread() -> None:
    y = tracec.ones(2) + 1
    seen = []
    with counts() as c:
        thread = threading.Thread(target=lambda: seen.append(y.tolist()))
        thread.start()
        thread.join()
    assert only_reason(c) == "thread"
    assert seen == [[2, 2]]


def test_flush_for_foreign_memory() -> None:
    array = np.ones(3)
    x = tracec.from_numpy(array)
    with counts() as c:
        x += 1
    assert only_reason(c) == "foreign"
    assert array.tolist() == [2, 2, 2]


def test_flush_for_a_size_that_depends_on_data() -> None:
    x = tracec.arange(4.0) * 2
    with counts() as c:
        places = (x > 3).nonzero()
    assert only_reason(c) == "data"
    assert places.tolist() == [[2], [3]]


def test_flush_for_a_changed_context() -> None:
    y = tracec.ones(2) + 1
    with counts() as c:
        tracec.set_default_dtype(tracec.float64)
        tracec.set_default_dtype(tracec.float32)
    assert only_reason(c) == "context"
    assert y.dtype is tracec.float32


SYNC = """
import tracec
from tracec_runtime.events import counts
x, far = tracec.arange(3.0), tracec.tensor([7])
with counts() as c:
    for _ in range(3):
        (x + 1) * 2
print(c["flush.sync"])
try:
    y = x[far]
except IndexError as error:
    print(str(error).partition(" for ")[0])
print((x + 1).tolist())
"""


def test_sync_mode_executes_every_call() -> None:
    out = subprocess.run(
        [sys.executable, "-c", SYNC],
        env={**os.environ, "TRACEC_SYNC": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    expected = ["6", "index 7 is out of bounds", "[1.0, 2.0, 3.0]"]
    assert out.stdout.splitlines() == expected, out.stderr


# -- threads, forks, signals ----------------------------------------------------------------------
@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Python threads take turns a thousand times as often as usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("_", range(8))
def test_threads_record_at_once_and_exchange_tensors(hasty_threads, _) -> None:
    shared = tracec.ones(4) + 1
    made: dict[int, tracec.Tensor] = {}
    errors: list[BaseException] = []
    ready = threading.Barrier(3)

    def work(k: int) -> None:
        try:
            x = shared * k
            for _ in range(30):
                x = x + shared
            made[k] = x
            ready.wait()
            other = made[(k + 1) % 3]
            for i in range(10):
                x = x + other * 0
                if i % 4 == 0:
                    x.sum().item()
            made[k + 10] = x
        except BaseException as error:
            errors.append(error)
            ready.abort()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert [made[k + 10].tolist() for k in range(3)] == [[60.0 + 2 * k] * 4 for k in range(3)]


def test_backward_through_another_threads_graph() -> None:
    w = tracec.ones(2, requires_grad=True)
    losses = []
    thread = threading.Thread(target=lambda: losses.append((w * 3).sum()))
    thread.start()
    thread.join()
    losses[0].backward()
    assert w.grad.tolist() == [3, 3]


def in_child(check) -> int:
    """The exit status of a forked child: 0 if `check()` is true there."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if check() else 1)
        except BaseException:
            os._exit(2)
    for _ in range(200):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -99


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_computes() -> None:
    x = tracec.rand(64, 64)
    pending = x @ x
    expected = (x.numpy() @ x.numpy()).sum()
    close = lambda: abs(pending.sum().item() - expected) < 1e-2 * abs(expected)  # noqa: E731
    assert in_child(close) == 0
    assert close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_forked_while_another_thread_executes() -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with record._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_child(lambda: (tracec.ones(3) + 1).tolist() == [2, 2, 2]) == 0
    finally:
        done.set()
        thread.join()


INTERRUPTED = """
import os, signal, threading, time
import tracec
a = tracec.rand(700, 700)
def long():
    x = a
    for _ in range(100):
        x = (x @ a) * 0.001
    return x
start = time.monotonic()
long().sum().item()  # plans and compiles
alone = time.monotonic() - start
x = long()
threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
start = time.monotonic()
try:
    x.sum().item()
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - start < max(1, alone / 2))
try:
    x.tolist()
except RuntimeError as error:
    print(error)
print((tracec.ones(3) + 1).tolist())
"""


@pytest.mark.parametrize("tier", ["0", "1"])
def test_ctrl_c_ends_a_long_plan(tier: str) -> None:
    out = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "TRACEC_TIER": tier, "TRACEC_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = out.stdout.splitlines()
    assert lines[0] == "interrupted True", out.stdout + out.stderr
    assert "never computed" in lines[1]
    assert lines[2] == "[2.0, 2.0, 2.0]"


# -- errors ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("tier", [0, 1])
def test_errors_that_depend_on_data_name_the_recorded_line(tier: int) -> None:
    with knobs.override(tier=tier):
        x, far = tracec.arange(5.0) * 2, tracec.tensor([1, 9])
        line = sys._getframe().f_lineno + 1
        y = (x + 1)[far] * 3
        with pytest.raises(IndexError) as failed:
            y.tolist()
    assert "index 9 is out of bounds for dimension 0 with size 5" in str(failed.value)
    assert f"{os.path.basename(__file__)}:{line}" in str(failed.value)
    with pytest.raises(RuntimeError, match="never computed"):
        y.tolist()


@pytest.mark.parametrize("tier", [0, 1])
def test_equal_traces_at_two_lines_name_their_own(tier: int) -> None:
    with knobs.override(tier=tier):
        far = tracec.tensor([11])
        lines = []
        for extra in (False, True):
            x = tracec.arange(10.0)
            if extra:
                x.view(2, 5)[0]  # leads to another place of the trie, not to another function
                x.t()
            here = sys._getframe().f_lineno + 2
            # two statements, one function
            y = x[far] * 7 if extra else None
            y = y if extra else x[far] * 7
            with pytest.raises(IndexError) as failed:
                y.tolist()
            lines.append((str(failed.value).rpartition(":")[2].rstrip(")"), here))
    assert all(int(found) in (here, here + 1) for found, here in lines)


def test_type_errors_are_raised_at_the_call() -> None:
    with pytest.raises(RuntimeError, match="must match"):
        tracec.ones(2) + tracec.ones(3)


# -- memory shared with NumPy ---------------------------------------------------------------------
def test_from_numpy_shares_both_ways() -> None:
    array = np.arange(3.0)
    x = tracec.from_numpy(array)
    x.add_(1)
    assert array.tolist() == [1, 2, 3]
    array[0] = 10
    assert x.tolist() == [10, 2, 3]
    seen = x.numpy()
    x.mul_(2)
    assert seen.tolist() == array.tolist() == [20, 4, 6]


def test_from_numpy_of_a_transposed_array() -> None:
    array = np.arange(6.0).reshape(2, 3)
    x = tracec.from_numpy(array.T)
    x[0] = 9
    array[1, 2] = -5
    assert x.stride() == (1, 3)
    assert array.tolist() == [[9, 1, 2], [9, 4, -5]]
    assert x.tolist() == array.T.tolist()


def test_numpy_sees_later_writes() -> None:
    x = tracec.ones(3) * 2
    seen = x.numpy()
    x += 1
    x[0] = 7
    assert seen.tolist() == [7, 3, 3]
    seen[1] = -1
    assert (x * 1).tolist() == [7, -1, 3]


def test_recorded_results_do_not_see_later_numpy_writes() -> None:
    array = np.ones(3)
    y = tracec.from_numpy(array) * 2
    array[:] = 7
    assert y.tolist() == [2, 2, 2]


# -- writes through views, aliases, copies --------------------------------------------------------
def test_writes_through_views_reach_every_alias() -> None:
    x = tracec.zeros(2, 3)
    flat = x.view(-1)
    x.t()[0] = 1
    x[:, 1:].add_(2)
    flat[5] = 9
    assert x.tolist() == [[1, 2, 2], [1, 2, 9]]
    assert x[1].tolist() == [1, 2, 9]


@pytest.mark.parametrize(
    "view",
    [lambda: tracec.zeros(1).expand(3), lambda: tracec.arange(5.0).as_strided((2, 2), (1, 1))],
    ids=["expand", "overlap"],
)
def test_writes_to_overlapping_memory_are_refused(view) -> None:
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        view().add_(1)


def test_detach_shares_memory_and_versions() -> None:
    x = tracec.ones(2, requires_grad=True)
    d = x.detach()
    d[0] = 5
    assert x.tolist() == [5, 1]
    assert x._version == d._version == 1
    assert not d.requires_grad


def test_data_assignment_and_writes() -> None:
    x = tracec.ones(2, requires_grad=True)
    x.data = tracec.tensor([5.0, 6.0])
    x.data.mul_(2)
    assert x.is_leaf and x.requires_grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [20, 24]
    with pytest.raises(TypeError, match="data has to be a tensor"):
        x.data = 3


def test_copy() -> None:
    x = tracec.zeros(2, 3, dtype=tracec.float64)
    assert x.copy_(tracec.arange(3)) is x
    assert x.tolist() == [[0, 1, 2]] * 2


def test_deepcopy() -> None:
    x = tracec.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    a, b = copy.deepcopy([x, x])
    assert a is b and a.requires_grad and a.is_leaf
    assert a.grad.tolist() == [2, 4] and a.grad is not x.grad
    with tracec.no_grad():
        a.add_(1)
    assert x.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


def test_pickle() -> None:
    x = tracec.tensor([1.0, 2.0], requires_grad=True)
    half = tracec.ones(2, dtype=tracec.bfloat16)
    view = tracec.arange(6).view(2, 3).t()
    y, h, v, dtype, shape = pickle.loads(pickle.dumps((x, half, view, tracec.float32, view.shape)))
    assert y.requires_grad and y.tolist() == [1, 2]
    assert h.dtype is tracec.bfloat16 and h.tolist() == [1, 1]
    assert v.tolist() == view.tolist()
    assert dtype is tracec.float32
    assert shape == (3, 2) and type(shape) is tracec.Size


def test_threads_read_one_tensor_without_executing_each_others_traces() -> None:
    weight = tracec.ones(4)
    weight.tolist()
    pending = weight * 2
    found: list = []

    def read() -> None:
        found.extend((weight * 3).tolist())

    with counts() as seen:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert found == [3.0] * 4
    assert seen["flush.thread"] == 0
    assert pending.tolist() == [2.0] * 4


def test_a_write_waits_for_what_other_threads_recorded_before_it() -> None:
    weight = tracec.ones(4)
    weight.tolist()
    own = weight + 1
    recorded, written = threading.Event(), threading.Event()
    found: list = []

    def read() -> None:
        y = weight * 2
        recorded.set()
        written.wait()
        found.extend(y.tolist())

    thread = threading.Thread(target=read)
    thread.start()
    recorded.wait()
    weight.add_(5)
    assert weight.tolist() == [6.0] * 4
    written.set()
    thread.join()
    assert found == [2.0] * 4
    assert own.tolist() == [2.0] * 4
