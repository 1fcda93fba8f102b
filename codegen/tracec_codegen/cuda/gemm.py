"""Matrix products as CUDA C: tiles in shared memory, a square of results per thread.

c[i, j] = sum over l of a[i, l] * b[l, j] for matrices of any strides (c's columns are dense), and a
batch of them. Every result is one chain of fused multiply-adds in the order of l, in float for the
half types, so the bits depend on the operands alone. Parameters follow the words of a `gemm` call
of the native library: addresses of a, b, c; batch strides; m, n, k; row and column strides of a and
of b; the row stride of c; then the size of the batch.
"""

from __future__ import annotations

from tracec_ir.dims import floordiv, symbol
from tracec_ir.dtypes import DType

from .emit import Parameter, Unit
from .launch import Launch
from .types import from_memory, header, memory_type, register_type, to_memory

TILE, DEPTH, THREADS = 64, 16, 256
SIZES = ("za", "zb", "zc", "m", "n", "k", "rsa", "csa", "rsb", "csb", "ldc", "batch")

_BODY = """\
  // thread (row, column) of 16 x 16 owns rows row + 16 i and columns column + 16 j of the tile
  __shared__ REAL left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
  const int row = threadIdx.x / 16, column = threadIdx.x % 16;
  const long long across = (n + TILE - 1) / TILE, tiles = across * ((m + TILE - 1) / TILE);
  // neighbouring threads read neighbouring elements, whichever axis is dense
  const bool left_rows = csa == 1, right_rows = csb == 1;
  for (long long z = blockIdx.y; z < batch; z += gridDim.y) {
    for (long long tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      const long long top = tile / across * TILE, first = tile % across * TILE;
      REAL sums[4][4] = {};
      for (long long start = 0; start < k; start += DEPTH) {
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
          const int depth = left_rows ? e % DEPTH : e / TILE;
          const int i = left_rows ? e / DEPTH : e % TILE;
          const long long l = start + depth, at = top + i;
          left[depth][i] = l < k && at < m ? LOAD_A : 0;
        }
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
          const int depth = right_rows ? e / TILE : e % DEPTH;
          const int j = right_rows ? e % TILE : e / DEPTH;
          const long long l = start + depth, at = first + j;
          right[depth][j] = l < k && at < n ? LOAD_B : 0;
        }
        __syncthreads();
        for (int depth = 0; depth < DEPTH; ++depth) {
          REAL x[4], y[4];
          for (int i = 0; i < 4; ++i) x[i] = left[depth][row + 16 * i];
          for (int j = 0; j < 4; ++j) y[j] = right[depth][column + 16 * j];
          for (int i = 0; i < 4; ++i) {
            for (int j = 0; j < 4; ++j) sums[i][j] = FMA(x[i], y[j], sums[i][j]);
          }
        }
        __syncthreads();
      }
      for (int i = 0; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) {
          const long long at = top + row + 16 * i, column_at = first + column + 16 * j;
          if (at < m && column_at < n) c[z * zc + at * ldc + column_at] = STORE_C;
        }
      }
    }
  }
"""


def gemm(dtype: DType, name: str = "") -> Unit:
    """The product of matrices of floats of one type, as a kernel named `gemm_<type>` or `name`."""
    if not dtype.is_floating_point:
        raise NotImplementedError(f"CUDA matrix product of {dtype.name}")
    name = name or f"gemm_{dtype.code}"
    memory, real = memory_type(dtype), register_type(dtype)
    parameters = (
        Parameter("buffer", f"const {memory}* __restrict__", "a"),
        Parameter("buffer", f"const {memory}* __restrict__", "b"),
        Parameter("buffer", f"{memory}* __restrict__", "c"),
        *(Parameter("size", "long long", size) for size in SIZES),
    )
    body = _BODY
    for mark, text in (
        ("LOAD_A", from_memory("a[z * za + at * rsa + l * csa]", dtype)),
        ("LOAD_B", from_memory("b[z * zb + l * rsb + at * csb]", dtype)),
        ("STORE_C", to_memory("sums[i][j]", dtype)),
        ("FMA", "fma" if real == "double" else "fmaf"),
        ("REAL", real),
        ("TILE", str(TILE)), ("DEPTH", str(DEPTH)), ("THREADS", str(THREADS)),
    ):  # fmt: skip
        body = body.replace(mark, text)
    listed = ", ".join(f"{p.type} {p.name}" for p in parameters)
    head = f'extern "C" __global__ void __launch_bounds__({THREADS})\n{name}({listed}) {{\n'
    m, n = symbol("m"), symbol("n")
    tiles = floordiv(m + TILE - 1, TILE) * floordiv(n + TILE - 1, TILE)
    launch = Launch("tiles", THREADS, (tiles, symbol("batch")), (1, 1), 0)
    return Unit(name, head + body + "}\n", parameters, launch, frozenset({header(dtype)} - {""}))
