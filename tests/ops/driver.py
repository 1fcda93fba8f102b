"""What the tests derived from the op table share: samples as functions, and numeric gradients."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracec_ir import dims, dtypes, interp
from tracec_ir.autodiff import grad_func
from tracec_ir.builder import Builder, number_dtype
from tracec_ir.core import Func, Value
from tracec_ir.optable import OpDef
from tracec_ir.types import ScalarType, TensorType, Type


@dataclass
class Case:
    """One sample of an op; `error` and `message` are set for inputs that must be refused."""

    op: OpDef
    inputs: tuple
    attrs: dict
    regions: tuple = ()
    error: type | None = None
    message: str = ""
    text: str = field(default="", repr=False)

    @property
    def types(self) -> list[Type]:
        return [type_of(x) for x in self.inputs]

    @property
    def arrays(self) -> bool:
        return not any(isinstance(x, (TensorType, ScalarType)) for x in self.inputs)

    def __str__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.types))}) {self.attrs}"


def type_of(x) -> Type:
    """The type of an array or Python number; types stand for themselves."""
    if isinstance(x, (TensorType, ScalarType)):
        return x
    if isinstance(x, (np.ndarray, np.generic)):
        return TensorType(dtypes.by_numpy(x.dtype), x.shape)
    return ScalarType(number_dtype(x))


def cases(d: OpDef) -> list[Case]:
    """Every sample of an op: (inputs, attrs[, regions]), or with error and message behind attrs."""
    out = []
    for sample in d.samples() if d.samples else ():
        inputs, attrs, *rest = sample
        if rest and isinstance(rest[0], type):
            error, message, *regions = rest
            out.append(Case(d, inputs, attrs, *regions, error=error, message=message))
        else:
            out.append(Case(d, inputs, attrs, *rest))
    return out


def valid(d: OpDef) -> list[Case]:
    return [c for c in cases(d) if c.error is None]


def refused(d: OpDef) -> list[Case]:
    return [c for c in cases(d) if c.error is not None]


def build(case: Case, types: list[Type] | None = None) -> Func:
    """The function that applies the case's op to its parameters."""
    b = Builder()
    params = [Value(t) for t in types or case.types]
    results = b.emit(case.op.name, params, case.attrs, case.regions)
    return b.func("f", params, results)


def symbolic_types(case: Case) -> tuple[list[Type], dict[str, int]]:
    """The operand types with a symbol for every size above 1 (equal ones share), and the values."""
    sizes: dict[str, int] = {}

    def symbolic(n: int):
        if n < 2:
            return n
        sizes[f"n{n}"] = n
        return dims.symbol(f"n{n}", n)

    types = [
        t.with_shape(map(symbolic, t.shape)) if isinstance(t, TensorType) else t for t in case.types
    ]
    return types, sizes


_WIDE = {
    dtypes.f32: np.float64, dtypes.f64: np.float64, dtypes.c64: np.complex128,
    dtypes.c128: np.complex128,
}  # fmt: skip


def differentiable(case: Case) -> Case | None:
    """The case in f64 or c128, if it has finite floating operands and few elements."""
    inputs, any_float = [], False
    for x in case.inputs:
        kind = type_of(x).dtype
        if kind in _WIDE and isinstance(x, np.ndarray):
            if not np.isfinite(x).all() or x.size > 300:
                return None
            any_float = True
            x = x.astype(_WIDE[kind])
        elif kind.kind in "fc" and isinstance(x, np.ndarray):
            return None
        inputs.append(x)
    return Case(case.op, tuple(inputs), case.attrs, case.regions) if any_float else None


def is_wide(t: Type) -> bool:
    """Whether t is a tensor of f64 or c128."""
    return isinstance(t, TensorType) and t.dtype in (dtypes.f64, dtypes.c128)


def seeds_for(func: Func, seed: int = 7) -> list[np.ndarray]:
    """Random cotangents of the results; zeros where there is no gradient."""
    rng = np.random.default_rng(seed)

    def one(t: Type) -> np.ndarray:
        if not is_wide(t):
            return np.zeros(t.shape, t.dtype.numpy)
        w = rng.standard_normal(t.shape)
        return np.asarray(w + 1j * rng.standard_normal(t.shape) if t.dtype.kind == "c" else w)

    return [one(r.type) for r in func.results]


def check_gradient(func: Func, inputs: tuple, tolerance: float = 2e-5) -> Func:
    """Compares autodiff with central differences in every element (of complex ones in both parts);
    returns the gradient."""
    wrt = [i for i, p in enumerate(func.params) if is_wide(p.type)]
    run = interp.closures(func)
    weights = seeds_for(func)

    def loss(args) -> float:
        return float(sum(
            np.sum(np.conj(w) * y).real
            for w, y, r in zip(weights, run(*args), func.results, strict=True)
            if is_wide(r.type)
        ))  # fmt: skip

    backward = grad_func(func, wrt)
    found = interp.run(backward, *inputs, *weights)
    for i, g in zip(wrt, found, strict=True):
        expected = np.zeros_like(inputs[i])
        for position in np.ndindex(*inputs[i].shape):
            step = 1e-6 * max(1.0, abs(inputs[i][position]))
            for direction in (1, 1j) if inputs[i].dtype.kind == "c" else (1,):
                sides = []
                for sign in (1, -1):
                    moved = inputs[i].copy()
                    moved[position] += sign * step * direction
                    sides.append(loss([*inputs[:i], moved, *inputs[i + 1 :]]))
                expected[position] += direction * (sides[0] - sides[1]) / (2 * step)
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        np.testing.assert_allclose(g, expected, rtol=tolerance, atol=tolerance * scale)
    return backward
