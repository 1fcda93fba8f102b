"""User-defined differentiable functions: `torch.autograd.Function`."""

from __future__ import annotations

from .. import record
from ..record import Tensor
from . import edges
from .graph import TWICE, Output, modified_message, serials
from .mode import no_grad


class FunctionCtx:
    """What `forward` leaves for `backward`."""

    def __init__(self):
        self._to_save: tuple = ()
        self._non_differentiable: tuple = ()
        self._dirty: tuple = ()
        self._materialize = True
        self._freed = False
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors) -> None:
        """Keeps tensors for `ctx.saved_tensors`; writing them in place later is an error."""
        self._to_save = tensors
        self._versions = [t._st.version if isinstance(t, Tensor) else 0 for t in tensors]

    @property
    def saved_tensors(self) -> tuple:
        if self._freed:
            raise RuntimeError(TWICE)
        for t, version in zip(self._to_save, getattr(self, "_versions", ())):
            if isinstance(t, Tensor) and t._st.version != version:
                raise RuntimeError(modified_message(t._spec, t._st.version, version))
        return self._to_save

    def mark_non_differentiable(self, *tensors) -> None:
        self._non_differentiable = tensors

    def mark_dirty(self, *tensors) -> None:
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing gradients come as zeros (the default) or as None."""
        self._materialize = value


class _Node:
    """The graph node of one call of a Function."""

    def __init__(self, function, ctx, inputs: list, specs: list):
        self.function, self.ctx, self.inputs, self.specs = function, ctx, inputs, specs
        self.time = next(serials)

    def run(self, grads: dict, keep: bool) -> list:
        ctx = self.ctx
        args = []
        for i, spec in enumerate(self.specs):
            g = grads.get(i)
            if g is None and ctx._materialize:
                g = record.apply("full", (0,), {"shape": tuple(spec.shape), "dtype": spec.dtype})
            args.append(g)
        out = self.function.backward(ctx, *args)
        if not keep and ctx._to_save:
            ctx._freed, ctx._to_save = True, ()
        out = out if isinstance(out, tuple) else (out,)
        if len(out) < len(self.inputs) or any(g is not None for g in out[len(self.inputs) :]):
            raise RuntimeError(
                f"function {self.function.__name__}Backward returned an incorrect number of "
                "gradients "
                f"(expected {len(self.inputs)}, got {len(out)})"
            )
        pairs = []
        for i, (x, g) in enumerate(zip(self.inputs, out)):
            if x is None or g is None:
                continue
            if g.shape != x.shape:
                from tracec_ir.promote import broadcast_shapes

                try:
                    fits = broadcast_shapes(tuple(g.shape), tuple(x.shape)) == tuple(g.shape)
                except RuntimeError:
                    fits = False
                if not fits:
                    raise RuntimeError(
                        f"Function {self.function.__name__}Backward returned an invalid gradient "
                        "at index "
                        f"{i} - got {list(g.shape)} but expected shape compatible with "
                        f"{list(x.shape)}"
                    )
                g = g.sum_to_size(x.shape)
            pairs.append((x, g))
        return pairs


class Function:
    """Subclass with static `forward(ctx, *args)` (or `forward(*args)` and `setup_context`) and
    `backward(ctx, *grads)`; call with `apply`."""

    @staticmethod
    def forward(*args, **kwargs):
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to "
            "use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs `forward` without recording a graph and makes its results differentiable by
        `backward`."""
        ctx = FunctionCtx()
        grad_on = record.current().grad
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        wanted = grad_on and any(ctx.needs_input_grad)
        inputs = [
            edges.alias(a) if wanted and need else None
            for a, need in zip(args, ctx.needs_input_grad)
        ]
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                out = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, out)
            else:
                out = cls.forward(ctx, *args, **kwargs)
        single = not isinstance(out, tuple)
        outs = [out] if single else list(out)
        if wanted:
            tensors = [o for o in outs if isinstance(o, Tensor)]
            node = _Node(cls, ctx, inputs, [o._spec for o in tensors])
            k = 0
            for i, o in enumerate(outs):
                if not isinstance(o, Tensor):
                    continue
                fixed = o.dtype.kind not in "fc" or any(o is n for n in ctx._non_differentiable)
                if not fixed:
                    shared = o._spec is not o._st.spec or o._st.source is not None
                    if shared and not any(o is d for d in ctx._dirty):
                        with no_grad():
                            o = outs[i] = o.detach().clone()
                    edges.reseat(o, Output(node, k))
                k += 1
        return outs[0] if single else tuple(outs)


def once_differentiable(fn):
    """Marks a backward whose result cannot be differentiated again."""

    def run(ctx, *grads):
        with no_grad():
            return fn(ctx, *grads)

    return run
