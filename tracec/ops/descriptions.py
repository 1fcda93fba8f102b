"""What `help` says of the functions that are declared in loops, from lists of names.

Each line is a name and what it computes; the paragraph that follows (shapes, dtypes, errors) is
that of its family.
"""

from __future__ import annotations

_FLOAT = """
Elementwise, in the shape of `input`. Floating and complex tensors keep their dtype, integers and
bool become the default floating dtype. TypeError unless `input` is a tensor; `out` gets the
result."""
_REAL = """
Elementwise, in the shape of `input`, for real numbers: floating tensors keep their dtype, integers
and bool become the default floating dtype. TypeError unless `input` is a tensor; `out` gets the
result."""
_SAME = """
Elementwise, in the shape and dtype of `input`. RuntimeError for dtypes without such an operation
(bool in most cases), TypeError unless `input` is a tensor; `out` gets the result."""
_TEST = """
Elementwise: a bool tensor in the shape of `input`. TypeError unless `input` is a tensor."""
_TWO = """
Elementwise: shapes broadcast, dtypes promote to a common one; `other` (for some functions `input`,
too) may be a number, which does not raise the dtype within its kind. RuntimeError for shapes that
do not broadcast, TypeError for operands that are neither; `out` gets the result."""
_TWO_TENSORS = """
Elementwise: both operands are tensors (TypeError otherwise), shapes broadcast, dtypes promote to a
common one. RuntimeError for shapes that do not broadcast; `out` gets the result."""
_COMPARE = """
Elementwise: a bool tensor in the broadcast shape; operands are compared in their common dtype.
`other` may be a number. RuntimeError for shapes that do not broadcast or complex numbers where
there is an order to ask for; `out` gets the result."""
_BITS = """
Elementwise on integers and bool: shapes broadcast, dtypes promote. RuntimeError for floating
operands; `out` gets the result."""
_ACTIVATION = """
Elementwise, in the shape and dtype of `input`. 16-bit floats are computed in float32 and rounded
once. RuntimeError for bool and complex tensors."""
_LOSS = """
`reduction` is "mean" (of all elements), "sum" or "none" (the terms in the broadcast shape);
ValueError for anything else. Both operands are floating tensors whose shapes broadcast.
`size_average` and `reduce` are the older spelling of `reduction`."""
_PRODUCT = """
Operands have one dtype (RuntimeError otherwise); 16-bit floats are added up in float32. `out` gets
the result."""
_MOMENTS = """
`correction` (1: Bessel's) is subtracted from the number of elements, the sum of the squared
deviations is divided by the rest; `unbiased` is the older spelling. `dim` None means all
dimensions; `keepdim` keeps them with size 1. Floating and complex tensors only
(RuntimeError). Two passes, so a large mean does not cancel digits."""
_OVER = """
`dim` is a dimension or several (None: all), which vanish unless `keepdim` keeps them with size 1;
IndexError if there is no such dimension. `out` gets the result."""
_ALONG = """
In the shape of `input`, along the dimension `dim` (IndexError if there is none). Accumulated in
double precision and rounded once; integers become int64, `dtype` casts first. `out` gets the
result."""
_SOFTMAX = """
Floating tensors only (RuntimeError otherwise) unless `dtype` casts first; 16-bit floats are
computed in float32 and rounded once. IndexError if there is no such dimension. `out` gets the
result."""
_CONVOLUTION = """
(N, C, *sizes) or (C, *sizes); weight and bias have the dtype of input, RuntimeError otherwise and
for sizes that do not fit. `stride`, `padding`, `dilation` are numbers or one for each dimension."""
_POOLING = """
(N, C, *sizes) or (C, *sizes); each size becomes (size + 2 padding - kernel) / stride + 1, rounded
down, or up with `ceil_mode`. `stride` defaults to the kernel; RuntimeError for other ranks and for
padding of more than half the kernel."""
_ADAPTIVE = """
(N, C, *sizes) or (C, *sizes) become that with `output_size` (None keeps a size): window i of n
reaches from floor(i s / n) to ceil((i + 1) s / n) of s elements. RuntimeError for other ranks."""
_SPECIAL = """
Elementwise, in the shape of `input`: float32 and float64 keep their dtype, integers and bool become
the default floating dtype. `out` gets the result."""
_POLYNOMIAL = """
Elementwise with broadcasting of x and the orders n, which are cut to integers; 0 for n < 0. Either
may be a number, not both. Computed in double precision by the three-term recurrence; without a
derivative."""

