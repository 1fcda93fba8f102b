"""Elementwise functions. Most are one table op of the same name, from the lists below."""

from __future__ import annotations

from typing import Any

from tracec_ir.promote import _spelled

from ..inplace import update
from ..parameter_names import renamed
from ..record import apply, binary, unary
from ..tensor import Tensor
from .arguments import given, need_tensor, number, plain
from .face import add as list_as
from .face import face

# name of the op [=aliases]; all of these also exist in place
_UNARY = """
abs=absolute neg=negative sign floor ceil trunc=fix sqrt rsqrt reciprocal exp expm1 log log2 log10
log1p sin cos tan asin=arcsin acos=arccos atan=arctan sinh cosh tanh asinh=arcsinh acosh=arccosh
atanh=arctanh logical_not bitwise_not sigmoid square frac deg2rad rad2deg sgn
"""
# these are also in torch.special
_UNARY_SPECIAL = "exp2 erf erfc erfinv lgamma=gammaln digamma=psi sinc"
_TESTS = "isnan isinf isfinite isposinf isneginf isreal signbit"
# name=op; the second operand may be a number
_BINARY = """
fmod=fmod floor_divide=floor_divide eq=eq ne=ne lt=lt le=le gt=gt ge=ge copysign=copysign
"""
# ... and the first one too
_BINARY_MIXED = """
remainder=remainder bitwise_and=bitwise_and bitwise_or=bitwise_or bitwise_xor=bitwise_xor
bitwise_left_shift=shl bitwise_right_shift=shr xlogy=xlogy
"""
# both operands are tensors
_BINARY_TENSORS = "atan2 logical_and logical_or logical_xor hypot gcd lcm heaviside ldexp"
_BINARY_PURE = "maximum minimum fmax fmin logaddexp logaddexp2"  # ... and there is no in-place form
_BINARY_ALIASES = {
    "atan2": ("arctan2",), "ne": ("not_equal",), "lt": ("less",), "le": ("less_equal",),
    "gt": ("greater",), "ge": ("greater_equal",),
}  # fmt: skip


def _unary(op: str):
    def fn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(input, Tensor):
            need_tensor(input, op)
        return unary(op, input) if out is None else given(out, unary(op, input))

    return fn


def _binary(name: str, op: str, number_first: bool = False, number_second: bool = True):
    def fn(input: Tensor, other: Any, *, out: Tensor | None = None) -> Tensor:
        c = other.__class__
        if isinstance(input, Tensor) and (
            isinstance(other, Tensor) or (number_second and (c is float or c is int))
        ):
            r = binary(op, input, other)
        else:
            _refuse(name, input, other, number_first, number_second)
            r = apply(op, (number(input), number(other)))
        return r if out is None else given(out, r)

    return fn


def _refuse(name: str, input: Any, other: Any, number_first: bool, number_second: bool) -> None:
    """Raises TypeError where a tensor is needed and there is none."""
    first, second = isinstance(input, Tensor), isinstance(other, Tensor)
    if not first and not (number_first and second):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    if not second and not number_second:
        raise TypeError(
            f"{name}(): argument 'other' (position 2) must be Tensor, not {type(other).__name__}"
        )


def _declare(
    fn: Any, name: str, op: str, on: str, aliases: tuple = (), inplace: bool = False
) -> None:
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The op `{op}`, elementwise."
    list_as(fn, on, name, aliases, inplace)
    globals()[name] = fn


for _entry in _UNARY.split():
    _name, *_aliases = _entry.split("=")
    _declare(_unary(_name), _name, _name, "torch method", tuple(_aliases), True)
for _entry in _UNARY_SPECIAL.split():
    _name, *_aliases = _entry.split("=")
    _declare(_unary(_name), _name, _name, "torch method special", (), True)
    for _alias in _aliases:
        list_as(globals()[_name], "special", _alias)
for _name in _TESTS.split():
    _declare(_unary(_name), _name, _name, "torch method")
for _entry in _BINARY.split() + _BINARY_MIXED.split():
    _name, _op = _entry.split("=")
    _fn = _binary(_name, _op, _entry in _BINARY_MIXED)
    _declare(_fn, _name, _op, "torch method", _BINARY_ALIASES.get(_name, ()), True)
for _name in _BINARY_TENSORS.split():
    _fn = _binary(_name, _name, number_second=False)
    if _name == "heaviside":
        _fn = renamed(_fn, other="values")
    _declare(_fn, _name, _name, "torch method", _BINARY_ALIASES.get(_name, ()), True)
_declare(
    _binary("nextafter", "next_after", number_second=False), "nextafter", "next_after",
    "torch method", (), True,
)  # fmt: skip
for _name in _BINARY_PURE.split():
    _declare(_binary(_name, _name, number_second=False), _name, _name, "torch method")
for _name, _on in (
    ("sigmoid", "expit"),
    ("log1p", "log1p"),
    ("expm1", "expm1"),
    ("xlogy", "xlogy"),
):
    list_as(globals()[_name], "special", _on)
for _name in ("entr", "ndtr", "ndtri"):
    _declare(_unary(_name), _name, _name, "special")
