"""The device functions that every module starts with: scalar arithmetic and block reductions.

They live in the namespace `tc` and are overloaded on the register type, so that a kernel's text
says `tc::exp(x)` whatever x is. Integers wrap around; dividing by zero gives 0; NaN wins in `max`
and `min`; all reductions combine in one fixed order.
"""

from __future__ import annotations

_FUNCTIONS = """
exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
erf erfc erfinv lgamma floor ceil trunc rint sqrt
""".split()
_FUNCTIONS_OF_TWO = "pow atan2 hypot".split()


def _wrappers() -> str:
    lines = []
    for name in _FUNCTIONS:
        lines.append(f"TC float {name}(float a) {{ return ::{name}f(a); }}")
        lines.append(f"TC double {name}(double a) {{ return ::{name}(a); }}")
    for name in _FUNCTIONS_OF_TWO:
        lines.append(f"TC float {name}(float a, float b) {{ return ::{name}f(a, b); }}")
        lines.append(f"TC double {name}(double a, double b) {{ return ::{name}(a, b); }}")
    return "\n".join(lines)


_START = r"""
#define TC static __device__ __forceinline__

namespace tc {

// ---- integers: arithmetic wraps around, in an unsigned type of the same or greater width
template <class T> struct Unsigned { typedef unsigned int type; };
template <> struct Unsigned<long long> { typedef unsigned long long type; };
template <> struct Unsigned<unsigned long long> { typedef unsigned long long type; };
template <class T> struct Sign { static const bool value = (T)-1 < (T)0; };

template <class T> TC T add(T a, T b) {
  typedef typename Unsigned<T>::type U;
  return (T)((U)a + (U)b);
}
template <class T> TC T sub(T a, T b) {
  typedef typename Unsigned<T>::type U;
  return (T)((U)a - (U)b);
}
template <class T> TC T mul(T a, T b) {
  typedef typename Unsigned<T>::type U;
  return (T)((U)a * (U)b);
}
template <class T> TC T neg(T a) { return sub((T)0, a); }
template <class T> TC T abs(T a) { return a < (T)0 ? neg(a) : a; }
template <class T> TC T max(T a, T b) { return a > b ? a : b; }
template <class T> TC T min(T a, T b) { return a < b ? a : b; }
template <class T> TC T quotient(T a, T b) {  // toward zero; 0 for b = 0
  if (b == (T)0) return (T)0;
  if (Sign<T>::value && b == (T)-1) return neg(a);
  return (T)(a / b);
}
template <class T> TC T fmod(T a, T b) {  // sign of the dividend
  return b == (T)0 ? (T)0 : sub(a, mul(quotient(a, b), b));
}
template <class T> TC T remainder(T a, T b) {  // sign of the divisor
  const T rest = fmod(a, b);
  return rest != (T)0 && (rest < (T)0) != (b < (T)0) ? add(rest, b) : rest;
}
template <class T> TC T floor_divide(T a, T b) {
  const T q = quotient(a, b), rest = sub(a, mul(q, b));
  return b != (T)0 && rest != (T)0 && (rest < (T)0) != (b < (T)0) ? sub(q, (T)1) : q;
}
template <class T> TC T pow(T a, T b) {  // negative exponents give 0, except of 1 and -1
  if (b < (T)0) {
    if (a == (T)1) return a;
    return a == (T)-1 ? ((b & (T)1) ? a : (T)1) : (T)0;
  }
  T result = (T)1, base = a;
  for (typename Unsigned<T>::type left = (typename Unsigned<T>::type)b; left; left >>= 1) {
    if (left & 1) result = mul(result, base);
    base = mul(base, base);
  }
  return result;
}
template <class T> TC bool outside(T amount) {  // of the width of T
  return amount < (T)0 || (unsigned long long)amount >= 8 * sizeof(T);
}
template <class T> TC T shl(T a, T amount) {
  typedef typename Unsigned<T>::type U;
  return outside(amount) ? (T)0 : (T)((U)a << (int)amount);
}
template <class T> TC T shr(T a, T amount) {
  if (outside(amount)) return Sign<T>::value && a < (T)0 ? (T)-1 : (T)0;
  return (T)(a >> (int)amount);
}

// ---- truth values
TC bool add(bool a, bool b) { return a || b; }
TC bool sub(bool a, bool b) { return a != b; }
TC bool mul(bool a, bool b) { return a && b; }
TC bool max(bool a, bool b) { return a || b; }
TC bool min(bool a, bool b) { return a && b; }
TC bool pow(bool a, bool b) { return a || !b; }

// ---- floating point
#define TC_REAL(T, FMOD, FABS)                                                                \
  TC T add(T a, T b) { return a + b; }                                                        \
  TC T mul(T a, T b) { return a * b; }                                                        \
  TC T neg(T a) { return -a; }                                                                \
  TC T abs(T a) { return FABS(a); }                                                           \
  TC T max(T a, T b) { return a != a ? a : a > b ? a : b; }                                   \
  TC T min(T a, T b) { return a != a ? a : a < b ? a : b; }                                   \
  TC T fmod(T a, T b) { return FMOD(a, b); }
TC_REAL(float, ::fmodf, ::fabsf)
TC_REAL(double, ::fmod, ::fabs)
"""

