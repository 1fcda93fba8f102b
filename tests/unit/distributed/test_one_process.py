"""One process: no transport is needed, every function is there, and errors are PyTorch's."""

import copy
import datetime
import importlib
import subprocess
import sys
import warnings

import pytest
import torch

import tracec
import tracec.distributed as dist
from tests.unit.distributed.programs import error_of
from tracec.distributed import rendezvous


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch):
    """No launcher, no ranks in the environment, no group left over."""
    names = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"]
    names += [name for pair in rendezvous._LAUNCHERS for name in pair if name]
    for name in names:
        monkeypatch.delenv(name, raising=False)
    yield
    if dist.is_initialized():
        dist.destroy_process_group()


@pytest.fixture
def group():
    dist.init_process_group("gloo", rank=0, world_size=1, init_method="tcp://127.0.0.1:1")


def test_loading_is_lazy() -> None:
    program = (
        "import sys, tracec\n"
        "assert 'tracec.distributed' not in sys.modules\n"
        "assert isinstance(tracec.distributed.is_available(), bool)\n"
        "tracec.distributed.init_process_group('gloo', rank=0, world_size=1)\n"
        "tracec.distributed.all_reduce(tracec.ones(2))\n"
        "tracec.nn.parallel.DistributedDataParallel, tracec.utils.data.DistributedSampler\n"
        "assert 'mpi4py' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names() -> None:
    for name in dist.__all__:
        assert getattr(dist, name) is not None
        assert hasattr(torch.distributed, name), name
    with pytest.raises(NotImplementedError, match="distributed.init_device_mesh"):
        dist.init_device_mesh  # noqa: B018
    with pytest.raises(AttributeError):
        dist.nothing_like_this  # noqa: B018


def test_without_a_group() -> None:
    theirs, x, y = torch.distributed, tracec.ones(2), torch.ones(2)
    assert not dist.is_initialized() and dist.group.WORLD is None
    for ours, expected, arguments in (
        (dist.get_rank, theirs.get_rank, ()),
        (dist.get_world_size, theirs.get_world_size, ()),
        (dist.get_backend, theirs.get_backend, ()),
        (dist.barrier, theirs.barrier, ()),
        (dist.new_group, theirs.new_group, ([0],)),
        (dist.destroy_process_group, theirs.destroy_process_group, ()),
        (tracec.utils.data.DistributedSampler, torch.utils.data.DistributedSampler, ([1],)),
    ):
        assert error_of(ours, *arguments) == error_of(expected, *arguments)
    assert error_of(dist.all_reduce, x) == error_of(theirs.all_reduce, y)
    assert error_of(dist.broadcast, x, 0) == error_of(theirs.broadcast, y, 0)
    linear = error_of(tracec.nn.parallel.DistributedDataParallel, tracec.nn.Linear(2, 2))
    assert linear == error_of(torch.nn.parallel.DistributedDataParallel, torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    "arguments",
    [
        {"backend": "gloo"},
        {"backend": None},
        {"backend": 3},
        {"backend": "gloo", "init_method": "tcp://127.0.0.1:1"},
        {"backend": "gloo", "init_method": "tcp://127.0.0.1:1", "rank": 0},
        {"backend": "gloo", "init_method": "foo://127.0.0.1:1", "rank": 0, "world_size": 1},
        {"backend": "gloo", "timeout": 3},
    ],
)
def test_init_errors(arguments: dict) -> None:
    theirs = error_of(torch.distributed.init_process_group, **arguments)
    assert theirs is not None
    assert error_of(dist.init_process_group, **arguments) == theirs


def test_backends_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="^Distributed package doesn't have NCCL built in$"):
        dist.init_process_group("nccl", rank=0, world_size=1)
    monkeypatch.setattr(rendezvous, "is_available", lambda: False)
    with pytest.raises(RuntimeError, match="doesn't have MPI built in.*tracec.mpi"):
        dist.init_process_group("mpi")
    monkeypatch.setenv("RANK", "0")
    assert error_of(dist.init_process_group) == [
        "ValueError",
        "Error initializing torch.distributed using env:// rendezvous: environment variable "
        "WORLD_SIZE expected, but not set",
    ]
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(NotImplementedError, match="mpiexec -n 4 python"):
        dist.init_process_group("gloo")


