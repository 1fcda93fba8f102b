"""Autograd without a second framework: checks by differences, errors, hooks, modes, memory."""

import gc
import weakref
from collections.abc import Iterator

import pytest

import tracec
from tracec import record
from tracec_runtime import knobs
from tracec_runtime.events import counts


@pytest.fixture(autouse=True)
def grad_mode_is_restored() -> Iterator[None]:
    yield
    assert tracec.is_grad_enabled()


def leaf(*values: float, dtype=tracec.float32) -> tracec.Tensor:
    return tracec.tensor(list(values), dtype=dtype, requires_grad=True)


def nothing(t: tracec.Tensor) -> tracec.Tensor:
    return t


def item(t: tracec.Tensor) -> tracec.Tensor:
    t.detach().sum().item()
    return t


LOOKS = pytest.mark.parametrize("look", [nothing, item])


# -- gradcheck ------------------------------------------------------------------------------------
class Cube(tracec.autograd.Function):
    factor = 3.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * Cube.factor * x**2


def test_gradcheck_accepts_right_and_finds_wrong_gradients(monkeypatch) -> None:
    x = leaf(1.0, 2.0, dtype=tracec.float64)
    assert tracec.autograd.gradcheck(Cube.apply, (x,))
    monkeypatch.setattr(Cube, "factor", 2.5)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        tracec.autograd.gradcheck(Cube.apply, (x,))
    assert not tracec.autograd.gradcheck(Cube.apply, (x,), raise_exception=False)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: (x * y).sin(),
        lambda x, y: (x.view(2, 1) @ y.view(1, 2)).softmax(0),
        lambda x, y: tracec.where(x > y, x * y, y.exp()),
        lambda x, y: tracec.cat([x, y])[[0, 0, 3]],
    ],
)
def test_gradients_of_first_and_second_order(function) -> None:
    x, y = leaf(0.5, -1.5, dtype=tracec.float64), leaf(0.25, 2.0, dtype=tracec.float64)
    assert tracec.autograd.gradcheck(function, (x, y))
    assert tracec.autograd.gradgradcheck(function, (x, y))


# -- modes ----------------------------------------------------------------------------------------
def test_modes_are_restored_by_exceptions() -> None:
    for mode in (tracec.no_grad, tracec.inference_mode):
        with pytest.raises(KeyError):
            with mode():
                assert not tracec.is_grad_enabled()
                raise KeyError
        assert tracec.is_grad_enabled()


def test_modes_of_generators_and_threads_are_their_own() -> None:
    import threading

    seen = []
    with tracec.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tracec.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not tracec.is_grad_enabled()
    assert seen == [True]


def test_flushes_do_not_change_the_mode() -> None:
    x = leaf(1.0)
    with tracec.no_grad():
        (x + 1).item()
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


# -- hooks ----------------------------------------------------------------------------------------
@LOOKS
def test_hook_order_and_removal(look) -> None:
    x, seen = leaf(1.0, 2.0), []
    y = x * 2
    first = y.register_hook(lambda g: seen.append(("first", g.tolist())))
    y.register_hook(lambda g: g * 10)
    third = y.register_hook(lambda g: seen.append(("third", g.tolist())))
    first.remove()
    z = look((y * 3).sum())
    z.backward()
    assert seen == [("third", [30, 30])]
    third.remove()
    assert x.grad.tolist() == [60, 60]


@LOOKS
def test_hooks_of_dropped_tensors_run(look) -> None:
    x, seen = leaf(1.0, 2.0), []

    def middle():
        y = x * 2
        y.register_hook(lambda g: seen.append(g.tolist()))
        late = y * y
        out = late.sum()
        late.register_hook(lambda g: seen.append(g.tolist()))  # after its use
        return out

    look(middle()).backward()
    assert sorted(seen) == [[1, 1], [4, 8]]
    assert x.grad.tolist() == [8, 16]


def test_late_hooks_only_look() -> None:
    x = leaf(1.0, 2.0)
    y = x * 2
    z = (y * y).sum()
    y.register_hook(lambda g: g * 2)
    with pytest.raises(NotImplementedError, match="before the first use"):
        z.backward()


@LOOKS
def test_retained_gradients_of_many_values(look) -> None:
    x = leaf(1.0, 2.0)
    a = x * 2
    b = a.exp()
    c = (b * a).sum()
    for t in (a, b, c):
        t.retain_grad()
    look(c).backward()
    assert c.grad.item() == 1
    assert b.grad.tolist() == a.tolist()
    assert a.grad.tolist() == pytest.approx(((1 + a) * b).tolist())
    assert x.grad.tolist() == pytest.approx((2 * (1 + a) * b).tolist())


def test_hooks_may_look_at_values() -> None:
    x, norms = leaf(3.0, 4.0), []
    y = x * 1
    y.register_hook(lambda g: norms.append(g.norm().item()))
    (y * y).sum().backward()
    assert norms == [10]
    assert x.grad.tolist() == [6, 8]


# -- graphs across flushes ------------------------------------------------------------------------
@LOOKS
def test_gradients_inside_one_executed_trace(look) -> None:
    x = leaf(1.0, 2.0)
    y = x * x
    z = look((y * y).sum())
    gx, gy = tracec.autograd.grad(z, [x, y], retain_graph=True)
    assert gy.tolist() == [2, 8] and gx.tolist() == [4, 32]
    again = tracec.autograd.grad(z, [y, y])
    assert [g.tolist() for g in again] == [[2, 8], [2, 8]]


