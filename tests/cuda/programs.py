"""The programs that the CUDA tests run: by name, a function of primitives and its arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from tracec_codegen.cuda.emit import Unit, emit
from tracec_codegen.program import KernelStep, Program
from tracec_codegen.schedule import schedule
from tracec_codegen.target import named_target
from tracec_ir import dtypes
from tracec_ir.autodiff import grad_func
from tracec_ir.builder import Builder
from tracec_ir.core import Func, Value
from tracec_ir.dims import symbol
from tracec_ir.dtypes import DType
from tracec_ir.passes.pipeline import lower
from tracec_ir.types import ScalarType, TensorType, Type

TARGET = named_target("avx2")  # decides what is fused; the kernels say nothing about the machine
N = symbol("n", 37)


@dataclass(frozen=True)
class Case:
    """A function over parameters of `types`; `wrt`: its gradient for these parameters instead."""

    name: str
    body: Callable
    types: tuple[Type, ...]
    wrt: tuple[int, ...] = ()
    low: int = 0  # range of integer arguments
    high: int = 3
    tolerance: float = 2e-5

    @property
    def func(self) -> Func:
        b = Builder()
        params = [Value(t, name=f"p{i}") for i, t in enumerate(self.types)]
        out = self.body(b, *params)
        func = b.func(self.name, params, out if isinstance(out, tuple) else (out,))
        return lower(grad_func(func, list(self.wrt)) if self.wrt else func)

    def arguments(self, func: Func) -> list:
        rng = np.random.default_rng(0)
        out: list = []
        for p in func.params:
            d = p.type.dtype
            if isinstance(p.type, ScalarType):
                out.append(0.25 if d.kind == "f" else 3)
                continue
            shape = [37 if not isinstance(s, int) else s for s in p.type.shape]
            if d.kind in "iu":
                out.append(rng.integers(self.low, self.high, shape).astype(d.numpy))
            elif d.kind == "b":
                out.append(rng.integers(0, 2, shape).astype(bool))
            else:
                out.append(rng.standard_normal(shape).astype(d.numpy))
        return out


def kernels(name: str, program: Program) -> list[Unit]:
    """The program's kernels as CUDA C, named so that those of many programs fit one module."""
    steps = [s for s in program.steps if isinstance(s, KernelStep)]
    return [emit(replace(s.kernel, name=f"{name}_{n}")) for n, s in enumerate(steps)]


@cache
def scheduled(name: str) -> Program:
    return schedule(CASES[name].func, TARGET)


def f32(*shape) -> TensorType:
    return TensorType(dtypes.f32, shape)


def of(dtype: DType, *shape) -> TensorType:
    return TensorType(dtype, shape)


def _movement(b, x):
    t = b.permute(x, (1, 0))
    s = b.slice(t, starts=(3, 0), stops=(-1, 4), steps=(-1, 2))
    p = b.pad(s, b.const(1.5, dtypes.f32), low=(1, 0), high=(0, 2), interior=(0, 1))
    c = b.concat(p, b.neg(p), axis=0)
    return b.reshape(c, (c.type.numel,))


def _statistics(axis):
    def normalise(b, x):
        axes = tuple(a for a in range(3) if a != axis)
        count = np.prod([x.shape[a] for a in axes])
        mean = b.mul(b.reduce(x, "sum", axes, keepdim=True), float(1 / count))
        d = b.sub(x, mean)
        var = b.mul(b.reduce(b.mul(d, d), "sum", axes, keepdim=True), float(1 / count))
        return b.mul(d, b.rsqrt(b.add(var, 1e-5))), b.reshape(mean, (x.shape[axis],))

    return normalise


def _mixed(b, x, y):
    return b.select(b.gt(b.cast(x, dtypes.f32), y), b.cast(y, dtypes.i32), x)


def _cross_entropy(b, x, t):
    return b.cross_entropy(x, t)


def _reduce(kind: str, *axes: int):
    return lambda b, x: b.reduce(x, kind, axes)


def _arg(kind: str, axis: int):
    return lambda b, x: b.emit1("argreduce", x, kind=kind, axis=axis)


def _scan(kind: str, axis: int):
    return lambda b, x: b.emit1("scan", x, kind=kind, axis=axis)


def _scatter(kind: str):
    return lambda b, x, v, i: b.emit1("scatter", x, v, i, axes=(0,), kind=kind)


def _layer_norm(b, x, w, c):
    return b.layer_norm(x, w, c, normalized_shape=(x.shape[-1],))


