"""Automatic differentiation: `backward`, `grad`, grad modes, custom functions, `gradcheck`."""

from __future__ import annotations

from .. import record
from .engine import accumulate
from .engine import backward as run
from .mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def _seed(root, gradient):
    if gradient is None:
        if root.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if root.dtype.kind == "c":
            raise RuntimeError(
                "grad can be implicitly created only for real scalar outputs but got torch.complex"
            )
        return None
    if not isinstance(gradient, record.Tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient._spec.shape != root._spec.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {gradient.shape} and output[0] has "
            "a shape "
            f"of {root.shape}."
        )
    if gradient.dtype is not root.dtype:
        gradient = record.apply("cast", (gradient,), {"dtype": root.dtype})
    return gradient


def _pairs(tensors, grads) -> tuple[list, list]:
    roots = [tensors] if isinstance(tensors, record.Tensor) else list(tensors)
    if grads is None:
        grads = [None] * len(roots)
    elif isinstance(grads, record.Tensor):
        grads = [grads]
    for root in roots:
        if not root.requires_grad:
            raise RuntimeError(
                "element 0 of tensors does not require grad and does not have a grad_fn"
            )
    return roots, [_seed(r, g) for r, g in zip(roots, grads, strict=True)]


def _deprecated(text: str) -> None:
    import warnings

    warnings.warn(text, FutureWarning, stacklevel=3)


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph: bool = False,
    grad_variables=None,
    inputs=None,
) -> None:
    """Adds the gradients of `tensors` to the `.grad` of the leaves (only of `inputs`, if given).

    Raises RuntimeError if a tensor does not require grad, if a non-scalar comes without its
    cotangent, and if the graph was already used up.
    """
    if grad_variables is not None:
        _deprecated("`grad_variables` is deprecated. Use `grad_tensors` instead.")
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    roots, seeds = _pairs(tensors, grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run(roots, seeds, keep, create_graph)
        return
    wanted = [inputs] if isinstance(inputs, record.Tensor) else list(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    for t, g in zip(wanted, run(roots, seeds, keep, create_graph, wanted), strict=True):
        if g is not None:
            accumulate(t, g, create_graph)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused=None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
):
    """The gradients of `outputs` (summed, weighted by `grad_outputs`) with respect to `inputs`.

    Returns one tensor per input, shaped like it; None for an unused one with `allow_unused`,
    else RuntimeError. Nothing is accumulated.
    """
    if is_grads_batched:
        raise NotImplementedError("autograd.grad: is_grads_batched=True is not implemented")
    if not only_inputs:
        _deprecated(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use torch.autograd.backward."
        )
    wanted = [inputs] if isinstance(inputs, record.Tensor) else list(inputs)
    if not wanted:
        raise ValueError("grad requires non-empty inputs.")
    for t in wanted:
        if not t.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots, seeds = _pairs(outputs, grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    found = run(roots, seeds, keep, create_graph, wanted)
    if materialize_grads:
        found = [
            record.apply("full", (0,), {"shape": tuple(t.shape), "dtype": t.dtype})
            if g is None
            else g
            for t, g in zip(wanted, found)
        ]
    elif not allow_unused and None in (missing := [None if g is None else 0 for g in found]):
        raise RuntimeError(
            f"The differentiated Tensor at index {missing.index(None)} appears to not have been "
            "used in the "
            "graph. Set allow_unused=True if this is the desired behavior."
        )
    return tuple(found)


def __getattr__(name: str):
    if name in ("Function", "FunctionCtx", "once_differentiable"):
        from . import function

        return getattr(function, name)
    if name == "Variable":
        from .variable import Variable

        return Variable
    if name in ("functional", "forward_ad"):
        from importlib import import_module

        return import_module(f".{name}", __name__)
    if name in ("gradcheck", "gradgradcheck"):
        from . import check

        return getattr(check, name)
    if name in ("detect_anomaly", "set_detect_anomaly"):
        from . import anomaly

        return getattr(anomaly, name)
    raise AttributeError(f"module 'tracec.autograd' has no attribute '{name}'")
