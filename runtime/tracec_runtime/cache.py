"""The disk cache of compiled objects: digest -> bytes, checksummed, bounded, shared by processes.

An entry is one file `<folder>/<2 hex digits>/<key>` that is written under another name and then
renamed, so a reader sees a whole entry or none. Its SHA-256 covers key and contents; whatever does
not match is removed, counted (`disk_corrupt`) and compiled again. Since entries are executed as
machine code, files of other users are not read, and folders are created for the owner alone.
Where the folder cannot be used, the program works without it, after one warning.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import tempfile
import time
import warnings
from pathlib import Path

from . import knobs
from .events import counters
from .watch import log

VERSION = 1
_MAGIC = b"tracecOB"
_HEADER = struct.Struct("<8sIIQ32s")  # magic, version, reserved (0), length, digest
_KEY = re.compile(r"[0-9a-f]{8,128}")
_TEMPORARY = ".writing-"
_STALE_SECONDS = 3600.0  # a temporary file this old belongs to a process that died
_RESCAN = 256  # entries written before the folder is measured again: others write too


def pack(key: str, data: bytes) -> bytes:
    """The contents of an entry's file."""
    return _HEADER.pack(_MAGIC, VERSION, 0, len(data), _digest(key, data)) + data


def unpack(key: str, blob: bytes) -> bytes | None:
    """The data of an entry's file, or None if a single bit of it is not as written."""
    if len(blob) < _HEADER.size:
        return None
    magic, version, reserved, length, digest = _HEADER.unpack_from(blob)
    data = blob[_HEADER.size :]
    if (magic, version, reserved, length) != (_MAGIC, VERSION, 0, len(data)):
        return None
    return data if digest == _digest(key, data) else None


def _digest(key: str, data: bytes) -> bytes:
    h = hashlib.sha256(key.encode() + b"\0")
    h.update(data)
    return h.digest()


class DiskCache:
    """A folder of entries holding at most `limit` bytes; what was not used longest goes first."""

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = Path(folder), limit
        self._size: int | None = None  # estimated bytes, None before the first scan
        self._writes = 0
        self._writable = True
        self._warned = False

    def path(self, key: str) -> Path:
        """Where the entry of `key` lies; ValueError if `key` is not a hexadecimal digest."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"a cache key must be a lower-case hexadecimal digest, got {key!r}")
        return self.folder / key[:2] / key

    def get(self, key: str) -> bytes | None:
        """The data stored under `key`, or None."""
        path = self.path(key)
        try:
            blob = _read(path)
        except (FileNotFoundError, NotADirectoryError):
            counters.disk_misses += 1
            return None
        except OSError as error:
            counters.disk_misses += 1
            self._trouble("read", error)
            return None
        data = unpack(key, blob)
        if data is None:
            counters.disk_misses += 1
            counters.disk_corrupt += 1
            log("cache", corrupt=path)
            _remove(path)
            return None
        counters.disk_hits += 1
        try:
            os.utime(path)  # marks it as recently used
        except OSError:
            pass  # a read-only folder still serves
        return data

    def put(self, key: str, data: bytes) -> bool:
        """Stores `data` under `key`; False if the folder is not writable or the data too large."""
        path = self.path(key)
        blob = pack(key, data)
        if not self._writable or len(blob) > self.limit:
            return False
        try:
            os.makedirs(path.parent, mode=0o700, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(blob)
                os.replace(name, path)
            except BaseException:
                _remove(Path(name))
                raise
        except OSError as error:
            self._writable = False
            self._trouble("write", error)
            return False
        self._account(len(blob))
        return True

    def _account(self, added: int) -> None:
        self._writes += 1
        if self._size is not None:
            self._size += added
        if self._size is None or self._size > self.limit or self._writes >= _RESCAN:
            self._writes = 0
            self.trim()

    def trim(self) -> None:
        """Measures the folder and removes what dead writers left; if the bound is exceeded, evicts
        until a tenth of it is free."""
        entries, total, now = [], 0, time.time()
        for path, info in self._files():
            if path.name.startswith(_TEMPORARY):
                if now - info.st_mtime > _STALE_SECONDS:
                    _remove(path)
                continue
            entries.append((info.st_mtime_ns, info.st_size, path))
            total += info.st_size
        if total > self.limit:
            for _, size, path in sorted(entries):
                if total <= self.limit * 9 // 10:
                    break
                if _remove(path):
                    counters.disk_evictions += 1
                total -= size
        self._size = total

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        try:
            shards = [e.path for e in os.scandir(self.folder) if e.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        for shard in shards:
            try:
                for entry in os.scandir(shard):
                    if entry.is_file(follow_symlinks=False):
                        found.append((Path(entry.path), entry.stat(follow_symlinks=False)))
            except OSError:  # another process removed it meanwhile
                continue
        return found

    def clear(self) -> None:
        """Removes every entry."""
        for path, _ in self._files():
            _remove(path)
        self._size = 0

    def _trouble(self, doing: str, error: OSError) -> None:
        counters.disk_errors += 1
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"tracec cannot {doing} its cache folder {self.folder} "
                f"({error.strerror or error}); compiled code is not kept between processes. "
                "Set TRACEC_CACHE_DIR to a folder that can be written, or TRACEC_CACHE=0.",
                stacklevel=4,
            )


def _read(path: Path) -> bytes:
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode) or info.st_uid not in (os.geteuid(), 0):
            raise PermissionError(1, f"{path} is not a file of this user")
        return file.read()


def _remove(path: Path) -> bool:
    try:
        os.unlink(path)
        return True
    except OSError:
        return False


_default: DiskCache | None = None


def default() -> DiskCache | None:
    """The cache that the knobs describe, or None if it is switched off."""
    global _default
    if not knobs.cache:
        return None
    current = _default
    if current is None or current.folder != knobs.cache_dir or current.limit != knobs.cache_bytes:
        current = _default = DiskCache(knobs.cache_dir, knobs.cache_bytes)
    return current


def get(key: str) -> bytes | None:
    """The data stored under `key` in the default cache, or None."""
    cache = default()
    return cache.get(key) if cache is not None else None


def put(key: str, data: bytes) -> bool:
    """Stores `data` under `key` in the default cache; False if it could not be kept."""
    cache = default()
    return cache.put(key, data) if cache is not None else False