_declare(_binary("xlog1py", "xlog1py", True), "xlog1py", "xlog1py", "special")


@face(inplace=True)
def add(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """input + alpha * other.

    Elementwise: shapes broadcast, dtypes promote; numbers do not raise the dtype within their kind.
    div gives floating results unless it rounds. RuntimeError for shapes that do not broadcast;
    `out` gets the result.
    """
    if alpha.__class__ is int and alpha == 1:
        r = apply("add", (number(input), number(other)))
    else:
        _check_alpha(input, other, alpha)
        r = apply("add_scaled", (number(input), number(other), plain(alpha)))
    return given(out, r)


def _check_alpha(input: Any, other: Any, alpha: Any) -> None:
    python = {bool: "b", int: "i", float: "f"}
    kinds = [
        x.dtype.kind if isinstance(x, Tensor) else python.get(x.__class__, "c")
        for x in (input, other)
    ]
    if isinstance(alpha, bool) and any(k != "b" for k in kinds):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and all(k in "biu" for k in kinds):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )


@face(inplace=True, aliases=("subtract",))
def sub(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Tensor:
    """input - alpha * other.

    Elementwise: shapes broadcast, dtypes promote; numbers do not raise the dtype within their kind.
    div gives floating results unless it rounds. RuntimeError for shapes that do not broadcast;
    `out` gets the result.
    """
    if alpha.__class__ is int and alpha == 1:
        r = apply("sub", (number(input), number(other)))
    else:
        _check_alpha(input, other, alpha)
        r = apply("sub_scaled", (number(input), number(other), plain(alpha)))
    return given(out, r)


@face()
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha * input."""
    need_tensor(input, "rsub")
    return sub(number(other), number(input), alpha=alpha)


@face(inplace=True, aliases=("multiply",))
def mul(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """input * other.

    Elementwise: shapes broadcast, dtypes promote; numbers do not raise the dtype within their kind.
    div gives floating results unless it rounds. RuntimeError for shapes that do not broadcast;
    `out` gets the result.
    """
    return given(out, apply("mul", (number(input), number(other))))


@face(inplace=True, aliases=("divide",))
def div(
    input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Tensor:
    """input / other, rounded as asked: None, "trunc" or "floor".

    Elementwise: shapes broadcast, dtypes promote; numbers do not raise the dtype within their kind.
    div gives floating results unless it rounds. RuntimeError for shapes that do not broadcast;
    `out` gets the result.
    """
    if rounding_mode is None:
        op = "div"
    elif rounding_mode == "floor":
        op = "floor_divide"
    elif rounding_mode == "trunc":
        op = "div_trunc"
    else:
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    return given(out, apply(op, (number(input), number(other))))


@face(inplace=True)
def true_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """input / other.

    Elementwise: shapes broadcast, dtypes promote; numbers do not raise the dtype within their kind.
    div gives floating results unless it rounds. RuntimeError for shapes that do not broadcast;
    `out` gets the result.
    """
    return given(out, apply("div", (number(input), number(other))))


@face(inplace=True)
def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent.

    Elementwise with broadcasting and promotion; either may be a number. RuntimeError for integers
    to a negative integer number.
    """
    if not isinstance(exponent, Tensor):
        need_tensor(input, "pow")
    e = exponent
    if (
        e.__class__ in (int, float)
        and e == 2
        and isinstance(input, Tensor)
        and input.dtype.kind == "f"
    ):
        r = unary("square", input)
    else:
        if e.__class__ is int and e < 0 and isinstance(input, Tensor) and input.dtype.kind in "iu":
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        r = apply("pow", (number(input), number(e)))
    return given(out, r)


@face()
def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent in double precision."""
    if not isinstance(exponent, Tensor):
        need_tensor(input, "float_power")
    return given(out, apply("float_power", (number(input), number(exponent))))


@face("method")
def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """`float_power`, in place: only of a tensor of double precision."""
    if self.dtype.code not in ("f64", "c128"):
        raise RuntimeError(
            f"the base given to float_power_ has dtype {_spelled(self.dtype)} but the operation's "
            "result "
            "requires dtype Double"
        )
    return update(self, float_power(self, exponent))


@face(inplace=True)
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Tensor:
    """input rounded to the nearest integer (ties to even) or to a number of decimals."""
    if decimals == 0:
        return given(out, unary("round", input))
    return given(out, apply("round_decimals", (input,), (("decimals", decimals),)))


list_as(round, "special", "round")


@face()
def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """0 for positive numbers, pi for negative ones."""
    return given(out, unary("angle", input))


@face(inplace=True)
def polygamma(n: Any, input: Any, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of digamma: polygamma(n, x), or x.polygamma(n)."""
    if isinstance(n, Tensor):
        n, input = input, n
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return given(out, apply("polygamma", (input,), (("n", int(n)),)))


list_as(polygamma, "special", "polygamma")


@face("special")
def zeta(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:
    """Hurwitz's zeta function."""
    if not isinstance(other, Tensor):
        need_tensor(input, "special_zeta")
    return given(out, apply("zeta", (number(input), number(other))))


@face()
def positive(input: Tensor) -> Tensor:
    """input itself."""
    if input.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@face(inplace=True, aliases=("clip",))
def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """input limited to [min, max]; either may be missing.

    `min` and `max` are numbers or tensors that broadcast; where they cross max wins, NaN stays.
    RuntimeError if both are missing.
    """
    if min is None:
        if max is None:
            raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
        r = apply("clamp_max", (input, number(max)))
    elif max is None:
        r = apply("clamp_min", (input, number(min)))
    else:
        r = apply("clamp", (input, number(min), number(max)))
    return given(out, r)


@face(inplace=True)
def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """input, but at least min."""
    need_tensor(input, "clamp_min")
    return given(out, apply("clamp_min", (input, number(min))))


@face(inplace=True)
def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """input, but at most max."""
    need_tensor(input, "clamp_max")
    return given(out, apply("clamp_max", (input, number(max))))


@face(inplace=True)
def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """input + weight * (end - input).

    Shapes broadcast; `weight` is a number or a tensor. All tensors have one floating dtype,
    RuntimeError otherwise.
    """
    return given(out, apply("lerp", (input, end, number(weight))))


@face(inplace=True)
def addcmul(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """input + value * tensor1 * tensor2.

    Elementwise: shapes broadcast, dtypes promote; `value` is a number.
    """
    return given(out, apply("addcmul", (input, tensor1, tensor2, number(value))))


@face(inplace=True)
def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """input + value * tensor1 / tensor2.

    Elementwise: shapes broadcast, dtypes promote; `value` is a number.
    """
    return given(out, apply("addcdiv", (input, tensor1, tensor2, number(value))))


@face(inplace=True)
def nan_to_num(
    input: Tensor,
    nan: Any = None,
    posinf: Any = None,
    neginf: Any = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """input with NaN and the infinities replaced.

    NaN by `nan` (0), the infinities by `posinf` and `neginf` (the largest and the smallest number
    of the dtype). In the shape and dtype of `input`.
    """
    attrs = (("nan", nan), ("posinf", posinf), ("neginf", neginf))
    return given(out, apply("nan_to_num", (input,), attrs))


@face("torch method special", inplace=True)
def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:
    """log(x / (1 - x)).

    With `eps`, x is first limited to [eps, 1 - eps]; else infinite at 0 and 1, NaN outside.
    """
    return given(out, apply("logit", (input,), (("eps", eps),)))


@face(inplace=True)
def mvlgamma(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:
    """The logarithm of the multivariate gamma function."""
    return given(out, apply("mvlgamma", (input,), (("p", p),)))


list_as(mvlgamma, "special", "multigammaln")


@face()
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Whether elements are close to one another.

    |input - other| <= atol + rtol * |other|; equal infinities are close, NaN only with `equal_nan`.
    RuntimeError for different dtypes.
    """
    need_tensor(input, "isclose")
    need_tensor(other, "isclose", "other", 2)
    return apply(
        "isclose", (input, other), (("rtol", rtol), ("atol", atol), ("equal_nan", equal_nan))
    )


@face()
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close to one another.

    |input - other| <= atol + rtol * |other|; equal infinities are close, NaN only with `equal_nan`.
    RuntimeError for different dtypes.
    """
    return bool(apply("all", (isclose(input, other, rtol, atol, equal_nan),)).item())


@face()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and elements."""
    if tuple(input.shape) != tuple(other.shape):
        return False
    return bool(apply("equal", (input, other)).item())


@face("torch")
def where(
    condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None
) -> Any:
    """input where the condition holds, other elsewhere; with one argument, where it holds.

    Shapes broadcast, dtypes of input and other promote; `condition` is bool (uint8 counts).
    Gradients go to the side that was taken.
    """
    if input is None and other is None:
        from .host import nonzero

        return nonzero(condition, as_tuple=True)
    return given(out, apply("where", (condition, number(input), number(other))))


@face("method", name="where")
def _where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """self where the condition holds, other elsewhere."""
    return apply("where", (condition, self, number(other)))


@face(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """input with `value` where the mask holds.

    `mask` is bool and broadcasts to input, `value` a number or a tensor without dimensions. In the
    shape and dtype of `input`.
    """
    return apply("masked_fill", (input, mask, number(value)))


@face("torch method")
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor like input filled with one value."""
    return apply("fill", (input, number(value)))


def _polynomial(kind: str) -> None:
    name = kind[:-2] + "_polynomial" + kind[-2:] if kind[-2] == "_" else "hermite_polynomial_he"

    def fn(x: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
        if not isinstance(n, Tensor):
            need_tensor(x, f"special_{name}")
        return given(out, apply("polynomial", (number(x), number(n)), (("kind", kind),)))

    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = f"The {kind} polynomials of orders n at x."
    list_as(fn, "special", name)


for _kind in ("chebyshev_t", "chebyshev_u", "chebyshev_v", "chebyshev_w", "hermite_h", "hermite_he",
              "laguerre_l", "legendre_p", "shifted_chebyshev_t", "shifted_chebyshev_u",
              "shifted_chebyshev_v", "shifted_chebyshev_w"):  # fmt: skip
    _polynomial(_kind)
