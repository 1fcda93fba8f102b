"""The zip container of archives: uncompressed members, one accepted form for every byte.

Any zip tool can open what `write` makes. `read` is strict: it takes names, sizes and checksums from
the central directory, builds the headers that `write` would have made, and accepts the file only if
they are what it holds. So there are no duplicate, overlapping, compressed or hidden members, and no
bit of the file is free to change. Members begin at multiples of 64 bytes, to be mapped into memory.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO

ALIGNMENT = 64

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_END = struct.Struct("<4s4H2IH")
_TAIL = _END64.size + _LOCATOR.size + _END.size

_VERSION = 45  # of the zip format: the first with 64-bit sizes
_DATE = 0x0021  # 1 January 1980: equal contents make equal files
_BIG = 0xFFFFFFFF
_ALIGN_ID = 0xD935  # the extra field that zipalign introduced


class ContainerError(ValueError):
    """A file that is not exactly what `write` makes."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the directory says of one member."""

    name: str
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class _Layout:
    headers: list[tuple[int, bytes]]  # offset and contents of each local header
    data: list[int]  # offset of each member's data
    directory: int  # offset of what follows the last member
    tail: bytes


def _layout(members: Sequence[Member]) -> _Layout:
    headers, data, central, position = [], [], b"", 0
    for m in members:
        name = m.name.encode("ascii")
        bare = position + _LOCAL.size + len(name) + 20 + 6
        pad = -bare % ALIGNMENT
        extra = struct.pack("<HHQQ", 1, 16, m.size, m.size)
        extra += struct.pack("<HHH", _ALIGN_ID, 2 + pad, ALIGNMENT) + bytes(pad)
        common = (_VERSION, 0, 0, 0, _DATE, m.crc, _BIG, _BIG, len(name))
        header = _LOCAL.pack(b"PK\3\4", *common, len(extra)) + name + extra
        headers.append((position, header))
        central += _CENTRAL.pack(b"PK\1\2", _VERSION, *common, 28, 0, 0, 0, 0, _BIG)
        central += name + struct.pack("<HHQQQ", 1, 24, m.size, m.size, position)
        data.append(bare + pad)
        position = bare + pad + m.size
    n, end = len(members), position + len(central)
    end64 = _END64.pack(
        b"PK\6\6", _END64.size - 12, _VERSION, _VERSION, 0, 0, n, n, len(central), position
    )
    tail = central + end64 + _LOCATOR.pack(b"PK\6\7", 0, end, 1)
    return _Layout(headers, data, position, tail + _END.pack(b"PK\5\6", 0, 0, n, n, _BIG, _BIG, 0))


def write(file: IO[bytes], contents: Iterable[tuple[str, Sequence[bytes | memoryview]]]) -> None:
    """Writes members (name, pieces of its data) to an empty file."""
    pieces = [
        (name, [memoryview(p).cast("B") for p in parts if len(p)]) for name, parts in contents
    ]
    members = []
    for name, parts in pieces:
        crc = 0
        for part in parts:
            crc = zlib.crc32(part, crc)
        members.append(Member(name, sum(map(len, parts)), crc))
    layout = _layout(members)
    for (_, header), (_, parts) in zip(layout.headers, pieces, strict=True):
        file.write(header)
        for part in parts:
            file.write(part)
    file.write(layout.tail)


def read(blob: memoryview, allowed: Iterable[str], most: int = 64) -> dict[str, memoryview]:
    """The data of each member of the file whose bytes are `blob`, checksums compared.

    ContainerError if the file is damaged or has other members than those `allowed`.
    """
    members = _directory(blob, set(allowed), most)
    layout = _layout(members)
    if layout.directory + len(layout.tail) != len(blob) or layout.tail != blob[layout.directory :]:
        raise ContainerError("the directory does not match the file (truncated or damaged?)")
    out = {}
    for m, (position, header), start in zip(members, layout.headers, layout.data, strict=True):
        if blob[position : position + len(header)] != header:
            raise ContainerError(f"the header of {m.name} is damaged")
        out[m.name] = blob[start : start + m.size]
        if zlib.crc32(out[m.name]) != m.crc:
            raise ContainerError(f"{m.name} is damaged (its checksum differs)")
    return out


def _directory(blob: memoryview, allowed: set[str], most: int) -> list[Member]:
    """The members listed at the end of the file; sizes are within the file."""
    if len(blob) < _TAIL or bytes(blob[-_END.size :][:4]) != b"PK\5\6":
        raise ContainerError("the end of the file is missing (truncated, or not an archive?)")
    fields = _END64.unpack_from(blob, len(blob) - _TAIL)
    count, size, position = fields[7], fields[8], fields[9]
    if count > most or position + size + _TAIL != len(blob):
        raise ContainerError("the directory is damaged")
    members: list[Member] = []
    for _ in range(count):
        if position + _CENTRAL.size > len(blob):
            raise ContainerError("the directory is damaged")
        entry = _CENTRAL.unpack_from(blob, position)
        crc, length = entry[7], entry[10]
        position += _CENTRAL.size
        if length > 255 or position + length + 28 > len(blob):
            raise ContainerError("the directory is damaged")
        try:
            name = bytes(blob[position : position + length]).decode("ascii")
        except UnicodeDecodeError:
            raise ContainerError("the directory is damaged") from None
        if name not in allowed:
            raise ContainerError(f"unexpected member {name!r}")
        if any(m.name == name for m in members):
            raise ContainerError(f"member {name!r} occurs twice")
        (length64,) = struct.unpack_from("<Q", blob, position + length + 4)
        if length64 > len(blob):
            raise ContainerError(f"member {name!r} is larger than the file")
        members.append(Member(name, length64, crc))
        position += length + 28
    return members
