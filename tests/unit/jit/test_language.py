"""The Python that script understands, construct by construct, equal to the eager program."""

import math
from collections import namedtuple
from typing import Optional

import pytest

import tracec as torch
import tracec.nn.functional as F
from tracec import nn

from .same import arrays, check, script_of

SCALE = 3.0
Pair = namedtuple("Pair", "left right")


def helper(x, times=2, *, shift=0.0):
    for _ in range(times):
        x = x * 2 + shift
    return x


def calls(x):
    return helper(x) + helper(x, 3, shift=1.0) + SCALE


def closures(x):
    def inner(y, k=2):
        return y * k + x.sum()

    double = lambda y: y + y  # noqa: E731
    return double(inner(x)) + inner(x, k=3)


def collections(x):
    parts = [x, x + 1]
    parts.append(x * 2)
    table = {"a": parts[0], "b": parts[-1]}
    first, *others = parts
    total = sum(p.sum() for p in others)
    return torch.stack([p * i for i, p in enumerate(parts)]), table["b"] + total, len(parts)


def comprehensions(x):
    return torch.cat([x * i for i in range(4) if i % 2 == 0] + [row + 1 for row in (x, x)])


def sizes(x):
    n, m = x.shape
    flat = x.view(n * m)
    again = flat.reshape(-1, m)
    return again / x.size(0) + x.shape[-1] * 2 + x.numel(), torch.zeros(n, 2), x.new_ones(m)


def size_arithmetic(x):
    half = x.shape[1] // 2
    left, right = x[:, :half], x[:, half:]
    return left.sum() - right.sum(), math.sqrt(x.shape[0]), x.size(1) % 3


def slicing(x):
    return x[1:], x[:, -1], x[0, :2], x[..., None], x[:, ::2], x[-2:, 1:3], x[:-1]


def views(x):
    y = x.t().contiguous()
    return (
        y.unsqueeze(0).expand(3, -1, -1),
        x.transpose(0, 1).reshape(-1),
        x.permute(1, 0),
        torch.flatten(x),
        x.chunk(2, dim=1),
        x.flip(0),
    )


def writes(x):
    y = x.clone()
    y[0] = 5
    y[:, 1] += 2
    y[x > 3] = 0
    y.add_(1)
    z = torch.zeros(x.shape[0], 2)
    z[:, 0] = x[:, 0]
    return y, z


def strings(x, mode: str = "double"):
    if mode == "double":
        return x * 2
    elif mode in ("half", "third"):
        return x / 2
    raise ValueError(f"unknown mode {mode!r}")


def optional(x, bias: Optional[torch.Tensor] = None):  # noqa: UP045
    if bias is not None:
        x = x + bias
    return x


def numbers(x, n: int, alpha: float, flag: bool):
    if flag:
        x = x * alpha
    y = x + n // 2
    while n > 0:
        y = y - 0.5
        n -= 1
    return y * (alpha - 1), n + 2


def scalars_of_tensors(x):
    value = x.sum().item()
    k = int(x[0, 0])
    ratio = float(k) / 3
    return x * value + ratio, max(k, 2), abs(-value), bool(k), round(ratio)


def logic(x):
    a = x.sum() > 0 or x.max() > 100
    b = not a
    return x if a and not b else -x


def reductions(x):
    values, indices = x.max(dim=1)
    top = x.topk(2, dim=-1)
    out = torch.max(x, dim=0)
    return values, indices, top.values, out.indices, x.argmax(), x.std(), x.mean(dim=(0, 1))


def functional(x):
    h = F.gelu(F.linear(x, torch.ones(4, x.shape[1])))
    h = F.layer_norm(h, (4,))
    return F.softmax(h, dim=-1), torch.where(h > 0, h, torch.zeros_like(h)), h.clamp(-1, 1)


def matrix(x):
    return (
        x @ x.t(),
        torch.einsum("ij,ik->jk", x, x),
        torch.matmul(x, x.mT),
        x.pow(2).sum(1, keepdim=True),
    )


def tuples(x):
    pair = Pair(x, x + 1)
    a, (b, c) = pair.left, (pair.right, 2)
    return Pair(a * c, b)


def is_scripting(x):
    if torch.jit.is_scripting():
        return x
    return x + 0.0


def no_grad_inside(x):
    with torch.no_grad():
        y = x * 2
    return y


def assertions(x):
    assert x.dim() == 2, f"expected a matrix, got {x.dim()}"
    if x.shape[1] != 4:
        raise ValueError("expected four columns")
    return x.sum(0)


def augmented(x):
    x = x + 0
    x += 1
    x *= x.shape[0]
    k = 2
    k **= 3
    return x - k


PROGRAMS = [
    calls, closures, collections, comprehensions, sizes, size_arithmetic, slicing, views, writes,
    strings, optional, scalars_of_tensors, logic, reductions, functional, matrix, tuples,
    is_scripting, no_grad_inside, assertions, augmented,
]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_program(program):
    check(program, torch.arange(12.0).reshape(3, 4) / 2)


def test_arguments_that_are_numbers():
    check(numbers, torch.ones(3), 3, 0.5, True)
    check(numbers, torch.ones(3), 0, 2.5, False)


@pytest.mark.parametrize("program", [sizes, slicing, writes, functional, matrix, assertions])
def test_one_translation_serves_all_sizes(program):
    scripted = script_of(program, torch.rand(3, 4))
    graph = scripted.graph
    for rows in (5, 7, 2):
        x = torch.rand(rows, 4)
        with torch.no_grad():
            for a, b in zip(arrays(program(x.clone())), arrays(scripted(x)), strict=True):
                assert a.shape == b.shape and abs(a - b).max(initial=0) < 1e-4
    assert scripted.graph == graph


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.register_buffer("scale", torch.tensor(0.5))

    def split(self, x):
        b, t, w = x.shape
        return x.view(b, t, self.heads, w // self.heads).transpose(1, 2)

    def forward(self, x, mask: Optional[torch.Tensor] = None):  # noqa: UP045
        q, k, v = (self.split(part) for part in self.qkv(x).chunk(3, dim=-1))
        scores = q @ k.transpose(-2, -1) * self.scale
        if mask is not None:
            scores = scores.masked_fill(mask == 0, float("-inf"))
        y = torch.softmax(scores, dim=-1) @ v
        return self.out(y.transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.attention = Attention(width, 2)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.mlp = nn.Sequential(
            nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width), nn.Dropout(0.1)
        )

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.position = nn.Parameter(torch.randn(16, 8))
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Linear(8, 20, bias=False)

    def forward(self, tokens):
        x = self.embed(tokens) + self.position[: tokens.shape[1]]
        return self.head(self.blocks(x))


def test_transformer():
    torch.manual_seed(0)
    model = Encoder().eval()
    scripted = check(model, torch.arange(12).reshape(2, 6))
    assert "i64[?tokens0 x ?tokens1]" in scripted.graph
    assert "%blocks.0.attention.qkv.weight" in scripted.graph


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(x + self.norm(self.conv(x)))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.body = nn.Sequential(Residual(8), nn.MaxPool2d(2), Residual(8))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.body(self.stem(x))
        return self.head(self.pool(x).flatten(1))


def test_convolutional_network():
    torch.manual_seed(0)
    model = ConvNet().eval()
    for shape in ((2, 3, 16, 16), (1, 3, 20, 12)):
        check(model, torch.randn(*shape), rtol=1e-4)
