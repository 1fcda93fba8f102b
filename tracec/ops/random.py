"""Random tensors: each call records a pure function of the generator's seed and offset."""

from __future__ import annotations

import math
from typing import Any

from tracec_ir import dtypes, promote
from tracec_ir.dtypes import DType

from ..creation import _checked, _device, _finish
from ..random import draw
from ..record import apply, assign
from ..tensor import Tensor
from ..views import sizes, view_as_complex, view_as_real
from .arguments import dtype_into, given, number
from .face import add as list_as
from .face import face


def _blocks(shape: tuple[int, ...], words: int) -> int:
    """Blocks of four words for `words` words an element."""
    return (math.prod(shape) * words + 3) // 4


def _words(dtype: DType) -> int:
    return 2 if dtype is dtypes.f64 else 1


def _sampled(
    op: str, size: tuple[int, ...], dtype: DType, words: int, generator: Any, *operands: Any
) -> Tensor:
    shape = _checked(tuple(size))
    seed, offset = draw(_blocks(shape, words), generator)
    return apply(op, (*operands, seed, offset), (("size", shape), ("dtype", dtype)))


def _float(dtype: DType | None, name: str) -> DType:
    dtype = dtype or promote.default_float
    if dtype.kind != "f":
        raise NotImplementedError(f"\"{name}\" not implemented for '{promote._spelled(dtype)}'")
    return dtype


def _inexact(dtype: DType | None, name: str) -> DType:
    return dtype if dtype is not None and dtype.kind == "c" else _float(dtype, name)


def _parts(dtype: DType) -> tuple[int, ...]:
    """The last dimension of samples for one number: two if it is complex."""
    return (2,) if dtype.kind == "c" else ()


def _joined(x: Tensor, dtype: DType) -> Tensor:
    return view_as_complex(x) if dtype.kind == "c" else x


