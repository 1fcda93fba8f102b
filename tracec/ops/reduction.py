"""Reductions, norms, statistics, cumulative functions and sorting."""

from __future__ import annotations

import builtins
from typing import Any

from tracec_ir import promote

from ..record import apply, apply_multi, unary
from ..tensor import Tensor
from . import returns
from .arguments import all_given, apart, dims, given, mixed, need_tensor, plain
from .face import add as list_as
from .face import face

_MISSING = object()


def _reduction(name: str, doc: str, aliases: tuple = ()):
    def fn(
        input: Tensor,
        dim: Any = None,
        keepdim: builtins.bool = False,
        *,
        dtype: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        if dim is None and dtype is None and not keepdim:
            r = unary(name, input)
        else:
            r = apply(name, (input,), (("dim", dims(dim)), ("keepdim", keepdim), ("dtype", dtype)))
        return r if out is None else given(out, r)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    list_as(fn, "torch method", name, aliases)
    return fn


sum = _reduction("sum", "The sum over dimensions.")
mean = _reduction("mean", "The mean over dimensions.")
nansum = _reduction("nansum", "The sum with NaN counted as zero.")
nanmean = _reduction("nanmean", "The mean of what is not NaN.")
prod = _reduction("prod", "The product over one dimension, or of everything.")


def _extreme(name: str, doc: str):
    def fn(
        input: Tensor, dim: Any = (), keepdim: builtins.bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        r = apply(name, (input,), (("dim", dims(dim)), ("keepdim", keepdim)))
        if out is not None and out.dtype is not input.dtype:
            raise RuntimeError(
                "Expected the dtype for input and out to match, but got "
                f"{promote._spelled(input.dtype)} for input's dtype and "
                f"{promote._spelled(out.dtype)} for out's dtype."
            )
        return given(out, r)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    list_as(fn, "torch method", name)
    return fn


amax = _extreme("amax", "The largest elements over dimensions.")
amin = _extreme("amin", "The smallest elements over dimensions.")


def _max_like(name: str, pointwise: str):
    whole, along = name + "_all", name + "_dim"
    kind = returns.max_ if name == "max" else returns.min_

    def fn(
        input: Tensor,
        dim: Any = None,
        keepdim: builtins.bool = False,
        *,
        other: Any = None,
        out: Any = None,
    ) -> Any:
        if other is not None or isinstance(dim, Tensor):
            need_tensor(input, name)
            need_tensor(dim if other is None else other, name, "other", 2)
            return given(out, apply(pointwise, (input, dim if other is None else other)))
        if not isinstance(input, Tensor):
            mixed(name, input, dim)
        if dim is None:
            return given(out, unary(whole, input))
        pair = kind(*apply_multi(along, (input,), (("dim", dim), ("keepdim", keepdim))))
        return all_given(out, pair)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = (
        f"The {name}imum: of everything, along a dimension with indices, or of two tensors."
    )
    list_as(fn, "torch method", name)
    return fn


max = _max_like("max", "maximum")
min = _max_like("min", "minimum")


@face()
def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: builtins.bool = False, out: Any = None
) -> Any:
    """The smallest and the largest element."""
    d = None if dim is None else dim
    if input.numel() == 0 and dim is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    for o in out or ():
        if o.dtype is not input.dtype:
            spelled = (str(t.dtype).removeprefix("torch.").replace("float64", "double")
                       .replace("float32", "float") for t in (input, o))  # fmt: skip
            raise RuntimeError(
                "Expected out tensor to have dtype {}, but got {} instead".format(*spelled)
            )
    pair = returns.aminmax(
        amin(input, () if d is None else d, keepdim), amax(input, () if d is None else d, keepdim)
    )
    return all_given(out, pair)


def _position(name: str):
    def fn(
        input: Tensor,
        dim: int | None = None,
        keepdim: builtins.bool = False,
        *,
        out: Tensor | None = None,
    ) -> Tensor:
        if dim is None and not keepdim:
            return given(out, unary(name, input))
        return given(out, apply(name, (input,), (("dim", dim), ("keepdim", keepdim))))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Where the {name[3:]}imum is."
    list_as(fn, "torch method", name)
    return fn


argmax = _position("argmax")
argmin = _position("argmin")


def _quantifier(name: str):
    def fn(
        input: Tensor, dim: Any = None, keepdim: builtins.bool = False, *, out: Tensor | None = None
    ) -> Tensor:
        if dim is None and not keepdim:
            return given(out, unary(name, input))
        return given(out, apply(name, (input,), (("dim", dims(dim)), ("keepdim", keepdim))))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Whether {name} of the elements are true."
    list_as(fn, "torch method", name)
    return fn


all = _quantifier("all")
any = _quantifier("any")


@face()
def count_nonzero(input: Tensor, dim: object = None) -> Tensor:
    """How many elements are not zero.

    int64, over `dim`, a number or several (None: all).
    """
    return apply("count_nonzero", (input,), (("dim", dims(dim)),))


# -- variance -------------------------------------------------------------------------------------
def _spread(name: str, doc: str):
    multi = name.endswith("_mean")

    def fn(
        input: Tensor,
        dim: object = None,
        unbiased: builtins.bool | None = None,
        keepdim: builtins.bool = False,
        *,
        correction: object = _MISSING,
        out: Tensor | None = None,
    ) -> object:
        if isinstance(dim, builtins.bool):  # var(x, unbiased)
            dim, unbiased = None, dim
        if correction is _MISSING or correction is None:
            correction = 1 if unbiased is None else int(unbiased)
        attrs = (("dim", dims(dim)), ("correction", correction), ("keepdim", keepdim))
        r = apply(name, (input,), attrs)
        return r if multi or out is None else given(out, r)

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = doc
    list_as(fn, "torch" if multi else "torch method", name)
    return fn


var = _spread("var", "The variance over dimensions.")
std = _spread("std", "The standard deviation over dimensions.")
var_mean = _spread("var_mean", "The variance and the mean over dimensions.")
std_mean = _spread("std_mean", "The standard deviation and the mean over dimensions.")


@face("torch method special")
def logsumexp(
    input: Tensor, dim: object, keepdim: builtins.bool = False, *, out: Tensor | None = None
) -> Tensor:
    """log(sum(exp(x))) over dimensions.

    m + log(sum(exp(x - m))) with the maximum m, so that nothing overflows; over `dim`, a number or
    several, which vanish without `keepdim`. Integers become the default floating dtype.
    """
    return given(out, apply("logsumexp", (input,), (("dim", dims(dim)), ("keepdim", keepdim))))


@face()
def norm(
    input: Tensor,
    p: object = "fro",
    dim: object = None,
    keepdim: builtins.bool = False,
    out: Tensor | None = None,
    dtype: object = None,
) -> Tensor:
    """The p-norm over dimensions.

    p is a number (2 by default), inf, -inf, "fro" or "nuc" (matrices); over all elements unless
    `dim` says. Floating and complex tensors, real result; `dtype` casts first.
    """
    if p == "nuc":
        attrs = (("ord", p), ("dim", (-2, -1) if dim is None else dims(dim)), ("keepdim", keepdim))
        return given(
            out, apply("matrix_norm", (input if dtype is None else input.to(dtype),), attrs)
        )
    order = 2.0 if p in ("fro", None) else float(plain(p))
    attrs = (("ord", order), ("dim", dims(dim)), ("keepdim", keepdim), ("dtype", dtype))
    return given(out, apply("vector_norm", (input,), attrs))


@face("linalg")
def vector_norm(
    x: Tensor,
    ord: object = 2,
    dim: object = None,
    keepdim: builtins.bool = False,
    *,
    dtype: object = None,
    out: Tensor | None = None,
) -> Tensor:
    """The norm of the elements over dimensions as vectors.

    (sum |x| ** ord) ** (1 / ord) over `dim` (None: all), the number of nonzeros for ord 0, the
    largest or smallest magnitude for inf and -inf. Floating and complex tensors (RuntimeError
    otherwise), real result; at 0 the gradient is 0.
    """
    attrs = (("ord", float(plain(ord))), ("dim", dims(dim)), ("keepdim", keepdim), ("dtype", dtype))
    return given(out, apply("vector_norm", (x,), attrs))


@face()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of input - other.

    A tensor without dimensions; shapes broadcast. p may be infinite.
    """
    return apply("dist", (input, other), (("p", float(p)),))


@face(inplace=True)
def renorm(
    input: Tensor, p: float, dim: int, maxnorm: float, *, out: Tensor | None = None
) -> Tensor:
    """input with the slices along `dim` scaled down to p-norm at most maxnorm."""
    attrs = (("p", float(p)), ("dim", dim), ("maxnorm", float(maxnorm)))
    return given(out, apply("renorm", (input,), attrs))


# -- order ----------------------------------------------------------------------------------------
@face()
def sort(
    input: Tensor,
    dim: int = -1,
    descending: builtins.bool = False,
    *,
    stable: object = None,
    out: Any = None,
) -> object:
    """input in order along `dim`, and the indices.

    (values, indices) in the shape of `input`, indices int64; NaN counts as largest, equal elements
    keep their order.
    """
    attrs = (("dim", dim), ("descending", builtins.bool(descending)))
    return all_given(out, returns.sort(*apply_multi("sort_dim", (input,), attrs)))


@face()
def argsort(
    input: Tensor, dim: int = -1, descending: builtins.bool = False, *, stable: object = None
) -> Tensor:
    """The indices that put input in order along `dim`.

    int64 in the shape of `input`; NaN counts as largest, equal elements keep their order.
    """
    return apply("argsort", (input,), (("dim", dim), ("descending", builtins.bool(descending))))


@face()
def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """input in order along its first dimension."""
    return given(out, sort(input, 0)[0])


@face()
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: builtins.bool = True,
    sorted: builtins.bool = True,
    *,
    out: Any = None,
) -> object:
    """The k largest or smallest elements along `dim`, and their indices.

    (values, indices): `dim` has size k, sorted; the indices are int64. RuntimeError if k is out of
    range.
    """
    attrs = (("k", int(k)), ("dim", dim), ("largest", builtins.bool(largest)))
    return all_given(out, returns.topk(*apply_multi("topk", (input,), attrs)))


@face()
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: builtins.bool = False, *, out: Any = None
) -> object:
    """The k-th smallest element along `dim`, and its index.

    (values, indices) without `dim` (size 1 with `keepdim`); k counts from 1. RuntimeError if k is
    out of range, IndexError for a wrong dimension.
    """
    for o in out or ():
        apart(o, input)
    attrs = (("k", int(k)), ("dim", dim), ("keepdim", keepdim))
    return all_given(out, returns.kthvalue(*apply_multi("kthvalue", (input,), attrs)))


@face()
def mode(
    input: Tensor, dim: int = -1, keepdim: builtins.bool = False, *, out: Any = None
) -> object:
    """The most frequent value along `dim`, and an index of it.

    (values, indices) without `dim` (size 1 with `keepdim`); of equally frequent values the
    smallest, of its places the last.
    """
    attrs = (("dim", dim), ("keepdim", keepdim))
    return all_given(out, returns.mode(*apply_multi("mode", (input,), attrs)))


def _median_like(name: str):
    kind = getattr(returns, name)

    def fn(
        input: Tensor, dim: int | None = None, keepdim: builtins.bool = False, *, out: Any = None
    ) -> object:
        if dim is None:
            return given(out, unary(name, input))
        attrs = (("dim", dim), ("keepdim", keepdim))
        return all_given(out, kind(*apply_multi(name + "_dim", (input,), attrs)))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The {name} of everything, or along a dimension with indices."
    list_as(fn, "torch method", name)
    return fn


median = _median_like("median")
nanmedian = _median_like("nanmedian")


def _quantile_like(name: str, ignore_nan: builtins.bool):
    def fn(
        input: Tensor,
        q: object,
        dim: int | None = None,
        keepdim: builtins.bool = False,
        *,
        interpolation: str = "linear",
        out: Tensor | None = None,
    ) -> Tensor:
        if not isinstance(q, Tensor):
            from ..creation import tensor

            if not 0 <= float(q) <= 1:
                raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {float(q)}")
            q = tensor(float(q), dtype=input.dtype)
        elif q.dtype is not input.dtype:
            raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
        attrs = (
            ("dim", dim),
            ("keepdim", keepdim),
            ("interpolation", interpolation),
            ("ignore_nan", ignore_nan),
        )
        return given(out, apply("quantile", (input, q), attrs))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The {name}s along a dimension."
    list_as(fn, "torch method", name)
    return fn


quantile = _quantile_like("quantile", False)
nanquantile = _quantile_like("nanquantile", True)


# -- running --------------------------------------------------------------------------------------
def _running(name: str):
    def fn(input: Tensor, dim: int, *, dtype: object = None, out: Tensor | None = None) -> Tensor:
        return given(out, apply(name, (input,), (("dim", dim), ("dtype", dtype))))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The {name} along a dimension."
    list_as(fn, "torch method", name, (), True)
    return fn


cumsum = _running("cumsum")
cumprod = _running("cumprod")


@face()
def cummax(input: Tensor, dim: int, *, out: Any = None) -> object:
    """The largest element so far along `dim`, and its index."""
    return all_given(out, returns.cummax(*apply_multi("cummax", (input,), (("dim", dim),))))


@face()
def cummin(input: Tensor, dim: int, *, out: Any = None) -> object:
    """The smallest element so far along `dim`, and its index."""
    return all_given(out, returns.cummin(*apply_multi("cummin", (input,), (("dim", dim),))))


@face()
def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Tensor:
    """log(cumsum(exp(x))) along `dim`.

    In the shape of `input`, without overflow. IndexError if there is no such dimension.
    """
    return given(out, apply("logcumsumexp", (input,), (("dim", dim),)))


@face()
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Differences of neighbours along `dim`, n times; with n = 0 the input itself.

    Each time the size of `dim` falls by one; `prepend` and `append` are joined first. Bool tensors
    give the exclusive or.
    """
    if n == 0:
        return given(out, input.clone())
    if prepend is not None or append is not None:
        parts = tuple(t for t in (prepend, input, append) if t is not None)
        input = apply("cat", parts, (("dim", dim),))
    return given(out, apply("diff", (input,), (("n", n), ("dim", dim))))


def _integral(name: str):
    def fn(y: Tensor, x: Tensor | None = None, *, dx: object = None, dim: int = -1) -> Tensor:
        operands = (y,) if x is None else (y, x)
        return apply(name, operands, (("dx", 1.0 if dx is None else plain(dx)), ("dim", dim)))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = "The integral along a dimension by the trapezoid rule."
    return fn


trapezoid = _integral("trapezoid")
list_as(trapezoid, "torch", "trapezoid", ("trapz",))
cumulative_trapezoid = _integral("cumulative_trapezoid")
list_as(cumulative_trapezoid, "torch", "cumulative_trapezoid")


@face()
def cov(
    input: Tensor,
    *,
    correction: int = 1,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """The covariance of the rows of a matrix.

    Rows are variables, columns observations: an (n x n) matrix, of a vector a number. RuntimeError
    for more dimensions.
    """
    for name, w, kinds, wanted in (
        ("fweights", fweights, "iu", "integral"), ("aweights", aweights, "f", "floating point"),
    ):  # fmt: skip
        if w is None:
            continue
        if w.dim() > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
                f"{w.dim()} dimensions"
            )
        if w.dtype.kind not in kinds:
            raise RuntimeError(
                f"cov(): expected {name} to have {wanted} dtype but got {name} with {w.dtype} dtype"
            )
        if w.numel() != input.shape[-1] * (input.dim() > 0) + (input.dim() == 0):
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the "
                f"input but got {w.numel()} != {input.shape[-1] if input.dim() else 1}"
            )
        if w.numel() and (w < 0).any().item():
            raise RuntimeError(f"cov(): {name} cannot be negative")
    operands = tuple(t for t in (input, fweights, aweights) if t is not None)
    attrs = (
        ("correction", correction),
        ("has_fweights", fweights is not None),
        ("has_aweights", aweights is not None),
    )
    return apply("cov", operands, attrs)


@face()
def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of the rows of a matrix.

    Rows are variables, columns observations: an (n x n) matrix, of a vector a number. RuntimeError
    for more dimensions.
    """
    return unary("corrcoef", input)
