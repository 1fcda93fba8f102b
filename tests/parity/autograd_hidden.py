"""Programs that write where autograd does not look, and leaves on memory shared with others (see
`autograd_programs.py`)."""

from __future__ import annotations

from tests.parity.autograd_programs import leaf, program, values


@program()
def computed_filled_under_no_grad(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = look(x * 2)
    with m.no_grad():
        y.fill_(7.0)
    look(y)
    y.sum().backward()
    return values(x.grad, y.detach())


@program()
def computed_changed_under_no_grad(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = look(x * 2)
    with m.no_grad():
        y.add_(1)
    (y * y).sum().backward()
    return values(x.grad, y.detach())


@program()
def element_written_under_no_grad(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = look(x * 2)
    with m.no_grad():
        y[0] = 5.0
    (y * y).sum().backward()
    return values(x.grad, y.detach())


@program()
def view_written_under_no_grad(m, look):
    x = leaf(m, 1.0, 2.0, 3.0, 4.0)
    y = look(x * 2)
    v = y.view(2, 2)
    with m.no_grad():
        v[0].mul_(10)
    (v * y.view(2, 2)).sum().backward()
    return values(x.grad, y.detach()), y._version


@program("modified by an inplace operation")
def saved_result_overwritten_under_no_grad(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x.exp())
    with m.no_grad():
        y.add_(1)
    y.sum().backward()


@program()
def computed_written_through_data(m, look):
    x = leaf(m, 1.0, 2.0)
    y = look(x * 2)
    y.data.fill_(3.0)
    (y * y).sum().backward()
    return values(x.grad), y._version


@program()
def computed_written_through_detached(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = look(x * 2)
    d = y.detach()
    d[1:].fill_(3.0)
    (y * y).sum().backward()
    return values(x.grad), y._version, d.requires_grad


@program()
def hidden_and_seen_writes_in_turn(m, look):
    x, w = leaf(m, 1.0, 2.0, 3.0), leaf(m, 2.0, 2.0, 2.0)
    y = look(x * 2)
    with m.no_grad():
        y[0] = 5.0
    look(y)
    y.mul_(w)
    look(y)
    with m.no_grad():
        y.clamp_(max=9.0)
    (y * 3).sum().backward()
    return values(x.grad, w.grad, y.detach())


@program()
def clipped_then_twice_differentiated(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = look(x * x)
    with m.no_grad():
        y.clamp_(max=5.0)
    (g,) = m.autograd.grad((y * y).sum(), x, create_graph=True)
    g.sum().backward()
    return values(g.detach(), x.grad)


@program()
def view_of_a_leaf_that_is_a_view(m, look):
    x = m.arange(6.0).reshape(2, 3)[1].requires_grad_()
    v = look(x[1:])
    (v * v).sum().backward()
    return values(x.grad)


@program()
def strided_view_reaching_beyond_its_leaf(m, look):
    x = m.arange(8.0)[2:6].detach().requires_grad_()
    v = look(x.as_strided((2, 2), (2, 1), 1))
    (v * v).sum().backward()
    return values(x.grad), v.requires_grad


@program()
def view_of_a_detached_leaf(m, look):
    b = leaf(m, 1.0, 2.0, 3.0, 4.0)
    c = look(b * 2)
    x = c[1:].detach().requires_grad_()
    v = look(x.view(3, 1).t())
    (v * v + c.sum()).sum().backward()
    return values(x.grad, b.grad)


@program()
def memory_of_a_leaf_written_by_its_base(m, look):
    b = m.arange(8.0)
    x = b[2:6].requires_grad_()
    v = look(x[1:])
    (v * v).sum().backward()
    with m.no_grad():
        b.mul_(2)
    (x[:2] * x[1:3]).sum().backward()
    return values(x.grad)


@program("a view of a leaf Variable that requires grad")
def view_of_a_leaf_on_shared_memory_written(m, look):
    x = m.arange(8.0)[2:6].detach().requires_grad_()
    x[1:].mul_(3)


@program()
def leaves_that_are_copies_of_one_tensor(m, look):
    d = m.tensor([0.25, 2.0])
    x, y = d.clone().requires_grad_(), d.clone().requires_grad_()
    look(x * y / d).sum().backward()
    return values(x.grad, y.grad)


@program()
def leaves_computed_alike(m, look):
    d = m.tensor([0.25, 2.0])
    x, y = (d * 3).requires_grad_(), (d * 3).requires_grad_()
    look(x / (d * 3) + y * x).sum().backward()
    return values(x.grad, y.grad)
