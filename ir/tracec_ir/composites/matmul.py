"""Products of matrices: matmul in every rank, linear, addmm and its family, contractions."""

from __future__ import annotations

from .. import dims
from ..builder import Builder
from ..core import Value
from ..dims import same
from ..optable import composite
from ..promote import broadcast_shapes, c_type
from .common import axis, iota_along, same_shape, shape_text, spelled, unsqueeze, where
from .samples import each, of


def _check_types(x: Value, y: Value, name: str = "") -> None:
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {c_type(x.dtype)} != "
            f"{c_type(y.dtype)}"
        )
    if x.dtype.kind == "b":
        raise NotImplementedError("\"addmm_impl_cpu_\" not implemented for 'Bool'")


def _shapes_error(x: Value, y: Value) -> RuntimeError:
    a, c = x.shape, y.shape
    rows = dims.product(a[:-1])
    return RuntimeError(
        f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a[-1]} and "
        f"{c[0]}x{c[1] if len(c) > 1 else 1})"
    )


def product(b: Builder, x: Value, y: Value) -> Value:
    """x[.., K] @ y[K, N] with the leading dimensions of x folded into rows."""
    if x.rank == 2:
        return b.emit1("dot", x, y)
    rows = dims.product(x.shape[:-1])
    flat = b.reshape(x, (rows, x.shape[-1]))
    return b.reshape(b.emit1("dot", flat, y), (*x.shape[:-1], y.shape[1]))


@composite(
    autocast="half", samples=each(of("f3x4", "f4x2"), of("f4", "f4"), of("f2x1x3x4", "f2x4x2"))
)
def matmul(b, x, y):
    """The matrix product as `@`: vectors, matrices and stacks of matrices."""
    if x.rank == 0 or y.rank == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {x.rank}D and {y.rank}D"
        )
    _check_types(x, y)
    if x.rank == 1 and y.rank == 1:
        if not same(x.shape[0], y.shape[0]):
            raise RuntimeError(
                f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] "
                "to have the "
                f"same number of elements, but got {x.shape[0]} and {y.shape[0]} elements "
                "respectively"
            )
        return b.reduce(b.mul(x, y), "sum", (0,))
    if y.rank == 1:
        if not same(x.shape[-1], y.shape[0]):
            if x.rank == 2:
                raise RuntimeError(
                    f"size mismatch, got input ({x.shape[0]}), mat ({x.shape[0]}x{x.shape[1]}), "
                    f"vec ({y.shape[0]})"
                )
            raise _shapes_error(x, y)
        return b.reshape(product(b, x, b.reshape(y, (y.shape[0], 1))), x.shape[:-1])
    if x.rank == 1:
        if not same(x.shape[0], y.shape[-2]):
            raise (
                RuntimeError(
                    f"mat1 and mat2 shapes cannot be multiplied (1x{x.shape[0]} and "
                    f"{y.shape[-2]}x{y.shape[-1]})"
                )
                if y.rank == 2
                else _batch_error(b, b.reshape(x, (1, x.shape[0])), y)
            )
        row = b.matmul(b.reshape(x, (1, x.shape[0])), y)
        return b.reshape(row, (*row.shape[:-2], row.shape[-1]))
    if not same(x.shape[-1], y.shape[-2]):
        raise _shapes_error(x, y) if y.rank == 2 else _batch_error(b, x, y)
    if y.rank == 2:
        return product(b, x, y)
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x = b.broadcast_to(x, (*batch, *x.shape[-2:]))
    y = b.broadcast_to(y, (*batch, *y.shape[-2:]))
    return b.emit1("dot", x, y)


def _batch_error(b: Builder, x: Value, y: Value) -> RuntimeError:
    batch = dims.product(broadcast_shapes(x.shape[:-2], y.shape[:-2]))
    return RuntimeError(
        f"Expected size for first two dimensions of batch2 tensor to be: [{batch}, {x.shape[-1]}] "
        "but got: "
        f"[{batch}, {y.shape[-2]}]."
    )


@composite(autocast="half", samples=of("f3x4", "f4x2"))
def mm(b, x, y):
    """The product of two matrices."""
    if x.rank != 2:
        raise RuntimeError("self must be a matrix")
    if y.rank != 2:
        raise RuntimeError("mat2 must be a matrix")
    _check_types(x, y)
    if not same(x.shape[1], y.shape[0]):
        raise _shapes_error(x, y)
    return b.emit1("dot", x, y)