@face("torch")
def rand(
    *size: Any,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Tensor:
    """Uniform numbers in [0, 1).

    `size` may be numbers or one sequence; `dtype` defaults to the default floating one (int64 for
    integers). Philox4x32-10 (Salmon et al., 2011): a pure function of the seed, the offset of the
    generator, which advances by what is drawn, and the position.
    """
    _device(device)
    dtype = _inexact(dtype if out is None else dtype_into(out, dtype, None), "check_uniform_bounds")
    part = dtype.to_real()
    shape = (*sizes(size), *_parts(dtype))
    x = _sampled("rand", shape, part, _words(part), generator)
    return _finish(given(out, _joined(x, dtype), quiet=True), requires_grad)


@face("torch")
def randn(
    *size: Any,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: Any = None,
) -> Tensor:
    """Standard normal numbers.

    `size` may be numbers or one sequence; `dtype` defaults to the default floating one (int64 for
    integers). Philox4x32-10 (Salmon et al., 2011): a pure function of the seed, the offset of the
    generator, which advances by what is drawn, and the position.
    """
    _device(device)
    dtype = _inexact(dtype if out is None else dtype_into(out, dtype, None), "normal_kernel_cpu")
    part = dtype.to_real()
    shape = (*sizes(size), *_parts(dtype))
    x = _sampled("randn", shape, part, 2 * _words(part), generator)
    x = x if part is dtype else x * math.sqrt(0.5)  # the variance is that of both parts together
    return _finish(given(out, _joined(x, dtype), quiet=True), requires_grad)


@face("torch")
def rand_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform numbers in the shape of input."""
    return rand(
        tuple(input.shape),
        generator=generator,
        dtype=dtype or input.dtype,
        device=device,
        requires_grad=requires_grad,
    )


@face("torch")
def randn_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Standard normal numbers in the shape of input."""
    return randn(
        tuple(input.shape),
        generator=generator,
        dtype=dtype or input.dtype,
        device=device,
        requires_grad=requires_grad,
    )


def _integers(low: int, high: int, size: Any, dtype: DType, generator: Any) -> Tensor:
    low, high = int(low), int(high)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    return _sampled("randint", tuple(size), dtype, 2, generator, low, high)


@face("torch")
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform integers in [low, high).

    `size` may be numbers or one sequence; `dtype` defaults to the default floating one (int64 for
    integers). Philox4x32-10 (Salmon et al., 2011): a pure function of the seed, the offset of the
    generator, which advances by what is drawn, and the position.
    """
    if size is None:
        if high is None:
            raise TypeError("randint() missing 1 required positional argument: 'size'")
        low, high, size = (0, low, high) if not isinstance(high, int) else (low, high, ())
    if high is None:
        low, high = 0, low
    _device(device)
    r = given(
        out, _integers(low, high, size, dtype_into(out, dtype, dtypes.i64), generator), quiet=True
    )
    return _finish(r, requires_grad)


@face("torch")
def randint_like(
    input: Tensor,
    low: Any,
    high: Any = None,
    *,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Uniform integers in the shape of input."""
    low, high = (0, low) if high is None else (low, high)
    low, high = (v.item() if isinstance(v, Tensor) else v for v in (low, high))
    return _finish(
        _integers(low, high, tuple(input.shape), dtype or input.dtype, None), requires_grad
    )


@face("torch")
def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """0..n-1 in random order.

    `size` may be numbers or one sequence; `dtype` defaults to the default floating one (int64 for
    integers). Philox4x32-10 (Salmon et al., 2011): a pure function of the seed, the offset of the
    generator, which advances by what is drawn, and the position.
    """
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got{n}")
    _device(device)
    seed, offset = draw(_blocks((n,), 2), generator)
    r = apply(
        "randperm", (seed, offset), (("n", int(n)), ("dtype", dtype_into(out, dtype, dtypes.i64)))
    )
    return _finish(given(out, r, quiet=True), requires_grad)


@face("torch")
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: DType | None = None,
    device: Any = None,
    layout: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers with means and standard deviations.

    In the floating dtype of the parameters (multinomial: int64); random numbers come from
    `generator`, by default that of `manual_seed`. RuntimeError for probabilities or deviations that
    cannot be.
    """
    if size is None:
        tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
        if not tensors:
            raise TypeError('normal() missing 1 required positional arguments: "size"')
        size, dtype = tensors[0].shape, tensors[0].dtype
        if tensors[-1].shape != size:
            size = promote.broadcast_shapes(tuple(size), tuple(tensors[-1].shape))
    if not isinstance(std, Tensor) and std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    _device(device)
    dtype = _float(dtype, "normal_kernel_cpu")
    shape = _checked(tuple(size))
    seed, offset = draw(_blocks(shape, 2 * _words(dtype)), generator)
    r = apply(
        "normal",
        (_parameter(mean), _parameter(std), seed, offset),
        (("size", shape), ("dtype", dtype)),
    )
    return _finish(given(out, r, quiet=True), requires_grad)


def _parameter(x: Any) -> Any:
    return x if isinstance(x, Tensor) else float(x)


@face(inplace=False)
def bernoulli(
    input: Tensor, p: Any = None, *, generator: Any = None, out: Tensor | None = None
) -> Tensor:
    """1 with the probabilities of input (or p), else 0.

    In the floating dtype of the parameters (multinomial: int64); random numbers come from
    `generator`, by default that of `manual_seed`. RuntimeError for probabilities or deviations that
    cannot be.
    """
    chance = input if p is None else number(p)
    y = _sampled("bernoulli", tuple(input.shape), input.dtype, 1, generator, chance)
    return given(out, y, quiet=True)


@face()
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn with probabilities proportional to the rows of input.

    In the floating dtype of the parameters (multinomial: int64); random numbers come from
    `generator`, by default that of `manual_seed`. RuntimeError for probabilities or deviations that
    cannot be.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if input.dtype.kind != "f":
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{promote._spelled(input.dtype)}"
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if input.shape[-1] > 2**24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if out is not None and out.dtype is not dtypes.i64:
        raise RuntimeError(
            f"multinomial expects Long tensor out, got: {promote._spelled(out.dtype)}"
        )
    rows = input.shape[0] if input.dim() == 2 else 1
    per_row = num_samples if replacement else input.shape[-1]
    seed, offset = draw(_blocks((rows, per_row), 1), generator)
    attrs = (("num_samples", num_samples), ("replacement", replacement))
    return given(out, apply("multinomial", (input.detach(), seed, offset), attrs), quiet=True)


@face("torch functional")
def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """input with elements zeroed at random in training, the others scaled up."""
    if not train or p == 0:
        return input
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    seed, offset = draw((input._spec.numel + 3) // 4)
    scale = 0.0 if p == 1 else 1.0 / (1.0 - p)
    return apply("dropout", (input, float(p), scale, seed, offset))


# -- filling in place -----------------------------------------------------------------------------
def _filler(name: str, op: str, words: int, defaults: tuple[float, float], check: Any = None):
    def fn(
        self: Tensor, a: float = defaults[0], b: float = defaults[1], *, generator: Any = None
    ) -> Tensor:
        if check is not None:
            check(float(a), float(b))
        dtype = _float(self.dtype, name)
        seed, offset = draw(_blocks(tuple(self.shape), words * _words(dtype)), generator)
        attrs = (("size", tuple(self.shape)), ("dtype", dtype))
        return assign(self, apply(op, (float(a), float(b), seed, offset), attrs))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"Random numbers (`{op}`) written everywhere."
    return fn


def _check_uniform(low: float, high: float) -> None:
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )


def _check_normal(mean: float, std: float) -> None:
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


_uniform = _filler("uniform_", "uniform", 1, (0.0, 1.0), _check_uniform)
_normal = _filler("normal_", "normal", 2, (0.0, 1.0), _check_normal)


def _check_cauchy(median: float, sigma: float) -> None:
    if sigma <= 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")


def _check_log_normal(mean: float, std: float) -> None:
    if std <= 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")


_cauchy = _filler("cauchy_", "cauchy", 1, (0.0, 1.0), _check_cauchy)
_log_normal = _filler("log_normal_", "log_normal", 2, (1.0, 2.0), _check_log_normal)


@face("method")
def uniform_(
    self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Any = None, **bounds: float
) -> Tensor:
    """Uniform numbers in [from, to) written everywhere."""
    low, high = bounds.get("from", a), bounds.get("to", b)
    if self.dtype.kind == "c":
        _uniform(view_as_real(self), low, high, generator=generator)
        return self
    return _uniform(self, low, high, generator=generator)


@face("method")
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Normal numbers written everywhere."""
    if self.dtype.kind == "c":  # half of the variance in each part
        _normal(view_as_real(self), mean, std * math.sqrt(0.5), generator=generator)
        return self
    return _normal(self, mean, std, generator=generator)


@face("method")
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Cauchy distributed numbers written everywhere."""
    return _cauchy(self, median, sigma, generator=generator)


@face("method")
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Log-normal numbers written everywhere."""
    return _log_normal(self, mean, std, generator=generator)


@face("method")
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Exponentially distributed numbers written everywhere."""
    if lambd <= 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    dtype = _float(self.dtype, "exponential_")
    return assign(
        self,
        _sampled("exponential", tuple(self.shape), dtype, _words(dtype), generator, float(lambd)),
    )


@face("method")
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """The number of trials until a success of probability p, written everywhere."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return assign(
        self, _sampled("geometric", tuple(self.shape), self.dtype, 1, generator, float(p))
    )


@face("method")
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """1 with probability p, else 0, written everywhere."""
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    return assign(
        self, _sampled("bernoulli", tuple(self.shape), self.dtype, 1, generator, number(p))
    )


@face("method")
def random_(self: Tensor, a: Any = 0, to: Any = None, *, generator: Any = None) -> Tensor:
    """Uniform integers of [from, to), or of everything the dtype holds exactly."""
    low, high = (0, a) if to is None and a else (a, to)
    if high is None:
        top = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53, "b1": 1}.get(self.dtype.code)
        high = (
            2**top + 1
            if top and top > 1
            else 2
            if top
            else 2 ** (self.dtype.bits - (self.dtype.kind == "i"))
        )
        high = min(high, 2**62)
    work = self.dtype if self.dtype.kind in "iu" else dtypes.i64
    return assign(
        self, _integers(int(low), int(high), tuple(self.shape), work, generator).to(self.dtype)
    )


list_as(bernoulli_, "torch", "bernoulli_")
