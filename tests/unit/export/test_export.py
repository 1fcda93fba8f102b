"""Exported programs: sizes that may change and those that may not, errors, gradients, files."""

import importlib
import io

import numpy as np
import pytest
import torch

import tracec
import tracec_runtime
from tracec_runtime.archive import ArchiveError
from tracec_runtime.events import counts

torch_export = importlib.import_module("torch.export")


def model(framework):
    """A module with parameters, a buffer, a nested result, and an argument with a default."""

    class Net(framework.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = framework.nn.Linear(3, 2)
            self.register_buffer("shift", framework.ones(2))
            with framework.no_grad():
                for p in self.parameters():
                    p.fill_(0.5)

        def forward(self, x, scale=2.0):
            y = self.layer(x) * scale + self.shift
            return {"y": y, "rest": [(y.sum(), x.shape[0])]}

    return Net().eval()


def add(framework):
    class Add(framework.nn.Module):
        def forward(self, x, y):
            return x + y

    return Add()


def batch(exporter, **bounds):
    return exporter.Dim("batch", **bounds)


def error_of(call, *args, **kwargs):
    """The type's name and the first line of what a call raises."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        return [type(error).__name__, str(error).partition("\n")[0].partition(" For more")[0]]
    return None


def both(case):
    """`case(framework, its export module)` of tracec and of PyTorch."""
    return case(tracec, tracec.export), case(torch, torch_export)


def plain(value):
    if isinstance(value, (tracec.Tensor, torch.Tensor)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(map(plain, value))
    return {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_results_as_in_pytorch() -> None:
    def case(fw, exporter):
        ep = exporter.export(
            model(fw), (fw.ones(4, 3),), dynamic_shapes={"x": {0: batch(exporter, min=2, max=64)}}
        )
        module = ep.module()
        found = [plain(module(fw.ones(n, 3))) for n in (4, 7, 1, 64)]
        with fw.no_grad():
            found += [plain(module(fw.ones(n, 3))) for n in (4, 7, 1, 64)]
        names = [[n for n, _ in ep.named_parameters()], [n for n, _ in ep.named_buffers()]]
        return found, names, sorted(ep.state_dict), list(module.state_dict())

    ours, theirs = both(case)
    assert ours == theirs


def test_guards() -> None:
    def case(fw, exporter):
        x = fw.ones(4, 3)
        fixed = exporter.export(model(fw), (x,)).module()
        b = batch(exporter, max=64)
        free = exporter.export(model(fw), (x,), dynamic_shapes=({0: b},)).module()
        pair = exporter.export(add(fw), (x, x), dynamic_shapes=({0: b}, {0: b})).module()
        return [
            error_of(fixed, fw.ones(5, 3)),
            error_of(free, fw.ones(65, 3)),
            error_of(free, fw.ones(4, 4)),
            error_of(pair, x, fw.ones(5, 3)),
            error_of(free, x, scale=3.0),
            error_of(free)[0],
            error_of(free.train),
            error_of(free.eval),
            error_of(exporter.export(model(fw), (x,)), x),
        ]

    ours, theirs = both(case)
    assert ours == theirs


def test_what_cannot_be_exported() -> None:
    def case(fw, exporter):
        x, y, dim = fw.ones(4, 3), fw.ones(4, 3), exporter.Dim
        named = (model(fw), (x,))
        return [
            error_of(exporter.export, model(fw), [x]),
            error_of(exporter.export, *named, dynamic_shapes={"q": None})[0],
            error_of(exporter.export, *named, dynamic_shapes=({0: dim("a")}, {}))[0],
            error_of(exporter.export, *named, dynamic_shapes={"x": {1: dim("c")}}),
            error_of(
                exporter.export, add(fw), (x, y), dynamic_shapes=({0: dim("a")}, {0: dim("b")})
            ),
            error_of(exporter.export, add(fw), (x, y), dynamic_shapes=({0: dim("a")}, None)),
            error_of(dim, "a b"),
            error_of(dim, "a", min=5, max=2),
            [repr(dim("a")), repr(dim("a", min=2, max=8)), repr(dim.AUTO)],
        ]

    ours, theirs = both(case)
    assert ours == theirs
    # PyTorch's name of the type is another one
    a = tracec.export.Dim("a", max=3)
    x = tracec.ones(4, 3)
    with pytest.raises(tracec.export.UserError, match=r"^4 not in range \[2, 3\]$"):
        tracec.export.export(add(tracec), (x, x), dynamic_shapes=({0: a}, {0: a}))
    with pytest.raises(tracec.export.UserError, match="batch is 4 and 5 in the example"):
        b = batch(tracec.export)
        tracec.export.export(add(tracec), (x, tracec.ones(5, 3)), dynamic_shapes=({0: b}, {0: b}))
    with pytest.raises(ValueError, match="Expected `mod` to be an instance of `torch.nn.Module`"):
        tracec.export.export(lambda x: x, (x,))
    with pytest.raises(NotImplementedError, match="dimensions computed from others"):
        2 * a


def test_control_flow_on_data_is_refused() -> None:
    class Branch(tracec.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(tracec.jit.ScriptError, match="a trace cannot depend on data"):
        tracec.export.export(Branch(), (tracec.ones(3),))


def test_hints() -> None:
    auto = tracec.export.Dim.AUTO
    x = tracec.ones(4, 3)
    ep = tracec.export.export(model(tracec), (x,), dynamic_shapes={"x": (auto, auto)})
    assert "f32[?x0 x 3]" in ep.graph
    dynamic = tracec.export.Dim.DYNAMIC
    with pytest.raises(tracec.export.UserError, match="specialized it to be a constant .3."):
        tracec.export.export(model(tracec), (x,), dynamic_shapes={"x": {1: dynamic}})


def test_gradients_and_modes() -> None:
    """The module trains the same parameters, in the mode that was exported."""
    net = tracec.nn.Sequential(tracec.nn.Linear(3, 2), tracec.nn.Dropout(0.5)).eval()
    module = tracec.export.export(net, (tracec.ones(4, 3),)).module()
    net.train()
    x = tracec.ones(4, 3, requires_grad=True)
    module(x).sum().backward()
    assert net[0].bias.grad.tolist() == [4.0, 4.0] and net[1].training
    with tracec.no_grad():
        assert tracec.equal(module(x), net[0](x))
        net[0].bias.add_(1)
        assert tracec.equal(module(x), net[0](x))


def test_buffers_are_updated() -> None:
    net = tracec.nn.BatchNorm1d(3, affine=False)
    auto = {"input": {0: tracec.export.Dim.AUTO}}
    module = tracec.export.export(net, (tracec.randn(4, 3),), dynamic_shapes=auto).module()
    other = tracec.nn.BatchNorm1d(3, affine=False)
    x = tracec.randn(6, 3)
    tracec.testing.assert_close(module(x), other(x))
    tracec.testing.assert_close(net.running_var, other.running_var)
    assert net.num_batches_tracked.item() == 1


@pytest.mark.parametrize("where", ["path", "buffer"])
def test_files(where: str, tmp_path) -> None:
    b = batch(tracec.export, max=64)
    net = model(tracec)
    ep = tracec.export.export(net, (tracec.ones(4, 3),), dynamic_shapes={"x": {0: b}})
    target = tmp_path / "net.tcm" if where == "path" else io.BytesIO()
    tracec.export.save(ep, target)
    if where == "buffer":
        target.seek(0)
    loaded = tracec.export.load(target)
    x = tracec.randn(5, 3)
    assert plain(loaded.module()(x)) == plain(net(x))
    assert sorted(loaded.module().state_dict()) == ["layer.bias", "layer.weight", "shift"]
    assert loaded.graph == ep.graph
    with pytest.raises(ValueError):
        loaded.module()(tracec.ones(65, 3))
    with pytest.raises(ValueError, match=r"takes 1 tensors \(x\), got 0"):
        loaded.module()()
    if where == "path":
        y, total, size = tracec_runtime.load(target)(x.numpy())
        np.testing.assert_allclose(y, net(x)["y"].detach().numpy(), rtol=1e-6)
        assert (total.shape, int(size)) == ((), 5)


def test_files_that_are_refused(tmp_path) -> None:
    with pytest.raises(TypeError, match="'ep' parameter must be an instance of 'ExportedProgram'"):
        tracec.export.save(model(tracec), tmp_path / "x.tcm")
    with pytest.raises(ArchiveError):
        tracec.export.load(io.BytesIO(b"nothing"))
    training = tracec.export.export(tracec.nn.BatchNorm1d(3), (tracec.ones(4, 3),))
    with pytest.raises(tracec.jit.ScriptError, match="eval"):
        tracec.export.save(training, tmp_path / "x.tcm")

    class Nothing(tracec.nn.Module):
        def forward(self, x):
            return x, None

    with pytest.raises(NotImplementedError, match="returns None"):
        tracec.export.save(tracec.export.export(Nothing(), (tracec.ones(2),)), tmp_path / "x.tcm")


def test_lists_of_tensors(tmp_path) -> None:
    class Total(tracec.nn.Module):
        def forward(self, xs, *, power=2):
            return sum(x.pow(power).sum() for x in xs)

    xs = [tracec.ones(2), tracec.ones(3) * 2]
    ep = tracec.export.export(Total(), (xs,), {"power": 3})
    assert ep.module()(xs, power=3).item() == 26
    with pytest.raises(AssertionError, match="Guard failed: power == 3"):
        ep.module()(xs, power=2)
    tracec.export.save(ep, tmp_path / "t.tcm")
    assert tracec.export.load(tmp_path / "t.tcm").module()(xs).item() == 26


def test_calls_run_one_program() -> None:
    """Without gradients nothing is recorded again."""
    b = {"x": {0: batch(tracec.export)}}
    module = tracec.export.export(model(tracec), (tracec.ones(4, 3),), dynamic_shapes=b).module()
    inputs = [tracec.from_numpy(np.ones((n, 3), np.float32)) for n in (4, 9)]
    with tracec.no_grad():
        module(inputs[0])
        with counts() as c:
            module(inputs[1])
    assert c.trie_misses == 0 and c.plan_misses == 0
