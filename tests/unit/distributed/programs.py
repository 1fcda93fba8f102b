"""Programs for two processes, run with tracec and with PyTorch by the same code.

`python programs.py FRAMEWORK` runs all of them (below `mpiexec -n 2`); process 0 prints one JSON
object: for each name what every process returned. `same_*` programs are compared with PyTorch's,
`own_*` ones run with tracec only and assert.
"""

import contextlib
import copy
import importlib
import json
import os
import re
import sys
import warnings

ADDRESS = re.compile(r"0x[0-9a-f]+")
PACKAGE = re.compile(r"(torch|tracec)\.distributed\.\w+\.")


def error_of(call, *args, **kwargs):
    """The type and text of what a call raises, without addresses."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        text = PACKAGE.sub("", ADDRESS.sub("", str(error)))
        return [type(error).__name__, text.replace("tracec.Tensor", "torch.Tensor")]
    return None


def plain(t):
    """A tensor as nested lists; complex numbers as pairs."""
    return t.tolist() if not t.is_complex() else [[z.real, z.imag] for z in t.tolist()]


# -- tensors ------------------------------------------------------------------------------------
def same_reductions(torch, dist, rank):
    found = []
    values = {
        "float64": [0.1 + rank, -2.5, 3.0 * rank],
        "float32": [0.1 + rank, -2.5, 3.0 * rank],
        "float16": [1.001 + rank, 2048.0, 1.0],
        "bfloat16": [1.01 + rank, 256.0, 1.0],
        "int32": [3 + rank, -7, 12],
        "int64": [3 + rank, -7, 12],
        "int8": [100, 3 + rank, 5],
        "uint8": [200, 3 + rank, 5],
        "bool": [rank == 0, True, False],
    }
    ops = ["SUM", "AVG", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR"]
    for dtype, data in values.items():
        for name in ops:
            op = getattr(dist.ReduceOp, name)
            floating = "float" in dtype
            if (floating and name[0] == "B") or (name == "AVG" and not floating):
                continue
            x = torch.tensor(data, dtype=getattr(torch, dtype))
            dist.all_reduce(x, op)
            found.append([dtype, name, x.tolist()])
    z = torch.tensor([1 + 2j * rank, 3.0])
    dist.all_reduce(z)
    x = torch.tensor([1.0, 2.0]) * (rank + 1)
    dist.reduce(x, 1)
    return [found, plain(z), x.tolist() if rank == 1 else None]


def same_views(torch, dist, rank):
    """Results land in parts of tensors, and every alias sees them."""
    m = torch.zeros(3, 4)
    alias = m.view(12)
    row = m[0]
    row += rank + 1
    dist.all_reduce(row)
    dist.broadcast(m[2] if rank else torch.full((4,), 7.0), 0)
    dist.all_gather([m[0, 2:], m[1, 2:]], torch.tensor([5.0, 6.0]) * (rank + 1))
    whole = torch.ones(2, 3)
    other = whole.t()
    dist.all_reduce(whole)
    scalar = torch.tensor(2.0) + rank
    dist.all_reduce(scalar)
    array = torch.ones(3).numpy()
    dist.all_reduce(torch.from_numpy(array))
    return [m.tolist(), alias.tolist(), other.tolist(), scalar.item(), array.tolist()]


def same_movement(torch, dist, rank):
    out = []
    x = torch.arange(3) + 10 * rank
    parts = [torch.zeros(3, dtype=torch.int64) for _ in range(2)]
    dist.all_gather(parts, x)
    out.append([p.tolist() for p in parts])
    flat = torch.zeros(6, dtype=torch.int64)
    dist.all_gather_into_tensor(flat, x)
    out.append(flat.tolist())
    dist.gather(x * 2, parts if rank == 1 else None, 1)
    out.append([p.tolist() for p in parts])
    dist.scatter(x, [torch.ones(3, dtype=torch.int64) * i for i in (4, 5)] if rank == 0 else None)
    out.append(x.tolist())
    y = torch.zeros(2, dtype=torch.float64)
    dist.reduce_scatter(y, [torch.ones(2).double() * (i + rank) for i in range(2)])
    out.append(y.tolist())
    dist.reduce_scatter_tensor(y, torch.arange(4.0, dtype=torch.float64) * (rank + 1))
    out.append(y.tolist())
    sizes = [[1, 2], [3, 1]]  # process i sends sizes[i][j] elements to process j
    ins = [torch.full((n,), 10.0 * rank + j) for j, n in enumerate(sizes[rank])]
    outs = [torch.zeros(sizes[i][rank]) for i in range(2)]
    uneven = torch.zeros(sum(len(o) for o in outs))
    dist.all_to_all_single(uneven, torch.cat(ins), [len(o) for o in outs], [len(i) for i in ins])
    out.append(uneven.tolist())
    square = torch.arange(4.0).view(4, 1) + 10 * rank
    dist.all_to_all_single(got := torch.zeros(4, 1), square)
    out.append(got.tolist())
    halves = [torch.zeros(2), torch.zeros(2)]
    dist.all_to_all(halves, [torch.ones(2) * rank, torch.ones(2) * (rank + 5)])
    out.append([h.tolist() for h in halves])
    return out


def same_point_to_point(torch, dist, rank):
    out = []
    x = torch.arange(4) * (rank + 1)
    y = torch.zeros(4, dtype=torch.int64)
    if rank == 0:
        dist.send(x, 1)
        out.append(dist.recv(y))
    else:
        out.append(dist.recv(y, 0))
        dist.send(x, 0)
    out.append(y.tolist())
    work = [dist.isend(x[1:3], 1 - rank, tag=7), dist.irecv(y[1:3], 1 - rank, tag=7)]
    out += [[w.wait() for w in work], y.tolist()]
    ops = [dist.P2POp(dist.isend, x, 1 - rank), dist.P2POp(dist.irecv, y, 1 - rank)]
    for w in dist.batch_isend_irecv(ops):
        w.wait()
    out.append(y.tolist())
    return out


def same_asynchronous(torch, dist, rank):
    """Several at once, one of them forgotten."""
    xs = [torch.full((3,), float(i + rank)) for i in range(4)]
    works = [dist.all_reduce(x, async_op=True) for x in xs]
    dist.all_reduce(torch.ones(100_000), async_op=True)
    waited = [w.wait() for w in works]
    later = dist.barrier(async_op=True)
    later.wait()
    return [waited, [x.tolist() for x in xs], later.is_completed(), dist.barrier()]


def same_objects(torch, dist, rank):
    every = [None, None]
    dist.all_gather_object(every, {"rank": rank, "t": [rank] * 2})
    some = [rank, "x"]
    dist.broadcast_object_list(some, 1)
    here = [None, None] if rank == 0 else None
    dist.gather_object(("a", rank), here)
    mine = [None]
    dist.scatter_object_list(mine, [["p"], ["q"]] if rank == 0 else None)
    back = [None]
    if rank == 0:
        dist.send_object_list([{"k": 3}], 1)
    else:
        back.append(dist.recv_object_list(back, 0))
    return [every, some, here and [list(h) for h in here], mine, back]


def same_groups(torch, dist, rank):
    alone = dist.new_group([1])
    turned = dist.new_group([1, 0], sort_ranks=False)
    x = torch.tensor([float(rank)])
    dist.broadcast(x, 1, group=turned)
    y = torch.tensor([float(rank)])
    dist.broadcast(y, group=turned, group_src=1)
    z = torch.ones(2)
    dist.all_reduce(z, group=alone)
    ranks = [dist.get_rank(alone), dist.get_rank(turned), dist.get_world_size(alone)]
    names = [dist.get_process_group_ranks(turned), dist.get_global_rank(turned, 0)]
    errors = [
        error_of(dist.get_group_rank, turned, 5),
        error_of(dist.get_global_rank, turned, 5),
        error_of(dist.new_group, [0, 0]),
        error_of(dist.new_group, [0, 5]),
        error_of(dist.new_group, [0, 1, 2]),
        error_of(dist.all_reduce, torch.ones(1), group=3),
        error_of(dist.get_backend, dist.GroupMember.NON_GROUP_MEMBER),
    ]
    dist.destroy_process_group(turned)
    errors.append(error_of(dist.get_rank, turned))
    member = alone == dist.GroupMember.NON_GROUP_MEMBER
    world = dist.group.WORLD
    return [x.tolist(), y.tolist(), z.tolist(), ranks, names, errors, member, world.size()]


def same_errors(torch, dist, rank):
    x, other = torch.ones(2), [torch.ones(3), torch.ones(3)]
    ints = torch.ones(2, dtype=torch.int32)
    op = dist.ReduceOp
    return [
        error_of(dist.init_process_group, "gloo"),
        error_of(dist.all_reduce, [x]),
        error_of(dist.broadcast, x),
        error_of(dist.broadcast, x, 2),
        error_of(dist.reduce, x, 9),
        error_of(dist.all_gather, x, x),
        error_of(dist.all_gather, [ints, ints], x),
        error_of(dist.all_gather, other, x),
        error_of(dist.all_gather, [x], x),
        error_of(dist.all_to_all, [x], [x, x]),
        error_of(dist.all_to_all_single, x, x, [3, 3], [1, 1]),
        error_of(dist.all_to_all_single, x, x, [2], [1, 1]),
        error_of(dist.send, x),
        error_of(dist.send, x, rank),
        error_of(dist.all_reduce, ints, op.AVG),
        error_of(dist.all_reduce, x, op.BAND),
        error_of(dist.all_reduce, torch.ones(2, dtype=torch.complex64), op.MAX),
        error_of(dist.gather, x, None, rank),
        error_of(dist.gather, x, [x, x], 1 - rank),
        error_of(dist.gather, x, [x], rank),
        error_of(dist.gather, x, other, rank),
        error_of(dist.scatter, x, None, rank),
        error_of(dist.scatter, x, [x, x], 1 - rank),
        error_of(dist.scatter, x, [x], rank),
        error_of(dist.scatter, x, other, rank),
        error_of(dist.P2POp, dist.send, x, 1 - rank),
        error_of(dist.batch_isend_irecv, [3]),
        error_of(dist.scatter_object_list, 3, [4, 5], rank),
        error_of(dist.all_reduce(x, async_op=True).source_rank),
    ]


# -- training -----------------------------------------------------------------------------------
def filled(torch, module):
    """The module with parameters that do not depend on a generator."""
    with torch.no_grad():
        for p in module.parameters():
            values = torch.arange(p.numel(), dtype=torch.float64) * 0.7 + p.dim()
            p.copy_(torch.sin(values).view(p.shape) * 0.5)
    return module


def network(torch):
    nn = torch.nn
    layers = [nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 1)]
    return filled(torch, nn.Sequential(*layers).double())


def batch(torch):
    x = torch.cos(torch.arange(48, dtype=torch.float64) * 1.3).view(12, 4)
    return x, x.sum(1, keepdim=True) ** 2


def trained(torch, model, optimizer, x, y, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return [t.tolist() for t in model.state_dict().values()]


def same_training(torch, dist, rank):
    """Parameters after some steps, with each choice; process 1 starts with other parameters."""
    x, y = batch(torch)
    mine = slice(6 * rank, 6 * rank + 6)
    found = []
    for options in (
        {},
        {"gradient_as_bucket_view": True},
        {"bucket_cap_mb": 1e-4},
        {"find_unused_parameters": True},
        {"broadcast_buffers": False},
    ):
        model = network(torch)
        if rank:
            with torch.no_grad():
                for p in model.parameters():
                    p.add_(1)
        model = torch.nn.parallel.DistributedDataParallel(model, **options)
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
        found.append(trained(torch, model, optimizer, x[mine], y[mine]))
    return [found, list(model.state_dict())]


def same_no_sync(torch, dist, rank):
    model = filled(torch, torch.nn.Linear(3, 2).double())
    model = torch.nn.parallel.DistributedDataParallel(model)
    x = torch.arange(6, dtype=torch.float64).view(2, 3) * (rank + 1)
    found = []
    with model.no_sync():
        model(x).pow(2).sum().backward()
    found.append(model.module.weight.grad.tolist())
    model(x).sum().backward()
    found.append(model.module.weight.grad.tolist())
    model.module(x).sum().backward()  # not through the wrapper: stays in this process
    found.append(model.module.weight.grad.tolist())
    model(x).sum().backward()
    found.append(model.module.weight.grad.tolist())
    return found


def branches(torch):
    class Branches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(2, 2)
            self.b = torch.nn.Linear(2, 2)
            self.c = torch.nn.Linear(2, 2)

        def forward(self, x, both=False):
            return self.b(self.a(x)) if both else self.a(x)

    return filled(torch, Branches().double())


def same_unused_parameters(torch, dist, rank):
    wrap = torch.nn.parallel.DistributedDataParallel
    x = torch.ones(1, 2, dtype=torch.float64) * (rank + 1)
    model = wrap(branches(torch), find_unused_parameters=True)
    found = []
    for both in (False, rank == 0, True):
        model(x, both).sum().backward()
        grads = [p.grad for p in model.module.parameters()]
        found.append([None if g is None else g.tolist() for g in grads])
    model = wrap(branches(torch))
    model(x).sum().backward()
    return [found, error_of(model, x), error_of(wrap, torch.nn.ReLU())]


def same_checkpoint(torch, dist, rank):
    """Backward passes inside the backward pass."""
    from importlib import import_module

    checkpoint = import_module(f"{torch.__name__}.utils.checkpoint").checkpoint

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(3))

        def forward(self, x):
            x = self.layers[0](x)
            x = checkpoint(self.layers[1], x, use_reentrant=True)
            return self.layers[2](x)

    model = torch.nn.parallel.DistributedDataParallel(filled(torch, Model().double()))
    for step in range(2):
        x = torch.arange(6, dtype=torch.float64).view(2, 3) + rank + step
        model(x).pow(2).sum().backward()
    return [p.grad.tolist() for p in model.parameters()]


def same_sampler(torch, dist, rank):
    sampler = torch.utils.data.DistributedSampler
    found = []
    for size in (0, 1, 2, 5, 10):
        for drop in (False, True):
            s = sampler(range(size), shuffle=False, drop_last=drop)
            found.append([list(s), len(s)])
            s = sampler(range(size), 4, 3, shuffle=False, drop_last=drop)
            found.append([list(s) if size else None, len(s), s.total_size])
    return [found, error_of(sampler, range(3), 2, 2), error_of(sampler, range(3), 0, 0)]


# -- what only tracec has -----------------------------------------------------------------------
def own_whole_batch(torch, dist, rank):
    """Two processes on half batches train as one on the whole batch does, with SyncBatchNorm."""
    x, y = batch(torch)
    mine = slice(6 * rank, 6 * rank + 6)
    whole = network(torch)
    expected = trained(torch, whole, torch.optim.SGD(whole.parameters(), 0.05), x, y)
    model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network(torch))
    assert type(model[3]) is torch.nn.SyncBatchNorm
    model = torch.nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    got = trained(torch, model, optimizer, x[mine], y[mine])
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(torch.tensor(a), torch.tensor(b), rtol=1e-12, atol=1e-12)
    model.eval(), whole.eval()
    torch.testing.assert_close(model(x), whole(x), rtol=1e-12, atol=1e-12)


def own_sync_norm_gradients(torch, dist, rank):
    """Input gradients, 16-bit floats, and a process without samples."""
    x = torch.cos(torch.arange(60, dtype=torch.float64)).view(5, 3, 4)
    mine = slice(0, 2) if rank == 0 else slice(2, 5)
    weights = torch.sin(torch.arange(60, dtype=torch.float64)).view(5, 3, 4)
    whole, part = torch.nn.BatchNorm1d(3).double(), torch.nn.SyncBatchNorm(3).double()
    a, b = x.clone().requires_grad_(), x[mine].clone().requires_grad_()
    (whole(a) * weights).sum().backward()
    (part(b) * weights[mine]).sum().backward()
    torch.testing.assert_close(b.grad, a.grad[mine], rtol=1e-11, atol=1e-12)
    for name in ("weight", "bias"):
        g = getattr(part, name).grad.clone()
        dist.all_reduce(g)
        torch.testing.assert_close(g, getattr(whole, name).grad, rtol=1e-11, atol=1e-12)
    half = torch.nn.SyncBatchNorm(3, momentum=None).to(torch.bfloat16)
    c = x[mine].bfloat16().requires_grad_()
    half(c).sum().backward()
    assert half(c).dtype is torch.bfloat16 and c.grad.dtype is torch.bfloat16
    empty = torch.nn.SyncBatchNorm(3).double()
    out = empty(x[:, :, 0] if rank else x[:0, :, 0])
    assert out.shape == ((5, 3) if rank else (0, 3))
    torch.testing.assert_close(empty.running_mean, 0.1 * x[:, :, 0].mean(0))


def own_steady_state(torch, dist, rank):
    """A step records nothing new, is executed in two traces, and sends a message a bucket."""
    from tracec_runtime.events import counts

    x, y = batch(torch)
    for options, messages in (({}, 1), ({"bucket_cap_mb": 1e-4}, 5)):
        layers = [torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8)]
        model = torch.nn.Sequential(*layers, torch.nn.Linear(8, 1)).double()
        model = torch.nn.parallel.DistributedDataParallel(model, **options)
        assert len(model.reducer.buckets) == messages
        optimizer = torch.optim.Adam(model.parameters())
        trained(torch, model, optimizer, x, y, 2)
        transport = dist.group.WORLD._transport
        sent, real = [], transport.all_reduce
        transport.all_reduce = lambda *a, s=sent, real=real: (s.append(1), real(*a))[1]
        optimizer.zero_grad()
        with counts() as c:
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        del transport.all_reduce
        found = (c.trie_misses, c.plan_misses, c.flushes, len(sent))
        assert found == (0, 0, 2, messages), found


def own_memory(torch, dist, rank):
    """Contiguous tensors are sent from, and received into, the memory that they then have."""
    from tracec.distributed import memory

    x = torch.ones(1000) * 2
    assert memory.outgoing(x).__array_interface__["data"][0] == x.data_ptr()
    received = memory.Incoming(x.dtype, 1000)
    at, version = received.buffer.addr, x._version
    received.array[:] = 3
    received.into(x)
    assert x.data_ptr() == at and x._version == version + 1 and x.sum().item() == 3000
    columns = torch.arange(6.0).view(2, 3)  # PyTorch's gloo reduces the first of these only
    dist.all_reduce(columns[:, 1])
    assert columns.tolist() == [[0.0, 2.0, 2.0], [3.0, 8.0, 5.0]]
    stacked = torch.zeros(2, 3)
    dist.all_gather_into_tensor(stacked, torch.ones(3) * rank)
    assert stacked.tolist() == [[0.0] * 3, [1.0] * 3]
    w = torch.ones(3, requires_grad=True)
    y = (w * 2).exp()
    dist.all_reduce(y)
    error = error_of(y.sum().backward)
    assert error is not None and "modified by an inplace operation" in error[1]


def own_copies(torch, dist, rank):
    """Copies of a module that is being trained do not take part; copies of the wrapper do."""
    model = torch.nn.parallel.DistributedDataParallel(filled(torch, torch.nn.Linear(2, 1)))
    x = torch.ones(1, 2) * (rank + 1)
    inner = copy.deepcopy(model.module)
    inner(x).sum().backward()
    assert inner.weight.grad.tolist() == x.tolist()
    outer = copy.deepcopy(model)
    assert outer.process_group is dist.group.WORLD
    outer(x).sum().backward()
    assert outer.module.weight.grad.tolist() == [[1.5, 1.5]]
    assert model.module.weight.grad is None


def own_other_model(torch, dist, rank):
    """A process with another model is told so."""
    wrap = torch.nn.parallel.DistributedDataParallel
    error = error_of(wrap, torch.nn.Linear(2 + rank, 2))
    text = "[1]: params[0] in this process with sizes [2, 3] appears not to match sizes of the same"
    assert error is None if rank == 0 else error[1].startswith(text), error


def main(framework: str) -> None:
    torch = importlib.import_module(framework)
    dist = importlib.import_module(f"{framework}.distributed")
    warnings.simplefilter("ignore")
    if framework == "torch":
        os.environ.update(RANK=os.environ["PMI_RANK"], WORLD_SIZE=os.environ["PMI_SIZE"])
        torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    results = {}
    for name, program in list(globals().items()):
        if name.startswith("same_") or (name.startswith("own_") and framework == "tracec"):
            with contextlib.redirect_stdout(sys.stderr):
                mine = program(torch, dist, rank)
            every = [None, None]
            dist.all_gather_object(every, mine)
            results[name] = every
    if rank == 0:
        print(json.dumps(results))
    dist.destroy_process_group()
    assert not dist.is_initialized()


if __name__ == "__main__":
    main(sys.argv[1])
