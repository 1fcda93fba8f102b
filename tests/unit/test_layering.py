"""Imports run downward only, packages are complete, and public modules say what they own."""

import ast
import sys

import pytest

from tests.unit.layers import LAYERS, ROOT, imports, sources

ORDER = list(LAYERS)
FRAMEWORKS = {"torch", "jax", "tensorflow", "keras", "tinygrad", "mlx"}
# Third-party packages that a layer may import, at load time or later.
ALLOWED = {
    "tracec": {"numpy", "ml_dtypes", "cupy", "mpi4py"},
    "tracec_runtime": {"numpy", "llvmlite", "safetensors", "ml_dtypes", "cupy", "cupy_backends"},
    "tracec_codegen": {"numpy", "llvmlite", "cupy", "cupy_backends", "ml_dtypes"},
    "tracec_ir": {"numpy", "lark", "ml_dtypes"},
}


@pytest.mark.parametrize("layer", ORDER)
def test_imports_run_downward(layer: str) -> None:
    above = set(ORDER[: ORDER.index(layer)])
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.package}"
        for path in sources(layer)
        for found in imports(path)
        if found.package in above
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ORDER)
def test_no_framework_is_imported(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.package}"
        for path in sources(layer)
        for found in imports(path)
        if found.package in FRAMEWORKS
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ORDER)
def test_third_party_packages_are_declared(layer: str) -> None:
    """A dependency that no table above names is not in pyproject.toml either."""
    known = sys.stdlib_module_names | set(ORDER) | ALLOWED[layer]
    wrong = [
        f"{path.relative_to(ROOT)}:{found.line} imports {found.package}"
        for path in sources(layer)
        for found in imports(path)
        if found.package not in known
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("layer", ORDER)
def test_every_folder_is_a_package(layer: str) -> None:
    """A folder without `__init__.py` would be left out of the wheel."""
    folders = {path.parent for path in sources(layer)}
    assert not [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").exists()]


@pytest.mark.parametrize("layer", ORDER)
def test_modules_say_what_they_own(layer: str) -> None:
    missing = []
    for path in sources(layer):
        tree = ast.parse(path.read_text("utf8"))
        if not ast.get_docstring(tree) and tree.body:
            missing.append(str(path.relative_to(ROOT)))
    assert not missing, missing


@pytest.mark.parametrize("layer", ORDER)
def test_files_stay_small(layer: str) -> None:
    """Past 700 lines a file holds more than one concept."""
    long = {str(p.relative_to(ROOT)): p.read_text("utf8").count("\n") for p in sources(layer)}
    assert not {name: lines for name, lines in long.items() if lines > 700}
