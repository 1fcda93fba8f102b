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

    Inputs should be float64 or complex128; the gradient of a complex number u + i*v is that with
    respect to u plus i times that with respect to v. Raises GradcheckError (or returns False) where
    they differ.
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

    numerical = [_differences(func, inputs, x, k, out, eps) for x in wanted]
    if not out.requires_grad:
        return
    for j in range(out.numel()):
        for unit in _directions(out.dtype):
            seed = np.zeros(out.numel(), out.dtype.numpy)
            seed[j] = unit
            found = grad(
                _tensors(func(*inputs))[k],
                wanted,
                from_numpy(seed.reshape(tuple(out.shape))),
                allow_unused=True,
            )
            for n, (x, g, moved) in enumerate(zip(wanted, found, numerical, strict=True)):
                analytical = np.zeros(x.numel()) if g is None else g.detach().numpy().reshape(-1)
                expected = sum(
                    (np.conj(unit) * part[:, j]).real * direction
                    for direction, part in zip(_directions(x.dtype), moved, strict=True)
                )
                if not np.allclose(analytical, expected, rtol=rtol, atol=atol, equal_nan=True):
                    raise GradcheckError(
                        f"Jacobian mismatch for output {k} with respect to input {n},\nnumerical:"
                        f"{expected}\nanalytical:{analytical}\n"
                    )


def _directions(dtype) -> tuple:
    """The directions in which one number of this dtype can move."""
    return (1.0, 1j) if dtype.kind == "c" else (1.0,)


def _differences(func, inputs, x, k: int, out, eps: float) -> list[np.ndarray]:
    """Per direction, how output k moves with each element of x: x.numel() by out.numel()."""
    from ..creation import from_numpy

    base = np.array(x.detach().numpy())
    found = []
    for direction in _directions(x.dtype):
        columns = np.zeros((base.size, out.numel()), out.dtype.numpy)
        for i in range(base.size):
            sides = []
            for sign in (1.0, -1.0):
                shifted = base.copy()
                shifted.reshape(-1)[i] += sign * eps * direction
                moved = from_numpy(shifted).clone().requires_grad_()
                sides.append(_values(func, [moved if y is x else y for y in inputs], k))
            columns[i] = (sides[0] - sides[1]) / (2 * eps)
        found.append(columns)
    return found


def _random(rng: np.random.Generator, x) -> np.ndarray:
    """Random numbers of the dtype and shape of x."""
    values = rng.standard_normal(tuple(x.shape))
    if x.dtype.kind == "c":
        values = values + 1j * rng.standard_normal(tuple(x.shape))
    return np.asarray(values).astype(x.dtype.numpy)


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
        grad_outputs = [from_numpy(_random(rng, o)).requires_grad_() for o in outs]
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
