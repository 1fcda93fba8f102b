"""Knobs: parsing, overriding, messages. Counters: differences and kinds."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tracec_codegen.target import host_target
from tracec_runtime import events, knobs
from tracec_runtime.events import counters, counts


@pytest.fixture(autouse=True)
def _restore():
    yield
    knobs.load()


def test_values_from_the_environment():
    knobs.load({
        "TRACEC_TIER": "0", "TRACEC_CACHE_BYTES": "1.5K", "TRACEC_NUM_THREADS": "3",
        "TRACEC_VERIFY": "on", "TRACEC_DUMP": "ir, llvm", "TRACEC_DUMP_DIR": "/tmp/d",
        "TRACEC_LOG": "all", "TRACEC_SYNC": "",
    })  # fmt: skip
    assert knobs.tier == 0 and knobs.cache_bytes == 1536 and knobs.num_threads == 3
    assert knobs.verify is True and knobs.sync is False
    assert knobs.dump == {"ir", "llvm"} and knobs.dump_dir == Path("/tmp/d")
    assert knobs.log == set(knobs.LOG_CHANNELS)


def test_defaults():
    knobs.load({})
    assert knobs.tier == "auto" and knobs.dump == frozenset() and knobs.num_threads >= 1
    assert knobs.cache_dir.name == "tracec" and knobs.memory_cache_bytes > 1 << 20


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TRACEC_TIER", "2"), ("TRACEC_NUM_THREADS", "0"), ("TRACEC_NUM_THREADS", "many"),
        ("TRACEC_DUMP", "ir,parse"), ("TRACEC_CACHE_BYTES", "1Q"), ("TRACEC_VERIFY", "maybe"),
        ("TRACEC_CACHE_BYTES", "-4"), ("TRACEC_ISA", "mmx"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_named(variable, text):
    with pytest.raises(ValueError, match=re.escape(f"{variable}={text!r} is not understood")):
        knobs.load({variable: text})


def test_override_nests_and_restores():
    before = knobs.tier
    with knobs.override(tier=0, dump="ir"):
        assert knobs.tier == 0 and knobs.dump == {"ir"}
        with pytest.raises(KeyError), knobs.override(tier="1", dump=("asm",)):
            assert knobs.tier == 1 and knobs.dump == {"asm"}
            raise KeyError
        assert knobs.tier == 0 and knobs.dump == {"ir"}
    assert knobs.tier == before and not knobs.dump


def test_wrong_overrides_change_nothing():
    before = knobs.sync
    with pytest.raises(TypeError, match="there is no knob 'teir'"):
        knobs.assign(sync=True, teir=0)
    with pytest.raises(ValueError, match="tier=7 is not understood"):
        knobs.assign(sync=True, tier=7)
    assert knobs.sync == before
    with pytest.raises(AttributeError, match="teir"):
        knobs.teir  # noqa: B018


def test_import_reads_no_environment():
    code = (
        "import os; os.environ['TRACEC_TIER'] = 'wrong'\n"
        "from tracec_runtime import knobs\n"
        "os.environ['TRACEC_TIER'] = '1'\n"
        "print(knobs.tier)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "1\n"


def test_tables_name_everything():
    for knob in knobs.KNOBS:
        assert f"`{knob.variable}`" in knobs.table()
        assert knob.name in knobs.__annotations__
    for name in events.FIELDS:
        assert f"`{name}`" in events.table()
    assert set(events.Counters.__slots__) == set(events.FIELDS) | {"kinds"}


def test_counts_are_differences():
    counters.kernels += 5
    with counts() as c:
        counters.kernels += 2
        events.count("flush", "item")
        assert c.kernels == 2
    counters.kernels += 1
    events.count("flush", "item")
    assert (c.kernels, c.compiles, c["flush.item"], c["flush.never"]) == (2, 0, 1, 0)
    assert c.as_dict() == {"kernels": 2, "flush.item": 1}
    assert repr(c) == "Difference(kernels=2, flush.item=1)"
    with pytest.raises(AttributeError, match="kernles"):
        c.kernles  # noqa: B018


def test_stats_hold_counters_and_bytes():
    events.count("fallback", "here")
    s = events.stats()
    assert s["fallback.here"] >= 1 and {"kernels", "live_bytes", "peak_bytes"} <= set(s)


def test_the_instruction_set_holds_for_products_too(tmp_path):
    """TRACEC_ISA decides what the native library is generated for."""
    if host_target().arch != "x86_64":
        pytest.skip("needs x86-64")
    code = (
        "import tracec\n"
        "from tracec_runtime.compiler import library, target\n"
        "x = tracec.ones(80, 80)\n"
        "assert (x @ x)[0, 0].item() == 80\n"
        "print(library().target.isa, target().isa, library().target.tiles)\n"
    )
    environment = {**os.environ, "TRACEC_ISA": "sse2", "TRACEC_TIER": "1",
                   "TRACEC_CACHE_DIR": str(tmp_path)}  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.split() == [b"sse2", b"sse2", b"False"], done.stderr.decode()
