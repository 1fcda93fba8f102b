"""Reading and writing by index."""

from __future__ import annotations

from typing import Any

from ..record import apply
from ..tensor import Tensor
from .arguments import apart, given, number
from .face import add as list_as
from .face import face


@face()
def gather(
    input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None
) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0.

    `index` (int64) has as many dimensions as `input`, none larger but `dim`: the result has its
    shape. IndexError for positions out of range, when the value is computed.
    """
    if out is not None and out.dtype is not input.dtype:
        raise RuntimeError(
            f"Expected out tensor to have dtype {input.dtype}, but got {out.dtype} instead"
        )
    apart(out, input, index)
    return given(out, apply("gather_along", (input, index), (("dim", dim),)))


@face()
def take_along_dim(
    input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """gather with broadcasting; over the flat tensor without `dim`."""
    return given(out, apply("take_along_dim", (input, indices), (("dim", dim),)))


@face()
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices along `dim` that index names.

    `index` is 1-d, int64 or int32: `dim` gets its length. IndexError for positions out of range,
    when the value is computed.
    """
    apart(out, input, index)
    return given(out, apply("index_select", (input, index), (("dim", dim),)))


@face()
def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements of the flat tensor at index."""
    apart(out, input, index)
    return given(out, apply("take", (input, index)))


@face(inplace=True)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """input with input[index[i][j]][j] = src[i][j] for dim 0.

    `index` (int64) and src have as many dimensions as `input`; elements of src beyond index are not
    used. Of several writes to one place the last in order wins (scatter), they are added
    (scatter_add) or combined by `reduce` ("sum", "prod", "mean", "amax", "amin"), with the old
    value if `include_self`. IndexError for positions out of range, when the value is computed.
    """
    source = src if value is None else value
    return given(
        out,
        apply("scatter_along", (input, index, number(source)), (("dim", dim), ("reduce", reduce))),
    )


@face(inplace=True)
def scatter_add(
    input: Tensor, dim: int, index: Tensor, src: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """input with src[i][j] added at input[index[i][j]][j] (for dim 0).

    `index` (int64) and src have as many dimensions as `input`; elements of src beyond index are not
    used. Of several writes to one place the last in order wins (scatter), they are added
    (scatter_add) or combined by `reduce` ("sum", "prod", "mean", "amax", "amin"), with the old
    value if `include_self`. IndexError for positions out of range, when the value is computed.
    """
    return given(out, apply("scatter_add", (input, index, src), (("dim", dim),)))


@face(inplace=True)
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """input with the elements of src reduced into the places that index names.

    `index` (int64) and src have as many dimensions as `input`; elements of src beyond index are not
    used. Of several writes to one place the last in order wins (scatter), they are added
    (scatter_add) or combined by `reduce` ("sum", "prod", "mean", "amax", "amin"), with the old
    value if `include_self`. IndexError for positions out of range, when the value is computed.
    """
    attrs = (("dim", dim), ("reduce", reduce), ("include_self", include_self))
    return given(out, apply("scatter_reduce", (input, index, src), attrs))


@face(inplace=True)
def index_add(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """input with alpha * source added to the slices that index names.

    `index` is 1-d, as long as `dim` of source; other sizes are equal (RuntimeError or IndexError
    otherwise). One dtype for both.
    """
    return given(out, apply("index_add", (input, index, source), (("dim", dim), ("alpha", alpha))))


@face(inplace=True)
def index_copy(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """input with the slices that index names replaced.

    `index` is 1-d, as long as `dim` of source; other sizes are equal (RuntimeError or IndexError
    otherwise). One dtype for both.
    """
    return given(out, apply("index_copy", (input, index, source), (("dim", dim),)))


@face(inplace=True)
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """input with the slices of source reduced into those that index names.

    `index` is 1-d, as long as `dim` of source; other sizes are equal (RuntimeError or IndexError
    otherwise). One dtype for both.
    """
    attrs = (("dim", dim), ("reduce", reduce), ("include_self", include_self))
    return given(out, apply("index_reduce", (input, index, source), attrs))


@face(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """input with the slices that index names filled."""
    return apply("index_fill", (input, index, number(value)), (("dim", dim),))


@face("method")
def put(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """self with its flat elements at index replaced or increased."""
    return apply("put", (self, index, source), (("accumulate", accumulate),))


list_as(put, "torch", "put")


@face("method")
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`put`, in place."""
    from ..record import assign

    return assign(self, put(self, index, source, accumulate))


