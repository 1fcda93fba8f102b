"""Every op of the table, and its gradient, as CUDA C on the op's own samples, emulated."""

from __future__ import annotations

import pytest

from tests.cuda.emulate import Library, needs_compiler
from tests.cuda.table import OPS, agrees, gradients, units, values

pytestmark = needs_compiler


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Library:
    found = (*(s for n in OPS for s in values(n)), *(s for n in OPS for s in gradients(n)))
    return Library(units(found), tmp_path_factory.mktemp("cuda"))


@pytest.mark.parametrize("name", [n for n in OPS if values(n)])
def test_values(name: str, library: Library) -> None:
    for sample in values(name):
        agrees(sample, library)


@pytest.mark.parametrize("name", [n for n in OPS if gradients(n)])
def test_gradients(name: str, library: Library) -> None:
    for sample in gradients(name):
        agrees(sample, library)
