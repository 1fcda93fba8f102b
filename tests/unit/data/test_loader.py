"""Datasets, samplers and the loader, with and without worker processes."""

import numpy as np
import pytest

import tracec
from tracec.utils import data


def rows(count=10):
    return data.TensorDataset(tracec.arange(float(count)).reshape(count, 1), tracec.arange(count))


class Squares(data.Dataset):
    def __len__(self):
        return 7

    def __getitem__(self, index):
        if index < 0 or index >= 7:
            raise IndexError
        return {"x": np.float32(index), "y": index * index, "name": str(index)}


class Broken(data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise KeyError("no such sample")


class Stream(data.IterableDataset):
    def __iter__(self):
        info = data.get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(start, 9, step))


def test_batches_in_order():
    batches = list(data.DataLoader(rows(), batch_size=4))
    assert [b[1].tolist() for b in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[0][0].shape == (4, 1)
    assert len(data.DataLoader(rows(), batch_size=4, drop_last=True)) == 2


def test_shuffling_is_a_permutation_that_follows_the_generator():
    def order(seed):
        generator = tracec.Generator()
        generator.manual_seed(seed)
        loader = data.DataLoader(rows(50), batch_size=7, shuffle=True, generator=generator)
        return [i for _, y in loader for i in y.tolist()]

    assert sorted(order(1)) == list(range(50))
    assert order(1) == order(1) != order(2)


def test_collating_structures():
    (batch,) = data.DataLoader(Squares(), batch_size=7)
    assert batch["x"].dtype is tracec.float32
    assert batch["y"].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert batch["name"] == list("0123456")
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors"):
        data.default_collate([None])
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal"):
        data.default_collate([[1, 2], [1]])


def test_worker_processes_give_the_same_batches_in_order():
    for dataset in (Squares(), rows()):
        here = list(data.DataLoader(dataset, batch_size=3))
        there = list(data.DataLoader(dataset, batch_size=3, num_workers=2))
        assert str(here) == str(there)
    loader = data.DataLoader(Stream(), batch_size=2, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert sorted(i for batch in loader for i in batch.tolist()) == list(range(9))


def test_an_error_in_a_worker_is_raised_here():
    with pytest.raises(KeyError, match="Caught KeyError in DataLoader worker process 0"):
        list(data.DataLoader(Broken(), num_workers=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"batch_size": 0}, "batch_size should be a positive integer value"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        (
            {"shuffle": True, "sampler": [0]},
            "sampler option is mutually exclusive with shuffle",
        ),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        data.DataLoader(rows(), **options)


def test_splits_and_samplers():
    parts = data.random_split(range(10), [0.3, 0.7])
    assert [len(part) for part in parts] == [3, 7]
    assert sorted(i for part in parts for i in part) == list(range(10))
    drawn = list(data.WeightedRandomSampler([0.0, 1.0, 0.0], 5))
    assert drawn == [1] * 5
    assert len(data.ConcatDataset([rows(3), rows(4)])) == 7
    assert data.ConcatDataset([rows(3), rows(4)])[4][1].item() == 1
    joined = data.StackDataset(a=range(3), b="xyz")
    assert joined[1] == {"a": 1, "b": "y"}
