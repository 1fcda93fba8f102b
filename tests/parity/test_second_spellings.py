"""Top-level names for what PyTorch also has elsewhere: the same values as torch's."""

import inspect

import numpy as np
import pytest
import torch

import tracec
from tracec import spellings

NAMES = [n for n, f in inspect.getmembers(spellings, inspect.isfunction) if not n.startswith("_")]


def _a(*shape, seed=0, low=-1.0, high=1.0):
    return np.random.default_rng(seed).uniform(low, high, shape)


SIGNS = np.array([1.0, -1.0, 1.0])
CELL = (_a(2, 3), _a(2, 4, seed=1))
# name -> calls, each the positional arguments and the keyword arguments
CALLS = {
    "binary_cross_entropy_with_logits": [
        ((_a(3, 2), _a(3, 2, low=0)), r) for r in ({}, *({"reduction": r} for r in range(3)))
    ],
    "cosine_embedding_loss": [
        ((_a(3, 4), _a(3, 4, seed=1), SIGNS, *r), {}) for r in ((), (0.2, 1), (0.2, 2))
    ],
    "ctc_loss": [
        ((np.log(_a(5, 2, 4, low=0.1)), np.array([[1, 2], [3, 1]]), [5, 4], [2, 1], *r), {})
        for r in ((), (0, 0), (0, 1), (0, 2))
    ],
    "hinge_embedding_loss": [((_a(3), SIGNS, *r), {}) for r in ((), (1.0, 1), (1.0, 2))],
    "kl_div": [((_a(3, 2), _a(3, 2, low=0.1), r), {}) for r in range(3)]
    + [((_a(3, 2), _a(3, 2, low=0.1)), {})]
    + [((_a(3), _a(3)), {"log_target": True})],
    "margin_ranking_loss": [
        ((_a(3), _a(3, seed=1), SIGNS, *r), {}) for r in ((), (0.1, 1), (0.1, 2))
    ],
    "poisson_nll_loss": [
        ((_a(3), _a(3, low=1, high=4), True, False, 1e-8, r), {}) for r in range(3)
    ],
    "triplet_margin_loss": [
        ((_a(3, 4), _a(3, 4, seed=1), _a(3, 4, seed=2)), o) for o in ({}, {"reduction": 2})
    ],
    "alpha_dropout": [((_a(3), 0.5, False), {})],
    "feature_alpha_dropout": [((_a(3, 2, 2), 0.5, False), {})],
    "feature_dropout": [((_a(3, 2, 2), 0.5, False), {}), ((_a(3, 2), 0.0, True), {})],
    "bilinear": [((_a(2, 3), _a(2, 4), _a(5, 3, 4), _a(5)), {})],
    "embedding": [((_a(5, 2), np.array([[0, 4], [1, 1]]), 1), {}), ((_a(5, 2), np.array([3])), {})],
    "instance_norm": [((_a(2, 3, 4), _a(3), _a(3), None, None, True, 0.1, 1e-5, True), {})],
    "rrelu": [((_a(4),), {})],
    "lstm_cell": [
        ((CELL[0], (CELL[1], _a(2, 4, seed=2)), _a(16, 3), _a(16, 4), _a(16), _a(16)), {})
    ],
    "gru_cell": [((*CELL, _a(12, 3), _a(12, 4), _a(12), _a(12)), {})],
    "rnn_tanh_cell": [((*CELL, _a(4, 3), _a(4, 4)), {})],
    "rnn_relu_cell": [((*CELL, _a(4, 3), _a(4, 4), _a(4), _a(4)), {})],
    "chain_matmul": [((_a(2, 3), _a(3, 4), _a(4, 1)), {})],
    "nuclear_norm": [((_a(3, 4),), {}), ((_a(2, 3, 4), (0, 2), True), {})],
    "frobenius_norm": [((_a(2, 3, 4), (1, 2)), {}), ((_a(2, 3), 1, True), {})],
    "norm_except_dim": [((_a(2, 3, 4), 2, d), {}) for d in (-1, 0, 1)],
    "is_same_size": [((_a(2), _a(2, 1)), {}), ((_a(2), _a(2)), {})],
    "is_signed": [((_a(2),), {}), ((np.ones(2, np.uint8),), {})],
    "typename": [((_a(2),), {}), ((3,), {})],
    "is_storage": [((_a(2),), {})],
    "is_anomaly_enabled": [((), {})],
    "detach_": [((_a(2),), {})],
    "fill_": [((_a(2), 3.0), {})],
    "index_put_": [((_a(3), (np.array([0, 0]),), np.array([1.0, 2.0]), True), {})],
    "as_strided_": [((_a(3, 2), (2,), (1,), 1), {})],
    "get_device": [((_a(2),), {})],
}  # fmt: skip


def tensors(T, value):
    if isinstance(value, np.ndarray):
        return T.from_numpy(value.copy())
    return tuple(tensors(T, v) for v in value) if isinstance(value, tuple) else value


def plain(value):
    if isinstance(value, (torch.Tensor, tracec.Tensor)):
        return value.numpy()
    return [plain(v) for v in value] if isinstance(value, tuple) else value


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_as_torch(name):
    for args, options in CALLS[name]:
        ours, theirs = (
            plain(getattr(T, name)(*tensors(T, args), **options)) for T in (tracec, torch)
        )
        if isinstance(theirs, (np.ndarray, list)):
            for a, b in zip(np.atleast_1d(ours), np.atleast_1d(theirs), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
        else:
            assert ours == theirs


def test_anomaly_detection_is_switched():
    tracec.set_anomaly_enabled(True)
    try:
        assert tracec.is_anomaly_enabled()
    finally:
        tracec.set_anomaly_enabled(False)
    assert not tracec.is_anomaly_enabled()


def test_whole_channels_are_dropped():
    tracec.manual_seed(0)
    y = tracec.feature_dropout(tracec.ones(64, 8, 5), 0.5, True)
    assert set(y.amax(2).unique().tolist()) == {0.0, 2.0}
    np.testing.assert_array_equal(y.amax(2).numpy(), y.amin(2).numpy())
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        tracec.feature_dropout(tracec.ones(3), 0.5, True)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="got 3"):
        tracec.kl_div(tracec.ones(2), tracec.ones(2), 3)
    with pytest.raises(RuntimeError, match="at most 2 dimensions"):
        tracec.frobenius_norm(tracec.ones(2, 2, 2), (0, 1, 2))


def test_every_spelling_is_called():
    elsewhere = {"set_anomaly_enabled", "set_flush_denormal"}
    assert set(NAMES) == set(CALLS) | elsewhere
    assert tracec.set_flush_denormal(True) is False
    assert all(getattr(tracec, n) is getattr(spellings, n) for n in NAMES)
