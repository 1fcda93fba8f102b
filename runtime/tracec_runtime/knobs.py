"""Every environment variable of the project: one typed table, read once, settable for a block.

    >>> from tracec_runtime import knobs
    >>> with knobs.override(tier=0, num_threads=1):
    ...     knobs.tier, knobs.num_threads
    (0, 1)

Read a knob as an attribute of this module (`knobs.tier`), never by `from knobs import tier`: the
import would freeze the value. The first read of any knob parses the whole environment; from then on
a read is an ordinary module attribute. Overrides hold for the whole process, not for one thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

# The values. They come into being on the first read, through `__getattr__` below.
cache: bool
cache_dir: Path
cache_bytes: int
num_threads: int
tier: int | Literal["auto"]
verify: bool
check: bool
sync: bool
dump: frozenset[str]
dump_dir: Path | None
log: frozenset[str]
memory_cache_bytes: int
isa: str
matrix_unit: bool
fast_math: bool

DUMP_STAGES = ("trace", "ir", "kernels", "llvm", "asm", "cuda")
LOG_CHANNELS = ("flush", "miss", "plan", "launch", "fuse", "tier", "compile", "cache", "mem")

_SUFFIXES = {"": 0, "b": 0, "k": 10, "kib": 10, "kb": 10, "m": 20, "mib": 20, "mb": 20,
             "g": 30, "gib": 30, "gb": 30, "t": 40, "tib": 40, "tb": 40}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting: the variable `TRACEC_<NAME>`, how its text is read, its default and its help."""

    name: str
    read: Callable[[Any], Any]
    default: Callable[[], Any]
    accepts: str
    default_text: str
    help: str

    @property
    def variable(self) -> str:
        return "TRACEC_" + self.name.upper()


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off", ""):
        return False
    raise ValueError


def _count(value: Any) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


def _bytes(value: Any) -> int:
    text = str(value).strip().lower().replace("_", "")
    digits = text.rstrip("bikmgt")
    number = int(float(digits) * (1 << _SUFFIXES[text[len(digits) :]]))
    if number < 0:
        raise ValueError
    return number


def _tier(value: Any) -> int | str:
    text = str(value).strip().lower()
    if text == "auto":
        return text
    if text in ("0", "1"):
        return int(text)
    raise ValueError


def _names(allowed: tuple[str, ...]) -> Callable[[Any], frozenset[str]]:
    def read(value: Any) -> frozenset[str]:
        parts = value.split(",") if isinstance(value, str) else value
        names = frozenset(p.strip().lower() for p in parts) - {""}
        if "all" in names:
            names = frozenset(allowed)
        if not names <= set(allowed):
            raise ValueError
        return names

    return read


