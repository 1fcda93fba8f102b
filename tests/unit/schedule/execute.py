"""A slow executor of programs in plain Python: the reference meaning of the kernel dialect."""

from __future__ import annotations

import functools

import numpy as np

from tracec_codegen.kernel import core
from tracec_codegen.kernel.verify import verify
from tracec_codegen.program import CallStep, HostStep, KernelStep, Program, Ref
from tracec_ir import dims
from tracec_ir.dtypes import DType
from tracec_ir.optable import lookup


def run_program(program: Program, args: list, launch=None) -> list[np.ndarray]:
    """The outputs of a program on arrays (Python numbers for scalar inputs). `launch(kernel,
    arrays, sizes)` runs a kernel in place of the executor below."""
    launch = launch or (lambda *launched: KernelRun(*launched).run())
    env = {}
    for name, (i, axis) in program.sizes.items():
        env[name] = np.shape(args[i])[axis]
    memory = []
    for b in program.buffers:
        count = dims.evaluate(b.count, env)
        memory.append(np.full(count, _poison(b.dtype), b.dtype.numpy))
    for i, a in zip(program.inputs, args, strict=True):
        b = program.buffers[i]
        memory[i][:] = np.asarray(a).astype(b.dtype.numpy).reshape(-1)
    for out, source in program.donations.items():
        memory[program.outputs[out]] = memory[program.inputs[source]]
    for step in program.steps:
        if isinstance(step, KernelStep):
            verify(step.kernel)
            names = [s.name for s in step.kernel.sizes]
            sizes = {n: dims.evaluate(d, env) for n, d in zip(names, step.sizes, strict=True)}
            starts = step.offsets or (0,) * len(step.args)
            args = [memory[a][start:] for a, start in zip(step.args, starts, strict=True)]
            launch(step.kernel, args, sizes)
        elif isinstance(step, CallStep):
            _call(step, memory, env)
        else:
            _host(program, step, memory, env)
    shapes = [[dims.evaluate(s, env) for s in program.buffers[o].shape] for o in program.outputs]
    return [memory[o].reshape(s) for o, s in zip(program.outputs, shapes, strict=True)]


def _poison(dtype: DType):
    return np.nan if dtype.kind in "fc" else 1 if dtype.kind == "b" else 77


def _host(program: Program, step: HostStep, memory, env) -> None:
    arrays = []
    for a in step.args:
        b = program.buffers[a]
        shape = [dims.evaluate(s, env) for s in b.shape]
        arrays.append(memory[a].reshape(shape) if not b.scalar else memory[a][0].item())
    attrs = {k: _known(v, env) for k, v in step.attrs.items()}
    out = step.reference()(*arrays, **attrs)
    for o, value in zip(step.outs, out if isinstance(out, tuple) else (out,), strict=True):
        memory[o][:] = np.asarray(value).reshape(-1)


def _known(value, env):
    if isinstance(value, tuple):
        return tuple(_known(v, env) for v in value)
    return dims.evaluate(value, env) if isinstance(value, dims.Poly) else value


def _call(step: CallStep, memory, env) -> None:
    words = [w if isinstance(w, Ref) else dims.evaluate(w, env) for w in step.words]
    if not step.symbol.startswith("gemm"):
        _convolve(step, words, memory)
        return
    a, b, c, za, zb, zc, m, n, k, rsa, csa, rsb, csb, ldc, parts, flags, *_ = words
    batch = dims.evaluate(step.extent, env) // parts
    if not m * n * batch:
        return
    size = memory[a.buffer].itemsize

    def view(ref, z, rows, columns, rs, cs):
        flat = memory[ref.buffer][dims.evaluate(ref.offset, env) :]
        return np.lib.stride_tricks.as_strided(
            flat, (batch, rows, columns), (z * size, rs * size, cs * size)
        )

    out = view(c, zc, m, n, ldc, 1)
    assert flags == int(step.adds)
    if not flags:
        out[...] = 0
    if not k:
        return
    out[...] += view(a, za, m, k, rsa, csa) @ view(b, zb, k, n, rsb, csb)


