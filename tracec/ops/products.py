"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

from ..parameter_names import renamed
from ..record import apply, binary
from ..tensor import Tensor
from .arguments import given, plain
from .face import add as list_as
from .face import face


@face()
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The matrix product.

    Vectors: their dot product. Matrices (n x m) and (m x p): (n x p). A vector on the left counts
    as a row, on the right as a column, and loses that dimension again. More dimensions are stacks,
    which broadcast. Operands have one dtype (RuntimeError otherwise, and for sizes that do not
    fit); 16-bit floats are added up in float32.
    """
    return given(out, binary("matmul", input, other))


list_as(matmul, "linalg", "matmul")
for _name, _op, _second in (
    ("mm", "mm", "mat2"),
    ("bmm", "bmm", "mat2"),
    ("mv", "mv", "vec"),
    ("dot", "inner_dot", "tensor"),
    ("outer", "outer", "vec2"),
    ("inner", "inner", "other"),
    ("kron", "kron", "other"),
):

    def _product(
        input: Tensor, other: Tensor, *, out: Tensor | None = None, _op: str = _op
    ) -> Tensor:
        return given(out, binary(_op, input, other))

    _product = renamed(_product, other=_second)
    _product.__name__ = _product.__qualname__ = _name
    _product.__doc__ = f"The op `{_op}`."
    list_as(_product, "torch method", _name, ("ger",) if _name == "outer" else ())
    globals()[_name] = _product


@face()
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The dot product, the first operand conjugated."""
    return given(out, binary("inner_dot", input.conj(), other))


@face("functional")
def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None
) -> Tensor:
    """input @ weight.T + bias.

    input (*, in), weight (out, in) or (in), bias (out): the result is (*, out). One dtype for all,
    RuntimeError otherwise and for sizes that do not fit.
    """
    r = apply("linear", (input, weight) if bias is None else (input, weight, bias))
    return r if out is None else given(out, r)


@face("functional")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1 @ weight @ input2 for each output feature, plus bias.

    input1 (*, n), input2 (*, m), weight (out, n, m), bias (out): the result is (*, out).
    """
    return apply(
        "bilinear", (input1, input2, weight) if bias is None else (input1, input2, weight, bias)
    )


def _added(name: str, first: str, second: str):
    def fn(
        input: Tensor,
        a: Tensor,
        b: Tensor,
        *,
        beta: Any = 1,
        alpha: Any = 1,
        out: Tensor | None = None,
    ) -> Tensor:
        return given(
            out, apply(name, (input, a, b), (("beta", plain(beta)), ("alpha", plain(alpha))))
        )

    fn = renamed(fn, a=first, b=second)
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "beta * input + alpha * a product."
    list_as(fn, "torch method", name, (), True)
    return fn


addmm = _added("addmm", "mat1", "mat2")
addmv = _added("addmv", "mat", "vec")
addr = _added("addr", "vec1", "vec2")
baddbmm = _added("baddbmm", "batch1", "batch2")
addbmm = _added("addbmm", "batch1", "batch2")


def _of_sublists(arguments: tuple) -> tuple[str, tuple]:
    """The equation and the operands of `einsum(x, [0, 1], y, [1, 2], [0, 2])`."""

    def letter(n: Any) -> str:
        if n is Ellipsis:
            return "..."
        if not 0 <= n < 52:
            raise ValueError(
                "einsum(): subscript in subscript list is not within the valid range [0, 52)"
            )
        return chr(ord("A") + n if n < 26 else ord("a") + n - 26)

    pairs = len(arguments) // 2
    equation = ",".join("".join(map(letter, arguments[2 * i + 1])) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + "".join(map(letter, arguments[-1]))
    return equation, arguments[: 2 * pairs : 2]


@face("torch")
def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products written with a letter per dimension.

    "ij,jk->ik": letters name dimensions, those missing on the right are summed over, repeated ones
    in an operand are its diagonal, `...` stands for broadcast dimensions. Without `->` the letters
    that occur once, in alphabetical order. Three and more operands are multiplied in the order that
    takes the fewest operations. `einsum(x, [0, 1], y, [1, 2], [0, 2])` names dimensions by numbers.
    RuntimeError for equations that do not fit the operands.
    """
    if not isinstance(equation, str):
        equation, operands = _of_sublists((equation, *operands))
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least "
            "one operand and its subscripts list"
        )
    return apply("einsum", tuple(operands), (("equation", equation),))