@pytest.mark.parametrize("backend", ["mpi", "gloo", None, "cpu:gloo,cuda:nccl"])
def test_any_backend(backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    dist.init_process_group(backend, timeout=datetime.timedelta(seconds=5))
    assert (dist.get_rank(), dist.get_world_size(), dist.is_initialized()) == (0, 1, True)
    assert dist.get_backend() == {None: "undefined", "mpi": "mpi"}.get(backend, "gloo")


def test_collectives(group) -> None:
    x = tracec.tensor([1.5, 2.0], dtype=tracec.bfloat16)
    for op in (dist.ReduceOp.SUM, dist.ReduceOp.AVG, dist.ReduceOp.MAX):
        dist.all_reduce(x, op)
        dist.reduce(x, 0, op)
    dist.broadcast(x, 0)
    out = [tracec.zeros(2, dtype=x.dtype)]
    for fill in (
        lambda: dist.all_gather(out, x),
        lambda: dist.gather(x, out),
        lambda: dist.scatter(out[0], [x]),
        lambda: dist.reduce_scatter(out[0], [x]),
        lambda: dist.reduce_scatter_tensor(out[0], x),
        lambda: dist.all_gather_into_tensor(out[0], x),
        lambda: dist.all_to_all(out, [x]),
        lambda: dist.all_to_all_single(out[0], x),
    ):
        out[0].zero_()
        assert fill() is None
        assert out[0].tolist() == [1.5, 2.0]
    work = dist.all_reduce(x, async_op=True)
    assert work.wait() is True and work.is_completed() and work.result()[0] is x
    objects = [None]
    sent = {"a": [1]}
    dist.all_gather_object(objects, sent)
    assert objects == [sent] and objects[0] is not sent
    with pytest.raises(ValueError, match="destination rank should not be the same"):
        dist.send(x, 0)
    assert dist.barrier() is None and dist.monitored_barrier() is None


def test_groups(group) -> None:
    made = dist.new_group([0])
    assert (dist.get_rank(made), dist.get_process_group_ranks(made)) == (0, [0])
    assert dist.get_pg_count() == 2 and isinstance(made, dist.ProcessGroup)
    dist.destroy_process_group(made)
    assert error_of(dist.get_rank, made)[1].startswith("Group <ProcessGroup object at")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert dist.all_reduce(tracec.ones(1), group=dist.GroupMember.NON_GROUP_MEMBER) is None
    assert "Running all_reduce on global rank 0" in str(seen[0].message)


def test_sampler_shuffles_by_epoch() -> None:
    samplers = [tracec.utils.data.DistributedSampler(range(10), 3, r, seed=5) for r in range(3)]
    first = [list(s) for s in samplers]
    assert sorted({i for part in first for i in part}) == list(range(10))
    assert [len(part) for part in first] == [4, 4, 4] and first == [list(s) for s in samplers]
    for s in samplers:
        s.set_epoch(1)
    assert [list(s) for s in samplers] != first
    loader = tracec.utils.data.DataLoader(list(range(10)), batch_size=2, sampler=samplers[0])
    assert len(loader) == 2


def test_data_parallel_is_the_module(group) -> None:
    inner = tracec.nn.Sequential(tracec.nn.Linear(3, 2), tracec.nn.BatchNorm1d(2))
    model = tracec.nn.parallel.DistributedDataParallel(inner)
    expected = torch.nn.parallel.DistributedDataParallel.__name__
    assert type(model).__name__ == expected and list(model.state_dict())[0] == "module.0.weight"
    other = copy.deepcopy(inner)
    x = tracec.randn(4, 3)
    for m in (model, other):
        m(x).pow(3).sum().backward()
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        tracec.testing.assert_close(p.grad, q.grad)
    with pytest.raises(NotImplementedError, match="register_comm_hook"):
        model.register_comm_hook(None, print)
    with pytest.raises(ValueError, match="device_ids .0., output_device None"):
        tracec.nn.parallel.DistributedDataParallel(inner, device_ids=[0])
    lazy = error_of(tracec.nn.parallel.DistributedDataParallel, tracec.nn.LazyLinear(3))
    assert lazy[1].startswith("Modules with uninitialized parameters can't be used")


def test_sync_batchnorm_alone() -> None:
    module = tracec.nn.SyncBatchNorm(3)
    assert repr(module) == repr(torch.nn.SyncBatchNorm(3))
    plain = tracec.nn.BatchNorm1d(3)
    x = tracec.randn(5, 3)
    tracec.testing.assert_close(module(x), plain(x))
    assert error_of(module, x[0]) == error_of(torch.nn.SyncBatchNorm(3), torch.ones(3))
    converted = tracec.nn.SyncBatchNorm.convert_sync_batchnorm(tracec.nn.Sequential(plain))
    assert type(converted[0]) is tracec.nn.SyncBatchNorm and converted[0].weight is plain.weight


def test_callbacks_run_when_gradients_are_there() -> None:
    """Those of nested runs when the outermost one ends; those of a run that fails, never."""
    engine = importlib.import_module("tracec.autograd.engine")
    seen = []
    a, b = (tracec.ones(2, requires_grad=True) for _ in range(2))

    def hook(parameter) -> None:
        engine.queue_callback(lambda: seen.append((a.grad is not None, b.grad is not None)))
        inner = tracec.ones(1, requires_grad=True)
        inner.register_post_accumulate_grad_hook(
            lambda p: engine.queue_callback(lambda: seen.append("inner"))
        )
        with tracec.enable_grad():
            (inner * 2).sum().backward()
        assert not seen

    handle = a.register_post_accumulate_grad_hook(hook)
    (a * b).sum().backward()
    assert seen == [(True, True), "inner"]
    handle.remove()

    def failing(parameter) -> None:
        engine.queue_callback(lambda: seen.append("never"))
        raise KeyError("hook")

    a.register_post_accumulate_grad_hook(failing)
    with pytest.raises(KeyError):
        (a * b).sum().backward()
    (b * 2).sum().backward()
    assert "never" not in seen
    with pytest.raises(RuntimeError, match="can only be installed during backward pass"):
        engine.queue_callback(print)
