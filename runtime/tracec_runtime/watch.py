"""What a user can watch: log lines (`TRACEC_LOG`) and dumps of compilation stages (`TRACEC_DUMP`).

Callers ask first, so that a quiet run pays one set look-up: `if "launch" in knobs.log: log(...)`.
"""

from __future__ import annotations

import itertools
import re
import sys
from typing import Any

from . import knobs

SUFFIXES = {"trace": "txt", "ir": "ir", "kernels": "kernel", "llvm": "ll", "asm": "s", "cuda": "cu"}

_numbers = itertools.count()


def log(channel: str, **fields: Any) -> None:
    """Writes one greppable line, `channel key=value key=value`, if the channel is switched on."""
    if channel in knobs.log:
        words = [channel, *(f"{k}={v}" for k, v in fields.items())]
        print("tracec", *words, file=sys.stderr, flush=True)


def dump(stage: str, title: str, text: str) -> None:
    """Shows one stage of a compilation if `stage` is switched on: on standard error, or as the next
    numbered file of `TRACEC_DUMP_DIR`, such as `0007-softmax.ll`."""
    if stage not in knobs.dump:
        return
    if knobs.dump_dir is None:
        print(f"===== {stage}: {title} =====\n{text.rstrip()}", file=sys.stderr, flush=True)
        return
    knobs.dump_dir.mkdir(parents=True, exist_ok=True)
    safe = re.sub(r"[^\w.+-]+", "_", title)[:80] or stage
    name = f"{next(_numbers):04d}-{safe}.{SUFFIXES[stage]}"
    (knobs.dump_dir / name).write_text(text)
