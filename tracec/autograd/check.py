"""`gradcheck`: analytical gradients against central differences."""

from __future__ import annotations

import numpy as np

from .. import record
from . import grad


class GradcheckError(RuntimeError):
    """The analytical and the numerical gradient differ."""


def _tensors(outputs) -> list:
    outs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    return [o for o in outs if isinstance(o, record.Tensor) and o.dtype.kind in "fc"]


def gradcheck(
    func,
    inputs,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of `func(*inputs)` with respect to the inputs that require grad equal
    central differences of step `eps` within `atol + rtol * |numerical|`.

    Inputs should be float64. Raises GradcheckError (or returns False) where they differ.
    """
    if check_forward_ad:
        raise NotImplementedError("gradcheck: check_forward_ad is not implemented")
    inputs = (inputs,) if isinstance(inputs, record.Tensor) else tuple(inputs)
    wanted = [x for x in inputs if isinstance(x, record.Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError("gradcheck expects at least one input tensor to require gradient")
    try:
        for k, out in enumerate(_tensors(func(*inputs))):
            _check_output(func, inputs, wanted, k, out, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _values(func, inputs, k: int) -> np.ndarray:
    return np.array(_tensors(func(*inputs))[k].detach().numpy()).reshape(-1)


def _check_output(func, inputs, wanted, k: int, out, eps: float, atol: float, rtol: float) -> None:
    from ..creation import from_numpy

    size = out.numel()
    numerical = []
    for x in wanted:
        base = np.array(x.detach().numpy())
        columns = np.zeros((base.size, size), out.dtype.numpy)
        for i in range(base.size):
            moved = []
            for sign in (1.0, -1.0):
                shifted = base.copy()
                shifted.reshape(-1)[i] += sign * eps
                replaced = [
                    from_numpy(shifted).clone().requires_grad_() if y is x else y for y in inputs
                ]
                moved.append(_values(func, replaced, k))
            columns[i] = (moved[0] - moved[1]) / (2 * eps)
        numerical.append(columns)
    if not out.requires_grad:
        return
    for j in range(size):
        seed = np.zeros(size, out.dtype.numpy)
        seed[j] = 1
        found = grad(
            _tensors(func(*inputs))[k],
            wanted,
            from_numpy(seed.reshape(out.shape)),
            allow_unused=True,
        )
        for n, (x, g, columns) in enumerate(zip(wanted, found, numerical, strict=True)):
            analytical = np.zeros(x.numel()) if g is None else g.detach().numpy().reshape(-1)
            if not np.allclose(analytical, columns[:, j], rtol=rtol, atol=atol, equal_nan=True):
                raise GradcheckError(
                    f"Jacobian mismatch for output {k} with respect to input {n},\nnumerical:"
                    f"{columns[:, j]}\nanalytical:{analytical}\n"
                )


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **options,
) -> bool:
    """`gradcheck` of the gradient function of `func`."""
    from ..creation import from_numpy

    inputs = (inputs,) if isinstance(inputs, record.Tensor) else tuple(inputs)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, record.Tensor) and x.requires_grad]
    outs = _tensors(func(*inputs))
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        grad_outputs = [
            from_numpy(rng.standard_normal(tuple(o.shape)).astype(o.dtype.numpy)).requires_grad_()
            for o in outs
        ]
    else:
        grad_outputs = (
            [grad_outputs] if isinstance(grad_outputs, record.Tensor) else list(grad_outputs)
        )

    def first(*args):
        xs, gs = args[: len(inputs)], args[len(inputs) :]
        found = grad(
            _tensors(func(*xs)),
            [xs[i] for i in wanted],
            list(gs),
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in found if g is not None and g.requires_grad)

    if not first(*inputs, *grad_outputs):
        return True
    return gradcheck(
        first,
        (*inputs, *grad_outputs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
    )
