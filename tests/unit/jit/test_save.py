"""Saving scripts and running them in the standalone runtime, in a process without the framework."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tracec as torch
import tracec_runtime
from tracec import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Linear(4 * 4 * 4, 10)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = Net().eval()
    path = tmp_path / "net.tcm"
    torch.jit.script(model).save(path)
    return model, path


def eager(model, x):
    with torch.no_grad():
        return model(torch.from_numpy(x)).numpy()


def test_a_fresh_module_is_saved_without_examples(saved):
    model, path = saved
    loaded = tracec_runtime.load(path)
    for n in (1, 2, 33):
        x = np.random.default_rng(n).standard_normal((n, 1, 8, 8)).astype(np.float32)
        np.testing.assert_allclose(loaded(x), eager(model, x), rtol=1e-4, atol=1e-5)


def test_sizes_are_those_the_model_can_work_with(saved):
    model, path = saved
    loaded = tracec_runtime.load(path)
    x = np.ones((2, 1, 9, 8), np.float32)  # pooling drops the odd row
    np.testing.assert_allclose(loaded(x), eager(model, x), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="recorded for sizes"):
        loaded(np.ones((2, 1, 16, 16), np.float32))


def test_arguments_are_checked(saved):
    loaded = tracec_runtime.load(saved[1])
    with pytest.raises(TypeError, match="float32"):
        loaded(np.ones((2, 1, 8, 8)))
    with pytest.raises(TypeError, match="4 dimensions"):
        loaded(np.ones((1, 8, 8), np.float32))
    with pytest.raises(TypeError, match="input 'x' is missing"):
        loaded()
    with pytest.raises(ValueError, match="dimension 1 is 3, not 1"):
        loaded(np.ones((2, 3, 8, 8), np.float32))


def test_weights_have_their_names(saved):
    model, path = saved
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["weights"] == list(model.state_dict())
    assert [i["name"] for i in manifest["inputs"]] == ["x"]


def test_another_process_needs_no_framework(saved, tmp_path):
    model, path = saved
    x = np.random.default_rng(0).standard_normal((5, 1, 8, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    program = (
        "import sys, numpy as np, tracec_runtime\n"
        f"y = tracec_runtime.load({str(path)!r})(np.load({str(tmp_path / 'x.npy')!r}))\n"
        f"np.save({str(tmp_path / 'y.npy')!r}, y)\n"
        "assert 'tracec' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), eager(model, x), rtol=1e-4, atol=1e-5)


def test_loading_into_the_framework(saved):
    model, path = saved
    loaded = torch.jit.load(path)
    x = torch.randn(3, 1, 8, 8)
    with torch.no_grad():
        assert torch.allclose(loaded(x), model(x), rtol=1e-4, atol=1e-5)
    assert set(loaded.state_dict()) == set(model.state_dict())


def test_several_inputs_and_outputs(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

        def forward(self, x, y, scale: float = 2.0):
            h = self.a(x) + self.b(y)
            return h * scale, {"sum": h.sum(1), "size": x.shape[0]}

    model = Two().eval()
    torch.jit.script(model).save(tmp_path / "two.tcm")
    loaded = tracec_runtime.load(tmp_path / "two.tcm")
    x, y = np.ones((6, 3), np.float32), np.ones((6, 5), np.float32)
    h, total, size = loaded(x, y)
    assert h.shape == (6, 4) and total.shape == (6,) and size == 6
    with pytest.raises(ValueError, match="size"):
        loaded(x, y[:4])


def test_parameters_are_shared_and_trained(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    scripted = torch.jit.script(model)
    x = torch.randn(4, 3)
    with torch.no_grad():
        before = scripted(x)
    optimizer = torch.optim.SGD(scripted.parameters(), lr=0.1)
    scripted(x).square().mean().backward()
    optimizer.step()
    with torch.no_grad():
        after = scripted(x)
        assert torch.allclose(after, model(x))
    assert not torch.allclose(before, after)


def test_training_mode_updates_buffers():
    torch.manual_seed(0)
    model, twin = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    scripted = torch.jit.script(model)
    x = torch.randn(8, 3)
    with torch.no_grad():
        assert torch.allclose(scripted(x), twin(x), atol=1e-6)
    assert torch.allclose(model.running_mean, twin.running_mean)
    assert torch.allclose(model.running_var, twin.running_var)
    assert model.num_batches_tracked.item() == 1


def test_tied_weights_are_stored_once(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, tokens):
            return self.head(self.embed(tokens))

    torch.jit.script(Tied()).save(tmp_path / "tied.tcm")
    archive = tracec_runtime.load(tmp_path / "tied.tcm").archive
    assert list(archive.weights) == ["embed.weight"]


def test_trace(tmp_path):
    model = Net().eval()
    x = torch.randn(2, 1, 8, 8)
    traced = torch.jit.trace(model, x)
    traced.save(tmp_path / "traced.tcm")
    loaded = tracec_runtime.load(tmp_path / "traced.tcm")
    y = np.ones((7, 1, 8, 8), np.float32)
    np.testing.assert_allclose(loaded(y), eager(model, y), rtol=1e-4, atol=1e-5)


def test_trace_refuses_to_fix_data():
    def branchy(x):
        return x if x.sum() > 0 else -x

    with pytest.raises(torch.jit.ScriptError, match="use tracec.jit.script"):
        torch.jit.trace(branchy, torch.ones(3))


def test_trace_of_code_that_insists_on_integers():
    def average(x):
        return x.sum() / int(x.shape[0])

    traced = torch.jit.trace(average, torch.ones(4))
    assert traced(torch.ones(4)).item() == 1


def test_script_is_available_at_the_top():
    assert torch.script is torch.jit.script
    assert not torch.jit.is_scripting()


def test_random_numbers_stay_random_and_are_not_saved(tmp_path):
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5))
    scripted = torch.jit.script(model)
    x = torch.ones(4, 3)
    with torch.no_grad():
        torch.manual_seed(0)
        first, second = scripted(x), scripted(x)
        torch.manual_seed(0)
        assert torch.equal(first, model(x)) and not torch.equal(first, second)
    with pytest.raises(torch.jit.ScriptError, match="random numbers"):
        scripted.save(tmp_path / "m.tcm")
    scripted.eval().save(tmp_path / "m.tcm")
