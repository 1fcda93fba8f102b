"""Programs with user-defined functions, views, detached tensors and in-place writes (see
`autograd_programs.py`)."""

from __future__ import annotations

from tests.parity.autograd_programs import leaf, program, values


@program()
def detach(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    z = y.detach() * x
    look(z)
    z.sum().backward()
    return values(x.grad)


@program("a leaf Variable that requires grad")
def leaf_inplace(m, look):
    x = leaf(m, 1.0, 2.0)
    x += 1


@program("a view of a leaf Variable that requires grad")
def leaf_setitem(m, look):
    x = leaf(m, 1.0, 2.0)
    x[0] = 1


@program("a view of a leaf Variable that requires grad")
def leaf_view_inplace(m, look):
    x = leaf(m, 1.0, 2.0)
    x[:1].add_(1)


@program()
def leaf_no_grad_inplace(m, look):
    x = leaf(m, 1.0, 2.0)
    with m.no_grad():
        x += 1
        x.mul_(2)
        x[0] = 5
    look((x * x).sum()).backward()
    return values(x.grad, x.detach()), x._version


@program("modified by an inplace operation")
def saved_operand_overwritten(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    z = y * y
    look(z)
    y.add_(1)
    z.sum().backward()
    return values(x.grad)


@program()
def operand_not_saved_overwritten(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    z = y + y
    look(z)
    y.mul_(5)
    z.sum().backward()
    return values(x.grad)


@program("modified by an inplace operation")
def saved_result_overwritten(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x.exp()
    look(y)
    y.add_(1)
    y.sum().backward()
    return values(x.grad)


@program()
def exp_in_place(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    y.exp_()
    look(y)
    y.sum().backward()
    return values(x.grad)


@program()
def slice_write(m, look):
    x = leaf(m, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    y[1:3] = y[1:3] * 10
    look(y)
    (y * y).sum().backward()
    return values(x.grad)


@program()
def write_into_zeros(m, look):
    x = leaf(m, 1.0, 2.0, 3.0, 4.0)
    y = m.zeros(2, 2)
    y[0] = x[:2]
    y[:, 1] += x[2:]
    look(y)
    (y * y).sum().backward()
    return values(x.grad), y.requires_grad


@program()
def write_through_view(m, look):
    x = leaf(m, 1.0, 2.0, 3.0, 4.0)
    y = x * 1
    v = y.view(2, 2).t()
    v.mul_(m.tensor([[1.0, 2], [3, 4]]))
    look(y)
    (y * y).sum().backward()
    return values(x.grad)


@program()
def view_sees_base_write(m, look):
    x = leaf(m, 1.0, 2.0, 3.0, 4.0)
    y = m.zeros(4)
    v = y[:2]
    y[1:3] = x[1:3]
    look(y)
    v.sum().backward()
    return values(x.grad), v.requires_grad


@program()
def view_grad(m, look):
    x = leaf(m, 1.0, 2.0, 3.0, 4.0)
    v = x.view(2, 2)[1]
    look((v * v).sum()).backward()
    return values(x.grad)


@program()
def detached_rg(m, look):
    x = leaf(m, 1.0, 2.0)
    d = x.detach()
    d.requires_grad_()
    y = look((d * x).sum())
    y.backward()
    return values(x.grad, d.grad)


@program()
def detached_nonleaf_rg(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    look(y)
    d = y.detach().requires_grad_()
    z = look((d * d + y).sum())
    z.backward()
    return values(x.grad, d.grad)


@program()
def detach_share_write(m, look):
    x = leaf(m, 1.0, 2.0)
    d = x.detach()
    d.add_(5)
    look(x)
    (x * x).sum().backward()
    return values(x.grad)


@program("modified by an inplace operation")
def detach_write_version(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * x
    d = x.detach()
    d.add_(5)
    y.sum().backward()
    return values(x.grad)


@program()
def data_assign(m, look):
    x = leaf(m, 1.0, 2.0)
    x.data = m.tensor([5.0, 6.0])
    look(x * 1)
    (x * x).sum().backward()
    return values(x.grad, x.detach()), x.is_leaf


@program()
def zero_size(m, look):
    x = m.zeros(0, 3, requires_grad=True)
    y = look((x * 2).sum())
    y.backward()
    return values(x.grad), tuple(x.grad.shape)


@program()
def function(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x, w, k):
            ctx.save_for_backward(x, w)
            ctx.k = k
            return x * w * k

        @staticmethod
        def backward(ctx, g):
            x, w = ctx.saved_tensors
            return g * w * ctx.k, (g * x * ctx.k) if ctx.needs_input_grad[1] else None, None

    x = leaf(m, 1.0, 2.0)
    w = leaf(m, 3.0, 4.0)
    y = F.apply(x, w, 10.0)
    look(y)
    (y * y).sum().backward()
    v = F.apply(x, w.detach(), 2.0)
    v.sum().backward()
    return values(x.grad, w.grad)


@program()
def function_multi(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            i = x > 1.5
            s = x * 2
            t = x * 3
            ctx.mark_non_differentiable(i)
            return s, t, i

        @staticmethod
        def backward(ctx, gs, gt, gi):
            return gs * 2 + gt * 3

    x = leaf(m, 1.0, 2.0)
    s, t, i = F.apply(x)
    look(s)
    (s * s).sum().backward(retain_graph=True)
    t.sum().backward()
    return values(x.grad), i.requires_grad, s.requires_grad


@program()
def function_dirty(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.mul_(3)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 3

    x = leaf(m, 1.0, 2.0)
    y = x * 1
    z = F.apply(y)
    look(z)
    (z * z).sum().backward()
    return values(x.grad, y.detach()), z is y


@program()
def function_double(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x**2

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x)
    look(y)
    (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()
    return values(x.grad, g.detach())


@program("backward through the graph a second time")
def function_twice(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x**2

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x)
    look(y)
    y.sum().backward()
    y.sum().backward()


@program("returned an incorrect number of gradients")
def function_wrong_count(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g, g

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x)
    look(y)
    y.sum().backward()


@program("returned an invalid gradient at index 0")
def function_wrong_shape(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return m.ones(5)

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x)
    look(y)
    y.sum().backward()


@program()
def function_setup_context(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(x):
            return x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x)
    look(y)
    y.sum().backward()
    return values(x.grad)


@program()
def function_gradient_reversal(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return -g

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x * 1)
    look(y)
    (y * 2).sum().backward()
    return values(x.grad)


@program()
def function_view(m, look):
    class F(m.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view(2, 1)

        @staticmethod
        def backward(ctx, g):
            return g.view(2) * 7

    x = leaf(m, 1.0, 2.0)
    y = F.apply(x)
    look(y)
    (y * 2).sum().backward()
    return values(x.grad)


@program()
def detach_in_place(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 2
    y.detach_()
    look(y)
    return y.requires_grad, y.is_leaf


@program()
def split(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    a_, b_ = x.split([1, 2])
    look(a_)
    y = (a_ * b_).sum()
    y.backward()
    return values(x.grad)


@program()
def expand(m, look):
    x = leaf(m, 1.0, 2.0, 3.0)
    y = x.expand(2, 3)
    look(y)
    (y * m.tensor([[1.0], [2.0]])).sum().backward()
    return values(x.grad)


@program()
def copy_in_place(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x.clone()
    look(y)
    y.copy_(x * 3)
    y.sum().backward()
    return values(x.grad)


@program()
def copy_into_zeros(m, look):
    x = leaf(m, 1.0, 2.0)
    y = m.zeros(2)
    y.copy_(x)
    look(y)
    y.sum().backward()
    return values(x.grad)


@program()
def fill_elem(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    y[0] = 0
    look(y)
    (y * y).sum().backward()
    return values(x.grad)


@program()
def zero_in_place(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    y.zero_()
    look(y)
    (y * x).sum().backward()
    return values(x.grad)


@program("modified by an inplace operation")
def saved_operand_overwritten_in_no_grad(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    z = y * y
    with m.no_grad():
        y.add_(1)
    look(z)
    z.sum().backward()
    return values(x.grad)


@program("modified by an inplace operation")
def sigmoid_result_overwritten(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x.sigmoid()
    y.mul_(2)
    look(y)
    y.sum().backward()
    return values(x.grad)


@program("modified by an inplace operation")
def relu_result_overwritten(m, look):
    x = leaf(m, 1.0, 2.0)
    y = m.relu(x * 1)
    y.add_(1)
    look(y)
    y.sum().backward()
    return values(x.grad)


@program()
def relu_in_place(m, look):
    x = leaf(m, 1.0, 2.0)
    y = x * 1
    w = y.relu_()
    look(y)
    w.sum().backward()
    return values(x.grad), w is y
