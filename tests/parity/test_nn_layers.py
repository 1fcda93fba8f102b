"""Layers against PyTorch: repr, state_dict, forward and gradients, from equal weights."""

import numpy as np
import pytest

import tracec

torch = pytest.importorskip("torch")

CASES = {
    "linear": (lambda nn: nn.Linear(3, 4), [(5, 3)]),
    "linear without bias": (lambda nn: nn.Linear(3, 4, bias=False), [(2, 5, 3)]),
    "bilinear": (lambda nn: nn.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
    "conv1d": (lambda nn: nn.Conv1d(2, 4, 3, padding=1, groups=2), [(2, 2, 7)]),
    "conv2d": (lambda nn: nn.Conv2d(2, 4, (3, 2), stride=2, bias=False), [(2, 2, 7, 8)]),
    "conv2d same": (lambda nn: nn.Conv2d(2, 3, 4, padding="same", dilation=2), [(1, 2, 9, 9)]),
    "conv2d circular": (
        lambda nn: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
        [(1, 2, 5, 5)],
    ),
    "conv3d": (lambda nn: nn.Conv3d(1, 2, 2), [(1, 1, 3, 3, 3)]),
    "transposed": (
        lambda nn: nn.ConvTranspose2d(2, 3, 3, stride=2, output_padding=1),
        [(1, 2, 4, 4)],
    ),
    "batchnorm1d": (lambda nn: nn.BatchNorm1d(3), [(6, 3)]),
    "batchnorm2d eval": (lambda nn: nn.BatchNorm2d(3).eval(), [(2, 3, 4, 4)]),
    "batchnorm cumulative": (lambda nn: nn.BatchNorm2d(3, momentum=None), [(2, 3, 4, 4)]),
    "instancenorm": (lambda nn: nn.InstanceNorm2d(3, affine=True), [(2, 3, 4, 4)]),
    "layernorm": (lambda nn: nn.LayerNorm((3, 4)), [(2, 3, 4)]),
    "rmsnorm": (lambda nn: nn.RMSNorm(4), [(2, 3, 4)]),
    "groupnorm": (lambda nn: nn.GroupNorm(2, 4), [(2, 4, 3)]),
    "maxpool": (lambda nn: nn.MaxPool2d(3, 2, 1), [(1, 2, 7, 7)]),
    "avgpool": (lambda nn: nn.AvgPool2d(2, ceil_mode=True), [(1, 2, 5, 5)]),
    "adaptive": (lambda nn: nn.AdaptiveAvgPool2d((3, None)), [(1, 2, 7, 5)]),
    "adaptive max": (lambda nn: nn.AdaptiveMaxPool1d(3), [(1, 2, 7)]),
    "pads": (
        lambda nn: nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.ReplicationPad2d((1, 0, 2, 1)),
            nn.ZeroPad2d(1),
            nn.ConstantPad2d((-1, 2, 0, 1), 3.5),
        ),
        [(1, 2, 4, 4)],
    ),  # fmt: skip
    "activations": (
        lambda nn: nn.Sequential(
            nn.GELU(),
            nn.GELU("tanh"),
            nn.SiLU(),
            nn.ELU(0.5),
            nn.LeakyReLU(0.2),
            nn.Mish(),
            nn.Hardswish(),
            nn.Softplus(2.0),
            nn.PReLU(),
            nn.Tanh(),
            nn.Softsign(),
            nn.SELU(),
            nn.CELU(0.7),
            nn.Hardtanh(-0.4, 0.9),
            nn.LogSigmoid(),
            nn.Softmax(dim=1),
        ),
        [(4, 5)],
    ),  # fmt: skip
    "inplace relu": (
        lambda nn: nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2)),
        [(3, 4)],
    ),
    "upsample": (lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"), [(1, 2, 3, 4)]),
    "upsample cubic": (lambda nn: nn.Upsample(size=(5, 7), mode="bicubic"), [(1, 2, 3, 4)]),
    "shuffle": (lambda nn: nn.PixelShuffle(2), [(1, 8, 2, 3)]),
    "unfold": (lambda nn: nn.Unfold((2, 3), padding=1), [(1, 2, 4, 5)]),
    "lstm": (lambda nn: nn.LSTM(3, 4, 2, bidirectional=True), [(5, 2, 3)]),
    "gru": (lambda nn: nn.GRU(3, 4, batch_first=True), [(2, 5, 3)]),
    "rnn": (lambda nn: nn.RNN(3, 4, nonlinearity="relu"), [(5, 3)]),
    "lstm cell": (lambda nn: nn.LSTMCell(3, 4), [(2, 3)]),
    "attention": (lambda nn: nn.MultiheadAttention(8, 2), [(4, 2, 8), (5, 2, 8), (5, 2, 8)]),
    "encoder": (
        lambda nn: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True),
            2,
            enable_nested_tensor=False,
        ),
        [(2, 5, 8)],
    ),  # fmt: skip
    "decoder layer": (
        lambda nn: nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0),
        [(4, 2, 8), (5, 2, 8)],
    ),
}


def _outputs(value):
    if isinstance(value, tuple):
        return [tensor for part in value for tensor in _outputs(part)]
    return [value]


def _run(backend, build, weights, inputs):
    torch.manual_seed(0)
    module = build(backend.nn)
    if weights is None:
        weights = {k: v.numpy().copy() for k, v in module.state_dict().items()}
    else:
        module.load_state_dict({k: backend.from_numpy(v.copy()) for k, v in weights.items()})
    xs = [backend.from_numpy(x.copy()).requires_grad_() for x in inputs]
    outputs = _outputs(module(*xs))
    sum((y * y).sum() for y in outputs if y is not None).backward()
    values = [y.detach().numpy() for y in outputs]
    grads = [x.grad.numpy() for x in xs] + [p.grad.numpy() for p in module.parameters()]
    state = {k: v.numpy() for k, v in module.state_dict().items()}
    return module, weights, values, grads, state


@pytest.mark.parametrize("name", CASES)
def test_layer(name):
    build, shapes = CASES[name]
    random = np.random.default_rng(0)
    inputs = [random.standard_normal(shape, dtype=np.float32) for shape in shapes]
    theirs, weights, values, grads, state = _run(torch, build, None, inputs)
    ours, _, our_values, our_grads, our_state = _run(tracec, build, weights, inputs)
    assert repr(ours) == repr(theirs)
    assert list(our_state) == list(state)
    for expected, actual in zip(values + grads, our_values + our_grads, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=2e-5)
    for key, expected in state.items():  # running statistics after the call
        np.testing.assert_allclose(our_state[key], expected, rtol=1e-5, atol=1e-6)