_END = r"""
TC double digamma(double a) {
  const double pi = 3.141592653589793;
  const bool negative = a <= 0;
  double z = negative ? 1 - a : a, total = 0;
  for (int k = 0; k < 12; ++k) {
    if (z < 12) {
      total = total - 1 / z;
      z = z + 1;
    }
  }
  const double w = 1 / (z * z);
  double series = 1.0 / 12;  // B(2k) / 2k: the asymptotic series
  series = series * w - 691.0 / 32760;
  series = series * w + 1.0 / 132;
  series = series * w - 1.0 / 240;
  series = series * w + 1.0 / 252;
  series = series * w - 1.0 / 120;
  series = series * w + 1.0 / 12;
  total = total + ::log(z) - 0.5 / z - series * w;
  if (a == 0) return ::copysign(__longlong_as_double(0x7ff0000000000000LL), -a);
  if (!negative) return total;
  const double fraction = a - ::rint(a);
  if (fraction == 0) return __longlong_as_double(0x7ff8000000000000LL);
  return total - pi / ::tan(pi * fraction);
}
TC float digamma(float a) { return (float)digamma((double)a); }

template <class T> TC T to_integer(double a) { return (T)(long long)a; }
template <> __device__ __forceinline__ unsigned long long to_integer<unsigned long long>(double a) {
  const double half = 9223372036854775808.0;  // values below it may be negative: they wrap around
  return a >= half ? (unsigned long long)(long long)(a - half) ^ 0x8000000000000000ULL
                   : (unsigned long long)(long long)a;
}

// ---- the error record: eight words, of which a kernel sets the code and the value
struct Error {
  unsigned long long code;
  long long step, value, rest[5];
};
TC void fail(Error* error, unsigned long long code, long long value) {
  if (atomicCAS(&error->code, 0ULL, code) == 0ULL) error->value = value;
}

// ---- reductions across the threads of a block: a butterfly of fixed shape
struct Sum { template <class T> __device__ T operator()(T a, T b) const { return add(a, b); } };
struct Product { template <class T> __device__ T operator()(T a, T b) const { return mul(a, b); } };
struct Max { template <class T> __device__ T operator()(T a, T b) const { return max(a, b); } };
struct Min { template <class T> __device__ T operator()(T a, T b) const { return min(a, b); } };

// a value and where it was found (-1: none yet)
template <class T> struct Best {
  T value;
  long long index;
};
// the first best wins, and NaN wins over numbers
struct ArgMax { template <class T> __device__ bool better(T a, T b) const { return a > b; } };
struct ArgMin { template <class T> __device__ bool better(T a, T b) const { return a < b; } };
template <class Order, class T>
TC Best<T> consider(Order order, Best<T> best, T value, long long index) {
  const bool wins = best.index < 0 || (best.value == best.value
                                       && (order.better(value, best.value) || value != value));
  if (wins) {
    best.value = value;
    best.index = index;
  }
  return best;
}
template <class Order> struct Arg {
  template <class T> __device__ Best<T> operator()(Best<T> a, Best<T> b) const {
    if (a.index < 0 || b.index < 0) return a.index < 0 ? b : a;
    const bool first = a.index <= b.index;  // so that both partners of an exchange agree
    const Best<T> early = first ? a : b, late = first ? b : a;
    return consider(Order(), early, late.value, late.index);
  }
};

template <class T> TC T exchange(T value, int mask) {
  if constexpr (sizeof(T) < 4) {
    return (T)__shfl_xor_sync(0xffffffffu, (int)value, mask);
  } else {
    return __shfl_xor_sync(0xffffffffu, value, mask);
  }
}
template <class T> TC Best<T> exchange(Best<T> best, int mask) {
  Best<T> out;
  out.value = exchange(best.value, mask);
  out.index = exchange(best.index, mask);
  return out;
}

// The combination of `value` over all threads of the block, in every one of them. All threads call
// it; what they wrote before is visible to all after it.
template <int threads, class Op, class T> TC T across_block(T value, Op op) {
  for (int mask = 16; mask > 0; mask >>= 1) value = op(value, exchange(value, mask));
  if constexpr (threads > 32) {
    __shared__ T partial[threads / 32];
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    value = partial[threadIdx.x % (threads / 32)];
    for (int mask = threads / 64; mask > 0; mask >>= 1) value = op(value, exchange(value, mask));
  }
  __syncthreads();
  return value;
}

}  // namespace tc
"""

PRELUDE = _START + _wrappers() + "\n" + _END
