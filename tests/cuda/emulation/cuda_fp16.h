// The part of CUDA's half that emitted kernels use, on the CPU.
#pragma once
typedef _Float16 __half;
static inline float __half2float(__half x) { return (float)x; }
static inline __half __float2half_rn(float x) { return (__half)x; }
static inline unsigned short __half_as_ushort(__half x) { return reinterpret<unsigned short>(x); }
static inline __half __ushort_as_half(unsigned short x) { return reinterpret<__half>(x); }