_FAMILIES = (
    (_SOFTMAX, """
softmax: exp(x) divided by its sum along `dim`: positive numbers that sum to 1, in the shape of
    `input`. The maximum is subtracted first, so that nothing overflows.
log_softmax: log(softmax(x)) along `dim` as x - m - log(sum(exp(x - m))) with the maximum m: finite
    where the logarithm of `softmax` is not. In the shape of `input`.
"""),
    (_MOMENTS, """
var: The variance over dimensions.
std: The standard deviation over dimensions: the root of `var`; its gradient at 0 is 0.
var_mean: The variance and the mean over dimensions.
std_mean: The standard deviation and the mean over dimensions.
"""),
    (_OVER, """
sum: The sum of the elements. Integers and bool are added up in int64 unless `dtype` says; 16-bit
    floats in float32. Runs of elements are summed up, then the runs, so that few digits are lost.
mean: The sum divided by the number of elements: NaN of none. Floating and complex tensors only
    (RuntimeError) unless `dtype` casts first.
amax: The largest elements; NaN wins, equal ones share the gradient evenly.
amin: The smallest elements; NaN wins, equal ones share the gradient evenly.
all: Whether all elements are nonzero: bool (uint8 for uint8).
any: Whether an element is nonzero: bool (uint8 for uint8).
nansum: The sum with NaN counted as 0.
nanmean: The mean of what is not NaN.
argmax: Where the largest element is (the first one, NaN wins): int64, in the flattened tensor if
    `dim` is None.
argmin: Where the smallest element is (the first one, NaN wins): int64, in the flattened tensor if
    `dim` is None.
"""),
    (_ALONG, """
cumsum: The sum of each element and all before it.
cumprod: The product of each element and all before it.
"""),
    (_CONVOLUTION, """
conv1d: Cross-correlation with weight (O, C / groups, k): (N, O, size'), where size' is
    (size + 2 padding - dilation (k - 1) - 1) // stride + 1; padding may be "same" or "valid".
conv2d: Cross-correlation with weight (O, C / groups, *kernel): (N, O, *sizes'), where a
    size becomes (size + 2 padding - dilation (k - 1) - 1) // stride + 1; padding may be "same" or
    "valid".
conv3d: Cross-correlation with weight (O, C / groups, *kernel): (N, O, *sizes'), where a
    size becomes (size + 2 padding - dilation (k - 1) - 1) // stride + 1; padding may be "same" or
    "valid".
conv_transpose1d: The adjoint of `conv1d` with weight (C, O / groups, k): a size becomes
    (size - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1.
conv_transpose2d: The adjoint of `conv2d` with weight (C, O / groups, *kernel): a size becomes
    (size - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1.
conv_transpose3d: The adjoint of `conv3d` with weight (C, O / groups, *kernel): a size becomes
    (size - 1) stride - 2 padding + dilation (k - 1) + output_padding + 1.
"""),
    (_POOLING, """
avg_pool1d: Means of windows; `count_include_pad` says whether padding zeros count.
avg_pool2d: Means of windows; `count_include_pad` says whether padding zeros count,
    `divisor_override` replaces the number of elements.
avg_pool3d: Means of windows; `count_include_pad` says whether padding zeros count,
    `divisor_override` replaces the number of elements.
max_pool1d: Maxima of windows; padding counts as -inf.
max_pool2d: Maxima of windows; padding counts as -inf.
max_pool3d: Maxima of windows; padding counts as -inf.
max_pool1d_with_indices: Maxima of windows, and where they are (int64, in the row).
max_pool2d_with_indices: Maxima of windows, and where they are (int64, in the flattened image).
max_pool3d_with_indices: Maxima of windows, and where they are (int64, in the flattened volume).
"""),
    (_ADAPTIVE, """
adaptive_avg_pool1d: Means of as many windows as asked for.
adaptive_avg_pool2d: Means of as many windows as asked for.
adaptive_avg_pool3d: Means of as many windows as asked for.
adaptive_max_pool1d: Maxima of as many windows as asked for, and where they are (int64).
adaptive_max_pool2d: Maxima of as many windows as asked for, and where they are (int64).
adaptive_max_pool3d: Maxima of as many windows as asked for, and where they are (int64).
"""),
    (_FLOAT, """
sqrt: The square root; NaN below 0.
rsqrt: 1 / sqrt(input).
reciprocal: 1 / input.
exp: e to the power of each element.
exp2: 2 to the power of each element.
expm1: exp(input) - 1, exact near 0 as well.
log: The natural logarithm: -inf at 0, NaN below.
log2: The logarithm to base 2.
log10: The logarithm to base 10.
log1p: log(1 + input), exact near 0 as well.
sin: The sine of angles in radians.
cos: The cosine of angles in radians.
tan: The tangent of angles in radians.
asin: The angle in [-pi/2, pi/2] with this sine; NaN outside of [-1, 1].
acos: The angle in [0, pi] with this cosine; NaN outside of [-1, 1].
atan: The angle in (-pi/2, pi/2) with this tangent.
sinh: (exp(x) - exp(-x)) / 2.
cosh: (exp(x) + exp(-x)) / 2.
tanh: The hyperbolic tangent, sinh(x) / cosh(x).
asinh: The inverse of sinh: log(x + sqrt(x * x + 1)).
acosh: The inverse of cosh on [1, inf); NaN below 1.
atanh: The inverse of tanh on (-1, 1); infinite at -1 and 1.
sigmoid: 1 / (1 + exp(-x)).
sinc: sin(pi x) / (pi x), and 1 at 0.
"""),
    (_REAL, """
erf: The error function: 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x.
erfc: 1 - erf(x), without cancellation for large x.
erfinv: The inverse of erf on (-1, 1); infinite at the ends.
lgamma: log |gamma(x)|.
digamma: The derivative of lgamma.
deg2rad: Degrees in radians: x * pi / 180.
rad2deg: Radians in degrees: x * 180 / pi.
entr: -x * log(x), 0 at 0, -inf below.
ndtr: The probability that a standard normal variable is at most x.
ndtri: The inverse of `ndtr`: the quantile of the standard normal distribution.
"""),
    (_SAME, """
abs: The magnitude; of complex numbers a real tensor.
neg: -input; RuntimeError for bool.
sign: -1, 0 or 1 by the sign; RuntimeError for complex numbers, see `sgn`.
sgn: `sign`, and of complex numbers x / |x|.
floor: The largest integer that is not above.
ceil: The smallest integer that is not below.
trunc: The integer part: rounded towards 0.
frac: What `trunc` takes away: x - trunc(x), floating tensors only.
square: input * input.
bitwise_not: Every bit flipped; of bool the negation. Integers and bool only.
"""),
    (_TEST, """
logical_not: Whether an element is zero.
isnan: Whether an element is NaN.
isinf: Whether an element is infinite, of either sign.
isfinite: Whether an element is neither infinite nor NaN.
isposinf: Whether an element is +inf.
isneginf: Whether an element is -inf.
isreal: Whether an element has no imaginary part.
signbit: Whether the sign bit is set: negative numbers and -0.0. RuntimeError for complex tensors.
"""),
    (_COMPARE, """
eq: input == other.
ne: input != other.
lt: input < other.
le: input <= other.
gt: input > other.
ge: input >= other.
"""),
    (_TWO, """
fmod: What remains of input after division by other, with the sign of input.
remainder: What remains of input after division by other, with the sign of other.
floor_divide: The quotient rounded down; RuntimeError for integers by zero.
copysign: The magnitude of input with the sign of other; integers become floating.
xlogy: input * log(other), and 0 where input is 0 (unless other is NaN).
xlog1py: input * log1p(other), and 0 where input is 0 (unless other is NaN).
"""),
    (_BITS, """
bitwise_and: The bits that are set in both.
bitwise_or: The bits that are set in either.
bitwise_xor: The bits that are set in exactly one.
bitwise_left_shift: The bits of input moved left by other places.
bitwise_right_shift: The bits of input moved right by other places; the sign fills up.
"""),
    (_TWO_TENSORS, """
atan2: The angle in [-pi, pi] of the points (other, input).
logical_and: Whether both are nonzero: bool.
logical_or: Whether at least one is nonzero: bool.
logical_xor: Whether exactly one is nonzero: bool.
nextafter: The neighbour of input, as a floating number, in the direction of other.
hypot: sqrt(input ** 2 + other ** 2) without overflow on the way.
gcd: The greatest common divisor of integers.
lcm: The least common multiple of integers.
heaviside: 0 where input is negative, 1 where positive, `values` where 0; one dtype for both.
ldexp: input * 2 ** other.
maximum: The larger one; NaN if either is NaN. RuntimeError for complex tensors.
minimum: The smaller one; NaN if either is NaN. RuntimeError for complex tensors.
fmax: The larger one; a number wins over NaN.
fmin: The smaller one; a number wins over NaN.
logaddexp: log(exp(input) + exp(other)) without overflow.
logaddexp2: log2(2 ** input + 2 ** other) without overflow.
"""),
    (_ACTIVATION, """
relu: max(x, 0). The derivative at 0 is 0; integers are accepted.
relu6: min(max(x, 0), 6).
selu: scale * (max(x, 0) + min(alpha * (exp(x) - 1), 0)) with scale 1.0507.. and alpha 1.6733..
    (Klambauer et al., 2017).
silu: x * sigmoid(x) (Elfwing et al., 2017).
mish: x * tanh(softplus(x)) (Misra, 2019).
hardsigmoid: min(max(x / 6 + 1/2, 0), 1).
hardswish: x * hardsigmoid(x) (Howard et al., 2019).
logsigmoid: log(sigmoid(x)) without overflow.
softsign: x / (1 + |x|).
tanhshrink: x - tanh(x).
"""),
    (_LOSS, """
mse_loss: The squared differences, (input - target) ** 2.
l1_loss: The absolute differences, |input - target|.
"""),
    (_PRODUCT, """
mm: The product of matrices, (n x m) by (m x p): n x p; RuntimeError for other shapes.
mv: The product of a matrix and a vector, (n x m) by (m): n; RuntimeError for other shapes.
bmm: The products of stacks of matrices, (b x n x m) by (b x m x p): b x n x p; RuntimeError for
    other shapes.
dot: The sum of the products of two vectors of one length: a tensor without dimensions.
inner: The sums of products over the last dimension of both: the other dimensions of input, then
    those of other.
outer: The products of each element of a vector (n) with each of another (m): n x m.
addmm: beta * input + alpha * (mat1 @ mat2): (n x m) by (m x p); input broadcasts to n x p.
addmv: beta * input + alpha * (mat @ vec): (n x m) by (m); input broadcasts to n.
addr: beta * input + alpha * outer(vec1, vec2); input broadcasts to n x m.
baddbmm: beta * input + alpha * (batch1 @ batch2) for stacks; input broadcasts to b x n x p.
addbmm: beta * input + alpha * the sum over b of batch1[b] @ batch2[b]; input broadcasts to n x p.
"""),
    (_SPECIAL, """
airy_ai: Airy's function Ai, the solution of y'' = x y that vanishes at +inf; without derivative.
bessel_j0: The Bessel function of the first kind of order 0.
bessel_j1: The Bessel function of the first kind of order 1.
bessel_y0: The Bessel function of the second kind of order 0; -inf at 0, NaN below.
bessel_y1: The Bessel function of the second kind of order 1; -inf at 0, NaN below.
erfcx: exp(x * x) * erfc(x) without overflow.
i0: The modified Bessel function of the first kind of order 0.
i0e: exp(-|x|) * i0(x).
i1: The modified Bessel function of the first kind of order 1.
i1e: exp(-|x|) * i1(x).
log_ndtr: log(ndtr(x)), exact far below 0 as well.
modified_bessel_i0: The modified Bessel function of the first kind of order 0.
modified_bessel_i1: The modified Bessel function of the first kind of order 1.
modified_bessel_k0: The modified Bessel function of the second kind of order 0; inf at 0, NaN below.
modified_bessel_k1: The modified Bessel function of the second kind of order 1; inf at 0, NaN below.
scaled_modified_bessel_k0: exp(x) * modified_bessel_k0(x).
scaled_modified_bessel_k1: exp(x) * modified_bessel_k1(x).
spherical_bessel_j0: sin(x) / x, and 1 at 0.
"""),
    (_POLYNOMIAL, """
chebyshev_polynomial_t: Chebyshev's polynomials of the first kind: cos(n arccos x) on [-1, 1].
chebyshev_polynomial_u: Chebyshev's polynomials of the second kind.
chebyshev_polynomial_v: Chebyshev's polynomials of the third kind.
chebyshev_polynomial_w: Chebyshev's polynomials of the fourth kind.
hermite_polynomial_h: Hermite's polynomials of the physicists: H' = 2 n H of order n - 1.
hermite_polynomial_he: Hermite's polynomials of probability: leading coefficient 1.
laguerre_polynomial_l: Laguerre's polynomials.
legendre_polynomial_p: Legendre's polynomials.
shifted_chebyshev_polynomial_t: `chebyshev_polynomial_t` at 2 x - 1.
shifted_chebyshev_polynomial_u: `chebyshev_polynomial_u` at 2 x - 1.
shifted_chebyshev_polynomial_v: `chebyshev_polynomial_v` at 2 x - 1.
shifted_chebyshev_polynomial_w: `chebyshev_polynomial_w` at 2 x - 1.
"""),
)  # fmt: skip


def _entries() -> dict[str, str]:
    found: dict[str, str] = {}
    for rules, lines in _FAMILIES:
        text = lines.strip().replace("\n    ", "\0")  # an entry may go on in indented lines
        for entry in text.split("\n"):
            name, _, what = entry.replace("\0", "\n").partition(": ")
            found[name] = f"{what}\n{rules}"
    return found


DESCRIPTIONS = _entries()
