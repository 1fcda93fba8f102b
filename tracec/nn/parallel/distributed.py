"""Owns DistributedDataParallel: one copy of a module in each process, gradients averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tracec
from tracec import distributed as dist

from ..modules.module import Module
from ..parameter import UninitializedParameter
from .reducer import BUCKET_BYTES, Reducer, broadcast_all


class DistributedDataParallel(Module):
    """Trains `module` in every process of a group on that process's part of the batch.

    Parameters and buffers are broadcast from process 0 when it is made, buffers again before each
    forward pass (`broadcast_buffers`). At the end of a backward pass the gradients are replaced by
    their averages over the processes. Parameters that may get no gradient in some pass need
    `find_unused_parameters=True` (or `static_graph=True`).

    Raises ValueError without a process group, RuntimeError for modules without parameters that
    require grad, or with other ones than process 0 has.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool | None = None,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        delay_all_reduce_named_params: Any = None,
        param_to_hook_all_reduce: Any = None,
        mixed_precision: Any = None,
        device_mesh: Any = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("delay_all_reduce_named_params", delay_all_reduce_named_params),
            ("param_to_hook_all_reduce", param_to_hook_all_reduce),
            ("mixed_precision", mixed_precision),
            ("device_mesh", device_mesh),
        ):
            if value is not None:
                raise NotImplementedError(f"nn.parallel.DistributedDataParallel with {name}")
        self.process_group = dist.groups.resolve(process_group)
        ignored = getattr(module, "_ddp_params_and_buffers_to_ignore", None)
        self.parameters_to_ignore = set(ignored or ())
        self.module = module
        self.device_ids = self.output_device = None
        self.device = tracec.device("cpu")
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers is not False
        self.find_unused_parameters = find_unused_parameters
        self.static_graph = static_graph
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True
        self.bucket_bytes_cap = int(bucket_cap_mb * (1 << 20)) if bucket_cap_mb else BUCKET_BYTES
        self._check(device_ids, output_device)
        if init_sync:
            self._check_same()
            state = [t for _, t in self._named_state()]
            broadcast_all([t.detach() for t in state], self.process_group)
        self._make_reducer()

    def _trained(self) -> list:
        """The parameters whose gradients are averaged."""
        return [
            p
            for name, p in self.module.named_parameters()
            if p.requires_grad and name not in self.parameters_to_ignore
        ]

    def _named_state(self) -> list:
        """(name, tensor) of everything that is the same in all processes."""
        named = [*self.module.named_parameters(), *self.module.named_buffers()]
        return [(name, t) for name, t in named if name not in self.parameters_to_ignore]

    def _check(self, device_ids: Any, output_device: Any) -> None:
        parameters = list(self.module.parameters())
        if any(isinstance(p, UninitializedParameter) for p in parameters):
            raise RuntimeError(
                "Modules with uninitialized parameters can't be used with "
                "`DistributedDataParallel`. Run a dummy forward pass to correctly initialize the "
                "modules"
            )
        if not self._trained():
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        if device_ids:
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with "
                "single-device/multiple-device GPU modules or CPU modules, but got device_ids "
                f"{device_ids}, output_device {output_device}, and module parameters "
                f"{ {p.device for p in parameters} }."
            )

    def _check_same(self) -> None:
        """RuntimeError if process 0 has other parameters."""
        mine = [(list(p.shape), p.dtype.code) for p in self._trained()]
        theirs: list = [None] * self.process_group.size()
        dist.all_gather_object(theirs, mine, self.process_group)
        rank = self.process_group.rank()
        if len(mine) != len(theirs[0]):
            raise RuntimeError(
                f"DDP expects same model across all ranks, but Rank {rank} has {len(mine)} params, "
                f"while rank 0 has inconsistent {len(theirs[0])} params."
            )
        for i, (here, there) in enumerate(zip(mine, theirs[0])):
            if here != there:
                what = "sizes" if here[0] != there[0] else "dtype"
                raise RuntimeError(
                    f"[{rank}]: params[{i}] in this process with {what} "
                    f"{here[what == 'dtype']} appears not to match {what} of the same param in "
                    "process 0."
                )

    def _make_reducer(self) -> None:
        self.reducer = Reducer(
            self._trained(),
            self.process_group,
            self.bucket_bytes_cap,
            self.find_unused_parameters or self.static_graph,
            self.gradient_as_bucket_view,
        )

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        training = tracec.is_grad_enabled() and self.require_backward_grad_sync
        if training:
            self.reducer.expect()
        if self.will_sync_module_buffers():
            self._sync_buffers()
        out = self.module(*inputs, **kwargs)
        self.require_forward_param_sync = training
        return out

    def will_sync_module_buffers(self) -> bool:
        """Whether the next forward pass broadcasts buffers first."""
        return (
            self.require_forward_param_sync
            and self.broadcast_buffers
            and any(True for _ in self.module.buffers())
        )

    def _sync_buffers(self) -> None:
        named = self.module.named_buffers()
        buffers = [b.detach() for name, b in named if name not in self.parameters_to_ignore]
        with tracec.no_grad():
            broadcast_all(buffers, self.process_group)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients are added up without communication in the passes of the `with` block; the
        first backward pass after it averages the sums."""
        before = self.require_backward_grad_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    def register_comm_hook(self, state: Any, hook: Any) -> None:
        """Not available."""
        if not callable(hook):
            raise TypeError("Communication hook must be callable.")
        raise NotImplementedError("DistributedDataParallel.register_comm_hook")

    def join(self, *args: Any, **kwargs: Any) -> Any:
        """Not available: all processes need equally many batches."""
        raise NotImplementedError("DistributedDataParallel.join")

    def __getstate__(self) -> dict:
        state = dict(self.__dict__)
        del state["process_group"], state["reducer"]
        return state

    def __setstate__(self, state: dict) -> None:
        """A copy belongs to the default group."""
        super().__setstate__(state)
        self.process_group = dist.groups.default()
        self._make_reducer()
