"""Communication of tensors in which every process of a group takes part.

Values are computed before they are sent. With `async_op=True` the results are in their tensors once
`wait()` of the returned `Work` has returned; otherwise None is returned and they are there at once.
Where this process is not in the group, nothing happens but a warning.
"""

from __future__ import annotations

from typing import Any

from tracec_ir import dtypes

from ..tensor import Tensor
from .groups import ProcessGroup, member, root_of
from .memory import Incoming, joined, outgoing
from .reduce_op import ReduceOp, check
from .work import Work


def _tensor(x: Any, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type torch.Tensor\n"
            f"             but got {type(x)} instead."
        )


def _tensors(xs: Any, name: str) -> None:
    if not isinstance(xs, (list, tuple)) or not all(isinstance(x, Tensor) for x in xs):
        got = type(xs) if not isinstance(xs, (list, tuple)) else [type(x) for x in xs]
        raise TypeError(
            f"Invalid function argument. Expected parameter `{name}` of type List[torch.Tensor]\n"
            f"             but got {got} instead."
        )


def _same_dtype(*tensors: Tensor) -> None:
    for t in tensors[1:]:
        if t.dtype is not tensors[0].dtype:
            raise ValueError(
                f"Invalid usage of tensors with different dtypesFound {t.dtype} and  "
                f"{tensors[0].dtype}"
            )


def _sizes(shape) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _fit(group: ProcessGroup, function: str, tensors: Any, like: Tensor) -> None:
    """RuntimeError unless there is one tensor of the shape of `like` for every process."""
    if len(tensors) != group.size():
        raise RuntimeError(
            f"{group.said}::{function}: Incorrect list size {len(tensors)}. List size should be "
            f"{group.size()}, same as size of the process group."
        )
    for i, t in enumerate(tensors):
        if t.shape != like.shape:
            raise RuntimeError(
                f"{group.said}::{function}: invalid tensor size at index {i} (expected "
                f"{_sizes(like.shape)}, got {_sizes(t.shape)})"
            )


def _given(work: Work, async_op: bool) -> Work | None:
    if async_op:
        return work
    work.wait()
    return None


def barrier(
    group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None,
    timeout: Any = None,
) -> Work | None:  # fmt: skip
    """Returns when every process of the group has called it."""
    g = member(group, "barrier")
    return None if g is None else _given(Work(g._transport.barrier()), async_op)


def monitored_barrier(
    group: ProcessGroup | None = None, timeout: Any = None, wait_all_ranks: bool = False
) -> None:
    """`barrier`; MPI has no time limits."""
    barrier(group)


# -- reductions ---------------------------------------------------------------------------------
def _wide(dtype):
    """The dtype that values are reduced in: MPI has no 16-bit floats."""
    return dtypes.f32 if dtype.kind == "f" and dtype.itemsize == 2 else dtype


def _operands(tensors: list[Tensor]):
    dtype = _wide(tensors[0].dtype)
    return joined([t.detach().to(dtype) for t in tensors])


def _transported(op: ReduceOp) -> ReduceOp:
    return ReduceOp.SUM if op is ReduceOp.AVG else op


def _delivered(received: Incoming, op: ReduceOp, size: int, out: Tensor) -> None:
    if op is ReduceOp.AVG:
        assert received.array is not None
        received.array /= size
    received.into(out)


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Replaces `tensor` by the reduction of all processes' tensors, everywhere.

    16-bit floats are reduced in float32 and rounded once.
    """
    _tensor(tensor, "tensor")
    g = member(group, "all_reduce")
    if g is None:
        return None
    check(op, tensor.dtype, "all_reduce")
    received = Incoming(_wide(tensor.dtype), tensor.numel())
    pending = g._transport.all_reduce(_operands([tensor]), received.array, _transported(op))
    work = Work(pending, lambda: _delivered(received, op, g.size(), tensor), (tensor,))
    return _given(work, async_op)


def reduce(
    tensor: Tensor, dst: int | None = None, op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None, async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """Replaces `tensor` by the reduction of all processes' tensors on process `dst`."""
    _tensor(tensor, "tensor")
    g = member(group, "reduce")
    if g is None:
        return None
    root = root_of(g, "reduce", dst, group_dst)
    check(op, tensor.dtype, "reduce")
    if g.rank() != root:
        pending = g._transport.reduce(_operands([tensor]), None, _transported(op), root)
        return _given(Work(pending, None, (tensor,)), async_op)
    received = Incoming(_wide(tensor.dtype), tensor.numel())
    pending = g._transport.reduce(_operands([tensor]), received.array, _transported(op), root)
    work = Work(pending, lambda: _delivered(received, op, g.size(), tensor), (tensor,))
    return _given(work, async_op)