@face(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """input with the elements where the mask holds replaced by those of source, in order."""
    return apply("masked_scatter", (input, mask, source))


@face(inplace=True)
def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """input with zeros above the diagonal.

    The last two dimensions are matrices; `diagonal` moves the limit up. A copy in the shape of
    `input`.
    """
    return given(out, apply("tril", (input,), (("diagonal", diagonal),)))


@face(inplace=True)
def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """input with zeros below the diagonal.

    The last two dimensions are matrices; `diagonal` moves the limit up. A copy in the shape of
    `input`.
    """
    return given(out, apply("triu", (input,), (("diagonal", diagonal),)))


@face()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension of input on a diagonal."""
    return apply("diag_embed", (input,), (("offset", offset), ("dim1", dim1), ("dim2", dim2)))


@face()
def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if input.dim() == 1:
        return given(out, diag_embed(input, diagonal))
    if input.dim() != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.dim()}D")
    return given(out, input.diagonal(diagonal).clone())


@face()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the elements of input on a diagonal."""
    return diag_embed(input.reshape(-1), offset)


@face()
def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    return apply("trace", (input,))


def _triangle_indices(name: str, lower: bool):
    def fn(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: Any = None,
        device: Any = None,
        layout: Any = None,
    ) -> Tensor:
        import numpy as np

        from tracec_ir.dtypes import i64

        from ..creation import _of_array

        places = (
            np.tri(row, col, offset, dtype=bool)
            if lower
            else ~np.tri(row, col, offset - 1, dtype=bool)
        )
        return _of_array(np.stack(np.nonzero(places)).astype((dtype or i64).numpy))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "The row and column indices of a triangle."
    list_as(fn, "torch", name)
    return fn


tril_indices = _triangle_indices("tril_indices", True)
triu_indices = _triangle_indices("triu_indices", False)


@face("torch")
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Where the elements of input belong in sorted rows.

    The first place that keeps the rows sorted, with `right` the last one: int64, or int32 with
    `out_int32`, in the shape of the values.
    """
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(
                f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
            )
        if right and side == "left":
            raise RuntimeError(
                "torch.searchsorted(): side and right can't be set to opposites, got side of "
                "left while right was True"
            )
        right = right or side == "right"
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    if not isinstance(input, Tensor):
        from ..creation import tensor

        input = tensor(input)
        if sorted_sequence.dim() != 1:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
                "dimension is 1"
            )
    return given(
        out,
        apply(
            "searchsorted", (sorted_sequence, input), (("right", right), ("out_int32", out_int32))
        ),
    )


@face("torch")
def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """The bucket of each element between sorted boundaries.

    The first place that keeps the rows sorted, with `right` the last one: int64, or int32 with
    `out_int32`, in the shape of the values.
    """
    if boundaries.dim() != 1:
        raise RuntimeError(
            f"boundaries tensor must be 1 dimension, but got dim({boundaries.dim()})"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


@face("torch")
def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Whether each element occurs among the test elements."""
    from ..creation import tensor

    pair = [x if isinstance(x, Tensor) else tensor(x) for x in (elements, test_elements)]
    return given(out, apply("isin", tuple(pair), (("invert", invert),)))


# -- copies with a part replaced ------------------------------------------------------------------
def _replaced(input: Tensor, src: Tensor, view: Any, *args: Any) -> Tensor:
    """A copy of input with `view(copy)` written."""
    from ..record import assign

    out = input.clone()
    part = view(out, *args)
    if tuple(part.shape) != tuple(src.shape):
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(part.shape)}"
        )
    assign(part, src)
    return out


@face()
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """input with the slice number `index` along `dim` replaced."""
    return _replaced(input, src, type(input).select, dim, index)


@face()
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """input with input[start:end:step] along `dim` replaced."""
    place = (slice(None),) * (dim % input.dim()) + (slice(start, end, step),)
    return given(out, _replaced(input, src, lambda x: x[place]))


@face()
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """input with a diagonal replaced."""
    return _replaced(input, src, type(input).diagonal, offset, dim1, dim2)


@face()
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """input with the elements that as_strided names replaced."""
    return _replaced(input, src, type(input).as_strided, size, stride, storage_offset)


@face("method", name="fill_diagonal_")
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """One value written on the main diagonal."""
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if wrap and self.dim() == 2 and self.shape[0] > self.shape[1]:
        raise NotImplementedError("fill_diagonal_(wrap=True) of a tall matrix")
    n = min(self.shape)
    view = self.as_strided((n,), (sum(self.stride()),), self.storage_offset())
    view.fill_(fill_value)
    return self
