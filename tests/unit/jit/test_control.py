"""Control flow in scripts: branches and loops, static and on data, equal to the eager program."""

import pytest

import tracec as torch
from tracec import nn

from .same import check, script_of


def relu_or_double(x):
    if x.sum() > 0:
        y = x.relu()
    else:
        y = x * 2
    return y + 1


def early_return(x):
    if x.max() > 3:
        return x * 0
    x = x + 1
    if x.min() < 0:
        return x - 10
    return x


def nested(x, y):
    if x.sum() > 0:
        if y.sum() > 0:
            z = x + y
        else:
            z = x - y
        z = z * 2
    else:
        z = x * y
    return z


def one_sided(x):
    if x.mean() < 0:
        x = -x
    return x.sqrt()


def conditional_expression(x):
    return x if x.sum() > 0 else -x


def truth_of_both(x, y):
    if x.sum() > 0 and y.sum() > 0 or x.sum() < -5:
        return x
    return y


def chained(x):
    if 0 < x.sum() < 4:
        return x + 1
    return x - 1


def tuples(x):
    if x.sum() > 0:
        a, b = x, 1
    else:
        a, b = x * 2, 2
    return a * b, b


@pytest.mark.parametrize(
    "fn", [relu_or_double, early_return, one_sided, conditional_expression, chained, tuples]
)
def test_branch_on_data(fn):
    for values in ([1.0, 2.0, -0.5], [-1.0, -2.0, 0.5], [5.0, 1.0, 1.0], [0.5, 0.1, 0.2]):
        check(fn, torch.tensor(values))


@pytest.mark.parametrize("fn", [nested, truth_of_both])
def test_branch_on_two_inputs(fn):
    for a in (1.0, -1.0, -9.0):
        for b in (1.0, -1.0):
            check(fn, torch.tensor([a, 0.5]), torch.tensor([b, 0.25]))


def test_branch_is_an_if_in_the_graph():
    scripted = script_of(relu_or_double, torch.ones(3))
    assert "if(" in scripted.graph


def writes_in_branches(x):
    y = x.clone()
    if x.sum() > 0:
        y[0] = 10
    else:
        y.mul_(2)
    return y


def writes_through_views(x):
    y = torch.zeros_like(x)
    row = y[0]
    if x.sum() > 0:
        row.add_(3)
    return y + row


@pytest.mark.parametrize("fn", [writes_in_branches, writes_through_views])
def test_writes_in_branches(fn):
    for sign in (1, -1):
        check(fn, sign * torch.arange(6.0).reshape(2, 3))


def collatz(n):
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n = n // 2
        else:
            n = 3 * n + 1
        steps += 1
    return steps


def newton(x):
    guess = x / 2
    while (guess * guess - x).abs().max() > 1e-3:
        guess = (guess + x / guess) / 2
    return guess


def break_and_continue(x):
    total = torch.zeros(())
    i = 0
    while i < 100:
        i += 1
        if x[i % 3] < 0:
            continue
        total = total + x[i % 3]
        if total > 10:
            break
    return total, i


def data_bound(x):
    n = int(x.sum())
    y = torch.ones(2)
    for i in range(n):
        y = y * 2 + i
    return y


def rows(x):
    total = torch.zeros(x.shape[1])
    for row in x:
        total = total + row * row.sum()
    return total


def sizes_bound(x):
    out = torch.zeros_like(x)
    for i in range(x.shape[0]):
        out[i] = x[i] * i
    return out


def loop_writes(x):
    y = x.clone()
    i = 0
    while y.sum() < 100:
        y[0] += 1
        y *= 1.5
        i += 1
    return y, i


def nested_loops(x):
    total = x * 0
    n = int(x[0])
    for i in range(n):
        for j in range(i):
            total = total + i * j
    return total


def branch_in_loop(x):
    n = int(x[0])
    y = x
    for i in range(n):
        if y.sum() > 20:
            y = y - 3
        else:
            y = y + i
    return y


def test_while_on_a_number():
    for n in (1, 7, 27):
        check(collatz, torch.tensor(n))
        check(collatz, n)


@pytest.mark.parametrize(
    "fn",
    [
        newton,
        break_and_continue,
        data_bound,
        rows,
        sizes_bound,
        loop_writes,
        nested_loops,
        branch_in_loop,
    ],
)
def test_loops_on_data(fn):
    if fn in (rows, sizes_bound):
        for n in (2, 5):
            check(fn, torch.arange(3.0 * n).reshape(n, 3))
    else:
        check(fn, torch.tensor([4.0, 1.0, 2.0]))
        check(fn, torch.tensor([2.0, 9.0, 1.5]))


def unrolled(x):
    for i in range(3):
        if i == 1:
            continue
        x = x + i
    for i, name in enumerate(["a", "b"]):  # noqa: B007
        if name == "b":
            break
        x = x * 2
    else:
        x = x * 100
    while i < 4:
        i += 1
    return x + i


def static_loop_with_dynamic_jumps(x):
    for i in range(4):  # noqa: B007
        if x.sum() > 10:
            break
        if x[0] < 0:
            x = x + 5
            continue
        x = x * 2
    return x, i


def search(x):
    for i in range(4):
        if x[i] > 2:
            return x[i]
    return x[0] - 1


def test_unrolled_loops():
    check(unrolled, torch.arange(3.0))
    for start in (-2.0, 1.0, 20.0):
        check(static_loop_with_dynamic_jumps, torch.tensor([start, 1.0]))
    check(search, torch.tensor([1.0, 3.0, 5.0, 0.0]))
    check(search, torch.tensor([1.0, 1.0, 1.0, 1.0]))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.head = nn.Linear(4, 2)
        self.scale = 2.0

    def block(self, x, layer):
        y = layer(x)
        if y.mean() > 0:
            return torch.relu(y)
        return y * self.scale

    def forward(self, x):
        for layer in self.layers:
            x = self.block(x, layer)
        while x.abs().max() > 1:
            x = x / 2
        return self.head(x)


def test_module_with_control_flow():
    torch.manual_seed(0)
    model = Gate().eval()
    for n in (2, 3, 1):
        check(model, torch.randn(n, 4))


def while_true(x):
    steps = 0
    while True:
        x = x * 0.5
        steps += 1
        if x.max() < 1:
            break
    return x, steps


def long_range_with_break(x):
    for i in range(1000):
        x = x + i
        if x.sum() > 200:
            break
    return x, i


def continues(x):
    total = x * 0
    for i in range(12):
        if x[0] > i:
            continue
        total = total + x * i
    return total


@pytest.mark.parametrize("fn", [while_true, long_range_with_break, continues])
def test_jumps_on_data_in_long_loops(fn):
    check(fn, torch.tensor([4.0, 1.0, 2.0]))
    check(fn, torch.tensor([0.5, 0.25]))


def best_row(x):
    best, at = float("-inf"), -1
    for n in range(x.shape[0]):
        value = x[n].sum().item()
        if value > best:
            best, at = value, n
    return best, at


def backwards(x):
    out = torch.zeros(x.shape[0], x.shape[1])
    for t in range(x.shape[0] - 1, -1, -1):
        out[t] = x[t] if t == 0 else x[t] + x[t - 1]
    return out


def until_all(x):
    done = torch.zeros(x.shape[0], dtype=torch.bool)
    while not done.all():
        done = done | (x.sum(1) > -100)
    return done


@pytest.mark.parametrize("fn", [best_row, backwards, until_all])
def test_loops_over_sizes(fn):
    torch.manual_seed(0)
    for n in (4, 2, 7):
        check(fn, torch.randn(n, 3))