def reduce_scatter(
    output: Tensor, input_list: list[Tensor], op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None, async_op: bool = False,
) -> Work | None:  # fmt: skip
    """`output` of process i becomes the reduction of everybody's `input_list[i]`."""
    _tensor(output, "output")
    _tensors(input_list, "input_list")
    _same_dtype(output, *input_list)
    g = member(group, "reduce_scatter")
    if g is None:
        return None
    _fit(g, "reduce_scatter", input_list, output)
    return _reduce_scatter(output, list(input_list), op, g, async_op)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: ReduceOp = ReduceOp.SUM,
    group: ProcessGroup | None = None, async_op: bool = False,
) -> Work | None:  # fmt: skip
    """`output` of process i becomes part i of the reduction of everybody's `input`."""
    _tensor(output, "output")
    _tensor(input, "input")
    _same_dtype(output, input)
    g = member(group, "reduce_scatter_tensor")
    if g is None:
        return None
    if input.numel() != output.numel() * g.size():
        raise RuntimeError("input tensor must be the same size as output size times world size")
    return _reduce_scatter(output, [input], op, g, async_op)


def _reduce_scatter(
    output: Tensor, inputs: list[Tensor], op: ReduceOp, g: ProcessGroup, async_op: bool
) -> Work | None:
    check(op, output.dtype, "reduce_scatter")
    received = Incoming(_wide(output.dtype), output.numel())
    pending = g._transport.reduce_scatter(_operands(inputs), received.array, _transported(op))
    work = Work(pending, lambda: _delivered(received, op, g.size(), output), (output,))
    return _given(work, async_op)


