"""Scripts against PyTorch: the same source, run by PyTorch, scripted, and deployed."""

import importlib.util
import types

import numpy as np
import pytest
import torch as pytorch

import tracec
import tracec_runtime
from tests.unit.jit import test_control as control
from tests.unit.jit import test_language as language

FUNCTIONS = [
    (control, "relu_or_double", [[-1.0, 2.0, 0.5]]),
    (control, "early_return", [[5.0, 1.0, 1.0]]),
    (control, "early_return", [[0.5, -2.0, 1.0]]),
    (control, "tuples", [[1.0, 2.0]]),
    (control, "chained", [[1.0, 2.0]]),
    (control, "newton", [[4.0, 9.0, 2.0]]),
    (control, "break_and_continue", [[4.0, -1.0, 2.0]]),
    (control, "data_bound", [[2.0, 1.0]]),
    (control, "branch_in_loop", [[6.0, 9.0, 1.5]]),
    (control, "while_true", [[6.0, 9.0]]),
    (control, "long_range_with_break", [[6.0, 9.0]]),
    (language, "calls", [[1.0, 2.0]]),
    (language, "sizes", [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]),
    (language, "slicing", [np.arange(20.0).reshape(4, 5).tolist()]),
    (language, "reductions", [[[1.0, 5.0, 2.0], [4.0, 3.0, 9.0]]]),
    (language, "functional", [[[1.0, -0.5, 2.0], [0.25, 3.0, -1.0]]]),
    (language, "matrix", [[[1.0, -0.5, 2.0], [0.25, 3.0, -1.0]]]),
    (language, "augmented", [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]),
    (language, "writes", [np.arange(12.0).reshape(3, 4).tolist()]),
]


def of_pytorch(module, name):
    """The function `name` with `torch` in its globals being PyTorch's."""
    scope = dict(vars(module))
    scope.update(torch=pytorch, F=pytorch.nn.functional, nn=pytorch.nn)
    for key, value in list(scope.items()):
        if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
            scope[key] = types.FunctionType(
                value.__code__, scope, key, value.__defaults__, value.__closure__
            )
            scope[key].__kwdefaults__ = value.__kwdefaults__
    return scope[name]


def flat(value):
    if isinstance(value, (tuple, list)):
        return [a for v in value for a in flat(v)]
    if isinstance(value, (tracec.Tensor, pytorch.Tensor)):
        return [value.detach().numpy()]
    return [np.asarray(value)]


@pytest.mark.parametrize(
    ("module", "name", "inputs"), FUNCTIONS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_function(module, name, inputs, tmp_path):
    arrays = [np.asarray(v, np.float32) for v in inputs]
    want = flat(of_pytorch(module, name)(*[pytorch.from_numpy(a.copy()) for a in arrays]))
    scripted = tracec.jit.script(getattr(module, name))
    with tracec.no_grad():
        have = flat(scripted(*[tracec.from_numpy(a.copy()) for a in arrays]))
    compare(want, have)
    scripted.save(tmp_path / "f.tcm")
    compare(want, tracec_runtime.load(tmp_path / "f.tcm").run(*arrays))


def compare(want, have):
    assert len(want) == len(have)
    for w, h in zip(want, have, strict=True):
        assert w.dtype == h.dtype and w.shape == h.shape
        np.testing.assert_allclose(h, w, rtol=1e-4, atol=1e-5)


MODULES = '''
import {package} as torch
import {package}.nn.functional as F
from {package} import nn


class Recurrent(nn.Module):
    """Steps over time in Python, stops early where the state has settled."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Linear(6, 4)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        state = torch.zeros(x.shape[0], 4)
        steps = 0
        for t in range(x.shape[1]):
            new = torch.tanh(self.cell(torch.cat([x[:, t], state], dim=1)))
            if (new - state).abs().max() < 0.05:
                break
            state = new
            steps += 1
        return self.out(state), steps


class Mixture(nn.Module):
    """Experts chosen by the data, in a branch each."""

    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList([nn.Sequential(nn.Linear(5, 5), nn.ReLU()) for _ in range(3)])
        self.gate = nn.Linear(5, 3)

    def forward(self, x):
        choice = self.gate(x.mean(0)).argmax()
        y = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            if choice == i:
                y = expert(x)
        return F.log_softmax(y, dim=-1)


class Pyramid(nn.Module):
    """Halves the image while it is large, then classifies."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.head = nn.Linear(2, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.conv(x)))
        k = 0
        while x.abs().max() > 0.5:
            x = x * 0.5
            k += 1
        return self.head(x.mean(dim=(2, 3))) + k
'''
SHAPES = {"Recurrent": (3, 5, 2), "Mixture": (4, 5), "Pyramid": (2, 2, 6, 8)}


def load_module(package, folder):
    path = folder / f"modules_of_{package}.py"
    path.write_text(MODULES.replace("{package}", package))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SHAPES)
def test_module(name, tmp_path):
    theirs = getattr(load_module("torch", tmp_path), name)().eval()
    ours = getattr(load_module("tracec", tmp_path), name)().eval()
    ours.load_state_dict({k: tracec.from_numpy(v.numpy()) for k, v in theirs.state_dict().items()})
    scripted = tracec.jit.script(ours)
    random = np.random.default_rng(0)
    first, *rest = SHAPES[name]
    path = tmp_path / "m.tcm"
    for batch in (first, first + 4):
        x = random.standard_normal((batch, *rest)).astype(np.float32)
        with pytorch.no_grad():
            want = flat(theirs(pytorch.from_numpy(x)))
        with tracec.no_grad():
            compare(want, flat(scripted(tracec.from_numpy(x))))
        if batch == first:
            scripted.save(path)
        compare(want, tracec_runtime.load(path).run(x))
