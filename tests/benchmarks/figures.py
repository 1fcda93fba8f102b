"""Figures that no workload shows, each as a ratio in one run: `python tests/benchmarks/figures.py`.

Prints: bandwidth of a fused chain of cheap operations against a plain copy; the first training
step of a LeNet with an empty and with a warm cache; import time against PyTorch's; compiled plans
caused by 200 batch sizes and 50 learning rates; what a steady training loop allocates and misses.
Timings need a quiet machine. `--only NAME` runs one of them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np

os.environ.setdefault("TRACEC_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def best(f: Callable[[], object], repeat: int = 15) -> float:
    """The shortest of several runs of f, in seconds, after one that does not count."""
    f()
    found = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        f()
        found = min(found, time.perf_counter() - start)
    return found


def bandwidth() -> None:
    """relu((x + y) * x) on 64 MiB arrays: reads two, writes one."""
    import torch

    import tracec

    torch.set_num_threads(1)
    n = 1 << 24
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(n, dtype="f4"), rng.standard_normal(n, dtype="f4")
    x, y = tracec.tensor(a), tracec.tensor(b)
    target = np.empty_like(a)
    source = torch.from_numpy(a)
    wide = torch.empty_like(source)

    def chain() -> None:
        z = ((x + y) * x).relu()
        tracec.cpu.synchronize()
        del z

    copies = {
        "numpy copyto": best(lambda: np.copyto(target, a)),
        "torch copy_": best(lambda: wide.copy_(source)),
        "tracec clone": best(lambda: (x.clone(), tracec.cpu.synchronize())),
    }
    seconds = best(chain)
    rate = 3 * a.nbytes / seconds / 1e9
    for name, t in copies.items():
        print(f"  {name}: {2 * a.nbytes / t / 1e9:.1f} GB/s")
    top = max(2 * a.nbytes / t / 1e9 for t in copies.values())
    print(f"  fused chain: {rate:.1f} GB/s, {rate / top:.2f} of the fastest copy")


_LENET = """
import time, numpy as np, tracec as T
nn, F = T.nn, T.nn.functional
class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc2(F.relu(self.fc1(T.flatten(x, 1)))))
        return self.fc3(x)
model = LeNet()
optimizer = T.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
rng = np.random.default_rng(0)
x = T.tensor(rng.standard_normal((64, 1, 28, 28), dtype="f4"))
y = T.tensor(rng.integers(0, 10, 64))
start = time.perf_counter()
loss = F.cross_entropy(model(x), y)
optimizer.zero_grad()
loss.backward()
optimizer.step()
loss.item()
print(time.perf_counter() - start)
"""


def first_step() -> None:
    """The first training step of a LeNet, in processes of their own."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "TRACEC_CACHE_DIR": folder}
        for name in ("empty cache", "second process", "third process"):
            out = subprocess.run(
                [sys.executable, "-c", _LENET], env=env, check=True, capture_output=True, text=True
            )
            print(f"  {name}: {float(out.stdout):.2f} s")


def imports() -> None:
    """Whole processes that only import."""
    seconds = {}
    for name in ("numpy", "tracec", "torch"):
        command = [sys.executable, "-c", f"import {name}"]
        seconds[name] = best(lambda: subprocess.run(command, check=True), 7)  # noqa: B023
        print(f"  import {name}: {seconds[name]:.3f} s")
    print(f"  tracec / torch: {seconds['tracec'] / seconds['torch']:.2f}")


def _training(tracec):
    nn = tracec.nn
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 5))
    optimizer = tracec.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step(n: int) -> None:
        x, y = tracec.randn(n, 20), tracec.randint(0, 5, (n,))
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return step, optimizer


def shapes() -> None:
    """Compiled plans for 200 batch sizes and 50 learning rates."""
    import tracec
    from tracec_runtime import knobs
    from tracec_runtime.events import counts

    with knobs.override(tier=1):
        step, optimizer = _training(tracec)
        with counts() as c:
            for n in range(2, 202):
                step(n)
            for k in range(50):
                optimizer.param_groups[0]["lr"] = 0.1 / (k + 1)
                step(100)
        print(f"  {c['plans_compiled']} compiled plans, {c['compiles']} compiled kernels")


def steady() -> None:
    """10,000 steps of a training loop after it has settled."""
    import resource

    import tracec
    from tracec_runtime import knobs
    from tracec_runtime.events import counts

    with knobs.override(tier=1):
        step, _ = _training(tracec)
        for _ in range(50):
            step(16)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with counts() as c:
            for _ in range(10_000):
                step(16)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"  trie misses {c['trie_misses']}, plan misses {c['plan_misses']}, compiles "
        f"{c['compiles']}, "
        f"fresh allocations {c['fresh_allocations']}, peak memory grew by {grown} KiB"
    )


FIGURES = (imports, first_step, bandwidth, shapes, steady)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[f.__name__ for f in FIGURES])
    chosen = parser.parse_args().only
    for figure in FIGURES:
        if chosen in (None, figure.__name__):
            print(f"{figure.__name__}: {(figure.__doc__ or '').splitlines()[0]}", flush=True)
            figure()


if __name__ == "__main__":
    main()
