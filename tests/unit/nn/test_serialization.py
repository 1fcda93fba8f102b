"""save and load: round trips, sharing, atomicity, damaged and dangerous files."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import pytest

import tracec
from tracec import nn


def round_trip(value, **options):
    buffer = io.BytesIO()
    tracec.save(value, buffer)
    buffer.seek(0)
    return tracec.load(buffer, **options)


def test_plain_values():
    value = {
        "a": [1, 2.5, None, True, "text", b"bytes", 1 + 2j, float("inf"), 10**30],
        3: (1, {2}, OrderedDict(x=1)),
        "dtype": tracec.bfloat16,
    }
    assert round_trip(value) == value


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int64", "bool", "complex64"])
def test_tensors(dtype):
    tensor = tracec.arange(6).reshape(2, 3).to(getattr(tracec, dtype))
    again = round_trip(tensor)
    assert again.dtype is tensor.dtype and again.tolist() == tensor.tolist()


def test_views_stay_views_of_one_storage():
    base = tracec.zeros(4, 3)
    again = round_trip({"base": base, "view": base[1:3].t()})
    assert again["view"].stride() == (1, 3)
    again["base"][1, 0] = 7
    assert again["view"][0, 0].item() == 7


def test_state_of_a_model_and_its_optimizer():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = tracec.optim.Adam(model.parameters())
    model(tracec.randn(5, 3)).sum().backward()
    optimizer.step()
    saved = round_trip({"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    assert saved["model"]._metadata == model.state_dict()._metadata
    twin = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    twin.load_state_dict(saved["model"])
    assert twin[0].weight.tolist() == model[0].weight.tolist()
    optimizer.load_state_dict(saved["optimizer"])
    assert optimizer.state[model[0].weight]["step"].item() == 1


def test_objects_need_consent():
    layer = nn.Linear(2, 2)
    buffer = io.BytesIO()
    tracec.save(layer, buffer)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        tracec.load(io.BytesIO(buffer.getvalue()))
    again = tracec.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert again.weight.tolist() == layer.weight.tolist()


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "c.pt"
    tracec.save({"a": 1}, path)

    class Bad:
        def __reduce__(self):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tracec.save(Bad(), path)
    assert tracec.load(path) == {"a": 1}
    assert os.listdir(tmp_path) == ["c.pt"]


def test_damaged_files_are_refused(tmp_path):
    buffer = io.BytesIO()
    tracec.save({"w": tracec.arange(100.0)}, buffer)
    data = buffer.getvalue()
    for end in range(0, len(data) - 1, 37):
        with pytest.raises(RuntimeError):
            tracec.load(io.BytesIO(data[:end]))
    with pytest.raises(RuntimeError, match="cannot load"):
        tracec.load(io.BytesIO(b"not a zip"))
    with pytest.raises(FileNotFoundError):
        tracec.load(tmp_path / "missing.pt")


def test_a_tensor_cannot_reach_beyond_its_storage():
    buffer = io.BytesIO()
    tracec.save(tracec.arange(4.0), buffer)
    forged = io.BytesIO()
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(forged, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "structure.json":
                content = content.replace(b'"shape": [4]', b'"shape": [4000000]')
            target.writestr(name, content)
    forged.seek(0)
    with pytest.raises(RuntimeError, match="reaches beyond its storage"):
        tracec.load(forged)