class KernelRun:
    """One execution of a kernel."""

    def __init__(self, kernel: core.Kernel, arrays: list, sizes: dict[str, int]):
        self.kernel, self.env = kernel, dict(sizes)
        self.memory = {b.name: a for b, a in zip(kernel.bufs, arrays, strict=True)}
        self.error = (0, 0)

    def run(self):
        with np.errstate(all="ignore"):
            self.body(self.kernel.body)
        return self

    def at(self, d) -> int:
        return int(dims.evaluate(d, lambda name: int(self.env[name])))

    def body(self, stmts) -> None:
        for s in stmts:
            self.statement(s)

    def statement(self, s) -> None:
        env = self.env
        if isinstance(s, core.Loop):
            self.loop(s)
        elif isinstance(s, core.Const):
            env[s.name] = _cast(s.value, s.dtype)
        elif isinstance(s, core.Scalar):
            env[s.name] = scalar(s.op, [env[a] for a in s.args], s.dtype, s.attrs)
        elif isinstance(s, core.IndexValue):
            env[s.name] = _cast(self.at(s.index), s.dtype)
        elif isinstance(s, core.Load):
            env[s.name] = _cast(s.other, s.dtype)
            if not s.mask or env[s.mask]:
                env[s.name] = self.memory[s.buf][self.inside(s.buf, s.index)]
        elif isinstance(s, core.Store):
            if not s.mask or env[s.mask]:
                i = self.inside(s.buf, s.index)
                old = self.memory[s.buf][i]
                how = {"": "", "add": "sum", "mul": "prod"}.get(s.combine, s.combine)
                new = combine(how, old, env[s.value]) if how else env[s.value]
                assert np.asarray(new).dtype == self.memory[s.buf].dtype, (s, new)
                self.memory[s.buf][i] = new
        elif isinstance(s, core.Update):
            if not s.mask or env[s.mask]:
                assert np.asarray(env[s.value]).dtype == np.asarray(env[s.carry]).dtype, s
                env[s.carry] = combine(self.carries[s.carry].combine, env[s.carry], env[s.value])
        elif isinstance(s, core.ArgUpdate):
            c = self.carries[s.carry]
            old, new = env[c.name], env[s.value]
            better = new > old if c.combine == "max" else new < old
            if env[c.index_name] < 0 or (not _nan(old) and (better or _nan(new))):
                env[c.name], env[c.index_name] = new, np.int64(self.at(s.position))
        elif isinstance(s, core.Scratch):
            self.memory[s.name] = np.full(self.at(s.count), _poison(s.dtype), s.dtype.numpy)
        elif isinstance(s, core.Check):
            if not env[s.ok] and not self.error[0]:
                self.error = (s.code, int(env[s.value]))
        else:
            raise TypeError(s)

    def inside(self, buf: str, index) -> int:
        i = self.at(index)
        assert 0 <= i < len(self.memory[buf]), f"{buf}[{index}] = {i} of {len(self.memory[buf])}"
        return i

    carries: dict = {}

    def loop(self, s: core.Loop) -> None:
        saved = self.carries
        self.carries = {**saved, **{c.name: c for c in s.carries}}
        for c in s.carries:
            if isinstance(c, core.ArgCarry):
                self.env[c.name], self.env[c.index_name] = c.dtype.numpy.type(0), np.int64(-1)
            else:
                start = self.env[c.init] if isinstance(c.init, str) else c.init
                self.env[c.name] = _cast(start, c.dtype)
        for i in range(self.at(s.extent)):
            self.env[s.var] = i
            self.body(s.body)
        self.carries = saved


def _nan(x) -> bool:
    return bool(x != x)


def _cast(x, dtype: DType):
    return np.asarray(x).astype(dtype.numpy)[()]


def combine(how: str, a, b):
    """One step of an accumulation."""
    if how == "last":
        return b
    if how in ("any", "all"):
        return np.bool_(a or b) if how == "any" else np.bool_(a and b)
    if how in ("max", "min"):
        if _nan(a) or _nan(b):
            return a if _nan(a) else b
        return max(a, b) if how == "max" else min(a, b)
    out = a + b if how == "sum" else a * b
    return np.asarray(out).astype(np.asarray(a).dtype)[()]


@functools.cache
def _numpy(op: str):
    return lookup(op).numpy


def scalar(op: str, args: list, dtype: DType, attrs: dict):
    """A pointwise primitive on single elements."""
    if op in ("cast", "bitcast"):
        attrs = {"dtype": dtype}
    out = _numpy(op)(*map(np.asarray, args), **attrs)
    out = np.asarray(out)
    assert out.dtype == dtype.numpy, (op, args, out.dtype, dtype)
    return out[()]


def _convolve(step: CallStep, words: list, memory) -> None:
    kind = step.symbol.rsplit("_", 1)[0]
    x, w, y, n, groups, c, f, h, wd, kh, kw, oh, ow, sh, sw, top, left, dh, dw, *_ = words
    shapes = {x: (n, groups * c, h, wd), w: (groups * f, c, kh, kw), y: (n, groups * f, oh, ow)}
    arrays = {r: memory[r.buffer].reshape(s) for r, s in shapes.items()}
    bottom, right = (
        (oh - 1) * sh + dh * (kh - 1) + 1 - h - top,
        (ow - 1) * sw + dw * (kw - 1) + 1 - wd - left,
    )
    attrs = {
        "stride": (sh, sw),
        "padding": ((top, bottom), (left, right)),
        "dilation": (dh, dw),
        "groups": groups,
    }
    if kind == "conv":
        arrays[y][...] = lookup(kind).numpy(arrays[x], arrays[w], **attrs)
    elif kind == "conv_input":
        arrays[x][...] = lookup(kind).numpy(arrays[y], arrays[w], input_shape=shapes[x], **attrs)
    else:
        arrays[w][...] = lookup(kind).numpy(arrays[x], arrays[y], weight_shape=shapes[w], **attrs)
