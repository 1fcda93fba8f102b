// Runs CUDA kernels on the CPU: blocks one after another, the threads of a block as fibers.
//
// Fibers switch at barriers and warp exchanges only, in ascending or descending order, so that a
// missing barrier shows in one of the two. A barrier that not all threads reach is an error.
#pragma once
#include <math.h>
#include <setjmp.h>
#include <string.h>
#include <ucontext.h>

#include <cstdio>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ thread_local
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(n)
#define __restrict__ __restrict

struct Index {
  unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

enum State { ready, at_barrier, at_exchange, finished };
enum Failure { none, divergent_barrier, deadlock };
const int warp = 32, stack_bytes = 64 * 1024;

struct Fiber {
  ucontext_t context;  // for the first switch; the others are jumps, which need no system call
  jmp_buf here;
  bool started;
  std::vector<char> stack;
  State state;
  unsigned turn;  // exchanges so far
};
static std::vector<Fiber> fibers;
static jmp_buf scheduler;
static void (*kernel)(const long long*);
static const long long* arguments;
static unsigned current, threads, waiting, done;
static Failure failure;
static std::vector<unsigned> arrived;  // lanes of each warp at their exchange
static std::vector<unsigned long long> slots;  // two per thread: exchanges alternate

static void entry() {
  kernel(arguments);
  fibers[current].state = finished;
  ++done;
  if (waiting) failure = divergent_barrier;
  _longjmp(scheduler, 1);
}

static void pause(State state) {
  Fiber& fiber = fibers[current];
  fiber.state = state;
  if (state == at_barrier) {
    if (done) failure = divergent_barrier;
    if (++waiting == threads) {
      waiting = 0;
      for (unsigned t = 0; t < threads; ++t) fibers[t].state = ready;
    }
  } else {
    const unsigned first = current / warp * warp;
    if (++arrived[current / warp] == (unsigned)warp) {
      arrived[current / warp] = 0;
      for (unsigned t = first; t < first + warp; ++t) fibers[t].state = ready;
    }
  }
  if (_setjmp(fiber.here) == 0) _longjmp(scheduler, 1);
}

static unsigned long long swap(unsigned long long word, int mask) {
  Fiber& fiber = fibers[current];
  const unsigned parity = fiber.turn++ % 2;
  slots[2 * current + parity] = word;
  const unsigned partner = current / warp * warp + ((current % warp) ^ mask);
  pause(at_exchange);
  return slots[2 * partner + parity];
}

static void resume(Fiber& fiber) {
  if (_setjmp(scheduler) != 0) return;
  if (fiber.started) _longjmp(fiber.here, 1);
  fiber.started = true;
  setcontext(&fiber.context);
}

static void run_block(bool descending) {
  waiting = done = 0;
  for (unsigned t = 0; t < threads; ++t) {
    Fiber& fiber = fibers[t];
    fiber.state = ready;
    fiber.turn = 0;
    fiber.started = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, entry, 0);
  }
  while (done < threads && failure == none) {
    bool progress = false;
    for (unsigned k = 0; k < threads && failure == none; ++k) {
      current = descending ? threads - 1 - k : k;
      if (fibers[current].state != ready) continue;
      progress = true;
      threadIdx.x = current;
      resume(fibers[current]);
    }
    if (!progress && failure == none) failure = deadlock;
  }
}

// 0, or why the launch failed
static int launch(unsigned x, unsigned y, unsigned count, bool descending, unsigned char* shared,
                  size_t shared_bytes, void (*body)(const long long*), const long long* packed) {
  threads = count;
  kernel = body;
  arguments = packed;
  failure = none;
  gridDim = {x, y, 1};
  blockDim = {count, 1, 1};
  if (fibers.size() < count) fibers.resize(count);
  for (Fiber& fiber : fibers) fiber.stack.resize(stack_bytes);
  arrived.assign(count / warp, 0);
  slots.assign(2 * count, 0);
  for (unsigned k = 0; k < x * y && failure == none; ++k) {
    const unsigned block = descending ? x * y - 1 - k : k;
    blockIdx = {block % x, block / x, 0};
    memset(shared, 0xA5, shared_bytes);  // shared memory starts undefined
    run_block(descending);
  }
  return failure;
}

}  // namespace emulation

static inline void __syncthreads() { emulation::pause(emulation::at_barrier); }

template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
  unsigned long long word = 0;
  memcpy(&word, &value, sizeof(T));
  word = emulation::swap(word, mask);
  memcpy(&value, &word, sizeof(T));
  return value;
}

static inline unsigned long long atomicCAS(unsigned long long* at, unsigned long long expected,
                                           unsigned long long wanted) {
  const unsigned long long old = *at;
  if (old == expected) *at = wanted;
  return old;
}

template <class To, class From> To reinterpret(From from) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}
static inline int __float_as_int(float x) { return reinterpret<int>(x); }
static inline float __int_as_float(int x) { return reinterpret<float>(x); }
static inline long long __double_as_longlong(double x) { return reinterpret<long long>(x); }
static inline double __longlong_as_double(long long x) { return reinterpret<double>(x); }

// CUDA's erfinv: a guess from its asymptotics, then Halley steps
static inline double erfinv(double x) {
  const double size = ::fabs(x);
  if (size > 1) return NAN;
  if (size == 1) return x * INFINITY;
  const double rest = 1 - size, l = ::log(rest * (1 + size)), half = 2 / (M_PI * 0.147) + l / 2;
  const double guess = ::sqrt(half * half - l / 0.147) - half;
  double y = ::sqrt(guess > 0 ? guess : 0);
  for (int k = 0; k < 3; ++k) {
    const double error = size < 0.5 ? ::erf(y) - size : rest - ::erfc(y);
    const double step = error * ::sqrt(M_PI) / 2 * ::exp(y * y);
    y -= step / (1 + y * step);
  }
  return ::copysign(y, x);
}
static inline float erfinvf(float x) { return (float)erfinv((double)x); }
