"""The disk cache: damage of any byte, parallel processes, bounds, unusable folders."""

import os
import subprocess
import sys
import warnings

import pytest

from tracec_runtime import cache, knobs
from tracec_runtime.cache import DiskCache
from tracec_runtime.events import counts

KEY = "0123456789abcdef" * 4
OTHER = "f" * 64


@pytest.fixture
def disk(tmp_path):
    return DiskCache(tmp_path / "cache", 1 << 20)


def test_round_trip(disk):
    with counts() as c:
        assert disk.get(KEY) is None
        assert disk.put(KEY, b"object code")
        assert disk.get(KEY) == b"object code"
        assert disk.put(KEY, b"")
        assert disk.get(KEY) == b""
        assert disk.get(OTHER) is None
    assert (c.disk_hits, c.disk_misses, c.disk_corrupt) == (2, 2, 0)


@pytest.mark.parametrize("key", ["", "../../../etc/passwd", "ABCDEF0123456789", "0123", "g" * 64])
def test_only_digests_are_keys(disk, key):
    with pytest.raises(ValueError, match="hexadecimal digest"):
        disk.put(key, b"x")


def test_every_flipped_bit_is_caught(disk):
    data = b"machine code of a kernel"
    blob = cache.pack(KEY, data)
    for i in range(len(blob)):
        for bit in range(8):
            bad = bytearray(blob)
            bad[i] ^= 1 << bit
            assert cache.unpack(KEY, bytes(bad)) is None, (i, bit)
    for n in range(len(blob)):
        assert cache.unpack(KEY, blob[:n]) is None
    assert cache.unpack(KEY, blob + b"\0") is None
    assert cache.unpack(OTHER, blob) is None
    assert cache.unpack(KEY, blob) == data


@pytest.mark.parametrize("damage", ["empty", "truncated", "header", "payload", "swapped"])
def test_corrupt_entries_are_removed_and_counted(disk, damage):
    disk.put(KEY, b"code" * 100)
    path = disk.path(KEY)
    blob = bytearray(path.read_bytes())
    if damage == "empty":
        blob = bytearray()
    elif damage == "truncated":
        del blob[-1:]
    elif damage == "header":
        blob[9] ^= 1
    elif damage == "payload":
        blob[-7] ^= 128
    else:
        blob = bytearray(cache.pack(OTHER, b"code" * 100))
    path.write_bytes(blob)
    with counts() as c:
        assert disk.get(KEY) is None
    assert c.disk_corrupt == 1 and not path.exists()
    assert disk.put(KEY, b"again") and disk.get(KEY) == b"again"


def test_the_bound_evicts_the_least_recently_used(tmp_path):
    disk = DiskCache(tmp_path, 10_000)
    keys = [f"{i:064x}" for i in range(9)]
    for age, key in enumerate(keys):
        disk.put(key, bytes(1000))
        os.utime(disk.path(key), (1000 + age, 1000 + age))
    assert disk.get(keys[0]) is not None  # used now: the youngest
    with counts() as c:
        disk.put("a" * 64, bytes(1000))
    kept = [k for k in keys if disk.path(k).exists()]
    assert c.disk_evictions == 2 and kept == [keys[0], *keys[3:]] and disk.path("a" * 64).exists()
    assert not disk.put("b" * 64, bytes(20_000))  # larger than the whole bound
    assert disk.get("a" * 64) is not None


def test_what_dead_writers_left_is_removed(disk):
    disk.put(KEY, b"x")
    old, new = (disk.path(KEY).parent / f".writing-{n}" for n in ("old", "new"))
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (1000, 1000))
    disk.trim()
    assert not old.exists() and new.exists()


def test_an_unwritable_folder_gives_one_warning(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    disk = DiskCache(blocker / "cache", 1 << 20)
    with pytest.warns(UserWarning, match="cannot write its cache folder") as caught, counts() as c:
        assert disk.get(KEY) is None
        assert not disk.put(KEY, b"x")
        assert not disk.put(OTHER, b"x")
        assert disk.get(KEY) is None
    assert len(caught) == 1 and c.disk_errors == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_still_serves(disk):
    disk.put(KEY, b"x")
    folders = [disk.folder, disk.path(KEY).parent]
    try:
        for f in folders:
            f.chmod(0o500)
        with pytest.warns(UserWarning) as caught:
            fresh = DiskCache(disk.folder, 1 << 20)
            assert fresh.get(KEY) == b"x" and not fresh.put(OTHER, b"y")
        assert len(caught) == 1
    finally:
        for f in folders:
            f.chmod(0o700)


def test_folders_are_private_and_made_on_the_first_put(disk):
    assert not disk.folder.exists()
    disk.get(KEY)
    assert not disk.folder.exists()
    disk.put(KEY, b"x")
    assert disk.path(KEY).parent.stat().st_mode & 0o077 == 0
    assert disk.path(KEY).stat().st_mode & 0o077 == 0


def test_knobs_decide_the_default(tmp_path):
    with knobs.override(cache_dir=tmp_path / "c", cache_bytes="1M", cache=True):
        assert cache.put(KEY, b"x") and cache.get(KEY) == b"x"
        with knobs.override(cache=False):
            assert cache.get(KEY) is None and not cache.put(KEY, b"y")
    assert (tmp_path / "c" / KEY[:2] / KEY).exists()


_WRITER = """
import hashlib, random, sys
from pathlib import Path
from tracec_runtime.cache import DiskCache
disk = DiskCache(Path(sys.argv[1]), 60_000)
rng = random.Random(sys.argv[2])
keys = [hashlib.sha256(b"%d" % i).hexdigest() for i in range(40)]
for _ in range(300):
    i = rng.randrange(40)
    want = keys[i].encode() * (1 + i)
    have = disk.get(keys[i])
    assert have is None or have == want
    disk.put(keys[i], want)
"""


def test_processes_side_by_side(tmp_path):
    env = dict(os.environ)
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", _WRITER, str(tmp_path), str(n)],
            env=env, stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]  # fmt: skip
    for run in runs:
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err.decode()
    disk = DiskCache(tmp_path, 60_000)
    disk.trim()
    files = [p for p, _ in disk._files()]
    assert files and sum(p.stat().st_size for p in files) <= 60_000
    with warnings.catch_warnings(), counts() as c:
        warnings.simplefilter("error")
        assert all(disk.get(p.name) is not None for p in files)
    assert c.disk_corrupt == 0
