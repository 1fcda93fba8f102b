"""`repr` against PyTorch over many tensors and print options."""

from typing import Any

import numpy as np
import pytest
import torch

import tracec

random = np.random.default_rng(0).standard_normal
ARRAYS: dict[str, Any] = {
    "f": random(5).astype("f4"),
    "f2": random((3, 4)).astype("f4"),
    "sci": np.array([1e-5, 1.0, 1e5], "f4"),
    "big": np.array([1e9, 2.0, 3.0], "f4"),
    "bigint": np.array([1e9, 2e9], "f4"),
    "whole": np.array([1.0, 2.0, 3.0], "f4"),
    "whole2": np.array([1.0, 20000.0, 3.0], "f4"),
    "inf": np.array([1.0, np.inf, -np.inf, np.nan], "f4"),
    "inf2": np.array([1.5, np.inf, np.nan], "f4"),
    "onlynan": np.array([np.nan, np.nan], "f4"),
    "sum1d": np.arange(2000.0, dtype="f4"),
    "sum2d": random((50, 60)).astype("f4"),
    "sum3d": random((20, 20, 20)).astype("f4"),
    "i": np.arange(10),
    "i2": np.array([[-1, 100], [2, 3]]),
    "b": np.array([True, False]),
    "b2": np.array([[True], [False]]),
    "c": np.array([1 + 2j, -1.5 - 3j], "c8"),
    "c2": np.array([[1 + 0j, 0 - 1j]]),
    "0d": np.float32(3.5),
    "0di": np.int64(3),
    "0db": np.bool_(True),
    "e": np.zeros(0, "f4"),
    "e2": np.zeros((0, 3), "f4"),
    "e3": np.zeros((2, 0), "i8"),
    "ei": np.zeros(0, "i8"),
    "d": random(3),
    "i32": np.arange(3, dtype="i4"),
    "u8": np.arange(3, dtype="u1"),
    "f16": random(3).astype("f2"),
    "long": random(30).astype("f4"),
    "longi": np.arange(100),
    "neg": np.array([-1.0, -2.5], "f4"),
    "zero": np.zeros(3, "f4"),
    "tiny": np.array([1e-10, 2e-10], "f4"),
    "zt": np.array([0, 1e-5], "f4"),
    "3d": random((2, 3, 2)).astype("f4"),
    "4d": random((2, 2, 2, 2)).astype("f4"),
    "sumi": np.arange(3000).reshape(3, 1000),
    "wide": random((2, 20)).astype("f4"),
    "ratio": np.array([0.001, 100.0], "f4"),
    "ratio2": np.array([0.01, 100.0], "f4"),
    "1e8": np.array([1e8, 1.0], "f4"),
    "cnan": np.array([complex(np.nan, 1), complex(np.inf, -0.0)], "c8"),
    "nz": np.array([-0.0, 0.5], "f4"),
    "whinf": np.array([1.0, 1e10, np.inf], "f4"),
    "cl": np.array([1e5 + 2j, 1e-5j], "c8"),
    "cs": (random(1500) + 1j * random(1500)).astype("c8"),
    "b3": np.ones((40, 40), bool),
    "i8": np.array([-128, 127], "i1"),
    "1e": np.array([[1.0]], "f4"),
    "mx": np.array([3.4e38, 1.0], "f4"),
}
OPTIONS: list[dict] = [
    {"precision": 2},
    {"sci_mode": True},
    {"sci_mode": False},
    {"threshold": 5},
    {"edgeitems": 1, "threshold": 3},
    {"linewidth": 40},
    {"profile": "full"},
    {"profile": "short"},
]


@pytest.mark.parametrize("name", ARRAYS)
def test_repr(name: str) -> None:
    array = ARRAYS[name]
    assert repr(tracec.tensor(array)) == repr(torch.tensor(array))
    if array.dtype.kind == "f":
        ours, theirs = (m.tensor(array, requires_grad=True) for m in (tracec, torch))
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["f2", "sci", "sum1d", "long", "c", "i"])
def test_options(name: str, options: dict) -> None:
    texts = []
    for m in (tracec, torch):
        m.set_printoptions(**options)
        try:
            texts.append(repr(m.tensor(ARRAYS[name])))
        finally:
            m.set_printoptions(profile="default")
    assert texts[0] == texts[1]


def graphs(m: Any) -> Any:
    x = m.tensor([1.5, 2.25], requires_grad=True)
    yield x * 2
    yield x.sum()
    yield x.exp()
    yield x.view(2, 1)
    known = x * x
    known.tolist()
    yield known
    yield m.nn.Parameter(m.tensor([1.5, 2.25]))
    yield m.tensor([1.5, 2.25], dtype=m.bfloat16)
    yield [m.tensor(1.0), m.tensor([2.0])]
    yield m.zeros(2, 3).shape
    yield m.zeros(2).dtype
    yield m.zeros(2).device


def test_autograd_state_and_descriptions() -> None:
    assert [repr(t) for t in graphs(tracec)] == [repr(t) for t in graphs(torch)]


def test_format() -> None:
    texts = [f"{m.tensor(1.5):.3f} {m.tensor([1, 2])} {m.tensor(3)}" for m in (tracec, torch)]
    assert texts[0] == texts[1]
