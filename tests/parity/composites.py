"""Runs composites on the IR level (interpreter and autodiff) beside PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tracec_ir import dims, dtypes, interp
from tracec_ir.autodiff import grad_func
from tracec_ir.builder import Builder, number_dtype
from tracec_ir.core import Func, Value
from tracec_ir.types import ScalarType, TensorType, Type


@dataclass
class Case:
    """A composite, PyTorch's function for it, operands (arrays or numbers), attributes."""

    name: str
    oracle: Callable[..., Any]
    operands: tuple
    attrs: dict = field(default_factory=dict)
    grad: bool = True
    symbolic: bool = True
    tolerance: float = 1e-10

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, np.shape(v))) or "s" for v in self.operands)
        return f"{self.name}-{shapes}"


def type_of(v: Any) -> Type:
    if isinstance(v, np.ndarray):
        return TensorType(dtypes.by_numpy(v.dtype), v.shape)
    return ScalarType(number_dtype(v))


def symbolic_type(v: Any) -> Type:
    """The type with a symbol for every size above 1; equal sizes share one."""
    t = type_of(v)
    if isinstance(t, ScalarType):
        return t
    return t.with_shape(n if n < 2 else dims.symbol(f"n{n}", n) for n in t.shape)


def build(case: Case, types: list[Type]) -> Func:
    b = Builder()
    params = [Value(t) for t in types]
    results = b.apply(case.name, params, case.attrs)
    return b.func("f", params, results)


def expected(case: Case) -> tuple[list, list[torch.Tensor]]:
    """PyTorch's results as arrays, and its operands (requiring grad where floating)."""
    operands = []
    for v in case.operands:
        t = torch.tensor(v) if isinstance(v, np.ndarray) else v
        if isinstance(t, torch.Tensor) and t.is_floating_point():
            t.requires_grad_(case.grad)
        operands.append(t)
    out = case.oracle(*operands)
    return list(out) if isinstance(out, (tuple, list)) else [out], operands


def close(ours: Any, theirs: torch.Tensor, case: Case, what: str) -> None:
    theirs_array = theirs.detach().numpy()
    assert ours.dtype == theirs_array.dtype, (what, ours.dtype, theirs_array.dtype)
    assert ours.shape == theirs_array.shape, (what, ours.shape, theirs_array.shape)
    np.testing.assert_allclose(
        ours, theirs_array, rtol=case.tolerance, atol=case.tolerance, err_msg=what, equal_nan=True
    )


def check(case: Case) -> None:
    """Values, gradients, and both again with symbolic sizes."""
    wanted, operands = expected(case)
    variants = [[type_of(v) for v in case.operands]]
    if case.symbolic:
        variants.append([symbolic_type(v) for v in case.operands])
    for types in variants:
        with dims.guards():
            func = build(case, types)
            results = interp.run(func, *case.operands)
            assert len(results) == len(wanted)
            for i, (ours, theirs) in enumerate(zip(results, wanted, strict=True)):
                close(ours, theirs, case, f"result {i} of {case.name}")
            if case.grad:
                check_gradients(case, func, wanted, operands)


def check_gradients(case: Case, func: Func, wanted: list, operands: list) -> None:
    rng = np.random.default_rng(3)
    seeds = [
        rng.uniform(-1, 1, t.shape).astype(np.float64)
        if t.requires_grad
        else np.zeros(t.shape, t.numpy().dtype)
        for t in wanted
    ]
    leaves = [t for t in operands if isinstance(t, torch.Tensor) and t.requires_grad]
    roots = [(t, torch.tensor(s)) for t, s in zip(wanted, seeds, strict=True) if t.requires_grad]
    theirs = torch.autograd.grad(
        [t for t, _ in roots], leaves, [s for _, s in roots], allow_unused=True, retain_graph=True
    )
    at = [i for i, t in enumerate(operands) if isinstance(t, torch.Tensor) and t.requires_grad]
    ours = interp.run(grad_func(func, at), *case.operands, *seeds)
    for i, mine, other in zip(at, ours, theirs, strict=True):
        other = torch.zeros_like(operands[i]) if other is None else other
        close(mine, other, case, f"gradient of operand {i} of {case.name}")
