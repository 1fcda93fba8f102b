"""Whole models and library functions in scripts, with symbolic sizes wherever the code allows."""

import pytest

import tracec as torch
import tracec.nn.functional as F
from tracec import nn

from .same import check


class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(11, 8), nn.Embedding(32, 8)
        self.out = nn.Linear(8, 8)

    def forward(self, tokens):
        _, t = tokens.size()
        x = self.tokens(tokens) + self.places(torch.arange(0, t, dtype=torch.long))
        mask = torch.tril(torch.ones(t, t))
        scores = (x @ x.transpose(-2, -1)).masked_fill(mask == 0, float("-inf"))
        y = F.scaled_dot_product_attention(x, x, x, is_causal=True)
        return self.out(scores.softmax(-1) @ x + y)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 6, batch_first=True)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        y, (h, _) = self.rnn(x)
        return self.out(y[:, -1]), h


class Doubled(nn.Module):
    def forward(self, x):
        return x * 2


class Derived(Doubled):
    SCALE = 3

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
        self.offsets = [1, 2]

    @staticmethod
    def shifted(x, k):
        return x + k

    @property
    def constant(self):
        return 5

    def forward(self, x):
        x = super().forward(x)
        for name, layer in self.layers.items():
            x = layer(x) if name == "a" else F.relu(layer(x))
        for k in self.offsets:
            x = self.shifted(x, k) * self.SCALE + self.constant
        return x


class Upsampled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.back = nn.ConvTranspose1d(4, 2, 2, stride=2)

    def forward(self, x):
        y = F.interpolate(F.silu(self.norm(self.conv(x))), scale_factor=2.0)
        return self.back(y), F.avg_pool1d(y, 2), F.pad(y, (1, 1))


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("model", "example"),
    [
        (Causal, lambda: torch.arange(10).reshape(2, 5)),
        (Recurrent, lambda: torch.randn(2, 5, 4)),
        (Derived, lambda: torch.randn(2, 3)),
        (Upsampled, lambda: torch.randn(2, 2, 8)),
        (flat, lambda: torch.randn(2, 3, 4)),
    ],
    ids=["causal", "recurrent", "derived", "upsampled", "flat"],
)
def test_model(model, example):
    torch.manual_seed(0)
    check(model().eval(), example(), rtol=1e-4)


def test_batches_of_any_size_where_other_sizes_must_be_known():
    torch.manual_seed(0)
    model = Upsampled().eval()
    scripted = check(model, torch.randn(2, 2, 8), rtol=1e-4)
    assert "f32[?x0 x 2 x 8]" in scripted.graph


def greedy(table, n: int):
    tokens = torch.zeros(10, dtype=torch.long)
    current = torch.tensor(1)
    i = 0
    while i < n:
        current = table[current].argmax()
        tokens[i] = current
        i += 1
        if current == 0:
            break
    return tokens, i


def test_greedy_decoding():
    for n in (7, 2):
        check(greedy, torch.eye(5).roll(1, 1), n)


def fibonacci(n: int):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def test_numbers_only():
    check(fibonacci, 10)
    check(fibonacci, 0)


def statistics(x):
    centred = (x - x.mean(dim=-1, keepdim=True)) / (x.std(dim=-1, keepdim=True) + 1e-5)
    return torch.stack([centred]).squeeze(0), x.median(), x.cumsum(-1), x.sort(dim=-1)[0], x.norm()


def gathers(x):
    index = torch.tensor([0, 1, 0])
    column = x.gather(1, torch.zeros(x.shape[0], 1, dtype=torch.long))
    grid = torch.meshgrid(torch.arange(3), torch.arange(x.shape[1]), indexing="ij")[0]
    return x.index_select(0, index), column, x[index, 1], F.one_hot(index, 4), x[[0, 1]], grid


def creation(x):
    n, m = x.shape
    return (
        torch.eye(m),
        torch.full((n, m), 2.5),
        torch.linspace(0, 1, 5),
        torch.zeros_like(x).fill_(3),
        torch.ones(x.shape),
        x.new_zeros(x.shape[0], 3),
        torch.arange(1, n + 1, dtype=torch.float32),
    )


def arrangements(x):
    return (
        x.repeat(2, 1),
        x.repeat_interleave(2, dim=0),
        x.unfold(1, 2, 1),
        torch.roll(x, 1, 0),
        x.tile(2),
        x.split(2, dim=1),
        torch.cat([x, x], -1),
        x.triu(),
        x.diagonal(),
    )


@pytest.mark.parametrize("program", [statistics, gathers, creation, arrangements])
def test_library(program):
    torch.manual_seed(0)
    check(program, torch.randn(4, 4), rtol=1e-4)
    check(program, torch.randn(3, 5), rtol=1e-4)


def cache_write(x, at: int):
    cache = torch.zeros(4, x.shape[1])
    cache[at] = x[0]
    return cache, cache[at]


def test_writes_at_places_known_at_run_time():
    for at in (0, 3):
        check(cache_write, torch.randn(3, 4), at)


def sizes_inside_a_loop(x):
    total, i = torch.zeros(()), 0
    while total < 50:
        total = total + torch.ones(x.shape[0]).sum() + x.shape[0]
        i += 1
    return total, i


@pytest.mark.parametrize("tier", [0, 1])
def test_loops_on_both_tiers(tier):
    from tracec_runtime import knobs

    with knobs.override(tier=tier):
        check(sizes_inside_a_loop, torch.ones(4))
        check(greedy, torch.eye(5).roll(1, 1), 7)


def test_inputs_of_one_size_share_its_symbol():
    torch.manual_seed(0)
    model = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    scripted = torch.jit.script(model)
    with torch.no_grad():
        for shape in ((2, 5, 8), (3, 7, 8)):
            x = torch.randn(*shape)
            out = scripted(x, x, x, need_weights=False)[0]
            assert torch.allclose(out, model(x, x, x, need_weights=False)[0], atol=1e-5)
    assert "%value: f32[?query0 x ?query1 x 8]" in scripted.graph


@pytest.mark.parametrize(
    "layer",
    [lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), lambda: nn.GRU(8, 4)],
    ids=["transformer", "gru"],
)
def test_layers_of_the_framework(layer):
    torch.manual_seed(0)
    check(layer().eval(), torch.randn(2, 5, 8), rtol=1e-4)