@composite(samples=of("f3x4", "f4"))
def mv(b, x, y):
    """The product of a matrix and a vector."""
    if x.rank != 2 or y.rank != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got 1, {x.rank}, {y.rank}")
    return b.matmul(x, y)


@composite(autocast="half", samples=of("f2x3x4", "f2x4x2"))
def bmm(b, x, y):
    """The products of two equally long stacks of matrices."""
    if x.rank != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if y.rank != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    _check_types(x, y)
    if not same(x.shape[0], y.shape[0]) or not same(x.shape[2], y.shape[1]):
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{x.shape[0]}, "
            f"{x.shape[2]}] but "
            f"got: [{y.shape[0]}, {y.shape[1]}]."
        )
    return b.emit1("dot", x, y)


@composite("inner_dot", samples=of("f4", "f4"))
def inner_dot(b, x, y):
    """The sum of the products of two vectors (torch.dot)."""
    if x.rank != 1 or y.rank != 1:
        raise RuntimeError(f"1D tensors expected, but got {x.rank}D and {y.rank}D tensors")
    if x.dtype is not y.dtype:
        raise RuntimeError(
            "dot : expected both vectors to have same dtype, but found "
            f"{spelled(x.dtype)} and {spelled(y.dtype)}"
        )
    if not same(x.shape[0], y.shape[0]):
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.shape[0]}] and src [{y.shape[0]}] to "
            "have the same "
            f"number of elements, but got {x.shape[0]} and {y.shape[0]} elements respectively"
        )
    return b.reduce(b.mul(x, y), "sum", (0,))


@composite(autocast="half", samples=of("f2x3x4", "f5x4", "f5"))
def linear(b, x, weight, bias=None):
    """x @ weight.T + bias."""
    if x.rank == 0 or weight.rank not in (1, 2):
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {x.rank}D and "
            f"{weight.rank}D"
        )
    if x.dtype is not weight.dtype:
        raise RuntimeError(
            f"mat1 and mat2 must have the same dtype, but got {spelled(x.dtype)} and "
            f"{spelled(weight.dtype)}"
        )
    if weight.rank == 1:
        y = b.matmul(x, weight)
        return y if bias is None else b.add(y, bias)
    if not same(x.shape[-1], weight.shape[1]):
        rows = dims.product(x.shape[:-1])
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.shape[-1]} and "
            f"{weight.shape[1]}x{weight.shape[0]})"
        )
    if x.rank == 1:
        row = product(b, b.reshape(x, (1, x.shape[0])), b.permute(weight, (1, 0)))
        y = b.reshape(row, (weight.shape[0],))
    else:
        y = product(b, x, b.permute(weight, (1, 0)))
    if bias is None:
        return y
    if bias.dtype is not y.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {spelled(bias.dtype)} and "
            f"{spelled(y.dtype)}"
        )
    return b.add(y, bias)


def _scaled_sum(b: Builder, x: Value, y: Value, beta, alpha) -> Value:
    """beta * x + alpha * y; with beta 0 not even the NaN of x counts."""
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {spelled(x.dtype)} and "
            f"{spelled(y.dtype)}"
        )
    try:
        fits = tuple(broadcast_shapes(x.shape, y.shape)) == tuple(y.shape)
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"The expanded size of the tensor ({y.shape[-1] if y.rank else 1}) must match the "
            "existing size "
            f"({x.shape[-1] if x.rank else 1}) at non-singleton dimension {y.rank - 1}.  "
            f"Target sizes: {shape_text(y.shape)}.  Tensor sizes: {shape_text(x.shape)}"
        )
    if alpha != 1:
        y = b.mul(y, b.const(alpha, y.dtype))
    if beta == 0:
        return b.add(y, b.zeros_like(x)) if not same_shape(x.shape, y.shape) else y
    if beta != 1:
        x = b.mul(x, b.const(beta, x.dtype))
    return b.add(x, y)


@composite(autocast="half", samples=of("f2", "f3x4", "f4x2", beta=0.5, alpha=2))
def addmm(b, x, m1, m2, *, beta=1, alpha=1):
    """beta * x + alpha * (m1 @ m2)."""
    if m1.rank != 2:
        raise RuntimeError(f"mat1 must be a matrix, got {m1.rank}-D tensor")
    if m2.rank != 2:
        raise RuntimeError(f"mat2 must be a matrix, got {m2.rank}-D tensor")
    return _scaled_sum(b, x, b.mm(m1, m2), beta, alpha)


