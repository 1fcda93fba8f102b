"""Importing tracec stays light: counts of modules, not seconds."""

import json
import subprocess
import sys

import pytest

HEAVY = {"llvmlite", "lark", "ml_dtypes", "scipy", "torch", "cupy", "safetensors", "tqdm", "mpi4py"}
MODULE_LIMIT = 250  # beyond what `import numpy` loads


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after `import numpy`'s own are taken away."""
    program = (
        "import sys, json, numpy\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["tracec", "tracec_runtime", "tracec_codegen", "tracec_ir"])
def test_import_loads_no_heavy_library(package: str) -> None:
    tops = {name.partition(".")[0] for name in loaded_by(f"import {package}")}
    assert not tops & HEAVY


def test_import_loads_few_modules() -> None:
    assert len(loaded_by("import tracec")) <= MODULE_LIMIT


def test_runtime_does_not_load_the_frontend() -> None:
    assert not [name for name in loaded_by("import tracec_runtime") if name.startswith("tracec.")]
    assert "tracec" not in loaded_by("import tracec_runtime")