# -- movement -----------------------------------------------------------------------------------
def broadcast(
    tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None,
    async_op: bool = False, group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """Replaces `tensor` by that of process `src`, everywhere."""
    _tensor(tensor, "tensor")
    g = member(group, "broadcast")
    if g is None:
        return None
    root = root_of(g, "broadcast", src, group_src)
    if g.rank() == root:
        return _given(
            Work(g._transport.broadcast(outgoing(tensor), root), None, (tensor,)), async_op
        )
    received = Incoming(tensor.dtype, tensor.numel())
    pending = g._transport.broadcast(received.array, root)
    return _given(Work(pending, lambda: received.into(tensor), (tensor,)), async_op)


def all_gather(
    tensor_list: list[Tensor], tensor: Tensor, group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """`tensor_list[i]` becomes the tensor of process i, everywhere."""
    _tensors(tensor_list, "tensor_list")
    _tensor(tensor, "tensor")
    _same_dtype(tensor, *tensor_list)
    g = member(group, "all_gather")
    if g is None:
        return None
    if len(tensor_list) != g.size():
        raise RuntimeError(
            f"{g.said}::allgather: invalid output tensor list at index 0 (expected length "
            f"{g.size()}, got {len(tensor_list)})"
        )
    _fit(g, "allgather", tensor_list, tensor)
    return _all_gather(list(tensor_list), tensor, g, async_op)


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """`output_tensor` becomes all processes' tensors one after the other (or stacked)."""
    _tensor(output_tensor, "output_tensor")
    _tensor(input_tensor, "input_tensor")
    _same_dtype(input_tensor, output_tensor)
    g = member(group, "all_gather_into_tensor")
    if g is None:
        return None
    if output_tensor.numel() != input_tensor.numel() * g.size():
        raise RuntimeError("output tensor size must be equal to world_size times input tensor size")
    return _all_gather([output_tensor], input_tensor, g, async_op)


def _all_gather(
    outputs: list[Tensor], tensor: Tensor, g: ProcessGroup, async_op: bool
) -> Work | None:
    received = Incoming(tensor.dtype, tensor.numel() * g.size())
    pending = g._transport.all_gather(outgoing(tensor), received.array)
    return _given(Work(pending, lambda: received.into(*outputs), tuple(outputs)), async_op)


def gather(
    tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int | None = None,
    group: ProcessGroup | None = None, async_op: bool = False, group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """On process `dst` (0), `gather_list[i]` becomes the tensor of process i."""
    _tensor(tensor, "tensor")
    if gather_list:
        _tensors(gather_list, "gather_list")
        _same_dtype(tensor, *gather_list)
    g = member(group, "gather")
    if g is None:
        return None
    if dst is None and group_dst is None:
        dst = 0
    root = root_of(g, "gather", dst, group_dst)
    if g.rank() != root:
        if gather_list:
            raise ValueError(
                "Argument ``gather_list`` must NOT be specified on non-destination ranks."
            )
        return _given(Work(g._transport.gather(outgoing(tensor), None, root)), async_op)
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    if len(gather_list) != g.size():
        raise RuntimeError(
            f"{g.said}::gather: Incorrect output list size {len(gather_list)}. Output list size "
            f"should be {g.size()}, same as size of the process group."
        )
    _fit(g, "gather", gather_list, tensor)
    outputs = tuple(gather_list)
    received = Incoming(tensor.dtype, tensor.numel() * g.size())
    pending = g._transport.gather(outgoing(tensor), received.array, root)
    return _given(Work(pending, lambda: received.into(*outputs), outputs), async_op)


def scatter(
    tensor: Tensor, scatter_list: list[Tensor] | None = None, src: int | None = None,
    group: ProcessGroup | None = None, async_op: bool = False, group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """`tensor` of process i becomes `scatter_list[i]` of process `src` (0)."""
    _tensor(tensor, "tensor")
    if scatter_list:
        _tensors(scatter_list, "scatter_list")
        _same_dtype(tensor, *scatter_list)
    g = member(group, "scatter")
    if g is None:
        return None
    if src is None and group_src is None:
        src = 0
    root = root_of(g, "scatter", src, group_src)
    data = None
    if g.rank() != root:
        if scatter_list:
            raise ValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.")
    elif not scatter_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    else:
        if len(scatter_list) != g.size():
            raise RuntimeError(
                f"{g.said}::scatter: Incorrect input list size {len(scatter_list)}. Input list "
                f"size should be {g.size()}, same as size of the process group."
            )
        _fit(g, "scatter", scatter_list, tensor)
        data = joined(list(scatter_list))
    received = Incoming(tensor.dtype, tensor.numel())
    pending = g._transport.scatter(data, received.array, root)
    return _given(Work(pending, lambda: received.into(tensor), (tensor,)), async_op)


def all_to_all(
    output_tensor_list: list[Tensor], input_tensor_list: list[Tensor],
    group: ProcessGroup | None = None, async_op: bool = False,
) -> Work | None:  # fmt: skip
    """`output_tensor_list[i]` becomes what process i has in its `input_tensor_list` for this one.

    Sizes may differ; what is received has the size of the tensor that it goes to.
    """
    _tensors(output_tensor_list, "output_tensor_list")
    _tensors(input_tensor_list, "input_tensor_list")
    _same_dtype(*output_tensor_list, *input_tensor_list)
    g = member(group, "all_to_all")
    if g is None:
        return None
    for kind, tensors in (("output", output_tensor_list), ("input", input_tensor_list)):
        if len(tensors) != g.size():
            raise RuntimeError(
                f"{g.said}::alltoall: {kind} tensor list size {len(tensors)} does not match world "
                f"size {g.size()}"
            )
    parts = [t.numel() for t in input_tensor_list]
    into = [t.numel() for t in output_tensor_list]
    if parts[g.rank()] != into[g.rank()]:
        raise RuntimeError(f"{g.said}::alltoall: input and output tensors must have the same size")
    outputs = tuple(output_tensor_list)
    received = Incoming(outputs[0].dtype, sum(into))
    data = joined(list(input_tensor_list))
    pending = g._transport.exchange(data, parts, received.array, into)
    return _given(Work(pending, lambda: received.into(*outputs), outputs), async_op)


def all_to_all_single(
    output: Tensor, input: Tensor, output_split_sizes: list[int] | None = None,
    input_split_sizes: list[int] | None = None, group: ProcessGroup | None = None,
    async_op: bool = False,
) -> Work | None:  # fmt: skip
    """Part i of `input` (along dimension 0) goes to process i; `output` becomes the parts that
    come from each process, one after the other."""
    _tensor(output, "output")
    _tensor(input, "input")
    _same_dtype(output, input)
    g = member(group, "all_to_all_single")
    if g is None:
        return None
    parts = _splits(input, input_split_sizes, g.size())
    into = _splits(output, output_split_sizes, g.size())
    received = Incoming(output.dtype, output.numel())
    pending = g._transport.exchange(outgoing(input), parts, received.array, into)
    return _given(Work(pending, lambda: received.into(output), (output,)), async_op)


def _splits(x: Tensor, sizes: list[int] | None, n: int) -> list[int]:
    """How many elements of x belong to each process."""
    rows = x.shape[0] if x.dim() else 1
    if not sizes:
        if rows % n:
            raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
        sizes = [rows // n] * n
    if len(sizes) != n:
        raise RuntimeError("Number of tensor splits not equal to group size")
    if sum(sizes) != rows:
        raise RuntimeError("Split sizes doesn't match total dim 0 size")
    row = x.numel() // rows if rows else 0
    return [s * row for s in sizes]