@composite(samples=of("f3", "f3x4", "f4"))
def addmv(b, x, matrix, vector, *, beta=1, alpha=1):
    """beta * x + alpha * (matrix @ vector)."""
    return _scaled_sum(b, x, b.mv(matrix, vector), beta, alpha)


@composite(samples=of("f3x4", "f3", "f4"))
def addr(b, x, v1, v2, *, beta=1, alpha=1):
    """beta * x + alpha * outer(v1, v2)."""
    y = b.outer(v1, v2)
    from ..promote import common

    work = common(x.dtype, y.dtype)
    return _scaled_sum(b, b.cast(x, work), b.cast(y, work), beta, alpha)


@composite(autocast="half", samples=of("f3x2", "f2x3x4", "f2x4x2"))
def baddbmm(b, x, m1, m2, *, beta=1, alpha=1):
    """beta * x + alpha * bmm(m1, m2)."""
    return _scaled_sum(b, x, b.bmm(m1, m2), beta, alpha)


@composite(autocast="half", samples=of("f3x2", "f2x3x4", "f2x4x2"))
def addbmm(b, x, m1, m2, *, beta=1, alpha=1):
    """beta * x + alpha * the sum of the products of the stacks."""
    return _scaled_sum(b, x, b.reduce(b.bmm(m1, m2), "sum", (0,)), beta, alpha)


@composite(samples=of("f3", "f4"))
def outer(b, x, y):
    """Every element of x times every element of y."""
    if x.rank != 1 or y.rank != 1:
        bad = ("self", x) if x.rank != 1 else ("vec2", y)
        raise RuntimeError(f"outer: Expected 1-D argument {bad[0]}, but got {bad[1].rank}-D")
    return b.mul(unsqueeze(b, x, 1), unsqueeze(b, y, 0))


@composite(autocast="half", samples=of("f2x4", "f3x4"))
def inner(b, x, y):
    """The sums of products over the last dimensions."""
    if x.rank == 0 or y.rank == 0:
        return b.mul(x, y)
    if not same(x.shape[-1], y.shape[-1]):
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{shape_text(x.shape)} and {shape_text(y.shape)}"
        )
    return b.tensordot(x, y, dims_self=(x.rank - 1,), dims_other=(y.rank - 1,))


@composite(autocast="half", samples=of("f2x3x4", "f3x2x2", dims_self=(1, 0), dims_other=(0, 1)))
def tensordot(b, x, y, *, dims_self, dims_other):
    """The sum of products over paired dimensions."""
    if len(dims_self) != len(dims_other):
        raise RuntimeError("both dimension lists should have same length")
    _check_types(x, y)
    over_x = [axis(x, d) for d in dims_self]
    over_y = [axis(y, d) for d in dims_other]
    for i, j in zip(list(over_x), list(over_y), strict=True):
        if x.shape[i] == 1 and y.shape[j] != 1:
            y = b.reduce(y, "sum", (j,), True)
        elif y.shape[j] == 1 and x.shape[i] != 1:
            x = b.reduce(x, "sum", (i,), True)
        elif not same(x.shape[i], y.shape[j]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {x.shape[i]} in dim {i} "
                "and second "
                f"has size {y.shape[j]} in dim {j}"
            )
    keep_x = [i for i in range(x.rank) if i not in over_x]
    keep_y = [i for i in range(y.rank) if i not in over_y]
    k = dims.product(x.shape[i] for i in over_x)
    left, right = [x.shape[i] for i in keep_x], [y.shape[i] for i in keep_y]
    rows = b.reshape(b.permute(x, keep_x + over_x), (dims.product(left), k))
    columns = b.reshape(b.permute(y, over_y + keep_y), (k, dims.product(right)))
    return b.reshape(b.emit1("dot", rows, columns), (*left, *right))


@composite(samples=of("f2x3", "f3x2"))
def kron(b, x, y):
    """The Kronecker product."""
    rank = max(x.rank, y.rank)
    xs = (1,) * (rank - x.rank) + tuple(x.shape)
    ys = (1,) * (rank - y.rank) + tuple(y.shape)
    left = b.reshape(x, [d for n in xs for d in (n, 1)])
    right = b.reshape(y, [d for n in ys for d in (1, n)])
    return b.reshape(b.mul(left, right), [m * n for m, n in zip(xs, ys, strict=True)])