@LOOKS
def test_the_graph_is_freed_by_backward(look) -> None:
    x = leaf(1.0, 2.0)
    y = look(x.exp() * x)
    z = y.sum()
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_graphs_die_with_their_results() -> None:
    x = leaf(1.0, 2.0)
    y = item((x * 3).exp())
    storage = weakref.ref(y._st)
    del y
    gc.collect()
    assert storage() is None


def test_writes_to_saved_results_are_noticed_after_the_flush() -> None:
    x = leaf(1.0, 2.0)
    y = item(x.exp())
    loss = y.sum()
    with tracec.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_results_need_no_copy_to_be_saved() -> None:
    x = tracec.ones(1000, requires_grad=True)
    with knobs.override(tier=1):
        for _ in range(2):
            with counts() as c:
                y = x.exp()
                y.detach().sum().item()
    assert c.allocations <= 3  # y, the sum, and what the reduction needs


def test_training_with_a_look_in_the_middle() -> None:
    w = leaf(1.0, 1.0)
    for _ in range(20):
        h = w * 2
        assert len(h.tolist()) == 2
        loss = ((h - 3) ** 2).sum()
        loss.item()
        w.grad = None
        loss.backward()
        with tracec.no_grad():
            w -= 0.05 * w.grad
    assert w.tolist() == pytest.approx([1.5, 1.5], abs=1e-3)


def test_steady_backward_makes_no_new_plans() -> None:
    w = leaf(1.0, 2.0)

    def step() -> None:
        y = (w * w).exp()
        y.retain_grad()
        y.sum().item()
        (y * w).sum().backward()
        w.grad.tolist()
        w.grad = None

    for _ in range(4):
        step()
    with counts() as c:
        for _ in range(5):
            step()
    assert c.trie_misses == c.plan_misses == c.compiles == 0


def test_watched_tensors_do_not_pile_up() -> None:
    x = leaf(1.0)
    for _ in range(50):
        y = x * 2
        y.retain_grad()
        (y * y).sum().backward()
    assert len(record._local.h.watched) <= 2


# -- errors ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "wrong, error, words",
    [
        (lambda x: x.backward(tracec.ones(3)), RuntimeError, "Mismatch in shape"),
        (lambda x: (x * 1).backward(), RuntimeError, "only for scalar outputs"),
        (lambda x: (x * 1).backward([1.0, 2.0]), (TypeError, RuntimeError), ""),
        (lambda x: x.detach().sum().backward(), RuntimeError, "does not have a grad_fn"),
        (lambda x: tracec.autograd.grad(x.sum(), []), ValueError, "non-empty inputs"),
        (lambda x: x.sum().backward(inputs=[]), RuntimeError, "cannot be empty"),
        (lambda x: (x * 2).detach_().retain_grad(), RuntimeError, "can't retain_grad"),
        (lambda x: x.detach().register_hook(print), RuntimeError, "doesn't require gradient"),
        (lambda x: x.view(2, 1).mul_(2), RuntimeError, "a view of a leaf Variable"),
        (lambda x: x.view(2, 1).detach_(), RuntimeError, "Can't detach views in-place"),
        (lambda x: setattr(x, "grad", 3), TypeError, "expected to be a Tensor or None"),
    ],
)
def test_errors(wrong, error, words: str) -> None:
    with pytest.raises(error, match=words):
        wrong(leaf(1.0, 2.0))


def test_anomaly_detection_finds_nan() -> None:
    x = leaf(0.0)
    with pytest.raises(RuntimeError, match="nan values"):
        with tracec.autograd.detect_anomaly():
            (x.sqrt() * 0).sum().backward()


def test_a_function_without_forward_or_backward() -> None:
    class Empty(tracec.autograd.Function):
        pass

    with pytest.raises(NotImplementedError, match="forward function"):
        Empty.apply(leaf(1.0))

    class Half(tracec.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError, match="backward or vjp"):
        Half.apply(leaf(1.0)).sum().backward()


def test_writes_to_a_clone_leave_the_saved_original():
    x = tracec.tensor([1.0, 3.0, 2.0], requires_grad=True)
    top = x.amax(-1)
    copy = top.clone()
    del top
    copy.item()  # the derivative of amax reads what `copy` is equal to, but not `copy`
    copy.mul_(0.75)
    copy.backward()
    assert x.grad.tolist() == [0.0, 0.75, 0.0]


def test_equal_values_in_two_tensors_are_told_apart():
    x = tracec.tensor(0.5, requires_grad=True)
    first, second = x.exp(), x.exp()
    second.item()
    first.mul_(2.0)
    second.backward()
    assert x.grad.item() == pytest.approx(1.6487212707)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y = x.exp()
        y.item()
        y.mul_(2.0).backward()


@pytest.mark.parametrize(
    "look",
    [
        lambda a: a.reshape(2, 3),
        lambda a: a.view(6),
        lambda a: a.view(6)[2:],
        lambda a: a.t(),
        lambda a: a.reshape(2, 3)[1],
        lambda a: a.view(6).view(2, 3),
        lambda a: a[:],
    ],
)
@pytest.mark.parametrize("flat", [False, True])
def test_views_of_a_leaf_on_shared_memory(look, flat):
    w = tracec.arange(6.0) if flat else tracec.arange(6.0).reshape(2, 3).clone()
    for _ in range(2):
        leaf = w.view(2, 3).detach().requires_grad_()
        y = (look(leaf) * 3).sum()
        y.backward()
        expected = tracec.zeros(2, 3)
        look(expected).fill_(3)
        assert leaf.grad.tolist() == expected.tolist()
        assert look(leaf).tolist() == look(w.view(2, 3)).tolist()
