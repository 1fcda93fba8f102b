"""Averages gradients over processes: once at the end of each backward run, in flat buckets."""

from __future__ import annotations

from typing import Any

import tracec
from tracec import distributed as dist
from tracec.autograd.engine import queue_callback
from tracec.distributed.memory import Incoming, joined

BUCKET_BYTES = 25 << 20

UNFINISHED = (
    "Expected to have finished reduction in the prior iteration before starting a new one. This "
    "error indicates that your module has parameters that were not used in producing loss. You "
    "can enable unused parameter detection by passing the keyword argument "
    "`find_unused_parameters=True` to `torch.nn.parallel.DistributedDataParallel`, and by \n"
    "making sure all `forward` function outputs participate in calculating loss. \n"
    "If you already have done the above, then the distributed data parallel module wasn't able to "
    "locate the output tensors in the return value of your module's `forward` function. Please "
    "include the loss function and the structure of the return value of `forward` of your module "
    "when reporting this issue (e.g. list, dict, iterable).\n"
    "Parameter indices which did not receive grad for rank {}: {}\n"
    " In addition, you can set the environment variable TORCH_DISTRIBUTED_DEBUG to either INFO or "
    "DETAIL to print out information about which particular parameters did not receive gradient on "
    "this rank as part of this error"
)


def buckets(tensors: list, limit: int) -> list[list[int]]:
    """The positions of the tensors, in groups of one dtype and about `limit` bytes."""
    found: list[list[int]] = []
    last: dict[Any, tuple[list[int], int]] = {}
    for i, t in enumerate(tensors):
        bucket, nbytes = last.get(t.dtype, (None, 0))
        if bucket is None or nbytes + t.nbytes > limit:
            bucket, nbytes = [], 0
            found.append(bucket)
        bucket.append(i)
        last[t.dtype] = bucket, nbytes + t.nbytes
    return found


def broadcast_all(tensors: list, group: Any, limit: int = 250 << 20) -> None:
    """Replaces the tensors by those of process 0 of the group, in few messages."""
    works = []
    for bucket in buckets(tensors, limit):
        some = [tensors[i] for i in bucket]
        if group.rank() == 0:
            works.append(dist.Work(group._transport.broadcast(joined(some), 0)))
            continue
        received = Incoming(some[0].dtype, sum(t.numel() for t in some))
        pending = group._transport.broadcast(received.array, 0)
        works.append(dist.Work(pending, lambda r=received, some=some: r.into(*some)))
    for work in works:
        work.wait()


class _Ready:
    """A parameter's hook: its gradient is complete. Copies of the parameter share it."""

    def __init__(self, reducer: Reducer):
        self.reducer = reducer

    def __call__(self, parameter: Any) -> None:
        self.reducer.ready(parameter)

    def __deepcopy__(self, memo: dict) -> _Ready:
        return self


class Reducer:
    """The gradients of `parameters` in the processes of a group.

    Between `expect()` and the end of the next backward run that reaches one of the parameters their
    gradients are averaged. A bucket is a flat tensor, recorded together with the backward pass;
    16-bit floats are summed in float32 and rounded once.
    """

    def __init__(
        self,
        parameters: list,
        group: Any,
        limit: int = BUCKET_BYTES,
        allow_unused: bool = False,
        as_views: bool = False,
    ):
        self.parameters, self.group = parameters, group
        self.allow_unused, self.as_views = allow_unused, as_views
        order = list(reversed(range(len(parameters))))  # gradients of the last layers come first
        self.buckets = [
            [order[i] for i in b] for b in buckets([parameters[i] for i in order], limit)
        ]
        self.position = {id(p): i for i, p in enumerate(parameters)}
        self.expecting = False
        self.seen: set[int] = set()
        self.missing: list[int] = []
        hook = _Ready(self)
        self.handles = [p.register_post_accumulate_grad_hook(hook) for p in parameters]

    def expect(self) -> None:
        """The next backward run is to be reduced. RuntimeError if the last one left out some."""
        if self.missing:
            raise RuntimeError(
                UNFINISHED.format(self.group.rank(), " ".join(map(str, sorted(self.missing))))
            )
        self.expecting = True

    def ready(self, parameter: Any) -> None:
        """Notes that a parameter's gradient is complete."""
        i = self.position.get(id(parameter))
        if i is None or not self.expecting:
            return
        if not self.seen:
            queue_callback(self.finish)
        self.seen.add(i)

    def finish(self) -> None:
        """Averages the gradients over the processes."""
        seen, self.seen, self.expecting = self.seen, set(), False
        every = range(len(self.parameters))
        if not self.allow_unused:
            self.missing = [i for i in every if i not in seen]
        with tracec.no_grad():
            flats = [self._flat(bucket, seen) for bucket in self.buckets]
            used = self._used_anywhere(seen) if self.allow_unused else seen
            works = [dist.all_reduce(f, group=self.group, async_op=True) for f in flats]
            for work in works:  # all of them before anything is recorded: one trace follows
                work.wait()
            for bucket, flat in zip(self.buckets, flats):
                self._spread(bucket, flat, used)

    def _used_anywhere(self, seen: set[int]) -> set[int]:
        marks = tracec.tensor([i in seen for i in range(len(self.parameters))])
        dist.all_reduce(marks, dist.ReduceOp.MAX, self.group)
        return {i for i, mark in enumerate(marks.tolist()) if mark}

    def _flat(self, bucket: list[int], seen: set[int]) -> Any:
        """This process's share of the averages of a bucket, one after the other."""
        pieces = []
        for i in bucket:
            p = self.parameters[i]
            has = i in seen or (self.allow_unused and p.grad is not None)
            piece = p.grad.detach() if has else tracec.zeros(p.shape, dtype=p.dtype)
            pieces.append(piece.reshape(-1))
        flat = pieces[0] if len(pieces) == 1 else tracec.cat(pieces)
        if flat.itemsize == 2:
            flat = flat.float()
        return flat / self.group.size()

    def _spread(self, bucket: list[int], flat: Any, used: set[int]) -> None:
        start = 0
        for i in bucket:
            p = self.parameters[i]
            n = p.numel()
            if i in used:
                average = flat[start : start + n].view(p.shape)
                if self.as_views or p.grad is None:
                    p.grad = average.to(p.dtype)
                else:
                    p.grad.copy_(average)
            start += n