def _choice(*allowed: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        text = str(value).strip().lower()
        if text not in allowed:
            raise ValueError
        return text

    return read


def _folder(value: Any) -> Path:
    if not str(value):
        raise ValueError
    return Path(value).expanduser()


def _optional_folder(value: Any) -> Path | None:
    return None if value is None else _folder(value)


def _default_cache_dir() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~")) / ".cache"
    return root / "tracec"


def _default_threads() -> int:
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except (AttributeError, OSError):  # not on every system
        return os.cpu_count() or 1


def _default_memory_cache() -> int:
    """A quarter of the memory this process may use."""
    try:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        limit = 8 << 30
    try:
        limit = min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no control group, or "max"
        pass
    return limit // 4


_FLAG = "0 or 1"
_SIZE = "bytes, with an optional suffix K, M, G or T"

KNOBS: tuple[Knob, ...] = (
    Knob("cache", _flag, lambda: True, _FLAG, "1", "Keep compiled code on disk between processes."),
    Knob(
        "cache_dir", _folder, _default_cache_dir, "a folder", "~/.cache/tracec",
        "Where compiled code is kept. XDG_CACHE_HOME moves the default.",
    ),
    Knob(
        "cache_bytes", _bytes, lambda: 1 << 30, _SIZE, "1G",
        "How large the disk cache may grow; what was not used longest goes first.",
    ),
    Knob(
        "num_threads", _count, _default_threads, "a number of at least 1", "the CPUs available",
        "How many threads a plan may use. Results do not depend on it.",
    ),
    Knob(
        "tier", _tier, lambda: "auto", "auto, 0 or 1", "auto",
        "0: run everything on the NumPy interpreter. 1: compile at the first occurrence. "
        "auto: compile when the estimated saving pays for it.",
    ),
    Knob("verify", _flag, lambda: False, _FLAG, "0", "Run the IR verifier after every pass."),
    Knob(
        "check", _flag, lambda: False, _FLAG, "0",
        "Run every plan on both tiers and compare the results.",
    ),
    Knob(
        "sync", _flag, lambda: False, _FLAG, "0",
        "Execute after every recorded operation, so that errors appear at its line.",
    ),
    Knob(
        "dump", _names(DUMP_STAGES), frozenset, f"a comma list of {', '.join(DUMP_STAGES)}; or all",
        "nothing", "Print these stages of everything that is compiled.",
    ),
    Knob(
        "dump_dir", _optional_folder, lambda: None, "a folder", "standard error",
        "Write dumps to numbered files in this folder instead.",
    ),
    Knob(
        "log", _names(LOG_CHANNELS), frozenset,
        f"a comma list of {', '.join(LOG_CHANNELS)}; or all", "nothing",
        "Print one line per event of these kinds to standard error.",
    ),
    Knob(
        "memory_cache_bytes", _bytes, _default_memory_cache, _SIZE, "a quarter of the memory",
        "How much freed memory is kept for reuse.",
    ),
    Knob(
        "isa", _choice("auto", "avx512", "avx2", "sse2", "neon", "generic"), lambda: "auto",
        "auto, avx512, avx2, sse2, neon or generic", "auto",
        "The vector instructions that generated code may use; auto takes those of this machine.",
    ),
    Knob(
        "matrix_unit", _flag, lambda: True, _FLAG, "1",
        "Let large float32 products use the machine's matrix unit (Intel AMX), which computes them "
        "from bfloat16 parts as exactly. 0: always fused multiply-adds. Read once, at the first "
        "compilation.",
    ),
    Knob(
        "fast_math", _flag, lambda: False, _FLAG, "0",
        "Allow less exact vector mathematics (a few units in the last place more).",
    ),
)  # fmt: skip

_BY_NAME = {k.name: k for k in KNOBS}


def _value(knob: Knob, given: Any, origin: str) -> Any:
    try:
        return knob.read(given)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise ValueError(f"{origin}={given!r} is not understood: expected {knob.accepts}") from None


def load(environment: Mapping[str, str] | None = None) -> None:
    """Parses the environment (anew, if it was parsed before) and sets every knob.

    ValueError names a variable whose text is not understood; then no knob changes. An empty
    variable counts as absent.
    """
    env = os.environ if environment is None else environment
    values = {}
    for knob in KNOBS:
        text = env.get(knob.variable, "")
        values[knob.name] = _value(knob, text, knob.variable) if text else knob.default()
    globals().update(values)


def __getattr__(name: str) -> Any:
    if name not in _BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    load()
    return globals()[name]


def _knob(name: str) -> Knob:
    try:
        return _BY_NAME[name]
    except KeyError:
        raise TypeError(f"there is no knob '{name}'; there are {', '.join(_BY_NAME)}") from None


def assign(**values: Any) -> dict[str, Any]:
    """Sets knobs from now on; returns the values they had."""
    new = {name: _value(_knob(name), value, name) for name, value in values.items()}
    space = globals()
    if KNOBS[0].name not in space:
        load()
    old = {name: space[name] for name in new}
    space.update(new)
    return old


@contextmanager
def override(**values: Any) -> Iterator[None]:
    """Sets knobs for the length of a `with` block."""
    old = assign(**values)
    try:
        yield
    finally:
        globals().update(old)


def table() -> str:
    """The knobs as a Markdown table, for the documentation."""
    rows = ["| variable | values | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{k.variable}` | {k.accepts} | {k.default_text} | {k.help} |" for k in KNOBS]
    return "\n".join(rows) + "\n"
