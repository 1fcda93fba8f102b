"""Module: attributes, registration and its errors, traversal, state, hooks, copies."""

import copy
import pickle
from collections import OrderedDict

import pytest

import tracec
from tracec import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        self.scale = nn.Parameter(tracec.ones(1))
        self.register_buffer("seen", tracec.zeros(1))
        self.register_buffer("scratch", tracec.zeros(1), persistent=False)

    def forward(self, x):
        return self.fc(x) * self.scale


def names(listing):
    return [name for name, _ in listing]


def test_listings_and_state():
    net = Net()
    assert names(net.named_parameters()) == ["scale", "fc.weight", "fc.bias"]
    assert names(net.named_buffers()) == ["seen", "scratch"]
    assert names(net.named_modules()) == ["", "fc"]
    assert list(net.state_dict()) == ["scale", "seen", "fc.weight", "fc.bias"]
    assert list(net.state_dict(prefix="a.")) == ["a.scale", "a.seen", "a.fc.weight", "a.fc.bias"]
    assert net.get_parameter("fc.weight") is net.fc.weight
    assert net.get_submodule("fc") is net.fc


def test_attributes_and_registries_agree():
    net = Net()
    weight = nn.Parameter(tracec.zeros(2, 3))
    net.fc._parameters["weight"] = weight  # as libraries do
    assert net.fc.weight is weight
    del net.fc._parameters["weight"]
    assert not hasattr(net.fc, "weight")
    net.fc.weight = weight
    assert net.fc._parameters["weight"] is weight
    net.fc.bias = None
    assert net.fc._parameters["bias"] is None
    del net.scale
    assert names(net.named_parameters()) == ["fc.weight"]
    net.fc = nn.Identity()
    assert names(net.named_modules()) == ["", "fc"]
    net._parameters = OrderedDict(w=weight)
    assert net.w is weight and net._parameters["w"] is weight


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda m: setattr(m, "fc", 3), TypeError, "cannot assign 'int' as child module 'fc'"),
        (lambda m: setattr(m, "scale", 3), TypeError, "cannot assign 'int' as parameter 'scale'"),
        (lambda m: setattr(m, "seen", 3), TypeError, "cannot assign 'int' as buffer 'seen'"),
        (lambda m: m.register_parameter("a.b", None), KeyError, 'contain "."'),
        (lambda m: m.register_buffer("fc", None), KeyError, "attribute 'fc' already exists"),
        (lambda m: m.register_parameter("p", 3), TypeError, "cannot assign 'int' object"),
        (lambda m: m.add_module("x", 3), TypeError, "int is not a Module subclass"),
        (lambda m: m.missing, AttributeError, "'Net' object has no attribute 'missing'"),
        (lambda m: m.get_submodule("a"), AttributeError, "Net has no attribute `a`"),
        (lambda m: nn.Module()(1), NotImplementedError, 'missing the required "forward"'),
        (lambda m: m.to(tracec.int64), TypeError, "only accepts floating point or complex"),
        (lambda m: m.train(1), ValueError, "training mode is expected to be boolean"),
    ],
)
def test_errors(action, error, message):
    with pytest.raises(error) as caught:
        action(Net())
    assert message in str(caught.value)


def test_assignment_before_init():
    class Early(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match="cannot assign module before Module.__init__"):
        Early()


def test_loading_names_what_does_not_fit():
    net = Net()
    state = net.state_dict()
    del state["fc.bias"]
    state["other"] = tracec.zeros(1)
    state["scale"] = tracec.zeros(2)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    text = str(caught.value)
    assert 'Missing key(s) in state_dict: "fc.bias". ' in text
    assert 'Unexpected key(s) in state_dict: "other". ' in text
    assert "size mismatch for scale: copying a param with shape torch.Size([2])" in text
    state["scale"] = tracec.zeros(1)
    result = net.load_state_dict(state, strict=False)
    assert result.missing_keys == ["fc.bias"] and result.unexpected_keys == ["other"]


def test_copies_are_independent():
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.fc.weight is twin.fc._parameters["weight"]
        assert twin.fc.weight is not net.fc.weight
        assert twin.fc.weight.tolist() == net.fc.weight.tolist()
        twin.double()
        assert twin.fc.weight.dtype is tracec.float64
        assert net.fc.weight.dtype is tracec.float32


def test_a_module_dies_with_its_last_reference():
    import gc
    import weakref

    gc.disable()
    try:
        net = Net()
        reference = weakref.ref(net.fc)
        del net
        assert reference() is None
    finally:
        gc.enable()


def test_hooks():
    net, calls = Net(), []
    x = tracec.ones(2, 3)
    first = net.register_forward_pre_hook(lambda m, args: calls.append("pre") or (args[0] * 0,))
    net.register_forward_hook(lambda m, args, out: calls.append("post") or out + 1)
    assert net(x).tolist() == (net.fc.bias.detach() + 1).expand(2, 2).tolist()
    first.remove()
    net(x)
    assert calls == ["pre", "post", "post"]


def test_full_backward_hook():
    layer, seen = nn.Linear(3, 2), []
    layer.register_full_backward_hook(lambda m, grad_in, grad_out: seen.append((grad_in, grad_out)))
    x = tracec.ones(4, 3, requires_grad=True)
    layer(x).sum().backward()
    ((grad_in, grad_out),) = seen
    assert grad_out[0].tolist() == [[1.0, 1.0]] * 4
    assert grad_in[0].tolist() == x.grad.tolist()


def test_containers():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    net.append(nn.Tanh())
    net.insert(1, nn.Identity())
    assert [type(m).__name__ for m in net] == ["Linear", "Identity", "ReLU", "Tanh"]
    assert len(net[1:]) == 3
    del net[1]
    assert list(net._modules) == ["0", "1", "2"]
    layers = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    assert repr(layers) == (
        "ModuleList(\n  (0-1): 2 x Linear(in_features=1, out_features=1, bias=True)\n)"
    )
    table = nn.ModuleDict({"a": nn.ReLU()})
    table["b"] = nn.Tanh()
    assert list(table) == ["a", "b"]
    listed = nn.ParameterList([tracec.ones(2), nn.Parameter(tracec.zeros(1))])
    assert len(list(listed.parameters())) == 2
    assert nn.ParameterDict({"w": tracec.ones(1)})["w"].requires_grad


def test_lazy_layers_take_their_size_from_the_input():
    layer = nn.LazyLinear(4)
    assert layer(tracec.ones(2, 3)).shape == (2, 4)
    assert type(layer) is nn.Linear and layer.in_features == 3


def test_parametrized_weight_norm_round_trip():
    layer = nn.Linear(3, 2)
    weight = layer.weight.detach().clone()
    nn.utils.parametrizations.weight_norm(layer)
    assert tracec.allclose(layer.weight, weight, atol=1e-6)
    layer(tracec.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original0.grad is not None
    nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)


def test_packing_sequences():
    rnn = nn.utils.rnn
    rows = [tracec.arange(4.0), tracec.arange(2.0), tracec.arange(3.0)]
    packed = rnn.pack_sequence(rows, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [3, 3, 2, 1]
    padded, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    assert lengths.tolist() == [4, 2, 3]
    assert padded.tolist() == [[0, 1, 2, 3], [0, 1, -1, -1], [0, 1, 2, -1]]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        rnn.pack_sequence(rows)
