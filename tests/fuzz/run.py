"""Runs many random programs: `python tests/fuzz/run.py --count 100000 --seed 1`.

Worker processes run consecutive programs and write down which one they are at, so that the parent
names a program that crashes or hangs its worker, restarts behind it and goes on. Every failing
program is shrunk and printed; `--only INDEX` runs one again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
NOT_STARTED = -1


def runner(name: str) -> Any:
    """The function `(program, widen=False) -> results` of 'interpreter', 'compiled' or 'torch'."""
    from tests.fuzz.programs import run

    if name.startswith("torch"):
        import torch

        torch.set_num_threads(1)
        if name == "torch":
            return lambda program, widen=False: run(program, torch, widen)
        # The rounding of another order of evaluation, to try this tool on PyTorch alone.
        return lambda program, widen=False: [
            wide.astype(narrow.dtype)
            for wide, narrow in zip(run(program, torch, True), run(program, torch))
        ]
    import tracec
    from tracec_runtime import knobs

    tier = {"interpreter": 0, "compiled": 1}[name]

    def on_tier(program: Any, widen: bool = False) -> Any:
        with knobs.override(tier=tier):
            return run(program, tracec, widen)

    return on_tier


def check(seed: int, index: int, large: bool, subject: Any, oracle: Any) -> str | None:
    """None, or the report of a failing program, shrunk."""
    from tests.fuzz.compare import disagreement, shrink
    from tests.fuzz.generate import from_seed

    program = from_seed(seed, index, large=large)
    try:
        found = disagreement(program, subject, oracle)
    except Exception:
        return f"the oracle failed on\n{program}\n{traceback.format_exc(limit=-4)}"
    if found is None:
        return None

    def kind(report: str) -> str:
        return "result" if "result" in report[:20] else report.partition(":")[0]

    def fails(candidate: Any) -> bool:
        try:
            again = disagreement(candidate, subject, oracle)
        except Exception:  # the smaller program is ill typed
            return False
        return again is not None and kind(again) == kind(found)

    smaller = shrink(program, fails)
    return f"{smaller}\n{disagreement(smaller, subject, oracle) or found}"


def work(arguments: argparse.Namespace) -> None:
    """The worker: programs start, start + stride, ... below count; one JSON line per failure."""
    subject, oracle = runner(arguments.subject), runner(arguments.oracle)
    status = os.open(arguments.status, os.O_WRONLY)
    for index in range(arguments.start, arguments.count, arguments.stride):
        os.pwrite(status, b"%-12d" % index, 0)
        report = check(arguments.seed, index, arguments.large, subject, oracle)
        if report is not None:
            print(json.dumps({"index": index, "report": report}), flush=True)
    os.pwrite(status, b"%-12d" % arguments.count, 0)


class Worker:
    """One worker process, restarted behind a program that killed it."""

    def __init__(self, arguments: argparse.Namespace, number: int, folder: Path):
        self.arguments, self.start = arguments, number
        self.status = folder / f"at{number}"
        self.output = folder / f"found{number}"
        self.errors = folder / f"errors{number}"
        self.launch()

    def launch(self) -> None:
        self.status.write_bytes(b"%-12d" % NOT_STARTED)
        a = self.arguments
        command = [
            sys.executable, __file__, "--worker", "--start", self.start, "--stride", a.jobs,
            "--count", a.count, "--seed", a.seed, "--status", self.status,
            "--subject", a.subject, "--oracle", a.oracle, *(["--large"] if a.large else []),
        ]  # fmt: skip
        with self.output.open("ab") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen([str(c) for c in command], stdout=out, stderr=err)
        self.seen, self.since = NOT_STARTED, time.monotonic()

    def at(self) -> int:
        return int(self.status.read_bytes() or b"0")

    def poll(self) -> str | None:
        """A report if the process died or hangs; it goes on behind the guilty program."""
        at = self.at()
        if at != self.seen:
            self.seen, self.since = at, time.monotonic()
        code = self.process.poll()
        if code and at == NOT_STARTED:
            sys.exit(f"a worker could not start:\n{self.errors.read_text()[-2000:]}")
        if code == 0 or (code is None and time.monotonic() - self.since < self.arguments.patience):
            return None
        if code is None:
            self.process.kill()
            self.process.wait()
            what = f"no answer within {self.arguments.patience} s"
        else:
            what = f"the worker ended with status {code}\n{self.errors.read_text()[-2000:]}"
        self.start = at + self.arguments.jobs
        if self.start < self.arguments.count:
            self.launch()
        else:
            self.since = float("inf")
        from tests.fuzz.generate import from_seed

        program = from_seed(self.arguments.seed, at, large=self.arguments.large)
        return f"program {at}: {what}\n{program}"

    @property
    def done(self) -> bool:
        return self.process.poll() is not None and (
            self.process.returncode == 0 or self.start >= self.arguments.count
        )


def drive(arguments: argparse.Namespace) -> int:
    """Runs the workers and prints what they find; 1 if anything failed."""
    begin, failures = time.monotonic(), []
    with tempfile.TemporaryDirectory() as name:
        jobs = min(arguments.jobs, arguments.count)
        arguments.jobs = jobs
        workers = [Worker(arguments, k, Path(name)) for k in range(jobs)]
        while not all(worker.done for worker in workers):
            time.sleep(0.2)
            for worker in workers:
                report = None if worker.done else worker.poll()
                if report:
                    failures.append(report)
                    print(f"FAILED {report}\n", flush=True)
            if len(failures) >= arguments.max_failures:
                break
        for worker in workers:
            if not worker.done:
                worker.process.kill()
            for line in worker.output.read_text().splitlines():
                found = json.loads(line)
                failures.append(found["report"])
                print(f"FAILED program {found['index']}\n{found['report']}\n", flush=True)
        ran = [
            len(range(k, min(max(w.at(), 0), arguments.count), jobs)) for k, w in enumerate(workers)
        ]
    seconds = time.monotonic() - begin
    print(
        f"{arguments.subject} against {arguments.oracle}: {sum(ran)} programs of seed "
        f"{arguments.seed} in {seconds:.0f} s, {len(failures)} failed"
    )
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    names = ("interpreter", "compiled", "torch", "torch-wide")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--subject", choices=names, default="compiled")
    parser.add_argument("--oracle", choices=names, default="interpreter")
    parser.add_argument("--large", action="store_true", help="values of up to 400,000 elements")
    parser.add_argument("--only", type=int, help="run this one program and print it")
    parser.add_argument("--patience", type=float, default=120, help="seconds for one program")
    parser.add_argument("--max-failures", type=int, default=20)
    for hidden in ("--start", "--stride"):
        parser.add_argument(hidden, type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--status", help=argparse.SUPPRESS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return 0
    if arguments.only is not None:
        from tests.fuzz.generate import from_seed

        print(from_seed(arguments.seed, arguments.only, large=arguments.large))
        subject, oracle = runner(arguments.subject), runner(arguments.oracle)
        report = check(arguments.seed, arguments.only, arguments.large, subject, oracle)
        print(f"FAILED\n{report}" if report else "passed")
        return 1 if report else 0
    return drive(arguments)


if __name__ == "__main__":
    sys.exit(main())