_CASES = [
    # pointwise and views
    Case("chain", lambda b, x, y: b.mul(b.exp(b.add(x, y)), 2.5), (f32(40, 60), f32(60))),
    Case("long", lambda b, x: b.tanh(x), (f32(70_000),)),
    Case("symbolic", lambda b, x, y: b.mul(b.sin(x), y), (f32(N, 50), f32(N, 50))),
    Case("transposed", lambda b, x: b.exp(b.permute(x, (1, 0))), (f32(300, 500),)),
    Case("columns_added", lambda b, x, y: b.add(x, y), (f32(90, 300), f32(90, 1))),
    Case("movement", _movement, (f32(4, 4),)),
    Case("wide_movement", _movement, (f32(40, 70),)),
    Case("scalar_argument", lambda b, x, lr: b.sub(x, b.mul(x, lr)),
         (f32(3000), ScalarType(dtypes.f64))),
    Case("half", lambda b, x: b.mul(b.exp(x), x), (of(dtypes.f16, 50, 40),), tolerance=2e-3),
    Case("bfloat", lambda b, x: b.mul(b.exp(x), x), (of(dtypes.bf16, 50, 40),), tolerance=2e-2),
    # reductions
    *(Case(f"rows_{k}", _reduce(k, 1), (f32(50, 700),), tolerance=1e-4 if k == "prod" else 2e-5)
      for k in ("sum", "max", "min", "prod")),
    Case("rows_any", _reduce("any", 1), (of(dtypes.b1, 20, 50),)),
    Case("rows_all", _reduce("all", 1), (of(dtypes.b1, 20, 50),)),
    Case("rows_i64", _reduce("sum", 1), (of(dtypes.i64, 90, 300),)),
    Case("rows_f16", _reduce("sum", 1), (of(dtypes.f16, 90, 300),), tolerance=4e-3),
    Case("rows_f64", _reduce("sum", 1), (of(dtypes.f64, 90, 300),), tolerance=1e-12),
    Case("columns_small", _reduce("sum", 0), (f32(9, 50),)),
    Case("columns_large", _reduce("sum", 0), (f32(700, 100),)),
    Case("columns_max", _reduce("max", 0), (f32(700, 100),)),
    Case("everything", lambda b, x: b.mul(b.reduce(x, "sum", (0, 1)), 0.5), (f32(300, 200),)),
    Case("outer_and_inner", _reduce("sum", 0, 2), (f32(30, 40, 50),)),
    Case("symbolic_rows", _reduce("sum", 1), (f32(50, N),)),
    Case("argmax_rows", _arg("max", 1), (f32(500, 700),)),
    Case("argmin_columns", _arg("min", 0), (f32(60, 300),)),
    Case("argmax_ties", _arg("max", 1), (of(dtypes.i32, 60, 300),)),
    # rows and normalisation
    Case("softmax", lambda b, x: b.softmax(x, dim=-1), (f32(200, 400),)),
    Case("softmax_small", lambda b, x: b.softmax(x, dim=-1), (f32(5, 7),)),
    Case("softmax_spilled", lambda b, x: b.softmax(x, dim=-1), (f32(40, 13_000),)),
    Case("log_softmax", lambda b, x: b.log_softmax(x, dim=-1), (f32(200, 400),)),
    Case("softmax_gradient", lambda b, x: b.softmax(x, dim=-1), (f32(200, 400),), wrt=(0,)),
    Case("layer_norm", _layer_norm, (f32(200, 400), f32(400), f32(400))),
    Case("layer_norm_gradient", _layer_norm, (f32(300, 400), f32(400), f32(400)), wrt=(0, 1, 2),
         tolerance=1e-4),
    *(Case(f"statistics_{a}", _statistics(a), (f32(13, 14, 50),), tolerance=1e-4)
      for a in range(3)),
    Case("cross_entropy", _cross_entropy, (f32(60, 20), of(dtypes.i64, 60))),
    Case("cross_entropy_gradient", _cross_entropy, (f32(600, 100), of(dtypes.i64, 600)), wrt=(0,),
         high=100),
    Case("together", lambda b, x: (b.exp(x), b.reduce(x, "sum", (0,)), b.softmax(x, dim=-1)),
         (f32(5, 33),)),
    # serial and indexed
    *(Case(f"scan_{k}_{a}", _scan(k, a), (f32(40, 60),), tolerance=1e-4)
      for k, a in (("sum", 0), ("sum", 1), ("prod", 1), ("max", 1))),
    Case("scan_large", _scan("sum", 1), (f32(300, 700),)),
    *(Case(f"scatter_{k}", _scatter(k), (f32(30, 70), f32(40, 70), of(dtypes.i64, 40)))
      for k in ("set", "add", "mul", "max")),
    Case("gather", lambda b, x, i: b.gather(x, i, axes=(0,)), (f32(50, 40), of(dtypes.i64, 3, 2)),
         low=-50, high=50),
    Case("gather_large", lambda b, x, i: b.gather(x, i, axes=(0,)),
         (f32(50, 400), of(dtypes.i64, 300)), low=-50, high=50),
    Case("philox", lambda b, s, o: b.emit1("philox", s, o, shape=(5000,), dtype=dtypes.f32),
         (ScalarType(dtypes.i64), ScalarType(dtypes.i64))),
    Case("mixed_types", _mixed, (of(dtypes.i32, 40, 50), f32(40, 50))),
]  # fmt: skip
CASES = {c.name: c for c in _CASES}
