"""Derivatives of functions: grad, vjp, jvp, linearize. The function is captured once, ordinary
autograd goes backward inside the capture, and the result is one call outside.

Forward mode is reverse mode twice: u -> u J is linear in u, and its own transpose is v -> J v.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import record
from ..autograd import run as go_back
from ..autograd.edges import alias, call_segment
from ..utils._pytree import TreeSpec, tree_flatten, tree_unflatten
from .capture import Capture, Captured, Hole, connected, gradient_bits, write_back

Tensor = record.Tensor


# -- arguments ------------------------------------------------------------------------------------
def chosen(argnums: Any, count: int) -> tuple[int, ...]:
    """The positions of the arguments to differentiate by."""
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(i, int) for i in numbers):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not numbers:
        raise RuntimeError("argnums must be non-empty")
    out = []
    for i in numbers:
        if not -count <= i < count:
            raise RuntimeError(f"Got argnum={i}, but only {count} positional inputs")
        out.append(i % count)
    if len(set(out)) < len(out):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple(out)


class Variables:
    """The arguments that a function is differentiated by: the leaves of those at `argnums` (None:
    all of them), and their places."""

    def __init__(self, args: tuple, argnums: Any = None):
        self.args = args
        self.places = range(len(args)) if argnums is None else chosen(argnums, len(args))
        self.single = isinstance(argnums, int)
        parts = tuple(args[i] for i in self.places)
        self.leaves, self.spec = tree_flatten(parts[0] if self.single else parts)

    def inside(self, c: Capture) -> tuple[list, list[Tensor]]:
        """The arguments in the capture, and those of their leaves that gradients are wanted of."""
        inner = []
        for x in self.leaves:
            if not isinstance(x, Tensor):
                raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
            if x.dtype.kind not in "fc":
                raise RuntimeError("only Tensors of floating point dtype can require gradients")
            inner.append(c.given(x, x.shape, x._spec, 1))
        parts = self.tree(inner)
        args = list(self.args)
        for i, part in zip(self.places, (parts,) if self.single else parts, strict=True):
            args[i] = part
        return args, inner

    def tree(self, leaves: list) -> Any:
        """The tree of the chosen arguments with these leaves."""
        return tree_unflatten(leaves, self.spec)


def gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Any]
) -> list[Tensor]:
    """The gradients of `outputs` weighted by `seeds`; zeros where there is no path."""
    pairs = [
        (o, s) for o, s in zip(outputs, seeds, strict=True) if connected(o) and o.dtype.kind in "fc"
    ]
    found: list = [None] * len(inputs)
    if pairs and inputs:
        found = go_back([o for o, _ in pairs], [s for _, s in pairs], True, True, list(inputs))
    return [filled(x, 0) if g is None else g for x, g in zip(inputs, found, strict=True)]


def filled(x: Tensor, value: float) -> Tensor:
    """A tensor like x of one value."""
    return record.apply("full", (value,), {"shape": tuple(x.shape), "dtype": x.dtype})


# -- results --------------------------------------------------------------------------------------
class Results:
    """Tensors that a captured function computes, taken while the capture is open, to be recorded
    outside once it is closed."""

    def __init__(self, c: Capture, tensors: Sequence[Tensor]):
        self.codes, self.written = tuple(c.code(t) for t in tensors), c.writes()
        self.captured = Captured(c)

    def outside(self, holes: Sequence[Tensor] = ()) -> list[Tensor]:
        """The results as one call; what the function wrote is written."""
        every = (*self.codes, *(code for _, code in self.written))
        arguments = self.captured.arguments(holes)
        bits = gradient_bits(arguments, (1,) * len(every))
        values = call_segment(self.captured.call(every), arguments, bits)
        write_back(self.written, values[len(self.codes) :])
        return list(values[: len(self.codes)])


class Later:
    """Tensors that depend on operands given later, any number of times."""

    def __init__(self, results: Results):
        self.results, results.written = results, []
        c = results.captured
        c.operands = tuple(x if isinstance(x, Hole) else alias(x) for x in c.operands)

    def __call__(self, operands: Sequence[Tensor]) -> list[Tensor]:
        return self.results.outside(operands)


def output_of(name: str, out: Any, has_aux: bool) -> tuple[Any, Any]:
    """(the differentiated part, the rest) of what a function returned, checked."""
    aux = None
    if has_aux:
        if not (isinstance(out, tuple) and len(out) == 2):
            raise RuntimeError(
                f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
            )
        out, aux = out
        for a in tree_flatten(aux)[0]:
            if not isinstance(a, Tensor):
                raise RuntimeError(f"Expected tensors, got unsupported type {type(a)}")
    for o in tree_flatten(out)[0]:
        if not isinstance(o, Tensor):
            raise RuntimeError(
                f"{name}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(o)}"
            )
    return out, aux


# -- gradients of numbers -------------------------------------------------------------------------
def grad_and_value(func: Callable, argnums: Any = 0, has_aux: bool = False) -> Callable:
    """The function of the same arguments that returns the gradient of `func` by arguments
    `argnums`, and what `func` returns: a number, or with `has_aux` a pair of it and anything."""

    @functools.wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        wrt = Variables(args, argnums)
        aux = None
        with Capture() as c:
            inside, inner = wrt.inside(c)
            output = func(*inside, **kwargs)
            if has_aux:
                if not (isinstance(output, tuple) and len(output) == 2):
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: "
                        "(output, aux) if has_aux is True"
                    )
                output, aux = output
            _check_number(output)
            extra, aux_spec = tree_flatten(aux)
            grads = gradients([output], inner, [None])
            results = Results(c, [*grads, output, *(a for a in extra if isinstance(a, Tensor))])
        values = results.outside()
        found, value = wrt.tree(values[: len(inner)]), values[len(inner)]
        if not has_aux:
            return found, value
        rest = iter(values[len(inner) + 1 :])
        extra = [next(rest) if isinstance(a, Tensor) else a for a in extra]
        return found, (value, tree_unflatten(extra, aux_spec))

    return derived


def _check_number(output: Any) -> None:
    if not isinstance(output, Tensor):
        raise RuntimeError(
            f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}"
        )
    if output.dim() != 0:
        raise RuntimeError(
            "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor "
            f"with {output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
        )
    if output.dtype.kind == "c" and connected(output):
        raise RuntimeError(
            "grad can be implicitly created only for real scalar outputs but got "
            f"torch.{output.dtype.name}"
        )


def grad(func: Callable, argnums: Any = 0, has_aux: bool = False) -> Callable:
    """The function of the same arguments that returns the gradient of `func` (which returns one
    number) by arguments `argnums`; with `has_aux` a pair of it and what `func` returns besides."""

    @functools.wraps(func)
    def derived(*args: Any, **kwargs: Any) -> Any:
        found, value = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return derived


# -- cotangents backward --------------------------------------------------------------------------
class Pullback:
    """A function's results `out` (and `aux`) at a point, and, when called, the products of
    cotangents with its Jacobian there."""

    def __init__(self, func: Callable, primals: tuple, has_aux: bool, argnums: Any = None):
        self.wrt = Variables(primals, argnums)
        with Capture() as c:
            inside, inner = self.wrt.inside(c)
            out, aux = output_of("vjp(f, *primals)", func(*inside), has_aux)
            outs, self.spec = tree_flatten(out)
            extra, aux_spec = tree_flatten(aux)
            results = Results(c, [*outs, *(a for a in extra if isinstance(a, Tensor))])
            seeds = [
                c.given(Hole(i), o.shape, o._spec, 1) if o.dtype.kind in "fc" else None
                for i, o in enumerate(outs)
            ]
            back = Results(c, gradients(outs, inner, seeds))
        self.later = Later(back)
        values = results.outside()
        n = len(outs)
        self.outs = values[:n]
        self.out = tree_unflatten(self.outs, self.spec)
        self.aux = tree_unflatten(values[n:], aux_spec) if has_aux else None

    def __call__(self, cotangents: Any) -> Any:
        """The gradients by the primals, a tree like the arguments."""
        leaves, spec = tree_flatten(cotangents)
        if spec != self.spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {_shown(spec)}, primal output: "
                f"{_shown(self.spec)}"
            )
        given = []
        for i, (g, o) in enumerate(zip(leaves, self.outs, strict=True)):
            if g.shape != o.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] "
                    f"has a shape of {o.shape}."
                )
            given.append(_cast(g, o))
        return self.wrt.tree(self.later(given))


def _cast(x: Tensor, like: Tensor) -> Tensor:
    return x if x.dtype is like.dtype else record.apply("cast", (x,), {"dtype": like.dtype})


class _Star:
    def __repr__(self) -> str:
        return "*"


def _shown(spec: TreeSpec) -> str:
    """A tree with a star for every leaf."""
    return repr(tree_unflatten([_Star()] * spec.num_leaves, spec))


def vjp(func: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """`func(*primals)`, a function from cotangents (shaped like that) to the gradients by all
    primals, and with `has_aux` what `func` returns besides."""
    back = Pullback(func, primals, has_aux)

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: Any = None) -> Any:
        return back(cotangents)

    return (back.out, vjp_fn, back.aux) if has_aux else (back.out, vjp_fn)


# -- tangents forward -----------------------------------------------------------------------------
def _forward(
    c: Capture, outs: Sequence[Tensor], inner: Sequence[Tensor], tangents: Sequence[Tensor],
    first: int,
) -> list[Tensor]:  # fmt: skip
    """The tangents of outs. Cotangents are needed on the way, whose values do not matter: holes
    from number `first` on."""
    duals = [
        c.given(Hole(first + i), o.shape, o._spec, 1) if o.dtype.kind in "fc" else None
        for i, o in enumerate(outs)
    ]
    back = gradients(outs, inner, duals)
    wanted = [d for d in duals if d is not None]
    found = iter(gradients(back, wanted, tangents))
    return [filled(o, 0) if d is None else next(found) for o, d in zip(outs, duals, strict=True)]


def _check_primals(name: str, primals: Any, tangents: Any) -> None:
    if not isinstance(primals, tuple):
        raise RuntimeError(
            f"{name}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals)."
        )
    spec, other = tree_flatten(primals)[1], tree_flatten(tangents)[1]
    if spec != other:
        raise RuntimeError(
            f"{name}: Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with "
            f"structure {spec} and tangents with structure {other}"
        )
    for what, tree in (("primals", primals), ("tangents", tangents)):
        leaves = tree_flatten(tree)[0]
        for x in leaves:
            if not isinstance(x, Tensor):
                raise RuntimeError(
                    f"{name}: Expected {what} to only contain Tensors, got {type(x)}"
                )
        if not leaves:
            raise RuntimeError(f"{name}: Expected {what} to contain at least one Tensor.")


def pushed(
    func: Callable, primals: tuple, tangents: Any, has_aux: bool, strict: bool = False,
    argnums: Any = None,
) -> tuple:  # fmt: skip
    """(output, its tangent, aux) of a function at primals moving along tangents."""
    name = "jvp(f, primals, tangents)"
    wrt = Variables(primals, argnums)
    _check_primals(name, (wrt.tree(wrt.leaves),), (tangents,))
    directions = []
    for x, t in zip(wrt.leaves, tree_flatten(tangents)[0], strict=True):
        if x.dtype.kind not in "fc":
            raise ValueError(f"Expected primal to be floating point or complex, but got: {x.dtype}")
        if t.shape != x.shape:
            raise RuntimeError(
                "Trying to set a forward gradient that has a different size than that of the "
                f"original Tensor, this is not supported. Tensor is of size {list(x.shape)} while "
                f"the given forward gradient is of size {list(t.shape)}."
            )
        directions.append(_cast(t, x))
    with Capture() as c:
        inside, inner = wrt.inside(c)
        out, aux = output_of(name, func(*inside), has_aux)
        outs, spec = tree_flatten(out)
        if strict and not all(map(connected, outs)):
            raise RuntimeError(
                "jvp(f, primals, tangents, strict=True): The output of f is independent of the "
                "inputs. This is not allowed with strict=True."
            )
        extra, aux_spec = tree_flatten(aux)
        moved = _forward(c, outs, inner, directions, 0)
        results = Results(c, [*outs, *moved, *(a for a in extra if isinstance(a, Tensor))])
    values = results.outside([filled(o, 1) for o in outs])
    n = len(outs)
    rest = tree_unflatten(values[2 * n :], aux_spec) if has_aux else None
    return tree_unflatten(values[:n], spec), tree_unflatten(values[n : 2 * n], spec), rest


def jvp(
    func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False
) -> tuple:
    """`func(*primals)` and the product of its Jacobian with `tangents` (shaped like primals); with
    `has_aux` also what `func` returns besides."""
    _check_primals("jvp(f, primals, tangents)", primals, tangents)
    out, moved, aux = pushed(func, primals, tangents, has_aux, strict)
    return (out, moved, aux) if has_aux else (out, moved)


def linearize(func: Callable, *primals: Any) -> tuple:
    """`func(*primals)` and the function of tangents that multiplies them with the Jacobian."""
    wrt = Variables(primals)
    with Capture() as c:
        inside, inner = wrt.inside(c)
        out, _ = output_of("linearize(f, *primals)", func(*inside), False)
        outs, spec = tree_flatten(out)
        results = Results(c, outs)
        directions = [c.given(Hole(i), x.shape, x._spec, 1) for i, x in enumerate(inner)]
        moved = Results(c, _forward(c, outs, inner, directions, len(inner)))
    later = Later(moved)
    values = results.outside()

    def jvp_fn(*tangents: Any) -> Any:
        leaves, other = tree_flatten(tangents)
        if other != wrt.spec:
            raise RuntimeError(
                f"Expected the tangents {other} to have the same argspec as the primals {wrt.spec}"
            )
        for i, (t, x) in enumerate(zip(leaves, wrt.leaves, strict=True)):
            for what in ("shape", "dtype"):
                if getattr(t, what) != getattr(x, what):
                    raise RuntimeError(
                        f"tangent:{i} with {what} {getattr(t, what)} in flattened pytree doesn't "
                        f"match the {what} {getattr(x, what)} of the corresponding primal."
                    )
        return tree_unflatten(later([*leaves, *(filled(o, 1) for o in values)]), spec)

    return tree_unflatten(values, spec), jvp_fn
