"""Checkpoints that PyTorch wrote are read, and what could execute code in them is refused."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch

import tracec
from tracec.serialization import CheckpointError

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "chain"])
DTYPES = (
    "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128"
).split()


def saved(value, zipped=True):
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=zipped)
    file.seek(0)
    return file


def numbers(x):
    return (x.float() if "bfloat16" in str(x.dtype) else x).detach().numpy()


@FORMS
@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype(name, zipped):
    theirs = torch.tensor([[0, 1, 2], [3, 1, 0]]).to(getattr(torch, name))
    ours = tracec.load(saved(theirs, zipped))
    assert ours.dtype == getattr(tracec, name)
    np.testing.assert_array_equal(numbers(ours), numbers(theirs))


@FORMS
def test_views_share_their_storage(zipped):
    base = torch.arange(12.0).reshape(3, 4)
    ours = tracec.load(saved({"base": base, "column": base.t()[1:, ::2]}, zipped))
    assert ours["column"].stride() == base.t()[1:, ::2].stride()
    ours["base"][0, 1] = 100
    assert ours["column"][0, 0].item() == 100


@FORMS
def test_training_state(zipped):
    def trained(T):
        model = T.nn.Sequential(T.nn.Conv2d(1, 2, 3), T.nn.BatchNorm2d(2), T.nn.Flatten())
        optimizer = T.optim.Adam(model.parameters(), lr=0.1)
        return model, optimizer

    model, optimizer = trained(torch)
    model(torch.ones(2, 1, 4, 4)).square().sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3,
             "best": np.float64(0.5), "names": ("a", {"b"}), "size": torch.Size([1, 2]),
             "dtype": torch.float16, "device": torch.device("cpu")}  # fmt: skip
    ours = tracec.load(saved(state, zipped))
    assert type(ours["model"]) is OrderedDict
    other, other_optimizer = trained(tracec)
    other.load_state_dict(ours["model"])
    other_optimizer.load_state_dict(ours["optimizer"])
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), value.numpy())
    step = other_optimizer.state_dict()["state"][0]["exp_avg"]
    np.testing.assert_array_equal(step.numpy(), optimizer.state_dict()["state"][0]["exp_avg"])
    assert (ours["epoch"], ours["best"], ours["names"]) == (3, 0.5, ("a", {"b"}))
    assert ours["size"] == (1, 2) and ours["dtype"] is tracec.float16
    assert ours["device"] == tracec.device("cpu")


def test_parameters_and_leaves():
    leaf = torch.ones(2, requires_grad=True)
    ours = tracec.load(saved([torch.nn.Parameter(torch.ones(3)), leaf]))
    assert isinstance(ours[0], tracec.nn.Parameter) and ours[0].requires_grad
    assert ours[1].requires_grad and ours[1].is_leaf


def test_modules_need_trust():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.GELU())
    with pytest.raises(pickle.UnpicklingError, match="torch.nn.modules.container.Sequential"):
        tracec.load(saved(model))
    ours = tracec.load(saved(model), weights_only=False)
    assert isinstance(ours, tracec.nn.Sequential) and repr(ours) == repr(model)
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(
        ours(tracec.from_numpy(x)).detach().numpy(),
        model(torch.from_numpy(x)).detach().numpy(), rtol=1e-6)  # fmt: skip


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("made by a pickle",)


@FORMS
def test_nothing_is_executed(zipped, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError, match=r"posix.mkdir was not an allowed global"):
        tracec.load(saved({"weights": torch.ones(2), "x": Harmful()}, zipped))
    assert not any(tmp_path.iterdir())


@FORMS
def test_damaged_files(zipped):
    data = saved({"w": torch.arange(100.0)}, zipped).getvalue()
    for end in (1, 3, 40, len(data) // 2, len(data) - 20):
        with pytest.raises((CheckpointError, pickle.UnpicklingError)):
            tracec.load(io.BytesIO(data[:end]))


def test_other_pickles_are_refused():
    with pytest.raises(CheckpointError, match="does not begin"):
        tracec.load(io.BytesIO(pickle.dumps({"a": 1}, protocol=2)))


def test_tensors_of_other_devices():
    source = zipfile.ZipFile(saved(torch.ones(2)))
    moved = io.BytesIO()
    with zipfile.ZipFile(moved, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"\x03\x00\x00\x00cpu",
                                                            b"\x04\x00\x00\x00cuda"))  # fmt: skip
    moved.seek(0)
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device"):
        tracec.load(moved)
    moved.seek(0)
    assert tracec.load(moved, map_location="cpu").tolist() == [1, 1]


def test_safetensors(tmp_path):
    from safetensors.torch import save_file

    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    save_file(tensors, tmp_path / "x.safetensors", metadata={"format": "pt"})
    ours = tracec.load(tmp_path / "x.safetensors")
    assert list(ours) == ["a", "b"] and ours["b"].dtype is tracec.bfloat16
    np.testing.assert_array_equal(ours["a"].numpy(), tensors["a"].numpy())