@face("torch")
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """The sum of products over the last dims of a and the first of b, or over paired lists.

    `dims` is a number, or a pair of equally long lists; the result has the other dimensions of a,
    then those of b. RuntimeError for sizes that differ.
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        first, second = tuple(range(a.dim() - dims, a.dim())), tuple(range(dims))
    else:
        first, second = ((d,) if isinstance(d, int) else tuple(d) for d in dims)
    return given(out, apply("tensordot", (a, b), (("dims_self", first), ("dims_other", second))))


@face("torch")
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    """The p-norm distances between the rows of x1 and those of x2.

    x1 (..., P, M) and x2 (..., R, M) give (..., P, R); leading dimensions broadcast. p >= 0 may be
    infinite. RuntimeError for unequal M or integers.
    """
    return apply("cdist", (x1, x2), (("p", float(p)),))


@face()
def cross(
    input: Tensor, other: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The cross product of 3-vectors.

    Shapes broadcast; `dim` has size 3 (RuntimeError otherwise).
    """
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return given(out, apply("cross", (input, other), (("dim", dim),)))


@face("linalg", name="cross")
def _linalg_cross(
    input: Tensor, other: Tensor, *, dim: int = -1, out: Tensor | None = None
) -> Tensor:
    """The cross product of 3-vectors along `dim`."""
    return given(out, apply("cross", (input, other), (("dim", dim),)))


@face("linalg")
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """The dot products along a dimension."""
    return given(out, (x.conj() * y).sum(dim))


@face("linalg torch method")
def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """input @ input @ ... n times; of the inverse for a negative n.

    Square matrices (..., n, n); by repeated squaring. RuntimeError if they are not square, or
    singular and n negative.
    """
    if n < 0:
        input, n = apply("linalg_inv", (input,)), -n
    return given(out, apply("matrix_power", (input,), (("n", n),)))


@face("linalg")
def multi_dot(tensors: Any, *, out: Tensor | None = None) -> Tensor:
    """The product of matrices, associated so that it is cheap.

    The order of products minimises the number of multiplications by dynamic programming (Cormen et
    al., Introduction to Algorithms); first and last may be vectors. RuntimeError for sizes that do
    not fit.
    """
    parts = list(tensors)
    if len(parts) < 2:
        raise RuntimeError("multi_dot(): expected at least 2 tensors but got " + str(len(parts)))
    first_row, last_column = parts[0].dim() == 1, parts[-1].dim() == 1
    if first_row:
        parts[0] = parts[0].unsqueeze(0)
    if last_column:
        parts[-1] = parts[-1].unsqueeze(1)
    result = _chain(
        parts, 0, len(parts) - 1, _splits([p.shape[0] for p in parts] + [parts[-1].shape[1]])
    )
    if first_row:
        result = result.squeeze(0)
    return given(out, result.squeeze(-1) if last_column else result)


def _splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each run of matrices for the fewest multiplications."""
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    split = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            best = min(
                range(i, j),
                key=lambda k: cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1],
            )
            split[i, j] = best
            cost[i, j] = (
                cost[i, best] + cost[best + 1, j] + sizes[i] * sizes[best + 1] * sizes[j + 1]
            )
    return split


def _chain(parts: list, i: int, j: int, split: dict) -> Tensor:
    if i == j:
        return parts[i]
    k = split[i, j]
    return binary("matmul", _chain(parts, i, k, split), _chain(parts, k + 1, j, split))


def _matmul_operator(self: Tensor, other: Any) -> Any:
    """`self @ other`."""
    return binary("matmul", self, other) if isinstance(other, Tensor) else NotImplemented


def _rmatmul_operator(self: Tensor, other: Any) -> Any:
    """`other @ self`."""
    return binary("matmul", other, self) if isinstance(other, Tensor) else NotImplemented


list_as(_matmul_operator, "method", "__matmul__")
list_as(_rmatmul_operator, "method", "__rmatmul__")
