"""Trees of containers, and the wrappers that change nothing on one device."""

from collections import OrderedDict, namedtuple

import pytest

import tracec
from tracec import nn
from tracec.utils import _pytree as pytree

Pair = namedtuple("Pair", "a b")


def test_flatten_and_rebuild():
    tree = {"x": [1, (2, 3)], "y": Pair(4, OrderedDict(z=5))}
    leaves, spec = pytree.tree_flatten(tree)
    assert leaves == [1, 2, 3, 4, 5] and spec.num_leaves == 5
    assert pytree.tree_unflatten(leaves, spec) == tree
    assert pytree.tree_map(lambda v: v + 1, tree)["y"] == Pair(5, OrderedDict(z=6))
    assert pytree.tree_map_only(str, str.upper, ["a", 1]) == ["A", 1]
    with pytest.raises(ValueError, match="holds 5 items"):
        pytree.tree_unflatten([1], spec)


def test_wrappers():
    layer = nn.Linear(2, 2)
    x = tracec.ones(1, 2)
    assert nn.DataParallel(layer)(x).tolist() == layer(x).tolist()
    with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        assert layer(x).shape == (1, 2)
