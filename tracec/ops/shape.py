"""Joining, repeating and rearranging; the function forms of views."""

from __future__ import annotations

from typing import Any

from ..inplace import check
from ..record import apply
from ..tensor import Tensor
from .arguments import all_given, given, stack_of
from .face import add as list_as
from .face import face


@face("torch", aliases=("concat", "concatenate"))
def cat(
    tensors: Any, dim: int = 0, *, axis: int | None = None, out: Tensor | None = None
) -> Tensor:
    """The tensors one after the other along `dim`.

    All sizes but that of `dim` are equal (RuntimeError otherwise), dtypes promote; empty 1-d
    tensors are skipped. IndexError if there is no such dimension.
    """
    if axis is not None:
        dim = axis
    parts = stack_of(tensors, "cat")
    if out is not None and any(t._st is out._st for t in parts):
        raise RuntimeError(
            "unsupported operation: some elements of the input tensor and the written-to tensor "
            "refer to a single memory location. Please clone() the tensor before performing the "
            "operation."
        )
    return given(out, apply("cat", parts, (("dim", dim),)))


@face("torch")
def stack(tensors: Any, dim: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors along a new dimension.

    All tensors have one shape (RuntimeError otherwise); `dim` is where the new dimension of their
    number stands.
    """
    return given(out, apply("stack", stack_of(tensors, "stack"), (("dim", dim),)))


def _at_least(x: Tensor, n: int) -> Tensor:
    if x.dim() >= n:
        return x
    if n == 1:
        return x.reshape(1)
    if n == 2:
        return x.reshape(1, 1) if x.dim() == 0 else x.unsqueeze(0)
    if x.dim() == 0:
        return x.reshape(1, 1, 1)
    return x.unsqueeze(0).unsqueeze(-1) if x.dim() == 1 else x.unsqueeze(-1)


def _declare_at_least(n: int) -> None:
    def fn(*tensors: Any) -> Any:
        if len(tensors) == 1 and isinstance(tensors[0], Tensor):
            return _at_least(tensors[0], n)
        if len(tensors) == 1:
            tensors = tuple(tensors[0])
        return tuple(_at_least(t, n) for t in tensors)

    fn.__name__ = fn.__qualname__ = f"atleast_{n}d"
    fn.__doc__ = f"The tensors with at least {n} dimensions."
    list_as(fn, "torch", fn.__name__)


for _n in (1, 2, 3):
    _declare_at_least(_n)


@face("torch")
def hstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The tensors side by side (1-d ones one after the other)."""
    parts = [_at_least(t, 1) for t in stack_of(tensors, "hstack")]
    return cat(parts, 0 if parts[0].dim() == 1 else 1, out=out)


@face("torch", aliases=("row_stack",))
def vstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The tensors below one another."""
    return cat([_at_least(t, 2) for t in stack_of(tensors, "vstack")], 0, out=out)


@face("torch")
def dstack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The tensors behind one another along the third dimension."""
    return cat([_at_least(t, 3) for t in stack_of(tensors, "dstack")], 2, out=out)


@face("torch")
def column_stack(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The tensors as columns side by side."""
    parts = [t.reshape(-1, 1) if t.dim() <= 1 else t for t in stack_of(tensors, "column_stack")]
    return cat(parts, 1, out=out)


def _ints(args: tuple, named: Any) -> tuple[int, ...]:
    """Ints given one by one, as one sequence, or by name."""
    if named is not None:
        args = (named,)
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    return tuple(int(n) for n in args)


@face()
def flip(input: Tensor, *args: Any, dims: Any = None) -> Tensor:
    """input reversed along dimensions.

    A copy; `dims` are different dimensions. IndexError or RuntimeError otherwise.
    """
    return apply("flip", (input,), (("dims", _ints(args, dims)),))


@face()
def fliplr(input: Tensor) -> Tensor:
    """input reversed along its second dimension."""
    if input.dim() < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


@face()
def flipud(input: Tensor) -> Tensor:
    """input reversed along its first dimension."""
    if input.dim() < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


@face()
def roll(input: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
    """input moved cyclically.

    `shifts` and `dims` are numbers or equally long lists; without dims the flattened tensor moves.
    RuntimeError otherwise.
    """
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    dims = (dims,) if isinstance(dims, int) else tuple(dims or ())
    return apply("roll", (input,), (("shifts", shifts), ("dims", dims)))


@face()
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """input turned by quarter turns in a plane."""
    return apply("rot90", (input,), (("k", k), ("dims", tuple(dims))))


@face("method")
def repeat(self: Tensor, *args: Any, repeats: Any = None) -> Tensor:
    """The tensor laid out several times along each dimension.

    The counts stand for the last dimensions. A copy: see `expand` for one that shares memory.
    """
    return apply("repeat", (self,), (("sizes", _ints(args, repeats)),))


@face()
def tile(input: Tensor, *args: Any, dims: Any = None) -> Tensor:
    """input laid out several times; missing leading counts are 1.

    The counts stand for the last dimensions. A copy: see `expand` for one that shares memory.
    """
    counts = _ints(args, dims)
    counts = (1,) * (input.dim() - len(counts)) + counts
    return apply("repeat", (input,), (("sizes", counts),))


@face("torch")
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinates of the grid that vectors span, one tensor for each.

    1-d or 0-d tensors of one dtype; `indexing` is "ij" (dimension k belongs to vector k) or "xy"
    (the first two exchanged).
    """
    parts = (
        list(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (list, tuple))
        else list(tensors)
    )
    if not parts:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for t in parts:
        if t.dim() > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {t.dim()}D"
            )
    if any(t.dtype is not parts[0].dtype for t in parts):
        raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    swap = indexing == "xy" and len(parts) >= 2
    if swap:
        parts[0], parts[1] = parts[1], parts[0]
    shape = tuple(t.numel() for t in parts)
    out = [
        t.reshape(tuple(n if i == k else 1 for i, n in enumerate(shape))).expand(shape)
        for k, t in enumerate(parts)
    ]
    if swap:
        out[0], out[1] = out[1], out[0]
    return tuple(out)


@face("torch")
def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of one element of each vector, one a row."""
    for t in tensors:
        if t.dim() != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return stack([g.reshape(-1) for g in meshgrid(*tensors, indexing="ij")], 1)


@face("torch")
def block_diag(*tensors: Tensor) -> Tensor:
    """The matrices along the diagonal of one matrix."""
    from .spatial import constant_pad_nd

    parts = [_at_least(t, 2) for t in tensors]
    for i, t in enumerate(parts):
        if t.dim() > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has "
                f"{t.dim()} dimensions"
            )
    width = sum(t.shape[1] for t in parts)
    rows, left = [], 0
    for t in parts:
        rows.append(constant_pad_nd(t, (left, width - left - t.shape[1])))
        left += t.shape[1]
    return cat(rows, 0)


@face("torch")
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to their common shape."""
    from tracec_ir.promote import broadcast_shapes

    parts = (
        tuple(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (list, tuple))
        else tensors
    )
    shape = broadcast_shapes(*(tuple(t.shape) for t in parts))
    return tuple(t.expand(shape) for t in parts)


@face("torch")
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that shapes broadcast to."""
    from ..spec import Size

    given_shapes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    common = [1] * max(map(len, given_shapes), default=0)
    for number, s in enumerate(given_shapes):
        if any(n < 0 for n in s):
            raise ValueError("Attempting to broadcast a dimension with negative length!")
        for i in range(-1, -1 - len(s), -1):
            if s[i] == 1 or s[i] == common[i]:
                continue
            if common[i] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {s[i]} at {i}! Mismatching "
                    f"argument at index {number} had {shapes[number]}; but expected shape should "
                    f"be broadcastable to {common}"
                )
            common[i] = s[i]
    return Size(common)


# -- splits ---------------------------------------------------------------------------------------
def _declare_split(name: str, dim: int, least: int) -> None:
    def fn(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.dim() < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, "
                f"but got a tensor with {input.dim()} dimensions!"
            )
        if isinstance(indices_or_sections, str):
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got (Tensor, str)"
            )
        along = 0 if name == "hsplit" and input.dim() == 1 else dim
        if isinstance(indices_or_sections, int) and (
            indices_or_sections == 0 or input.shape[along] % indices_or_sections
        ):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {along}, but the size of the "
                "dimension "
                f"{input.shape[along]} is not divisible by the split_size {indices_or_sections}!"
            )
        return input.tensor_split(indices_or_sections, along)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"input cut along dimension {dim}."
    list_as(fn, "torch method", name)


for _args in (("hsplit", 1, 1), ("vsplit", 0, 2), ("dsplit", 2, 3)):
    _declare_split(*_args)


# -- function forms of views, and copies ----------------------------------------------------------
def _method_form(name: str) -> None:
    def fn(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return getattr(input, name)(*args, **kwargs)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`Tensor.{name}` as a function."
    list_as(fn, "torch", name)


for _name in ("swapdims", "moveaxis", "split_with_sizes", "view_as", "expand_as", "detach", "numel",
              "unsafe_split", "unsafe_chunk", "index_put"):  # fmt: skip
    _method_form(_name)


@face("method")
def unsafe_split(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """`split`, whose results may be written in place."""
    return self.split(split_size, dim)


@face("method")
def unsafe_chunk(self: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """`chunk`, whose results may be written in place."""
    return self.chunk(chunks, dim)


def _copy_form(name: str) -> None:
    view = name.removesuffix("_copy")

    def fn(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", None)
        r = input.clone() if view == "alias" else getattr(input, view)(*args, **kwargs)
        if not isinstance(r, tuple):
            return given(out, r.clone(), name=name)
        parts = tuple(t.clone() for t in r)
        return parts if out is None else all_given(out, parts, name)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"`{view}` as a fresh tensor."
    list_as(fn, "torch", name)


for _name in ("alias", "as_strided", "diagonal", "expand", "permute", "select", "split",
              "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unfold", "unsqueeze",
              "view"):  # fmt: skip
    _copy_form(_name + "_copy")


@face()
def narrow_copy(
    input: Tensor, dim: int, start: int, length: int, *, out: Tensor | None = None
) -> Tensor:
    """`narrow` as a fresh tensor."""
    rank = input.dim()
    if rank and dim >= rank:
        raise RuntimeError(f"narrow_copy(): dimension {dim} of a tensor with {rank} dimensions")
    if length < 0:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({input.shape[dim]})."
        )
    return given(out, input.narrow(dim, start, length).clone(), quiet=True)


@face("linalg", name="diagonal")
def _linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The diagonals of matrices."""
    return A.diagonal(offset, dim1, dim2)


@face("torch method")
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged, conjugated."""
    return input.transpose(-2, -1).conj()


@face("method")
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The tensor summed over what broadcasting from `size` would repeat."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else tuple(size)
    lead = self.dim() - len(shape)
    if lead < 0 or any(n != 1 and n != self.shape[lead + i] for i, n in enumerate(shape)):
        raise RuntimeError(
            f"size {{{list(shape)}}} is not expandable to size {{{list(self.shape)}}}."
        )
    over = tuple(range(lead)) + tuple(
        lead + i for i, n in enumerate(shape) if n == 1 and self.shape[lead + i] != 1
    )
    if not shape:
        return apply("sum", (self,))
    y = apply("sum", (self,), (("dim", over), ("keepdim", True))) if over else self
    return y.reshape(shape)


@face("linalg")
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers 0, 1, ... of the elements of x along a new last dimension."""
    x = _at_least(x, 1)
    n = x.shape[-1] if N is None else N
    if N is not None and N <= 1:
        raise RuntimeError("N must be greater than 1.")
    from ..creation import ones_like

    if x.dtype.kind in "biu":
        x = x.long()
    columns = [ones_like(x)]
    for _ in range(n - 1):
        columns.append(columns[-1] * x)
    return stack(columns, -1)


@face("torch", name="vander")
def _torch_vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of a vector as columns."""
    y = vander(x, N=N)
    return y if increasing else flip(y, (-1,))


@face("torch method")
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Positions in a flat tensor as coordinates in one of that shape."""
    sizes = [shape] if isinstance(shape, int) else [int(n) for n in shape]
    if indices.dtype.kind not in "iu":
        raise ValueError(f"expected 'indices' to be an integer dtype, but got {indices.dtype}")
    out = []
    for n in reversed(sizes):
        out.append(indices % n)
        indices = indices.div(n, rounding_mode="floor")
    return tuple(reversed(out))


# -- views in place ------------------------------------------------------------------------------
def _view_in_place(name: str) -> None:
    def fn(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check(self)
        self._spec = getattr(self, name)(*args, **kwargs)._spec
        return self

    fn.__name__ = fn.__qualname__ = name + "_"
    fn.__doc__ = f"`{name}`: the tensor itself changes its shape, its memory stays."
    list_as(fn, "method", fn.__name__)


for _name in ("unsqueeze", "squeeze", "t", "transpose", "swapaxes", "swapdims", "as_strided"):
    _view_in_place(_name)
