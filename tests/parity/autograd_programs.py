"""Small programs whose gradients (or errors) must be PyTorch's: `m` is the framework, `look` either
does nothing or makes a value known, which splits the trace between forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PROGRAMS: dict[str, tuple[Callable, str]] = {}


def program(error: str = "") -> Callable:
    """Registers a program; `error` is the key phrase of the RuntimeError that it must end with."""

    def register(fn: Callable) -> Callable:
        PROGRAMS[fn.__name__] = (fn, error)
        return fn

    return register


def leaf(m: Any, *values: float) -> Any:
    return m.tensor(list(values), requires_grad=True)


def values(*tensors: Any) -> list:
    return [t.tolist() if hasattr(t, "tolist") else t for t in tensors]


@program()
def accumulate(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = look((x * x).sum())
    y.backward()
    z = look((x * 3).sum())
    z.backward()
    return values(x.grad)


@program()
def retain_graph(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look((x.exp()).sum())
    y.backward(retain_graph=True)
    y.backward()
    return values(x.grad)


@program("backward through the graph a second time")
def backward_twice(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look((x.exp()).sum())
    y.backward()
    y.backward()
    return values(x.grad)


@program()
def backward_twice_where_nothing_is_saved(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look((x + 1).sum())
    y.backward()
    y.backward()
    return values(x.grad)


@program()
def third_derivative(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look((x**3).sum())
    (g,) = m.autograd.grad(y, x, create_graph=True)
    look(g)
    (h,) = m.autograd.grad(g.sum(), x, create_graph=True)
    look(h)
    (k,) = m.autograd.grad(h.sum(), x)
    return values(g.detach(), h.detach(), k)


@program()
def backward_with_create_graph(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look((x**3).sum())
    y.backward(create_graph=True)
    g = x.grad
    x.grad = None
    look(g).sum().backward()
    return values(g.detach(), x.grad, g.requires_grad)


@program()
def leaf_hook(m, look):
    log = []
    x = leaf(m, 1.0, 2.0)
    h = x.register_hook(lambda g: (log.append(g.tolist()), g * 2)[1])
    look((x * 3).sum()).backward()
    h.remove()
    (x * 3).sum().backward()
    return values(x.grad), log


@program()
def nonleaf_hook(m, look):
    log = []
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: (log.append(g.tolist()), g * 2)[1])
    z = look((y * y).sum())
    z.backward()
    return values(x.grad), log


@program()
def nonleaf_hook_removed(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    h = y.register_hook(lambda g: g * 2)
    h.remove()
    z = look((y * y).sum())
    z.backward()
    return values(x.grad)


@program()
def retain_grad(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x * 2)
    y.retain_grad()
    z = look((y * y).sum())
    z.backward()
    return values(x.grad, y.grad), y.retains_grad


@program()
def retain_grad_late(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    y.retain_grad()
    look(z)
    z.backward()
    return values(x.grad, y.grad)


@program()
def hook_late(m, look):
    seen = []
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    y.register_hook(seen.append)
    look(z)
    z.backward()
    return values(x.grad, *seen)


@program()
def grad_nonleaf(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x * 2)
    z = look((y * y).sum())
    g = m.autograd.grad(z, [x, y])
    return values(*g)


@program()
def unused(m, look):
    x = leaf(m, 1.0, 2.0)
    w = leaf(m, 1.0)
    z = look((x * x).sum())
    return values(*m.autograd.grad(z, [x, w], allow_unused=True))


@program("appears to not have been used in the graph")
def unused_input_is_an_error(m, look):
    x = leaf(m, 1.0, 2.0)
    w = leaf(m, 1.0)
    z = look((x * x).sum())
    return values(*m.autograd.grad(z, [x, w]))


@program()
def materialize(m, look):
    x = leaf(m, 1.0, 2.0)
    w = leaf(m, 1.0)
    z = look((x * x).sum())
    return values(*m.autograd.grad(z, [x, w], materialize_grads=True))


@program()
def grad_outputs(m, look):
    x = leaf(m, 1.0, 2.0)
    z = look(x * x)
    return values(*m.autograd.grad(z, x, grad_outputs=m.tensor([1.0, 10.0])))


@program()
def multi_outputs(m, look):
    x = leaf(m, 1.0, 2.0)
    z = look(x * x)
    w = look(x * 3)
    return values(
        *m.autograd.grad([z, w], [x], grad_outputs=[m.tensor([1.0, 10.0]), m.tensor([1.0, 1.0])])
    )


@program("grad can be implicitly created only for scalar outputs")
def nonscalar(m, look):
    x = leaf(m, 1.0, 2.0)
    z = look(x * x)
    z.backward()
    return 1


@program("Mismatch in shape")
def bad_shape(m, look):
    x = leaf(m, 1.0, 2.0)
    z = look(x * x)
    z.backward(m.ones(3))
    return 1


@program()
def gradient_arg(m, look):
    x = leaf(m, 1.0, 2.0)
    z = look(x * x)
    z.backward(m.tensor([1.0, 3.0]))
    return values(x.grad)


@program("does not require grad and does not have a grad_fn")
def root_without_grad(m, look):
    x = m.tensor([1.0, 2.0])
    look(x.sum()).backward()


@program("Tensors of floating point")
def integers_made_with_requires_grad(m, look):
    m.tensor([1, 2], requires_grad=True)


@program("Tensors of floating point")
def integers_cannot_require_grad(m, look):
    x = m.tensor([1, 2])
    x.requires_grad_()


@program("you can only change requires_grad flags of leaf variables")
def requires_grad_of_a_computed_tensor(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    y.requires_grad = False


@program("does not require grad")
def root_made_in_no_grad(m, look):
    x = leaf(m, 1.0, 2.0)
    with m.no_grad():
        y = look((x * x).sum())
    y.backward()


@program()
def backward_inside_no_grad(m, look):
    x = leaf(m, 1.0, 2.0)
    y = (x * x).sum()
    look(y)
    with m.no_grad():
        y.backward()
    return values(x.grad)


@program()
def modes(m, look):
    x = leaf(m, 1.0, 2.0)
    with m.inference_mode():
        y = x * 2
    r = [y.requires_grad, m.is_grad_enabled()]

    @m.no_grad()
    def f():
        return (x * 2).requires_grad

    r.append(f())
    with m.no_grad():
        with m.enable_grad():
            r.append((x * 2).requires_grad)
        r.append((x * 2).requires_grad)
    with m.set_grad_enabled(False):
        r.append((x * 2).requires_grad)
    m.set_grad_enabled(False)
    r.append(m.is_grad_enabled())
    m.set_grad_enabled(True)

    @m.set_grad_enabled(False)
    def g():
        return (x * 2).requires_grad

    r.append(g())
    r.append(m.is_grad_enabled())

    @m.inference_mode()
    def h():
        return (x * 2).requires_grad

    r.append(h())
    return r


@program()
def leaves_and_nodes(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    r = [y.grad_fn is not None, x.grad_fn is None, x.is_leaf, y.is_leaf, (y > 1).requires_grad]
    z = look(y.sum())
    z.backward(inputs=[x])
    return r, values(x.grad)


@program()
def backward_inputs(m, look):
    x = leaf(m, 1.0, 2.0)
    w = leaf(m, 3.0, 4.0)
    y = look((x * w).sum())
    y.backward(inputs=[w])
    return values(x.grad, w.grad)


@program()
def backward_inputs_computed(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    z = look((y * y).sum())
    z.backward(inputs=[y])
    return values(x.grad, y.grad)


@program()
def grad_preset(m, look):
    x = leaf(m, 1.0, 2.0)
    x.grad = m.tensor([1.0, 1.0])
    look((x * x).sum()).backward()
    g = x.grad
    (x * x).sum().backward()
    return values(x.grad), g is x.grad


@program("attempting to assign a gradient of size")
def grad_wrong_shape(m, look):
    x = leaf(m, 1.0, 2.0)
    x.grad = m.ones(3)


@program()
def post_hook(m, look):
    x = leaf(m, 1.0, 2.0)
    log = []
    x.register_post_accumulate_grad_hook(lambda p: log.append(p.grad.tolist()))
    look((x * x).sum()).backward()
    return log


@program("Can't call numpy() on Tensor that requires grad")
def numpy_rg(m, look):
    x = leaf(m, 1.0, 2.0)
    return x.numpy()


@program()
def repeated_indices(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    i = m.tensor([0, 0, 2])
    y = x[i]
    look(y)
    (y * y).sum().backward()
    return values(x.grad)


@program()
def chain(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    for _ in range(5):
        y = look(y * x + y)
    y.sum().backward()
    return values(x.grad)


@program()
def diamond(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x * x)
    z = look(y * y)
    w = look(y + z)
    w.sum().backward()
    return values(x.grad)


@program()
def two_roots_shared(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x * x)
    a1 = y.sum()
    b1 = look((y * y).sum())
    a1.backward(retain_graph=True)
    b1.backward()
    return values(x.grad)


@program("backward through the graph a second time")
def two_roots_shared_freed(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x * x)
    a1 = y.sum()
    b1 = look((y * y).sum())
    a1.backward()
    b1.backward()
    return values(x.grad)


@program()
def autograd_backward(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look((x * x).sum())
    m.autograd.backward([y, x * 3], [None, m.ones(2)])
    return values(x.grad)


@program()
def gradient_of_itself(m, look):
    x = leaf(m, 3.0)
    y = x.sum()
    (g,) = m.autograd.grad(y, y)
    return values(g)


@program()
def leaf_backward(m, look):
    x = m.tensor(3.0, requires_grad=True)
    x.backward()
    return values(x.grad)


@program("modified by an inplace operation")
def leaf_changed(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * x
    with m.no_grad():
        x.add_(1)
    look(y)
    y.sum().backward()
    return values(x.grad)
