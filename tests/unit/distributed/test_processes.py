"""Two processes below mpiexec: programs give what PyTorch's gloo gives, failures end all."""

import importlib.util
import json
import math
import os
import shutil
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.unit.distributed import programs

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or shutil.which("mpiexec") is None,
    reason="mpi4py or mpiexec is not installed",
)
HERE = Path(__file__).parent


def started(*command: str) -> subprocess.CompletedProcess[str]:
    """Two processes of a Python program."""
    with socket.socket() as s:  # where PyTorch's processes meet
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name in ("RANK", "WORLD_SIZE"):
        environment.pop(name, None)
    return subprocess.run(
        ["mpiexec", "-n", "2", sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=150,
        env=environment,
    )


@cache
def results(framework: str) -> dict:
    done = started(str(HERE / "programs.py"), framework)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def same(a, b) -> bool:
    """Equal, floats up to a relative error of 1e-12: sums of more than two numbers are ordered
    differently."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)
    return a == b


@pytest.mark.parametrize("name", [n for n in vars(programs) if n.startswith("same_")])
def test_programs_as_in_pytorch(name: str) -> None:
    ours, theirs = results("tracec")[name], results("torch")[name]
    for mine, expected in zip(ours, theirs, strict=True):
        assert same(mine, expected), (mine, expected)


@pytest.mark.parametrize("name", [n for n in vars(programs) if n.startswith("own_")])
def test_own_programs(name: str) -> None:
    assert results("tracec")[name] == [None, None]


def test_an_exception_ends_all_processes() -> None:
    program = (
        "import tracec.distributed as dist\n"
        "dist.init_process_group('mpi')\n"
        "if dist.get_rank() == 1: raise KeyError('only here')\n"
        "dist.barrier()"
    )
    done = started("-c", program)
    assert done.returncode != 0
    assert "KeyError: 'only here'" in done.stderr


def test_ranks_from_the_environment() -> None:
    """The launcher's ranks may be turned around, their number may not be changed."""
    program = (
        "import os, sys, tracec, tracec.distributed as dist\n"
        "rank = 1 - int(os.environ['PMI_RANK'])\n"
        "try: dist.init_process_group('gloo', rank=rank, world_size=3)\n"
        "except ValueError as e: text = str(e)\n"
        "dist.init_process_group('gloo', rank=rank, world_size=2)\n"
        "assert dist.get_rank() == rank, dist.get_rank()\n"
        "assert text == 'world_size is 3, but mpiexec started 2 processes', text\n"
        "x = tracec.tensor(rank); dist.broadcast(x, 1); assert x.item() == 1"
    )
    done = started("-c", program)
    assert done.returncode == 0, done.stderr