@composite(samples=of("f2x3", "f2x4", "f2x3x4", "f2"))
def bilinear(b, x1, x2, weight, bias=None):
    """y[.., o] = x1[.., i] weight[o, i, j] x2[.., j] + bias[o]."""
    lead = x1.shape[:-1]
    rows = dims.product(lead)
    left, right = b.reshape(x1, (rows, x1.shape[-1])), b.reshape(x2, (rows, x2.shape[-1]))
    out, i, j = weight.shape
    partial = product(b, left, b.reshape(b.permute(weight, (1, 0, 2)), (i, out * j)))
    partial = b.reshape(partial, (rows, out, j))
    y = b.reduce(b.mul(partial, b.reshape(right, (rows, 1, j))), "sum", (2,))
    y = b.reshape(y, (*lead, out))
    return y if bias is None else b.add(y, bias)


@composite(samples=of("f2x3", "f2x3"))
def cross(b, x, y, *, dim=-1):
    """The cross product of 3-vectors along `dim`."""
    from .common import take as part

    if x.rank != y.rank:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    ax = axis(x, dim)
    if not dims.same(x.shape[ax], 3) or not dims.same(y.shape[ax], 3):
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {x.shape[ax]} and "
            f"{y.shape[ax]}"
        )
    shape = broadcast_shapes(x.shape, y.shape)
    x, y = b.broadcast_to(x, shape), b.broadcast_to(y, shape)
    u, v = ([part(b, t, ax, i, i + 1) for i in range(3)] for t in (x, y))
    parts = [b.sub(b.mul(u[i], v[j]), b.mul(u[j], v[i])) for i, j in ((1, 2), (2, 0), (0, 1))]
    return b.emit1("concat", *parts, axis=ax)


def _cdist_vjp(b, op, g):
    x, y = op.operands
    p, d = op.attrs["p"], op.results[0]
    diff = b.sub(unsqueeze(b, x, x.rank - 1), unsqueeze(b, y, y.rank - 2))
    g, d = unsqueeze(b, g, g.rank), unsqueeze(b, d, d.rank)
    size = b.abs(diff)
    if p == 1:
        part = b.mul(b.sign(diff), g)
    elif p == 2:
        part = where(b, b.eq(d, 0.0), 0.0, b.div(b.mul(diff, g), d))
    elif p == float("inf"):
        part = b.mul(b.mul(b.sign(diff), b.cast(b.eq(size, d), g.dtype)), g)
    elif p == 0:
        part = b.mul(diff, 0.0)
    else:
        slope = b.mul(b.sign(diff), b.pow(size, p - 1))
        part = where(b, b.eq(d, 0.0), 0.0, b.mul(slope, b.div(g, b.pow(d, p - 1))))
    if p < 2 and p not in (0, 1):
        part = where(b, b.eq(size, 0.0), 0.0, part)
    dx = b.sum_to(b.reduce(part, "sum", (part.rank - 2,)), x.shape)
    dy = b.sum_to(b.neg(b.reduce(part, "sum", (part.rank - 3,))), y.shape)
    return [dx, dy]


# Written out: the norm's own derivative would keep all differences of the forward pass.
@composite(vjp=_cdist_vjp, autocast="single", samples=of("f3x4", "f2x4"))
def cdist(b, x, y, *, p=2.0):
    """The p-norm distances between the rows of x and those of y."""
    for t, name in ((x, "X1"), (y, "X2")):
        if t.rank < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {t.rank}D")
        if t.dtype.kind != "f":
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {spelled(t.dtype)}"
            )
    if not same(x.shape[-1], y.shape[-1]):
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x.shape[-1]} X2: {y.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    diff = b.sub(unsqueeze(b, x, x.rank - 1), unsqueeze(b, y, y.rank - 2))
    return b.vector_norm(diff, ord=p, dim=(diff.rank - 1,))


@composite(autocast="half", samples=of("f3x3", n=3))
def matrix_power(b, x, *, n):
    """x @ x @ ... n times (n >= 0)."""
    if x.rank < 2 or not same(x.shape[-1], x.shape[-2]):
        raise RuntimeError(
            "linalg.matrix_power: A must be batches of square matrices, but it is of shape "
            f"{shape_text(x.shape)}"
        )
    if n == 0:
        m = x.shape[-1]
        eye = b.cast(
            b.eq(iota_along(b, x.rank, x.rank - 2, m), iota_along(b, x.rank, x.rank - 1, m)),
            x.dtype,
        )
        return b.broadcast_to(eye, x.shape)
    result, square = None, x
    while n:
        if n & 1:
            result = square if result is None else b.emit1("dot", result, square)
        n >>= 1
        if n:
            square = b.emit1("dot", square, square)
    return result
